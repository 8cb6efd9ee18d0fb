"""Gates to verdicts.

A verdict is PASS where the whole interval is on the good side of the limit, FAIL where it is on
the bad side, and otherwise INSUFFICIENT EVIDENCE. What could let a bad system pass is closed: a
metric, a slice, a candidate or a piece of evidence that is missing, outdated, undefined or too few
never gives a PASS.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluator.certification.figures import place_words
from evaluator.certification.gate_evidence import GateEvidence
from evaluator.certification.gate_findings import DecidedOn, Finding, VerdictWord, decide
from evaluator.certification.looks import Limits, Look
from evaluator.certification.looks_by_kind import Looks
from evaluator.certification.words import count_words, gate_words, list_words, metric_words
from evaluator.findings.names import SLICE_LEVEL
from evaluator.spec.gates import (
    EstimateGate,
    FairnessGate,
    GateSpec,
    MetricGate,
    PlacedGate,
    WeakSlicesGate,
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one gate says about one candidate.

    Attributes
    ----------
    gate
        The gate in words.
    says
        What it is for, in the audit's own words; empty without such.
    kind, metric, gate_level, required
        The gate as the audit declares it. `metric` is the fairness measure or the measure of drift
        where that is what it looks at, and None where it looks at neither; `gate_level` is
        ``place`` where the gate names one.
    minimum, maximum
        The limits at the place shown; of a gate against the baseline those of the difference.
    candidate
        Whom the verdict is about.
    level, geography, segment, group
        The worst place found: the one furthest on the wrong side, or the one that could not be
        judged, or the one that passes by the least. `level` is the scorecard's, or the gate's kind;
        `group` names in words what is no slice: a group of cases, a weak slice, a day.
    value, low, high, n, n_effective
        What was measured there; None where there is nothing, and where an end is infinite.
    limit
        The limit that is broken there, or the nearer one; None where nothing was measured.
    decided_on
        ``bound``: the interval is held against the limit. ``value``: the value is, as if it were
        known exactly. ``count``: what was counted has no interval.
    needed_cases
        Where the verdict is open: how many cases at that place would decide it with a probability
        of 0.8; None where it is decided, where no number of cases would, and where no interval
        tells.
    verdict
        ``PASS``, ``FAIL`` or ``INSUFFICIENT EVIDENCE``.
    reason
        Why, in a sentence without its full stop.
    places, failing, open
        How many places the gate looks at, how many fail, and how many are not decided.
    """

    gate: str
    says: str
    kind: str
    metric: str | None
    gate_level: str
    minimum: float | None
    maximum: float | None
    required: bool
    candidate: str
    level: str
    geography: str | None
    segment: str | None
    group: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    n_effective: float | None
    limit: float | None
    decided_on: DecidedOn
    needed_cases: int | None
    verdict: VerdictWord
    reason: str
    places: int
    failing: int
    open: int

    @property
    def place(self) -> str:
        """The worst place in words."""
        return self.group or place_words(self.geography, self.segment)

    def as_record(self) -> dict[str, Any]:
        """Give the verdict as plain JSON values."""
        return asdict(self)


def judge(
    gates: Iterable[GateSpec], evidence: GateEvidence, candidates: Sequence[str]
) -> list[Verdict]:
    """Judge every candidate by every gate that is for it.

    Parameters
    ----------
    gates
        The audit's gates.
    evidence
        What they look at.
    candidates
        The audit's candidates, in the order to report them in.

    Returns
    -------
    list[Verdict]
        One per gate and candidate, gates outermost, in the order given. A gate for a candidate
        that the audit does not have gives one verdict, INSUFFICIENT EVIDENCE. A gate against the
        baseline is not for the baseline.

    Notes
    -----
    A limit itself passes, but for ``better_than_baseline`` and ``drift_below``. FAIL needs
    something that was measured: at a single slice on current evidence; at a margin or overall also
    where a slice is missing, and the reason then says so. PASS needs every place to be measured,
    with status ``ok``, on current slices, or with no more missing than the audit allows.

    What the verdicts of a whole certificate control is said in ``docs/gates.md``.
    """
    gates = list(gates)
    looks = Looks(evidence, gates)
    return [
        _judge_one(gate, candidate, looks, declared=candidate in candidates)
        for gate in gates
        for candidate in ([gate.candidate] if gate.candidate is not None else candidates)
        if not (_is_against_baseline(gate) and candidate == evidence.baseline)
    ]


def _is_against_baseline(gate: GateSpec) -> bool:
    return isinstance(gate, MetricGate) and gate.against_baseline


