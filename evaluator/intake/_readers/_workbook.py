"""A workbook's parts: unpacked and parsed piece by piece, within limits, and never evaluated."""

import posixpath
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from evaluator.intake._readers._stream import RefusedFileError
from evaluator.spec import DataSpec

ZIP: Final = b"PK\x03\x04"
OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
OLD: Final = (
    "it is an old Excel workbook (.xls) or one with a password; save it in Excel as .xlsx, without "
    "a password"
)
ZIP_ERRORS: Final = (
    BadZipFile,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
)
NAMESPACES: Final = (
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
    "http://purl.oclc.org/ooxml/spreadsheetml/main",
)
#: A sheet's elements that are looked at, by their full names.
TAGS: Final = {
    f"{namespace} {tag}": tag
    for namespace in NAMESPACES
    for tag in ("row", "c", "v", "f", "is", "si", "t", "rPh", "col", "mergeCell", "autoFilter")
}
TRUE: Final = ("1", "true")
#: What is unpacked at once.
PIECE_BYTES: Final = 64 * 1024
#: So many bytes of XML may stand for a byte of a row.
MARKUP: Final = 16
#: The most bytes of XML whose content is held in memory: shared strings and styles.
HELD_BYTES: Final = 512 * 1024**2
MAX_ROWS: Final = 1024**2
#: An escaped character; halves of a character are none.
ESCAPED: Final = re.compile("_x((?![Dd][89A-Fa-f])[0-9A-Fa-f]{4})_")
#: A whole number in a workbook's XML has no more.
MAX_DIGITS: Final = 15


class Cell(NamedTuple):
    """A cell as it is stored."""

    position: int
    kind: str
    style: int
    #: None: a formula that was never calculated.
    text: str | None
    formula: str | None


class Row(NamedTuple):
    """A row; one that nothing stands in has no cells."""

    line: int
    cells: list[Cell]
    size: int = 0
    hidden: bool = False


class DamagedWorkbookError(RefusedFileError):
    """A workbook that Excel would not open either."""

    def __init__(self, why: object) -> None:
        super().__init__(f"the workbook is damaged: {why}")


@contextmanager
def damage_told() -> Iterator[None]:
    """Turn what unpacking raises into a refusal."""
    try:
        yield
    except ZIP_ERRORS as error:
        raise DamagedWorkbookError(error) from error


class _Handler:
    """Takes what is found in a part."""

    #: Bytes that were read since something was last done with.
    pending = 0

    def start(self, _name: str, _attributes: dict[str, str]) -> None:
        self.pending = 0

    def end(self, _name: str) -> None:
        pass

    def text(self, _text: str) -> None:
        pass


