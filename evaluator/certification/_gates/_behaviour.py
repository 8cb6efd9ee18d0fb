"""What a kind of gate is given and gives back, and the register of the kinds."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, singledispatch
from typing import Literal

from evaluator.certification._gate_evidence import GateEvidence
from evaluator.certification._phrases import format_slice_states
from evaluator.scorecard import (
    Measurement,
    SliceState,
    read_differences,
    read_measurements,
    slices_by_candidate,
)
from evaluator.spec import AuditSpec, GateBase

DecidedOn = Literal["bound", "value", "count"]
Scope = tuple[str | None, str | None]
"""The geography and the segment that are fixed."""
ByScope = Mapping[Scope, Sequence[Measurement]]
"""More than one measurement of the same scope contradict each other."""
_Key = tuple[str, str, str, str | None]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a scope must keep; None where there is no limit on that side."""

    at_least: float | None = None
    at_most: float | None = None
    strict: bool = False
    """Whether a value at its limit breaks it."""
    stated: float | None = None
    """The largest gap or the smallest ratio, as the audit states it; None where it is no gap."""

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
    row: int | None = None
    """Where it stands in the scorecard's `fairness`; None where it is no gap."""
    measurement: Measurement | None = None
    clusters: int | None = None
    """How many independent units its cases come in; None where each case is one."""
    cluster: str = "cluster"
    """What one of them is called, in the singular: ``day``."""
    known_since: str = ""
    """Why the value is known exactly, without any sampling; empty where it is estimated."""
    problem: str = ""
    """Why it cannot be judged; empty where it can."""
    doubt: str = ""
    """Why it cannot pass, although it may fail; empty without such a reason."""
    remark: str = ""
    """What the reader must know where it passes all the same."""


@dataclass(frozen=True)
class EvidenceTables:
    """The evidence, read once for all gates."""

    evidence: GateEvidence
    _measurements: dict[str, Mapping[_Key, ByScope]] = field(default_factory=dict, init=False)

    def of(self, candidate: str) -> "CandidateEvidence":
        """Give what there is on one candidate."""
        return CandidateEvidence(candidate, self._states.get(candidate, ()), self, self.evidence)

    def measurements(
        self, candidate: str, metric: str, level: str, of_class: str | None = None
    ) -> ByScope:
        """Give what was measured of a metric at a level; of a class, if it has a value a class."""
        if metric not in self._measurements:
            table = self.evidence.scorecard.measurements
            self._measurements[metric] = _by_scope(read_measurements(table, metrics=[metric]))
        return self._measurements[metric].get((candidate, metric, level, of_class), {})

    def differences(self, candidate: str, metric: str, level: str, of_class: str | None) -> ByScope:
        """Give the differences from the baseline, as `measurements` are given."""
        return self._differences.get((candidate, metric, level, of_class), {})

    @cached_property
    def _states(self) -> Mapping[str, Sequence[SliceState]]:
        return slices_by_candidate(self.evidence.scorecard.slices)

    @cached_property
    def _differences(self) -> Mapping[_Key, ByScope]:
        comparisons = self.evidence.scorecard.comparisons
        return _by_scope(read_differences(comparisons, self.evidence.baseline))


@dataclass(frozen=True)
class CandidateEvidence:
    """The evidence on one candidate."""

    candidate: str
    slices: Sequence[SliceState]
    tables: EvidenceTables
    audit: GateEvidence
    """What was found of all candidates, and is declared of it."""

    @property
    def missing(self) -> int:
        """How many slices have no result of this version."""
        return sum(not state.is_current for state in self.slices)

    def rests_on(self, slices: Sequence[SliceState], item: GateInput) -> GateInput:
        """Add to a scope what it means that slices which it rests on have no result."""
        if all(state.is_current for state in slices):
            return item
        missing = format_slice_states(slices)
        is_allowed = self.missing <= self.audit.allowed_missing
        return replace(item, doubt="" if is_allowed else missing, remark=missing)


@dataclass(frozen=True, kw_only=True)
class GateBehaviour:
    """How one gate is judged and said; what its kind leaves out is so for most kinds."""

    rule: str
    """What has to be kept, in words: ``recall of each slice at least 0.5``."""
    scopes: Callable[[CandidateEvidence], Iterable[GateInput]]
    """Looks at each scope, at least one."""
    metric: str | None = None
    """The metric or measure that is looked at."""
    level: str | None = None
    """The scorecard's level of the scopes; None where they are of none."""
    gate_level: str | None = None
    """Where the audit wants the limits to be kept; None where it cannot say."""
    unit: str = "scope"
    """What one of the scopes is, in the singular."""
    subject: str | None = None
    """How a sentence about the only scope begins; None where there may be several."""
    decided_on: DecidedOn = "count"
    simultaneous: bool = False
    """Whether the intervals of all scopes hold together already."""
    against_baseline: bool = False
    """Whether it is for every candidate but the baseline."""
    asks_about_days: bool = False
    """Whether it looks at the days that arrived, and not at slices."""
    asks_about_drift: bool = False
    """Whether it looks at what the days hold."""

    @property
    def phrase(self) -> str:
        """The gate in words."""
        return f"{self.rule}, decided on the value" if self.decided_on == "value" else self.rule

    def inputs(self, found: CandidateEvidence) -> list[GateInput]:
        """Give all scopes that the gate looks at, at least one."""
        if not found.slices and not self.asks_about_days:
            problem = "no slice of this candidate is recorded, so that nothing says what is missing"
            return [GateInput(limits=Limits(), problem=problem)]
        return list(self.scopes(found))


@singledispatch
def behaviour_of(gate: GateBase) -> GateBehaviour:
    """Say how a gate behaves; each kind registers its own way, by its model."""
    raise NotImplementedError(gate.kind)


def asks_about_days(spec: AuditSpec) -> bool:
    """Tell whether a gate of the audit looks at the days that arrived."""
    return any(behaviour_of(gate).asks_about_days for gate in spec.gates)


def asks_about_drift(spec: AuditSpec) -> bool:
    """Tell whether a gate of the audit looks at the content of the days."""
    return any(behaviour_of(gate).asks_about_drift for gate in spec.gates)


def _by_scope(measurements: Iterable[Measurement]) -> Mapping[_Key, ByScope]:
    grouped: dict[_Key, dict[Scope, list[Measurement]]] = {}
    for one in measurements:
        by_scope = grouped.setdefault((one.candidate, one.metric, one.level, one.class_), {})
        by_scope.setdefault(one.scope, []).append(one)
    return grouped
