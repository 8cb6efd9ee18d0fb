"""Whether what gates name is there: candidates, metrics, places, measures and columns."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluator.spec.base import problem, suggestion
from evaluator.spec.gates import DriftGate, FairnessGate, GateSpec, PlacedGate, WeakSlicesGate


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What an audit declares that gates may name.

    Attributes
    ----------
    candidates
        The candidates' names.
    baseline
        The baseline's name, or None.
    metrics
        The audit's metrics.
    places
        The values of `geography` and `segment`.
    columns
        The declared columns.
    compares
        Whether candidates are compared with the baseline.
    fairness_measures, fairness_attributes
        What `fairness` measures, and by which columns; None where the audit has no `fairness`.
        Empty measures are all that the columns permit.
    weak_slices
        Whether the audit searches for weak slices.
    """

    candidates: Collection[str]
    baseline: str | None
    metrics: Sequence[str]
    places: Mapping[str, Sequence[str]]
    columns: Collection[str] = field(default=())
    compares: bool = True
    fairness_measures: Collection[str] = ()
    fairness_attributes: Sequence[str] | None = None
    weak_slices: bool = False


def check_gates(gates: Iterable[GateSpec], declared: Declared) -> None:
    """Refuse a gate on something that the audit does not have.

    Parameters
    ----------
    gates
        The audit's gates.
    declared
        What else it declares.

    Raises
    ------
    ValueError
        At the first name that is unknown, with key and fix.
    """
    for index, gate in enumerate(gates):
        key = f"gates.{index}"
        if gate.candidate is not None:
            _check_known(
                f"{key}.candidate", "there is no candidate", gate.candidate, declared.candidates
            )
        if isinstance(gate, PlacedGate):
            _check_placed(key, gate, declared)
        elif isinstance(gate, FairnessGate):
            _check_fairness(key, gate, declared)
        elif isinstance(gate, WeakSlicesGate) and not declared.weak_slices:
            raise problem(
                f"{key}.kind",
                "the audit does not search for weak slices",
                "declare `weak_slices`, or take the gate out",
            )
        elif isinstance(gate, DriftGate):
            for name in gate.columns or ():
                _check_known(f"{key}.columns", "there is no column", name, declared.columns)


def _check_placed(key: str, gate: Any, declared: Declared) -> None:
    """Check a gate on a metric or on calibration."""
    if gate.metric not in declared.metrics:
        raise problem(
            f"{key}.metric",
            f"{gate.metric!r} is not among the audit's metrics",
            f"add it to `metrics`, or use one of {', '.join(declared.metrics)}",
        )
    for dimension in ("geography", "segment"):
        name = getattr(gate, dimension)
        if name is not None:
            known = declared.places.get(dimension, ())
            _check_known(f"{key}.{dimension}", f"there is no {dimension}", name, known)
    if not getattr(gate, "against_baseline", False):
        return
    limit = "better_than_baseline" if gate.better_than_baseline else "not_worse_than_baseline_by"
    if declared.baseline is None:
        raise problem(
            f"{key}.{limit}",
            "no candidate is the baseline",
            "write `baseline: true` at the candidate that the others are compared with",
        )
    if gate.candidate == declared.baseline:
        raise problem(
            f"{key}.candidate",
            f"{gate.candidate!r} is the baseline, and is not compared with itself",
            "name another candidate, or none, so that the gate is for all others",
        )
    if not declared.compares:
        raise problem(
            f"{key}.{limit}",
            "the audit does not compare candidates",
            "declare `compare`, or take the gate out",
        )


def _check_fairness(key: str, gate: FairnessGate, declared: Declared) -> None:
    if declared.fairness_attributes is None:
        raise problem(
            f"{key}.kind",
            "the audit does not measure fairness",
            "declare `fairness`, or take the gate out",
        )
    if declared.fairness_measures:
        _check_known(
            f"{key}.measure",
            "the audit's `fairness` does not measure",
            gate.measure,
            declared.fairness_measures,
        )
    for name in [] if gate.attribute is None else gate.attribute.split(" x "):
        _check_known(
            f"{key}.attribute",
            "the audit's `fairness` does not look at",
            name,
            declared.fairness_attributes,
        )


def _check_known(key: str, what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        listed = ", ".join(sorted(known)) or "(there is none)"
        raise problem(key, f"{what} {name!r}", suggestion(name, known, f"use one of {listed}"))
