"""Several candidates' predictions in one frame."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics._checks import MetricsInputError, column, first_few, refuse_rows

_KEY = "id"
_OWN = ("score", "prediction", "low", "high")


def paired_frame(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join the predictions of several candidates, case by case.

    Parameters
    ----------
    predictions
        By candidate, one row a case: its "id"; the candidate's own columns "score" (of several
        classes "score_0", "score_1" and so on), "prediction" or both, and its limits "low" and
        "high"; and columns that belong to the case, such as its label and slices.

    Returns
    -------
    pandas.DataFrame
        One row a case, in the first frame's order: the id, the columns of the case, and for each
        candidate "score of <candidate>", "prediction of <candidate>" and so on, as far as it has
        them.

    Raises
    ------
    MetricsInputError
        If there are fewer than two candidates; if an id is missing or occurs twice; if the
        candidates were run on different cases, or disagree on a case's label or slice: with the
        count and examples.
    """
    if len(predictions) < 2:  # noqa: PLR2004 - a pair needs two
        raise MetricsInputError(
            f"a comparison needs two or more candidates, not {list(predictions)}"
        )
    (first, reference), *others = predictions.items()
    keys = _keys(first, reference)
    shared = [name for name in reference.columns if not _is_own(name)]
    whole = reference[shared].reset_index(drop=True)
    whole = whole.assign(**_own_columns(first, reference))
    for name, frame in others:
        ordered = _in_order(first, keys, name, frame)
        theirs = [column for column in frame.columns if not _is_own(column)]
        if set(theirs) != set(shared):
            raise MetricsInputError(
                f"the cases of {first!r} have the columns {shared}, those of {name!r} {theirs}"
            )
        for each in shared:
            _refuse_contradiction(whole, ordered, each, (first, name))
        whole = whole.assign(**_own_columns(name, ordered))
    return whole


def _keys(name: str, frame: pd.DataFrame) -> "pd.Index[Any]":
    found = column(frame, _KEY)
    refuse_rows(found.isna().to_numpy(), f"{_KEY!r} of candidate {name!r} is missing")
    refuse_rows(found.duplicated().to_numpy(), f"{_KEY!r} of candidate {name!r} occurred before")
    index: pd.Index[Any] = pd.Index(found)
    return index


def _is_own(name: str) -> bool:
    return name in _OWN or name.startswith("score_")


def _own_columns(name: str, frame: pd.DataFrame) -> "dict[str, pd.Series[Any]]":
    own = {
        f"{each} of {name}": frame[each].reset_index(drop=True)
        for each in frame.columns
        if _is_own(each)
    }
    if not own:
        raise MetricsInputError(f"candidate {name!r} has neither a score nor a prediction column")
    return own


def _in_order(first: str, keys: "pd.Index[Any]", name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Give a candidate's rows in the order of the first one's keys."""
    # Mostly they are in this order already, which tells at once that no key is absent or twice.
    if keys.equals(pd.Index(column(frame, _KEY))):
        return frame.reset_index(drop=True)
    found = _keys(name, frame)
    # Asked this way round, the first candidate's keys are hashed once for all others.
    positions = keys.get_indexer(found)
    if len(found) != len(keys) or (positions < 0).any():
        _refuse_other_cases(first, keys, name, found)
    rows = np.empty(len(keys), dtype=np.intp)
    rows[positions] = np.arange(len(keys), dtype=np.intp)
    return frame.iloc[rows].reset_index(drop=True)


def _refuse_other_cases(
    first: str, keys: "pd.Index[Any]", name: str, found: "pd.Index[Any]"
) -> None:
    """Refuse to compare candidates that were run on different evaluation sets."""
    differences = []
    for has, lacks, extra in (
        (first, name, keys.difference(found)),
        (name, first, found.difference(keys)),
    ):
        if len(extra):
            what = f"{len(extra)} cases of {has!r} are none of {lacks!r}"
            differences.append(f"{what} ({first_few(extra)})")
    if differences:
        raise MetricsInputError(
            "candidates are compared on the same cases, and these are not:"
            f" {'; '.join(differences)}"
        )


def _refuse_contradiction(
    whole: pd.DataFrame, other: pd.DataFrame, name: str, pair: tuple[str, str]
) -> None:
    """Refuse candidates that disagree on what belongs to the case."""
    different = ~_same(whole[name], other[name])
    if different.any():
        cases = pd.Index(whole.loc[different, _KEY])
        raise MetricsInputError(
            f"{pair[0]!r} and {pair[1]!r} disagree on {name!r} of {len(cases)} cases "
            f"({first_few(cases)})"
        )


def _same(one: "pd.Series[Any]", two: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Tell row by row whether two columns hold the same; missing is the same as missing."""
    absent, also_absent = one.isna().to_numpy(), two.isna().to_numpy()
    same: NDArray[np.bool_] = absent & also_absent
    there = ~(absent | also_absent)
    if not there.all():
        one, two = one[there], two[there]
    if one.dtype != two.dtype:
        # What is of several types is compared value by value: converting to one of the types can
        # make two values equal that are not, as whole numbers above 2**53 to floats.
        one, two = one.astype(object), two.astype(object)
    same[there] = (one == two).to_numpy(dtype=bool)
    return same
