"""One scorecard whole, and the plain facts about days that gates are judged on beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Self

import pandas as pd

from evaluator.scorecard._measurements import CURRENT
from evaluator.scorecard._rows import (
    AdditionalMeasurement,
    ClassFigure,
    Comparison,
    Confusion,
    Found,
    Gap,
    OperatingPoint,
    PredictedBin,
    Rank,
    ScoreBin,
    WeakSlice,
    WorsenedSlice,
    read_rows,
)
from evaluator.scorecard._tables import (
    ADDITIONAL_MEASUREMENTS,
    CLASSES,
    COMPARISONS,
    CONFUSION,
    FAIRNESS,
    MEASUREMENTS,
    OPERATING_POINTS,
    PAIRS,
    PREDICTED_BINS,
    RANKS,
    SCORE_BINS,
    SLICES,
    WEAK_SLICES,
    WORSENED,
)

_TABLES: Final[Mapping[type, str]] = {
    AdditionalMeasurement: "additional_measurements",
    Comparison: "comparisons",
    Rank: "ranks",
    Gap: "fairness",
    WeakSlice: "weak_slices",
    WorsenedSlice: "worsened",
    OperatingPoint: "operating_points",
    ScoreBin: "score_bins",
    Confusion: "confusion",
    ClassFigure: "classes",
    PredictedBin: "predicted_bins",
}
"""Which table has rows of which kind."""


@dataclass(frozen=True, kw_only=True)
class DayFacts:
    """What is known of one day that arrived.

    Attributes
    ----------
    day
        The intake's partition: the first day that the file is of, as 2013-11-30, or ``snapshot``.
    rows, quarantined
        Rows that the file had, and those in quarantine; None where nobody counted them.
    refused
        Why the day as a whole was refused; None where it was accepted.
    is_reference
        Whether the day is one of those that drift is measured from.
    drift
        By column its measures, as `evaluator.intake.Profile.drift_measures` gives them.
    """

    day: str
    rows: int | None
    quarantined: int | None
    refused: str | None = None
    is_reference: bool = False
    drift: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """What is known of labels that came in files of their own.

    Attributes
    ----------
    mature_after
        From which age on, in days, a case is evaluated.
    newest_day
        To which day ages are counted, as 2013-11-30; None where cases are of no day.
    mature, labelled
        Cases that are old enough, and those of them that have a label.
    too_young
        Cases that are not old enough, with a label or without.
    unknown
        Ids of labels that no case has.
    repeated
        Ids that have the same label in several files.
    conflicting
        Ids whose labels contradict each other.
    latest
        Whether of these the label of the latest file counts; otherwise none does.
    """

    mature_after: int
    newest_day: str | None
    mature: int
    labelled: int
    too_young: int
    unknown: int
    repeated: int
    conflicting: int
    latest: bool


BEYOND_CHANCE: Final = 10
"""So many times more cases with equal values than by chance are a sign of the same cases."""


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """What is known of the cases that a candidate saw in training.

    Attributes
    ----------
    problem
        Why nobody could look; None where somebody did.
    cases, evaluated
        Labelled cases that were looked at, and those of them that are in the evaluation set.
    by_id, by_content
        Of these, how many have the id, or the values, of a row in its training files; None where
        that could not be looked at.
    by_day
        How many are not after the last day of its training; None without such a day.
    by_file
        How many are of a day one of whose files it was trained on; None without digests.
    found
        How many were found by at least one of these looks.
    left_out
        How many of them are not in the evaluation set.
    by_chance
        How many matches of content would be expected if columns were independent. Where they are
        too many, `by_content` is not among what was found (`content_identifies`).
    files
        The SHA-256 of each of its files, by path.
    rows, unread
        How many rows these have, and how many of them could not be read whole.
    columns
        The columns whose values were compared.
    last_day
        As declared; None without.
    digests
        How many are declared.
    """

    problem: str | None = None
    cases: int
    evaluated: int
    by_id: int | None = None
    by_content: int | None = None
    by_day: int | None = None
    by_file: int | None = None
    found: int = 0
    left_out: int = 0
    by_chance: float = 0.0
    files: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    unread: int = 0
    columns: Sequence[str] = ()
    last_day: str | None = None
    digests: int = 0

    @property
    def remaining(self) -> int:
        """How many cases that it saw are in the evaluation set."""
        return self.found - self.left_out

    @property
    def content_identifies(self) -> bool:
        """Whether equal values are a sign of the same case, and not of few possible values."""
        matches = self.by_content
        return matches is not None and (matches == 0 or matches >= BEYOND_CHANCE * self.by_chance)

    @property
    def looks(self) -> list[str]:
        """By what it was looked for them: `id`, `content`, `day` and `file`."""
        counts = {"id": self.by_id, "day": self.by_day, "file": self.by_file}
        counts["content"] = self.by_content if self.content_identifies else None
        return [name for name in ("id", "content", "day", "file") if counts[name] is not None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorecard:
    """What was found of an audit's candidates. A frame may be empty, even of columns.

    Attributes
    ----------
    measurements
        One row per candidate, level, slice and metric: the column `candidate` and the columns of
        `evaluator.metrics.slice_metrics` with the slice columns `geography` and `segment`.
    slices
        One row per candidate and slice that the audit expects: `candidate`, `geography`,
        `segment`, `state` (``current``, ``outdated`` or ``missing``), `error`, `content_version`.
    additional_measurements
        What was measured beside geography and segment: `candidate`, `level` ("carrier x origin"),
        `group` ("carrier = B6, origin = JFK"), and the columns of
        `evaluator.metrics.slice_metrics` from `metric` on; without rows where the audit declares
        no `additional_slices`.
    comparisons
        `evaluator.metrics.compare_candidates` with the baseline, by `geography` and `segment`;
        without rows where the audit does not compare.
    pairs
        `evaluator.metrics.compare_pairs`, of the candidates that could be compared.
    ranks
        `evaluator.metrics.rank_candidates` of the pairs.
    fairness
        `candidate`, and the columns of `evaluator.metrics.fairness`; without rows where the audit
        declares no `fairness`.
    weak_slices
        `candidate`, and the columns of `WeakSlices.table`; without rows where the audit declares
        no `weak_slices`.
    worsened
        `candidate`, and the columns of `evaluator.metrics.worsened_slices`, since the last
        certificate that was about another evaluation set; without rows where there is none.
    operating_points, score_bins, confusion, classes, predicted_bins
        Rows of `OperatingPoint`, `ScoreBin`, `Confusion`, `ClassFigure` and `PredictedBin`; without
        rows where the audit's task has none, or they were not stored yet.
    weak_searches
        By candidate, how far its weak slices were searched: `WeakSlices.search`, and `loss` and
        `level` where they are known. A candidate that is not in it was not searched.
    remarks
        What a reader must know of the candidates, in sentences without their full stops:
        duplicates, faults of recordings, who is not compared, and what could not be looked at.
    days
        The days that arrived, which gates on data quality and drift look at; none where there is
        no such gate.
    labels
        Of the evaluation set, what is known of labels that came in files of their own; None where
        they stand beside their cases.
    training
        Of the evaluation set, by candidate what is known of the cases that it saw in training;
        without those that do not say what they were trained on.
    """

    measurements: pd.DataFrame
    slices: pd.DataFrame
    additional_measurements: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    ranks: pd.DataFrame = field(default_factory=pd.DataFrame)
    fairness: pd.DataFrame = field(default_factory=pd.DataFrame)
    weak_slices: pd.DataFrame = field(default_factory=pd.DataFrame)
    worsened: pd.DataFrame = field(default_factory=pd.DataFrame)
    operating_points: pd.DataFrame = field(default_factory=pd.DataFrame)
    score_bins: pd.DataFrame = field(default_factory=pd.DataFrame)
    confusion: pd.DataFrame = field(default_factory=pd.DataFrame)
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)
    predicted_bins: pd.DataFrame = field(default_factory=pd.DataFrame)
    weak_searches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    days: Sequence[DayFacts] = ()
    labels: LabelFacts | None = None
    training: Mapping[str, TrainingFacts] = field(default_factory=dict)

    def rows(self, kind: type[Found], candidate: str | None = None) -> list[Found]:
        """Give the rows of a table, which is read once.

        Parameters
        ----------
        kind
            `AdditionalMeasurement`, `Comparison` (those with the baseline), `Rank`, `Gap`,
            `WeakSlice`, `WorsenedSlice`, `OperatingPoint`, `ScoreBin`, `Confusion`, `ClassFigure`
            or `PredictedBin`.
        candidate
            Whose rows; those of all where None.

        Returns
        -------
        list
            In the table's order.

        Raises
        ------
        EvidenceError
            Where a cell is missing without which a row means nothing.
        """
        if kind not in self._rows:
            self._rows[kind] = read_rows(getattr(self, _TABLES[kind]), kind)
        return [row for row in self._rows[kind] if candidate in {None, row.candidate}]

    @cached_property
    def _rows(self) -> dict[type, Sequence[Any]]:
        return {}

    def of(self, candidate: str) -> Self:
        """Give what was found of one candidate; days and remarks are those of the audit."""
        own: dict[str, Any] = {
            name: table[table["candidate"] == candidate]
            for name, table in vars(self).items()
            if isinstance(table, pd.DataFrame) and len(table)
        }
        searches = {name: one for name, one in self.weak_searches.items() if name == candidate}
        return replace(self, **own, weak_searches=searches)

    @property
    def slices_not_current(self) -> pd.DataFrame:
        """The rows of `slices` on which no verdict may rest."""
        return self.slices if self.slices.empty else self.slices[self.slices["state"] != CURRENT]

    @classmethod
    def from_tables(
        cls,
        read_table: Callable[[str], pd.DataFrame],
        *,
        weak_searches: Mapping[str, Mapping[str, Any]],
        remarks: Sequence[str] = (),
        days: Sequence[DayFacts] = (),
        labels: LabelFacts | None = None,
        training: Mapping[str, TrainingFacts] = MappingProxyType({}),
    ) -> Self:
        """Lay stored tables, or those that were computed again, out as one scorecard.

        Parameters
        ----------
        read_table
            Gives a table by its file's name, as `evaluator.scorecard.from_stored` reads it.
        weak_searches, remarks, days, labels, training
            What is not stored as a table.
        """
        return cls(
            measurements=read_table(MEASUREMENTS),
            slices=read_table(SLICES),
            additional_measurements=read_table(ADDITIONAL_MEASUREMENTS),
            comparisons=read_table(COMPARISONS),
            pairs=read_table(PAIRS),
            ranks=read_table(RANKS),
            fairness=read_table(FAIRNESS),
            weak_slices=read_table(WEAK_SLICES),
            worsened=read_table(WORSENED),
            operating_points=read_table(OPERATING_POINTS),
            score_bins=read_table(SCORE_BINS),
            confusion=read_table(CONFUSION),
            classes=read_table(CLASSES),
            predicted_bins=read_table(PREDICTED_BINS),
            weak_searches=weak_searches,
            remarks=remarks,
            days=days,
            labels=labels,
            training=training,
        )