class _Elements(_Handler):
    """Gathers elements by their local names."""

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self.found: list[tuple[str, dict[str, str]]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        super().start(name, attributes)
        tag = _local(name)
        if tag in self.wanted:
            self.found.append((tag, {_local(key): text for key, text in attributes.items()}))


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


class _Texts(_Handler):
    """Gathers the runs of texts, without how they are pronounced."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.is_inside = False
        self._is_phonetic = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        tag = TAGS.get(name)
        if tag == "rPh":
            self._is_phonetic = True
        elif tag == "t":
            self.is_inside = not self._is_phonetic

    def end(self, name: str) -> None:
        tag = TAGS.get(name)
        if tag == "rPh":
            self._is_phonetic = False
        elif tag == "t":
            self.is_inside = False

    def text(self, text: str) -> None:
        if self.is_inside:
            self.runs.append(text)

    def take_text(self) -> str:
        text = "".join(self.runs)
        self.runs, self.is_inside = [], False
        return ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


class Strings(_Texts):
    """Gathers shared strings."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        super().start(name, attributes)
        self.pending = 0

    def end(self, name: str) -> None:
        super().end(name)
        if TAGS.get(name) == "si":
            self.found.append(self.take_text())


class Sheet(_Texts):
    """Gathers a sheet's rows, and what lies over them."""

    def __init__(self, part: str, strings: list[str], data: DataSpec) -> None:
        super().__init__()
        self.part = part
        self.hidden_columns: list[tuple[int, int]] = []
        self.merged: list[str] = []
        self.has_filter = False
        self._strings = strings
        self._limit = data.maximum_row_bytes
        self._rows: list[Row] = []
        self._line = 0
        self._is_hidden = False
        #: None outside of rows.
        self._cells: list[Cell] | None = None
        self._position = -1
        self._cell: dict[str, str] = {}
        self._value: str | None = None
        self._formula: str | None = None

    def take(self) -> list[Row]:
        """Give the rows that came since it was last asked."""
        rows, self._rows = self._rows, []
        return rows

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = TAGS.get(name)
        if self._cells is None:
            self._start_outside(tag, attributes)
        elif tag in ("v", "f"):
            self.is_inside = True
        elif tag == "c":
            self._start_cell(attributes)
        else:
            super().start(name, attributes)

    def _start_outside(self, tag: str | None, attributes: dict[str, str]) -> None:
        self.pending = 0
        if tag == "row":
            given = attributes.get("r")
            line = self._line + 1 if given is None else whole_number(given)
            if not self._line < line <= MAX_ROWS:
                raise DamagedWorkbookError(f"the row {line:,} stands after the row {self._line:,}")
            self._line = line
            self._is_hidden = attributes.get("hidden") in TRUE
            self._cells, self._position = [], -1
        elif tag == "col" and attributes.get("hidden") in TRUE:
            span = whole_number(attributes["min"]) - 1, whole_number(attributes["max"]) - 1
            self.hidden_columns.append(span)
        elif tag == "mergeCell":
            self.merged.append(attributes["ref"])
        elif tag == "autoFilter":
            self.has_filter = True
        if len(self.hidden_columns) + len(self.merged) > MAX_ROWS:
            raise DamagedWorkbookError("it has more merged cells or hidden columns than rows")

    def _start_cell(self, attributes: dict[str, str]) -> None:
        given = attributes.get("r")
        position = self._position + 1 if given is None else _position(given.rstrip("0123456789"))
        if position <= self._position:
            raise DamagedWorkbookError(f"the cells of the row {self._line:,} are not in order")
        self._cell, self._position = attributes, position
        self._value = self._formula = None

    def end(self, name: str) -> None:
        tag = TAGS.get(name)
        if tag == "v":
            self._value = self.take_text()
        elif tag == "c":
            self._end_cell()
        elif tag == "row":
            self._end_row()
        elif tag == "f":
            self._formula = self.take_text()
        elif tag == "is":
            self._value = self.take_text()
        else:
            super().end(name)

    def _end_cell(self) -> None:
        kind, value = self._cell.get("t", "n"), self._value
        if kind not in ("str", "inlineStr"):
            # Without a value it is only a format, or a formula that was not calculated.
            value = (value or "").strip() or None
        if value is None and self._formula is None:
            return
        if kind == "s" and value is not None:
            index = whole_number(value)
            if index >= len(self._strings):
                raise DamagedWorkbookError(f"the shared string {index:,} is not there")
            value = self._strings[index]
        style = whole_number(self._cell.get("s", "0"))
        if self._cells is not None:
            self._cells.append(Cell(self._position, kind, style, value, self._formula))

    def _end_row(self) -> None:
        cells = self._cells or []
        size = sum(len(cell.text or "") for cell in cells)
        if size * 4 > self._limit:
            size = sum(len((cell.text or "").encode()) for cell in cells)
        if size > self._limit:
            raise RefusedFileError(
                f"the row {self._line:,} has more than {self._limit:,} bytes (maximum_row_bytes)"
            )
        if any(cell.text != "" for cell in cells):
            self._rows.append(Row(self._line, cells, size, self._is_hidden))
        self._cells = None
        self.pending = 0


@cache
def _position(letters: str) -> int:
    """Return the position of the column with these letters, from 0."""
    from openpyxl.utils.cell import column_index_from_string

    try:
        return int(column_index_from_string(letters)) - 1
    except ValueError as error:
        raise DamagedWorkbookError(error) from error


class Parts:
    """A workbook's parts, unpacked and parsed within the limits."""

    def __init__(self, archive: ZipFile, data: DataSpec) -> None:
        self._archive = archive
        self._data = data
        self._unpacked = 0
        #: Some writers spell the names otherwise than those that refer to them.
        self._names = {_normal(name): name for name in archive.namelist()}

    def workbook(self) -> str:
        """Find the part that lists the sheets."""
        for _, kind, target in self.related(""):
            if kind == "officeDocument" and target.endswith(".bin"):
                raise RefusedFileError("it is a binary workbook (.xlsb); save it in Excel as .xlsx")
            if kind == "officeDocument":
                return target
        raise RefusedFileError("the file is a zip archive and no Excel workbook")

    def related(self, part: str) -> list[tuple[str, str, str]]:
        """Return the parts that a part refers to: id, kind and name."""
        folder, file = posixpath.split(part)
        relations = posixpath.join(folder, "_rels", f"{file}.rels")
        if _normal(relations) not in self._names:
            return []
        return [
            (
                found.get("Id", ""),
                found.get("Type", "").rpartition("/")[2],
                posixpath.normpath(posixpath.join("/", folder, found.get("Target", ""))),
            )
            for _, found in self.elements(relations, {"Relationship"})
            if found.get("TargetMode") != "External"
        ]

    def elements(self, part: str, wanted: set[str]) -> list[tuple[str, dict[str, str]]]:
        """Return the elements of some names in a part, with their attributes."""
        handler = _Elements(wanted)
        for _ in self.parse(part, handler, most=HELD_BYTES):
            pass
        return handler.found

    def parse(self, part: str, handler: _Handler, *, most: int | None = None) -> Iterator[None]:
        """Parse a part piece by piece; what it holds goes to the handler."""
        if _normal(part) not in self._names:
            raise DamagedWorkbookError(f"it has no part {part}")
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = handler.start
        parser.EndElementHandler = handler.end
        parser.CharacterDataHandler = handler.text
        read, limit = 0, MARKUP * self._data.maximum_row_bytes + PIECE_BYTES
        with damage_told():
            stream = self._archive.open(self._names[_normal(part)])
        with stream:
            while True:
                with damage_told():
                    piece = stream.read(PIECE_BYTES)
                read += len(piece)
                self._unpacked += len(piece)
                if self._unpacked > self._data.maximum_bytes:
                    raise RefusedFileError(
                        f"the workbook has more than {self._data.maximum_bytes:,} bytes once "
                        "unpacked (maximum_bytes)"
                    )
                if most is not None and read > most:
                    raise RefusedFileError(
                        f"the workbook's {part} has more than {most:,} bytes; save the sheet as CSV"
                    )
                handler.pending += len(piece)
                try:
                    parser.Parse(piece, not piece)
                except (expat.ExpatError, LookupError, ValueError) as error:
                    raise DamagedWorkbookError(f"{part}: {error}") from error
                if handler.pending > limit:
                    raise RefusedFileError(
                        f"{part} has a row, or another element, of more than {limit:,} bytes of XML"
                        " (maximum_row_bytes)"
                    )
                yield
                if not piece:
                    return


def _normal(name: str) -> str:
    return name.replace("\\", "/").strip("/").lower()


def _refuse_doctype(*_: object) -> None:
    raise RefusedFileError("the workbook defines a document type, which no workbook needs")


def whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise DamagedWorkbookError(f"{text[:40]!r} is no whole number")
    return int(text)


def refuse_workbook(path: Path) -> None:
    """Refuse a workbook that is declared, or named, as something else."""
    with path.open("rb") as stream:
        first = stream.read(len(OLE))
    if first == OLE:
        raise RefusedFileError(OLD)
    if not first.startswith(ZIP):
        return
    try:
        with ZipFile(path) as archive:
            names = [name.lower() for name in archive.namelist()]
    except ZIP_ERRORS:
        return
    if any(name.endswith(("/workbook.xml", "/workbook.bin")) for name in names):
        raise RefusedFileError("it is an Excel workbook; declare `format: excel`")
