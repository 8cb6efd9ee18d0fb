"""How much: a number that a candidate estimates."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from evaluator.errors import CandidateError, IntakeError
from evaluator.scorecard import PREDICTED_BINS
from evaluator.spec._base import problem
from evaluator.spec._candidates import CandidateBase, RecordedCandidate
from evaluator.spec._columns import ColumnSpec
from evaluator.spec._tasks._task import (
    Classes,
    FoundColumn,
    Likely,
    RecordedColumns,
    Task,
    columns_of,
    counted,
    error,
    numbers_of,
    refuse_keys,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from evaluator.spec._tasks._task import Array


_WITH_LIMITS: Final = ("low", "prediction", "high")
"""In which order a number stands between the limits that a candidate gives."""


class RegressionTask(Task):
    """How much: outputs are numbers, in the label's unit, perhaps between limits."""

    key = "regression"
    name = "regression"
    version = 2
    label_keys = frozenset({"tolerance"})
    decision_type = "float64"
    method = "predict"
    headline_metrics = ("mean_absolute_error", "root_mean_squared_error", "bias", "r2")
    any_metric = "mean_absolute_error"
    any_comparison = "mean_absolute_error"
    any_measure = "mean_residual"
    gaps_are_shares = False
    case_figure = "error"
    does_right = "gives within the tolerance"
    losses = ("absolute_error", "squared_error")
    pictures = (PREDICTED_BINS,)
    outputs = "numbers that the data have not"

    @classmethod
    def likely(cls, found: FoundColumn) -> Likely | None:
        """Take numbers; where they are few, another task has taken them before."""
        many = "very many" if found.texts is None else f"{len(found.texts)}"
        return Likely(f"it has {many} different numbers") if found.is_number else None

    @classmethod
    def lacks(cls, found: FoundColumn) -> str | None:
        """Want numbers."""
        return None if found.is_number else f"it holds no numbers{found.such_as}"

    def unlike(self, found: FoundColumn, label: FoundColumn) -> str | None:
        """Take any numbers."""
        return None if found.is_number else f"the column holds no numbers{found.such_as}"

    @property
    def truth(self) -> str:
        """Which column holds the number."""
        return f"the number {self.label.column}"

    def decision(self, candidate: CandidateBase) -> str:
        """Say that it is the number itself."""
        if not candidate.gives_limits:
            return "the number that it gives"
        level = self.limits_level
        meant = "" if level is None else f", meant to hold the truth with probability {level:g}"
        return f"the number that it gives, with limits{meant}"

    def check_column(self, column: ColumnSpec) -> None:
        """Refuse a column that holds no numbers."""
        if column.kind != "number":
            raise problem(
                "label.column",
                f"the column {self.label.column!r} is of type {column.type}, and no number",
                "declare `task: binary` or `task: multiclass`, or a column of numbers",
            )

    def check_candidate(self, key: str, candidate: CandidateBase) -> None:
        """Refuse what is said of classes, and a recording without a number."""
        names = ("threshold", "label_values", "score", "scores", "abstain_below", "abstains")
        refuse_keys(self, key, candidate, *names)
        if getattr(candidate, "classes", ()):
            raise problem(f"{key}.classes", "numbers have no classes", "take it out")
        if isinstance(candidate, RecordedCandidate) and candidate.prediction is None:
            raise problem(
                f"{key}.prediction",
                "without a column of numbers there are no outputs",
                "name the column that holds what the AI system gave",
            )
        if isinstance(candidate, RecordedCandidate):
            for one, other in (("low", "high"), ("high", "low")):
                if getattr(candidate, one) is None and getattr(candidate, other) is not None:
                    raise problem(
                        f"{key}.{one}",
                        f"only the column of the limit `{other}` is named",
                        f"name the other one, or take `{other}` out",
                    )

    def knowing(self, column: ColumnSpec, labels: "pa.ChunkedArray") -> "Task":
        """Refuse labels that are infinite."""
        import pyarrow as pa
        import pyarrow.compute as pc

        numbers = labels.drop_null().cast(pa.float64())
        wrong = numbers.filter(pc.invert(pc.is_finite(numbers)))
        if len(wrong):
            raise IntakeError(
                f"{len(wrong)} of {len(numbers)} labels in {self.label.column!r} are no finite"
                f" numbers ({counted(Counter(map(str, wrong.to_pylist())))})",
                culprit="evaluation_set",
                fix="mend them, or leave the field empty where the truth is not known",
            )
        return self

    def encode_labels(self, labels: "pa.ChunkedArray") -> "pa.ChunkedArray":
        """Turn labels into floating-point numbers."""
        import pyarrow as pa

        return labels.cast(pa.float64())

    def columns(self, candidate: CandidateBase) -> tuple[tuple[str, str, str], ...]:
        """Name the number, and the limits where there are any."""
        limits = (
            ("low", "float64", "the candidate's lower limit of the true number"),
            ("high", "float64", "its upper limit"),
        )
        return (
            ("id", "as in the data", "the case"),
            ("label", "float64", "the true number"),
            ("prediction", "float64", "the number that was given"),
            *(limits if candidate.gives_limits else ()),
        )

    def metric_columns(self, candidate: CandidateBase, form: str = "{}") -> dict[str, Any]:
        """Say where the number stands."""
        return {
            "label": form.format("label"),
            "score": None,
            "prediction": form.format("prediction"),
        }

    @property
    def metric_options(self) -> dict[str, Any]:
        """Say how far off a number may be, and with which probability limits are meant to hold."""
        level = {} if self.limits_level is None else {"limits_level": self.limits_level}
        return {"tolerance": self.label.tolerance, **level}

    def gives_scores(self, candidate: CandidateBase) -> bool:
        """No: the number is the prediction."""
        return False

    def decides(self, candidate: CandidateBase) -> bool:
        """No: the number is the output."""
        return False

    def shape(self, candidate: CandidateBase, cases: int) -> tuple[int, ...]:
        """Return that of one number a case, or of a number between two limits."""
        return (cases, len(_WITH_LIMITS)) if candidate.gives_limits else (cases,)

    def recorded(self, candidate: RecordedCandidate) -> RecordedColumns:
        """Tell the column of the number, between those of the limits where there are any."""
        named = (getattr(candidate, name) for name in _WITH_LIMITS)
        return RecordedColumns(tuple(name for name in named if name is not None), None)

    def read_texts(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Read numbers; what is none is missing."""
        import pandas as pd

        numbers: Array = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=self.decision_type)
        return numbers

    def recorded_labels(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Read numbers out of texts."""
        return self.read_texts(candidate, texts)

    def describe_unknown(self, candidate: CandidateBase, unknown: Iterable[Any]) -> str:
        """Say what they are."""
        return f"are no numbers ({counted(Counter(unknown))})"

    def check_classes(self, candidate: CandidateBase, classes: Classes) -> None:
        """Refuse a classifier."""
        if len(classes):
            raise error(
                candidate,
                f"it is a classifier of {len(classes)} classes, and is asked for a number",
                fix="save a regressor, or declare the `task` that it is trained for",
            )

    def scores_of_matrix(
        self, candidate: CandidateBase, classes: Classes, matrix: "Array", cases: int
    ) -> "Array":
        """Take one number a case."""
        return self.scores_of_array(candidate, classes, matrix)

    def scores_of_columns(
        self, candidate: CandidateBase, classes: Classes, columns: "Sequence[Array]"
    ) -> "Array":
        """Take a number and its limits by their names; refuse other columns."""
        import numpy as np

        names = list(map(str, classes))
        if not candidate.gives_limits or sorted(names) != sorted(_WITH_LIMITS):
            raise self._other_outputs(candidate, f"the columns {', '.join(map(repr, names))}")
        return np.column_stack([columns[names.index(name)] for name in _WITH_LIMITS])

    def scores_of_array(
        self, candidate: CandidateBase, classes: Classes, array: "Array"
    ) -> "Array":
        """Take the one column of an array, or the number between its limits."""
        shape = self.shape(candidate, len(array))
        if array.shape not in (shape, (*shape, 1)):
            raise self._other_outputs(candidate, f"an array of shape {array.shape}")
        return array.reshape(shape)

    def _other_outputs(self, candidate: CandidateBase, what: str) -> CandidateError:
        """Say what a candidate should give instead."""
        if candidate.gives_limits:
            return error(
                candidate,
                f"it gives {what}, and is asked for a number between limits for each case",
                fix="save a model that gives three columns, called low, prediction and high or in"
                " this order, or take `limits` out",
            )
        return error(
            candidate,
            f"it gives {what}, and is asked for one number a case",
            fix="save a model that gives the number alone, or write `limits: true` where it gives"
            " lower limit, number and upper limit",
        )

    def scores_of_answers(self, candidate: CandidateBase, answers: Sequence[Any]) -> "Array":
        """Take one number a case, or objects of a number and its limits."""
        if candidate.gives_limits:
            return columns_of(answers, _WITH_LIMITS)
        return numbers_of(answers)

    def check_labels(
        self, candidate: CandidateBase, classes: Classes, labels: "Array", scores: "Array"
    ) -> None:
        """Refuse a model that gives labels as well: it is a classifier."""
        raise error(
            candidate,
            "it gives labels beside its numbers, as a classifier does",
            fix="save a regressor, or declare the `task` that it is trained for",
        )

    def check_scores(self, candidate: CandidateBase, scores: Any, ids: "pd.Index") -> "Array":
        """Refuse what is not one finite number for each case."""
        import numpy as np

        numbers = np.asarray(scores)
        if numbers.shape != self.shape(candidate, len(ids)):
            more = ", between a lower and an upper limit" if candidate.gives_limits else ""
            raise error(
                candidate,
                f"it gave numbers of shape {numbers.shape} for {len(ids)} cases",
                fix=f"make it return one number for each case it is given{more}",
            )
        fix = "make it return finite numbers"
        if numbers.dtype.kind not in "iuf":
            what = f"it gave values of type {numbers.dtype}, not numbers"
            raise error(candidate, what, fix=fix)

        def refuse(wrong: "Array", what: str, fix: str) -> None:
            if wrong.any():
                pairs = zip(ids[wrong][:3], numbers[wrong][:3].tolist(), strict=True)
                examples = ", ".join(f"{case} -> {value}" for case, value in pairs)
                raise error(
                    candidate, f"{wrong.sum()} of its {len(ids)} {what} ({examples})", fix=fix
                )

        if not candidate.gives_limits:
            refuse(~np.isfinite(numbers), "numbers are missing or infinite", fix)
            return numbers
        low, number, high = numbers.T
        refuse(~np.isfinite(number), "numbers are missing or infinite", fix)
        refuse(
            ~(np.isfinite(low) & np.isfinite(high)),
            "pairs of limits are missing or infinite",
            "make it give two finite limits with each number; of what it cannot limit, such as one"
            " side, give the furthest number that there may be",
        )
        refuse(
            low > high,
            "lower limits are above the upper ones",
            "exchange the two where they are named, or mend the candidate",
        )
        return numbers

    def are_predictions(self, values: "Array") -> bool:
        """Tell whether all are finite."""
        import numpy as np

        return bool(np.isfinite(values).all())

    def stored_labels(self, labels: "pd.Series") -> "Array":
        """Return the numbers."""
        return labels.to_numpy(dtype=self.decision_type)

    def store(
        self, candidate: CandidateBase, scores: "Array", decided: "Array | None"
    ) -> "dict[str, Array]":
        """Keep the number, and its limits where there are any."""
        numbers = scores.astype(self.decision_type)
        if not candidate.gives_limits:
            return {"prediction": numbers}
        low, prediction, high = numbers.T
        return {"prediction": prediction, "low": low, "high": high}

    def word(self, value: Any) -> str:
        """Write the number."""
        return f"{value:g}"

    def case_figures(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return how far off the numbers are."""
        return self.errors(frame)

    def are_right(self, frame: "pd.DataFrame") -> "pd.Series | None":
        """Tell which numbers are within the tolerance; None where there is none."""
        tolerance = self.label.tolerance
        return None if tolerance is None else self.errors(frame) <= tolerance

    def errors(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return how far off the numbers are."""
        return (frame["prediction"] - frame["label"]).abs()

    def sides(self, labels: "Array") -> "Iterator[tuple[str, Array]]":
        """Part the upper half from the lower one."""
        import numpy as np

        if len(labels):
            above = labels > np.median(labels)
            yield "whether the number is in its upper half", above.astype("int32")

    def case_losses(self, labels: "Array", predictions: "Array") -> "Array":
        """Return how far off each number is."""
        return abs(predictions - labels)
