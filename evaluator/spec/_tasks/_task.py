"""The label, and the task that it sets: what candidates are asked, and what follows from it."""

import math
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from evaluator.errors import CandidateError
from evaluator.metrics import FAIRNESS_MEASURES, METRICS, Task as MetricsTask
from evaluator.spec._base import LabelValue, LabelValues, SpecModel, problem
from evaluator.spec._candidates import CandidateBase, RecordedCandidate
from evaluator.spec._columns import ColumnSpec

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

UNKNOWN_LABEL: Final = -1
"""Stands for a value that is none of the label's."""
ABSTAINED: Final = -2
"""Stands for the decision of a candidate that did not answer."""


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
    enough; the metric `within_tolerance` needs it."""

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
    """

    key: ClassVar[TaskName]
    """As the YAML has it."""
    name: ClassVar[MetricsTask]
    """As `evaluator.metrics` has it."""
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
    losses: ClassVar[tuple[Loss, ...]]
    """By what weak slices can be searched, the usual one first."""
    losses_of_scores: ClassVar[tuple[Loss, ...]] = ()
    """Those of them that need scores."""
    gaps_are_shares: ClassVar[bool] = True
    """Whether groups are compared by shares of cases, whose differences are below 1."""
    unknown_fix: ClassVar[str] = (
        "say under `label_values` what it calls positive and negative, texts quoted, or name"
        " another column under `prediction`"
    )
    """How to mend a recording whose decisions are none."""
    pictures: ClassVar[tuple[str, ...]] = ()
    """The scorecard's tables beside the figures that there are of each candidate."""

    def __init__(self, label: LabelSpec, classes: tuple[str, ...] = ()) -> None:
        self.label = label
        self.classes = classes

    @classmethod
    def metrics(cls) -> tuple[str, ...]:
        """Return the metrics that fit, by their names; of families with a number the usual ones."""
        return tuple(filter(cls.has_metric, METRICS))

    @classmethod
    def has_metric(cls, metric: str) -> bool:
        """Tell whether a metric fits."""
        one = METRICS[metric]
        # A scorecard has one figure of a metric and a slice, and no candidate gives limits.
        return cls.name in one.tasks and not one.per_class and one.needs != "limits"

    def check_metrics(self, metrics: Sequence[str]) -> None:
        """Refuse metrics that need what the label does not say."""
        for name in metrics:
            if METRICS[name].option == "tolerance" and self.label.tolerance is None:
                raise problem(
                    "label.tolerance",
                    f"the metric {name} needs it",
                    "say how far off a number may be, in the label's unit",
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

    @property
    def metric_options(self) -> dict[str, Any]:
        """What else metrics need, as those functions take it that measure and compare them."""
        return {}

    @abstractmethod
    def gives_scores(self, candidate: CandidateBase) -> bool:
        """Tell whether there are scores of it beside its predictions."""

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
    def certainty(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return how probable a candidate held what is told of each case; NaN without scores.

        Parameters
        ----------
        frame
            `label` and the stored outputs, one row a case.
        """

    def are_right(self, frame: "pd.DataFrame") -> "pd.Series | None":
        """Tell which predictions are right; None where they are off by so much instead."""
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


def either(values: Iterable[Any]) -> str:
    return " or ".join(map(shortened, values))


def counted(counts: Mapping[Any, int]) -> str:
    """List the commonest values, and how often each is there."""
    common = Counter(counts).most_common()
    shown = ", ".join(f"{shortened(value)} in {count}" for value, count in common[:_SHOWN])
    more = len(common) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def error(candidate: CandidateBase, what: str, *, fix: str) -> CandidateError:
    return CandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)
