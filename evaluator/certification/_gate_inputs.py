"""What a gate sees: one `GateInput` for each scope, before anything is decided."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from evaluator.certification._gate_evidence import GateEvidence
from evaluator.certification._phrases import (
    format_count,
    format_list,
    format_metric,
    format_slice_states,
)
from evaluator.metrics import FAIRNESS_MEASURES, METRICS
from evaluator.scorecard import (
    SLICE_LEVEL,
    DayFacts,
    Measurement,
    SliceState,
    number,
    read_differences,
    read_measurements,
    slices_by_candidate,
    text,
)
from evaluator.spec import (
    CalibrationGate,
    CompleteGate,
    DataQualityGate,
    DriftGate,
    FairnessGate,
    GateLevel,
    GateSpec,
    MetricGate,
    ScopedGate,
    WeakSlicesGate,
)

Scope = tuple[str | None, str | None]
"""The geography and the segment that are fixed."""
_Key = tuple[str, str, str]

REFUSED_ROWS = "refused rows"
REFUSED_DAYS = "refused days"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a scope must keep; None where there is no limit on that side."""

    at_least: float | None = None
    at_most: float | None = None
    strict: bool = False
    """Whether a value at its limit breaks it."""

    def nearest(self, value: float) -> float:
        """Give the limit that is broken, or the nearer one."""
        margins = []
        if self.at_least is not None:
            margins.append((value - self.at_least, self.at_least))
        if self.at_most is not None:
            margins.append((self.at_most - value, self.at_most))
        return min(margins)[1]

    def margin(self, value: float) -> float:
        """Give how far inside the limits a value is; negative outside."""
        return min(
            value - self.at_least if self.at_least is not None else math.inf,
            self.at_most - value if self.at_most is not None else math.inf,
        )


@dataclass(frozen=True, kw_only=True)
class GateInput:
    """One scope as a gate sees it: what of a slice it fixes, or in words what else it is."""

    limits: Limits
    geography: str | None = None
    segment: str | None = None
    group: str | None = None
    measurement: Measurement | None = None
    problem: str = ""
    """Why it cannot be judged; empty where it can."""
    doubt: str = ""
    """Why it cannot pass, although it may fail; empty without such a reason."""
    remark: str = ""
    """What the reader must know where it passes all the same."""


