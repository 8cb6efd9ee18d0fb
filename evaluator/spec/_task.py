"""The label, and the task that it sets: what candidates are asked, and what follows from it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import Field

from evaluator.errors import CandidateError
from evaluator.metrics import FAIRNESS_MEASURES, Task as MetricsTask
from evaluator.spec._base import LabelValue, SpecModel, problem
from evaluator.spec._candidates import CandidateBase
from evaluator.spec._columns import ColumnSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    Array: TypeAlias = np.ndarray

BinaryLoss = Literal[
    "error_rate", "false_negative_rate", "false_positive_rate", "log_loss", "brier"
]

Classes: TypeAlias = Sequence[Any]

_CLASSES: Final = 2


class LabelSpec(SpecModel):
    """Where the truth stands."""

    column: str = Field(examples=["late"])
    """The declared column that holds the label. A row where it is missing is valid, and is not
    scored."""

    positive: LabelValue = Field(default=1, examples=[1, True, "late"])
    """The label's value that counts as positive; every other one is negative."""

    @property
    def task(self) -> "Task":
        """What the candidates are asked about the label."""
        return BinaryTask(self)


class Task(ABC):
    """What candidates are asked about each case, and all that follows from it.

    Whoever reads an artifact hands over what it gave, and gets back what is stored. A fault of a
    candidate is a `CandidateError` that names it.

    Parameters
    ----------
    label
        Where the truth stands; the task is its `task`.
    """

    name: ClassVar[MetricsTask]
    """As `evaluator.metrics` has it."""
    stored_type: ClassVar[str]
    """The type in which labels and predictions are stored."""
    columns: ClassVar[tuple[tuple[str, str, str], ...]]
    """What is stored of each case: names, types and descriptions."""
    headline_metrics: ClassVar[tuple[str, ...]]
    """What is measured where the YAML names nothing."""
    any_metric: ClassVar[str]
    """A metric for which labels are enough."""
    any_comparison: ClassVar[str]
    """A metric by which any two candidates can be compared."""
    any_measure: ClassVar[str]
    """A fairness measure for which predictions are enough."""
    losses_of_scores: ClassVar[tuple[str, ...]]
    """The losses of weak slices that need scores."""

    def __init__(self, label: LabelSpec) -> None:
        self.label = label

    @classmethod
    def fairness_measures(cls) -> tuple[str, ...]:
        """Return the measures that fit, by their names."""
        return tuple(name for name, one in FAIRNESS_MEASURES.items() if cls.name in one.tasks)

    @abstractmethod
    def comparable(self, metrics: Sequence[str]) -> list[str]:
        """Keep the metrics that have a paired test."""

    @property
    @abstractmethod
    def truth(self) -> str:
        """What is true, as a sentence for a report."""

    @abstractmethod
    def decision(self, threshold: float) -> str:
        """Say how a prediction follows from a score, for a report."""

    @abstractmethod
    def check_column(self, column: ColumnSpec) -> None:
        """Refuse a label that a column of this type or of these values cannot be."""

    @abstractmethod
    def encode_labels(self, labels: "pa.ChunkedArray") -> "pa.ChunkedArray":
        """Turn labels as they stand in the data into those that are stored, missing ones kept."""

    @abstractmethod
    def encode_texts(self, texts: "pd.Series") -> "Array":
        """Turn labels or decisions that were recorded as texts into those that are stored."""

    @abstractmethod
    def check_classes(self, candidate: CandidateBase, classes: Classes) -> None:
        """Refuse a classifier of other classes."""

    @abstractmethod
    def scores_of_matrix(
        self, candidate: CandidateBase, classes: Classes, matrix: "Array", cases: int
    ) -> "Array":
        """Return the scores out of a row of probabilities a case."""

    @abstractmethod
    def scores_of_columns(
        self, candidate: CandidateBase, classes: Classes, columns: "Sequence[Array]"
    ) -> "Array":
        """Return the scores out of a column of probabilities a class."""

    @abstractmethod
    def scores_of_array(
        self, candidate: CandidateBase, classes: Classes, array: "Array"
    ) -> "Array":
        """Return the scores out of an array; classes are those that the YAML lists, if it does."""

    @abstractmethod
    def check_labels(self, candidate: CandidateBase, labels: "Array", scores: "Array") -> None:
        """Refuse scores whose columns are exchanged, by the labels that came with them."""

    @abstractmethod
    def check_scores(self, candidate: CandidateBase, scores: Any, ids: "pd.Index") -> "Array":
        """Refuse what are no scores of these cases, and return them as an array."""

    @abstractmethod
    def decide(self, scores: "Array", threshold: float) -> "Array":
        """Return the predictions that follow from stored scores."""

    @abstractmethod
    def are_predictions(self, values: "Array") -> bool:
        """Tell whether all these values can be stored predictions."""


