"""Candidates compared on the same cases: frames in, tidy tables of differences out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Any

import numpy as np
import pandas as pd

from evaluator.metrics._catalogue import METRICS, Task
from evaluator.metrics._checks import MetricsInputError
from evaluator.metrics._comparison._binary import BinaryCases, compare_designed
from evaluator.metrics._comparison._decisions import decide, margins_of
from evaluator.metrics._comparison._differences import (
    CandidatePair,
    Difference,
    Differences,
    compare_levels,
)
from evaluator.metrics._estimates import BoolArray
from evaluator.metrics._inputs import (
    LEVEL_METRICS,
    UNSCORED,
    BinaryRows,
    Survey,
    TaskOptions,
    binary_rows,
    level_reader,
    multiclass_rows,
    read_survey,
    select_metrics,
)
from evaluator.metrics._levels import Slicing, cut_slices
from evaluator.metrics._linear import SurveyDesign
from evaluator.metrics._multiclass import MulticlassRows
from evaluator.metrics._multiplicity import ADJUSTMENTS, Adjustment

Scores = Mapping[str, str] | Mapping[str, Mapping[Any, str]]


def compare_candidates(
    frame: pd.DataFrame,
    *,
    label: str,
    scores: Scores | None = None,
    predictions: Mapping[str, str] | None = None,
    baseline: str,
    slices: Sequence[str],
    task: Task = "binary_classification",
    classes: Sequence[Any] | None = None,
    abstains: bool = False,
    tolerance: float | None = None,
    limits: Mapping[str, tuple[str, str]] | None = None,
    limits_level: float = 0.9,
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
    adjust: Adjustment = "holm",
    margin: float | Mapping[str, float] | None = None,
    weight: str | None = None,
    cluster: str | None = None,
    groups: Mapping[str, Sequence[Any]] | None = None,
    others: Mapping[str, Sequence[float]] | None = None,
) -> pd.DataFrame:
    """Compare candidates with a baseline, case by case, overall and in every slice.

    All candidates are on the same rows, so that every test is paired. `paired_frame` makes such
    a frame of separate ones. How each metric is tested: `docs/comparison.md`.

    Parameters
    ----------
    frame
        One row a case; it is not changed.
    label
        Column of the truth.
    scores
        By candidate, the column of its score; for a multiclass classifier the mapping from each
        class to the column of its probability.
    predictions
        By candidate, the column of its decision; without it as in `slice_metrics`.
    baseline
        The candidate that the others are compared with.
    limits
        By candidate, the columns of the lower and upper limits that it gives.
    slices, task, classes, abstains, tolerance, limits_level, groups
        As in `slice_metrics`; candidates that never abstain are compared with others that do.
    metrics
        Names from `evaluator.metrics.METRICS`; by default all that the columns permit and that
        have a paired test, but for those of single classes. `MetricInfo.no_paired_test` says why
        some have none.
    confidence
        Nominal coverage of the intervals; what it leaves is the level of the tests.
    adjust
        "holm": the chance of any false finding is at most the level. "benjamini_hochberg": the
        expected share of false findings among the findings is at most the level. Either over all
        candidates, slices and classes of one metric.
    margin
        The largest difference that does not matter, in the metric's own unit; one for all
        metrics, or some by name. With it come tests of equivalence (two one-sided tests) and of
        not being worse.
    weight
        Column of the cases' weights, not negative; a case of weight 0 is left out. Equal weights
        are none.
    cluster
        Column that says which cases belong together; clusters are then the independent units.
        Clusters of one case each are none.
    others
        By metric, the p-values of tests of the same family that were made elsewhere: what is
        adjusted heeds them. With some, nothing is said of margins for that metric.

    Returns
    -------
    pandas.DataFrame
        One row for each candidate, level, slice and metric, with the columns

        ``candidate``, ``baseline``, ``level``, one column a slice column, ``metric``
            What is compared where.
        ``class``
            Only where a metric is asked for that has a value a class: which one; of all other
            metrics it is missing.
        ``difference``
            Candidate less baseline; NaN where undefined.
        ``low``, ``high``
            Interval of this difference alone, in agreement with ``p_value``.
        ``p_value``
            Of "there is no difference", two-sided; NaN where there is no test.
        ``p_adjusted``
            Adjusted over the metric's candidates, slices and classes.
        ``low_adjusted``, ``high_adjusted``
            Interval in agreement with ``p_adjusted``. A limit of exactly 0 excludes 0: the
            direction is shown, and nothing beyond it.
        ``p_equivalent``, ``p_not_worse``
            Adjusted p-values of "the difference is not within the margin" and "the candidate is
            worse by the margin or more"; NaN without a margin.
        ``n``, ``n_effective``
            Cases in the slice, and those that the metric rests on, as in `slice_metrics`.
        ``clusters``
            Clusters that the metric rests on; missing without ``cluster``.
        ``n_discordant``, ``better``, ``worse``
            Cases that the two treat differently, and those that the candidate treats better and
            worse: decided right instead of wrong, given a smaller loss, or ranked better against
            the other class.
        ``higher_is_better``
            The metric's direction; missing where it has none.
        ``conclusion``
            "better", "worse" ("higher", "lower" for a metric without direction), with the
            addition ", within the margin" where that is shown, too; "equivalent", "not worse";
            "no difference shown"; "not compared" where the difference is undefined. Identical
            candidates are equivalent.
        ``status``, ``reason``
            "ok"; "undefined", without a difference; "too_few", with a difference but no test.
            Bounded metrics have an interval where only discordant cases are too few. "identical",
            with a difference and limits of 0, where the candidates' outputs are the same. Only
            what is "ok" counts among the tests that are adjusted.

    Raises
    ------
    MetricsInputError
        As `slice_metrics`; also if the baseline or a margin's metric is unknown, or if nothing is
        left to compare.

    Examples
    --------
    >>> import pandas as pd
    >>> cases = pd.DataFrame(
    ...     {"late": [1, 0] * 20, "old": [0.4, 0.6] * 20, "new": [0.9, 0.1] * 20, "at": ["x"] * 40}
    ... )
    >>> table = compare_candidates(
    ...     cases,
    ...     label="late",
    ...     scores={"old": "old", "new": "new"},
    ...     baseline="old",
    ...     slices=["at"],
    ...     metrics=["accuracy"],
    ... )
    >>> table[["level", "difference", "conclusion"]].to_dict("list")
    {'level': ['overall', 'at'], 'difference': [1.0, 1.0], 'conclusion': ['better', 'better']}
    """
    names = _candidates(scores, predictions)
    if baseline not in names:
        raise MetricsInputError(f"baseline {baseline!r} is no candidate; there are {names}")
    return _compare_tables(
        frame,
        pairs=[(name, baseline) for name in names if name != baseline],
        label=label,
        scores=scores,
        predictions=predictions,
        slices=slices,
        task=task,
        classes=classes,
        abstains=abstains,
        tolerance=tolerance,
        limits=limits,
        limits_level=limits_level,
        metrics=metrics,
        confidence=confidence,
        adjust=adjust,
        margin=margin,
        weight=weight,
        cluster=cluster,
        groups=groups,
        others=others,
    )


def compare_pairs(
    frame: pd.DataFrame,
    *,
    scores: Scores | None = None,
    predictions: Mapping[str, str] | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Compare every pair of candidates, case by case, overall and in every slice.

    Parameters
    ----------
    frame, scores, predictions, **settings
        As in `compare_candidates`, without a baseline.

    Returns
    -------
    pandas.DataFrame
        As `compare_candidates`, each pair once; the one named later is compared with the one
        named earlier, which stands in ``baseline``. The p-values are adjusted over all pairs
        and slices of a metric.

    Raises
    ------
    MetricsInputError
        As `compare_candidates`.
    """
    names = _candidates(scores, predictions)
    pairs = [(later, earlier) for earlier, later in combinations(names, 2)]
    return _compare_tables(frame, pairs=pairs, scores=scores, predictions=predictions, **settings)


