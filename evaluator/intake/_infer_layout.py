"""How a file is laid out that nobody has described: titles, header, comments, totals, quotes."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evaluator.intake._readers import format_of
from evaluator.intake._readers._delimited import join_header
from evaluator.intake._readers._excel import header_of
from evaluator.intake._readers._layout import (
    SAMPLE_BYTES,
    SEPARATOR_LINE,
    dialect_of,
    find_encoding,
    find_layout,
    first_records,
    is_guessed,
    visible,
)
from evaluator.intake._readers._records import BLANK, WHOLE, Dialect, split_record
from evaluator.intake._readers._stream import (
    RefusedFileError,
    Transcoder,
    compression_of,
    read_blocks,
)
from evaluator.intake._sketch import Inferred, is_typed
from evaluator.spec import DataSpec, can_name_a_column

TOTAL: Final = re.compile(
    r"(?i)(?:grand |sub)?-?(?:total|totals|sum|summe|gesamt|insgesamt|somme|totale|suma)\b"
)
COMMENTS: Final = ("#", "//", "--", "%")


class FoundLayout:
    """What has to be declared so that a file's rows are found."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.keys: dict[str, Any] = {}
        self.doubts: list[str] = []
        #: Of Parquet the types that the file itself has.
        self.types: dict[str, Inferred] = {}

    def data(self) -> DataSpec:
        """Describe a file of which only this is known."""
        columns = {name: {"type": "string", "optional": True} for name in self.names}
        return DataSpec.model_validate(
            {
                "files": "file",
                "id": {"row": "number"},
                "cut_off": "quarantine",
                "columns": columns,
                **self.keys,
            }
        )


def layout_of(path: Path) -> FoundLayout:
    layout = FoundLayout()
    layout.names = ["column"]
    format_ = format_of(path.name, layout.data())
    if format_ == "parquet":
        held = _names_of_parquet(path, layout)
    elif format_ == "excel":
        held = header_of(path, layout.data())
    else:
        maximum = layout.data().maximum_bytes
        sample = next(read_blocks(path, maximum_bytes=maximum), b"")
        if not sample:
            raise RefusedFileError("the file is empty")
        is_cut = len(sample) > SAMPLE_BYTES
        encoding, mark = find_encoding(sample[:SAMPLE_BYTES], None, is_cut=is_cut)
        transcoder = Transcoder(encoding, mark)
        text = b"".join(transcoder.as_utf8(iter([sample[:SAMPLE_BYTES]])))
        if is_guessed(encoding, mark, None):
            layout.keys["encoding"] = encoding
            layout.doubts.append(f"the encoding {encoding} is a guess; no byte says what it is")
        if format_ == "jsonl":
            held = _keys(text)
        else:
            held = _find_rows(text, layout, format_, _tail(path, transcoder))
    _name_columns(held, layout)
    return layout


def _name_columns(held: Sequence[str], layout: FoundLayout) -> None:
    """Leave out what cannot be called by its name, and say so."""
    names = [visible(name) for name in held]
    counts = Counter(names)
    layout.names = [name for name in names if can_name_a_column(name) and counts[name] == 1]
    for position, (before, name) in enumerate(zip(held, names, strict=True), 1):
        if before.strip() != name:
            layout.doubts.append(
                f"the name of column {position} holds characters that nobody sees; it is taken"
                f" for {one_line(name)!r}"
            )
    for name in dict.fromkeys(name for name in names if name not in layout.names):
        what = "without a name" if not name else repr(one_line(name))
        why = f"there are {counts[name]} of them" if counts[name] > 1 else "it cannot be declared"
        more = (
            "; if the header goes over several lines, declare `header_lines`"
            if counts[name] > 1
            else ""
        )
        layout.doubts.append(f"the column {what} is left out: {why}{more}")
    if not layout.names:
        raise RefusedFileError("no column of the file has a name of its own")