def _judge_one(gate: GateSpec, candidate: str, looks: Looks, *, declared: bool) -> Verdict:
    if declared:
        seen = looks.of(gate, candidate)
    else:
        seen = [Look(limits=Limits(), problem=f"the audit has no candidate {candidate!r}")]
    decided_on: DecidedOn = gate.decide_on if isinstance(gate, EstimateGate) else "count"
    findings = decide(
        seen,
        decided_on,
        looks.evidence.confidence,
        simultaneous=isinstance(gate, WeakSlicesGate),
    )
    worst = _worst(findings)
    look, figure = worst.look, worst.look.figure
    return Verdict(
        gate=gate_words(gate),
        says=gate.says,
        kind=gate.kind,
        metric=_metric(gate),
        gate_level=_gate_level(gate),
        minimum=look.limits.at_least,
        maximum=look.limits.at_most,
        required=gate.required,
        candidate=candidate,
        level=_scorecard_level(gate),
        geography=look.geography,
        segment=look.segment,
        group=look.group,
        value=None if figure is None else figure.value,
        low=None if figure is None else _finite(figure.low),
        high=None if figure is None else _finite(figure.high),
        n=None if figure is None else figure.n,
        n_effective=None if figure is None else figure.n_effective,
        limit=worst.limit,
        decided_on=decided_on,
        needed_cases=worst.needed_cases,
        verdict=worst.verdict,
        reason=_reason(gate, findings, worst),
        places=len(findings),
        failing=sum(finding.verdict == "FAIL" for finding in findings),
        open=sum(finding.verdict == "INSUFFICIENT EVIDENCE" for finding in findings),
    )


def _reason(gate: GateSpec, findings: Sequence[Finding], worst: Finding) -> str:
    """Say what was found, in one sentence."""
    if len(findings) == 1 and (worst.look.figure is None or worst.look.problem):
        return worst.reason
    if len(findings) == 1 and not _is_one_of_many(gate):
        return f"{_subject(gate, worst.look)}{worst.reason}"
    failing = [finding for finding in findings if finding.verdict == "FAIL"]
    open_ = [finding for finding in findings if finding.verdict == "INSUFFICIENT EVIDENCE"]
    thing = _thing(gate)
    total = count_words(len(findings), thing)
    if failing:
        return (
            f"{len(failing)} of {total} {'fails' if len(failing) == 1 else 'fail'}; the worst is "
            f"{_place(worst)} with {worst.reason}"
            + (f"; {len(open_)} more {_are(len(open_))} not decided" if open_ else "")
        )
    if open_:
        named = [f"{_place(finding)} ({finding.reason})" for finding in open_]
        return f"{len(open_)} of {total} {_are(len(open_))} not decided: {list_words(named)}"
    passing = f"all {total} pass" if len(findings) > 1 else f"the one {thing} passes"
    return f"{passing}; the closest is {_place(worst)} with {worst.reason}"


def _worst(findings: Sequence[Finding]) -> Finding:
    """Choose the place to show: failing before open before passing, then the least margin."""
    order: dict[VerdictWord, int] = {"FAIL": 0, "INSUFFICIENT EVIDENCE": 1, "PASS": 2}
    return min(
        findings, key=lambda f: (order[f.verdict], -math.inf if f.margin is None else f.margin)
    )


def _subject(gate: GateSpec, look: Look) -> str:
    """Say what the figure of the gate's only place is."""
    if isinstance(gate, PlacedGate):
        name = metric_words(str(_metric(gate)))
        where = f" of {place_words(look.geography, look.segment)}" if gate.is_named else ""
        if _is_against_baseline(gate):
            return f"the difference in {name}{where} is "
        return f"{name}{where} is "
    return "slices without a result of this version: "


def _is_one_of_many(gate: GateSpec) -> bool:
    if isinstance(gate, PlacedGate):
        return gate.places != "overall" and not gate.is_named
    return gate.kind != "complete"


def _thing(gate: GateSpec) -> str:
    """Name what the gate looks at, in the singular."""
    if isinstance(gate, PlacedGate):
        return gate.places
    return {
        "fairness": "comparison",
        "weak_slices": "tested slice",
        "data_quality": "limit",
        "drift": "day",
    }.get(gate.kind, "place")


def _metric(gate: GateSpec) -> str | None:
    if isinstance(gate, FairnessGate):
        return gate.measure
    found: str | None = getattr(gate, "metric", None) or getattr(gate, "measure", None)
    return found


def _gate_level(gate: GateSpec) -> str:
    if not isinstance(gate, PlacedGate):
        return gate.kind
    return "place" if gate.is_named else gate.level


def _scorecard_level(gate: GateSpec) -> str:
    if not isinstance(gate, PlacedGate):
        return gate.kind
    return SLICE_LEVEL if gate.places == "slice" else gate.places


def _place(finding: Finding) -> str:
    look = finding.look
    return look.group or place_words(look.geography, look.segment)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _finite(end: float | None) -> float | None:
    return end if end is None or math.isfinite(end) else None
