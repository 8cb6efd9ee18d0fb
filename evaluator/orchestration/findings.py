"""What a scorecard finds beside its figures, as tables of a fixed form.

A fault in one of these never costs the scorecard: it becomes a remark, and the table has no rows.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pandas as pd
import pyarrow as pa

from evaluator.orchestration.comparison import compare
from evaluator.orchestration.evaluated_cases import EvaluatedCases, IntArray
from evaluator.orchestration.fairness import measure_fairness
from evaluator.orchestration.state import AuditState
from evaluator.orchestration.weak_slices import (
    Earlier,
    compare_with_earlier,
    search_weak_slices,
)
from evaluator.spec import CandidateSpec

COMPARISONS: Final = "comparisons.parquet"
PAIRS: Final = "pairs.parquet"
RANKS: Final = "ranks.parquet"
FAIRNESS: Final = "fairness.parquet"
WEAK_SLICES: Final = "weak_slices.parquet"
WORSENED: Final = "worsened.parquet"


def _schema(*columns: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema([(name, kind) for names, kind in columns for name in names.split()])


_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()
_COMPARED = _schema(
    ("candidate baseline level geography segment metric", _TEXT),
    ("difference low high p_value p_adjusted low_adjusted high_adjusted", _NUMBER),
    ("p_equivalent p_not_worse", _NUMBER),
    ("n", _COUNT),
    ("n_effective", _NUMBER),
    ("n_discordant better worse", _COUNT),
    ("higher_is_better", pa.bool_()),
    ("conclusion status reason", _TEXT),
)
SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    COMPARISONS: _COMPARED,
    PAIRS: _COMPARED,
    RANKS: _schema(
        ("level geography segment metric candidate", _TEXT),
        ("rank best_rank worst_rank", _COUNT),
        ("not_told_apart_from", _TEXT),
    ),
    FAIRNESS: _schema(
        ("candidate measure comparison class attribute group reference", _TEXT),
        ("value low high group_value reference_value", _NUMBER),
        ("n n_reference", _COUNT),
        ("n_effective n_effective_reference", _NUMBER),
        ("strata strata_left_out", _COUNT),
        ("limit", _NUMBER),
        ("verdict", _TEXT),
        ("needed_cases", _COUNT),
        ("status reason", _TEXT),
    ),
    WEAK_SLICES: _schema(
        ("candidate slice conditions", _TEXT),
        ("n n_all", _COUNT),
        ("loss rest_loss excess low high harm harm_low p_value p_adjusted", _NUMBER),
        ("group", _COUNT),
        ("also explained_by status reason", _TEXT),
    ),
    WORSENED: _schema(
        ("candidate slice conditions", _TEXT),
        ("n_before n_after", _COUNT),
        ("loss_before loss_after worsening low high harm harm_low p_value p_adjusted", _NUMBER),
        ("status reason", _TEXT),
    ),
}
"""The columns of each table, also where it has no rows."""

# Read back as they were written, where some are missing.
_NULLABLE = {"higher_is_better": "boolean", "needed_cases": "Int64", "rank": "Int64"}


class FoundOfOne(NamedTuple):
    """What was found of one candidate by itself."""

    tables: dict[str, pd.DataFrame]
    search: dict[str, Any] | None
    """How far its weak slices were searched; None where they were not."""
    remarks: list[str]


def find_of_one(
    state: AuditState,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    place: IntArray,
    *,
    earlier: Earlier | None,
) -> FoundOfOne:
    """Look at one candidate's fairness and weak slices, as far as the audit asks for it.

    Parameters
    ----------
    state
        The audit's state.
    candidate
        Who is looked at.
    cases
        The evaluation set.
    predictions
        Those of the candidate's current slices.
    place
        The place of each of these among the cases.
    earlier
        The last certificate that was about another evaluation set.
    """
    spec = state.spec
    tables: dict[str, pd.DataFrame] = {}
    remarks: list[str] = []
    search = None

    def tried(what: str, work: Callable[[], Any]) -> Any:
        return _tried(f"{what} of {candidate.name}", work, remarks)

    if spec.fairness is not None:
        tables[FAIRNESS] = tried(
            "a look at the fairness",
            lambda: measure_fairness(spec, candidate, cases, predictions, place),
        )
    if spec.weak_slices is not None:
        searched = tried(
            "a search for weak slices",
            lambda: search_weak_slices(spec, candidate, cases, predictions, place),
        )
        if searched is not None:
            tables[WEAK_SLICES], search = searched
        if earlier is not None:
            tables[WORSENED] = tried(
                "a comparison with the last certificate",
                lambda: compare_with_earlier(state, candidate, cases, predictions, earlier),
            )
    found = {
        name: table.assign(candidate=candidate.name)
        for name, table in tables.items()
        if table is not None and len(table)
    }
    return FoundOfOne(found, search, remarks)


def find_differences(
    state: AuditState, predictions: Mapping[str, pd.DataFrame], cases: EvaluatedCases
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Compare the candidates where the audit does; return the tables and the remarks.

    Parameters
    ----------
    state
        The audit's state.
    predictions
        By candidate, those of its current slices.
    cases
        The evaluation set.
    """
    if not state.spec.compares:
        return {}, []
    remarks: list[str] = []
    found = _tried("a comparison", lambda: compare(state.spec, predictions, cases), remarks)
    if found is None:
        return {}, remarks
    tables = {COMPARISONS: found.comparisons, PAIRS: found.pairs, RANKS: found.ranks}
    return tables, [*remarks, *found.remarks]


def stored_tables(found: Sequence[Mapping[str, pd.DataFrame]]) -> dict[str, pa.Table]:
    """Join what was found into one table a kind, each of its fixed form."""
    parts: dict[str, list[pa.Table]] = {name: [] for name in SCHEMAS}
    for tables in found:
        for name, table in tables.items():
            if len(table):
                schema = SCHEMAS[name]
                parts[name].append(pa.Table.from_pandas(table, schema=schema, preserve_index=False))
    return {
        name: pa.concat_tables([schema.empty_table(), *parts[name]]).combine_chunks()
        for name, schema in SCHEMAS.items()
    }


def read_stored(table: pa.Table) -> pd.DataFrame:
    """Turn a stored table back into the frame that it was made of."""
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype({n: kind for n, kind in _NULLABLE.items() if n in frame.columns})


def _tried(what: str, work: Callable[[], Any], remarks: list[str]) -> Any:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it must not cost the rest
        remarks.append(f"{what} was not possible: {error or type(error).__name__}")
        return None
