"""The verdicts and the outcome of a certificate, judged once more and held against what it says."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from evaluator.certification._certificate_state import waivers_in_force
from evaluator.certification._comparing import differences, is_same
from evaluator.certification._entries import ChainedEntry
from evaluator.certification._gaps import decide_gaps
from evaluator.certification._gate_evidence import GateEvidence
from evaluator.certification._outcomes import Qualifications, Waiver, decide_outcomes
from evaluator.certification._statement import Discrepancy, Predicate
from evaluator.certification._statement_v1 import WAIVED, waivers_in_words
from evaluator.certification._verdicts import JudgedGate, judge_scopes
from evaluator.scorecard import WeakSlice, number
from evaluator.spec import AuditSpec

_STATED: Final = ("value", "low", "high", "clusters", "design_effect")


def compare_verdicts(
    predicate: Predicate,
    spec: AuditSpec,
    evidence: GateEvidence,
    entries: Sequence[ChainedEntry],
) -> Iterator[Discrepancy]:
    """Judge once more, and yield what the certificate says otherwise."""
    name = predicate.candidate.name
    names = [candidate.name for candidate in spec.candidates]
    if name not in names:
        yield Discrepancy("verdicts", "certificate", f"the audit has no candidate {name!r}")
        return
    gates = [gate for gate in spec.judged_by if gate.candidate in (None, name)]
    judged = judge_scopes(gates, evidence, [name])
    again = [one.verdict.as_record() for one in judged if one.verdict.candidate == name]
    if len(again) != len(predicate.gates):
        what = f"it has {len(predicate.gates)} verdicts, and the audit's gates give {len(again)}"
        yield Discrepancy("verdicts", "certificate", what)
    for stated, record in zip(predicate.gates, again, strict=False):
        differing = list(differences(stated.as_record(), record))
        if differing:
            yield Discrepancy("verdicts", "certificate", f"{stated.gate}: {'; '.join(differing)}")
    yield from _compare_outcome(predicate, spec, judged, evidence, entries)
    measurements = evidence.scorecard.measurements
    is_overall = (measurements["candidate"] == name) & (measurements["level"] == "overall")
    overall = measurements[is_overall]
    measured = {row["metric"]: row for row in overall.to_dict("records")}
    for headline in predicate.headline:
        row = measured.get(headline.metric, {})
        for key in _STATED:
            recomputed = number(row.get(key))
            stated_number = getattr(headline, key)
            if not is_same(stated_number, recomputed):
                what = f"{headline.metric}: {key} is {stated_number}, recomputed {recomputed}"
                yield Discrepancy("verdicts", "certificate", what)


def _compare_outcome(
    predicate: Predicate,
    spec: AuditSpec,
    judged: Sequence[JudgedGate],
    evidence: GateEvidence,
    entries: Sequence[ChainedEntry],
) -> Iterator[Discrepancy]:
    stated = predicate.candidate
    now = predicate.created_at
    heeded, wrong = _heeded_waivers(predicate, entries)
    for what in wrong:
        yield Discrepancy("verdicts", "certificate", what)
    (outcome,) = decide_outcomes(
        [one.verdict for one in judged],
        evidence.scorecard.slices,
        [stated.name],
        allowed_missing=evidence.allowed_missing,
        waivers=heeded,
        now=now,
        gaps=decide_gaps(judged, evidence, spec.fairness),
        weak_slices=evidence.scorecard.rows(WeakSlice, stated.name),
        cases_independent=predicate.evaluation_set.cases_independent,
    )
    if outcome.outcome != stated.outcome:
        what = f"it says {stated.outcome}, and the verdicts give {outcome.outcome}"
        yield Discrepancy("verdicts", "certificate", what)
    elif stated.qualified_by is None:
        waived = waivers_in_words(outcome, predicate.gates)
        if not stated.reason.startswith(waived) or (
            not waived and stated.reason.startswith(WAIVED)
        ):
            what = f"its waivers are not the ledger's, which give: {waived or 'none'}"
            yield Discrepancy("verdicts", "certificate", what)
    else:
        said, again = (_in_any_order(one) for one in (stated.qualified_by, outcome.qualified_by))
        if said != again:
            what = f"what qualifies its outcome is {_in_full(said)}, recomputed {_in_full(again)}"
            yield Discrepancy("verdicts", "certificate", what)


def _heeded_waivers(
    predicate: Predicate, entries: Sequence[ChainedEntry]
) -> tuple[list[Waiver], list[str]]:
    """Find the waivers that a certificate heeds, and say which of them it could not or should have.

    Its issuer may have trusted other keys than whoever checks it, so that a waiver that is void
    here may be heeded; it is told with the ledger.
    """
    artifacts = {predicate.candidate.name: predicate.candidate.artifact_digest}
    by_anyone = [chained._replace(void="") for chained in entries]
    counts = {chained.entry.sequence for chained in entries if not chained.void}

    def in_force(chained: Sequence[ChainedEntry]) -> dict[str, Waiver]:
        found = waivers_in_force(chained, artifacts, predicate.created_at)
        return {one.entry: one.waiver for one in found}

    if predicate.waivers is None:
        return list(in_force(by_anyone).values()), []
    # A correction that is void here may be one for its issuer.
    counted = [c for c in by_anyone if c.entry.kind != "correction" or c.entry.sequence in counts]
    possible = in_force(counted)
    named = list(predicate.waivers)
    wrong = [
        f"it heeds a waiver that was not in force: entry {entry[:12]}…"
        for entry in named
        if entry not in possible
    ]
    everyones = in_force(entries).keys() & in_force(by_anyone).keys()
    wrong += [
        f"it does not heed the waiver of {possible[entry].gate} by {possible[entry].waived_by}"
        for entry in sorted(everyones - set(named))
    ]
    return [possible[entry] for entry in named if entry in possible], wrong


def _in_any_order(qualified_by: Qualifications) -> Qualifications:
    # Near ties may be in another order elsewhere.
    return replace(
        qualified_by,
        gaps_failed=tuple(sorted(qualified_by.gaps_failed)),
        weak_slices=tuple(sorted(qualified_by.weak_slices)),
    )


def _in_full(qualified_by: Qualifications) -> str:
    return f"{qualified_by.short or 'nothing'} ({'; '.join(qualified_by.lines())})"
