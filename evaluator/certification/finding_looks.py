"""What gates on fairness and on weak slices see."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from evaluator.certification.figures import Figure, SliceState, number, text
from evaluator.certification.gate_evidence import GateEvidence
from evaluator.certification.looks import Limits, Look, judged_with
from evaluator.metrics.fairness_measures import FAIRNESS_MEASURES
from evaluator.spec.gates import FairnessGate, WeakSlicesGate


def fairness_looks(
    gate: FairnessGate,
    candidate: str,
    evidence: GateEvidence,
    states: Sequence[SliceState],
    within_budget: bool,  # noqa: FBT001 - a fact that is handed on
) -> Iterator[Look]:
    """Look at each group, in differences and ratios as far as the gate limits them.

    Parameters
    ----------
    gate, candidate, evidence
        Whom the gate is for, and the gaps.
    states
        The candidate's slices.
    within_budget
        Whether the audit allows as many missing slices as the candidate has.
    """
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
            yield Look(limits=limits, group=group, problem="it was not measured")
        for row in rows.to_dict("records"):
            yield judged_with(_fairness_look(row, limits), states, within_budget)


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


def _fairness_look(row: Mapping[Hashable, Any], limits: Limits) -> Look:
    which = text(row["class"])
    group = (
        f"{row['attribute']} = {row['group']} against {text(row['reference']) or 'nobody'}"
        f"{'' if which is None else f', class {which}'} ({row['comparison']})"
    )
    return _measured(row, group, limits, n=number(row["n"]))


def weak_slice_looks(
    gate: WeakSlicesGate,
    candidate: str,
    evidence: GateEvidence,
    states: Sequence[SliceState],
    within_budget: bool,  # noqa: FBT001 - a fact that is handed on
) -> Iterator[Look]:
    """Look at each slice that the search has tested.

    Parameters
    ----------
    gate, candidate, evidence
        Whom the gate is for, and what the search found.
    states
        The candidate's slices.
    within_budget
        Whether the audit allows as many missing slices as the candidate has.
    """
    limits = Limits(at_most=gate.no_weak_slice_above)
    search = evidence.scorecard.weak_searches.get(candidate)
    if search is None:
        yield Look(limits=limits, problem="no search for weak slices is recorded")
        return
    if search.get("reason"):
        yield Look(limits=limits, problem=f"nothing was searched: {search['reason']}")
        return
    table = evidence.scorecard.weak_slices
    rows = table if table.empty else table[table["candidate"] == candidate]
    if rows.empty:
        yield Look(limits=limits, problem="the search tested no slice")
    for row in rows.to_dict("records"):
        excess = {**row, "value": row["excess"]}
        if row["status"] == "not_confirmed":
            # Its test did not show any excess, so that its lower limit shows none either.
            excess["low"] = min(row["low"], 0.0)
        if row["status"] != "too_few":
            excess["status"] = "ok"
        # The excess was measured on half of the cases, and more cases would come to both halves.
        look = _measured(excess, str(row["slice"]), limits, n=number(row["n_all"]))
        yield judged_with(look, states, within_budget)


def _measured(row: Mapping[Hashable, Any], group: str, limits: Limits, *, n: float | None) -> Look:
    value = number(row["value"])
    status = text(row["status"]) or "undefined"
    reason = text(row["reason"]) or "no reason was recorded"
    problem = f"{status.replace('_', ' ')}: {reason}" if status != "ok" else ""
    if not problem and value is None:
        problem = "undefined: the value is missing or not finite"
    figure = Figure(
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
    return Look(limits=limits, group=group, figure=figure, problem=problem)


def _end(value: Any) -> float | None:
    """Read an interval's end; a ratio's upper end may be infinite."""
    return value if isinstance(value, float) and math.isinf(value) else number(value)
