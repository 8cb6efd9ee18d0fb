"""Rows that need keep no rule, read as an audit's data are: what a candidate was trained on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from evaluator.errors import IntakeError, check_is_file, fault_of
from evaluator.intake._readers import format_of, open_reader
from evaluator.intake._readers._stream import RefusedFileError
from evaluator.intake._rules import TEXT
from evaluator.intake._validator import RowValidator, spell_id
from evaluator.intake._violations import Batch
from evaluator.spec import ColumnSpec, DatasetRules, DataSpec, RowNumber, parse_expression

if TYPE_CHECKING:
    import polars as pl

_NO_RULES: Final = {
    "id": RowNumber(row="number"),
    "row_rules": (),
    "unique_together": (),
    "dataset_rules": DatasetRules(),
    "undeclared_columns": "ignore",
    "columns_in_order": False,
    "cut_off": "quarantine",
    "table": None,
}
_LAYOUT: Final = (
    *("format", "encoding", "delimiter", "blanks_after_delimiter", "escape", "skip_lines"),
    *("comment", "not_rows", "quote", "header", "header_lines", "sheet"),
)
"""Keys of `data` that say how its files are laid out, and not what a value means."""


class LenientRows(NamedTuple):
    """Some consecutive rows."""

    frame: "pl.DataFrame"
    """The declared columns that the file gives, typed; also `DataSpec.id_column` if it gives ids.
    What is not of its column's type is missing."""
    unread: int
    """How many rows could not be split, or have a value that is not of its type."""


def read_leniently(
    path: Path, data: DataSpec, id_columns: Sequence[str] | None = None
) -> Iterator[LenientRows]:
    """Read whatever rows a file gives of some columns, by no rule but their types.

    Parameters
    ----------
    path
        A file of any format. One of the data's own format is laid out as they are; of another, its
        layout is found out. A text file of one column that is called like none has ids.
    data
        How columns are called and read.
    id_columns
        What the columns are called there that are the data's id together; None: as in `data`.

    Raises
    ------
    IntakeError
        Where it is absent or cannot be read.
    """
    check_is_file(path, IntakeError)
    try:
        yield from _read(path, _lenient(path, data, id_columns), data, id_columns)
    except RefusedFileError as error:
        if error.__cause__ is not None and fault_of(error) == "machine":
            raise error.__cause__ from None
        raise IntakeError(
            str(error), culprit=str(path), fix="name a file that the intake could read"
        ) from error


def _lenient(path: Path, data: DataSpec, id_columns: Sequence[str] | None) -> DataSpec:
    """Declare the same columns without their rules, and those that are called otherwise there."""
    columns = {name: _without_rules(column) for name, column in data.columns.items()}
    for theirs, ours in zip(id_columns or (), data.id_columns, strict=id_columns is not None):
        columns[theirs] = _without_rules(data.columns[ours])
    layout = {}
    if data.files is None or format_of(path.name, data) != format_of(data.files, data):
        layout = {key: DataSpec.model_fields[key].default for key in _LAYOUT}
    return data.model_copy(update={**_NO_RULES, **layout, "columns": columns, "files": "file"})


def _without_rules(column: ColumnSpec) -> ColumnSpec:
    kept = {"required": False, "unique": False, "optional": column.derive is None}
    rules = ("minimum", "maximum", "minimum_length", "maximum_length", "pattern", "not_pattern")
    # Of a derived category the allowed values are what its numbers are cut into.
    allowed = {} if column.bins else {"allowed": None}
    return column.model_copy(update={**kept, **dict.fromkeys((*rules, "when")), **allowed})


def _read(
    path: Path, lenient: DataSpec, data: DataSpec, id_columns: Sequence[str] | None
) -> Iterator[LenientRows]:
    ids = data.id_columns if id_columns is None else tuple(id_columns)
    validator = RowValidator(lenient)
    reader = open_reader(path, lenient, name=path.name)
    for batch in reader.batches():
        header = reader.metadata.header or [
            # Which keys objects have is known behind the last one.
            name
            for name, gaps in batch.frame.null_count().row(0, named=True).items()
            if gaps < batch.frame.height
        ]
        given = {name for name in batch.frame.columns if name in header}
        if not given and len(ids) == len(header) == 1 and _is_text(path, lenient):
            only_ids = {"columns": {ids[0]: lenient.columns[ids[0]]}, "header": False}
            yield from _read(path, lenient.model_copy(update=only_ids), data, id_columns)
            return
        yield _typed(batch, validator, data, ids, given)


def _is_text(path: Path, data: DataSpec) -> bool:
    return format_of(path.name, data) in ("csv", "tsv")


def _typed(
    batch: Batch, validator: RowValidator, data: DataSpec, ids: Sequence[str], given: set[str]
) -> LenientRows:
    import polars as pl

    frame = validator.read(batch)
    unread = pl.Series([False]).new_from_index(0, frame.height)
    for name in given:
        if TEXT + name in frame.columns:
            unread = unread | (frame[name].is_null() & frame[TEXT + name].is_not_null())
    known = {*given}
    for name, column in validator.data.columns.items():
        if column.derive is not None and (
            parse_expression(column.derive, validator.data.kinds).columns <= known
        ):
            known.add(name)
    # A column that is called like one of ours, and is an id there, is no other column of ours.
    theirs = {*ids} - {*data.id_columns}
    kept = [pl.col(name) for name in data.columns if name in known - theirs - {data.id_column}]
    if ids and given.issuperset(ids):
        spelt = pl.col(ids[0]) if len(ids) == 1 else spell_id(ids)
        kept.append(spelt.alias(data.id_column))
    return LenientRows(frame.select(kept), int(unread.sum()) + len(batch.rejects))
