"""What got worse: the same slices in two evaluation sets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluator.metrics._inputs import survey_of
from evaluator.metrics._two_sample import contrast
from evaluator.metrics._weak_slices._conditions import (
    conditions_from_json,
    conditions_to_json,
    describe_conditions,
    discretise,
    matching_rows,
)
from evaluator.metrics._weak_slices._weak_slices import (
    LossName,
    add_statuses,
    as_finding,
    case_losses,
    check_level,
    rank,
    some,
    weighed_cases,
)

_DTYPES = {
    "slice": "str",
    "conditions": "str",
    "n_before": "int64",
    "n_after": "int64",
    "loss_before": "float64",
    "loss_after": "float64",
    "worsening": "float64",
    "low": "float64",
    "high": "float64",
    "harm": "float64",
    "harm_low": "float64",
    "p_value": "float64",
    "p_adjusted": "float64",
    "status": "str",
    "reason": "str",
}


def worsened_slices(
    before: pd.DataFrame,
    after: pd.DataFrame,
    *,
    slices: Sequence[str],
    loss: LossName = "error_rate",
    label: str | None = None,
    score: str | Mapping[Any, str] | None = None,
    prediction: str | None = None,
    level: float = 0.10,
    cluster: str | None = None,
    weight: str | None = None,
) -> pd.DataFrame:
    """Say in which slices a candidate does worse on one evaluation set than on an earlier one.

    Parameters
    ----------
    before, after
        The cases of the two evaluation sets, in the same columns. They are taken as independent
        samples: a case that is in both has to be left out of one, or to be a cluster.
    slices
        The slices' conditions as JSON, such as the column `conditions` of `weak_slices`, or what
        `slice_definitions` gives; they mean the same in both sets. "[]" is all cases. Slices that
        were found on one of the two sets did worse on it than they do in the long run, and so
        seem to have got better, or worse, since.
    loss, label, score, prediction
        As in `weak_slices`; a loss by name.
    level
        The probability that even one slice is called worse although none is.
    cluster
        Column of what makes cases dependent, such as their user; one value may be in both sets.
    weight
        Column of how many cases each case stands for, on one scale in both sets. A case of weight
        zero is left out; where all others weigh the same, the weights say nothing.

    Returns
    -------
    pandas.DataFrame
        One row a slice: the worse ones first, by `harm_low`.

        ``slice``, ``conditions``
            In words, and as they were given.
        ``n_before``, ``n_after``, ``loss_before``, ``loss_after``, ``worsening``
            Cases and mean losses in either set, and the difference.
        ``low``, ``high``
            Limits of the worsening: Newcombe's for losses of 0 and 1, Welch's for others, with
            clusters or weights from how much clusters differ. Of all
            rows together, no lower limit is too high with a probability of 1 - level
            (Bonferroni), nor any upper limit too low.
        ``harm``, ``harm_low``
            Worsening and its lower limit, times `n_after` (with weights: times the share of all
            weight that the slice has, and all later cases).
        ``p_value``, ``p_adjusted``
            One-sided, Fisher's exact test for losses of 0 and 1, Welch's for others, with clusters
            or weights a test of how much clusters differ; adjusted by Holm over the slices.
        ``status``
            "worse": `p_adjusted` is at most the level and `low` is above 0; "not_shown"; or
            "too_few" without limits.
        ``reason``
            Why there are too few; missing otherwise.

    Raises
    ------
    MetricsInputError
        If a slice is described wrongly, or a column is absent or cannot be measured.
    """
    check_level(level)
    frames, parts = [], []
    for frame in (before, after):
        losses, counts = case_losses(frame, loss, label=label, score=score, prediction=prediction)
        frames.append(frame[counts])
        parts.append(losses[counts])
    read = [conditions_from_json(text) for text in slices]
    columns = list(dict.fromkeys(name for name in (cluster, weight) if name is not None))
    there, survey = survey_of(
        pd.concat([frame[columns] for frame in frames], ignore_index=True), weight, cluster
    )
    losses = np.concatenate(parts)[there]
    is_after = np.repeat([False, True], [len(part) for part in parts])[there]
    rows: list[dict[str, Any]] = []
    for text, conditions in zip(slices, read, strict=True):
        inside = np.concatenate([matching_rows(frame, conditions) for frame in frames])[there]
        found = contrast(
            losses[inside],
            is_after[inside],
            some(survey.cluster, inside),
            some(survey.weight, inside),
            error=level / len(slices),
        )
        cases = weighed_cases(inside[is_after], some(survey.weight, is_after))
        rows.append(
            {
                "slice": describe_conditions(conditions),
                "conditions": text,
                "n_before": found.n_rest,
                "n_after": found.n,
                "loss_before": found.rest_loss,
                "loss_after": found.loss,
                "worsening": found.excess,
            }
            | as_finding(found, cases)
        )
    add_statuses(rows, level, "worse", "not_shown")
    rows.sort(key=rank)
    return pd.DataFrame(rows, columns=list(_DTYPES)).astype(_DTYPES)


def slice_definitions(
    frame: pd.DataFrame, *, features: Sequence[str], minimum_support: int = 100
) -> list[str]:
    """List the slices of one condition that have cases enough, and all cases first.

    Each is a line of JSON, for `worsened_slices`.

    Parameters
    ----------
    frame
        The cases that the conditions are made from, such as the earlier evaluation set.
    features
        As in `weak_slices`.
    minimum_support
        The fewest cases of a slice in this frame.

    Returns
    -------
    list[str]
        "[]", which is all cases, and then by feature its conditions in the order of its values.

    Raises
    ------
    MetricsInputError
        If a column cannot be cut.
    """
    found = [conditions_to_json([])]
    for feature in discretise(frame, features, minimum_support=minimum_support):
        counted = np.bincount(feature.codes, minlength=len(feature.conditions))
        enough = np.flatnonzero((counted >= minimum_support) & (counted < len(frame)))
        found += [conditions_to_json([feature.conditions[code]]) for code in enough]
    return found
