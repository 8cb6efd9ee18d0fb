"""The audit that a single file is checked by: what it holds, and what is asked of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from evaluator.errors import UsageError, check_is_file
from evaluator.intake import FoundSchema, find_schema, likely_positive
from evaluator.metrics import METRICS
from evaluator.scorecard import can_name_assets, can_name_partitions, plain_name
from evaluator.spec import (
    Audit,
    AuditSpec,
    DataSpec,
    RecordedCandidate,
    suggestion,
)

CHECK: Final = "check"
"""What the audit of a single file is called."""
BINARY: Final = "binary_classification"
_NUMBERS: Final = ("integer", "float", "decimal")
_MOST_FEATURES: Final = 12
"""Among the crosses of so many columns weak slices are searched in seconds."""
_SHOWN: Final = 5
_SAYS_NOTHING: Final = re.compile(r"(?i)yes|no|true|false|other|unknown|[\d.,+-]+|\w")
THRESHOLD: Final[float] = RecordedCandidate.model_fields["threshold"].default
_BY_THRESHOLD: Final = f"a score of {THRESHOLD:g} or more is taken for a positive decision"


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What of a file is asked.

    Attributes
    ----------
    label
        The column that holds the truth; None where there is none.
    score, prediction
        The columns of what the AI system gave: probabilities, decisions, or both.
    baseline
        The column of another system's probabilities or decisions on the same rows.
    geography, segment
        The columns by which the rows are divided.
    cluster
        The column of what rows that depend on each other have in common.
    positive
        The value of the label that counts as positive, as it stands in the file.
    at_least, at_most
        Limits by metric, over all rows; each is a gate.
    """

    label: str | None = None
    score: str | None = None
    prediction: str | None = None
    baseline: str | None = None
    geography: str | None = None
    segment: str | None = None
    cluster: str | None = None
    positive: str | None = None
    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are named, by what they are named for."""
        keys = ("label", "score", "prediction", "baseline", "geography", "segment", "cluster")
        return {key: name for key in keys if (name := getattr(self, key)) is not None}


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """A file, and the audit that it is checked by.

    Attributes
    ----------
    path
        The file.
    audit
        The audit; without a label it has no candidates.
    asked
        What it was made for.
    positive
        The positive value among decisions whose truth nobody knows; None where there are none.
    chosen
        What was chosen where nobody said it, as sentences without their full stops.
    """

    path: Path
    audit: Audit
    asked: CheckRequest
    positive: str | int | float | None
    chosen: Sequence[str]


def audit_of_file(path: Path, asked: CheckRequest) -> CheckedFile:
    """Make the audit that a file is checked by.

    Parameters
    ----------
    path
        CSV, TSV, Parquet or JSON Lines, also packed; an Excel workbook.
    asked
        Which of its columns are what.

    Returns
    -------
    CheckedFile
        Its audit could be written as YAML: each candidate is a recording of the file's rows.

    Raises
    ------
    UsageError
        Where a column, a value or a metric that is named is not there, or can be none such.
    IntakeError
        Where the file cannot be read.
    """
    check_is_file(path)
    dividing = [name for name in (asked.geography, asked.segment) if name is not None]
    others = [name for key, name in asked.columns.items() if name not in dividing]
    schema = find_schema(path, categories=dividing, outputs=others)
    _check_columns(asked, schema)
    if asked.label is not None:
        _check_label(asked.label, asked, schema)
    _check_outputs(asked, schema)
    _check_limits(asked)
    settings = _Settings(path, asked, schema)
    try:
        spec = AuditSpec.model_validate(settings.audit())
    except ValidationError as error:
        found = error.errors()[0]
        told = {"what": found["msg"], "fix": "name other columns", **found.get("ctx", {})}
        raise UsageError(told["what"], culprit=str(path), fix=told["fix"]) from error
    return CheckedFile(
        path=path,
        audit=Audit(CHECK, spec),
        asked=asked,
        positive=settings.positive,
        chosen=settings.chosen,
    )


class _Settings:
    """Writes the audit down, and notes what it chose."""

    def __init__(self, path: Path, asked: CheckRequest, schema: FoundSchema) -> None:
        self._path = path
        self._asked = asked
        self._schema = schema
        self._columns: dict[str, dict[str, Any]] = schema.settings["columns"]
        self.chosen: list[str] = list(schema.doubts)
        self.positive: str | int | float | None = None

    def audit(self) -> dict[str, Any]:
        """Say it as YAML would."""
        asked = self._asked
        dividing = {key: asked.columns.get(key) for key in ("geography", "segment")}
        found = {"data": self._data()} | {k: v for k, v in dividing.items() if v is not None}
        if asked.label is None:
            decided = self._schema.values[asked.prediction] if asked.prediction else None
            if asked.prediction is not None and decided and len(decided) == 2:  # noqa: PLR2004 - yes and no
                _check_positive(asked, decided)
                self.positive = self._positive(asked.prediction)
            elif asked.score is not None:
                self.chosen.append(_BY_THRESHOLD)
            return found
        label = {"column": asked.label, "positive": self._positive(asked.label)}
        candidates = self._candidates(DataSpec.model_validate(found["data"]).id_column)
        has_scores = any(candidate["score"] for candidate in candidates)
        measured = [
            name
            for name in AuditSpec.model_fields["metrics"].default
            if has_scores or METRICS[name].needs != "score"
        ]
        limited = [*asked.at_least, *asked.at_most]
        attributes = [name for name in dividing.values() if name is not None]
        features = self._features()
        gates = [
            {"metric": name, limit: value}
            for limit, limits in (("at_least", asked.at_least), ("at_most", asked.at_most))
            for name, value in limits.items()
        ]
        return found | {
            "description": f"Check of {self._path.name}",
            "label": label,
            "candidates": candidates,
            "metrics": [*measured, *dict.fromkeys(n for n in limited if n not in measured)],
            "fairness": {"attributes": attributes} if attributes else None,
            "weak_slices": {"features": features} if features else None,
            "gates": gates,
        }

    def _data(self) -> dict[str, Any]:
        asked = self._asked
        for key, name in asked.columns.items():
            # A row without a label is counted, and one without an output has nothing to measure.
            is_needed = asked.label is not None and key != "label"
            self._columns[name]["required"] = is_needed or key in ("geography", "segment")
        for key in ("geography", "segment"):
            self._name_values(asked.columns.get(key))
        ending = re.sub(r"[^A-Za-z0-9.]", "", "".join(self._path.suffixes[-2:]))
        unique = self._schema.unique
        if unique is None:
            self.chosen.append("no column identifies a row, so that its number in the file does")
        found = self._schema.settings | {
            "files": f"file{ending}",
            # Whatever its name says, it is looked at as it is.
            "first_day": None,
            "id": unique or {"row": "number"},
        }
        return found if asked.cluster is None else found | {"cluster": asked.cluster}

    def _name_values(self, column: str | None) -> None:
        """Call values by their column, too, that say nothing by themselves, such as yes and no."""
        values = (self._schema.values[column] or []) if column is not None else []
        names = {value: f"{column} {value}" for value in values}
        can_be_called = all(map(can_name_partitions, names.values()))
        if names and can_be_called and all(map(_SAYS_NOTHING.fullmatch, values)):
            self._columns[str(column)]["names"] = names

    def _positive(self, column: str) -> str | int | float:
        values = self._schema.values[column] or []
        positive = self._asked.positive
        if positive is None:
            positive = likely_positive(values)
            self.chosen.append(
                f"{column} is positive where it is {positive}"
                f" (otherwise it is {' or '.join(v for v in values if v != positive)})"
            )
        if self._columns[column]["type"] == "boolean":
            return _normal(positive) == 1
        return positive if self._columns[column]["type"] not in _NUMBERS else _normal(positive)

    def _candidates(self, id_column: str) -> list[dict[str, Any]]:
        asked = self._asked
        declared = [(asked.score, asked.prediction, False)]
        if asked.baseline is not None:
            decides = _is_decision(asked.baseline, asked, self._schema)
            columns = (None, asked.baseline) if decides else (asked.baseline, None)
            declared.append((*columns, True))
        names: list[str] = []
        candidates = []
        for score, prediction, is_baseline in declared:
            fallback = "baseline" if is_baseline else "candidate"
            name = _asset_name(score or prediction or "", fallback)
            names.append(name if name not in names else fallback)
            candidates.append(
                {
                    "name": names[-1],
                    "kind": "recorded",
                    "path": f"recordings/{names[-1]}.parquet",
                    "id": id_column,
                    "score": score,
                    "prediction": prediction,
                    "baseline": is_baseline,
                }
            )
        if any(score is not None and prediction is None for score, prediction, _ in declared):
            self.chosen.append(_BY_THRESHOLD)
        return candidates

    def _features(self) -> list[str]:
        asked = self._asked
        taken = {asked.columns.get(k) for k in ("label", "score", "prediction", "baseline")}
        taken |= {asked.cluster, self._schema.unique}
        kinds = ("category", "boolean", *_NUMBERS)
        usable = [
            name
            for name, column in self._columns.items()
            if name not in taken and column["type"] in kinds
        ]
        chosen = usable[:_MOST_FEATURES]
        if chosen:
            more = f", the first {len(chosen)} of {len(usable)}" if chosen != usable else ""
            self.chosen.append(f"weak slices are looked for by {', '.join(chosen)}{more}")
        return chosen


def _check_columns(asked: CheckRequest, schema: FoundSchema) -> None:
    """Refuse columns that are not there, or are named for two things."""
    columns = schema.settings["columns"]
    roles: dict[str, str] = {}
    for key, name in asked.columns.items():
        if name not in columns:
            raise UsageError(
                f"the file has no column {name!r}",
                culprit=f"--{key} {name}",
                fix=suggestion(name, columns, f"name one of: {', '.join(columns)}"),
            )
        if key != "cluster" and name in roles:
            raise UsageError(
                f"the column is the {roles[name]} already",
                culprit=f"--{key} {name}",
                fix="name another column",
            )
        roles.setdefault(name, key)
    for key in ("geography", "segment"):
        _check_divides(f"--{key}", asked.columns.get(key), schema)


def _check_outputs(asked: CheckRequest, schema: FoundSchema) -> None:
    """Refuse columns that hold neither scores nor decisions."""
    for key in ("score", "baseline"):
        name = asked.columns.get(key)
        decides = key == "baseline" and name is not None and _is_decision(name, asked, schema)
        if name is None or decides or schema.settings["columns"][name]["type"] in _NUMBERS:
            continue
        raise UsageError(
            f"the column holds no numbers{_such_as(schema.values[name])}",
            culprit=f"--{key} {name}",
            fix="name a column of probabilities from 0 to 1"
            + (", or of the label's values" if key == "baseline" else ", or give --prediction"),
        )
    if asked.label is None:
        return
    if asked.score is None and asked.prediction is None:
        raise UsageError(
            "nothing says what the AI system gave",
            culprit="evaluator check",
            fix="name its column of probabilities by --score, or of decisions by --prediction",
        )
    if asked.prediction is not None and not _is_decision(asked.prediction, asked, schema):
        found = _such_as(schema.values[asked.prediction])
        raise UsageError(
            f"the column holds other values than the label{found}",
            culprit=f"--prediction {asked.prediction}",
            fix=f"say it in the label's values{_such_as(schema.values[asked.label])}",
        )


def _check_limits(asked: CheckRequest) -> None:
    """Refuse limits for metrics that there are not, and verdicts without a truth."""
    limits = {"--at-least": asked.at_least, "--at-most": asked.at_most}
    known = [name for name, info in METRICS.items() if BINARY in info.tasks]
    for option, stated in limits.items():
        for name, limit in stated.items():
            culprit = f"{option} {name}={limit:g}"
            if name not in known:
                raise UsageError(
                    f"there is no metric {name!r}",
                    culprit=culprit,
                    fix=suggestion(name, known, f"use one of {', '.join(known)}"),
                )
            if asked.label is None:
                raise UsageError(
                    "without a label there is no metric to hold it against",
                    culprit=culprit,
                    fix="name the column that holds the truth by --label",
                )


def _check_divides(option: str, name: str | None, schema: FoundSchema) -> None:
    """Refuse a column by whose values rows are not divided into slices."""
    if name is None:
        return
    values = schema.values[name]
    if values is None:
        raise UsageError(
            "it has more than a thousand values, and slices of hardly any row each",
            culprit=f"{option} {name}",
            fix="name a column of few values",
        )
    unusable = next((value for value in values if not can_name_partitions(value)), None)
    if unusable is not None or not values:
        raise UsageError(
            "it has no values" if not values else f"its value {unusable!r} cannot name a slice",
            culprit=f"{option} {name}",
            fix="name another column, or write its values without | , [ ] / ...",
        )


def _check_label(label: str, asked: CheckRequest, schema: FoundSchema) -> None:
    """Refuse a label that has not two values, or not the one that counts as positive."""
    values = schema.values[label]
    if values is None or len(values) != 2:  # noqa: PLR2004 - a binary label
        many = "many" if values is None else len(values)
        raise UsageError(
            f"it has {many} different values{_such_as(values)}, and a label has two",
            culprit=f"--label {label}",
            fix="name the column that holds the truth, as 0 and 1 or as two words",
        )
    _check_positive(asked, values)


def _check_positive(asked: CheckRequest, values: Sequence[str]) -> None:
    """Refuse a positive value that is none of those that there are."""
    if asked.positive is not None and asked.positive not in values:
        raise UsageError(
            f"there is no such value, but {' and '.join(values)}",
            culprit=f"--positive {asked.positive}",
            fix=f"write {' or '.join(values)}, as it stands in the file",
        )


def _is_decision(name: str, asked: CheckRequest, schema: FoundSchema) -> bool:
    """Tell whether all values of a column are values of the label."""
    values = schema.values[name]
    labels = schema.values[asked.label] if asked.label is not None else None
    return bool(values) and {*map(_normal, values or ())} <= {*map(_normal, labels or ())}


def _normal(text: str) -> str | int | float:
    """Read a value as the numbers and truth values that it may spell; else it is a text."""
    truth = {"true": 1, "false": 0}.get(text.casefold())
    if truth is not None:
        return truth
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def _such_as(values: Sequence[str] | None) -> str:
    if not values:
        return ""
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return f" ({', '.join(map(repr, values[:_SHOWN]))}{more})"


def _asset_name(column: str, otherwise: str) -> str:
    """Call a candidate by its column, where a candidate can be called so."""
    name = plain_name(column)
    return name if can_name_assets(name) else otherwise
