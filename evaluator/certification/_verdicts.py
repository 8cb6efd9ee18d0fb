"""Gates to verdicts.

A verdict is PASS where the whole interval is on the good side of the limit, FAIL where it is on
the bad side, and otherwise INSUFFICIENT EVIDENCE. What could let a bad system pass is closed: a
metric, a slice, a candidate or a piece of evidence that is missing, outdated, undefined or too few
never gives a PASS.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict

from evaluator.certification._bounds import (
    BoundDecisions,
    Floats,
    Intervals,
    decide_bounds,
    decide_values,
)
from evaluator.certification._gate_evidence import GateEvidence
from evaluator.certification._gates._behaviour import (
    DecidedOn,
    EvidenceTables,
    GateBehaviour,
    GateInput,
    Limits,
    behaviour_of,
)
from evaluator.certification._phrases import (
    format_count,
    format_list,
    format_needed,
    format_number,
)
from evaluator.scorecard import Measurement, format_scope
from evaluator.spec import GateSpec

VerdictWord = Literal["PASS", "FAIL", "INSUFFICIENT EVIDENCE"]

STRICT = ConfigDict(extra="forbid", strict=True)
"""How a certificate's parts are read that are no pydantic models."""


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
        Where the verdict is open: how many cases at that scope, with those that there are, would
        decide it with a probability of 0.8, to two figures. None where it is decided, where they
        are more than 20 times those that there are, and where no interval tells.
    verdict
        ``PASS``, ``FAIL`` or ``INSUFFICIENT EVIDENCE``.
    reason
        Why, in a sentence without its full stop.
    places, failing, open
        How many scopes the gate looks at, how many fail, and how many are not decided.
    """

    __pydantic_config__ = STRICT  # it stands in certificates as it is

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
    verdict: VerdictWord = "INSUFFICIENT EVIDENCE"
    figures: str = ""
    """What was measured, up to the reason's own words; empty where nothing was."""
    why: str
    limit: float | None = None
    margin: float | None = None
    """How far inside its limits it is, by its interval where that decides; negative outside."""
    needed_cases: int | None = None

    @property
    def reason(self) -> str:
        """What was measured, and why that decides or leaves it open."""
        return f"{self.figures}{self.why}"

    @property
    def severity(self) -> tuple[int, float]:
        """What sorts failing before open before passing, and then by the least margin."""
        order: dict[VerdictWord, int] = {"FAIL": 0, "INSUFFICIENT EVIDENCE": 1, "PASS": 2}
        return order[self.verdict], -math.inf if self.margin is None else self.margin


