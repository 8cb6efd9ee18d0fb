"""The reader of Excel workbooks: one sheet's rows, by the stored text of their cells."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt

from evaluator.intake._profile import Layout, Structure
from evaluator.intake._readers import _records as rec
from evaluator.intake._readers._delimited import (
    BrokenSchemaError,
    check_column_count,
    match_columns,
)
from evaluator.intake._readers._stream import BLOCK_BYTES, RULES, RefusedFileError
from evaluator.intake._readers._workbook import (
    HELD_BYTES,
    OLD,
    OLE,
    TRUE,
    ZIP,
    Cell,
    DamagedWorkbookError,
    Parts,
    Row,
    Sheet,
    Strings,
    damage_told,
    whole_number,
)
from evaluator.intake._typing import parse_values
from evaluator.intake._validator import PLAIN
from evaluator.intake._violations import (
    WRONG_CELLS,
    Batch,
    FileMetadata,
    Reject,
    RowTexts,
    WrongCell,
    wrong_cells,
)
from evaluator.spec import ColumnSpec, DataSpec

if TYPE_CHECKING:
    import polars as pl

#: What a cell takes beside its text.
CELL_BYTES: Final = 64
#: More digits of a number Excel does not keep.
EXACT_DIGITS: Final = 15
#: So many digits say which of the numbers that a computer has is meant.
FLOAT_DIGITS: Final = 17
NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?(\d+))?", re.ASCII)
#: The most that the exponent of a number has which a computer has.
EXPONENT_DIGITS: Final = 3
LITERALS: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')
#: The dates of East Asian versions, whose formats no file spells out.
EAST_ASIAN_DATES: Final = dict.fromkeys((*range(27, 37), *range(50, 59)), "yyyy/m/d")
DAY: Final = 24 * 60 * 60 * 1000
#: The day that the first version of Excel took over from its rival, and no calendar has.
NO_DAY: Final = 60
FIRST_1900: Final = date(1899, 12, 31).toordinal()
FIRST_1904: Final = date(1904, 1, 1).toordinal()
MAX_EXAMPLES: Final = 3
#: The elements that say which number formats there are.
STYLES: Final = {"numFmts", "numFmt", "cellStyleXfs", "cellXfs", "dxfs", "xf"}


class _Format(NamedTuple):
    """A number format."""

    code: str
    #: Whether it makes a number a date or a time, and which of the two it shows.
    is_date: bool
    shows_day: bool
    shows_time: bool


GENERAL: Final = _Format("General", is_date=False, shows_day=False, shows_time=False)


class _Plain(str):
    """A text that was made of a date or a truth value."""

    __slots__ = ()


class ExcelReader:
    """Reads one sheet of a workbook in batches; only its shared strings are held in memory."""

    def __init__(self, path: Path, data: DataSpec) -> None:
        self.path = path
        self.data = data
        self.metadata = FileMetadata(Layout(format="excel"))
        self._columns: dict[str, int] | None = None
        self._keys: list[str] = []
        self._formats: list[_Format] = []
        self._date1904 = False
        #: Of the header and of the last row; 0 without one.
        self._header_line = 0
        self._last_line = 0
        self._counts: Counter[str] = Counter()

    def batches(self) -> Iterator[Batch]:
        """Read the sheet; a row's line is its number in the sheet."""
        with self.path.open("rb") as stream:
            first = stream.read(len(OLE))
        if first == OLE:
            raise RefusedFileError(OLD)
        if not first.startswith(ZIP):
            raise RefusedFileError(
                "the file is no Excel workbook; unpack it if one is packed inside, or else declare "
                "its format"
            )
        with damage_told():
            archive = ZipFile(self.path)
        with archive:
            yield from self._batches(Parts(archive, self.data))

    def _batches(self, parts: "Parts") -> Iterator[Batch]:
        sheet = self._open_sheet(parts)
        rows: list[Row] = []
        size = 0
        for row in self._rows(sheet, parts):
            rows.append(row)
            size += CELL_BYTES * (1 + len(row.cells)) + row.size
            if size >= BLOCK_BYTES:
                yield self._batch(rows)
                rows, size = [], 0
        if rows:
            yield self._batch(rows)
        if self._columns is None:
            raise RefusedFileError(f"the sheet {self.metadata.layout.sheet!r} is empty")
        self._describe(sheet)

    def _open_sheet(self, parts: "Parts") -> "Sheet":
        """Find the sheet, and what its cells refer to."""
        book = parts.workbook()
        found = parts.elements(book, {"workbookPr", "sheet"})
        related = parts.related(book)
        targets = {id_: target for id_, kind, target in related if kind == "worksheet"}
        others = {kind: target for _, kind, target in related}
        sheets = {
            options.get("name", ""): options
            for tag, options in found
            if tag == "sheet" and options.get("id") in targets
        }
        name = self._choose(sheets)
        self.metadata.layout = Layout(
            format="excel",
            sheet=name,
            header=self.data.header is not False,
            detected=() if self.data.sheet else ("sheet",),
        )
        self._date1904 = any(
            tag == "workbookPr" and options.get("date1904") in TRUE for tag, options in found
        )
        if "styles" in others:
            self._formats = _formats(parts.elements(others["styles"], STYLES))
        strings = Strings()
        if "sharedStrings" in others:
            for _ in parts.parse(others["sharedStrings"], strings, most=HELD_BYTES):
                pass
        return Sheet(targets[sheets[name]["id"]], strings.found, self.data)

    def _choose(self, sheets: dict[str, dict[str, str]]) -> str:
        """Choose the sheet that is declared, or the first one that is shown."""
        if not sheets:
            raise RefusedFileError("the file is no Excel workbook, or one without a sheet of cells")
        listed = ", ".join(
            f"{name!r}{'' if _is_shown(sheet) else ' (hidden)'}" for name, sheet in sheets.items()
        )
        if self.data.sheet is not None:
            if self.data.sheet not in sheets:
                raise RefusedFileError(
                    f"the workbook has no sheet {self.data.sheet!r}; it has {listed}"
                )
            return self.data.sheet
        name = next((n for n, sheet in sheets.items() if _is_shown(sheet)), next(iter(sheets)))
        if len(sheets) > 1:
            self.metadata.notes.append(
                f"the sheet {name!r} is read, the first visible one of {listed}; "
                "declare `sheet` to choose"
            )
        return name

    def _rows(self, sheet: "Sheet", parts: "Parts") -> Iterator[Row]:
        """Give the rows under the header, with the blank ones between them."""
        for _ in parts.parse(sheet.part, sheet):
            for row in sheet.take():
                if self._columns is None:
                    self._begin(row)
                    if self._header_line:
                        continue
                for line in range(self._last_line + 1, row.line):
                    self._counts["blank"] += 1
                    yield Row(line, [])
                self._last_line = row.line
                yield row

    def _begin(self, row: Row) -> None:
        """Take the first row as the header, unless the file has none."""
        from openpyxl.utils.cell import get_column_letter

        if self.data.header is False:
            names = list(self.data.file_columns)
            self._last_line = row.line - 1
            self.metadata.notes.append(
                "the sheet has no header; its columns are taken in the declared order from A"
            )
        else:
            found = {cell.position: self._spelled(cell).strip() for cell in row.cells}
            width = 1 + max((position for position, name in found.items() if name), default=0)
            check_column_count(width, self.data)
            names = [found.get(position, "") for position in range(width)]
            self._last_line = self._header_line = row.line
        self.metadata.header = names
        self.metadata.notes.append("line numbers are the row numbers of the sheet")
        counts = Counter(names)
        self._keys = [
            name if name and counts[name] == 1 else f"column {get_column_letter(position)}"
            for position, name in enumerate(names, start=1)
        ]
        self._columns = match_columns(names, self.data)

    def _batch(self, rows: list[Row]) -> Batch:
        """Spell the declared cells of rows."""
        import polars as pl

        columns = self._columns or {}
        values: dict[str, list[str | None]] = {name: [] for name in columns}
        rejects = [Reject(row.line, b"", *RULES[rec.BLANK]) for row in rows if not row.cells]
        rows = [row for row in rows if row.cells]
        exact = {name for name in columns if self.data.columns[name].type != "float"}
        marks = self.data.decimal_marks
        for row in rows:
            self._counts["hidden"] += row.hidden
            self._look_beyond(row)
            cells = {cell.position: cell for cell in row.cells}
            for name, position in columns.items():
                cell = cells.get(position)
                spelled = None if cell is None else self._spelled(cell)
                if type(spelled) is str and cell is not None and cell.kind == "n" and name in marks:
                    # A number of a cell has a point, however those in texts are written.
                    spelled = spelled.replace(".", marks[name])
                values[name].append(spelled)
                if cell and spelled and len(spelled) > EXACT_DIGITS and name in exact:
                    self._counts["long"] += cell.kind == "n" and spelled.lstrip("-").isdigit()
        for name, texts in values.items():
            _spell_as_declared(texts, self.data.columns[name])

        def originals(indices: npt.NDArray[np.int64]) -> list[bytes]:
            return [
                _as_json({name: _replayable(texts[index]) for name, texts in values.items()})
                for index in indices.tolist()
            ]

        def raw(indices: npt.NDArray[np.int64]) -> list[bytes | None]:
            return [self._stored(rows[index]) for index in indices.tolist()]

        return Batch(
            frame=pl.DataFrame(values, schema=dict.fromkeys(columns, pl.String)),
            line=np.array([row.line for row in rows], dtype=np.int64),
            originals=originals,
            rejects=rejects,
            raw=raw,
            wrong=wrong_cells(values),
        )

    def _look_beyond(self, row: Row) -> None:
        """Count a row that goes on where the header has ended."""
        width = len(self._keys)
        if not any(cell.text != "" for cell in row.cells if cell.position >= width):
            return
        if self.data.undeclared_columns == "refuse":
            raise RefusedFileError(f"the row {row.line:,} has cells right of the header's last one")
        self._counts["beyond"] += 1

    def _spelled(self, cell: Cell) -> str:  # noqa: PLR0911 - one way out a kind of cell
        """Spell what is stored in a cell."""
        if cell.text is None:
            return WrongCell("formula_not_calculated", f"={cell.formula}")
        if cell.kind in ("s", "str", "inlineStr"):
            return cell.text
        if cell.kind == "e":
            return WrongCell("excel_error", cell.text)
        if cell.kind == "b":
            return _Plain({"1": "true", "0": "false"}.get(cell.text, cell.text))
        form = self._format(cell.style)
        if cell.kind == "d":
            midnight = "" if form.shows_time else "T00:00:00"
            return _Plain(cell.text.removesuffix("Z").removesuffix(midnight))
        if form.is_date:
            return _moment(cell.text, form, date1904=self._date1904)
        return _number(cell.text)

    def _format(self, style: int) -> _Format:
        return self._formats[style] if style < len(self._formats) else GENERAL

    def _stored(self, row: Row) -> bytes:
        """Spell a row as it is stored."""
        from openpyxl.utils.cell import get_column_letter

        def key(position: int) -> str:
            named = position < len(self._keys)
            return self._keys[position] if named else f"column {get_column_letter(position + 1)}"

        return _as_json(
            {
                key(cell.position): {"text": cell.text, "format": self._format(cell.style).code}
                for cell in row.cells
            }
        )

    def _describe(self, sheet: "Sheet") -> None:
        """Note what a person should know about the sheet."""
        counts, notes = self._counts, self.metadata.notes
        self.metadata.structure = Structure(blank_lines=counts["blank"])
        if counts["long"]:
            notes.append(
                f"{counts['long']:,} numbers have more than {EXACT_DIGITS} digits, and Excel keeps "
                "no more of what is typed; such ids belong into cells of text"
            )
        if counts["beyond"]:
            notes.append(
                f"{counts['beyond']:,} rows go on right of the header's last cell; what stands "
                "there is left out"
            )
        columns = self._named(sheet.hidden_columns)
        if counts["hidden"] or columns:
            notes.append(
                f"{counts['hidden']:,} hidden rows and {len(columns)} hidden columns "
                f"{f'({_listed(columns)}) ' if columns else ''}are read like the others"
            )
        if sheet.has_filter:
            notes.append("a filter is set; the rows that it hides are read")
        self._describe_merged(sheet.merged)

    def _describe_merged(self, ranges: list[str]) -> None:
        """Note which merged cells lie over the header and over rows."""
        from openpyxl.utils.cell import range_boundaries

        count, touched, over_header = 0, set(), []
        for merged in ranges:
            try:
                left, top, right, bottom = map(int, range_boundaries(merged))
            except (TypeError, ValueError) as error:
                raise DamagedWorkbookError(f"{merged[:40]!r} is no range of cells") from error
            if top <= self._header_line <= bottom and right > left:
                over_header.append(merged)
            if bottom > self._header_line and top <= self._last_line:
                count += 1
                touched.add((left - 1, right - 1))
        if over_header:
            self.metadata.notes.append(
                f"the header is merged over several columns ({_listed(over_header)}), and names "
                "only the first"
            )
        if count:
            columns = self._named(touched)
            where = f"in {_listed(columns)}" if columns else "in no declared column"
            self.metadata.notes.append(
                f"{count:,} merged ranges lie over rows, {where}: the value stands in the top left "
                "cell, and the others are empty"
            )

    def _named(self, spans: Iterable[tuple[int, int]]) -> list[str]:
        """Name the declared columns that lie in spans of positions."""
        columns = (self._columns or {}).items()
        return [n for n, at in columns if any(first <= at <= last for first, last in spans)]