class BinaryTask(Task):
    """Whether a case is positive: a score is the probability that it is, labels are 0 and 1."""

    name = "binary_classification"
    stored_type = "int8"
    columns = (
        ("id", "as in the data", "the case"),
        ("label", "int8", "the truth: 1 is positive"),
        ("score", "float64", "the candidate's probability"),
        ("prediction", "int8", "1 where the score is high enough"),
    )
    headline_metrics = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier")
    any_metric = "base_rate"
    any_comparison = "accuracy"
    any_measure = "demographic_parity"
    losses_of_scores = ("log_loss", "brier")

    def comparable(self, metrics: Sequence[str]) -> list[str]:
        from evaluator.metrics import SUPPORTED

        return [name for name in metrics if name in SUPPORTED]

    @property
    def truth(self) -> str:
        """Which value of which column is positive."""
        return f"{self.label.column} is {self.label.positive}"

    def decision(self, threshold: float) -> str:
        """Say from which score on it is positive."""
        return f"positive from a score of {threshold:g} on"

    def check_column(self, column: ColumnSpec) -> None:
        """Refuse a positive value that no label could have: everything would be negative."""
        positive = self.label.positive
        # The YAML may say 1 where the column is boolean, and true where it is a number.
        fits = {
            "text": isinstance(positive, str),
            "number": isinstance(positive, int),
            "boolean": positive in (0, 1),
        }[column.kind]
        allowed = column.allowed or ()
        if not fits or (allowed and positive not in allowed):
            raise problem(
                "label.positive",
                f"{positive!r} is no value of the column {self.label.column!r}, which is of type"
                f" {column.type}{' and allows ' if allowed else ''}{', '.join(map(repr, allowed))}",
                "write the value that counts as positive as it stands in the data, texts quoted",
            )

    def encode_labels(self, labels: "pa.ChunkedArray") -> "pa.ChunkedArray":
        """Turn labels into 1 (positive), 0 (not) or missing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        # The YAML may say 1 where the column is boolean, and true where it is a number.
        return pc.equal(labels, pa.scalar(self.label.positive).cast(labels.type)).cast(pa.int8())

    def encode_texts(self, texts: "pd.Series") -> "Array":
        """Return 1 where a text spells the positive value: true, 1 and 1.0 are the same."""
        import pandas as pd

        positive = self.label.positive
        if isinstance(positive, str):
            return (texts == positive).to_numpy(dtype="int8")
        spellings = {0: ["false"], 1: ["true"]}.get(int(positive), [])
        is_spelt = texts.str.strip().str.lower().isin(spellings)
        is_number = pd.to_numeric(texts, errors="coerce") == int(positive)
        return (is_spelt | is_number).to_numpy(dtype="int8")

    def check_classes(self, candidate: CandidateBase, classes: Classes) -> None:
        """Refuse a classifier of other classes than two, one of them positive."""
        self._column(candidate, classes)

    def _column(self, candidate: CandidateBase, classes: Classes) -> int:
        """Find the positive class among the two of a classifier."""
        positive = self.label.positive
        # A label that is read as True may have been 1 in training, and the reverse.
        if len(classes) == _CLASSES and positive in classes:
            return list(classes).index(positive)
        raise _error(
            candidate,
            f"its classes are {', '.join(map(repr, classes))}, and the positive label is"
            f" {positive!r}",
            fix="train it on the two values of the label, or correct `label.positive`",
        )

    def scores_of_matrix(
        self, candidate: CandidateBase, classes: Classes, matrix: "Array", cases: int
    ) -> "Array":
        """Take the positive class's column."""
        if matrix.shape[1:] != (_CLASSES,):
            raise _error(
                candidate,
                f"it gave probabilities of shape {matrix.shape} for {cases} cases",
                fix="make it return one column for each of its two classes",
            )
        return matrix[:, self._column(candidate, classes)]

    def scores_of_columns(
        self, candidate: CandidateBase, classes: Classes, columns: "Sequence[Array]"
    ) -> "Array":
        """Take the positive class's column."""
        return columns[self._column(candidate, classes)]

    def scores_of_array(
        self, candidate: CandidateBase, classes: Classes, array: "Array"
    ) -> "Array":
        """Take the positive class out of an array that does not name its classes."""
        if array.dtype.kind != "f":
            raise _error(
                candidate,
                f"it gives values of type {array.dtype}, which are classes and no probabilities",
                fix="save a model that gives probabilities",
            )
        if array.ndim == 1 or array.shape[1:] == (1,):
            return array.reshape(-1)
        if array.shape[1:] != (_CLASSES,):
            raise _error(
                candidate,
                f"it gives an array of shape {array.shape}, which is no probability of two classes",
                fix="save a model that gives one or two columns of probabilities",
            )
        positive = self.label.positive
        if not classes and positive not in (0, 1):
            raise _error(
                candidate,
                f"it does not say which of its two columns is the positive class {positive!r}",
                fix="list `classes` in the order of the columns",
            )
        return array[:, self._column(candidate, classes or (0, 1))]

    def check_labels(self, candidate: CandidateBase, labels: "Array", scores: "Array") -> None:
        """Refuse probabilities that most labels contradict."""
        import numpy as np

        # As plain Python values: an array of texts is not comparable with a number.
        positive = self.label.positive
        is_positive = np.array([label == positive for label in labels.tolist()], dtype=bool)
        contradicted = int(np.where(is_positive, scores < 1 / 2, scores > 1 / 2).sum())
        # Some labels contradict their probabilities where the model has a threshold of its own;
        # most of them do where the wrong column was taken.
        if 2 * contradicted > len(scores):
            raise _error(
                candidate,
                f"its labels contradict its probabilities in {contradicted} of {len(scores)} cases",
                fix="list `classes` in the order of the columns of probabilities",
            )

    def check_scores(self, candidate: CandidateBase, scores: Any, ids: "pd.Index") -> "Array":
        """Refuse what is not one probability for each case, or not even a number."""
        import numpy as np

        numbers = np.asarray(scores)
        if numbers.shape != ids.shape:
            raise _error(
                candidate,
                f"it gave scores of shape {numbers.shape} for {len(ids)} cases",
                fix="make it return one score for each case it is given",
            )
        fix = "make it return finite scores from 0 to 1"
        if numbers.dtype.kind not in "biuf":
            what = f"it gave scores of type {numbers.dtype}, not numbers"
            raise _error(candidate, what, fix=fix)
        wrong = ~np.isfinite(numbers) | (numbers < 0) | (numbers > 1)
        # Where only decisions are recorded, that there are no scores is as declared.
        if candidate.has_scores and wrong.any():
            pairs = zip(ids[wrong][:3], numbers[wrong][:3], strict=True)
            examples = ", ".join(f"{case} -> {value}" for case, value in pairs)
            what = f"{wrong.sum()} of its {len(ids)} scores are no probabilities ({examples})"
            raise _error(candidate, what, fix=fix)
        return numbers

    def decide(self, scores: "Array", threshold: float) -> "Array":
        """Return 1 from the threshold on."""
        decided: Array = (scores >= threshold).astype(self.stored_type)
        return decided

    def are_predictions(self, values: "Array") -> bool:
        """Tell whether all are 0 or 1."""
        import numpy as np

        return bool(np.isin(values, (0, 1)).all())


def _error(candidate: CandidateBase, what: str, *, fix: str) -> CandidateError:
    return CandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)