@dataclass(frozen=True, kw_only=True)
class JudgedGate:
    """One gate on one candidate: what it decides of each scope, and the verdict."""

    scopes: Sequence[ScopeVerdict]
    verdict: Verdict


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
    A limit itself passes, but for ``better_than_baseline`` and ``drift_below``; what is nearer to
    it than rounding is at it. FAIL needs something that was measured: at a single slice on current
    evidence; at a margin or overall also where a slice is missing, and the reason then says so.
    PASS needs every scope to be measured, with status ``ok``, on current slices, or with no more
    missing than the audit allows; a difference with status ``identical`` is known exactly.

    What the verdicts of a whole certificate control is said in ``docs/gates.md``.
    """
    return [judged.verdict for judged in judge_scopes(gates, evidence, candidates)]


def judge_scopes(
    gates: Iterable[GateSpec], evidence: GateEvidence, candidates: Sequence[str]
) -> list[JudgedGate]:
    """Judge as `judge` does, and give with each verdict the scopes that it is made of.

    Parameters
    ----------
    gates, evidence, candidates
        As for `judge`.

    Returns
    -------
    list[JudgedGate]
        One for each verdict of `judge`, in its order.
    """
    tables = EvidenceTables(evidence)
    return [
        _judge_one(gate, candidate, tables, declared=candidate in candidates)
        for gate in gates
        for candidate in (candidates if gate.candidate is None else [gate.candidate])
        if not (behaviour_of(gate).against_baseline and candidate == evidence.baseline)
    ]


def _judge_one(
    gate: GateSpec, candidate: str, tables: EvidenceTables, *, declared: bool
) -> JudgedGate:
    behaviour = behaviour_of(gate)
    if declared:
        found = behaviour.inputs(tables.of(candidate))
        items = [_with_clusters(item, tables.evidence.cluster) for item in found]
    else:
        items = [GateInput(limits=Limits(), problem=f"the audit has no candidate {candidate!r}")]
    scope_verdicts = decide(
        items,
        behaviour.decided_on,
        tables.evidence.confidence,
        simultaneous=behaviour.simultaneous,
    )
    worst = min(scope_verdicts, key=lambda found: found.severity)
    item, measurement = worst.gate_input, worst.gate_input.measurement
    verdict = Verdict(
        gate=behaviour.phrase,
        says=gate.rationale,
        kind=gate.kind,
        metric=behaviour.metric,
        gate_level=behaviour.gate_level or gate.kind,
        minimum=item.limits.at_least,
        maximum=item.limits.at_most,
        required=gate.required,
        candidate=candidate,
        level=behaviour.level or gate.kind,
        geography=item.geography,
        segment=item.segment,
        group=item.group,
        value=None if measurement is None else measurement.value,
        low=None if measurement is None else _finite(measurement.low),
        high=None if measurement is None else _finite(measurement.high),
        n=None if measurement is None else measurement.n,
        n_effective=None if measurement is None else measurement.n_effective,
        limit=worst.limit,
        decided_on=behaviour.decided_on,
        needed_cases=worst.needed_cases,
        verdict=worst.verdict,
        reason=_reason(behaviour, scope_verdicts, worst),
        places=len(scope_verdicts),
        failing=sum(found.verdict == "FAIL" for found in scope_verdicts),
        open=sum(found.verdict == "INSUFFICIENT EVIDENCE" for found in scope_verdicts),
    )
    return JudgedGate(scopes=scope_verdicts, verdict=verdict)


def _with_clusters(item: GateInput, cluster: str | None) -> GateInput:
    """Say in how many clusters a scope's cases come, and what one of them is called."""
    if item.measurement is None or item.measurement.clusters is None:
        return item
    return replace(item, clusters=item.measurement.clusters, cluster=cluster or item.cluster)


def decide(
    items: Sequence[GateInput], decided_on: DecidedOn, confidence: float, *, simultaneous: bool
) -> list[ScopeVerdict]:
    """Decide all scopes that one gate looks at."""
    # What cannot be judged is no test, and makes the others no stricter.
    intervals = Intervals(
        value=_floats([_number_of(item, "value") for item in items]),
        low=_floats([_number_of(item, "low") for item in items]),
        high=_floats([_number_of(item, "high") for item in items]),
        at_least=_floats([item.limits.at_least for item in items], -math.inf),
        at_most=_floats([item.limits.at_most for item in items], math.inf),
        n=_floats([_number_of(item, "n") for item in items]),
        n_effective=_floats([_number_of(item, "n_effective") for item in items]),
        clusters=_floats([item.clusters for item in items]),
        strict=any(item.limits.strict for item in items),
        simultaneous=simultaneous,
    )
    if decided_on == "bound":
        decided = decide_bounds(intervals, confidence)
    else:
        decided = decide_values(intervals)
    return [_scope_verdict(item, decided, index, decided_on) for index, item in enumerate(items)]


