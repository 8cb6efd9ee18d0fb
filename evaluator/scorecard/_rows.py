"""What a scorecard's tables have rows of, each kind declared once: its columns and their types.

A column is a field of a row; the stored form of the tables is made of these fields. Measurements
have the columns of the audit's metrics instead, see `read_measurements`.
"""

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import pandas as pd
import pyarrow as pa

from evaluator.errors import EvidenceError
from evaluator.scorecard._cells import is_missing

OVERALL: Final = "overall"
"""The level of all cases."""


class FoundRow(Protocol):
    """One row of a table that has rows of every candidate."""

    @property
    def candidate(self) -> str:
        """Whom it is about."""


Found = TypeVar("Found", bound=FoundRow)


@dataclass(frozen=True, kw_only=True)
class AdditionalMeasurement:
    """One metric of one candidate in one group of the further slices, as in `Measurement`."""

    candidate: str
    level: str
    group: str
    metric: str
    class_: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    n_effective: float | None = None
    clusters: int | None = None
    design_effect: float | None = None
    status: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of one candidate less that of another; see `compare_candidates`.

    Attributes
    ----------
    class_
        Which class it is of; None where the metric has one value over all of them.
    low, high
        The interval of this difference alone; those that are adjusted agree with `conclusion`.
    clusters
        How many clusters they come from; None where cases are taken as independent.
    better, worse
        Cases that the candidate treats better and worse than the other does.
    """

    candidate: str
    baseline: str
    level: str
    geography: str | None = None
    segment: str | None = None
    metric: str
    class_: str | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    low_adjusted: float | None = None
    high_adjusted: float | None = None
    p_equivalent: float | None = None
    p_not_worse: float | None = None
    n: int
    n_effective: float | None = None
    clusters: int | None = None
    n_discordant: int | None = None
    better: int
    worse: int
    higher_is_better: bool | None = None
    conclusion: str
    status: str | None = None
    reason: str | None = None

    @property
    def is_overall(self) -> bool:
        """Whether it is over all cases."""
        return self.level == OVERALL


@dataclass(frozen=True, kw_only=True)
class Rank:
    """A candidate's rank by one metric; see `rank_candidates`."""

    level: str
    geography: str | None = None
    segment: str | None = None
    metric: str
    class_: str | None = None
    candidate: str
    rank: int | None = None
    best_rank: int
    worst_rank: int
    not_told_apart_from: str | None = None

    @property
    def is_overall(self) -> bool:
        """Whether it is over all cases."""
        return self.level == OVERALL


@dataclass(frozen=True, kw_only=True)
class Gap:
    """One measure of fairness of one group against its reference; see `fairness`.

    Attributes
    ----------
    class_
        Of several classes the one that is looked at.
    reference
        None where there is no other group.
    high
        Infinite where a ratio's interval has no upper end.
    clusters
        How many clusters it rests on; None where cases are taken as independent.
    """

    candidate: str
    measure: str
    comparison: str
    class_: str | None = None
    attribute: str
    group: str
    reference: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    group_value: float | None = None
    reference_value: float | None = None
    n: int
    n_reference: int | None = None
    n_effective: float | None = None
    n_effective_reference: float | None = None
    clusters: int | None = None
    strata: int | None = None
    strata_left_out: int | None = None
    status: str | None = None
    reason: str | None = None

    @property
    def is_ratio(self) -> bool:
        """Whether it is a ratio; otherwise it is a difference."""
        return self.comparison == "ratio"


