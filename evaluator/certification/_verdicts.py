"""Gates to verdicts.

A verdict is PASS where the whole interval is on the good side of the limit, FAIL where it is on
the bad side, and otherwise INSUFFICIENT EVIDENCE. What could let a bad system pass is closed: a
metric, a slice, a candidate or a piece of evidence that is missing, outdated, undefined or too few
never gives a PASS.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from evaluator.certification._bounds import (
    BoundDecisions,
    Floats,
    Intervals,
    decide_bounds,
    decide_values,
)
from evaluator.certification._gate_evidence import GateEvidence
from evaluator.certification._gate_inputs import GateInput, GateInputs, Limits, level_of
from evaluator.certification._phrases import (
    format_count,
    format_gate,
    format_list,
    format_metric,
    format_number,
)
from evaluator.scorecard import Measurement, format_scope
from evaluator.spec import (
    EstimateGate,
    FairnessGate,
    GateSpec,
    MetricGate,
    ScopedGate,
    WeakSlicesGate,
)

VerdictWord = Literal["PASS", "FAIL", "INSUFFICIENT EVIDENCE"]
DecidedOn = Literal["bound", "value", "count"]


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
        The limits at the scope shown; of a gate against the baseline those of the difference.
    candidate
        Whom the verdict is about.
    level, geography, segment, group
        The worst scope found: the one furthest on the wrong side, or the one that could not be
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
        Where the verdict is open: how many cases at that scope would decide it with a probability
        of 0.8; None where it is decided, where no number of cases would, and where no interval
        tells.
    verdict
        ``PASS``, ``FAIL`` or ``INSUFFICIENT EVIDENCE``.
    reason
        Why, in a sentence without its full stop.
    places, failing, open
        How many scopes the gate looks at, how many fail, and how many are not decided.
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
    def scope(self) -> str:
        """The worst scope in words."""
        return _scope(self)

    def as_record(self) -> dict[str, Any]:
        """Give the verdict as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ScopeVerdict:
    """One scope, decided; limit, needed cases and reason are as in `Verdict`."""

    gate_input: GateInput
    verdict: VerdictWord
    margin: float | None
    """How far inside its limits it is, by its interval where that decides; negative outside."""
    limit: float | None
    needed_cases: int | None
    reason: str


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
    where a slice is missing, and the reason then says so. PASS needs every scope to be measured,
    with status ``ok``, on current slices, or with no more missing than the audit allows.

    What the verdicts of a whole certificate control is said in ``docs/gates.md``.
    """
    gates = list(gates)
    inputs = GateInputs(evidence, gates)
    return [
        _judge_one(gate, candidate, inputs, declared=candidate in candidates)
        for gate in gates
        for candidate in ([gate.candidate] if gate.candidate is not None else candidates)
        if not (_is_against_baseline(gate) and candidate == evidence.baseline)
    ]


def _is_against_baseline(gate: GateSpec) -> bool:
    return isinstance(gate, MetricGate) and gate.against_baseline


def _judge_one(gate: GateSpec, candidate: str, inputs: GateInputs, *, declared: bool) -> Verdict:
    if declared:
        items = inputs.of(gate, candidate)
    else:
        items = [GateInput(limits=Limits(), problem=f"the audit has no candidate {candidate!r}")]
    decided_on: DecidedOn = gate.decide_on if isinstance(gate, EstimateGate) else "count"
    scope_verdicts = decide(
        items,
        decided_on,
        inputs.evidence.confidence,
        simultaneous=isinstance(gate, WeakSlicesGate),
    )
    worst = _worst(scope_verdicts)
    item, measurement = worst.gate_input, worst.gate_input.measurement
    return Verdict(
        gate=format_gate(gate),
        says=gate.rationale,
        kind=gate.kind,
        metric=_metric(gate),
        gate_level=_gate_level(gate),
        minimum=item.limits.at_least,
        maximum=item.limits.at_most,
        required=gate.required,
        candidate=candidate,
        level=level_of(gate) if isinstance(gate, ScopedGate) else gate.kind,
        geography=item.geography,
        segment=item.segment,
        group=item.group,
        value=None if measurement is None else measurement.value,
        low=None if measurement is None else _finite(measurement.low),
        high=None if measurement is None else _finite(measurement.high),
        n=None if measurement is None else measurement.n,
        n_effective=None if measurement is None else measurement.n_effective,
        limit=worst.limit,
        decided_on=decided_on,
        needed_cases=worst.needed_cases,
        verdict=worst.verdict,
        reason=_reason(gate, scope_verdicts, worst),
        places=len(scope_verdicts),
        failing=sum(found.verdict == "FAIL" for found in scope_verdicts),
        open=sum(found.verdict == "INSUFFICIENT EVIDENCE" for found in scope_verdicts),
    )


def decide(
    items: Sequence[GateInput], decided_on: DecidedOn, confidence: float, *, simultaneous: bool
) -> list[ScopeVerdict]:
    """Decide all scopes that one gate looks at."""
    # What cannot be judged is no test, and makes the others no stricter.
    intervals = Intervals(
        value=_floats([_number_of(item, "value") for item in items]),
        low=_floats([_number_of(item, "low") for item in items]),
        high=_floats([_number_of(item, "high") for item in items]),
        at_least=_floats([_limit_or(item.limits.at_least, -math.inf) for item in items]),
        at_most=_floats([_limit_or(item.limits.at_most, math.inf) for item in items]),
        n=_floats([_number_of(item, "n") for item in items]),
        strict=any(item.limits.strict for item in items),
        simultaneous=simultaneous,
    )
    if decided_on == "bound":
        decided = decide_bounds(intervals, confidence)
    else:
        decided = decide_values(intervals)
    tested = int((~np.isnan(intervals.low) | ~np.isnan(intervals.high)).sum())
    return [
        _scope_verdict(item, decided, index, decided_on, tested) for index, item in enumerate(items)
    ]


def _scope_verdict(
    item: GateInput, decided: BoundDecisions, index: int, decided_on: DecidedOn, tested: int
) -> ScopeVerdict:
    measurement = item.measurement
    if item.problem or measurement is None or measurement.value is None:
        return _undecided(item, item.problem or "it was not measured")
    limit = item.limits.nearest(measurement.value)
    shown = _format_measurement(item, limit, decided_on)
    if decided_on == "bound" and measurement.low is None and measurement.high is None:
        return _undecided(item, f"{shown}, without an interval", limit=limit)
    margin = _margin(item, decided_on, failed=bool(decided.failed[index]))
    whole = "all of it " if decided_on == "bound" else ""
    if decided.failed[index]:
        reason = f"{shown}, {whole}{_broken_limits(item.limits, measurement, decided_on)}"
        if item.remark and decided_on != "count":
            reason += f", though {item.remark}"
        return ScopeVerdict(
            gate_input=item,
            verdict="FAIL",
            margin=margin,
            limit=limit,
            needed_cases=None,
            reason=reason,
        )
    if decided.passed[index] and not item.doubt:
        reason = f"{shown}, {whole}{_kept_limits(item.limits)}"
        if item.remark and decided_on != "count":
            reason += f"; {item.remark}, which the audit allows"
        return ScopeVerdict(
            gate_input=item,
            verdict="PASS",
            margin=margin,
            limit=limit,
            needed_cases=None,
            reason=reason,
        )
    if decided.passed[index]:
        return _undecided(item, f"{shown}, but {item.doubt}", limit=limit)
    cases = _whole(decided.needed_cases[index])
    if decided.failed_alone[index]:
        broken = _broken_limits(item.limits, measurement, decided_on)
        why = f"all of it {broken}, which may be chance among {tested} places"
    else:
        why = f"and the limit {limit:g} lies within"
    would = "no number of cases" if cases is None else f"about {format_count(cases, 'case')}"
    return ScopeVerdict(
        gate_input=item,
        verdict="INSUFFICIENT EVIDENCE",
        margin=margin,
        limit=limit,
        needed_cases=cases,
        reason=f"{shown}, {why}; {would} there would decide it",
    )


def _margin(item: GateInput, decided_on: DecidedOn, *, failed: bool) -> float:
    """Give how far inside its limits a scope is: a failing one by its value."""
    measurement = item.measurement
    assert measurement is not None  # noqa: S101 - the caller has looked
    ends = (measurement.value, measurement.low, measurement.high)
    known = [end for end in ends if end is not None]
    if failed or decided_on != "bound":
        known = known[:1]
    return min(item.limits.margin(end) for end in known)


def _whole(cases: float) -> int | None:
    return None if math.isnan(cases) else int(cases)


def _undecided(item: GateInput, reason: str, *, limit: float | None = None) -> ScopeVerdict:
    return ScopeVerdict(
        gate_input=item,
        verdict="INSUFFICIENT EVIDENCE",
        margin=None,
        limit=limit,
        needed_cases=None,
        reason=reason,
    )


def _format_measurement(item: GateInput, limit: float, decided_on: DecidedOn) -> str:
    measurement = item.measurement
    assert measurement is not None  # noqa: S101 - the caller has looked
    assert measurement.value is not None  # noqa: S101 - the caller has looked
    if decided_on == "count":
        value = measurement.value
        whole = float(value).is_integer()
        shown = f"{value:,.0f}" if whole else format_number(value, apart_from=limit)
        return f"{shown} {item.remark}" if item.remark else shown
    shown = format_number(measurement.value, apart_from=limit)
    if decided_on == "value" or measurement.low is None or measurement.high is None:
        return shown
    ends = (measurement.low, measurement.high)
    low, high = (format_number(end, apart_from=limit) for end in ends)
    return f"{shown} ({low} to {high})"


def _kept_limits(limits: Limits) -> str:
    """Say which limits are kept."""
    if limits.at_least is not None and limits.at_most is not None:
        return f"from {limits.at_least:g} to {limits.at_most:g}"
    if limits.at_least is not None:
        return f"{'above' if limits.strict else 'at least'} {limits.at_least:g}"
    return f"{'below' if limits.strict else 'at most'} {limits.at_most:g}"


def _broken_limits(limits: Limits, measurement: Measurement, decided_on: DecidedOn) -> str:
    """Say which limit is broken."""
    # An estimate that is corrected for its bias may have an interval that does not hold the value.
    highest = measurement.high if decided_on == "bound" else measurement.value
    if limits.at_least is not None and highest is not None and highest <= limits.at_least:
        return f"{'not above' if limits.strict else 'below'} {limits.at_least:g}"
    return f"{'not below' if limits.strict else 'above'} {limits.at_most:g}"


def _number_of(item: GateInput, name: str) -> float | None:
    return None if item.measurement is None or item.problem else getattr(item.measurement, name)


def _limit_or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _reason(gate: GateSpec, scope_verdicts: Sequence[ScopeVerdict], worst: ScopeVerdict) -> str:
    """Say what was found, in one sentence."""
    if len(scope_verdicts) == 1 and (
        worst.gate_input.measurement is None or worst.gate_input.problem
    ):
        return worst.reason
    if len(scope_verdicts) == 1 and not _is_one_of_several(gate):
        return f"{_subject(gate, worst.gate_input)}{worst.reason}"
    failing = [found for found in scope_verdicts if found.verdict == "FAIL"]
    open_ = [found for found in scope_verdicts if found.verdict == "INSUFFICIENT EVIDENCE"]
    thing = _unit(gate)
    total = format_count(len(scope_verdicts), thing)
    if failing:
        return (
            f"{len(failing)} of {total} {'fails' if len(failing) == 1 else 'fail'}; the worst is "
            f"{_scope(worst.gate_input)} with {worst.reason}"
            + (f"; {len(open_)} more {_are(len(open_))} not decided" if open_ else "")
        )
    if open_:
        named = [f"{_scope(found.gate_input)} ({found.reason})" for found in open_]
        return f"{len(open_)} of {total} {_are(len(open_))} not decided: {format_list(named)}"
    passing = f"all {total} pass" if len(scope_verdicts) > 1 else f"the one {thing} passes"
    return f"{passing}; the closest is {_scope(worst.gate_input)} with {worst.reason}"


def _worst(scope_verdicts: Sequence[ScopeVerdict]) -> ScopeVerdict:
    """Choose the scope to show: failing before open before passing, then the least margin."""
    order: dict[VerdictWord, int] = {"FAIL": 0, "INSUFFICIENT EVIDENCE": 1, "PASS": 2}
    return min(
        scope_verdicts,
        key=lambda f: (order[f.verdict], -math.inf if f.margin is None else f.margin),
    )


def _subject(gate: GateSpec, item: GateInput) -> str:
    """Say what was measured at the gate's only scope."""
    if isinstance(gate, ScopedGate):
        name = format_metric(str(_metric(gate)))
        where = f" of {format_scope(item.geography, item.segment)}" if gate.names_scope else ""
        if _is_against_baseline(gate):
            return f"the difference in {name}{where} is "
        return f"{name}{where} is "
    return "slices without a result of this version: "


def _is_one_of_several(gate: GateSpec) -> bool:
    if isinstance(gate, ScopedGate):
        return gate.scope_level != "overall" and not gate.names_scope
    return gate.kind != "complete"


def _unit(gate: GateSpec) -> str:
    """Name what the gate looks at, in the singular."""
    if isinstance(gate, ScopedGate):
        return gate.scope_level
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
    if not isinstance(gate, ScopedGate):
        return gate.kind
    return "place" if gate.names_scope else gate.level


def _scope(of: GateInput | Verdict) -> str:
    return of.group or format_scope(of.geography, of.segment)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _finite(end: float | None) -> float | None:
    return end if end is None or math.isfinite(end) else None