@dataclass(frozen=True)
class GateInputs:
    """The evidence, read once for all gates."""

    evidence: GateEvidence
    gates: Sequence[GateSpec]

    def of(self, gate: GateSpec, candidate: str) -> list[GateInput]:
        """Give all scopes that a gate looks at, at least one."""
        if isinstance(gate, DataQualityGate):
            return list(data_quality_inputs(gate, self.evidence.scorecard.days))
        if isinstance(gate, DriftGate):
            return list(drift_inputs(gate, self.evidence.scorecard.days))
        states = self._states.get(candidate, [])
        if not states:
            problem = "no slice of this candidate is recorded, so that nothing says what is missing"
            return [GateInput(limits=Limits(), problem=problem)]
        if isinstance(gate, CompleteGate):
            return [self._complete(states)]
        return self._estimated(gate, candidate, states)

    def _estimated(
        self,
        gate: MetricGate | CalibrationGate | FairnessGate | WeakSlicesGate,
        candidate: str,
        states: Sequence[SliceState],
    ) -> list[GateInput]:
        """Give the scopes of a gate on something that was estimated from the slices."""
        budget = self._within_budget(states)
        if isinstance(gate, FairnessGate):
            return list(fairness_inputs(gate, candidate, self.evidence, states, budget))
        if isinstance(gate, WeakSlicesGate):
            return list(weak_slice_inputs(gate, candidate, self.evidence, states, budget))
        if isinstance(gate, MetricGate) and gate.against_baseline:
            return self._against_baseline(gate, candidate, states)
        least = gate.at_least if isinstance(gate, MetricGate) else None
        measurements = self._measurements.get((candidate, gate.metric, level_of(gate)), {})
        limits = Limits(at_least=least, at_most=gate.at_most)
        return self._scoped(gate, limits, measurements, states, within_budget=budget)

    def _against_baseline(
        self, gate: MetricGate, candidate: str, states: Sequence[SliceState]
    ) -> list[GateInput]:
        margin = gate.not_worse_than_baseline_by or 0.0
        strict = gate.better_than_baseline
        limits = (
            Limits(at_least=-margin if margin else 0.0, strict=strict)
            if METRICS[gate.metric].higher_is_better
            else Limits(at_most=margin, strict=strict)
        )
        baseline = self.evidence.baseline
        of_baseline = {(s.geography, s.segment): s for s in self._states.get(baseline or "", [])}
        if baseline is None or not of_baseline:
            problem = (
                "no candidate is the baseline"
                if baseline is None
                else f"no slice of the baseline {baseline} is recorded"
            )
            return [GateInput(limits=limits, problem=problem)]
        # A difference rests on the slices of both.
        both = [_of_both(s, of_baseline.get((s.geography, s.segment)), baseline) for s in states]
        budget = self._within_budget(both)
        differences = self._differences.get((candidate, gate.metric, level_of(gate)), {})
        return self._scoped(gate, limits, differences, both, within_budget=budget)

    def _scoped(
        self,
        gate: ScopedGate,
        limits: Limits,
        measurements: Mapping[Scope, Sequence[Measurement]],
        states: Sequence[SliceState],
        *,
        within_budget: bool,
    ) -> list[GateInput]:
        level = gate.scope_level
        expected: dict[Scope, list[SliceState]] = {}
        for state in states:
            scope = project(level, state.geography, state.segment)
            expected.setdefault(scope, []).append(state)
        # What the audit expects comes first, then what was measured beyond that.
        scopes = list(dict.fromkeys([*expected, *measurements]))
        if gate.names_scope:
            scopes = [(gate.geography, gate.segment)]
        metric: str = getattr(gate, "metric")  # noqa: B009 - every scoped gate has one
        return [
            gate_input(
                scope,
                level=level,
                metric=metric,
                limits=limits,
                measurements=measurements.get(scope, []),
                states=expected.get(scope, []),
                within_budget=within_budget,
            )
            for scope in scopes
        ]

    def _complete(self, states: Sequence[SliceState]) -> GateInput:
        missing = sum(not state.is_current for state in states)
        return GateInput(
            limits=Limits(at_most=self.evidence.allowed_missing),
            measurement=Measurement.of_count(missing, len(states)),
            remark=f"of {len(states):,}",
        )

    def _within_budget(self, states: Sequence[SliceState]) -> bool:
        return sum(not state.is_current for state in states) <= self.evidence.allowed_missing

    @cached_property
    def _states(self) -> dict[str, list[SliceState]]:
        return slices_by_candidate(self.evidence.scorecard.slices)

    @cached_property
    def _measurements(self) -> Mapping[_Key, Mapping[Scope, Sequence[Measurement]]]:
        metrics = {gate.metric for gate in self.gates if isinstance(gate, ScopedGate)}
        return _by_scope(read_measurements(self.evidence.scorecard.measurements, metrics=metrics))

    @cached_property
    def _differences(self) -> Mapping[_Key, Mapping[Scope, Sequence[Measurement]]]:
        return _by_scope(
            read_differences(self.evidence.scorecard.comparisons, self.evidence.baseline)
        )


def level_of(gate: ScopedGate) -> str:
    """Give the scorecard's level that a gate looks at."""
    return SLICE_LEVEL if gate.scope_level == "slice" else gate.scope_level


def project(level: GateLevel, geography: str, segment: str) -> Scope:
    """Give the scope at a level that a slice belongs to."""
    return (
        geography if level in ("geography", "slice") else None,
        segment if level in ("segment", "slice") else None,
    )


def gate_input(
    scope: Scope,
    *,
    level: GateLevel,
    metric: str,
    limits: Limits,
    measurements: Sequence[Measurement],
    states: Sequence[SliceState],
    within_budget: bool,
) -> GateInput:
    """Look at one scope: what was measured there, and on which slices."""
    item = GateInput(
        geography=scope[0],
        segment=scope[1],
        limits=limits,
        measurement=next(iter(measurements), None),
    )
    name = format_metric(metric)
    not_current = [state for state in states if not state.is_current]
    if level == "slice" and not_current:
        error = not_current[0].error
        problem = f"{not_current[0].state}: {error}" if error else not_current[0].state
        # What an earlier version scored must not stand beside this verdict.
        return replace(item, measurement=None, problem=problem)
    if not states:
        return replace(item, problem="not among the slices that the audit lists")
    if item.measurement is None:
        return replace(item, problem=f"{name} was not measured")
    if len(measurements) > 1:
        return replace(item, problem=f"{name} is recorded {len(measurements)} times")
    return with_missing_slices(
        replace(item, problem=why_undefined(item.measurement)),
        states,
        within_budget=within_budget,
    )


def why_undefined(measurement: Measurement) -> str:
    """Say why a measurement cannot be judged; empty where it can."""
    if measurement.status == "ok" and measurement.value is not None:
        return ""
    return f"{measurement.status.replace('_', ' ')}: {measurement.reason}"


