"""Which of several classes a case is of."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from evaluator.errors import IntakeError, UsageError
from evaluator.scorecard import CLASSES, CONFUSION, SCORE_BINS
from evaluator.spec._base import class_name, listed, problem
from evaluator.spec._candidates import CandidateBase, LabellingCandidate, RecordedCandidate
from evaluator.spec._columns import ColumnSpec
from evaluator.spec._tasks._task import (
    ABSTAINED,
    LIMIT_KEYS,
    SEVERAL_LABELS,
    UNKNOWN_LABEL,
    Classes,
    FoundColumn,
    LabelSpec,
    Likely,
    RecordedColumns,
    Task,
    columns_of,
    counted,
    error,
    plain,
    refuse_keys,
    some_of,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from evaluator.spec._tasks._task import Array

_SHOWN: Final = 8
"""How many probabilities of a case an error names."""
_PARTS: Final = re.compile(r"[^][,;|\s\"']+")
"""What stands between the signs by which lists are written."""
_SLACK: Final = 1e-3
"""Probabilities of all classes add up to 1 but for so much: many are stored in few bits."""
_MOST_NUMBERS: Final = 20
"""More different whole numbers are likely no classes."""
_ROWS_A_NUMBER, _ROWS_A_TEXT = 5, 2
"""So many rows there are on average of each class, if a label's values are classes."""
_CLASS: Final = "{class}"
"""Stands for a class in the name of columns."""


