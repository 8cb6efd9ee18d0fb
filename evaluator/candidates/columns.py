"""The columns that a candidate is given, held against those that it takes."""

import re
from collections.abc import Sequence

import pandas as pd

from evaluator.candidates.faults import fault, listed
from evaluator.errors import CandidateError
from evaluator.spec.candidates import CandidateBase, FeatureCandidate


def check_names(candidate: FeatureCandidate, taken: Sequence[str], *, ordered: bool = True) -> None:
    """Refuse declared features that are not those that the artifact was made for.

    Parameters
    ----------
    candidate
        What the YAML says of it.
    taken
        The artifact's own feature names, in its order.
    ordered
        Whether it takes them by position.

    Raises
    ------
    CandidateError
        Where features are missing, are too many, or stand in another order.
    """
    declared = candidate.features
    missing = [name for name in taken if name not in declared]
    extra = [name for name in declared if name not in taken]
    parts = [
        f"the artifact takes {listed(missing)}, which `features` lacks" if missing else "",
        f"`features` has {listed(extra)}, which the artifact does not take" if extra else "",
    ]
    if missing or extra:
        raise fault(
            candidate,
            "; ".join(filter(None, parts)),
            fix=f"write `features: [{', '.join(taken)}]`",
        )
    if ordered and tuple(taken) != declared:
        at = next(place for place, name in enumerate(taken) if declared[place] != name)
        raise fault(
            candidate,
            f"its features stand in another order than the artifact takes them: column {at + 1}"
            f" is {declared[at]!r} and must be {taken[at]!r}",
            fix=f"write `features: [{', '.join(taken)}]`",
        )


def check_count(candidate: FeatureCandidate, taken: int) -> None:
    """Refuse another number of features than an artifact without feature names takes."""
    if len(candidate.features) != taken:
        raise fault(
            candidate,
            f"the artifact takes {taken} features, and `features` has {len(candidate.features)}"
            f" ({listed(candidate.features)})",
            fix="list the columns that it was trained on, in that order",
        )


def is_text(column: pd.Series) -> bool:
    """Tell whether a column holds texts."""
    return bool(
        pd.api.types.is_string_dtype(column)
        or (column.dtype == object and any(isinstance(value, str) for value in column))
    )


def wrong_type(candidate: CandidateBase, column: pd.Series, wanted: str) -> CandidateError:
    """Make the error of a column whose values an artifact does not take."""
    given = "text" if is_text(column) else str(column.dtype)
    present = column.dropna()
    example = f", such as {present.iloc[0]!r}" if len(present) else ""
    return fault(
        candidate,
        f"its feature {column.name!r} holds {given}{example}, and the artifact takes {wanted}",
        fix=f"declare the type that it was trained on, or take {column.name!r} out of `features`",
    )


def missing_values(candidate: CandidateBase, columns: pd.DataFrame) -> CandidateError:
    """Make the error of columns with missing values, which an artifact does not take."""
    counts = columns.isna().sum()
    named = ", ".join(f"{name!r} in {count}" for name, count in counts[counts > 0].items())
    return fault(
        candidate,
        f"of {len(columns)} cases it does not take the missing values of {named}",
        fix="train it to take them, such as with an imputer, or make the column required",
    )


def explain(
    candidate: CandidateBase, features: pd.DataFrame, error: Exception
) -> CandidateError | None:
    """Tell which column made a scikit-learn estimator fail, where its words give it away."""
    words = str(error)
    text = re.search(r"could not convert string to float: (.*)", words)
    if text:
        texts = [name for name in features.columns if is_text(features[name])]
        value = text[1].strip("'\"")
        blamed = [name for name in texts if (features[name].astype(str) == value).any()] or texts
        if blamed:
            return wrong_type(candidate, features[blamed[0]], "numbers")
    if "NaN" in words and features.isna().to_numpy().any():
        return missing_values(candidate, features)
    return None
