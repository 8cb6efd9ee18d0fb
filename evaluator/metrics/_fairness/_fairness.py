"""Does a candidate treat groups alike? A frame of cases in, a tidy frame of gaps out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from evaluator.metrics._catalogue import (
    FAIRNESS_MEASURES,
    METRICS,
    Comparison,
    FairnessMeasure,
    Task,
)
from evaluator.metrics._checks import MetricsInputError, numbers, positives, refuse_outside_unit
from evaluator.metrics._estimates import FloatArray
from evaluator.metrics._fairness._counts import Counter, GroupCounts
from evaluator.metrics._fairness._references import GapOptions, compare_with_reference
from evaluator.metrics._fairness._tables import concat_blocks, group_labels, to_block
from evaluator.metrics._inputs import (
    TaskOptions,
    multiclass_rows,
    read_survey,
)
from evaluator.metrics._levels import IntArray, Level, Slicing, cut_slices
from evaluator.metrics._rankings import values_in

_COMPARISONS: tuple[Comparison, ...] = ("difference", "ratio")
_JUDGED = "queries with a relevant item"


def fairness(
    frame: pd.DataFrame,
    *,
    label: str,
    prediction: str,
    attributes: Sequence[str],
    score: str | Mapping[Any, str] | None = None,
    measures: Sequence[str] | None = None,
    reference: Literal["best", "overall"] | Mapping[str, Any] = "best",
    control: Sequence[str] = (),
    task: Task = "binary_classification",
    classes: Sequence[Any] | None = None,
    abstains: bool = False,
    tolerance: float | None = None,
    confidence: float = 0.95,
    minimum_support: int = 20,
    groups: Mapping[str, Sequence[Any]] | None = None,
    weight: str | None = None,
    cluster: str | None = None,
) -> pd.DataFrame:
    """Compare how a candidate treats groups of cases, with intervals.

    Every attribute is measured alone and in its crosses with the others, so that a group that is
    treated badly only where two attributes meet is seen. A gap that is not known is undefined and
    never 0: a group without positives has no true positive rate, and one group alone is not
    treated equally. Without `cluster` cases are taken to be independent of each other.

    Parameters
    ----------
    frame
        One row a case; it may have no rows. It is not changed.
    label, prediction
        Columns of the truth and of the decision; of a binary classifier 1 for the positive class.
    attributes
        One to four columns whose values make the groups.
    score
        Binary: column of the probability of the positive class. Multiclass: the column of each
        class's probability. Without it there is no calibration gap.
    measures
        Names from `FAIRNESS_MEASURES`; all that the columns permit by default.
    reference
        What each group is compared with. "best": the most favoured of the other groups, which is
        the group that the four-fifths rule names; groups of fewer than `minimum_support` cases
        are no candidates, and the interval accounts for the choice. The most favoured group is
        the one of the highest value (selected most often, found most often, overstated most), for
        treatment equality the one of the fewest missed positives, and for equalised odds the
        group is compared with the one that it is farthest from. "overall": all cases. A mapping
        from each attribute to a value: that group; for crosses, the one of all these values.
    control
        Columns that may explain a gap. Groups are compared within each combination of their
        values, and the strata are combined by Mantel and Haenszel's weights.
    task
        "binary_classification", "multiclass_classification", "ranking" or "regression".
    classes, abstains
        Multiclass: all classes, in their order, and whether a missing prediction is an abstention,
        as in `slice_metrics`. It is a prediction of no class, and not right.
    tolerance
        Regression: how far a prediction may be from the label to be right for `tolerance_gap`.
    confidence
        Nominal coverage of the intervals. At the default, 0.95, either end errs in 1 of 40 at most.
    minimum_support
        The fewest cases that each side of an interval rests on: positives for a true positive
        rate. With fewer than 20 even a rate of which no hit was seen is known no better than to
        0.16, so that no difference could be shown to be within 0.1; and it is what the
        interval of a mean needs.
    groups
        Declared values of attributes: a declared group without rows is listed with ``n`` 0, and a
        value that is not declared is refused.
    weight
        Column of the cases' weights, not negative. A case of weight 0 counts for nothing.
    cluster
        Column that says which cases belong together (a person, a day), where cases are not
        independent of each other. A cluster may have cases of several groups: what it does to
        both sides of a gap is accounted for. An interval needs 10 clusters on either side.

    Returns
    -------
    pandas.DataFrame
        One row a measure, comparison, class and group, with the columns

        ``measure``, ``comparison``
            The measure's name; "difference" or "ratio". Means have no ratio.
        ``class``
            For a multiclass candidate the class that counts as positive; otherwise missing.
        ``attribute``, ``group``, ``reference``
            The attribute, or for crosses their names joined by " x "; the group's values, joined
            in the same way; those of the group that it is compared with, or "overall". A named
            reference group has no row of its own.
        ``value``, ``low``, ``high``
            The gap, group minus or divided by reference, and its interval. Equalised odds: the
            larger of both absolute differences, and the smaller of both ratios, each of the
            smaller rate over the larger. The upper limit of a ratio may be infinite.
        ``group_value``, ``reference_value``
            The quantity itself on both sides (with control columns, weighted alike over the
            strata); missing for equalised odds.
        ``n``, ``n_reference``
            Cases on both sides.
        ``n_effective``, ``n_effective_reference``
            What the quantity rests on: for a true positive rate, the positives; of these, what
            weights and clusters leave.
        ``clusters``
            Clusters with cases that the quantity rests on, on either side; missing without
            clusters.
        ``strata``, ``strata_left_out``
            Strata that hold cases of both sides, and those that hold cases of one and so say
            nothing about the gap. Without control columns, 1 and 0 as a rule.
        ``status``, ``reason``
            "ok"; "undefined", without a value; "too_few", with a value but no interval. And why.

    Raises
    ------
    MetricsInputError
        If a column, measure or reference does not exist or does not fit the task; if values are
        missing, not finite, out of range or not declared; if a weight is negative.

    Examples
    --------
    >>> import pandas as pd
    >>> cases = pd.DataFrame(
    ...     {
    ...         "hired": [1] * 60 + [0] * 40 + [1] * 30 + [0] * 70,
    ...         "fit": [1, 0] * 100,
    ...         "sex": ["m"] * 100 + ["f"] * 100,
    ...     }
    ... )
    >>> gaps = fairness(
    ...     cases,
    ...     label="fit",
    ...     prediction="hired",
    ...     attributes=["sex"],
    ...     measures=["demographic_parity"],
    ... )
    >>> ratio = gaps[gaps["comparison"] == "ratio"].round(2)
    >>> ratio[["group", "reference", "value", "low", "high"]].to_numpy().tolist()
    [['f', 'm', 0.5, 0.35, 0.7], ['m', 'f', 2.0, 1.44, 2.84]]
    """
    if not 0 < confidence < 1:
        raise MetricsInputError(f"confidence must lie between 0 and 1, not {confidence}")
    if minimum_support < 1:
        raise MetricsInputError(f"minimum_support must be at least 1, not {minimum_support}")
    told = TaskOptions(task, classes, abstains, tolerance)
    chosen = _chosen(measures, told, scored=score is not None)
    cases = read_inputs(
        frame,
        label=label,
        prediction=prediction,
        score=score,
        attributes=attributes,
        control=(control,) if isinstance(control, str) else control,
        options=told,
        groups=groups,
        measures=chosen,
        weight=weight,
        cluster=cluster,
    )
    blocks = []
    for level in cases.slicing.levels[1:]:
        codes, at = _reference_of(level, cases, reference)
        if not len(codes):
            continue
        more = len(codes) - level.groups
        counted = {id(one): one.of(level, more) for one in cases.counted.values()}
        labels = group_labels(level, cases.slicing.groups, codes)
        for measure, value, number in _wanted(chosen, cases):
            parts = counted[id(cases.counted[measure.name])].parts(measure, number)
            for comparison in _COMPARISONS if measure.ratio else _COMPARISONS[:1]:
                options = GapOptions(confidence, minimum_support, comparison)
                compared = compare_with_reference(parts, measure.favoured, at, options)
                constant = (measure.name, comparison, value, level.name)
                blocks.append(to_block(compared, labels, options, constant))
    return concat_blocks(blocks)


def _chosen(
    measures: Sequence[str] | None, options: TaskOptions, *, scored: bool
) -> list[FairnessMeasure]:
    """Check the names of measures; without any, take all that columns and options permit."""
    task = options.task
    of_task = {name: one for name, one in FAIRNESS_MEASURES.items() if task in one.tasks}
    if measures is None:
        return [
            one
            for one in of_task.values()
            if (scored or not one.needs_score) and options.give(one.option)
        ]
    names = [measures] if isinstance(measures, str) else list(measures)
    for name in names:
        if name not in of_task:
            reason = METRICS[name].no_fairness_gap if name in METRICS else None
            why = f" ({reason})" if reason else ""
            raise MetricsInputError(
                f"there is no fairness measure {name!r} for {task}{why}; "
                f"there are {', '.join(of_task)}"
            )
        if of_task[name].needs_score and not scored:
            raise MetricsInputError(f"fairness measure {name!r} needs a score column")
        if not options.give(of_task[name].option):
            option = of_task[name].option
            raise MetricsInputError(f"fairness measure {name!r} needs `{option}` to be given")
    if not names or len(set(names)) < len(names):
        raise MetricsInputError(f"measures must be one or more different names, not {names}")
    return [of_task[name] for name in names]


@dataclass(frozen=True)
class FairnessInputs:
    """A frame as fairness is measured on it."""

    slicing: Slicing
    # By measure.
    counted: Mapping[str, GroupCounts]
    # The classes that are measured, one against the rest, with their numbers; missing stands for
    # the positive class of a binary classifier, and for what is right of a regression.
    classes: Sequence[tuple[Any, int]]


def read_inputs(
    frame: pd.DataFrame,
    *,
    label: str,
    prediction: str,
    score: str | Mapping[Any, str] | None,
    attributes: Sequence[str],
    control: Sequence[str],
    options: TaskOptions,
    groups: Mapping[str, Sequence[Any]] | None,
    measures: Sequence[FairnessMeasure],
    weight: str | None,
    cluster: str | None,
) -> FairnessInputs:
    """Read and count the rows.

    But for the `measures` and the `options`, the arguments are those of `fairness`.

    Scores that no measure needs need not be probabilities; their columns still declare the classes
    of a multiclass candidate.
    """
    scored = any(measure.needs_score for measure in measures)
    frame, survey = read_survey(frame, weight, cluster)
    slicing = cut_slices(frame, attributes, groups)
    stratum, strata = np.zeros(len(frame), np.intp), 1
    if len(control):
        controlled = cut_slices(frame, control, None)
        stratum, strata = controlled.cell, max(controlled.cells, 1)
    counter = Counter(
        (slicing.cells, strata),
        slicing.cell * strata + stratum,
        survey.weight,
        survey.cluster,
    )
    names = [measure.name for measure in measures]
    if options.task == "regression":
        excess = numbers(frame, prediction) - numbers(frame, label)
        # As if all were positive, and those found that are near enough.
        tolerance = -1.0 if options.tolerance is None else options.tolerance
        near = (np.abs(excess) <= tolerance).astype(np.intp)
        counted = counter.count(np.ones_like(near), near, 2, {1: excess})
        return FairnessInputs(slicing, dict.fromkeys(names, counted), [(None, 1)])
    if options.task == "ranking":
        values = {
            measure.name: values_in(frame, label, prediction, measure.metrics[0])
            for measure in measures
        }
        return FairnessInputs(
            slicing,
            {name: counter.mean(of_rows, _JUDGED) for name, of_rows in values.items()},
            [(None, 0)],
        )
    scores: dict[int, FloatArray] = {}
    if options.task == "binary_classification":
        if isinstance(score, Mapping):
            raise MetricsInputError("score must be the column of the positive class's score")
        truth, negative = positives(frame, label)
        decided, _ = positives(frame, prediction, negative)
        numbered, decisions = truth.astype(np.intp), decided.astype(np.intp)
        classes: list[tuple[Any, int]] = [(None, 1)]
        many = 2
        if scored and score is not None:
            scores[1] = _probability(frame, score)
    else:
        if isinstance(score, str):
            raise MetricsInputError("score must be a mapping from each class to its column")
        found = multiclass_rows(
            frame, [], label=label, score=score, prediction=prediction, options=options
        )
        classes = [(value, number) for number, value in enumerate(found.classes)]
        # An abstention is a prediction of one more class, which no label has.
        many = len(classes) + options.abstains
        numbered, decisions = found.label, found.prediction % many
        if not any(measure.per_class for measure in measures):
            # What is right is enough, and a table of many classes a cluster is large.
            right = (numbered == decisions).astype(np.intp)
            numbered, decisions, many = np.ones_like(right), right, 2
        if scored and score is not None:
            scores = {number: _probability(frame, score[value]) for value, number in classes}
    excess_of = {number: values - (numbered == number) for number, values in scores.items()}
    counted = counter.count(numbered, decisions, many, excess_of)
    return FairnessInputs(slicing, dict.fromkeys(names, counted), classes)


def _probability(frame: pd.DataFrame, name: str) -> FloatArray:
    values = numbers(frame, name)
    refuse_outside_unit(values, name, ["calibration_gap"])
    return values


def _reference_of(
    level: Level, cases: FairnessInputs, reference: Literal["best", "overall"] | Mapping[str, Any]
) -> tuple[IntArray, Literal["best", "overall"] | int]:
    """Find a named reference among a level's groups; if its cross has no rows, append it."""
    if not isinstance(reference, Mapping):
        if reference not in ("best", "overall"):
            raise MetricsInputError(
                "reference must be 'best', 'overall' or a mapping from each attribute to a value, "
                f"not {reference!r}"
            )
        return level.codes, reference
    names, values = cases.slicing.names, cases.slicing.groups
    if set(reference) != set(names):
        raise MetricsInputError(
            f"reference must name a value of each of {list(names)}, not of {list(reference)}"
        )
    own = np.zeros(len(level.columns), np.intp)
    for cell, position in enumerate(level.columns):
        value = reference[names[position]]
        if value not in values[position]:
            raise MetricsInputError(
                f"reference group {value!r} of {names[position]!r} does not occur; there are "
                f"{values[position]}"
            )
        own[cell] = values[position].index(value)
    found = np.flatnonzero((level.codes == own).all(axis=1))
    if len(found):
        return level.codes, int(found[0])
    return np.vstack([level.codes, own]), level.groups


def _wanted(
    measures: list[FairnessMeasure], cases: FairnessInputs
) -> Iterator[tuple[FairnessMeasure, Any, int]]:
    """Give each measure with its classes and their numbers."""
    for measure in measures:
        for value, number in cases.classes if measure.per_class else [(None, 0)]:
            yield measure, value, number
