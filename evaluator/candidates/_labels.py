"""Labels that came in files of their own, joined to their cases by id."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.errors import IntakeError
from evaluator.scorecard import DATA_PREFIX, LabelFacts
from evaluator.spec import AuditSpec, LabelsSpec, date_of

AGES: Final = (0, 7, 14, 30, 60, 90)
"""At how many days each band of ages begins; `mature_after` begins one, too."""
_EXAMPLES: Final = 5
"""How many ids are kept of each finding."""


class LateLabels(NamedTuple):
    """What became of labels that came in files of their own."""

    facts: LabelFacts
    by_age: pa.Table
    """A row a band of ages: `from_days`, `to_days` (none where it has no end), `cases`, `labelled`.
    Cases of no day are one band."""
    examples: pa.Table
    """A few ids of each finding: `finding` (a field of the facts), `id` as text."""


class Ages(NamedTuple):
    """How old cases are."""

    newest: date | None
    """The newest accepted day, to which ages are counted; None where cases are of no day."""
    by_day: Mapping[str, int]
    """In days, by the day of the case; of no day there is no age."""


class JoinedLabels(NamedTuple):
    """The cases that are old enough, with their labels, and what became of all labels."""

    rows: pa.Table
    late: LateLabels


def join_labels(rows: pa.Table, labels: Mapping[str, pa.Table], spec: AuditSpec) -> JoinedLabels:
    """Give cases their labels, and leave out those that are too young.

    Parameters
    ----------
    rows
        Cases of all accepted days: `id`, `day`, and columns that stay as they are.
    labels
        The typed rows of each accepted day of labels, by date; at least one.
    spec
        An audit that declares `labels`.

    Returns
    -------
    JoinedLabels
        The rows with one more column, the label as it came.

    Raises
    ------
    IntakeError
        Where no case is old enough.
    """
    declared = spec.labels
    if declared is None:
        raise ValueError("the labels of this audit stand beside their cases")
    given = _given(labels, declared, rows["id"].type)
    by_id = given.group_by("id").aggregate([("label", "count"), ("label", "count_distinct")])
    conflicts = pc.greater(by_id["label_count_distinct"], 1)
    repeats = pc.and_(pc.invert(conflicts), pc.greater(by_id["label_count"], 1))
    is_unknown = pc.invert(pc.is_in(by_id["id"], value_set=rows["id"].combine_chunks()))
    findings = {
        "unknown": by_id["id"].filter(is_unknown),
        "repeated": by_id["id"].filter(repeats),
        "conflicting": by_id["id"].filter(conflicts),
    }
    # In one thread, and so in the order of the days.
    last = pa.TableGroupBy(given, "id", use_threads=False).aggregate([("label", "last")])
    if declared.conflicts == "refuse":
        last = last.filter(
            pc.invert(pc.is_in(last["id"], value_set=_whole(findings["conflicting"])))
        )
    place = pc.index_in(rows["id"], value_set=_whole(last["id"]))
    truth = _whole(last["label_last"]).take(_whole(place))
    rows = rows.append_column(DATA_PREFIX + declared.column, truth)

    days = rows["day"].unique()
    newest, by_day = ages_of(days.to_pylist(), labels, spec)
    ages = None
    is_mature = np.ones(rows.num_rows, bool)
    if newest is not None:
        ages = np.array([*by_day.values()])[np.asarray(pc.index_in(rows["day"], value_set=days))]
        is_mature = ages >= declared.mature_after
    is_labelled = np.asarray(pc.is_valid(truth))
    facts = LabelFacts(
        mature_after=declared.mature_after,
        newest_day=None if newest is None else newest.isoformat(),
        mature=int(is_mature.sum()),
        labelled=int((is_mature & is_labelled).sum()),
        too_young=int((~is_mature).sum()),
        **{name: len(ids) for name, ids in findings.items()},
        latest=declared.conflicts == "latest",
    )
    late = LateLabels(
        facts, _by_age(ages, is_labelled, declared.mature_after), _examples_of(findings)
    )
    return JoinedLabels(rows.filter(pa.array(is_mature)), late)


def _given(labels: Mapping[str, pa.Table], declared: LabelsSpec, id_type: pa.DataType) -> pa.Table:
    """Take ids and labels of all days, in the order of the days; a missing label says nothing."""
    parts = [
        pa.table(
            {
                "id": plain(table[declared.id_column]).cast(id_type),
                "label": plain(table[declared.column]),
            }
        )
        for _, table in sorted(labels.items())
    ]
    given = pa.concat_tables(parts)
    return given.filter(pc.is_valid(given["label"]))


def ages_of(days: Iterable[str], label_days: Iterable[str], spec: AuditSpec) -> Ages:
    """Tell how old the cases of each accepted day are.

    Parameters
    ----------
    days
        The accepted days of data; of a month or a year, each as its first day.
    label_days
        Those of labels, of which the newest one of all may be.
    spec
        An audit that declares `labels`.

    Raises
    ------
    IntakeError
        Where none of them is old enough.
    """
    declared = spec.labels
    if declared is None:
        raise ValueError("the labels of this audit stand beside their cases")
    ends = {day: spec.data.end_of_period(known) for day in days if (known := date_of(day))}
    if not ends:
        return Ages(None, {})
    of_labels = [declared.end_of_period(known) for day in label_days if (known := date_of(day))]
    newest = max([*ends.values(), *of_labels])
    by_day = {day: (newest - end).days for day, end in ends.items()}
    if max(by_day.values()) < declared.mature_after:
        raise IntakeError(
            f"no case is {declared.mature_after} days old on {newest}, the newest accepted day",
            culprit="evaluation_set",
            fix="wait for later files, or declare a smaller `labels.mature_after`",
        )
    return Ages(newest, by_day)


def _by_age(ages: "np.ndarray | None", is_labelled: np.ndarray, mature_after: int) -> pa.Table:
    """Count cases by their age; no band has some that are old enough and some that are not."""
    begins = [0] if ages is None else sorted({*AGES, mature_after})
    band = np.zeros(len(is_labelled), int) if ages is None else np.digitize(ages, begins) - 1
    return pa.table(
        {
            "from_days": pa.array(begins if ages is not None else [None], pa.int64()),
            "to_days": pa.array([*(begin - 1 for begin in begins[1:]), None], pa.int64()),
            "cases": np.bincount(band, minlength=len(begins)),
            "labelled": np.bincount(band[is_labelled], minlength=len(begins)),
        }
    )


def _examples_of(findings: Mapping[str, pa.ChunkedArray]) -> pa.Table:
    rows = [
        {"finding": name, "id": str(one)}
        for name, ids in findings.items()
        for one in ids.take(pc.sort_indices(ids)[:_EXAMPLES]).to_pylist()
    ]
    return pa.Table.from_pylist(rows, pa.schema([("finding", pa.string()), ("id", pa.string())]))


def _whole(column: "pa.ChunkedArray | pa.Array") -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Undo dictionary encoding, which Arrow neither sorts nor compares."""
    is_encoded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_encoded else column