def with_missing_slices(
    item: GateInput, states: Sequence[SliceState], *, within_budget: bool
) -> GateInput:
    """Add what slices without a result mean for a measurement that rests on several."""
    if all(state.is_current for state in states):
        return item
    missing = format_slice_states(states)
    return replace(item, doubt="" if within_budget else missing, remark=missing)


def _of_both(state: SliceState, other: SliceState | None, baseline: str) -> SliceState:
    """Give the state of a slice for both, the candidate and the baseline."""
    if not state.is_current or (other is not None and other.is_current):
        return state
    error = f"the baseline {baseline} has no result of this version there"
    if other is not None and other.error:
        error += f": {other.error}"
    return replace(state, state="missing" if other is None else other.state, error=error)


def _by_scope(
    measurements: Sequence[Measurement],
) -> Mapping[_Key, Mapping[Scope, Sequence[Measurement]]]:
    """Group measurements, keeping more than one of the same scope: they contradict each other."""
    grouped: dict[_Key, dict[Scope, list[Measurement]]] = {}
    for measurement in measurements:
        key = (measurement.candidate, measurement.metric, measurement.level)
        grouped.setdefault(key, {}).setdefault(measurement.scope, []).append(measurement)
    return grouped


def fairness_inputs(
    gate: FairnessGate,
    candidate: str,
    evidence: GateEvidence,
    states: Sequence[SliceState],
    within_budget: bool,  # noqa: FBT001 - a fact that is handed on
) -> Iterator[GateInput]:
    """Look at each group, in differences and ratios as far as the gate limits them."""
    table = evidence.scorecard.fairness
    if not table.empty:
        table = table[(table["candidate"] == candidate) & (table["measure"] == gate.measure)]
    attributes = evidence.fairness_attributes if gate.attribute is None else (gate.attribute,)
    for comparison in ("difference", "ratio"):
        limits = _fairness_limits(gate, comparison, against_best=evidence.fairness_against_best)
        if limits is None:
            continue
        rows = table if table.empty else table[table["comparison"] == comparison]
        if gate.attribute is not None and not rows.empty:
            rows = rows[rows["attribute"] == gate.attribute]
        found = set() if rows.empty else set(rows["attribute"])
        # Attributes that should be there, and nothing at all where nobody says which should.
        for missing in [name for name in attributes if name not in found] or [""] * (not found):
            group = f"{missing} ({comparison})" if missing else comparison
            yield GateInput(limits=limits, group=group, problem="it was not measured")
        for row in rows.to_dict("records"):
            yield with_missing_slices(
                _fairness_input(row, limits), states, within_budget=within_budget
            )


def _fairness_limits(gate: FairnessGate, comparison: str, *, against_best: bool) -> Limits | None:
    """Give the limits of a difference or a ratio; None where the gate has none."""
    if comparison == "difference":
        if gate.limit_difference is None:
            return None
        least, most = -gate.limit_difference, gate.limit_difference
    else:
        if gate.limit_ratio is None:
            return None
        least, most = gate.limit_ratio, 1 / gate.limit_ratio
    favoured = FAIRNESS_MEASURES[gate.measure].favoured
    if not against_best or favoured == 0:
        return Limits(at_least=least, at_most=most)
    # A group that is better off than the best of the others is not treated badly.
    return Limits(at_least=least) if favoured == 1 else Limits(at_most=most)


def _fairness_input(row: Mapping[Hashable, Any], limits: Limits) -> GateInput:
    which = text(row["class"])
    group = (
        f"{row['attribute']} = {row['group']} against {text(row['reference']) or 'nobody'}"
        f"{'' if which is None else f', class {which}'} ({row['comparison']})"
    )
    return _measured(row, group, limits, n=number(row["n"]))


def weak_slice_inputs(
    gate: WeakSlicesGate,
    candidate: str,
    evidence: GateEvidence,
    states: Sequence[SliceState],
    within_budget: bool,  # noqa: FBT001 - a fact that is handed on
) -> Iterator[GateInput]:
    """Look at each slice that the search has tested."""
    limits = Limits(at_most=gate.no_weak_slice_above)
    search = evidence.scorecard.weak_searches.get(candidate)
    if search is None:
        yield GateInput(limits=limits, problem="no search for weak slices is recorded")
        return
    if search.get("reason"):
        yield GateInput(limits=limits, problem=f"nothing was searched: {search['reason']}")
        return
    table = evidence.scorecard.weak_slices
    rows = table if table.empty else table[table["candidate"] == candidate]
    if rows.empty:
        yield GateInput(limits=limits, problem="the search tested no slice")
    for row in rows.to_dict("records"):
        excess = {**row, "value": row["excess"]}
        if row["status"] == "not_confirmed":
            # Its test did not show any excess, so that its lower limit shows none either.
            excess["low"] = min(row["low"], 0.0)
        if row["status"] != "too_few":
            excess["status"] = "ok"
        # The excess was measured on half of the cases, and more cases would come to both halves.
        item = _measured(excess, str(row["slice"]), limits, n=number(row["n_all"]))
        yield with_missing_slices(item, states, within_budget=within_budget)


