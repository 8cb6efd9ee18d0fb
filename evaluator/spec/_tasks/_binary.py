"""Whether a case is positive."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from evaluator.errors import IntakeError
from evaluator.scorecard import OPERATING_POINTS, SCORE_BINS
from evaluator.spec._base import LabelValues, listed, problem
from evaluator.spec._candidates import CandidateBase, LabellingCandidate, RecordedCandidate
from evaluator.spec._columns import ColumnSpec
from evaluator.spec._tasks._task import (
    LIMIT_KEYS,
    UNKNOWN_LABEL,
    Classes,
    FoundColumn,
    RecordedColumns,
    Task,
    counted,
    either,
    error,
    numbers_of,
    plain,
    refuse_keys,
    value_of,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from evaluator.spec._tasks._task import Array

_CLASSES: Final = 2
_POSITIVE: Final = (
    *("1", "1.0", "1,0", "true", "yes", "y", "t", "positive"),
    *("ja", "j", "oui", "si", "sí", "sim"),
)
_THRESHOLD: Final[float] = CandidateBase.model_fields["threshold"].default


class BinaryTask(Task):
    """Whether a case is positive: a score is the probability that it is, labels are 0 and 1."""

    key = "binary"
    name = "binary_classification"
    label_keys = frozenset({"positive", "negative"})
    decision_type = "int8"
    method = "predict_proba"
    headline_metrics = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier")
    any_metric = "base_rate"
    any_comparison = "accuracy"
    any_measure = "demographic_parity"
    losses = (
        "error_rate",
        "false_negative_rate",
        "false_positive_rate",
        "log_loss",
        "brier",
    )
    losses_of_scores = ("log_loss", "brier")
    pictures = (OPERATING_POINTS, SCORE_BINS)
    by_scores = f"a score of {_THRESHOLD:g} or more is taken for a positive decision"
    outputs = "probabilities from 0 to 1, or decisions between the label's two values"
    example_outputs = "score: score"

    @classmethod
    def lacks(cls, found: FoundColumn) -> str | None:
        """Want two values, however often they are spelt."""
        is_text = not found.is_number and found.type != "boolean"
        count = len((found.texts if is_text else found.read) or ())
        if found.is_time:
            return f"it is a {found.type}, which has no sides"
        if count == _CLASSES:
            is_side = not found.is_number or found.is_whole
            return None if is_side else f"its numbers are no whole ones{found.such_as}"
        many = "many" if found.texts is None else count
        return f"it has {many} different values{found.such_as}, and a binary label has two"

    @classmethod
    def declared(cls, found: FoundColumn) -> dict[str, Any]:
        """Say which value is positive, and which negative."""
        values = found.texts or ()
        positive = likely_positive(values) if found.positive is None else found.positive
        others = [one for one in values if one != positive]
        negative = min(others, key=lambda one: value_of(one) == value_of(positive))
        sides = {"positive": positive, "negative": negative}
        if found.type == "boolean":
            return {side: value_of(text) == 1 for side, text in sides.items()}
        return {side: value_of(text) if found.is_number else text for side, text in sides.items()}

    def find_scores(self, shares: Mapping[str, FoundColumn]) -> list[dict[str, Any]]:
        """Take each column of probabilities; decisions have two values at most."""
        return [
            {"score": name}
            for name, column in shares.items()
            if column.texts is None or len(column.texts) > _CLASSES
        ]

    def named_scores(self, stated: str | None, numbers: Collection[str]) -> dict[str, Any]:
        """Take the column of this name."""
        return {"score": stated}

    def in_other_words(self, texts: Collection[str]) -> dict[str, Any] | None:
        """Take two values for the two sides."""
        if len(texts) != _CLASSES:
            return None
        positive = likely_positive(texts)
        sides = {"positive": positive, "negative": min(set(texts) - {positive})}
        # Numbers are known by their values, however they are spelt.
        return {side: int(text) if text.isdecimal() else text for side, text in sides.items()}

    def settings(self, candidate: CandidateBase) -> dict[str, Any]:
        """Return the threshold."""
        return {"threshold": candidate.threshold}

    @property
    def truth(self) -> str:
        """Which value of which column is positive."""
        return f"{self.label.column} is {self.label.positive}"

    def decision(self, candidate: CandidateBase) -> str:
        """Say from which score on it is positive."""
        if self.gives_scores(candidate):
            return f"positive from a score of {candidate.threshold:g} on"
        return "recorded with its outputs; it gives no scores"

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

    def check_candidate(self, key: str, candidate: CandidateBase) -> None:
        """Refuse what is said of other outputs, and a recording without any."""
        refuse_keys(self, key, candidate, "scores", "abstain_below", "abstains", *LIMIT_KEYS)
        if isinstance(candidate, LabellingCandidate) and candidate.label_values is not None:
            _check_label_values(f"{key}.label_values", candidate.label_values)
        count = len(getattr(candidate, "classes", ()))
        if count > _CLASSES:
            raise problem(f"{key}.classes", f"{count} are too many", "list the label's two")
        if isinstance(candidate, RecordedCandidate) and not any(self.recorded(candidate)):
            raise problem(
                f"{key}.score",
                "without a column of scores and without one of decisions there are no outputs",
                "name the column of decisions under `prediction`, or that of scores here",
            )

    def columns(self, candidate: CandidateBase) -> tuple[tuple[str, str, str], ...]:
        """Name probability and decision."""
        return (
            ("id", "as in the data", "the case"),
            ("label", "int8", "the truth: 1 is positive"),
            ("score", "float64", "the candidate's probability"),
            ("prediction", "int8", "1 where the score is high enough"),
        )

    def metric_columns(self, candidate: CandidateBase, form: str = "{}") -> dict[str, Any]:
        """Say where the score stands, if there is one, and the prediction."""
        return {
            "label": form.format("label"),
            "score": form.format("score") if self.gives_scores(candidate) else None,
            "prediction": form.format("prediction"),
        }

    def gives_scores(self, candidate: CandidateBase) -> bool:
        """Tell whether it gives probabilities; a recording may hold decisions alone."""
        return not isinstance(candidate, RecordedCandidate) or candidate.score is not None

    def shape(self, candidate: CandidateBase, cases: int) -> tuple[int, ...]:
        """Return that of one score a case."""
        return (cases,)

    def recorded(self, candidate: RecordedCandidate) -> RecordedColumns:
        """Tell the columns of score and decision."""
        return RecordedColumns(
            () if candidate.score is None else (candidate.score,), candidate.prediction
        )

    def knowing(self, column: ColumnSpec, labels: "pa.ChunkedArray") -> "Task":
        """Learn which one value is the negative one, where neither label nor column says so."""
        positive = self.label.positive
        counts = {
            plain(found["values"]): found["counts"]
            for found in labels.drop_null().value_counts().to_pylist()
        }
        others = {value: count for value, count in counts.items() if value != positive}
        negative = listed(self.label.negative) or tuple(
            plain(value) for value in column.allowed or () if value != positive
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
                f" ({counted(unknown)})",
                culprit="evaluation_set",
                fix="mend what is misspelt, or list what is negative under `label.negative`; what"
                " is written in several ways can be a column of type boolean with `true_values`"
                " and `false_values`",
            )
        return BinaryTask(self.label.model_copy(update={"negative": negative or None}))

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
        return texts.map(meaning).to_numpy(dtype=self.decision_type)

    def recorded_labels(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Read 1 and 0 out of texts."""
        import numpy as np

        meanings = np.array([0, 1, None], dtype=object)
        found: Array = meanings[self.read_texts(candidate, texts)]
        return found

    def describe_unknown(self, candidate: CandidateBase, unknown: Iterable[Any]) -> str:
        """Say what they are, and what would be positive or negative."""
        positive, negative = self._values(candidate)
        return f"are {_sides(positive, negative)} ({counted(Counter(unknown))})"

    def _values(self, candidate: CandidateBase) -> tuple[Classes, Classes]:
        """Return what the candidate says of a positive and of a negative case, as far as known."""
        if isinstance(candidate, LabellingCandidate) and candidate.label_values is not None:
            said = candidate.label_values
            return listed(said.get("positive")), listed(said.get("negative"))
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
        raise error(
            candidate,
            f"its classes are {', '.join(map(repr, classes))}, and the positive label is"
            f" {either(positive)}{', the negative one ' if negative else ''}{either(negative)}",
            fix="train it on the two values of the label, correct `label`, or say under"
            " `label_values` which class is which",
        )

    def scores_of_matrix(
        self, candidate: CandidateBase, classes: Classes, matrix: "Array", cases: int
    ) -> "Array":
        """Take the positive class's column."""
        if matrix.shape[1:] != (_CLASSES,):
            raise error(
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
            raise error(
                candidate,
                f"it gives values of type {array.dtype}, which are classes and no probabilities",
                fix="save a model that gives probabilities",
            )
        if array.ndim == 1 or array.shape[1:] == (1,):
            self._refuse_floating_classes(candidate, array.reshape(-1))
            return array.reshape(-1)
        if array.shape[1:] != (_CLASSES,):
            raise error(
                candidate,
                f"it gives an array of shape {array.shape}, which is no probability of two classes",
                fix="save a model that gives one or two columns of probabilities",
            )
        if not classes and set(self._zero_and_one(candidate)) != {0, 1}:
            positive, _ = self._values(candidate)
            raise error(
                candidate,
                "it does not say which of its two columns is the positive class"
                f" {either(positive)}",
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
            raise error(
                candidate,
                f"all {len(values)} values that it gives are values of the label"
                f" ({counted(Counter(values.tolist()))}), and may be classes",
                fix="make it give a column of probabilities for each of its two classes",
            )

    def scores_of_answers(self, candidate: CandidateBase, answers: Sequence[Any]) -> "Array":
        """Take one number a case."""
        return numbers_of(answers)

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
            raise error(
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
            raise error(
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
            raise error(
                candidate,
                f"it gave scores of shape {numbers.shape} for {len(ids)} cases",
                fix="make it return one score for each case it is given",
            )
        fix = "make it return finite scores from 0 to 1"
        if numbers.dtype.kind not in "biuf":
            what = f"it gave scores of type {numbers.dtype}, not numbers"
            raise error(candidate, what, fix=fix)
        wrong = ~np.isfinite(numbers) | (numbers < 0) | (numbers > 1)
        # Where only decisions are recorded, that there are no scores is as declared.
        if self.gives_scores(candidate) and wrong.any():
            pairs = zip(ids[wrong][:3], numbers[wrong][:3], strict=True)
            examples = ", ".join(f"{case} -> {value}" for case, value in pairs)
            what = f"{wrong.sum()} of its {len(ids)} scores are no probabilities ({examples})"
            raise error(candidate, what, fix=fix)
        return numbers

    def are_predictions(self, values: "Array") -> bool:
        """Tell whether all are 0 or 1."""
        import numpy as np

        return bool(np.isin(values, (0, 1)).all())

    def stored_labels(self, labels: "pd.Series") -> "Array":
        """Return 1 for positive cases and 0 for others."""
        return labels.to_numpy(dtype=self.decision_type)

    def store(
        self, candidate: CandidateBase, scores: "Array", decided: "Array | None"
    ) -> "dict[str, Array]":
        """Take for positive what is at the threshold or above it, where nothing else decides."""
        import numpy as np

        # The prediction follows from the score as it is stored: in 32 bits, 0.7 is below 0.7.
        score = scores.astype(np.float64)
        prediction = score >= candidate.threshold if decided is None else decided
        return {"score": score, "prediction": prediction.astype(self.decision_type)}

    def word(self, value: Any) -> str:
        """Say on which side it is."""
        return "positive" if value == 1 else "negative"

    def case_figures(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return the score."""
        return frame["score"]

    def errors(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return the distance of the score, or else of the decision, from the label."""
        given = frame["score"].where(frame["score"].notna(), frame["prediction"])
        return (given - frame["label"]).abs()

    def sides(self, labels: "Array") -> "Iterator[tuple[str, Array]]":
        """Part positive from negative cases."""
        yield "positive from negative cases", labels

    def case_losses(self, labels: "Array", predictions: "Array") -> "Array":
        """Return 1 where the decision is wrong, and 0 where it is right."""
        wrong: Array = (labels != predictions).astype(float)
        return wrong


def likely_positive(values: Iterable[str]) -> str:
    """Choose of a label's two values the one that more likely counts as positive."""
    return max(values, key=lambda value: (value.casefold() in _POSITIVE, value))


def _check_label_values(key: str, said: Mapping[str, LabelValues]) -> None:
    """Refuse values of one side alone, and what would be on both."""
    if said.keys() != {"positive", "negative"}:
        raise problem(
            key,
            f"it must have the keys positive and negative, and has {', '.join(said) or 'none'}",
            "write both, such as `label_values: {positive: late, negative: on time}`",
        )
    # As a file may spell them: 1, 1.0 and true are one value.
    positive, negative = (
        {value if isinstance(value, str) else f"{value:g}" for value in listed(said[side])}
        for side in ("positive", "negative")
    )
    if common := sorted(positive & negative):
        raise problem(key, f"{common[0]!r} is both positive and negative", "keep it on one side")


def _sides(positive: Classes, negative: Classes) -> str:
    """Say that values are on neither side of the label."""
    if not negative:
        return f"not {either(positive)} (positive), and nothing says which other value is negative"
    return f"neither {either(positive)} (positive) nor {either(negative)} (negative)"
