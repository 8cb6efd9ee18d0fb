"""Gates on what was found between groups of cases, and by the search for weak slices."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from evaluator.certification._gates._behaviour import (
    CandidateEvidence,
    GateBehaviour,
    GateInput,
    Limits,
    behaviour_of,
)
from evaluator.certification._phrases import format_metric
from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.scorecard import Gap, Measurement, WeakSlice, number
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
        rule=f"{format_metric(gate.measure, gate.of_class)}{by}: {' and '.join(limits)}",
        scopes=partial(_groups, gate),
        metric=gate.measure,
        unit="comparison",
        decided_on=gate.decide_on,
    )


def _groups(gate: FairnessGate, found: CandidateEvidence) -> Iterator[GateInput]:
    """Look at each group, in differences and ratios as far as the gate limits them."""
    own = [
        (row, gap)
        for row, gap in enumerate(found.audit.scorecard.rows(Gap))
        if (gap.candidate, gap.measure) == (found.candidate, gate.measure)
        and gate.attribute in {None, gap.attribute}
        and gate.of_class in {None, gap.class_}
    ]
    attributes = found.audit.fairness_attributes if gate.attribute is None else (gate.attribute,)
    for comparison, limits in _limits(gate, against_best=found.audit.fairness_against_best):
        gaps = [(row, gap) for row, gap in own if gap.comparison == comparison]
        there = {gap.attribute for _, gap in gaps}
        # Attributes that should be there, and nothing at all where nobody says which should.
        for missing in [name for name in attributes if name not in there] or [""] * (not there):
            group = f"{missing} ({comparison})" if missing else comparison
            yield GateInput(limits=limits, group=group, problem="it was not measured")
        for row, gap in gaps:
            group = (
                f"{gap.attribute} = {gap.group} against {gap.reference or 'nobody'}"
                f"{'' if gap.class_ is None else f', class {gap.class_}'} ({comparison})"
            )
            item = _measured(gap, group, limits, value=gap.value, low=gap.low, n=gap.n)
            yield found.rests_on(found.slices, replace(item, row=row))


def _limits(gate: FairnessGate, *, against_best: bool) -> Iterator[tuple[str, Limits]]:
    """Give the limits of differences and of ratios, as far as the gate has them."""
    ends = []
    if gate.limit_difference is not None:
        difference = gate.limit_difference
        ends.append(("difference", difference, -difference, difference))
    if gate.limit_ratio is not None:
        ends.append(("ratio", gate.limit_ratio, gate.limit_ratio, 1 / gate.limit_ratio))
    # A group that is better off than the best of the others is not treated badly.
    favoured = FAIRNESS_MEASURES[gate.measure].favoured if against_best else 0
    for comparison, stated, least, most in ends:
        yield (
            comparison,
            Limits(
                at_least=None if favoured == -1 else least,
                at_most=None if favoured == 1 else most,
                stated=stated,
            ),
        )


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
    slices = found.audit.scorecard.rows(WeakSlice, found.candidate)
    if not slices:
        yield GateInput(limits=limits, problem="the search tested no slice")
    for one in slices:
        low = one.low
        if low is not None and one.status == "not_confirmed":
            # Its test did not show any excess, so that its lower limit shows none either.
            low = min(low, 0.0)
        # The excess was measured on half of the cases, and more cases would come to both halves.
        item = _measured(one, one.slice, limits, value=one.excess, low=low, n=one.n_all)
        yield found.rests_on(found.slices, item)


def _measured(
    found: Gap | WeakSlice,
    group: str,
    limits: Limits,
    *,
    value: float | None,
    low: float | None,
    n: int,
) -> GateInput:
    status = found.status or "undefined"
    if isinstance(found, WeakSlice) and status != "too_few":
        status = "ok"
    problem = ""
    if status != "ok":
        problem = f"{status.replace('_', ' ')}: {found.reason or 'no reason was recorded'}"
    elif number(value) is None:
        problem = "undefined: the value is missing or not finite"
    measurement = Measurement(
        candidate="",
        metric="",
        level="overall",
        geography=None,
        segment=None,
        value=number(value),
        low=low,
        high=found.high,
        n=n,
        n_effective=found.n_effective if isinstance(found, Gap) else None,
        clusters=found.clusters if isinstance(found, Gap) else None,
        status=status,
        reason=problem,
    )
    return GateInput(limits=limits, group=group, measurement=measurement, problem=problem)