def _scope_verdict(
    item: GateInput, decided: BoundDecisions, index: int, decided_on: DecidedOn
) -> ScopeVerdict:
    measurement = item.measurement
    if item.problem or measurement is None or measurement.value is None:
        return ScopeVerdict(gate_input=item, why=item.problem or "it was not measured")
    limit = item.limits.nearest(measurement.value)
    shown = _format_measurement(measurement, item.remark, limit, decided_on)
    found = partial(ScopeVerdict, gate_input=item, figures=f"{shown}, ", limit=limit)
    if decided_on == "bound" and measurement.low is None and measurement.high is None:
        return found(why="without an interval")
    if decided.passed[index] and item.doubt:
        return found(figures=f"{shown}, but ", why=item.doubt)
    margin = _margin(item.limits, measurement, decided_on, failed=bool(decided.failed[index]))
    whole = "all of it " if decided_on == "bound" else ""
    known = item.known_since and f": {item.known_since}"
    if decided.failed[index]:
        why = f"{whole}{_broken_limits(item.limits, measurement, decided_on)}{known}"
        if item.remark and decided_on != "count":
            why += f", though {item.remark}"
        return found(verdict="FAIL", why=why, margin=margin)
    if decided.passed[index]:
        why = f"{whole}{_kept_limits(item.limits)}{known}"
        if item.remark and decided_on != "count":
            why += f"; {item.remark}, which the audit allows"
        return found(verdict="PASS", why=why, margin=margin)
    needed = float(decided.needed_cases[index])
    would = format_needed(needed, float(decided.more_clusters[index]), item.cluster)
    joint = "" if decided.failed_alone[index] else "and "
    if decided.failed_alone[index]:
        broken = _broken_limits(item.limits, measurement, decided_on)
        why = f"all of it {broken}, which may be chance among {decided.tests} places"
    else:
        why = f"the limit {limit:g} lies within"
    return found(
        figures=f"{shown}, {joint}",
        why=f"{why}{would and f'; {would}'}",
        margin=margin,
        needed_cases=int(needed) if math.isfinite(needed) else None,
    )


def _margin(
    limits: Limits, measurement: Measurement, decided_on: DecidedOn, *, failed: bool
) -> float:
    """Give how far inside its limits a scope is: a failing one by its value."""
    ends = (measurement.value, measurement.low, measurement.high)
    known = [end for end in ends if end is not None]
    if failed or decided_on != "bound":
        known = known[:1]
    return min(limits.margin(end) for end in known)


def _format_measurement(
    measurement: Measurement, remark: str, limit: float, decided_on: DecidedOn
) -> str:
    assert measurement.value is not None  # noqa: S101 - the caller has looked
    shown = format_number(measurement.value, apart_from=limit)
    if decided_on == "count":
        if float(measurement.value).is_integer():
            shown = f"{measurement.value:,.0f}"
        return f"{shown} {remark}" if remark else shown
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
    broken = limits.nearest(limits.at_most or 0.0 if highest is None else highest)
    if broken == limits.at_least:
        return f"{'not above' if limits.strict else 'below'} {limits.at_least:g}"
    return f"{'not below' if limits.strict else 'above'} {limits.at_most:g}"


def _number_of(item: GateInput, name: str) -> float | None:
    return None if item.measurement is None or item.problem else getattr(item.measurement, name)


def _floats(values: Sequence[float | None], none: float = math.nan) -> Floats:
    return np.array([none if value is None else value for value in values], dtype=np.float64)


def _reason(
    behaviour: GateBehaviour, scope_verdicts: Sequence[ScopeVerdict], worst: ScopeVerdict
) -> str:
    """Say what was found, in one sentence."""
    if len(scope_verdicts) == 1 and (
        worst.gate_input.measurement is None or worst.gate_input.problem
    ):
        return worst.reason
    if len(scope_verdicts) == 1 and behaviour.subject is not None:
        return f"{behaviour.subject}{worst.reason}"
    failing = [found for found in scope_verdicts if found.verdict == "FAIL"]
    open_ = [found for found in scope_verdicts if found.verdict == "INSUFFICIENT EVIDENCE"]
    total = format_count(len(scope_verdicts), behaviour.unit)
    if failing:
        return (
            f"{len(failing)} of {total} {'fails' if len(failing) == 1 else 'fail'}; the worst is "
            f"{_scope(worst.gate_input)} with {worst.reason}"
            + (f"; {len(open_)} more {_are(len(open_))} not decided" if open_ else "")
        )
    if open_:
        named = [f"{_scope(found.gate_input)} ({found.reason})" for found in open_]
        return f"{len(open_)} of {total} {_are(len(open_))} not decided: {format_list(named)}"
    passing = f"all {total} pass" if len(scope_verdicts) > 1 else f"the one {behaviour.unit} passes"
    return f"{passing}; the closest is {_scope(worst.gate_input)} with {worst.reason}"


def _scope(of: GateInput | Verdict) -> str:
    return of.group or format_scope(of.geography, of.segment)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _finite(end: float | None) -> float | None:
    return end if end is None or math.isfinite(end) else None
