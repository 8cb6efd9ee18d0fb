"""The errors that a candidate causes, each with its name, and the checks that kinds share."""

import re
from collections.abc import Sequence
from pathlib import Path
from reprlib import Repr
from typing import Final

import pandas as pd

from evaluator.errors import CandidateError
from evaluator.spec import CandidateBase, FeatureCandidate

_MAX_MESSAGE_LENGTH: Final = 2000
"""Characters of somebody else's message that an error repeats."""
_MAX_NAMES: Final = 5
_SHORT: Final = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200


class TransientCandidateError(CandidateError):
    """A candidate that could not be reached now, and may be reached later."""

    fault = "machine"


class CandidateCrashError(CandidateError):
    """A candidate whose own code raised something, or whose process was ended."""


class CandidateTimeoutError(CandidateError):
    """A candidate that took longer than it may, and is not asked the same again at once."""


def candidate_error(candidate: CandidateBase, what: str, *, fix: str) -> CandidateError:
    """Make the error of a candidate."""
    return CandidateError(_sentence(what), culprit=f"candidate {candidate.name}", fix=fix)


def transient_error(candidate: CandidateBase, what: str, *, fix: str) -> TransientCandidateError:
    """Make the error of a candidate; it may be gone at the next try."""
    return TransientCandidateError(_sentence(what), culprit=f"candidate {candidate.name}", fix=fix)


def crash_error(candidate: CandidateBase, what: str, *, fix: str) -> CandidateCrashError:
    """Make the error of a candidate's own code."""
    return CandidateCrashError(_sentence(what), culprit=f"candidate {candidate.name}", fix=fix)


def error_from_exception(
    candidate: CandidateBase, error: BaseException, phase: str
) -> CandidateError:
    """Make the error of what a candidate's own code raised while loading or scoring."""
    message = " ".join(str(error).split())
    what = f"it raised {type(error).__name__}{': ' if message else ''}{message} while {phase}"
    if isinstance(error, ConnectionError | TimeoutError):
        fix = "look after what the candidate talks to, and run the slice again"
        return transient_error(candidate, what, fix=fix)
    return crash_error(
        candidate, what, fix="mend the candidate's code; the evidence has its whole trace"
    )


def copy_error(error: CandidateError) -> CandidateError:
    """Make an equal error, which can be raised once more without the trace of the first time."""
    return type(error)(error.what, culprit=error.culprit, fix=error.fix)


def _sentence(text: str) -> str:
    """Make one line that can be stored of a text that repeats what somebody else wrote."""
    # A text of JSON or YAML may hold halves of characters, which no file can.
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).encode(errors="backslashreplace").decode()
    return text if len(text) <= _MAX_MESSAGE_LENGTH else f"{text[:_MAX_MESSAGE_LENGTH]} ..."


def format_names(names: Sequence[object]) -> str:
    """List some names, and say how many more there are; of a long or deep one its beginning."""
    shown = ", ".join(_SHORT.repr(name) for name in names[:_MAX_NAMES])
    more = len(names) - _MAX_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def artifact_path(candidate: CandidateBase, home: Path) -> Path:
    """Return where the artifact lies; a relative path starts at the platform's home."""
    return home / candidate.source


def existing_artifact(candidate: CandidateBase, home: Path) -> Path:
    """Return where the artifact lies, and refuse one that is not there."""
    path = artifact_path(candidate, home)
    if not path.is_file():
        raise candidate_error(
            candidate,
            f"its artifact {path} is not there",
            fix=f"put the file there, or correct `path` of {candidate.name} in the audit's YAML",
        )
    return path


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
