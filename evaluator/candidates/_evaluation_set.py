"""The evaluation set: the frozen, labelled snapshot that every candidate is judged on."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.candidates._labels import LateLabels, join_labels, plain
from evaluator.candidates._training import SeenInTraining, TrainedOn, find_seen
from evaluator.errors import IntakeError
from evaluator.scorecard import (
    ALL,
    DATA_PREFIX,
    OTHER,
    SLICE_COLUMNS,
    can_name_partitions,
)
from evaluator.spec import AuditSpec, DataSpec, Task

_SHOWN = 5


class EvaluationSet(NamedTuple):
    """The snapshot, and what was left out of it."""

    cases: pa.Table
    """One row a labelled case, ordered by slice and id: `id`, `geography`, `segment`, `label` (0 or
    1), `day`, and every declared column as `data.<column>`, so that the set does not depend on who
    is judged by it. A geography or segment that is not declared is `all`."""
    without_label: pd.DataFrame
    """One row a slice: `geography`, `segment`, `rows`, `without_label`."""
    of_weight_zero: int
    """Labelled rows that the audit weighs with 0, and that are left out."""
    late: LateLabels | None = None
    """What became of the labels, where they came in files of their own."""
    found: Mapping[str, list[str]] = MappingProxyType({})
    """By dimension whose values are discovered, those that are told apart."""
    seen: SeenInTraining | None = None
    """Which labelled cases candidates saw in training, where some say what that was of."""


def build_evaluation_set(
    days: Mapping[str, pa.Table],
    spec: AuditSpec,
    labels: Mapping[str, pa.Table] | None = None,
    *,
    found_before: Mapping[str, Sequence[str]] | None = None,
    trained_on: Mapping[str, TrainedOn] | None = None,
    came_as: Mapping[str, Sequence[str]] | None = None,
) -> EvaluationSet:
    """Join accepted days into one labelled set.

    Parameters
    ----------
    days
        The typed rows of each accepted day, by date.
    spec
        An audit with candidates, so that the label is declared.
    labels
        The typed rows of each accepted day of labels, by date, where these come in files of their
        own.
    found_before
        By dimension whose values are discovered, those of the set before: none of them is lost.
    trained_on
        What each candidate was trained on that declares `training`.
    came_as
        By day the SHA-256 of each of its files, where candidates declare digests of such.

    Returns
    -------
    EvaluationSet
        The labelled cases, and how many rows of each slice have no label. An id stands in one row
        of it, so that a case is of one cluster and has one weight.

    Raises
    ------
    IntakeError
        Where no row has a label, a label is neither positive nor negative, or one id stands in two
        days; where no case is old enough for its label; where a case has no cluster, or no finite
        weight of 0 or more, as the audit declares them; where all weights are 0; or where all
        cases were seen in training and are to be left out.
    """
    label = spec.label
    if label is None:
        raise ValueError("an audit without candidates has no evaluation set")
    parts = [_cases_of_day(day, table, spec) for day, table in sorted(days.items())]
    rows = pa.concat_tables(parts) if parts else None
    late = None
    if rows is not None and labels:
        rows, late = join_labels(rows, labels, spec)
        _refuse_no_labels(late)
    rows = None if rows is None else _with_labels(rows, spec)
    labelled = None if rows is None else rows.filter(pc.is_valid(rows["label"]))
    if rows is None or labelled is None or labelled.num_rows == 0:
        raise IntakeError(
            f"there is no labelled row in {len(days)} accepted days",
            culprit="evaluation_set",
            fix=f"take in days whose {label.column!r} is known",
        )
    if spec.discovered:
        spec = spec.with_found(_discover(rows, spec, found_before or {}))
        rows = _tell_apart(rows, spec)
        labelled = rows.filter(pc.is_valid(rows["label"]))
    _refuse_repeated_ids(labelled)
    _refuse_missing_clusters(labelled, spec.data)
    weighing = _weighing_something(labelled, spec.data)
    cases = weighing.sort_by([(name, "ascending") for name in (*SLICE_COLUMNS, "id")])
    seen = find_seen(cases, spec, trained_on, came_as or {}) if trained_on else None
    return EvaluationSet(
        cases if seen is None else cases.filter(pa.array(~seen.is_left_out)),
        _count_without_label(rows, spec),
        labelled.num_rows - weighing.num_rows,
        late,
        {name: list(how.found) for name, how in spec.discovered.items()},
        seen,
    )


def _discover(
    rows: pa.Table, spec: AuditSpec, before: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """Find the values of dimensions that are to be told apart: those from before, and new ones.

    New ones are ordered by their labelled rows, equally frequent ones by name.
    """
    found = {}
    labelled = rows.filter(pc.is_valid(rows["label"]))
    for dimension, how in spec.discovered.items():
        known = list(before.get(dimension, ()))
        counted = labelled[dimension].value_counts().to_pylist()
        counts = {one["values"]: one["counts"] for one in counted}
        new = [
            value
            for value in sorted(counts, key=lambda value: (-counts[value], value))
            if value not in {*known, OTHER}
            and counts[value] >= how.minimum_cases
            and can_name_partitions(value)
        ]
        room = max(how.at_most - len({*known} - {OTHER}), 0)
        values = [*known, *new[:room]]
        all_are_told = {*rows[dimension].unique().to_pylist()} <= {*values}
        found[dimension] = values if all_are_told or OTHER in values else [*values, OTHER]
    return found


def _tell_apart(rows: pa.Table, spec: AuditSpec) -> pa.Table:
    """Call values that were not found `other`."""
    for dimension, how in spec.discovered.items():
        place = rows.column_names.index(dimension)
        values = rows[dimension]
        is_found = pc.is_in(values, pa.array(how.found, pa.string()))
        rows = rows.set_column(place, dimension, pc.if_else(is_found, values, OTHER))
    return rows


def _cases_of_day(day: str, table: pa.Table, spec: AuditSpec) -> pa.Table:
    columns: dict[str, pa.ChunkedArray | pa.Array] = {
        "id": plain(table[spec.data.id_column]),
        **{dimension: _dimension(table, dimension, spec) for dimension in SLICE_COLUMNS},
        "day": pa.array([day] * table.num_rows, pa.string()),
    }
    declared = {DATA_PREFIX + name: plain(table[name]) for name in spec.data.columns}
    return pa.table(columns | declared)


def _dimension(table: pa.Table, dimension: str, spec: AuditSpec) -> pa.ChunkedArray | pa.Array:
    """Take what each row's geography or segment is called; what is not declared divides nothing."""
    column = spec.slice_columns.get(dimension)
    if column is None:
        return pa.repeat(pa.scalar(ALL, pa.string()), table.num_rows)
    values = table[column].cast(pa.string())
    names = spec.data.columns[column].names
    if names is None:
        return values
    called = pc.index_in(values, pa.array(list(names), pa.string()))
    return pc.coalesce(pa.array(list(names.values()), pa.string()).take(called), values)


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
    return spec.asks.knowing(spec.truth, cases[truth_column(spec)])


