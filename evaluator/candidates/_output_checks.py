"""What a candidate takes, held against what is declared of it."""

import re
from collections.abc import Sequence

import pandas as pd

from evaluator.candidates._faults import candidate_error, format_names
from evaluator.errors import CandidateError
from evaluator.spec import CandidateBase, FeatureCandidate


def check_names(
    candidate: FeatureCandidate, expected: Sequence[str], *, ordered: bool = True
) -> None:
    """Refuse declared features that are not those that the artifact was made for."""
    declared = candidate.features
    missing = [name for name in expected if name not in declared]
    extra = [name for name in declared if name not in expected]
    fix = f"write `features: [{', '.join(expected)}]`"
    parts = [
        f"the artifact takes {format_names(missing)}, which `features` lacks" if missing else "",
        f"`features` has {format_names(extra)}, which the artifact does not take" if extra else "",
    ]
    if missing or extra:
        raise candidate_error(candidate, "; ".join(filter(None, parts)), fix=fix)
    if ordered and tuple(expected) != declared:
        index = next(i for i, name in enumerate(expected) if declared[i] != name)
        raise candidate_error(
            candidate,
            f"its features stand in another order than the artifact takes them: column {index + 1}"
            f" is {declared[index]!r} and must be {expected[index]!r}",
            fix=fix,
        )


def check_count(candidate: FeatureCandidate, expected: int) -> None:
    """Refuse another number of features than an artifact without feature names takes."""
    if len(candidate.features) != expected:
        raise candidate_error(
            candidate,
            f"the artifact takes {expected} features, and `features` has {len(candidate.features)}"
            f" ({format_names(candidate.features)})",
            fix="list the columns that it was trained on, in that order",
        )


def is_text(column: pd.Series) -> bool:
    """Tell whether a column holds texts."""
    return bool(
        pd.api.types.is_string_dtype(column)
        or (column.dtype == object and any(isinstance(value, str) for value in column))
    )


def type_error(candidate: CandidateBase, column: pd.Series, expected: str) -> CandidateError:
    """Make the error of a column whose values an artifact does not take."""
    dtype = "text" if is_text(column) else str(column.dtype)
    present = column.dropna()
    example = f", such as {present.iloc[0]!r}" if len(present) else ""
    return candidate_error(
        candidate,
        f"its feature {column.name!r} holds {dtype}{example}, and the artifact takes {expected}",
        fix=f"declare the type that it was trained on, or take {column.name!r} out of `features`",
    )


def missing_values_error(candidate: CandidateBase, columns: pd.DataFrame) -> CandidateError:
    """Make the error of columns with missing values, which an artifact does not take."""
    counts = columns.isna().sum()
    listed = ", ".join(f"{name!r} in {count}" for name, count in counts[counts > 0].items())
    return candidate_error(
        candidate,
        f"of {len(columns)} cases it does not take the missing values of {listed}",
        fix="train it to take them, such as with an imputer, or make the column required",
    )


def feature_error(
    candidate: CandidateBase, features: pd.DataFrame, error: Exception
) -> CandidateError | None:
    """Make the error of the column that made scikit-learn fail, where its message shows which."""
    message = str(error)
    conversion = re.search(r"could not convert string to float: (.*)", message)
    if conversion:
        value = conversion[1].strip("'\"")
        texts = [name for name in features.columns if is_text(features[name])]
        with_value = [name for name in texts if (features[name].astype(str) == value).any()]
        if texts:
            return type_error(candidate, features[(with_value or texts)[0]], "numbers")
    if "NaN" in message and features.isna().to_numpy().any():
        return missing_values_error(candidate, features)
    return None
