"""Gates on what there is: results for all slices, and the days that arrived."""

from collections.abc import Iterator, Sequence
from functools import partial

from evaluator.certification._gates._behaviour import (
    CandidateEvidence,
    GateBehaviour,
    GateInput,
    Limits,
    behaviour_of,
)
from evaluator.certification._phrases import (
    format_count,
    format_list,
    format_metric,
    format_training,
)
from evaluator.scorecard import DayFacts, Measurement, number
from evaluator.spec import CompleteGate, DataQualityGate, DriftGate, LabelledGate, UnseenGate


@behaviour_of.register
def of_completeness(_gate: CompleteGate) -> GateBehaviour:
    """Want a result for every slice, but for as many as the audit allows."""
    return GateBehaviour(
        rule="a result for every slice",
        scopes=_all_slices,
        subject="slices without a result of this version: ",
    )


def _all_slices(found: CandidateEvidence) -> Iterator[GateInput]:
    """Count the slices without a result."""
    yield GateInput(
        limits=Limits(at_most=found.audit.allowed_missing),
        measurement=Measurement.of_count(found.missing, len(found.slices)),
        remark=f"of {len(found.slices):,}",
    )


@behaviour_of.register
def of_data_quality(gate: DataQualityGate) -> GateBehaviour:
    """Limit how much of the data that arrived may have been refused."""
    limits = []
    if gate.refused_share_at_most is not None:
        limits.append(f"at most {gate.refused_share_at_most:.4g} of all rows")
    if gate.refused_days_at_most is not None:
        limits.append(f"at most {format_count(gate.refused_days_at_most, 'day')}")
    return GateBehaviour(
        rule=f"{' and '.join(limits)} refused",
        scopes=partial(_refusals, gate),
        unit="limit",
        asks_about_days=True,
    )


def _refusals(gate: DataQualityGate, found: CandidateEvidence) -> Iterator[GateInput]:
    """Look at the share of refused rows, and at the number of refused days."""
    days = found.audit.scorecard.days
    if gate.refused_share_at_most is not None:
        accepted = [day for day in days if day.refused is None]
        yield _refused_rows(accepted, Limits(at_most=gate.refused_share_at_most))
    if gate.refused_days_at_most is not None:
        refused = [day.day for day in days if day.refused is not None]
        yield GateInput(
            limits=Limits(at_most=gate.refused_days_at_most),
            group="refused days",
            measurement=Measurement.of_count(len(refused), len(days)) if days else None,
            problem="" if days else "no day is recorded",
            remark=f"of {format_count(len(days), 'day')}"
            + (f": {format_list(refused)}" if refused else ""),
        )


def _refused_rows(accepted: Sequence[DayFacts], limits: Limits) -> GateInput:
    group = "refused rows"
    unknown = [day for day in accepted if day.rows is None or day.quarantined is None]
    rows = sum(day.rows or 0 for day in accepted)
    if unknown or not rows:
        problem = (
            f"nobody counted the rows of {unknown[0].day}"
            if unknown
            else "no row was accepted or refused"
        )
        return GateInput(limits=limits, group=group, problem=problem)
    quarantined = sum(day.quarantined or 0 for day in accepted)
    return GateInput(
        limits=limits,
        group=group,
        measurement=Measurement.of_count(quarantined / rows, rows),
        remark=f"({quarantined:,} of {format_count(rows, 'row')})",
    )


@behaviour_of.register
def of_labels(gate: LabelledGate) -> GateBehaviour:
    """Want labels for a share of the cases that are old enough."""
    return GateBehaviour(
        rule=f"a label for at least {gate.at_least:.4g} of the cases that are old enough",
        scopes=partial(_labelled_share, gate),
        subject="the share of cases with a label is ",
    )


def _labelled_share(gate: LabelledGate, found: CandidateEvidence) -> Iterator[GateInput]:
    """Look at all cases that could be evaluated by their age."""
    limits = Limits(at_least=gate.at_least)
    facts = found.audit.scorecard.labels
    if facts is None or not facts.mature:
        yield GateInput(limits=limits, problem="nobody counted the cases that have a label")
        return
    yield GateInput(
        limits=limits,
        measurement=Measurement.of_count(facts.labelled / facts.mature, facts.mature),
        remark=f"({facts.labelled:,} of {format_count(facts.mature, 'case')})",
    )


@behaviour_of.register
def of_unseen(gate: UnseenGate) -> GateBehaviour:
    """Limit the share of the cases that the candidate saw in training."""
    of = f"at most {gate.at_most:.4g} of the cases" if gate.at_most else "no case"
    return GateBehaviour(
        rule=f"{of} seen in training",
        scopes=partial(_seen_share, gate),
        subject="the share of cases seen in training is ",
    )


def _seen_share(gate: UnseenGate, found: CandidateEvidence) -> Iterator[GateInput]:
    """Look at the cases of the evaluation set; those that are left out of it count for nothing."""
    limits = Limits(at_most=gate.at_most)
    facts = found.audit.scorecard.training.get(found.candidate)
    if facts is None or not (facts.looks or facts.remaining):
        yield GateInput(limits=limits, problem=f"it {format_training(facts)}")
        return
    share = facts.remaining / facts.evaluated if facts.evaluated else 0.0
    yield GateInput(
        limits=limits,
        measurement=Measurement.of_count(share, facts.evaluated),
        remark=f"({facts.remaining:,} of {format_count(facts.evaluated, 'case')})",
        doubt="" if facts.problem is None else f"it {format_training(facts)}",
    )


@behaviour_of.register
def of_drift(gate: DriftGate) -> GateBehaviour:
    """Limit how far the content of any accepted day may be from the reference's."""
    of = f" of {format_list(gate.columns)}" if gate.columns else ""
    return GateBehaviour(
        rule=f"drift{of} below {gate.drift_below:g} each day ({format_metric(gate.measure)})",
        scopes=partial(_compared_days, gate),
        metric=gate.measure,
        unit="day",
        asks_about_days=True,
        asks_about_drift=True,
    )


def _compared_days(gate: DriftGate, found: CandidateEvidence) -> Iterator[GateInput]:
    """Look at each accepted day: at the column that is furthest from the reference."""
    limits = Limits(at_most=gate.drift_below, strict=True)
    days = found.audit.scorecard.days
    compared = [day for day in days if day.refused is None and not day.is_reference]
    if not compared:
        yield GateInput(limits=limits, problem="no accepted day was compared with the reference")
    for day in compared:
        yield _furthest_column(gate, day, limits)


def _furthest_column(gate: DriftGate, day: DayFacts, limits: Limits) -> GateInput:
    name = day.day
    if not day.drift:
        return GateInput(limits=limits, group=name, problem="drift was not measured")
    columns = gate.columns or tuple(day.drift)
    distances = {column: number(day.drift.get(column, {}).get(gate.measure)) for column in columns}
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