@dataclass(frozen=True, kw_only=True)
class WeakSlice:
    """One slice that the search has tested; see `WeakSlices.table`."""

    candidate: str
    slice: str
    conditions: str | None = None
    n: int | None = None
    n_all: int
    loss: float | None = None
    rest_loss: float | None = None
    excess: float | None = None
    low: float | None = None
    high: float | None = None
    harm: float | None = None
    harm_low: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    group: int | None = None
    also: str | None = None
    explained_by: str | None = None
    status: str | None = None
    reason: str | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether its test showed that it is weak."""
        return self.status == "confirmed"

    @property
    def is_leading(self) -> bool:
        """Whether it is confirmed, and not only since it shares cases with another."""
        return self.is_confirmed and self.explained_by is None


@dataclass(frozen=True, kw_only=True)
class WorsenedSlice:
    """One slice then and now; see `worsened_slices`."""

    candidate: str
    slice: str
    conditions: str | None = None
    n_before: int | None = None
    n_after: int
    loss_before: float | None = None
    loss_after: float | None = None
    worsening: float | None = None
    low: float | None = None
    high: float | None = None
    harm: float | None = None
    harm_low: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    status: str | None = None
    reason: str | None = None

    @property
    def is_worse(self) -> bool:
        """Whether it is shown to be worse."""
        return self.status == "worse"


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """What a candidate gets right and wrong as it decides, or from one score on.

    Attributes
    ----------
    point
        0 is as it decides; the others are thresholds that rise.
    threshold
        A score at or above this is positive; None as it decides.
    true_positives, false_positives, false_negatives, true_negatives
        How many cases are so, by their weights.
    """

    candidate: str
    point: int
    threshold: float | None = None
    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float

    @property
    def true_positive_rate(self) -> float | None:
        """The share of positive cases that it finds: its recall."""
        return _share(self.true_positives, self.false_negatives)

    @property
    def false_positive_rate(self) -> float | None:
        """The share of negative cases that it takes for positive."""
        return _share(self.false_positives, self.true_negatives)

    @property
    def precision(self) -> float | None:
        """The share of what it takes for positive that is."""
        return _share(self.true_positives, self.false_positives)


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest else None


@dataclass(frozen=True, kw_only=True)
class ScoreBin:
    """The cases whose scores lie from `low` to below `high`, which 1 itself is in the last one.

    Attributes
    ----------
    mean_score
        By weights. Of several classes a score is the probability of the one that was answered.
    positives, negatives
        How many cases are so, by their weights; of several classes how many answers are correct,
        and how many are wrong.
    rate, rate_low, rate_high
        The share of positive cases, or of correct answers, with its interval.
    n
        How many cases there are.
    """

    candidate: str
    low: float
    high: float
    mean_score: float
    positives: float
    negatives: float
    rate: float | None = None
    rate_low: float | None = None
    rate_high: float | None = None
    n: int
    status: str | None = None


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """The cases of one class that were taken for one; where there are none there is no row.

    Attributes
    ----------
    label, predicted
        The class that they are of, and what it was taken for; None where nothing was answered.
    n, count
        How many they are, and by their weights.
    share, low, high
        The share of the label's cases, by weights, with its interval.
    """

    candidate: str
    label: str
    predicted: str | None = None
    n: int
    count: float
    share: float | None = None
    low: float | None = None
    high: float | None = None
    status: str | None = None

    @property
    def is_right(self) -> bool:
        """Whether they were taken for what they are."""
        return self.label == self.predicted


@dataclass(frozen=True, kw_only=True)
class ClassFigure:
    """One metric of one class over all cases.

    Attributes
    ----------
    metric
        ``class_recall``, ``class_precision``, ``class_f1`` or ``class_share``.
    n
        The cases that it is a share of: those of the class, those that were predicted as it, those
        of which either is true, or all.
    """

    candidate: str
    class_: str
    metric: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int
    status: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class PredictedBin:
    """The cases whose predicted numbers are from `low` to `high`, both included.

    Attributes
    ----------
    mean_predicted
        By weights.
    mean_actual, actual_low, actual_high
        The mean of what is true, by weights, with its interval.
    residual_5, residual_25, residual_50, residual_75, residual_95
        The least residual, prediction minus label, that so many per cent of the cases do not
        exceed, by weights.
    n
        How many cases there are.
    """

    candidate: str
    low: float
    high: float
    mean_predicted: float
    mean_actual: float | None = None
    actual_low: float | None = None
    actual_high: float | None = None
    residual_5: float
    residual_25: float
    residual_50: float
    residual_75: float
    residual_95: float
    n: int
    status: str | None = None

    @property
    def reach(self) -> tuple[float, float]:
        """As far as it goes to the nearer end, on either side of its mean: few may be far off."""
        mean = self.mean_predicted
        return max(self.low, 2 * mean - self.high), min(self.high, 2 * mean - self.low)


class _Kind(NamedTuple):
    """How a type of Python stands in tables."""

    stored: pa.DataType
    dtype: str


_KINDS: Final[Mapping[Callable[[Any], object], _Kind]] = {
    str: _Kind(pa.string(), "str"),
    float: _Kind(pa.float64(), "float64"),
    int: _Kind(pa.int64(), "Int64"),
    bool: _Kind(pa.bool_(), "boolean"),
}


class _Column(NamedTuple):
    field: str
    name: str
    """The field's; no field can be called `class`, which a column may."""
    read: Callable[[Any], object]
    required: bool


@cache
def _columns(kind: type) -> Sequence[_Column]:
    """Read the columns of a kind of row off its fields."""
    hints = typing.get_type_hints(kind)
    columns = []
    for one in fields(kind):
        options = set(typing.get_args(hints[one.name]) or [hints[one.name]])
        (read,) = options - {types.NoneType}
        columns.append(_Column(one.name, one.name.rstrip("_"), read, types.NoneType not in options))
    return columns


def schema_of(kind: type) -> pa.Schema:
    """Give the form in which rows of a kind are stored."""
    return pa.schema([(column.name, _KINDS[column.read].stored) for column in _columns(kind)])


def read_rows(table: pd.DataFrame, kind: type[Found]) -> list[Found]:
    """Read a table's rows; what is missing is None, be it a cell or a column.

    Raises
    ------
    EvidenceError
        Where a cell is missing without which a row means nothing.
    """
    if table.empty:
        return []
    cells = {}
    for field, name, read, required in _columns(kind):
        found = table[name].tolist() if name in table else [None] * len(table)
        cells[field] = [None if is_missing(cell) else read(cell) for cell in found]
        if required and None in cells[field]:
            raise EvidenceError(
                f"a row has no {name}", culprit=kind.__name__, fix="make the scorecard again"
            )
    return [kind(**dict(zip(cells, row, strict=True))) for row in zip(*cells.values(), strict=True)]


def to_frame(rows: Sequence[FoundRow], kind: type) -> pd.DataFrame:
    """Lay rows out as a table again.

    Parameters
    ----------
    rows
        All of one kind; none give a table without rows.
    kind
        Their class: a frozen dataclass of texts, numbers and truth values.

    Returns
    -------
    pandas.DataFrame
        One column a field; a count that may be missing is of a nullable type.
    """
    return pd.DataFrame(
        {
            name: pd.Series(
                [getattr(row, field) for row in rows],
                dtype="int64" if required and read is int else _KINDS[read].dtype,
            )
            for field, name, read, required in _columns(kind)
        }
    )
