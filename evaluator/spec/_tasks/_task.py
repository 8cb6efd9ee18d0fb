"""The label, and the task that it sets: what candidates are asked, and what follows from it."""

import math
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from evaluator.errors import CandidateError, UsageError
from evaluator.metrics import FAIRNESS_MEASURES, METRICS, Task as MetricsTask
from evaluator.spec._base import LabelValue, LabelValues, SpecModel, problem
from evaluator.spec._candidates import CandidateBase, RecordedCandidate
from evaluator.spec._columns import NUMBER_TYPES, TIME_TYPES, ColumnSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    Array: TypeAlias = np.ndarray

TaskName = Literal["binary", "multiclass", "ranking", "regression"]
Loss = Literal[
    "error_rate",
    "false_negative_rate",
    "false_positive_rate",
    "log_loss",
    "brier",
    "absolute_error",
    "squared_error",
    "ndcg_shortfall",
]
Classes: TypeAlias = Sequence[Any]

_SHOWN: Final = 5
"""How many values an error names."""
_NAMED: Final = 8
"""How many classes or columns an error names."""

LIMIT_KEYS: Final = ("limits", "low", "high")
"""The keys of candidates that say something of limits that they give."""
UNKNOWN_LABEL: Final = -1
"""Stands for a value that is none of the label's."""
ABSTAINED: Final = -2
"""Stands for the decision of a candidate that did not answer."""


SEVERAL_LABELS: Final = (
    "a case has one label, and several labels a case are not audited",
    "declare an audit for each of them, which tells the cases that have it from the others",
)
"""What is wrong with several labels, and how to mend it."""


class LabelSpec(SpecModel):
    """Where the truth stands."""

    column: str = Field(examples=["late"])
    """The declared column that holds the label, of `data` or, where these are declared, of
    `labels`. A row where it is missing is valid, and is not scored."""

    positive: LabelValue = Field(default=1, examples=[1, True, "late"])
    """Of a binary task: the label's value that counts as positive."""

    negative: LabelValues | None = Field(default=None, examples=[0, ["on time", "early"]])
    """Of a binary task: the value that counts as negative, or a list of them. Without it these are
    the other values that the column allows; where it lists none, the one other value that the whole
    evaluation set has, or of several 0 beside 1. A label that is neither is refused."""

    classes: tuple[LabelValue, ...] | None = Field(
        default=None, min_length=2, examples=[["low", "medium", "high"]]
    )
    """Of a multiclass task: all classes, in their order where they have one. Without it these are
    the values that the column allows. A label that is none of them is refused."""

    tolerance: float | None = Field(
        default=None, ge=0, strict=True, allow_inf_nan=False, examples=[15.0]
    )
    """Of a regression: how far off a number may be, in the label's unit, that counts as near
    enough. The metric `within_tolerance`, the fairness measure `tolerance_gap` and the page's list
    of cases that only one of candidate and baseline gets right need it."""

    @field_validator("column", mode="before")
    @classmethod
    def _is_one_column(cls, column: Any) -> Any:
        if isinstance(column, list):
            raise problem("label.column", *SEVERAL_LABELS)
        return column

    @model_serializer(mode="wrap")
    def _only_what_is_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What was certified before these could be declared says the same.
        said: dict[str, Any] = handler(self)
        later = ("classes", "tolerance")
        return {name: one for name, one in said.items() if name not in later or one is not None}


class RecordedColumns(NamedTuple):
    """Which columns of a recording are a candidate's outputs."""

    numbers: tuple[str, ...]
    """Those that a scorer would give, in its order."""
    decision: str | None
    """That of decisions; None where these follow from the numbers."""


class FoundColumn(NamedTuple):
    """A column as a file has it, before anybody said what it means."""

    name: str
    type: str
    """As `ColumnSpec` has it."""
    texts: Sequence[str] | None
    """The different values of its type, as they stand in the file; None where they are many."""
    rows: int
    """How many rows have one."""
    positive: str | None = None
    """The value that somebody calls positive."""

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.type in NUMBER_TYPES

    @property
    def is_time(self) -> bool:
        """Whether it holds dates or times."""
        return self.type in TIME_TYPES

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers, however they are spelt, and not too many to tell."""
        return self.is_number and all(isinstance(one, int) for one in self.read or (0.5,))

    @property
    def meanings(self) -> dict[str, int | float | str]:
        """Its values as a column of its type has them, by how they stand in the file."""
        return {text: value_of(text) if self.is_number else text for text in self.texts or ()}

    @property
    def read(self) -> set[int | float | str]:
        """Its values as the numbers and truth values that they may spell; else as texts."""
        return {value_of(text) for text in self.texts or ()}

    def beyond(self, other: "FoundColumn") -> list[str]:
        """List its values that another column has not."""
        known = other.read
        return [text for text in self.texts or () if value_of(text) not in known]

    @property
    def such_as(self) -> str:
        """Some of its values in brackets, for a message; nothing where they are many."""
        if not self.texts:
            return ""
        more = len(self.texts) - _SHOWN
        shown = ", ".join(map(shortened, self.texts[:_SHOWN]))
        return f" ({shown}{f' and {more} more' if more > 0 else ''})"


class Likely(NamedTuple):
    """Why a column is taken for a task's label."""

    why: str
    """As a sentence about it, without its full stop."""
    otherwise: TaskName | None = None
    """Of which other task it may as well be the label."""