def _candidates(scores: Scores | None, predictions: Mapping[str, str] | None) -> list[str]:
    # Of two mappings the one that names more candidates tells their order.
    ordered = sorted((scores or {}, predictions or {}), key=len, reverse=True)
    names = [str(name) for name in dict.fromkeys(chain(*ordered))]
    if len(names) < 2:  # noqa: PLR2004 - a comparison needs two
        raise MetricsInputError(f"a comparison needs two or more candidates, not {names}")
    return names


def _compare_tables(
    frame: pd.DataFrame,
    *,
    pairs: list[CandidatePair],
    label: str,
    slices: Sequence[str],
    scores: Scores | None = None,
    predictions: Mapping[str, str] | None = None,
    task: Task = "binary_classification",
    classes: Sequence[Any] | None = None,
    abstains: bool = False,
    tolerance: float | None = None,
    limits: Mapping[str, tuple[str, str]] | None = None,
    limits_level: float = 0.9,
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
    adjust: Adjustment = "holm",
    margin: float | Mapping[str, float] | None = None,
    weight: str | None = None,
    cluster: str | None = None,
    groups: Mapping[str, Sequence[Any]] | None = None,
    others: Mapping[str, Sequence[float]] | None = None,
) -> pd.DataFrame:
    """Read the columns, measure the differences, and decide."""
    if not 0 < confidence < 1:
        raise MetricsInputError(f"confidence must lie between 0 and 1, not {confidence}")
    if adjust not in ADJUSTMENTS:
        raise MetricsInputError(f"adjust must be one of {', '.join(ADJUSTMENTS)}, not {adjust!r}")
    candidates = _candidates(scores, predictions)
    frame, survey = read_survey(frame, weight, cluster)
    slicing = cut_slices(frame, slices, groups)
    options = TaskOptions(task, classes, abstains, tolerance, limits_level)
    columns = _CandidateColumns(
        frame, options, label, scores or {}, predictions or {}, limits or {}
    )
    wanted = _chosen_metrics(metrics, candidates, columns)
    margins = margins_of(margin, wanted)
    found = _differences(columns, slicing, pairs, wanted, survey, error=1 - confidence)
    return decide(
        slicing,
        pairs,
        wanted,
        found,
        margins=margins,
        confidence=confidence,
        adjust=adjust,
        others={name: np.asarray(p, dtype=np.float64) for name, p in (others or {}).items()},
    )


