"""The evaluation set: the frozen, labelled snapshot that every candidate is judged on."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.errors import IntakeError
from evaluator.scorecard import DATA_PREFIX, SLICE_COLUMNS
from evaluator.spec import AuditSpec, Task


class EvaluationSet(NamedTuple):
    """The snapshot, and what was left out of it."""

    cases: pa.Table
    """One row a labelled case, ordered by slice and id: `id`, `geography`, `segment`, `label` (0 or
    1), `day`, and every declared column as `data.<column>`, so that the set does not depend on who
    is judged by it."""
    without_label: pd.DataFrame
    """One row a slice: `geography`, `segment`, `rows`, `without_label`."""


def build_evaluation_set(days: Mapping[str, pa.Table], spec: AuditSpec) -> EvaluationSet:
    """Join accepted days into one labelled set.

    Parameters
    ----------
    days
        The typed rows of each accepted day, by date.
    spec
        An audit with candidates, so that label, geography and segment are declared.

    Returns
    -------
    EvaluationSet
        The labelled cases, and how many rows of each slice have no label.

    Raises
    ------
    IntakeError
        Where no row has a label, a label is neither positive nor negative, or one id stands in two
        days.
    """
    label = spec.label
    if label is None or spec.geography is None or spec.segment is None:
        raise ValueError("an audit without candidates has no evaluation set")
    parts = [_cases_of_day(day, table, spec) for day, table in sorted(days.items())]
    rows = _with_labels(pa.concat_tables(parts), spec) if parts else None
    labelled = None if rows is None else rows.filter(pc.is_valid(rows["label"]))
    if rows is None or labelled is None or labelled.num_rows == 0:
        raise IntakeError(
            f"there is no labelled row in {len(days)} accepted days",
            culprit="evaluation_set",
            fix=f"take in days whose {label.column!r} is known",
        )
    _refuse_repeated_ids(labelled)
    order = [(name, "ascending") for name in (*SLICE_COLUMNS, "id")]
    return EvaluationSet(labelled.sort_by(order), _count_without_label(rows, spec))


def _cases_of_day(day: str, table: pa.Table, spec: AuditSpec) -> pa.Table:
    columns: dict[str, pa.ChunkedArray | pa.Array] = {
        "id": _plain(table[spec.data.id]),
        "geography": table[spec.geography].cast(pa.string()),
        "segment": table[spec.segment].cast(pa.string()),
        "day": pa.array([day] * table.num_rows, pa.string()),
    }
    declared = {DATA_PREFIX + name: _plain(table[name]) for name in spec.data.columns}
    return pa.table(columns | declared)


def _with_labels(rows: pa.Table, spec: AuditSpec) -> pa.Table:
    """Add the labels as they are stored, which all days together say."""
    labels = task_knowing_labels(spec, rows).encode_labels(rows[truth_column(spec)])
    return rows.add_column(rows.column_names.index("day"), "label", labels)


def task_knowing_labels(spec: AuditSpec, cases: pa.Table) -> Task:
    """Return an audit's task, which knows all values of the label.

    Parameters
    ----------
    spec
        An audit with a label.
    cases
        The whole evaluation set, or of it the column that `truth_column` names.

    Raises
    ------
    IntakeError
        Where a label is none of the declared values, or nothing says what it means.
    """
    name = truth_column(spec)
    column = spec.data.columns[name.removeprefix(DATA_PREFIX)]
    return spec.task.knowing(column, cases[name])


def truth_column(spec: AuditSpec) -> str:
    """Name the evaluation set's column in which the label stands as it came."""
    return f"{DATA_PREFIX}{spec.task.label.column}"


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Undo dictionary encoding, which Arrow neither sorts nor compares."""
    is_encoded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_encoded else column


def _refuse_repeated_ids(cases: pa.Table) -> None:
    counts = cases.group_by("id").aggregate([("id", "count")])
    repeated = counts.filter(pc.greater(counts["id_count"], 1))
    if repeated.num_rows:
        example = repeated["id"][0].as_py()
        raise IntakeError(
            f"{repeated.num_rows} ids stand in more than one row, such as {example!r}",
            culprit="evaluation_set",
            fix="make ids unique over all days, or leave one of the days out",
        )


def _count_without_label(rows: pa.Table, spec: AuditSpec) -> pd.DataFrame:
    frame = rows.select([*SLICE_COLUMNS, "label"]).to_pandas()
    groups = pd.MultiIndex.from_product(
        list(spec.slice_values().values()), names=list(SLICE_COLUMNS)
    )
    counts = frame.groupby(list(SLICE_COLUMNS))["label"].agg(rows="size", labelled="count")
    counts = counts.reindex(groups, fill_value=0)
    counts["without_label"] = counts["rows"] - counts["labelled"]
    summary: pd.DataFrame = counts.drop(columns="labelled").reset_index()
    return summary


def data_columns(cases: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Take declared columns out of cases, in this order and under their own names."""
    return cases[[DATA_PREFIX + name for name in names]].set_axis(list(names), axis="columns")
