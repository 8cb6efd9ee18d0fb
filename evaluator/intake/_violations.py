"""What rules found, and the reasons that refused rows carry."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from evaluator.intake._profile import FilePart, Layout, Structure
from evaluator.intake._rules import TEXT, Rule

if TYPE_CHECKING:
    import polars as pl

MAX_VALUE_LENGTH: Final = 200
#: What a reason says; all are texts.
REASON_FIELDS: Final = ("column", "rule", "value", "message")
#: A row's texts by column, or else the rule that it breaks and a message.
RowTexts = tuple[dict[str, str | None], str, str]
#: What a cell can be that has a text and yet no value.
WRONG_CELLS: Final = {
    "excel_date": "is a date that does not exist",
    "excel_error": "is an error of the workbook",
    "formula_not_calculated": "is a formula that was never calculated",
}


class WrongCell(str):
    """The text of a cell that has no value; a rule of `WRONG_CELLS` says why."""

    __slots__ = ("rule",)
    rule: str

    def __new__(cls, rule: str, text: str) -> Self:
        made = super().__new__(cls, text)
        made.rule = rule
        return made


@dataclass(frozen=True)
class Reject:
    """A row that cannot be split into fields."""

    #: Its physical line, from 1.
    line: int
    original: bytes
    rule: str
    message: str
    #: What the file holds of it, where that is something else.
    raw: bytes | None = None

    @property
    def shown(self) -> str:
        """How it is shown as an example."""
        return self.original[:MAX_VALUE_LENGTH].decode("utf-8", errors="backslashreplace")


@dataclass
class Batch:
    """Some consecutive rows."""

    #: A column of texts for each that the audit reads; null where the file has no text at all.
    frame: "pl.DataFrame"
    #: The physical line of each row of `frame`.
    line: npt.NDArray[np.int64]
    #: Gives the bytes of the rows with these indices.
    originals: Callable[[npt.NDArray[np.int64]], list[bytes]]
    #: The rows that are not in `frame`, in order of their lines.
    rejects: list[Reject] = field(default_factory=list)
    #: Columns made from typed values: spelled the plain way, whatever the audit declares.
    plain: frozenset[str] = frozenset()
    #: Gives what the file holds of the rows with these indices; None where `originals` are that.
    raw: Callable[[npt.NDArray[np.int64]], list[bytes | None]] = lambda rows: [None] * len(rows)
    #: By column and rule, the rows whose cell has no value.
    wrong: dict[tuple[str, str], list[int]] = field(default_factory=dict)


def batch_of_rows(
    rows: Iterable[tuple[int, bytes, RowTexts]],
    names: Sequence[str],
    plain: frozenset[str] = frozenset(),
    raw: Mapping[int, bytes | None] = MappingProxyType({}),
) -> Batch:
    """Gather rows that were read one by one: line, text and what was read; `raw` is by line."""
    import polars as pl

    values: dict[str, list[str | None]] = {name: [] for name in names}
    lines: list[int] = []
    texts: list[bytes] = []
    rejects: list[Reject] = []
    for line, text, (found, rule, message) in rows:
        if rule:
            rejects.append(Reject(line, text, rule, message, raw.get(line)))
            continue
        lines.append(line)
        texts.append(text)
        for name in names:
            values[name].append(found.get(name))
    return Batch(
        frame=pl.DataFrame(values, schema=dict.fromkeys(names, pl.String)),
        line=np.array(lines, dtype=np.int64),
        originals=lambda indices: [texts[index] for index in indices.tolist()],
        rejects=rejects,
        plain=plain,
        raw=lambda indices: [raw.get(lines[index]) for index in indices.tolist()],
        wrong=wrong_cells(values),
    )


def wrong_cells(values: Mapping[str, Sequence[str | None]]) -> dict[tuple[str, str], list[int]]:
    """Find the rows of wrong cells by column and rule."""
    found: dict[tuple[str, str], list[int]] = {}
    for name, column in values.items():
        for row, value in enumerate(column):
            if isinstance(value, WrongCell):
                found.setdefault((name, value.rule), []).append(row)
    return found


@dataclass
class FileMetadata:
    """What a reader found out about the file; complete once its batches are read."""

    layout: Layout = field(default_factory=Layout)
    header: list[str] = field(default_factory=list)
    #: What a person should know though it refuses nothing.
    notes: list[str] = field(default_factory=list)
    structure: Structure = field(default_factory=Structure)
    #: The files that a day is made of, where it may have several.
    parts: list[FilePart] = field(default_factory=list)
    #: Whether the encoding is the likeliest one, and no byte says that it is right.
    is_encoding_guessed: bool = False


def reasons_type() -> "pl.DataType":
    """Return the engine's type of a row's reasons."""
    import polars as pl

    return pl.List(pl.Struct(dict.fromkeys(REASON_FIELDS, pl.String)))


def violating_values(frame: "pl.DataFrame", rule: Rule, rows: npt.NDArray[Any]) -> "pl.Series":
    """Return what to show of rows that violate a rule."""
    import polars as pl

    def text(name: str) -> pl.Series:
        shown = frame[TEXT + name if TEXT + name in frame.columns else name].gather(rows)
        return shown.cast(pl.String).str.slice(0, MAX_VALUE_LENGTH)

    if rule.column is not None:
        return text(rule.column).alias("value")
    parts = [
        pl.concat_str(pl.lit(f"{name}="), pl.lit(text(name)).fill_null("missing"))
        for name in rule.shown
    ]
    if not parts:
        return pl.Series("value", [None] * len(rows), dtype=pl.String)
    return pl.select(pl.concat_str(parts, separator=", ").alias("value"))["value"]


def reasons_of(parts: "list[pl.DataFrame]", rows: npt.NDArray[Any]) -> "pl.Series":
    """Gather the reasons of each refused row, in the order of the rules."""
    import polars as pl

    if not parts or len(rows) == 0:
        return pl.Series([[]] * len(rows), dtype=reasons_type())
    gathered = (
        pl.concat(parts)
        .sort("row", maintain_order=True)
        .select("row", reason=pl.struct(REASON_FIELDS))
        .group_by("row", maintain_order=True)
        .agg("reason")
    )
    if gathered.height != len(rows):
        gathered = gathered.filter(pl.col("row").is_in(pl.Series(rows).implode()))
    return gathered["reason"].cast(reasons_type())


def rejects_table(rejects: list[Reject]) -> "pl.DataFrame":
    """Return rows that could not be split, as refused rows."""
    import polars as pl

    nothing = pl.lit(None, dtype=pl.String)
    reason = pl.struct(nothing.alias("column"), "rule", nothing.alias("value"), "message")
    return pl.DataFrame(
        [(one.line, one.original, one.raw, one.rule, one.message) for one in rejects],
        schema={
            "line_number": pl.Int64,
            "original": pl.Binary,
            "raw": pl.Binary,
            "rule": pl.String,
            "message": pl.String,
        },
        orient="row",
    ).select("line_number", "original", "raw", reasons=pl.concat_list(reason).cast(reasons_type()))