def _find_rows(text: bytes, layout: FoundLayout, format_: str, tail: Sequence[bytes]) -> list[str]:
    """Find header, title, comments and totals of a delimited file; return the header's fields."""
    separator = SEPARATOR_LINE.match(text)
    body = text[separator.end() :] if separator else text
    comment = next((mark for mark in COMMENTS if body.startswith(mark.encode())), None)
    if comment is not None and _is_comment(body, comment):
        layout.keys["comment"] = comment
        body = b"\n".join(
            line for line in body.splitlines() if not line.startswith(comment.encode())
        )
    delimiter = separator[1].decode() if separator else _delimiter(body, format_)
    if delimiter != ("\t" if format_ == "tsv" else ","):
        layout.keys["delimiter"] = delimiter
    layout.keys |= _quoting(body, delimiter)
    dialect = _dialect(body, {**layout.keys, "delimiter": delimiter})
    found = first_records(body[: 64 * 1024], dialect)
    whole = [index for index in range(len(found)) if found.fault[index] == WHOLE]
    if not whole:
        return [""]
    # Neither a header nor what the sample may cut off says how wide rows are.
    counted = whole[1:-1] or whole[-1:]
    usual = Counter(int(found.fields[index]) for index in counted).most_common(1)[0][0]
    held = {index: _texts(found.text(index), dialect) for index in whole}
    header = _find_header(held, usual)
    if header != whole[0] and "comment" not in layout.keys:
        layout.keys["skip_lines"] = int(found.line[header]) - 1 + bool(separator)
        layout.doubts.append("the lines before the header are taken for a title")
    fields = held[header]
    rows = [held[index] for index in whole if index > header][:100]
    lines = _header_lines(fields, rows)
    if lines > 1:
        layout.keys["header_lines"] = lines
        layout.doubts.append(f"the header seems to go over {lines} lines")
        fields, rows = join_header([fields, *rows[: lines - 1]]), rows[lines - 1 :]
    elif _looks_like_row(fields, rows):
        layout.keys["header"] = False
        layout.doubts.append("the first line looks like a row; the columns have no names then")
        fields = [f"column_{number}" for number in range(1, len(fields) + 1)]
    elif (
        rows
        and "comment" not in layout.keys
        and (len(fields) < usual or (fields[0] and len({*fields}) <= len(fields) / 2))
    ):
        # By such names the columns could not be declared at all.
        before = int(found.line[header + 1]) - 1 + bool(separator)
        layout.keys |= {"header": False, "skip_lines": before}
        layout.doubts.append("the header lacks a name or repeats most; the columns are numbered")
        fields = _numbered(fields, [row for row in rows if len(row) == usual], usual)
    _doubt_header(fields, rows, usual, layout)
    if tail and len(rows) > 1:
        _propose_totals(tail, dialect, len(fields), delimiter, layout)
    return fields


def _texts(record: bytes, dialect: Dialect) -> list[str]:
    fields = split_record(record, dialect) or record.split(dialect.delimiter)
    return [field.decode("utf-8", errors="backslashreplace") for field in fields]


def _is_comment(body: bytes, comment: str) -> bool:
    """Whether what begins so is no header: it has not the fields that the next line has."""
    lines = body.splitlines()
    others = [line for line in lines if not line.startswith(comment.encode())]
    if len(others) == len(lines) or not others:
        return False
    marks = [
        max(line.count(d) for d in (b",", b";", b"\t", b"|")) for line in (lines[0], others[0])
    ]
    return marks[0] != marks[1] or len(lines) - len(others) > 1


def _dialect(body: bytes, keys: Mapping[str, Any]) -> Dialect:
    guess = FoundLayout()
    guess.names, guess.keys = ["column"], {**keys, "header": True}
    return dialect_of(find_layout(body, "utf-8", 0, guess.data(), "csv"))


def _delimiter(body: bytes, format_: str) -> str:
    """Choose the delimiter by which most lines have as many fields, more than one."""
    if format_ == "tsv":
        return "\t"
    return max((",", ";", "\t", "|"), key=lambda mark: _merit(body, {"delimiter": mark}))


def _merit(body: bytes, keys: Mapping[str, Any]) -> tuple[float, int]:
    """Say which share of lines is whole and of one width, and the width."""
    records = first_records(body[: 64 * 1024], _dialect(body, keys))
    rows = records.fault != BLANK
    fields = [int(n) for n in records.fields[records.fault == WHOLE] if n > 1]
    if not fields:
        return 0.0, 0
    usual, count = Counter(fields).most_common(1)[0]
    return count / max(int(rows.sum()), 1), usual


def _quoting(body: bytes, delimiter: str) -> dict[str, Any]:
    """Find what makes more lines whole than plain quotes do."""
    mark = delimiter.encode()
    inner = [field for line in body.splitlines()[:1000] for field in line.split(mark)[1:]]
    after = sum(field.startswith(b" ") for field in inner)
    plain: dict[str, Any] = {}
    if sum(len(field) > 1 and field[:1] == field[-1:] == b"'" for field in inner) > len(inner) / 4:
        plain["quote"] = "'"
    if inner and after > len(inner) * 0.9 and delimiter != " ":
        plain["blanks_after_delimiter"] = True
    ways = [
        plain,
        {**plain, "escape": "\\"},
        {"blanks_after_delimiter": True},
        {"quote": ""},
        {"quote": "'"},
    ]
    return max(ways, key=lambda keys: _merit(body, {"delimiter": delimiter, **keys})[0])


def _find_header(held: Mapping[int, Sequence[str]], usual: int) -> int:
    """Find the first record that has the usual fields and is no title: a title fills but one."""
    first, *_ = held
    wide = [index for index, fields in held.items() if len(fields) == usual]
    lacks_one = len(held[first]) == usual - 1 and not any(map(is_typed, held[first]))
    if lacks_one and (all(held[first]) or not any(held[index][-1].strip() for index in wide)):
        return first
    filled = [sum(bool(field.strip()) for field in held[index]) for index in wide]
    for at, index in enumerate(wide):
        is_one = filled[at] == 1 and (usual > 2 or held[index][0].strip())  # noqa: PLR2004 - an index and a name
        if filled[at] and not (is_one and max(filled[at : at + 4]) > 1):
            return index
    return wide[0] if wide else first