def header_of(path: Path, data: DataSpec) -> list[str]:
    """Read the names of a workbook's columns, whatever is declared."""
    reader = ExcelReader(path, data)
    try:
        next(reader.batches(), None)
    except BrokenSchemaError as error:
        return error.names
    return reader.metadata.header


def read_quarantined(read: Callable[[bytes], RowTexts], text: bytes) -> RowTexts:
    """Read a row from quarantine, where a cell without a value is an object of its rule."""
    found, rule, message = read(text)
    if rule:
        return found, rule, message
    for name, value in json.loads(text, parse_int=str).items():
        if isinstance(value, dict) and len(value) == 1:
            ((why, content),) = value.items()
            if why in WRONG_CELLS and isinstance(content, str):
                found[name] = WrongCell(why, content)
    return found, "", ""


def _replayable(text: str | None) -> Any:
    return {text.rule: text} if isinstance(text, WrongCell) else text


def _as_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_EXAMPLES} more" if len(names) > MAX_EXAMPLES else ""
    return ", ".join(map(repr, names[:MAX_EXAMPLES])) + more


def _is_shown(sheet: dict[str, str]) -> bool:
    return sheet.get("state", "visible") == "visible"


def _moment(text: str, form: _Format, *, date1904: bool) -> str:
    """Spell a serial number, in days, as the date or time that it is shown as."""
    try:
        if not NUMBER.fullmatch(text):
            return WrongCell("excel_date", text)
        days, rest = divmod(round(float(text) * DAY), DAY)
        seconds, milliseconds = divmod(rest, 1000)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        clock += f".{milliseconds:03}" if milliseconds else ""
        if days == 0 and not form.shows_day:
            return _Plain(clock)
        if days >= 0 if date1904 else (days > 0 and days != NO_DAY):
            first = FIRST_1904 if date1904 else FIRST_1900 - (days > NO_DAY)
            day = date.fromordinal(first + days).isoformat()
            return _Plain(f"{day}T{clock}" if form.shows_time or rest else day)
    except (ValueError, OverflowError):
        pass
    return WrongCell("excel_date", text)


