"""Which items come first: a case is a query, and a candidate ranks items for it."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from evaluator.errors import IntakeError
from evaluator.spec._base import kind_of, problem
from evaluator.spec._candidates import CandidateBase, HttpCandidate, RecordedCandidate
from evaluator.spec._columns import ColumnSpec
from evaluator.spec._tasks._task import (
    LIMIT_KEYS,
    UNKNOWN_LABEL,
    AnswersError,
    RecordedColumns,
    Task,
    error,
    refuse_keys,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from evaluator.spec._tasks._task import Array

_SHOWN: Final = 5
"""How many items a reader is shown of a label or a ranking."""


class RankingTask(Task):
    """Which items come first: outputs are lists of items, stored as JSON, the best one first."""

    key = "ranking"
    name = "ranking"
    label_keys = frozenset()
    decision_type = "object"
    headline_metrics = (
        "ndcg_at_10",
        "recall_at_10",
        "precision_at_10",
        "mean_reciprocal_rank",
        "mean_average_precision",
    )
    any_metric = "ndcg_at_10"
    any_comparison = "ndcg_at_10"
    any_measure = "ranking_gap"
    losses = ("ndcg_shortfall",)
    unknown_fix = "record lists of items as JSON, or name another column under `prediction`"
    pictures = ()

    @property
    def truth(self) -> str:
        """Which column says what is relevant."""
        return f"which items are relevant to a query, and how much, by {self.label.column}"

    def decision(self, candidate: CandidateBase) -> str:
        """Say that it is the list itself."""
        return "the list of items that it gives, the best one first"

    def check_column(self, column: ColumnSpec) -> None:
        """Refuse a column that holds no text."""
        if column.type != "string":
            raise problem(
                "label.column",
                f"the column {self.label.column!r} is of type {column.type}, and holds no grades",
                'make it a string of JSON, such as {"d3": 2, "d7": 1} or ["d3", "d7"]',
            )

    def check_candidate(self, key: str, candidate: CandidateBase) -> None:
        """Refuse models, what is said of other outputs, and a process for what runs no code."""
        if not isinstance(candidate, RecordedCandidate | HttpCandidate):
            raise problem(
                f"{key}.kind",
                f"no artifact of kind {kind_of(type(candidate))} ranks items",
                "record the rankings and declare `kind: recorded`, or serve them (`kind: http`)",
            )
        names = ("threshold", "label_values", "score", "scores", "abstain_below", "abstains")
        refuse_keys(self, key, candidate, *names, *LIMIT_KEYS)
        if isinstance(candidate, RecordedCandidate) and candidate.prediction is None:
            raise problem(
                f"{key}.prediction",
                "without a column of rankings there are no outputs",
                "name the column that holds them",
            )
        limits = ("isolate", "timeout", "load_timeout", "memory_limit")
        if candidate.isolated:
            limit = next(name for name in limits if getattr(candidate, name) is not None)
            raise problem(
                f"{key}.{limit}",
                "rankings come from a recording or an endpoint, of which no code runs here",
                "take it out; requests have a `request_timeout`",
            )

    def knowing(self, column: ColumnSpec, labels: "pa.ChunkedArray") -> "Task":
        """Refuse labels that are no grades of items."""
        values = labels.drop_null().to_pylist()
        wrong = _faults(values, _label)
        if wrong:
            raise IntakeError(
                f"{wrong.total()} of {len(values)} labels in {self.label.column!r} are no grades of"
                f" items ({_said(wrong)})",
                culprit="evaluation_set",
                fix='write grades from 0 on by item, such as {"d3": 2, "d7": 1}, or a list of the'
                " relevant items; leave the field empty where a query was not judged",
            )
        return self

    def encode_labels(self, labels: "pa.ChunkedArray") -> "pa.ChunkedArray":
        """Turn labels into objects of JSON, the items in order."""
        import pyarrow as pa

        texts = [None if one is None else _label(one) for one in labels.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])

    def columns(self, candidate: CandidateBase) -> tuple[tuple[str, str, str], ...]:
        """Name the ranking."""
        return (
            ("id", "as in the data", "the query"),
            ("label", "string", "the grades of the items that were judged, as JSON"),
            ("prediction", "string", "the items that were given, the best one first, as JSON"),
        )

    def metric_columns(self, candidate: CandidateBase, form: str = "{}") -> dict[str, Any]:
        """Say where the ranking stands."""
        return {
            "label": form.format("label"),
            "score": None,
            "prediction": form.format("prediction"),
        }

    def gives_scores(self, candidate: CandidateBase) -> bool:
        """No: the list is the prediction."""
        return False

    def shape(self, candidate: CandidateBase, cases: int) -> tuple[int, ...]:
        """Return that of one ranking a case."""
        return (cases,)

    def recorded(self, candidate: RecordedCandidate) -> RecordedColumns:
        """Tell the column of the ranking."""
        return RecordedColumns((), candidate.prediction)

    def read_texts(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Read lists of items."""
        return _read(texts, _ranking, UNKNOWN_LABEL)

    def recorded_labels(self, candidate: CandidateBase, texts: "pd.Series") -> "Array":
        """Read grades of items."""
        return _read(texts, _label, None)

    def describe_unknown(self, candidate: CandidateBase, unknown: Iterable[Any]) -> str:
        """Say what is wrong with them."""
        return f"are no rankings ({_said(_faults(unknown, _ranking))})"

    def scores_of_answers(self, candidate: CandidateBase, answers: Sequence[Any]) -> "Array":
        """Take one list of items a case."""
        read = _read(answers, _ranking, None)
        wrong = [place for place, one in enumerate(read) if one is None]
        if wrong:
            raise AnswersError(f"no rankings ({_said(_faults(answers, _ranking))})", wrong)
        return read

    def check_scores(self, candidate: CandidateBase, scores: Any, ids: "pd.Index") -> "Array":
        """Refuse what is not one ranking for each case."""
        import numpy as np

        rankings = np.asarray(scores)
        if rankings.shape != ids.shape:
            raise error(
                candidate,
                f"it gave rankings of shape {rankings.shape} for {len(ids)} cases",
                fix="make it return one list of items for each case it is given",
            )
        return rankings

    def are_predictions(self, values: "Array") -> bool:
        """Tell whether all are rankings."""
        return not _faults(values, _ranking)

    def stored_labels(self, labels: "pd.Series") -> "Array":
        """Return the grades as JSON."""
        return labels.to_numpy(dtype=object)

    def store(
        self, candidate: CandidateBase, scores: "Array", decided: "Array | None"
    ) -> "dict[str, Array]":
        """Keep the ranking."""
        return {"prediction": (scores if decided is None else decided).astype(object)}

    def word(self, value: Any) -> str:
        """Name the first items, of a label those of the highest grades with these."""
        found = json.loads(value)
        if isinstance(found, Mapping):
            ordered = sorted(found.items(), key=lambda one: -one[1])
            names = [f"{item} ({grade:g})" for item, grade in ordered]
        else:
            names = found
        more = len(names) - _SHOWN
        listed = ", ".join(names[:_SHOWN]) or "none"
        return f"{listed} and {more} more" if more > 0 else listed

    def case_figures(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return that there is none."""
        import numpy as np
        import pandas as pd

        return pd.Series(np.nan, index=frame.index)

    def are_right(self, frame: "pd.DataFrame") -> "pd.Series | None":
        """Return None: a ranking is more or less good."""
        return None

    def errors(self, frame: "pd.DataFrame") -> "pd.Series":
        """Return what lacks to the best ranking."""
        import pandas as pd

        reached = _reached(frame["label"], frame["prediction"])
        return pd.Series(1 - reached, index=frame.index)

    def sides(self, labels: "Array") -> "Iterator[tuple[str, Array]]":
        """Part nothing: which items are relevant is no side."""
        yield from ()

    def case_losses(self, labels: "Array", predictions: "Array") -> "Array":
        """Return what lacks to the best ranking; where nothing is relevant, nothing does."""
        import numpy as np

        lacking: Array = 1 - np.nan_to_num(_reached(labels, predictions), nan=1.0)
        return lacking


def _label(value: Any) -> str:
    """Write grades in one way, or say in an error why they are none."""
    from evaluator.metrics import grades_of

    grades = {
        item: int(grade) if grade.is_integer() else grade
        for item, grade in grades_of(value).items()
    }
    return json.dumps(grades, ensure_ascii=False, sort_keys=True)


def _ranking(value: Any) -> str:
    """Write a ranking in one way, or say in an error why it is none."""
    from evaluator.metrics import ranking_of

    return json.dumps(ranking_of(value), ensure_ascii=False)


def _faults(values: Iterable[Any], write: Callable[[Any], str]) -> Counter[str]:
    """Count what is wrong with those that cannot be written."""
    found: Counter[str] = Counter()
    for value in values:
        try:
            write(value)
        except ValueError as fault:
            found[str(fault)] += 1
    return found


def _said(faults: Counter[str]) -> str:
    return ", ".join(f"{fault} in {count}" for fault, count in faults.most_common())


def _read(values: Iterable[Any], write: Callable[[Any], str], otherwise: Any) -> "Array":
    """Write all values in one way; what cannot be is the other value."""
    import numpy as np

    found = []
    for value in values:
        try:
            found.append(write(value))
        except ValueError:
            found.append(otherwise)
    return np.array(found, dtype=object)


def _reached(labels: Iterable[Any], predictions: Iterable[Any]) -> "Array":
    """Return NDCG at 10 of each query; NaN where nothing is relevant."""
    from evaluator.metrics import query_values

    return query_values(labels, predictions, "ndcg_at_10")
