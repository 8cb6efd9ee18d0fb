"""Gates on what was measured: a metric, its difference from the baseline's, and calibration."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from evaluator.certification._gates._behaviour import (
    ByScope,
    CandidateEvidence,
    GateBehaviour,
    GateInput,
    Limits,
    Scope,
    behaviour_of,
)
from evaluator.certification._phrases import OF_A_CLASS, format_metric
from evaluator.metrics import METRICS
from evaluator.scorecard import SLICE_LEVEL, Measurement, SliceState, format_scope
from evaluator.spec import CalibrationGate, MetricGate, ScopedGate

_IDENTICAL: Final = "identical"
"""The status of a difference of outputs that are equal case by case, or in rank."""


@behaviour_of.register
def of_calibration(gate: CalibrationGate) -> GateBehaviour:
    """Limit how far scores may be from being probabilities."""
    return _of_scopes(gate, Limits(at_most=gate.at_most))


@behaviour_of.register
def of_metric(gate: MetricGate) -> GateBehaviour:
    """Limit a metric, or its difference from the baseline's."""
    if not gate.against_baseline:
        return _of_scopes(gate, Limits(at_least=gate.at_least, at_most=gate.at_most))
    worse, better = gate.not_worse_than_baseline_by, gate.better_than_baseline_by
    # By how much the candidate has to be better; by how much it may be worse, if negative.
    least = better or 0.0 - (worse or 0.0)
    strict = gate.better_than_baseline
    if METRICS[gate.metric].higher_is_better:
        limits = Limits(at_least=least, strict=strict)
    else:
        limits = Limits(at_most=0.0 - least, strict=strict)
    in_words = "better than the baseline's"
    if better is not None:
        in_words += f" by at least {better:g}"
    elif worse is not None:
        in_words = f"not worse than the baseline's by more than {worse:g}"
    behaviour = _of_scopes(gate, limits, in_words)
    return replace(
        behaviour,
        scopes=partial(_differences, gate, limits),
        subject=behaviour.subject and f"the difference in {behaviour.subject}",
        against_baseline=True,
    )


def _of_scopes(gate: ScopedGate, limits: Limits, in_words: str = "") -> GateBehaviour:
    """Limit a metric in each scope."""

    def scopes(found: CandidateEvidence) -> list[GateInput]:
        return _look_at_each(gate, limits, found, found.tables.measurements)

    metric, level = format_metric(gate.metric, gate.of_class), gate.scope_level
    of_classes = _is_for_each_class(gate)
    if of_classes:
        metric = f"{metric.removesuffix(OF_A_CLASS)} of each class"
    named = f" of {format_scope(gate.geography, gate.segment)}" if gate.names_scope else ""
    each = " overall" if level == "overall" else f" of each {level}"
    is_one_scope = gate.names_scope or level == "overall"
    ends = (("least", limits.at_least), ("most", limits.at_most))
    own = " and ".join(f"at {end} {limit:g}" for end, limit in ends if limit is not None)
    return GateBehaviour(
        rule=f"{metric}{named or each} {in_words or own}",
        scopes=scopes,
        metric=gate.metric,
        level=_scorecard_level(gate),
        gate_level="place" if gate.names_scope else level,
        unit=level if not of_classes else "class" if is_one_scope else "place",
        subject=f"{metric}{named} is " if is_one_scope and not of_classes else None,
        decided_on=gate.decide_on,
    )


def _is_for_each_class(gate: ScopedGate) -> bool:
    return bool(METRICS[gate.metric].per_class) and gate.of_class is None


def _scorecard_level(gate: ScopedGate) -> str:
    return SLICE_LEVEL if gate.scope_level == "slice" else gate.scope_level