def _number(text: str) -> str:
    """Spell a number without an exponent, and with the digits that it has."""
    if len(text) <= EXACT_DIGITS and text.replace(".", "").isdigit():
        return text
    parts = NUMBER.fullmatch(text)
    if parts is None or len(parts[1] or "") > EXPONENT_DIGITS:
        return text
    number = Decimal(text)
    whole = number.to_integral_value()
    if number == whole:
        return f"{whole:f}" if parts[1] else text
    if EXACT_DIGITS < len(number.as_tuple().digits) <= FLOAT_DIGITS:
        # Excel stores 1.1 as 1.1000000000000001, which is the same number.
        number = Decimal(repr(float(number)))
    return f"{number:f}"


def _spell_as_declared(texts: list[str | None], column: ColumnSpec) -> None:
    """Spell dates and truth values as the column's texts are, where nothing is lost by it."""
    import polars as pl

    rows = [row for row, text in enumerate(texts) if isinstance(text, _Plain)]
    if not rows or (column.formats is None and column.type != "boolean"):
        return
    plain = pl.Series([texts[row] for row in rows], dtype=pl.String)
    values = parse_values(plain, column.model_copy(update=PLAIN))
    for spelled in _spellings(values, column):
        same = parse_values(spelled, column) == values
        for row, text, is_same in zip(rows, spelled, same, strict=True):
            if is_same and isinstance(texts[row], _Plain):
                texts[row] = text


