"""From each kind of gate to what it looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from evaluator.certification.day_looks import drift_looks, quality_looks
from evaluator.certification.figures import (
    Figure,
    SliceState,
    read_differences,
    read_figures,
    slices_by_candidate,
)
from evaluator.certification.finding_looks import fairness_looks, weak_slice_looks
from evaluator.certification.gate_evidence import GateEvidence
from evaluator.certification.looks import Limits, Look, Place, look_at, project
from evaluator.findings.names import SLICE_LEVEL
from evaluator.metrics import METRICS
from evaluator.spec.gates import (
    CalibrationGate,
    CompleteGate,
    DataQualityGate,
    DriftGate,
    FairnessGate,
    GateSpec,
    MetricGate,
    PlacedGate,
    WeakSlicesGate,
)

_Key = tuple[str, str, str]


@dataclass(frozen=True)
class Looks:
    """The evidence, read once for all gates.

    Parameters
    ----------
    evidence
        What gates are judged on.
    gates
        All gates that are judged.
    """

    evidence: GateEvidence
    gates: Sequence[GateSpec]

    def of(self, gate: GateSpec, candidate: str) -> list[Look]:
        """Give all places that a gate looks at, at least one.

        Parameters
        ----------
        gate
            One of the gates.
        candidate
            A candidate that the audit has.
        """
        if isinstance(gate, DataQualityGate):
            return list(quality_looks(gate, self.evidence.scorecard.days))
        if isinstance(gate, DriftGate):
            return list(drift_looks(gate, self.evidence.scorecard.days))
        states = self._states.get(candidate, [])
        if not states:
            problem = "no slice of this candidate is recorded, so that nothing says what is missing"
            return [Look(limits=Limits(), problem=problem)]
        if isinstance(gate, CompleteGate):
            return [self._complete(states)]
        return self._estimated(gate, candidate, states)

    def _estimated(
        self,
        gate: MetricGate | CalibrationGate | FairnessGate | WeakSlicesGate,
        candidate: str,
        states: Sequence[SliceState],
    ) -> list[Look]:
        """Give the places of a gate on something that was estimated from the slices."""
        budget = self._within_budget(states)
        if isinstance(gate, FairnessGate):
            return list(fairness_looks(gate, candidate, self.evidence, states, budget))
        if isinstance(gate, WeakSlicesGate):
            return list(weak_slice_looks(gate, candidate, self.evidence, states, budget))
        if isinstance(gate, MetricGate) and gate.against_baseline:
            return self._against_baseline(gate, candidate, states)
        least = gate.at_least if isinstance(gate, MetricGate) else None
        figures = self._figures.get((candidate, gate.metric, _level_of(gate)), {})
        limits = Limits(at_least=least, at_most=gate.at_most)
        return self._placed(gate, limits, figures, states, within_budget=budget)

    def _against_baseline(
        self, gate: MetricGate, candidate: str, states: Sequence[SliceState]
    ) -> list[Look]:
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
            return [Look(limits=limits, problem=problem)]
        # A difference rests on the slices of both.
        both = [_of_both(s, of_baseline.get((s.geography, s.segment)), baseline) for s in states]
        budget = self._within_budget(both)
        differences = self._differences.get((candidate, gate.metric, _level_of(gate)), {})
        return self._placed(gate, limits, differences, both, within_budget=budget)

    def _placed(
        self,
        gate: PlacedGate,
        limits: Limits,
        figures: Mapping[Place, Sequence[Figure]],
        states: Sequence[SliceState],
        *,
        within_budget: bool,
    ) -> list[Look]:
        level = gate.places
        expected: dict[Place, list[SliceState]] = {}
        for state in states:
            place = project(level, state.geography, state.segment)
            expected.setdefault(place, []).append(state)
        # What the audit expects comes first, then what was measured beyond that.
        places = list(dict.fromkeys([*expected, *figures]))
        if gate.is_named:
            places = [(gate.geography, gate.segment)]
        metric: str = getattr(gate, "metric")  # noqa: B009 - every placed gate has one
        return [
            look_at(
                place,
                level=level,
                metric=metric,
                limits=limits,
                figures=figures.get(place, []),
                states=expected.get(place, []),
                within_budget=within_budget,
            )
            for place in places
        ]

    def _complete(self, states: Sequence[SliceState]) -> Look:
        missing = sum(not state.is_current for state in states)
        figure = Figure.counted(missing, len(states))
        allowed = self.evidence.allowed_missing
        return Look(limits=Limits(at_most=allowed), figure=figure, remark=f"of {len(states):,}")

    def _within_budget(self, states: Sequence[SliceState]) -> bool:
        return sum(not state.is_current for state in states) <= self.evidence.allowed_missing

    @cached_property
    def _states(self) -> dict[str, list[SliceState]]:
        return slices_by_candidate(self.evidence.scorecard.slices)

    @cached_property
    def _figures(self) -> Mapping[_Key, Mapping[Place, Sequence[Figure]]]:
        metrics = {gate.metric for gate in self.gates if isinstance(gate, PlacedGate)}
        return _by_place(read_figures(self.evidence.scorecard.measurements, metrics=metrics))

    @cached_property
    def _differences(self) -> Mapping[_Key, Mapping[Place, Sequence[Figure]]]:
        return _by_place(
            read_differences(self.evidence.scorecard.comparisons, self.evidence.baseline)
        )


def _of_both(state: SliceState, other: SliceState | None, baseline: str) -> SliceState:
    """Give the state of a slice for both, the candidate and the baseline."""
    if not state.is_current or (other is not None and other.is_current):
        return state
    error = f"the baseline {baseline} has no result of this version there"
    if other is not None and other.error:
        error += f": {other.error}"
    return replace(state, state="missing" if other is None else other.state, error=error)


def _by_place(
    figures: Sequence[Figure],
) -> Mapping[_Key, Mapping[Place, Sequence[Figure]]]:
    """Group figures, keeping more than one of the same place: they contradict each other."""
    grouped: dict[_Key, dict[Place, list[Figure]]] = {}
    for figure in figures:
        key = (figure.candidate, figure.metric, figure.level)
        grouped.setdefault(key, {}).setdefault(figure.place, []).append(figure)
    return grouped


def _level_of(gate: PlacedGate) -> str:
    return SLICE_LEVEL if gate.places == "slice" else gate.places