def _numbered(fields: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Make names unique, and name the column that has none: the last if it is empty, or the first.

    R leaves out the name of a first column.
    """
    names = [*fields]
    if len(names) < width:
        ends_empty = not any(row[-1].strip() for row in rows)
        names.insert(len(names) if ends_empty else 0, f"column_{width if ends_empty else 1}")
    unique: list[str] = []
    for number, name in enumerate(map(visible, names), 1):
        plain = name if can_name_a_column(name) else f"column_{number}"
        others = (f"{plain}_{count}" for count in range(2, width + 2))
        unique.append(next(one for one in (plain, *others) if one not in unique))
    return unique


def _header_lines(fields: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Count the lines of a header whose gaps the next lines fill with words above numbers."""
    lines, first = 1, fields
    for line, *below in (rows[at:] for at in range(min(len(rows) - 1, 4))):
        fills = len(line) == len(fields) and any(
            held.strip() and not above.strip() for above, held in zip(fields, line, strict=True)
        )
        if any(map(is_typed, line)):
            break
        if line == first:
            lines += 1
            continue
        if not fills or "" not in fields or not any(fields[1:]):
            break
        columns = zip(line, *(row for row in below if len(row) == len(line)), strict=True)
        if not any(name.strip() and _is_mostly_typed(column) for name, *column in columns):
            break
        lines += 1
        fields = join_header([fields, line])
    return lines


def _is_mostly_typed(column: Sequence[str]) -> bool:
    filled = [text for text in column if text.strip()]
    return sum(map(is_typed, filled)) > len(filled) / 2


def _doubt_header(
    fields: Sequence[str], rows: Sequence[Sequence[str]], usual: int, layout: FoundLayout
) -> None:
    """Say where a header is not certain: it is odd as such, or few lines are as wide as it is."""
    if layout.keys.get("header", True):
        if any(is_typed(field) for field in fields) and not any(map(str.isalpha, "".join(fields))):
            layout.doubts.append("the header holds numbers alone")
        if any("\n" in field for field in fields):
            layout.doubts.append("a name in the header goes over several lines")
        if sum(not field.strip() for field in fields) > len(fields) / 2:
            layout.doubts.append("most columns have no name; the header may stand further down")
    wide = sum(len(row) == usual for row in rows)
    if wide < len(rows) * 0.9 or len(fields) != usual:
        layout.doubts.append(f"only {wide:,} of {len(rows):,} lines have as many fields as most")


def _looks_like_row(fields: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line has numbers and dates wherever the others have, and nothing else."""
    columns = list(zip(*(row for row in rows if len(row) == len(fields)), strict=True))
    typed = [
        index for index, column in enumerate(columns) if all(map(is_typed, column)) and any(column)
    ]
    return bool(typed) and all(is_typed(fields[index]) and fields[index] for index in typed)


def _tail(path: Path, transcoder: Transcoder) -> list[bytes]:
    """Read a file's last lines, where it is not packed."""
    if compression_of(path) is not None:
        return []
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 4096, 0))
        content = transcoder.read(file.read())
    return [line for line in content.splitlines() if line.strip()][-3:]


def _propose_totals(
    tail: Sequence[bytes], dialect: Dialect, width: int, delimiter: str, layout: FoundLayout
) -> None:
    """Propose a rule for last lines that say so themselves, or are no rows by their fields."""
    patterns = []
    for line in tail:
        fields = _texts(line, dialect)
        named = TOTAL.match(fields[0].strip())
        if named is not None:
            patterns.append(re.escape(fields[0]) + re.escape(delimiter) + ".*")
        elif len(fields) < width and len(fields) == 1 and "\n" not in fields[0]:
            patterns.append(re.escape(fields[0].split(" ")[0]) + ".*")
    if patterns:
        layout.keys["not_rows"] = list(dict.fromkeys(patterns))
        layout.doubts.append("the last lines look like totals or a footer, and are no rows")


def _names_of_parquet(path: Path, layout: FoundLayout) -> list[str]:
    """Read names and types of a Parquet file; its own types are the truth."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise RefusedFileError(f"the Parquet file cannot be read: {error}") from error
    names = []
    for field in schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            layout.doubts.append(f"the column {field.name!r} is left out: it holds {field.type}")
            continue
        names.append(field.name)
        own = Inferred.of_arrow(field.type)
        if own is not None:
            layout.types[visible(field.name)] = own
    return names


def _keys(text: bytes) -> list[str]:
    import json

    keys: dict[str, None] = {}
    for line in text.splitlines()[:1000]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            keys.update(dict.fromkeys(value))
    return list(keys)


def one_line(text: str) -> str:
    """Make a text fit into a comment."""
    return "".join(c if c.isprintable() else "?" for c in text)[:40]