class MulticlassTask(Task):
    """Which class: outputs are the probabilities of all classes, in their order, or decisions."""

    key = "multiclass"
    name = "multiclass_classification"
    version = 2
    label_keys = frozenset({"classes"})
    decision_type = "int32"
    method = "predict_proba"
    headline_metrics = ("accuracy", "balanced_accuracy", "f1_weighted", "log_loss", "roc_auc_ovr")
    any_metric = "accuracy"
    any_comparison = "accuracy"
    any_measure = "demographic_parity"
    calibration_error = "top_label_calibration_error"
    losses = ("error_rate", "log_loss", "brier")
    losses_of_scores = ("log_loss", "brier")
    pictures = (CONFUSION, CLASSES, SCORE_BINS)
    claims_are_answers = True
    outputs = "the label's classes, and no columns hold a probability for each of them"
    by_scores = "the class with the highest score is taken for the decision"

    @classmethod
    def likely(cls, found: FoundColumn) -> Likely | None:
        """Take texts that repeat, and few whole numbers that repeat often."""
        count = len(found.texts or ())
        if cls.lacks(found) is not None:
            return None
        if not found.is_number:
            repeat = found.rows >= _ROWS_A_TEXT * count
            return Likely(f"it has {count} different texts") if repeat else None
        if count > _MOST_NUMBERS or found.rows < _ROWS_A_NUMBER * count:
            return None
        return Likely(f"it has only {count} different whole numbers", otherwise="regression")

    @classmethod
    def lacks(cls, found: FoundColumn) -> str | None:
        """Want texts or whole numbers, and not too many different ones."""
        if found.is_time:
            return f"it is a {found.type}, and no class"
        if found.texts is None:
            return "it has more different values than there can be classes"
        if found.is_number and not found.is_whole:
            return f"its numbers are no whole ones{found.such_as}, and no classes"
        return None

    @classmethod
    def lists_values(cls, found: FoundColumn) -> bool:
        """List texts there, and numbers that are spelt as if they were none: 1.0."""
        return found.type not in ("integer", "boolean")

    @classmethod
    def declared(cls, found: FoundColumn) -> dict[str, Any]:
        """List whole numbers in their order, or both truth values."""
        if cls.lists_values(found):
            return {}
        values = sorted(map(int, found.read))
        return {"classes": [*map(bool, values)] if found.type == "boolean" else values}

    def find_scores(self, shares: Mapping[str, FoundColumn]) -> list[dict[str, Any]]:
        """Find columns that are called alike but for the class, one for each."""
        return [{"scores": columns} for columns in self._called_alike(shares)]

    def named_scores(self, stated: str | None, numbers: Collection[str]) -> dict[str, Any]:
        """Take the columns that are called so, with each class in place of `{class}`."""
        if stated is None:
            return {}
        before, found, after = stated.partition(_CLASS)
        columns = self._called_alike(numbers, (before, after)) if found else []
        if columns:
            return {"scores": columns[0]}
        lacks = [one for one in self.classes if f"{before}{one}{after}" not in numbers]
        raise UsageError(
            f"there is no column of numbers for {some_of(lacks)}"
            if found
            else f"one column holds no scores of the label's {len(self.classes)} classes"
            f" ({some_of(self.classes)})",
            culprit=stated,
            fix=f"name a column of scores for each class, with {_CLASS} in its place, such as"
            f" 'score_{_CLASS}', or the decisions by --prediction",
        )

    def _called_alike(
        self, names: Iterable[str], form: tuple[str, str] | None = None
    ) -> list[dict[str, str]]:
        """Find sets of columns, one a class, whose names differ in the class alone.

        Where no set has the classes as they are written, case and marks do not matter.
        """
        for spell in (str, _loosely):
            called = {spell(name): name for name in names}
            classes = {one: spell(one) for one in self.classes}
            if len({*classes.values()} - {""}) < len(classes):
                continue
            first = classes[self.classes[0]]
            forms = (
                {
                    (name[:at], name[at + len(first) :])
                    for name in called
                    for at in range(len(name))
                    if name.startswith(first, at)
                }
                if form is None
                else {(spell(form[0]), spell(form[1]))}
            )
            found = [
                {one: called[f"{before}{spelt}{after}"] for one, spelt in classes.items()}
                for before, after in sorted(forms)
                if all(f"{before}{spelt}{after}" in called for spelt in classes.values())
            ]
            if found:
                return found
        return []

    @property
    def truth(self) -> str:
        """Which column says the class, and how many there are."""
        return f"the {self.label.column}, one of {len(self.classes)} classes"

    def decision(self, candidate: CandidateBase) -> str:
        """Say that it is the most probable class."""
        if candidate.decides:
            return "its own"
        least = candidate.abstain_below
        abstains = f"; below {least:g} it does not answer" if least is not None else ""
        return f"the class of the highest probability{abstains}"

    def check_column(self, column: ColumnSpec) -> None:
        """Refuse a column whose values are no classes, and one that lists none."""
        name, allowed = self.label.column, [class_name(one) for one in column.allowed or ()]
        if column.kind == "number" and column.type != "integer":
            raise problem(
                "label.column",
                f"the column {name!r} is of type {column.type}, and no class",
                "declare `task: regression` for a number, or make it an integer or a category",
            )
        if not self.classes:
            raise problem(
                "label.classes",
                f"the column {name!r} does not list its `allowed` values",
                "list all classes here, or under `allowed` of the column",
            )
        repeated = [one for one, count in Counter(self.classes).items() if count > 1]
        unknown = [one for one in self.classes if allowed and one not in allowed]
        if repeated or unknown:
            raise problem(
                "label.classes",
                f"{repeated[0]!r} is listed more than once"
                if repeated
                else f"{unknown[0]!r} is no value that the column {name!r} allows",
                "list each class once, as the column has it",
            )

    def check_candidate(self, key: str, candidate: CandidateBase) -> None:
        """Refuse what is said of two classes, and recorded scores of other classes."""
        refuse_keys(self, key, candidate, "threshold", "score", *LIMIT_KEYS)
        for word, meant in self._meanings(candidate).items():
            if meant not in self.classes:
                raise problem(
                    f"{key}.label_values",
                    f"{word!r} stands for {meant!r}, which is none of the label's classes",
                    f"name one class for each word: {some_of(self.classes)}",
                )
        names = self._meant(candidate, getattr(candidate, "classes", ()))
        if names:
            self._refuse_others(f"{key}.classes", names)
        if not isinstance(candidate, RecordedCandidate):
            return
        if candidate.abstain_below is not None and candidate.decides:
            raise problem(
                f"{key}.abstain_below",
                "its decisions are recorded, and follow from no probability",
                "take it out, or take `prediction` out",
            )
        if candidate.abstains and not candidate.decides:
            raise problem(
                f"{key}.abstains", "no decisions are recorded", "take it out, or name `prediction`"
            )
        if candidate.scores is not None:
            self._refuse_others(f"{key}.scores", tuple(candidate.scores))
        elif candidate.prediction is None:
            raise problem(
                f"{key}.prediction",
                "without a column of decisions and without columns of scores there are no outputs",
                "name the column of decisions here, or under `scores` that of each class",
            )

    def _meanings(self, candidate: CandidateBase) -> dict[str, str]:
        """Return by what a candidate says which class it means, where that is not its name."""
        if not isinstance(candidate, LabellingCandidate):
            return {}
        said = (candidate.label_values or {}).items()
        return {word: " or ".join(map(class_name, listed(meant))) for word, meant in said}

    def _meant(self, candidate: CandidateBase, values: Iterable[Any]) -> list[str]:
        """Name the classes that a candidate means."""
        meanings = self._meanings(candidate)
        names = [class_name(plain(value)) for value in values]
        return [meanings.get(name, name) for name in names]

    def _refuse_others(self, key: str, names: Sequence[str]) -> None:
        other = sorted({*names} ^ {*self.classes}) or [one for one in names if names.count(one) > 1]
        if other:
            raise problem(
                key,
                f"{other[0]!r} stands either here or among the label's classes, and not in both"
                if other[0] not in names or other[0] not in self.classes
                else f"{other[0]!r} is listed more than once",
                f"name each of the {len(self.classes)} classes once: {some_of(self.classes)}",
            )

    def settings(self, candidate: CandidateBase) -> dict[str, Any]:
        """Return below which probability it does not answer, where that is said."""
        least = candidate.abstain_below
        return {} if least is None else {"abstain_below": least}

    def knowing(self, column: ColumnSpec, labels: "pa.ChunkedArray") -> "Task":
        """Refuse labels that are none of the classes."""
        counts = Counter(
            {
                class_name(plain(found["values"])): found["counts"]
                for found in labels.drop_null().value_counts().to_pylist()
            }
        )
        total = counts.total()
        for name in self.classes:
            del counts[name]
        if counts:
            parts = [_PARTS.findall(one) for one in counts]
            several = any(len(one) > 1 and {*one} <= {*self.classes} for one in parts)
            raise IntakeError(
                f"{counts.total()} of {total} labels in {self.label.column!r} are none of the"
                f" {len(self.classes)} classes ({counted(counts)})"
                f"{f'; {SEVERAL_LABELS[0]}' if several else ''}",
                culprit="evaluation_set",
                fix=SEVERAL_LABELS[1]
                if several
                else "mend what is misspelt, or list it among the label's classes",
            )
        return self

    def encode_labels(self, labels: "pa.ChunkedArray") -> "pa.ChunkedArray":
        """Turn labels into the names of their classes."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_boolean(labels.type):
            return pc.if_else(labels, "true", "false")
        return labels.cast(pa.string())

    def columns(self, candidate: CandidateBase) -> tuple[tuple[str, str, str], ...]:
        """Name the class, and the probability of each class where there are any."""
        scores = self.classes if self.gives_scores(candidate) else ()
        return (
            ("id", "as in the data", "the case"),
            ("label", "string", "the true class"),
            ("prediction", "string", "the class that was given; missing where none was"),
            *(
                (_score_column(number), "float64", f"the candidate's probability of {name}")
                for number, name in enumerate(scores)
            ),
        )

    def metric_columns(self, candidate: CandidateBase, form: str = "{}") -> dict[str, Any]:
        """Say where the prediction stands, and the probability of each class."""
        scores = {
            name: form.format(_score_column(number)) for number, name in enumerate(self.classes)
        }
        return {
            "label": form.format("label"),
            "score": scores if self.gives_scores(candidate) else None,
            "prediction": form.format("prediction"),
            "classes": list(self.classes),
            "abstains": True,
        }

    def gives_scores(self, candidate: CandidateBase) -> bool:
        """Tell whether it gives probabilities; a recording may hold decisions alone."""
        return not isinstance(candidate, RecordedCandidate) or candidate.scores is not None

    def may_abstain(self, candidate: RecordedCandidate) -> bool:
        """Tell whether the YAML says so."""
        return candidate.abstains

    def shape(self, candidate: CandidateBase, cases: int) -> tuple[int, ...]:
        """Return that of a probability of each class."""
        return (cases, len(self.classes) if self.gives_scores(candidate) else 0)

    def recorded(self, candidate: RecordedCandidate) -> RecordedColumns:
        """Tell the columns of the classes' probabilities, in their order, and of decisions."""
        scores = candidate.scores or {}
        return RecordedColumns(
            tuple(scores[name] for name in self.classes if name in scores), candidate.prediction
        )

    def read_texts(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Read the names of classes; the same whole number may be spelt as 1.0."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        meanings = self._meanings(candidate)
        numbers |= {word: numbers[meant] for word, meant in meanings.items()}

        def number_of(text: str) -> int:
            stripped = str(text).strip()
            either = (stripped, stripped.removesuffix(".0"), f"{stripped}.0")
            return next((numbers[one] for one in either if one in numbers), UNKNOWN_LABEL)

        meaning = {text: number_of(text) for text in texts.unique()}
        return texts.map(meaning).to_numpy(dtype=self.decision_type)

    def recorded_labels(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Read the names of classes out of texts."""
        import numpy as np

        names = np.array([*self.classes, None], dtype=object)
        found: Array = names[self.read_texts(candidate, texts)]
        return found

    def describe_unknown(self, candidate: CandidateBase, unknown: Iterable[Any]) -> str:
        """Say what they are, and how many classes there are."""
        return f"are none of the {len(self.classes)} classes ({counted(Counter(unknown))})"

    def check_classes(self, candidate: CandidateBase, classes: Classes) -> None:
        """Refuse a classifier that has other classes, or fewer."""
        self._places(candidate, classes)

    def _places(self, candidate: CandidateBase, classes: Classes) -> list[int]:
        """Tell at which place of an artifact each class stands."""
        names = self._meant(candidate, classes)
        if sorted(names) != sorted(self.classes):
            lacks = [one for one in self.classes if one not in names]
            extra = [one for one in names if one not in self.classes]
            raise error(
                candidate,
                f"it has {len(names)} classes, and the label {len(self.classes)}"
                f"{f'; it lacks {some_of(lacks)}' if lacks else ''}"
                f"{f'; none of them is {some_of(extra)}' if extra else ''}",
                fix="train it on the label's classes, or correct these; a class that it cannot"
                " know has a probability of 0",
            )
        return [names.index(one) for one in self.classes]

    def scores_of_matrix(
        self, candidate: CandidateBase, classes: Classes, matrix: "Array", cases: int
    ) -> "Array":
        """Put the columns into the order of the classes."""
        if matrix.shape[1:] != (len(classes),):
            raise error(
                candidate,
                f"it gave probabilities of shape {matrix.shape} for {cases} cases",
                fix=f"make it return one column for each of its {len(classes)} classes",
            )
        return matrix[:, self._places(candidate, classes)]

    def scores_of_columns(
        self, candidate: CandidateBase, classes: Classes, columns: "Sequence[Array]"
    ) -> "Array":
        """Put the columns into the order of the classes."""
        import numpy as np

        return np.column_stack([columns[place] for place in self._places(candidate, classes)])

    def scores_of_array(
        self, candidate: CandidateBase, classes: Classes, array: "Array"
    ) -> "Array":
        """Take the columns in the order that the YAML lists, or else in that of the classes."""
        if array.dtype.kind != "f" or array.shape[1:] != (len(self.classes),):
            raise error(
                candidate,
                f"it gives an array of type {array.dtype} and shape {array.shape}, which is no"
                f" probability of {len(self.classes)} classes",
                fix="save a model that gives a column of probabilities for each class",
            )
        positions = set(self.classes) == {str(number) for number in range(len(self.classes))}
        if not classes and not positions:
            raise error(
                candidate,
                "it does not say which of its columns is which class",
                fix="list `classes` in the order of the columns",
            )
        return array[:, self._places(candidate, classes or range(len(self.classes)))]

    def scores_of_answers(self, candidate: CandidateBase, answers: Sequence[Any]) -> "Array":
        """Take one number a class of each case."""
        return columns_of(answers, self.classes)

    def check_labels(
        self, candidate: CandidateBase, classes: Classes, labels: "Array", scores: "Array"
    ) -> None:
        """Refuse labels that are no classes, and probabilities that most of them contradict."""
        import numpy as np

        given = self._meant(candidate, labels.tolist())
        if not {*given} <= {*self.classes} and {*given} <= {str(n) for n in range(len(classes))}:
            given = self._meant(candidate, [classes[int(one)] for one in given])
        unknown = [one for one in given if one not in self.classes]
        if unknown:
            raise error(
                candidate,
                f"{len(unknown)} of its {len(given)} labels"
                f" {self.describe_unknown(candidate, unknown)}",
                fix="list `classes` in the order of the columns of probabilities where its labels"
                " are their positions",
            )
        said = np.array([self.classes.index(one) for one in given], dtype=int)
        highest = scores.max(axis=1) if len(scores) else np.empty(0)
        contradicted = int((scores[np.arange(len(said)), said] < highest).sum())
        if 2 * contradicted > len(scores):
            raise error(
                candidate,
                f"its labels contradict its probabilities in {contradicted} of {len(scores)} cases",
                fix="list `classes` in the order of the columns of probabilities",
            )

    def check_scores(self, candidate: CandidateBase, scores: Any, ids: "pd.Index") -> "Array":
        """Refuse what is not one probability of each class for each case."""
        import numpy as np

        numbers = np.asarray(scores)
        if numbers.shape != self.shape(candidate, len(ids)):
            raise error(
                candidate,
                f"it gave scores of shape {numbers.shape} for {len(ids)} cases and"
                f" {len(self.classes)} classes",
                fix="make it return one score of each class for each case it is given",
            )
        if not self.gives_scores(candidate):
            return numbers
        fix = "make it return for each case probabilities of all classes that add up to 1"
        if numbers.dtype.kind not in "biuf":
            what = f"it gave scores of type {numbers.dtype}, not numbers"
            raise error(candidate, what, fix=fix)
        is_share = np.isfinite(numbers) & (numbers >= 0) & (numbers <= 1)
        totals = np.where(is_share, numbers, 0).sum(axis=1)
        wrong = ~is_share.all(axis=1) | (abs(totals - 1) > _SLACK)
        if wrong.any():
            pairs = zip(ids[wrong][:3], numbers[wrong][:3].tolist(), strict=True)
            examples = ", ".join(f"{case} -> {values[:_SHOWN]}" for case, values in pairs)
            what = f"the scores of {wrong.sum()} of its {len(ids)} cases are no probabilities"
            raise error(candidate, f"{what} of all classes ({examples})", fix=fix)
        return numbers

    def are_predictions(self, values: "Array") -> bool:
        """Tell whether all are numbers of classes, or abstentions."""
        is_class = (values >= 0) & (values < len(self.classes))
        return bool((is_class | (values == ABSTAINED)).all())

    def stored_labels(self, labels: "pd.Series") -> "Array":
        """Return the classes' names."""
        return labels.to_numpy(dtype=object)

    def store(
        self, candidate: CandidateBase, scores: "Array", decided: "Array | None"
    ) -> "dict[str, Array]":
        """Take the class of the highest probability, the first of equals, if nothing else decides.

        Probabilities are made to add up to 1 exactly.
        """
        import numpy as np

        columns: dict[str, Array] = {}
        numbers = scores.astype(np.float64)
        if self.gives_scores(candidate):
            numbers = numbers / numbers.sum(axis=1, keepdims=True)
            for number in range(len(self.classes)):
                columns[_score_column(number)] = numbers[:, number]
        if decided is None:
            decided = numbers.argmax(axis=1) if len(numbers) else np.empty(0, dtype=int)
            if candidate.abstain_below is not None and len(numbers):
                is_sure = numbers.max(axis=1) >= candidate.abstain_below
                decided = np.where(is_sure, decided, ABSTAINED)
        names = np.array([*self.classes, None], dtype=object)
        return {"prediction": names[np.where(decided == ABSTAINED, -1, decided)], **columns}

    def word(self, value: Any) -> str:
        """Return the class."""
        import pandas as pd

        return "no answer" if pd.isna(value) else str(value)

    def case_figures(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return the probability of the true class."""
        return self._probability(frame, "label")

    def claims(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the probability of the class that was answered, and whether it is the true one."""
        right = (frame["prediction"] == frame["label"]).astype("int8")
        score = self._probability(frame, "prediction")
        return right.to_frame("label").assign(score=score)

    def _probability(self, frame: "pd.DataFrame", of: str) -> "pd.Series":
        """Return the probability of the class that a column names; NaN without scores or class."""
        import numpy as np
        import pandas as pd

        columns = [_score_column(number) for number in range(len(self.classes))]
        if columns[0] not in frame:
            return pd.Series(np.nan, index=frame.index)
        place = pd.Index(self.classes).get_indexer(pd.Index(frame[of]))
        scores = frame[columns].to_numpy()[np.arange(len(frame)), place]
        return pd.Series(np.where(place < 0, np.nan, scores), index=frame.index)

    def errors(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return how improbable the true class was held, or else whether the class is wrong."""
        wrong = (frame["prediction"] != frame["label"]).astype(float)
        return (1 - self.case_figures(frame)).fillna(wrong)

    def sides(self, labels: "Array") -> "Iterator[tuple[str, Array]]":
        """Part the cases of each class from the others."""
        for name in self.classes:
            yield f"{name} from the other classes", (labels == name).astype(self.decision_type)

    def case_losses(self, labels: "Array", predictions: "Array") -> "Array":
        """Return 1 where the class is wrong, and 0 where it is right."""
        wrong: Array = (labels != predictions).astype(float)
        return wrong


def classes_of(label: LabelSpec, column: ColumnSpec) -> tuple[str, ...]:
    """Return the classes that are declared: of the label, or else of its column."""
    return tuple(map(class_name, label.classes or column.allowed or ()))


def _loosely(name: str) -> str:
    """Leave out what people leave out when they call a column by a class."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _score_column(number: int) -> str:
    """Name the column of a class's probability; its own name may hold anything."""
    return f"score_{number}"