@dataclass(frozen=True)
class _CandidateColumns:
    """Where label, scores, predictions and limits stand, and for which task."""

    frame: pd.DataFrame
    options: TaskOptions
    label: str
    scores: Scores
    predictions: Mapping[str, str]
    limits: Mapping[str, tuple[str, str]]

    def __post_init__(self) -> None:
        task = self.options.task
        if self.limits and task != "regression":
            raise MetricsInputError(f"`limits` are for regression, not {task}")
        nested = task == "multiclass_classification"
        for name, score in self.scores.items():
            if isinstance(score, Mapping) != nested:
                raise MetricsInputError(
                    f"scores of {name!r} must be a column, or, for a multiclass classifier, a "
                    f"mapping from each class to its column; for {task} they are {score!r}"
                )


def _chosen_metrics(
    metrics: Sequence[str] | None, candidates: list[str], columns: _CandidateColumns
) -> list[str]:
    """Check the names of metrics; without any, take all that every candidate permits."""
    task = columns.options.task
    scored = all(name in columns.scores for name in candidates)
    decided = task not in UNSCORED or all(name in columns.predictions for name in candidates)
    limited = all(name in columns.limits for name in candidates)
    names = select_metrics(
        metrics, columns.options, scored=scored, decided=decided, limited=limited
    )
    without = {name: reason for name in names if (reason := METRICS[name].no_paired_test)}
    if metrics is not None and without:
        tested = [i.name for i in METRICS.values() if task in i.tasks and not i.no_paired_test]
        raise MetricsInputError(
            f"there is no paired test for {list(without)} ({'; '.join(without.values())}); "
            f"there are {', '.join(tested)}"
        )
    return [name for name in names if name not in without]


