"""A certificate's verdicts, outcome and first figures, held against another judgement."""

from collections.abc import Iterator, Sequence

from evaluator.certification.findings import Problem
from evaluator.certification.gate_evidence import GateEvidence
from evaluator.certification.ledger_chain import ChainedEntry
from evaluator.certification.outcomes import decide_outcomes
from evaluator.certification.recomputed_values import differences, is_same
from evaluator.certification.statement import Predicate
from evaluator.certification.verdicts import Verdict, judge
from evaluator.certification.waivers import waivers_in_force
from evaluator.spec.audit import AuditSpec

# How the reason of an outcome begins where gates are waived.
_WAIVED = "WITH "


def compare_verdicts(
    predicate: Predicate,
    spec: AuditSpec,
    judged: GateEvidence,
    entries: Sequence[ChainedEntry],
) -> Iterator[Problem]:
    """Judge once more, and tell what the certificate says otherwise.

    Parameters
    ----------
    predicate
        What the certificate says.
    spec
        The audit.
    judged
        The scorecard that was computed once more, as gates look at it.
    entries
        The ledger as it was when the certificate was made.
    """
    name = predicate.candidate.name
    names = [candidate.name for candidate in spec.candidates]
    if name not in names:
        yield Problem("verdicts", "certificate", f"the audit has no candidate {name!r}")
        return
    verdicts = judge(spec.gates, judged, names)
    again = [verdict.as_record() for verdict in verdicts if verdict.candidate == name]
    if len(again) != len(predicate.gates):
        what = f"it has {len(predicate.gates)} verdicts, and the audit's gates give {len(again)}"
        yield Problem("verdicts", "certificate", what)
    for stated, record in zip(predicate.gates, again, strict=False):
        differing = list(differences(stated.model_dump(mode="json"), record))
        if differing:
            yield Problem("verdicts", "certificate", f"{stated.gate}: {'; '.join(differing)}")
    yield from _compare_outcome(predicate, verdicts, judged, entries)
    measurements = judged.scorecard.measurements
    is_overall = (measurements["candidate"] == name) & (measurements["level"] == "overall")
    overall = measurements[is_overall]
    measured = {row["metric"]: row for row in overall.to_dict("records")}
    for headline in predicate.headline:
        row = measured.get(headline.metric, {})
        for number in ("value", "low", "high"):
            recomputed = row.get(number)
            stated_number = getattr(headline, number)
            if not is_same(stated_number, recomputed):
                what = f"{headline.metric}: {number} is {stated_number}, recomputed {recomputed}"
                yield Problem("verdicts", "certificate", what)


def _compare_outcome(
    predicate: Predicate,
    verdicts: Sequence[Verdict],
    judged: GateEvidence,
    entries: Sequence[ChainedEntry],
) -> Iterator[Problem]:
    stated = predicate.candidate
    artifacts = {stated.name: stated.artifact_digest}
    now = predicate.created_at
    entered = waivers_in_force(entries, artifacts, now)
    outcome, plain = (
        decide_outcomes(
            verdicts,
            judged.scorecard.slices,
            [stated.name],
            allowed_missing=judged.allowed_missing,
            waivers=waivers,
            now=now,
        )[0]
        for waivers in ([one.waiver for one in entered], [])
    )
    if outcome.outcome != stated.outcome:
        what = f"it says {stated.outcome}, and the verdicts give {outcome.outcome}"
        yield Problem("verdicts", "certificate", what)
        return
    # What stands before the plain reason is the waivers, and what would come of them.
    waived = outcome.reason.removesuffix(plain.reason)
    if not stated.reason.startswith(waived) or (not waived and stated.reason.startswith(_WAIVED)):
        what = f"its waivers are not the ledger's, which give: {waived or 'none'}"
        yield Problem("verdicts", "certificate", what)