def _spellings(values: "pl.Series", column: ColumnSpec) -> "Iterator[pl.Series]":
    import polars as pl

    if column.type == "boolean":
        words = {True: column.true_values[0], False: column.false_values[0]}
        yield values.replace_strict(words, default=None, return_dtype=pl.String)
    for how in column.formats or ():
        # A format may ask for what a value has not, such as the offset of a day.
        with suppress(pl.exceptions.ComputeError):
            yield values.dt.strftime(how)


def _formats(styles: list[tuple[str, dict[str, str]]]) -> list[_Format]:
    """Read the number format of each style of cells."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS

    codes: dict[int, str] = {**EAST_ASIAN_DATES, **BUILTIN_FORMATS}
    found, section = [], ""
    for tag, attributes in styles:
        if tag in ("numFmt", "xf"):
            if (section, tag) == ("numFmts", "numFmt"):
                codes[whole_number(attributes.get("numFmtId", ""))] = attributes.get(
                    "formatCode", ""
                )
            elif (section, tag) == ("cellXfs", "xf"):
                found.append(whole_number(attributes.get("numFmtId", "0")))
        else:
            section = tag
    return [_format_of(codes.get(id_, "General")) for id_ in found]


@cache
def _format_of(code: str) -> _Format:
    from openpyxl.styles.numbers import is_date_format, is_timedelta_format

    # A duration, such as [h]:mm, is no moment.
    is_date = is_date_format(code) and not is_timedelta_format(code)
    shown = LITERALS.sub("", code.partition(";")[0]).lower()
    shows_time = bool({"h", "s"} & set(shown))
    return _Format(code, is_date, bool({"d", "y"} & set(shown)) or not shows_time, shows_time)
