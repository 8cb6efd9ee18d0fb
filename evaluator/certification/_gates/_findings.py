"""Gates on what was found between groups of cases, and by the search for weak slices."""

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from evaluator.certification._gates._behaviour import (
    CandidateEvidence,
    GateBehaviour,
    GateInput,
    Limits,
    behaviour_of,
)
from evaluator.certification._phrases import format_metric
from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.scorecard import Measurement, number, text
from evaluator.spec import FairnessGate, WeakSlicesGate


@behaviour_of.register
def of_fairness(gate: FairnessGate) -> GateBehaviour:
    """Limit how differently groups of cases may be treated."""
    limits = []
    if gate.limit_difference is not None:
        limits.append(f"difference at most {gate.limit_difference:g}")
    if gate.limit_ratio is not None:
        limits.append(f"ratio at least {gate.limit_ratio:g}")
    by = f" by {gate.attribute}" if gate.attribute else ""
    return GateBehaviour(
        rule=f"{format_metric(gate.measure)}{by}: {' and '.join(limits)}",
        scopes=partial(_groups, gate),
        metric=gate.measure,
        unit="comparison",
        decided_on=gate.decide_on,
    )


def _groups(gate: FairnessGate, found: CandidateEvidence) -> Iterator[GateInput]:
    """Look at each group, in differences and ratios as far as the gate limits them."""
    table = found.audit.scorecard.fairness.reset_index(drop=True)
    if not table.empty:
        is_own = (table["candidate"] == found.candidate) & (table["measure"] == gate.measure)
        table = table[is_own]
    attributes = found.audit.fairness_attributes if gate.attribute is None else (gate.attribute,)
    for comparison, limits in _limits(gate, against_best=found.audit.fairness_against_best):
        rows = table if table.empty else table[table["comparison"] == comparison]
        if gate.attribute is not None and not rows.empty:
            rows = rows[rows["attribute"] == gate.attribute]
        there = set() if rows.empty else set(rows["attribute"])
        # Attributes that should be there, and nothing at all where nobody says which should.
        for missing in [name for name in attributes if name not in there] or [""] * (not there):
            group = f"{missing} ({comparison})" if missing else comparison
            yield GateInput(limits=limits, group=group, problem="it was not measured")
        for position, row in zip(rows.index, rows.to_dict("records"), strict=True):
            which = text(row["class"])
            group = (
                f"{row['attribute']} = {row['group']} against {text(row['reference']) or 'nobody'}"
                f"{'' if which is None else f', class {which}'} ({comparison})"
            )
            item = _measured(row, group, limits, n=number(row["n"]))
            yield found.rests_on(found.slices, replace(item, row=position))


def _limits(gate: FairnessGate, *, against_best: bool) -> Iterator[tuple[str, Limits]]:
    """Give the limits of differences and of ratios, as far as the gate has them."""
    ends = []
    if gate.limit_difference is not None:
        ends.append(("difference", -gate.limit_difference, gate.limit_difference))
    if gate.limit_ratio is not None:
        ends.append(("ratio", gate.limit_ratio, 1 / gate.limit_ratio))
    # A group that is better off than the best of the others is not treated badly.
    favoured = FAIRNESS_MEASURES[gate.measure].favoured if against_best else 0
    for comparison, least, most in ends:
        if favoured == 0:
            yield comparison, Limits(at_least=least, at_most=most)
        else:
            yield comparison, Limits(at_least=least) if favoured == 1 else Limits(at_most=most)


@behaviour_of.register
def of_weak_slices(gate: WeakSlicesGate) -> GateBehaviour:
    """Limit how much worse than elsewhere the candidate may be on any slice that is found."""
    return GateBehaviour(
        rule=f"no weak slice with an excess above {gate.no_weak_slice_above:g}",
        scopes=partial(_tested_slices, Limits(at_most=gate.no_weak_slice_above)),
        unit="tested slice",
        decided_on=gate.decide_on,
        simultaneous=True,
    )


def _tested_slices(limits: Limits, found: CandidateEvidence) -> Iterator[GateInput]:
    """Look at each slice that the search has tested."""
    search = found.audit.scorecard.weak_searches.get(found.candidate)
    if search is None:
        yield GateInput(limits=limits, problem="no search for weak slices is recorded")
        return
    if search.get("reason"):
        yield GateInput(limits=limits, problem=f"nothing was searched: {search['reason']}")
        return
    table = found.audit.scorecard.weak_slices
    rows = table if table.empty else table[table["candidate"] == found.candidate]
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
        yield found.rests_on(found.slices, item)


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
