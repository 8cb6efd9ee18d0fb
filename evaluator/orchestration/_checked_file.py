"""The audit that a single file is checked by: what it holds, and what is asked of it."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from evaluator.errors import UsageError, check_is_file
from evaluator.intake import FoundLabel, FoundSchema, find_schema
from evaluator.metrics import METRICS
from evaluator.scorecard import can_name_assets, can_name_partitions, plain_name
from evaluator.spec import (
    Audit,
    AuditSpec,
    BinaryTask,
    ColumnSpec,
    DataSpec,
    FoundColumn,
    LabelSpec,
    Task,
    TaskName,
    declared_task,
    find_task,
    likely_positive,
    suggestion,
)

CHECK: Final = "check"
"""What the audit of a single file is called."""
_NUMBERS: Final = ("integer", "float", "decimal")
_MOST_FEATURES: Final = 12
"""Among the crosses of so many columns weak slices are searched in seconds."""
_SHOWN: Final = 5
_SAYS_NOTHING: Final = re.compile(r"(?i)yes|no|true|false|other|unknown|[\d.,+-]+|\w")


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What of a file is asked.

    Attributes
    ----------
    label
        The column that holds the truth; None where there is none.
    task
        What is asked about the label; None where the label's values shall tell.
    score, prediction
        The columns of what the AI system gave: probabilities, decisions or numbers, or both. With
        `{class}` in it a score names a column for each of several classes.
    baseline
        The same of another system on the same rows: its probabilities or else its decisions.
    geography, segment
        The columns by which the rows are divided.
    cluster
        The column of what rows that depend on each other have in common.
    positive
        The value of the label that counts as positive, as it stands in the file.
    tolerance
        How far off a number may be that counts as near enough.
    abstains
        Whether a case whose prediction is missing was not answered.
    at_least, at_most
        Limits by metric, over all rows; each is a gate.
    """

    label: str | None = None
    task: TaskName | None = None
    score: str | None = None
    prediction: str | None = None
    baseline: str | None = None
    geography: str | None = None
    segment: str | None = None
    cluster: str | None = None
    positive: str | None = None
    tolerance: float | None = None
    abstains: bool = False
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
    decisions
        The values of decisions whose truth nobody knows and that are counted: each class by its
        name, or of two sides the positive one without a name.
    chosen
        What was chosen where nobody said it, as sentences without their full stops.
    """

    path: Path
    audit: Audit
    asked: CheckRequest
    decisions: Mapping[str, str | int | float]
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
    schema = find_schema(
        path, categories=dividing, outputs=others, label=asked.label, task=asked.task
    )
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
        decisions=settings.decisions,
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
        self.decisions: dict[str, str | int | float] = {}

    def audit(self) -> dict[str, Any]:
        """Say it as YAML would."""
        asked, found = self._asked, self._schema.label
        _check_columns(asked, self._schema)
        data = self._data()
        dividing = {key: asked.columns.get(key) for key in ("geography", "segment")}
        written = {"data": data} | {k: v for k, v in dividing.items() if v is not None}
        _check_limits(asked, BinaryTask if found is None else found.task)
        if found is None:
            self._note_decisions()
            return written
        column = self._with_predicted(found)
        label = {"column": column.name, **self._declared(found, column)}
        asks = declared_task(
            found.task.key,
            LabelSpec.model_validate(label),
            ColumnSpec.model_validate(self._columns[column.name]),
        )
        outputs = self._outputs(asks, column)
        columns = [name for one in outputs for name in _columns_in(one)]
        silent = {one.get("prediction") for one in outputs if one.get("abstains")}
        for name in columns:
            self._columns[name]["required"] = name not in silent
        has_scores = any(one.get("score") or one.get("scores") for one in outputs)
        measured = [
            name for name in asks.headline_metrics if has_scores or METRICS[name].needs != "score"
        ]
        limited = [*asked.at_least, *asked.at_most]
        attributes = [name for name in dividing.values() if name is not None]
        candidates = self._candidates(asks, outputs, DataSpec.model_validate(data).id_column)
        features = self._features({column.name, *columns})
        gates = [
            {"metric": name, limit: value}
            for limit, limits in (("at_least", asked.at_least), ("at_most", asked.at_most))
            for name, value in limits.items()
        ]
        return written | {
            "description": f"Check of {self._path.name}",
            "task": asks.key,
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
            if name in self._columns:
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
        values = (self._schema.columns[column].texts or ()) if column is not None else ()
        names = {value: f"{column} {value}" for value in values}
        can_be_called = all(map(can_name_partitions, names.values()))
        if names and can_be_called and all(map(_SAYS_NOTHING.fullmatch, values)):
            self._columns[str(column)]["names"] = names

    def _note_decisions(self) -> None:
        """Without a label, find out which decisions are positive, or which classes there are."""
        asked = self._asked
        _check_numbers("score", asked, self._schema)
        decided, task = self._schema.columns.get(asked.prediction or ""), None
        if decided is not None:
            with suppress(UsageError):
                task, _ = find_task(decided)
        if decided is not None and task is BinaryTask:
            self.decisions = {"": self._sides(decided)["positive"]}
        elif decided is not None and task is not None and "classes" in task.label_keys:
            self.decisions = decided.meanings
        elif asked.score is not None:
            self.chosen.append(BinaryTask.by_scores)

    def _with_predicted(self, found: FoundLabel) -> FoundColumn:
        """Return the label with the classes that are predicted and that no row is of."""
        label = found.column
        for name in (self._asked.prediction, self._asked.baseline):
            other = self._schema.columns.get(name or "")
            if other is None or "classes" not in found.task.label_keys:
                continue
            more = other.beyond(label)
            is_like = not label.is_number or other.is_whole
            if not more or not other.read & label.read or not is_like:
                continue
            label = label._replace(texts=[*(label.texts or ()), *more])
            if not label.is_number:
                self._columns[label.name]["allowed"] = label.texts
            self.chosen.append(f"{name} has classes that no row is of: {', '.join(more)}")
        return label

    def _declared(self, found: FoundLabel, column: FoundColumn) -> dict[str, Any]:
        """Say what the label is, and note why."""
        asked, task = self._asked, found.task
        for key in ("positive", "tolerance"):
            if getattr(asked, key) is not None and key not in task.label_keys:
                raise UsageError(
                    f"it says nothing of a {task.key} task",
                    culprit=f"--{key} {getattr(asked, key)}",
                    fix="leave it out, or say which --task it is",
                )
        missing = [text for text in self._columns[column.name].get("missing_values", ()) if text]
        if missing:
            self.chosen.append(f"{', '.join(missing)} as {column.name} is taken for missing")
        if "positive" in task.label_keys:
            return self._sides(column)
        if found.likely is not None:
            self.chosen.append(
                f"{column.name} is taken for the label of a {task.key} task, since"
                f" {found.likely.why}; --task says otherwise"
            )
        said = {} if asked.tolerance is None else {"tolerance": asked.tolerance}
        return {**task.declared(column), **said}

    def _sides(self, column: FoundColumn) -> dict[str, Any]:
        """Say which value is positive, and note it where nobody said so."""
        values, positive = column.texts or (), self._asked.positive
        if positive is not None and positive not in values:
            raise UsageError(
                f"there is no such value, but {' and '.join(values)}",
                culprit=f"--positive {positive}",
                fix=f"write {' or '.join(values)}, as it stands in the file",
            )
        if positive is None:
            positive = likely_positive(values)
            self.chosen.append(
                f"{column.name} is positive where it is {positive}"
                f" (otherwise it is {' or '.join(v for v in values if v != positive)})"
            )
        return BinaryTask.declared(column._replace(positive=positive))

    def _outputs(self, asks: Task, label: FoundColumn) -> list[dict[str, Any]]:
        """Say which columns are outputs: the system's, and the baseline's if there is one."""
        asked, columns = self._asked, self._schema.columns
        baseline = columns.get(asked.baseline or "")
        decides = baseline is not None and asks.unlike(baseline, label) is None
        _check_numbers("score", asked, self._schema)
        if not decides:
            _check_numbers("baseline", asked, self._schema)
        numbers = {name: column for name, column in columns.items() if column.is_number}
        abstains = {"abstains": True} if asked.abstains else {}
        own = {**asks.named_scores(asked.score, numbers), "prediction": asked.prediction}
        if asked.score is None and asked.prediction is None:
            own = self._found_scores(asks, numbers)
        if asked.prediction is not None:
            unlike = asks.unlike(columns[asked.prediction], label)
            if unlike is not None:
                raise UsageError(
                    unlike,
                    culprit=f"--prediction {asked.prediction}",
                    fix=f"say it in the label's values{label.such_as}",
                )
        if asked.baseline is None:
            return [own | abstains]
        if decides:
            other = asks.named_scores(None, ()) | {"prediction": asked.baseline} | abstains
        else:
            other = asks.named_scores(asked.baseline, numbers) | {"prediction": None}
        return [own | abstains, other]

    def _found_scores(self, asks: Task, numbers: Mapping[str, FoundColumn]) -> dict[str, Any]:
        """Find the scores of each class, which one column alone could not be known for."""
        found = [one for one in asks.find_scores(numbers) if "scores" in one]
        if len(found) != 1:
            each = "; score_{class} names a column for each class" if asks.classes else ""
            raise UsageError(
                "nothing says what the AI system gave",
                culprit="evaluator check",
                fix="name its column of probabilities by --score, or of decisions or numbers by"
                f" --prediction{each}",
            )
        columns = [*found[0]["scores"].values()]
        more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
        self.chosen.append(f"its scores are taken from {', '.join(columns[:_SHOWN])}{more}")
        return found[0]

    def _candidates(
        self, asks: Task, outputs: Sequence[dict[str, Any]], id_column: str
    ) -> list[dict[str, Any]]:
        asked = self._asked
        names: list[str] = []
        candidates = []
        for keys, column, fallback in zip(
            outputs,
            (asked.score or asked.prediction, asked.baseline),
            ("candidate", "baseline"),
            strict=False,
        ):
            name = _asset_name((column or "").replace("{class}", ""), fallback)
            names.append(name if name not in names else fallback)
            candidates.append(
                {
                    "name": names[-1],
                    "kind": "recorded",
                    "path": f"recordings/{names[-1]}.parquet",
                    "id": id_column,
                    **keys,
                    "baseline": fallback == "baseline",
                }
            )
        if any(one.get("prediction") is None for one in outputs):
            self.chosen.append(asks.by_scores)
        return candidates

    def _features(self, taken: set[str]) -> list[str]:
        kinds = ("category", "boolean", *_NUMBERS)
        usable = [
            name
            for name, column in self._columns.items()
            if name not in {*taken, self._asked.cluster, self._schema.unique}
            and column["type"] in kinds
        ]
        chosen = usable[:_MOST_FEATURES]
        if chosen:
            more = f", the first {len(chosen)} of {len(usable)}" if chosen != usable else ""
            self.chosen.append(f"weak slices are looked for by {', '.join(chosen)}{more}")
        return chosen


def _columns_in(outputs: Mapping[str, Any]) -> list[str]:
    """List the columns that a candidate's keys name."""
    named = (*outputs.get("scores", {}).values(), outputs.get("score"), outputs.get("prediction"))
    return [name for name in named if name is not None]