class Task(ABC):
    """What candidates are asked about each case, and all that follows from it.

    Whoever reads an artifact hands over what it gave, and gets back outputs: what a `Scorer` gives.
    Of these, and of decisions where a candidate makes them itself, follows what is stored. A fault
    of a candidate is a `CandidateError` that names it.

    Parameters
    ----------
    label
        Where the truth stands.
    classes
        The label's classes by their names, in order; empty where it has none.
    limits_level
        With which probability the limits that candidates give are meant to hold the label; None
        where nobody says so.
    """

    key: ClassVar[TaskName]
    """As the YAML has it."""
    name: ClassVar[MetricsTask]
    """As `evaluator.metrics` has it."""
    version: ClassVar[int] = 1
    """Raised when its metrics give other figures for the same predictions."""
    label_keys: ClassVar[frozenset[str]]
    """The keys of `label` that say something of this task."""
    decision_type: ClassVar[str]
    """The type in which decisions come from a scorer."""
    method: ClassVar[Literal["predict_proba", "predict"]]
    """What an estimator of scikit-learn is asked by."""
    headline_metrics: ClassVar[tuple[str, ...]]
    """What is measured where the YAML names nothing."""
    any_metric: ClassVar[str]
    """A metric for which labels and predictions are enough."""
    any_comparison: ClassVar[str]
    """A metric by which any two candidates can be compared."""
    any_measure: ClassVar[str]
    """A fairness measure for which predictions are enough."""
    calibration_error: ClassVar[str] = "expected_calibration_error"
    """What a gate on calibration looks at where the YAML names nothing."""
    losses: ClassVar[tuple[Loss, ...]]
    """By what weak slices can be searched, the usual one first."""
    losses_of_scores: ClassVar[tuple[Loss, ...]] = ()
    """Those of them that need scores."""
    gaps_are_shares: ClassVar[bool] = True
    """Whether groups are compared by shares of cases, whose differences are below 1."""
    unknown_fix: ClassVar[str] = (
        "say under `label_values` what it means by them, texts quoted, or name another column"
        " under `prediction`"
    )
    """How to mend a recording whose decisions are none."""
    case_figure: ClassVar[str] = "score"
    """What the page tells of a single case beside its prediction."""
    does_right: ClassVar[str] = "decides rightly"
    """What is said of a candidate on a case that `are_right` holds for right."""
    pictures: ClassVar[tuple[str, ...]]
    """The scorecard's tables beside the figures that there are of each candidate."""
    claims_are_answers: ClassVar[bool] = False
    """Whether `claims` are of a candidate's answers; otherwise of cases that are positive."""

    by_scores: ClassVar[str] = ""
    """How predictions follow from scores where nothing else is said, as a sentence."""
    outputs: ClassVar[str] = "outputs"
    """What is looked for in a recording, as the object of a sentence."""
    example_outputs: ClassVar[str] = "prediction: prediction"
    """What a recording may declare, as YAML."""

    def __init__(
        self, label: LabelSpec, classes: tuple[str, ...] = (), limits_level: float | None = None
    ) -> None:
        self.label = label
        self.classes = classes
        self.limits_level = limits_level

    @classmethod
    def metrics(cls) -> tuple[str, ...]:
        """Return the metrics that fit, by their names; of families with a number the usual ones."""
        return tuple(filter(cls.has_metric, METRICS))

    @classmethod
    def has_metric(cls, metric: str) -> bool:
        """Tell whether a metric fits."""
        return cls.name in METRICS[metric].tasks

    def classes_of(self, metric: str) -> tuple[str | None, ...]:
        """Name the classes that a metric has a value of; None alone where it has one over all."""
        return self.classes if METRICS[metric].per_class else (None,)

    @classmethod
    def likely(cls, found: FoundColumn) -> Likely | None:
        """Tell why a column is likely its label; None where it is not."""
        return None if cls.lacks(found) else Likely("its values fit")

    @classmethod
    def lacks(cls, found: FoundColumn) -> str | None:
        """Tell what a column of several values lacks to be its label; None where it can be."""
        return f"{found.name!r} alone says nothing of a {cls.key} task"

    @classmethod
    def lists_values(cls, found: FoundColumn) -> bool:  # noqa: ARG003 - it is what others look at
        """Tell whether a label is best declared as a category that lists its values."""
        return False

    @classmethod
    def declared(cls, found: FoundColumn) -> dict[str, Any]:  # noqa: ARG003 - as above
        """Say what stands in a label's YAML beside its column."""
        return {}

    def unlike(self, found: FoundColumn, label: FoundColumn) -> str | None:
        """Tell why a column holds no predictions; None where it does, in the label's words."""
        if found.texts and not found.beyond(label):
            return None
        return f"the column holds other values than the label{found.such_as}"

    def find_scores(self, shares: Mapping[str, FoundColumn]) -> list[dict[str, Any]]:
        """Find what a recording may declare of scores, among columns of numbers from 0 to 1."""
        return []

    def named_scores(self, stated: str | None, numbers: Collection[str]) -> dict[str, Any]:
        """Say what a recording declares of scores in columns of numbers that are named so.

        Raises
        ------
        UsageError
            Where something is named, and there are no scores, or columns lack.
        """
        if stated is None:
            return {}
        raise UsageError(
            f"of a {self.key} task there are no scores",
            culprit=stated,
            fix="name the column of what was given by --prediction, or say which --task it is",
        )

    def in_other_words(self, texts: Collection[str]) -> dict[str, Any] | None:
        """Say what `label_values` decisions have that are not the label's; None if nobody knows."""
        return None

    def settings(self, candidate: CandidateBase) -> dict[str, Any]:
        """Return what its predictions follow from, as they are declared of a candidate."""
        return {}

    def check_options(self, metrics: Sequence[str], measures: Sequence[str]) -> None:
        """Refuse metrics and fairness measures that need what nobody says."""
        needed = {f"the metric {name}": METRICS[name].option for name in metrics}
        needed |= {f"the measure {name}": FAIRNESS_MEASURES[name].option for name in measures}
        for what, option in needed.items():
            if option == "tolerance" and self.label.tolerance is None:
                raise problem(
                    "label.tolerance",
                    f"{what} needs it",
                    "say how far off a number may be, in the label's unit",
                )
            if option == "limits_level" and self.limits_level is None:
                raise problem(
                    "limits_level",
                    f"{what} needs it",
                    "say with which probability limits are meant to hold the truth, such as 0.9",
                )

    @classmethod
    def fairness_measures(cls) -> tuple[str, ...]:
        """Return the measures that fit, by their names."""
        return tuple(name for name, one in FAIRNESS_MEASURES.items() if cls.name in one.tasks)

    def comparable(self, metrics: Sequence[str]) -> list[str]:
        """Keep the metrics that have a paired test."""
        return [name for name in metrics if METRICS[name].no_paired_test is None]

    @property
    @abstractmethod
    def truth(self) -> str:
        """What is true, as a sentence for a report."""

    @abstractmethod
    def decision(self, candidate: CandidateBase) -> str:
        """Say how a candidate's predictions come about, for a report."""

    @abstractmethod
    def check_column(self, column: ColumnSpec) -> None:
        """Refuse a label that a column of this type or of these values cannot be."""

    def check_label(self) -> None:
        """Refuse keys of the label that say something of another task."""
        others = sorted(self.label.model_fields_set - self.label_keys - {"column"})
        if others:
            raise problem(
                f"label.{others[0]}",
                f"it says nothing of a {self.key} task",
                "take it out, or declare the `task` that it is of",
            )

    @abstractmethod
    def check_candidate(self, key: str, candidate: CandidateBase) -> None:
        """Refuse keys of a candidate that say something of another task, and those that lack."""

    @abstractmethod
    def knowing(self, column: ColumnSpec, labels: "pa.ChunkedArray") -> "Task":
        """Return the task with all of the label's values: those declared, or else those there are.

        Parameters
        ----------
        column
            The label's column, as it is declared.
        labels
            It in the whole evaluation set, where some may be missing.

        Raises
        ------
        IntakeError
            Where some labels are none of the declared values, or nothing says what they mean.
        """

    @abstractmethod
    def encode_labels(self, labels: "pa.ChunkedArray") -> "pa.ChunkedArray":
        """Turn labels of whose values the task knows into those that are stored."""

    @abstractmethod
    def columns(self, candidate: CandidateBase) -> tuple[tuple[str, str, str], ...]:
        """Name what is stored of each case: columns, types and descriptions, id and label first."""

    def output_columns(self, candidate: CandidateBase) -> list[str]:
        """Name what is stored of each case beside id and label."""
        return [name for name, *_ in self.columns(candidate)][2:]

    @abstractmethod
    def metric_columns(self, candidate: CandidateBase, form: str = "{}") -> dict[str, Any]:
        """Say where label and outputs stand, as the functions of `evaluator.metrics` take it.

        Parameters
        ----------
        candidate
            Whose outputs.
        form
            What a stored column is called there.
        """

    def limit_columns(self, candidate: CandidateBase, form: str = "{}") -> tuple[str, str] | None:
        """Say in the same way where the limits stand that a candidate gives; None without any."""
        return (form.format("low"), form.format("high")) if candidate.gives_limits else None

    @property
    def metric_options(self) -> dict[str, Any]:
        """What else metrics need, as those functions take it that measure and compare them."""
        return {}

    @abstractmethod
    def gives_scores(self, candidate: CandidateBase) -> bool:
        """Tell whether there are scores of it beside its predictions."""

    def lacking(self, candidate: CandidateBase, needs: str) -> str | None:
        """Say why a candidate has not what metrics need (`MetricInfo.needs`); None where it has."""
        if needs == "score" and not self.gives_scores(candidate):
            return f"{candidate.name} gives decisions and no scores"
        if needs == "limits" and not candidate.gives_limits:
            return f"{candidate.name} gives numbers and no limits"
        return None

    def decides(self, candidate: CandidateBase) -> bool:
        """Tell whether it makes decisions itself, beside its outputs or instead of them."""
        return candidate.decides

    def may_abstain(self, candidate: RecordedCandidate) -> bool:
        """Tell whether a recording may have no decision for a case."""
        return False

    @abstractmethod
    def shape(self, candidate: CandidateBase, cases: int) -> tuple[int, ...]:
        """Return the shape of the outputs for so many cases."""

    @abstractmethod
    def recorded(self, candidate: RecordedCandidate) -> RecordedColumns:
        """Tell which columns of a recording are outputs."""

    @abstractmethod
    def read_texts(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Turn decisions that were recorded as texts into those of a scorer.

        What is none of the label's values becomes `UNKNOWN_LABEL`.
        """

    @abstractmethod
    def recorded_labels(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Turn labels that were recorded as texts into those of the evaluation set; others None."""

    @abstractmethod
    def describe_unknown(self, candidate: CandidateBase, unknown: Iterable[Any]) -> str:
        """Say of values that are none of the label's what they are, how often, and what is taken.

        It goes on from their number: "3 of 7 decisions ...".
        """

    # A task that no model can answer refuses all in `check_candidate`, and is never asked these.

    def check_classes(self, candidate: CandidateBase, classes: Classes) -> None:
        """Refuse a classifier of other classes."""
        raise NotImplementedError

    def scores_of_matrix(
        self, candidate: CandidateBase, classes: Classes, matrix: "Array", cases: int
    ) -> "Array":
        """Return the outputs out of what an estimator's `method` gave."""
        raise NotImplementedError

    def scores_of_columns(
        self, candidate: CandidateBase, classes: Classes, columns: "Sequence[Array]"
    ) -> "Array":
        """Return the outputs out of a column of probabilities a class."""
        raise NotImplementedError

    def scores_of_array(
        self, candidate: CandidateBase, classes: Classes, array: "Array"
    ) -> "Array":
        """Return the outputs out of an array; classes are those that the YAML lists, if it does."""
        raise NotImplementedError

    @abstractmethod
    def scores_of_answers(self, candidate: CandidateBase, answers: Sequence[Any]) -> "Array":
        """Return the outputs out of what an endpoint said of each case, as JSON has it."""

    def check_labels(
        self, candidate: CandidateBase, classes: Classes, labels: "Array", scores: "Array"
    ) -> None:
        """Refuse outputs whose columns are exchanged, by the labels that came with them.

        The labels are classes, or positions among the classes that the YAML lists, if it does.
        """
        raise NotImplementedError

    @abstractmethod
    def check_scores(self, candidate: CandidateBase, scores: Any, ids: "pd.Index") -> "Array":
        """Refuse what are no outputs of these cases, and return them as an array."""

    @abstractmethod
    def are_predictions(self, values: "Array") -> bool:
        """Tell whether all these values can be decisions."""

    @abstractmethod
    def stored_labels(self, labels: "pd.Series") -> "Array":
        """Return an evaluation set's labels as they stand beside predictions."""

    @abstractmethod
    def store(
        self, candidate: CandidateBase, scores: "Array", decided: "Array | None"
    ) -> "dict[str, Array]":
        """Return what is stored, by column, of checked outputs and of decisions if there are any.

        Where there are none, they follow from the outputs.
        """

    @abstractmethod
    def word(self, value: Any) -> str:
        """Write a stored label or prediction for a reader."""

    @abstractmethod
    def case_figures(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return what the page tells of each case (`case_figure`); NaN where there is nothing.

        It is how probable the candidate held what is told of the case, or how far off it was.

        Parameters
        ----------
        frame
            `label` and the stored outputs, one row a case.
        """

    def claims(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return what of each case was held so probable, and whether it is so.

        Parameters
        ----------
        frame
            `label` and the stored outputs with scores, one row a case.

        Returns
        -------
        pandas.DataFrame
            `score`, NaN where nothing was claimed, and `label`, 1 where it is so.
        """
        return frame[["score", "label"]]

    def are_right(self, frame: "pd.DataFrame") -> "pd.Series | None":
        """Tell which predictions are right; None where nothing says which are."""
        return frame["prediction"] == frame["label"]

    @abstractmethod
    def errors(self, frame: "pd.DataFrame") -> "pd.Series":
        """Say how far off a candidate was, by its scores where it gave some."""

    @abstractmethod
    def sides(self, labels: "Array") -> "Iterator[tuple[str, Array]]":
        """Part cases into two, 1 and 0, in each way that a feature should not tell by itself.

        With each goes what is told, in words.
        """

    @abstractmethod
    def case_losses(self, labels: "Array", predictions: "Array") -> "Array":
        """Say how wrong each prediction is, as a number, shape (n,)."""


def refuse_keys(task: Task, key: str, candidate: CandidateBase, *names: str) -> None:
    """Refuse keys of a candidate that say something of another task."""
    for name in names:
        if name in candidate.model_fields_set and getattr(candidate, name):
            raise problem(
                f"{key}.{name}",
                f"it says nothing of a {task.key} task",
                "take it out, or declare the `task` that it is of",
            )


def numbers_of(answers: Sequence[Any]) -> "Array":
    """Return one number a case, as an endpoint gave it.

    Raises
    ------
    AnswersError
        Where some are none.
    """
    import numpy as np

    wrong = [place for place, one in enumerate(answers) if not _is_number(one)]
    if wrong:
        raise AnswersError("no numbers", wrong)
    return np.array(answers, dtype=np.float64)


def columns_of(answers: Sequence[Any], names: Sequence[str]) -> "Array":
    """Return a number of each name a case, in this order, as an endpoint gave them in objects.

    Raises
    ------
    AnswersError
        Where some are no such objects.
    """
    import numpy as np

    wrong = [
        place
        for place, one in enumerate(answers)
        if not isinstance(one, dict) or one.keys() != {*names}
    ]
    if wrong:
        raise AnswersError(f"no objects with one number for each of {some_of(names)}", wrong)
    return np.column_stack([numbers_of([one[name] for one in answers]) for name in names])


def _is_number(value: Any) -> bool:
    """Tell whether a value of JSON is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= sys.float_info.max


class AnswersError(ValueError):
    """What an endpoint said of some cases is not what it is asked for.

    Parameters
    ----------
    what
        What they are.
    places
        Of which cases, by their positions.
    """

    def __init__(self, what: str, places: Sequence[int]) -> None:
        super().__init__(what)
        self.what = what
        self.places = places


def plain(value: Any) -> Any:
    """Turn a whole number of any type into an int: a decimal or 1.0."""
    if isinstance(value, bool | int | str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def value_of(text: str) -> int | float | str:
    """Read a value as the number or truth value that it may spell; else it is a text."""
    truth = {"true": 1, "false": 0}.get(text.casefold())
    if truth is not None:
        return truth
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() else number


def either(values: Iterable[Any]) -> str:
    return " or ".join(map(shortened, values))


def counted(counts: Mapping[Any, int]) -> str:
    """List the commonest values, and how often each is there."""
    common = Counter(counts).most_common()
    shown = ", ".join(f"{shortened(value)} in {count}" for value, count in common[:_SHOWN])
    more = len(common) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def some_of(names: Sequence[str]) -> str:
    """List the first names, and how many more there are."""
    more = len(names) - _NAMED
    return f"{', '.join(map(repr, names[:_NAMED]))}{f' and {more} more' if more > 0 else ''}"


def error(candidate: CandidateBase, what: str, *, fix: str) -> CandidateError:
    return CandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)