def _differences(gate: MetricGate, limits: Limits, found: CandidateEvidence) -> list[GateInput]:
    """Look at the difference from the baseline in each scope."""
    baseline = found.audit.baseline
    if baseline is None:
        return [GateInput(limits=limits, problem="no candidate is the baseline")]
    of_baseline = {(s.geography, s.segment): s for s in found.tables.of(baseline).slices}
    if not of_baseline:
        problem = f"no slice of the baseline {baseline} is recorded"
        return [GateInput(limits=limits, problem=problem)]
    # A difference rests on the slices of both.
    both = [
        _of_both(state, of_baseline.get((state.geography, state.segment)), baseline)
        for state in found.slices
    ]

    def known(*of: Any) -> ByScope:
        differences = found.tables.differences(*of)
        return {scope: [_known(one) for one in ones] for scope, ones in differences.items()}

    return _look_at_each(gate, limits, replace(found, slices=both), known)


def _known(difference: Measurement) -> Measurement:
    """Take a difference that is 0 by construction as known exactly; its reason stays."""
    if difference.status != _IDENTICAL or difference.value != 0:
        return difference
    return replace(difference, low=0.0, high=0.0, status="ok")


def _of_both(state: SliceState, other: SliceState | None, baseline: str) -> SliceState:
    """Give the state of a slice for both, the candidate and the baseline."""
    if not state.is_current or (other is not None and other.is_current):
        return state
    error = f"the baseline {baseline} has no result of this version there"
    if other is not None and other.error:
        error += f": {other.error}"
    return replace(state, state="missing" if other is None else other.state, error=error)


def _look_at_each(
    gate: ScopedGate, limits: Limits, found: CandidateEvidence, measured: Callable[..., ByScope]
) -> list[GateInput]:
    """Look at each scope, and there at each class that the gate is for."""
    classes = found.audit.classes if _is_for_each_class(gate) else (gate.of_class,)
    of = found.candidate, gate.metric, _scorecard_level(gate)
    return [
        item
        for one in classes
        for item in _look_at_scopes(gate, one, limits, found, measured(*of, one))
    ]


def _look_at_scopes(
    gate: ScopedGate,
    of_class: str | None,
    limits: Limits,
    found: CandidateEvidence,
    measured: ByScope,
) -> list[GateInput]:
    expected: dict[Scope, list[SliceState]] = {}
    for state in found.slices:
        scope = (
            state.geography if gate.scope_level in ("geography", "slice") else None,
            state.segment if gate.scope_level in ("segment", "slice") else None,
        )
        expected.setdefault(scope, []).append(state)
    # What the audit expects comes first, then what was measured beyond that.
    scopes = list(dict.fromkeys([*expected, *measured]))
    if gate.names_scope:
        scopes = [(gate.geography, gate.segment)]
    return [
        _look_at(
            GateInput(
                geography=scope[0],
                segment=scope[1],
                group=_group(scope, of_class),
                limits=limits,
            ),
            gate,
            found,
            measured.get(scope, ()),
            expected.get(scope, ()),
            name=format_metric(gate.metric, of_class),
        )
        for scope in scopes
    ]


def _group(scope: Scope, of_class: str | None) -> str | None:
    """Name scope and class; None where the scope alone says what it is."""
    if of_class is None:
        return None
    place = "" if scope == (None, None) else f"{format_scope(*scope)}, "
    return f"{place}class {of_class}"


def _look_at(
    item: GateInput,
    gate: ScopedGate,
    found: CandidateEvidence,
    measurements: Sequence[Measurement],
    slices: Sequence[SliceState],
    *,
    name: str,
) -> GateInput:
    """Look at one scope: what was measured there, and on which slices."""
    not_current = [state for state in slices if not state.is_current]
    if gate.scope_level == "slice" and not_current:
        # What an earlier version scored must not stand beside this verdict.
        error = not_current[0].error
        problem = f"{not_current[0].state}: {error}" if error else not_current[0].state
        return replace(item, problem=problem)
    measurement = next(iter(measurements), None)
    item = replace(item, measurement=measurement)
    if not slices:
        return replace(item, problem="not among the slices that the audit lists")
    if measurement is None:
        return replace(item, problem=f"{name} was not measured")
    if len(measurements) > 1:
        return replace(item, problem=f"{name} is recorded {len(measurements)} times")
    if measurement.status != "ok" or measurement.value is None:
        problem = f"{measurement.status.replace('_', ' ')}: {measurement.reason}"
        item = replace(item, problem=problem)
    else:
        item = replace(item, known_since=measurement.reason)
    return found.rests_on(slices, item)
