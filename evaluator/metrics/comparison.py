"""Candidates compared on the same cases: frames in, tidy tables of differences out."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from evaluator.metrics.checks import MetricsInputError
from evaluator.metrics.comparison_columns import Columns, Scores, chosen_metrics, differences
from evaluator.metrics.comparison_decisions import decide, margins_of
from evaluator.metrics.levels import cut
from evaluator.metrics.multiplicity import ADJUSTMENTS, Adjustment
from evaluator.metrics.paired_binary import Pair
from evaluator.metrics.registry import Task
from evaluator.metrics.rows import cluster_numbers


def compare_candidates(
    frame: pd.DataFrame,
    *,
    label: str,
    scores: Scores | None = None,
    predictions: Mapping[str, str] | None = None,
    baseline: str,
    slices: Sequence[str],
    task: Task = "binary_classification",
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
    adjust: Adjustment = "holm",
    margin: float | Mapping[str, float] | None = None,
    cluster: str | None = None,
    groups: Mapping[str, Sequence[Any]] | None = None,
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
    slices, task, groups
        As in `slice_metrics`.
    metrics
        Names from `evaluator.metrics.METRICS`; by default all that the columns permit and that
        have a paired test (there is none for the base rate, for calibration and for medians).
    confidence
        Nominal coverage of the intervals; what it leaves is the level of the tests.
    adjust
        "holm": the chance of any false finding is at most the level. "benjamini_hochberg": the
        expected share of false findings among the findings is at most the level. Either over all
        candidates and slices of one metric.
    margin
        The largest difference that does not matter, in the metric's own unit; one for all
        metrics, or some by name. With it come tests of equivalence (two one-sided tests) and of
        not being worse.
    cluster
        Column that says which cases belong together; clusters are then the independent units.

    Returns
    -------
    pandas.DataFrame
        One row for each candidate, level, slice and metric, with the columns

        ``candidate``, ``baseline``, ``level``, one column a slice column, ``metric``
            What is compared where.
        ``difference``
            Candidate less baseline; NaN where undefined.
        ``low``, ``high``
            Interval of this difference alone, in agreement with ``p_value``.
        ``p_value``
            Of "there is no difference", two-sided; NaN where there is no test.
        ``p_adjusted``
            Adjusted over the metric's candidates and slices.
        ``low_adjusted``, ``high_adjusted``
            Interval in agreement with ``p_adjusted``. A limit of exactly 0 excludes 0: the
            direction is shown, and nothing beyond it.
        ``p_equivalent``, ``p_not_worse``
            Adjusted p-values of "the difference is not within the margin" and "the candidate is
            worse by the margin or more"; NaN without a margin.
        ``n``, ``n_effective``
            Cases in the slice, and those that the metric rests on, as in `slice_metrics`.
        ``n_discordant``, ``better``, ``worse``
            Cases that the two treat differently, and those that the candidate treats better and
            worse: decided right instead of wrong, given a smaller loss, or ranked better against
            the other class.
        ``higher_is_better``
            The metric's direction; missing where it has none.
        ``conclusion``
            "better", "worse" ("higher", "lower" for a metric without direction), with the
            addition ", within the margin" where that is shown, too; "equivalent", "not worse";
            "no difference shown"; "not compared" where the difference is undefined.
        ``status``, ``reason``
            "ok"; "undefined", without a difference; "too_few", with a difference but no test.
            Differences of rates keep their interval where discordant cases are too few for a
            test. Too few never counts among the tests that are adjusted.

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
    return _compared(
        frame,
        pairs=[(name, baseline) for name in names if name != baseline],
        label=label,
        scores=scores,
        predictions=predictions,
        slices=slices,
        task=task,
        metrics=metrics,
        confidence=confidence,
        adjust=adjust,
        margin=margin,
        cluster=cluster,
        groups=groups,
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
    return _compared(frame, pairs=pairs, scores=scores, predictions=predictions, **settings)


def _candidates(scores: Scores | None, predictions: Mapping[str, str] | None) -> list[str]:
    names = list(dict.fromkeys([*(scores or {}), *(predictions or {})]))
    if len(names) < 2:  # noqa: PLR2004 - a comparison needs two
        raise MetricsInputError(f"a comparison needs two or more candidates, not {names}")
    return names


def _compared(
    frame: pd.DataFrame,
    *,
    pairs: list[Pair],
    label: str,
    slices: Sequence[str],
    scores: Scores | None = None,
    predictions: Mapping[str, str] | None = None,
    task: Task = "binary_classification",
    metrics: Sequence[str] | None = None,
    confidence: float = 0.95,
    adjust: Adjustment = "holm",
    margin: float | Mapping[str, float] | None = None,
    cluster: str | None = None,
    groups: Mapping[str, Sequence[Any]] | None = None,
) -> pd.DataFrame:
    """Read the columns, measure the differences, and decide."""
    if not 0 < confidence < 1:
        raise MetricsInputError(f"confidence must lie between 0 and 1, not {confidence}")
    if adjust not in ADJUSTMENTS:
        raise MetricsInputError(f"adjust must be one of {', '.join(ADJUSTMENTS)}, not {adjust!r}")
    candidates = _candidates(scores, predictions)
    columns = Columns(label, scores or {}, predictions or {}, task)
    wanted = chosen_metrics(metrics, candidates, columns)
    margins = margins_of(margin, wanted)
    slicing = cut(frame, slices, groups)
    clusters = None if cluster is None else cluster_numbers(frame, cluster)
    found = differences(
        frame, columns, slicing, pairs, wanted, error=1 - confidence, clusters=clusters
    )
    return decide(slicing, found, margins, confidence=confidence, adjust=adjust)