def _differences(
    columns: _CandidateColumns,
    slicing: Slicing,
    pairs: list[CandidatePair],
    metrics: list[str],
    survey: Survey,
    *,
    error: float,
) -> Differences:
    """Measure the differences of all pairs, in all groups of all levels."""
    names = sorted({name for pair in pairs for name in pair})
    frame, options, label = columns.frame, columns.options, columns.label
    own: dict[str, dict[str, Any]] = {
        name: {"score": columns.scores.get(name), "prediction": columns.predictions.get(name)}
        for name in names
    }
    if options.task == "binary_classification":
        rows = {
            name: binary_rows(frame, slicing, metrics, label=label, **own[name]) for name in names
        }
        cases = BinaryCases(rows, slicing, error)
        return _compare_binary(cases, pairs, metrics, survey)
    at_level = {
        name: level_reader(
            frame,
            metrics,
            1 - error,
            options=options,
            label=label,
            limits=columns.limits.get(name),
            **own[name],
        ).level
        for name in names
    }
    designs = [
        SurveyDesign(at, slicing.cell, survey.weight, survey.cluster) for at in slicing.levels
    ]
    of_class = [metric for metric in metrics if METRICS[metric].per_class]
    forms = {
        metric: LEVEL_METRICS[options.task][metric] for metric in metrics if metric not in of_class
    }
    found = compare_levels(designs, at_level, pairs, forms, error) if forms else {}
    if of_class:
        classes = {
            name: multiclass_rows(frame, of_class, label=label, options=options, **own[name])
            for name in names
        }
        found |= _of_each_class(classes, slicing, pairs, of_class, survey, error=error)
    return found


def _compare_binary(
    cases: BinaryCases, pairs: list[CandidatePair], metrics: list[str], survey: Survey
) -> Differences:
    if survey.plain:
        return cases.compare(pairs, metrics)
    return compare_designed(cases, pairs, metrics, weight=survey.weight, cluster=survey.cluster)


def _of_each_class(
    rows: Mapping[str, MulticlassRows],
    slicing: Slicing,
    pairs: list[CandidatePair],
    metrics: list[str],
    survey: Survey,
    *,
    error: float,
) -> Differences:
    """Compare by rates of a binary classifier that tells one class from the rest."""
    of_two = {str(METRICS[metric].per_class): metric for metric in metrics}
    found: Differences = {}
    for value in dict.fromkeys(chain.from_iterable(one.classes for one in rows.values())):
        against_rest = {name: one.against_rest(value) for name, one in rows.items()}
        cases = BinaryCases(
            {name: BinaryRows(*own, slicing) for name, own in against_rest.items()}, slicing, error
        )
        label, *_ = next(iter(against_rest.values()))
        absent = slicing.add_up(np.bincount(slicing.cell, label, slicing.cells)) == 0
        for (pair, name), difference in _compare_binary(cases, pairs, [*of_two], survey).items():
            metric = of_two[str(name)]
            found[pair, (metric, value)] = _said_of_class(difference, metric, value, absent)
    return found


def _said_of_class(
    difference: Difference, metric: str, value: Any, absent: BoolArray
) -> Difference:
    """Say of a class what was said of positives; without a case of it, it has no recall or F1."""
    estimate = difference.estimate
    never = f"class {value!r} is never predicted by"
    for group in np.flatnonzero(estimate.undefined):
        reason = str(estimate.reason[group])
        estimate.reason[group] = reason.replace("no predicted positives of", never)
    if metric in ("class_recall", "class_f1"):
        estimate.mark_undefined(absent, "")
        estimate.reason[absent] = f"no label of class {value!r}"
        difference = replace(
            difference,
            without_test=difference.without_test & ~absent,
            identical=difference.identical & ~absent,
        )
    return difference
