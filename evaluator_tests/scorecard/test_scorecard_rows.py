"""Rows of a scorecard's tables: what is stored is what is read, and what is missing is None."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.errors import EvidenceError
from evaluator.scorecard import (
    FAIRNESS,
    RANKS,
    ClassFigure,
    Comparison,
    Gap,
    Rank,
    Scorecard,
    WeakSlice,
    from_stored,
    to_frame,
    to_stored,
)
from evaluator.scorecard._scorecard import _TABLES
from evaluator.scorecard._tables import SCHEMAS

NOTHING = pd.DataFrame()


def gap(**changes: Any) -> Gap:
    usual: dict[str, Any] = {
        "candidate": "steady",
        "measure": "equal_opportunity",
        "comparison": "difference",
        "attribute": "region",
        "group": "west",
        "n": 40,
    }
    return Gap(**usual | changes)


def scorecard(**tables: Any) -> Scorecard:
    return Scorecard(measurements=NOTHING, slices=NOTHING, **tables)


def test_rows_come_back_as_they_were_stored() -> None:
    rows = [
        gap(value=-0.2, low=-0.3, high=-0.1, status="ok", strata=3, class_="late"),
        gap(candidate="nimble", comparison="ratio", value=2.0, high=np.inf, reason="few"),
    ]
    stored = to_stored([{FAIRNESS: to_frame(rows, Gap)}])
    assert scorecard(fairness=from_stored(stored[FAIRNESS])).rows(Gap) == rows
    assert [row.is_ratio for row in rows] == [False, True]


def test_a_class_is_stored_where_a_row_is_of_one_and_there_is_no_such_column_elsewhere() -> None:
    rank = Rank(level="overall", metric="accuracy", candidate="steady", best_rank=1, worst_rank=2)
    rows = [replace(rank, metric="class_recall", class_="late"), rank]
    for ranks in (rows, rows[1:]):
        stored = to_stored([{RANKS: to_frame(ranks, Rank)}])[RANKS]
        assert ("class" in stored.column_names) == (len(ranks) == 2)
        assert scorecard(ranks=from_stored(stored)).rows(Rank) == ranks


@pytest.mark.parametrize("kind", _TABLES)
def test_a_table_without_rows_has_the_columns_of_its_kind(kind: Any) -> None:
    frame = to_frame([], kind)
    names = [one.name.rstrip("_") for one in fields(kind)]
    assert list(frame.columns) == names
    stored = [name for name in names if name != "class" or kind in (ClassFigure, Gap)]
    assert stored in [schema.names for schema in SCHEMAS.values()]
    assert scorecard(**{_TABLES[kind]: frame}).rows(kind) == []


def test_a_missing_cell_or_column_is_none_and_never_a_number() -> None:
    table = pd.DataFrame(
        {
            "candidate": "steady",
            "level": "overall",
            "geography": [None, np.nan],
            "metric": "recall",
            "rank": pd.array([1, pd.NA], dtype="Int64"),
            "best_rank": [1.0, 2.0],
            "worst_rank": 2,
        }
    )
    first, second = scorecard(ranks=table).rows(Rank)
    assert (first.rank, second.rank, second.best_rank) == (1, None, 2)
    assert (first.geography, second.geography, first.not_told_apart_from) == (None, None, None)


@pytest.mark.parametrize("broken", [{"n": [None]}, {"candidate": [None]}])
def test_a_row_that_means_nothing_without_a_cell_is_no_row(broken: dict[str, Any]) -> None:
    table = to_frame([gap()], Gap).assign(**broken)
    with pytest.raises(EvidenceError, match="a row has no"):
        scorecard(fairness=table).rows(Gap)


def test_what_was_found_of_one_candidate_is_a_scorecard() -> None:
    rows = [gap(), gap(candidate="nimble"), gap(group="east")]
    slices = pd.DataFrame({"candidate": ["steady", "nimble"], "state": ["current", "missing"]})
    whole = Scorecard(
        measurements=NOTHING,
        slices=slices,
        fairness=to_frame(rows, Gap),
        weak_searches={"steady": {"tested": 3}, "nimble": {"tested": 4}},
        remarks=["they are alike"],
    )
    own = whole.of("steady")
    assert own.rows(Gap) == whole.rows(Gap, "steady") == [rows[0], rows[2]]
    assert own.rows(Comparison) == []
    assert (own.weak_searches, own.remarks) == ({"steady": {"tested": 3}}, ["they are alike"])
    assert own.slices_not_current.empty
    assert whole.slices_not_current["candidate"].tolist() == ["nimble"]


def test_a_weak_slice_leads_where_it_is_confirmed_and_nothing_else_explains_it() -> None:
    ways: list[tuple[str, str | None]] = [
        ("confirmed", None),
        ("confirmed", "hour >= 18"),
        ("not_confirmed", None),
    ]
    found = [
        WeakSlice(candidate="steady", slice="hour", n_all=9, status=status, explained_by=other)
        for status, other in ways
    ]
    assert [one.is_leading for one in found] == [True, False, False]
