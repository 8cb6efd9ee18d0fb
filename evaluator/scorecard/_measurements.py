"""The scorecard and the list of slices, read once into typed values."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evaluator.scorecard._cells import number, text
from evaluator.scorecard._slice import SLICE_SEPARATOR

CURRENT = "current"
"""The state of a slice whose evidence is of this version of everything it rests on."""

_COLUMNS = ["candidate", "metric", "level", "geography", "segment", "value", "low", "high", "n"]
_COLUMNS += ["n_effective", "status", "reason"]
# A difference has no design effect, what an earlier version stored has neither that nor clusters,
# and only what is measured of single classes has a class.
_OPTIONAL = ("clusters", "design_effect", "class")


def slice_keys(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Name each row's slice; see `Slice.key`.

    Parameters
    ----------
    frame
        With the columns `geography` and `segment`; a row that lacks one names no slice.

    Returns
    -------
    pandas.Series
        One name a row, under the frame's index.
    """
    return frame["geography"].astype(str) + SLICE_SEPARATOR + frame["segment"].astype(str)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One metric of one candidate in one scope, as measured.

    Attributes
    ----------
    value
        The metric; None unless `status` is ``ok`` or ``too_few``.
    low, high
        The ends of its confidence interval, or None.
    n, n_effective
        The cases, and the denominator that the metric rests on: what clusters and weights leave.
    status
        ``ok``, ``undefined`` or ``too_few``.
    reason
        Why the status is not ``ok``; empty where it is.
    clusters
        How many clusters the metric rests on; None where cases are taken as independent.
    design_effect
        How many of the cases that it rests on count as much as one independent case; None where
        there are neither clusters nor weights.
    class_
        Which class it is of; None where the metric has one value over all of them.
    """

    candidate: str
    metric: str
    level: str
    geography: str | None
    segment: str | None
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    n_effective: float | None
    status: str
    reason: str
    clusters: int | None = None
    design_effect: float | None = None
    class_: str | None = None

    @property
    def scope(self) -> tuple[str | None, str | None]:
        """The geography and the segment that are fixed; both None for the overall level."""
        return (self.geography, self.segment)

    @classmethod
    def of_count(cls, count: float, of: int | None) -> "Measurement":
        """Make the measurement of what was counted, not estimated, so that it has no interval.

        Parameters
        ----------
        count
            How many, or which share.
        of
            Of how many; None where that is not known.
        """
        return cls(
            candidate="",
            metric="",
            level="overall",
            geography=None,
            segment=None,
            value=count,
            low=None,
            high=None,
            n=of,
            n_effective=None,
            status="ok",
            reason="",
        )

    @property
    def support(self) -> int:
        """The cases that the metric rests on; 0 where nobody counted them."""
        return int((self.n if self.n_effective is None else self.n_effective) or 0)


@dataclass(frozen=True, kw_only=True)
class SliceState:
    """Whether a candidate's evidence for one slice is there and of this version.

    Attributes
    ----------
    state
        ``current``, ``outdated`` or ``missing``.
    error
        Why it is not current, where that is known; empty otherwise.
    """

    candidate: str
    geography: str
    segment: str
    state: str
    error: str

    @property
    def is_current(self) -> bool:
        """Whether a verdict may rest on it."""
        return self.state == CURRENT


def read_measurements(
    scorecard: pd.DataFrame,
    *,
    metrics: Collection[str] | None = None,
    levels: Collection[str] | None = None,
) -> list[Measurement]:
    """Read the scorecard's rows for some metrics.

    Parameters
    ----------
    scorecard
        One row per candidate, level, slice and metric: the column `candidate` and the columns of
        `evaluator.metrics.slice_metrics` with the slice columns `geography` and `segment`.
    metrics, levels
        Those to read; all of them when None.

    Returns
    -------
    list[Measurement]
        In the scorecard's order. A row that claims to be ``ok`` without a finite value is read as
        ``undefined``, so that it can never pass for a score.
    """
    if scorecard.empty:
        return []
    chosen = pd.Series(data=True, index=scorecard.index)
    for name, wanted in (("metric", metrics), ("level", levels)):
        if wanted is not None:
            chosen &= scorecard[name].isin(list(wanted))
    rows = scorecard.loc[chosen, [*_COLUMNS, *(name for name in _OPTIONAL if name in scorecard)]]
    whole = rows.reindex(columns=[*_COLUMNS, *_OPTIONAL]).rename(columns={"class": "class_"})
    return [_measurement(row) for row in whole.itertuples(index=False)]


def read_additional_measurements(table: pd.DataFrame, *, metric: str) -> list[Measurement]:
    """Read one metric of the further slices, the group in the place of the segment.

    Parameters
    ----------
    table
        `Scorecard.additional_measurements`; may be empty.
    metric
        The metric to read.

    Returns
    -------
    list[Measurement]
        In the table's order; see `read_measurements`.
    """
    if table.empty:
        return []
    return read_measurements(table.assign(geography=None, segment=table["group"]), metrics=[metric])


def read_differences(comparisons: pd.DataFrame, baseline: str | None) -> list[Measurement]:
    """Read the differences from the baseline, as measurements whose value is the difference.

    Parameters
    ----------
    comparisons
        The columns of `evaluator.metrics.compare_candidates` by `geography` and `segment`; may
        be empty.
    baseline
        Differences from others are left out.

    Returns
    -------
    list[Measurement]
        In the frame's order. A difference that has an interval but no test is ``ok``: limits are
        held against intervals.
    """
    if comparisons.empty or baseline is None:
        return []
    chosen = comparisons[comparisons["baseline"] == baseline]
    differences = chosen.assign(
        value=chosen["difference"],
        status=chosen["status"].mask(
            (chosen["status"] == "too_few") & chosen["low"].notna() & chosen["high"].notna(), "ok"
        ),
    )
    return read_measurements(differences, metrics=set(chosen["metric"]))


def read_slices(slices: pd.DataFrame) -> list[SliceState]:
    """Read the list of slices.

    Parameters
    ----------
    slices
        One row per candidate and slice, with the columns `candidate`, `geography`, `segment`,
        `state` and `error`.

    Returns
    -------
    list[SliceState]
        In the frame's order.
    """
    if slices.empty:
        return []
    rows = slices.loc[:, ["candidate", "geography", "segment", "state", "error"]]
    return [
        SliceState(
            candidate=str(candidate),
            geography=str(geography),
            segment=str(segment),
            # A slice whose state nobody wrote down is not current.
            state=text(state) or "missing",
            error=text(error) or "",
        )
        for candidate, geography, segment, state, error in rows.itertuples(index=False, name=None)
    ]


def slices_by_candidate(slices: pd.DataFrame) -> dict[str, list[SliceState]]:
    """Read the list of slices, by candidate.

    Parameters
    ----------
    slices
        As in `read_slices`.

    Returns
    -------
    dict[str, list[SliceState]]
        Candidates and their slices, both in the frame's order.
    """
    grouped: dict[str, list[SliceState]] = {}
    for state in read_slices(slices):
        grouped.setdefault(state.candidate, []).append(state)
    return grouped


def format_scope(geography: str | None, segment: str | None) -> str:
    """Name a scope: ``overall``, ``West``, ``regional`` or ``West x regional``.

    Parameters
    ----------
    geography, segment
        What the scope fixes; None for what it leaves open.

    Returns
    -------
    str
        The scope's name for a reader.
    """
    return " x ".join(part for part in (geography, segment) if part is not None) or "overall"


def _measurement(row: Any) -> Measurement:
    value = number(row.value)
    state = text(row.status) or "undefined"
    why = text(row.reason) or ""
    if state == "ok" and value is None:
        state, why = "undefined", why or "the value is missing or not finite"
    if state == "undefined":
        value = None
    cases, clusters = number(row.n), number(row.clusters)
    return Measurement(
        candidate=str(row.candidate),
        metric=str(row.metric),
        level=str(row.level),
        geography=text(row.geography),
        segment=text(row.segment),
        value=value,
        low=None if value is None else number(row.low),
        high=None if value is None else number(row.high),
        n=None if cases is None else int(cases),
        n_effective=number(row.n_effective),
        status=state,
        reason="" if state == "ok" else why or "no reason was recorded",
        clusters=None if clusters is None else int(clusters),
        design_effect=number(row.design_effect),
        class_=text(row.class_),
    )
