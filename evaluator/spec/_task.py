"""The label, and the task that it sets: what candidates are asked, and what follows from it."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import Field

from evaluator.errors import CandidateError, IntakeError
from evaluator.metrics import FAIRNESS_MEASURES, Task as MetricsTask
from evaluator.spec._base import LabelValue, LabelValues, SpecModel, listed, problem
from evaluator.spec._candidates import CandidateBase, LabellingCandidate
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
_SHOWN: Final = 5
"""How many values an error names."""

UNKNOWN_LABEL: Final = -1
"""Stands for a value that is none of the label's."""


class LabelSpec(SpecModel):
    """Where the truth stands."""

    column: str = Field(examples=["late"])
    """The declared column that holds the label, of `data` or, where these are declared, of
    `labels`. A row where it is missing is valid, and is not scored."""

    positive: LabelValue = Field(default=1, examples=[1, True, "late"])
    """The label's value that counts as positive."""

    negative: LabelValues | None = Field(default=None, examples=[0, ["on time", "early"]])
    """The value that counts as negative, or a list of them. Without it these are the other values
    that the column allows; where it lists none, the one other value that the whole evaluation set
    has, or of several 0 beside 1. A label that is neither is refused."""

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
    def read_texts(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Turn labels or decisions that were recorded as texts into those that are stored.

        What is none of the label's values becomes `UNKNOWN_LABEL`.
        """

    @abstractmethod
    def describe_unknown(self, candidate: CandidateBase, unknown: Iterable[Any]) -> str:
        """Say of values that are none of the label's what they are, how often, and what is taken.

        It goes on from their number: "3 of 7 decisions ...".
        """

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
    def check_labels(
        self, candidate: CandidateBase, classes: Classes, labels: "Array", scores: "Array"
    ) -> None:
        """Refuse scores whose columns are exchanged, by the labels that came with them.

        The labels are classes, or positions among the classes that the YAML lists, if it does.
        """

    @abstractmethod
    def check_scores(self, candidate: CandidateBase, scores: Any, ids: "pd.Index") -> "Array":
        """Refuse what are no scores of these cases, and return them as an array."""

    @abstractmethod
    def decide(self, scores: "Array", threshold: float) -> "Array":
        """Return the predictions that follow from stored scores."""

    @abstractmethod
    def are_predictions(self, values: "Array") -> bool:
        """Tell whether all these values can be stored predictions."""

    @abstractmethod
    def losses(self, labels: "Array", predictions: "Array") -> "Array":
        """Say how wrong each prediction is, as a number, shape (n,)."""


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
        """Refuse values that no label could have: everything would be negative."""
        label, allowed = self.label, column.allowed or ()
        for key, value in [
            ("positive", label.positive),
            *(("negative", value) for value in listed(label.negative)),
        ]:
            # The YAML may say 1 where the column is boolean, and true where it is a number.
            fits = {
                "text": isinstance(value, str),
                "number": isinstance(value, int | float),
                "boolean": value in (0, 1),
            }[column.kind]
            if not fits or (allowed and value not in allowed):
                raise problem(
                    f"label.{key}",
                    f"{value!r} is no value of the column {label.column!r}, which is of type"
                    f" {column.type}{' and allows ' if allowed else ''}"
                    f"{', '.join(map(repr, allowed))}",
                    f"write the value that counts as {key} as it stands in the data, texts quoted",
                )
            if key == "negative" and value == label.positive:
                raise problem(
                    "label.negative", "the positive value is among them", "leave it out here"
                )

    def knowing(self, column: ColumnSpec, labels: "pa.ChunkedArray") -> "Task":
        """Learn which one value is the negative one, where neither label nor column says so."""
        positive = self.label.positive
        counts = {
            _plain(found["values"]): found["counts"]
            for found in labels.drop_null().value_counts().to_pylist()
        }
        others = {value: count for value, count in counts.items() if value != positive}
        negative = listed(self.label.negative) or tuple(
            _plain(value) for value in column.allowed or () if value != positive
        )
        if not negative:
            is_one = len(others) <= 1
            negative = tuple(one for one in others if is_one or one in self._opposite)
        unknown = {value: count for value, count in others.items() if value not in negative}
        if unknown:
            name, total = self.label.column, sum(counts.values())
            taken = _sides((positive,), negative)
            raise IntakeError(
                f"{sum(unknown.values())} of {total} labels in {name!r} are {taken}"
                f" ({_counted(unknown)})",
                culprit="evaluation_set",
                fix="mend what is misspelt, or list what is negative under `label.negative`; what"
                " is written in several ways can be a column of type boolean with `true_values`"
                " and `false_values`",
            )
        return self.label.model_copy(update={"negative": negative or None}).task

    def encode_labels(self, labels: "pa.ChunkedArray") -> "pa.ChunkedArray":
        """Turn labels into 1 (positive), 0 (not) or missing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        positive = self.label.positive
        if not isinstance(positive, str):
            # The YAML may say 1 where the column is boolean, and true where it is a number.
            positive = bool(positive) if pa.types.is_boolean(labels.type) else int(positive)
        return pc.equal(labels, pa.scalar(positive, labels.type)).cast(pa.int8())

    def read_texts(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Read texts; for a value that is no text true, 1 and 1.0 are the same."""
        import pandas as pd

        found = pd.Series(texts.unique(), dtype=object)
        spelt = found.str.strip().str.lower().replace({"true": "1", "false": "0"})
        numbers = pd.to_numeric(spelt, errors="coerce")
        meaning = {
            text: self._meaning(candidate, text, number)
            for text, number in zip(found, numbers, strict=True)
        }
        return texts.map(meaning).to_numpy(dtype=self.stored_type)

    def describe_unknown(self, candidate: CandidateBase, unknown: Iterable[Any]) -> str:
        """Say what they are, and what would be positive or negative."""
        positive, negative = self._values(candidate)
        return f"are {_sides(positive, negative)} ({_counted(Counter(unknown))})"

    def _values(self, candidate: CandidateBase) -> tuple[Classes, Classes]:
        """Return what the candidate says of a positive and of a negative case, as far as known."""
        if isinstance(candidate, LabellingCandidate) and candidate.label_values is not None:
            said = candidate.label_values
            return listed(said["positive"]), listed(said["negative"])
        return (self.label.positive,), listed(self.label.negative) or self._opposite

    @property
    def _opposite(self) -> tuple[int, ...]:
        """What is negative where 1 or 0 is positive, and nobody says so."""
        positive = self.label.positive
        return (1 - int(positive),) if positive in (0, 1) else ()

    def _meaning(self, candidate: CandidateBase, value: Any, number: Any = None) -> int:
        """Return 1 for a positive value, 0 for a negative one; a text may spell a number."""
        positive, negative = self._values(candidate)
        for meaning, known in ((1, positive), (0, negative)):
            # To Python 1, 1.0 and True are equal, and no text is.
            if value in known or any(number == one for one in known if not isinstance(one, str)):
                return meaning
        return UNKNOWN_LABEL

    def check_classes(self, candidate: CandidateBase, classes: Classes) -> None:
        """Refuse a classifier of other classes than two, one of them positive."""
        self._column(candidate, classes)

    def _column(self, candidate: CandidateBase, classes: Classes) -> int:
        """Find the positive class among the two of a classifier."""
        # A label that is read as True may have been 1 in training, and the reverse.
        meanings = [self._meaning(candidate, one) for one in classes]
        positive, negative = self._values(candidate)
        if sorted(meanings) == [0 if negative else UNKNOWN_LABEL, 1]:
            return meanings.index(1)
        raise _error(
            candidate,
            f"its classes are {', '.join(map(repr, classes))}, and the positive label is"
            f" {_either(positive)}{', the negative one ' if negative else ''}{_either(negative)}",
            fix="train it on the two values of the label, correct `label`, or say under"
            " `label_values` which class is which",
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
            self._refuse_floating_classes(candidate, array.reshape(-1))
            return array.reshape(-1)
        if array.shape[1:] != (_CLASSES,):
            raise _error(
                candidate,
                f"it gives an array of shape {array.shape}, which is no probability of two classes",
                fix="save a model that gives one or two columns of probabilities",
            )
        if not classes and set(self._zero_and_one(candidate)) != {0, 1}:
            positive, _ = self._values(candidate)
            raise _error(
                candidate,
                "it does not say which of its two columns is the positive class"
                f" {_either(positive)}",
                fix="list `classes` in the order of the columns",
            )
        return array[:, self._column(candidate, classes or (0, 1))]

    def _zero_and_one(self, candidate: CandidateBase) -> list[int]:
        """Return what the two numbers mean as classes."""
        return [self._meaning(candidate, one) for one in (0, 1)]

    def _refuse_floating_classes(self, candidate: CandidateBase, values: "Array") -> None:
        """Refuse classes that are stored as floating-point numbers, and look like probabilities."""
        import numpy as np

        positive, negative = self._values(candidate)
        classes = [one for one in (*positive, *negative) if not isinstance(one, str)]
        # Of 0 and 1 in this order, class and probability say the same.
        if self._zero_and_one(candidate) != [0, 1] and np.isin(values, classes).all():
            raise _error(
                candidate,
                f"all {len(values)} values that it gives are values of the label"
                f" ({_counted(Counter(values.tolist()))}), and may be classes",
                fix="make it give a column of probabilities for each of its two classes",
            )

    def check_labels(
        self, candidate: CandidateBase, classes: Classes, labels: "Array", scores: "Array"
    ) -> None:
        """Refuse labels that are no values of the label, and probabilities that most contradict."""
        import numpy as np

        # As plain Python values: an array of texts is not comparable with a number.
        given = labels.tolist()
        meanings = self._meanings_of_labels(candidate, classes, set(given))
        unknown = [one for one in given if meanings[one] == UNKNOWN_LABEL]
        if unknown:
            raise _error(
                candidate,
                f"{len(unknown)} of its {len(given)} labels"
                f" {self.describe_unknown(candidate, unknown)}",
                fix="say under `label_values` which is which, or list `classes` in the order of"
                " the columns of probabilities where its labels are their positions",
            )
        is_positive = np.array([meanings[one] == 1 for one in given], dtype=bool)
        contradicted = int(np.where(is_positive, scores < 1 / 2, scores > 1 / 2).sum())
        # Some labels contradict their probabilities where the model has a threshold of its own;
        # most of them do where the wrong column was taken.
        if 2 * contradicted > len(scores):
            raise _error(
                candidate,
                f"its labels contradict its probabilities in {contradicted} of {len(scores)} cases",
                fix="list `classes` in the order of the columns of probabilities",
            )

    def _meanings_of_labels(
        self, candidate: CandidateBase, classes: Classes, labels: set[Any]
    ) -> dict[Any, int]:
        """Tell what a graph's labels mean: classes, or their positions among those of the YAML."""
        meanings = {one: self._meaning(candidate, one) for one in labels}
        if UNKNOWN_LABEL in meanings.values() and labels <= set(range(len(classes))):
            return {one: self._meaning(candidate, classes[one]) for one in labels}
        _, negative = self._values(candidate)
        if not negative:
            # Of two classes, one of them positive, the other is not.
            meanings |= {
                one: 0 for one in labels if meanings[one] == UNKNOWN_LABEL and one in classes
            }
        return meanings

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

    def losses(self, labels: "Array", predictions: "Array") -> "Array":
        """Return 1 where the decision is wrong, and 0 where it is right."""
        wrong: Array = (labels != predictions).astype(float)
        return wrong


def _plain(value: Any) -> Any:
    """Turn a whole number of any type into an int: a decimal or 1.0."""
    if isinstance(value, bool | int | str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def _either(values: Iterable[Any]) -> str:
    return " or ".join(map(shortened, values))


def _sides(positive: Classes, negative: Classes) -> str:
    """Say that values are on neither side of the label."""
    if not negative:
        return f"not {_either(positive)} (positive), and nothing says which other value is negative"
    return f"neither {_either(positive)} (positive) nor {_either(negative)} (negative)"


def _counted(counts: Mapping[Any, int]) -> str:
    """List the commonest values, and how often each is there."""
    common = Counter(counts).most_common()
    shown = ", ".join(f"{shortened(value)} in {count}" for value, count in common[:_SHOWN])
    more = len(common) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _error(candidate: CandidateBase, what: str, *, fix: str) -> CandidateError:
    return CandidateError(what, culprit=f"candidate {candidate.name}", fix=fix)