def _measured(
    row: Mapping[Hashable, Any], group: str, limits: Limits, *, n: float | None
) -> GateInput:
    value = number(row["value"])
    status = text(row["status"]) or "undefined"
    reason = text(row["reason"]) or "no reason was recorded"
    problem = f"{status.replace('_', ' ')}: {reason}" if status != "ok" else ""
    if not problem and value is None:
        problem = "undefined: the value is missing or not finite"
    measurement = Measurement(
        candidate="",
        metric="",
        level="overall",
        geography=None,
        segment=None,
        value=value,
        low=_end(row["low"]),
        high=_end(row["high"]),
        n=None if n is None else int(n),
        n_effective=number(row.get("n_effective")),
        status=status,
        reason=problem,
    )
    return GateInput(limits=limits, group=group, measurement=measurement, problem=problem)


def _end(value: Any) -> float | None:
    """Read an interval's end; a ratio's upper end may be infinite."""
    return value if isinstance(value, float) and math.isinf(value) else number(value)


def data_quality_inputs(gate: DataQualityGate, days: Sequence[DayFacts]) -> Iterator[GateInput]:
    """Look at the share of refused rows, and at the number of refused days."""
    accepted = [day for day in days if day.refused is None]
    if gate.refused_share_at_most is not None:
        limits = Limits(at_most=gate.refused_share_at_most)
        yield _refused_rows(accepted, limits)
    if gate.refused_days_at_most is not None:
        limits = Limits(at_most=gate.refused_days_at_most)
        refused = [day.day.isoformat() for day in days if day.refused is not None]
        yield GateInput(
            limits=limits,
            group=REFUSED_DAYS,
            measurement=Measurement.of_count(len(refused), len(days)) if days else None,
            problem="" if days else "no day is recorded",
            remark=f"of {format_count(len(days), 'day')}"
            + (f": {format_list(refused)}" if refused else ""),
        )


def _refused_rows(accepted: Sequence[DayFacts], limits: Limits) -> GateInput:
    unknown = [day for day in accepted if day.rows is None or day.quarantined is None]
    rows = sum(day.rows or 0 for day in accepted)
    if unknown or not rows:
        problem = (
            f"nobody counted the rows of {unknown[0].day.isoformat()}"
            if unknown
            else "no row was accepted or refused"
        )
        return GateInput(limits=limits, group=REFUSED_ROWS, problem=problem)
    quarantined = sum(day.quarantined or 0 for day in accepted)
    return GateInput(
        limits=limits,
        group=REFUSED_ROWS,
        measurement=Measurement.of_count(quarantined / rows, rows),
        remark=f"({quarantined:,} of {format_count(rows, 'row')})",
    )


def drift_inputs(gate: DriftGate, days: Sequence[DayFacts]) -> Iterator[GateInput]:
    """Look at each accepted day: at the column that is furthest from the reference."""
    limits = Limits(at_most=gate.drift_below, strict=True)
    compared = [day for day in days if day.refused is None and not day.is_reference]
    if not compared:
        yield GateInput(limits=limits, problem="no accepted day was compared with the reference")
    for day in compared:
        yield _drift_input(gate, day, limits)


def _drift_input(gate: DriftGate, day: DayFacts, limits: Limits) -> GateInput:
    name = day.day.isoformat()
    if not day.drift:
        return GateInput(limits=limits, group=name, problem="drift was not measured")
    columns = gate.columns or tuple(day.drift)
    distances = {column: _distance(day.drift, column, gate.measure) for column in columns}
    undefined = [column for column, distance in distances.items() if distance is None]
    known = {column: distance for column, distance in distances.items() if distance is not None}
    if not known:
        problem = f"the drift of {undefined[0]} is undefined"
        return GateInput(limits=limits, group=name, problem=problem)
    column, distance = max(known.items(), key=lambda item: item[1])
    return GateInput(
        limits=limits,
        group=name,
        measurement=Measurement.of_count(distance, day.rows),
        remark=f"in {column}",
        doubt=f"the drift of {undefined[0]} is undefined" if undefined else "",
    )


def _distance(drift: Mapping[str, Mapping[str, Any]], column: str, measure: str) -> float | None:
    return number(drift.get(column, {}).get(measure))