def truth_column(spec: AuditSpec) -> str:
    """Name the evaluation set's column in which the label stands as it came."""
    return f"{DATA_PREFIX}{spec.label_column}"


def _refuse_no_labels(late: LateLabels) -> None:
    facts = late.facts
    if facts.labelled:
        return
    aged = f" that are {facts.mature_after} days old" if facts.mature_after else ""
    what = f"not one of {facts.mature} cases{aged} has a label"
    fix = "wait for their labels"
    if facts.unknown:
        strange = late.examples.to_pylist()[0]["id"]
        what += f"; {facts.unknown} labels are of ids that no case has, such as {strange!r}"
        fix = "see that `labels.id` names what `data.id` does, or wait for their labels"
    raise IntakeError(what, culprit="evaluation_set", fix=fix)


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


def _refuse_missing_clusters(cases: pa.Table, data: DataSpec) -> None:
    name = data.cluster
    # The day of its file every case has.
    if name is None or name not in data.columns:
        return
    missing = cases.filter(pc.is_null(cases[DATA_PREFIX + name], nan_is_null=True))
    if missing.num_rows:
        raise _unusable(missing, f"have no {name!r}, by which `data.cluster` bundles them", name)


def _weighing_something(cases: pa.Table, data: DataSpec) -> pa.Table:
    """Leave out the cases of weight 0; refuse those that have no weight, or none that could be."""
    name = data.weight
    if name is None:
        return cases
    weights = cases[DATA_PREFIX + name].cast(pa.float64())
    is_weight = pc.and_(pc.is_finite(weights), pc.greater_equal(weights, 0))
    wrong = cases.filter(pc.invert(pc.fill_null(is_weight, fill_value=False)))
    if wrong.num_rows:
        what = f"have no {name!r} that is finite and not negative, as `data.weight` needs"
        raise _unusable(wrong, what, name, rule=", minimum: 0")
    weighing = cases.filter(pc.greater(weights, 0))
    if weighing.num_rows == 0:
        raise IntakeError(
            f"all {cases.num_rows} labelled rows have a {name!r} of 0, so that none counts",
            culprit="evaluation_set",
            fix="take in days with cases that count, or declare another `data.weight`",
        )
    return weighing


def _unusable(cases: pa.Table, what: str, column: str, *, rule: str = "") -> IntakeError:
    """Make the error about labelled rows that cannot be evaluated, with the first of them."""
    first = cases.slice(0, _SHOWN)
    examples = ", ".join(
        f"{case!r} of {day}"
        for case, day in zip(first["id"].to_pylist(), first["day"].to_pylist(), strict=True)
    )
    more = ", ..." if cases.num_rows > _SHOWN else ""
    return IntakeError(
        f"{cases.num_rows} labelled rows {what}: {examples}{more}",
        culprit="evaluation_set",
        fix=f"correct them in their days' files, or write `required: true{rule}` at"
        f" `data.columns.{column}`, so that such rows go into quarantine",
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