def _check_columns(asked: CheckRequest, schema: FoundSchema) -> None:
    """Refuse columns that are not there, or are named for two things."""
    columns = schema.columns
    roles: dict[str, str] = {}
    if asked.label is None:
        for key in ("task", "tolerance", "abstains"):
            if getattr(asked, key) not in (None, False):
                raise UsageError(
                    "it says something of a label, and there is none",
                    culprit=f"--{key}",
                    fix="name the column that holds the truth by --label",
                )
    for key, name in asked.columns.items():
        if name not in columns:
            has_classes = schema.label is not None and "classes" in schema.label.task.label_keys
            if "{class}" in name and has_classes and key in ("score", "baseline"):
                continue
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


def _check_numbers(key: str, asked: CheckRequest, schema: FoundSchema) -> None:
    """Refuse a column of scores that holds no numbers."""
    column = schema.columns.get(asked.columns.get(key, ""))
    if column is None or column.is_number:
        return
    raise UsageError(
        f"the column holds no numbers{column.such_as}",
        culprit=f"--{key} {column.name}",
        fix="name a column of probabilities from 0 to 1"
        + (", or of the label's values" if key == "baseline" else ", or give --prediction"),
    )


def _check_limits(asked: CheckRequest, task: type[Task]) -> None:
    """Refuse limits for metrics that there are not, and verdicts without a truth."""
    limits = {"--at-least": asked.at_least, "--at-most": asked.at_most}
    known = task.metrics()
    for option, stated in limits.items():
        for name, limit in stated.items():
            culprit = f"{option} {name}={limit:g}"
            if name not in known:
                raise UsageError(
                    f"there is no metric {name!r}"
                    + (f" of a {task.key} task" if name in METRICS else ""),
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
    values = schema.columns[name].texts
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


def _asset_name(column: str, otherwise: str) -> str:
    """Call a candidate by its column, where a candidate can be called so."""
    name = plain_name(column)
    return name if can_name_assets(name) else otherwise
