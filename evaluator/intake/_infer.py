"""A first schema for a file that nobody has described yet: what it declares, the file keeps.

The whole file is looked at, block by block: once for what its columns hold, and once more under
what was found, so that each line which does not pass is named.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

from evaluator.errors import IntakeError
from evaluator.intake._readers import ENDINGS, Reader, format_of, open_reader
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
    decompressed_name,
    read_blocks,
)
from evaluator.intake._sketch import ColumnSketch, Inferred, is_typed
from evaluator.intake._validator import RowValidator
from evaluator.spec import DataSpec, can_name_a_column

MAX_LINES_NAMED: Final = 50
DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
MONTH: Final = re.compile(r"(?<!\d)\d{4}-\d{2}(?![\d-])")
YEAR: Final = re.compile(r"(?<!\d)(?:19|20)\d{2}(?![\d-])")
TOTAL: Final = re.compile(
    r"(?i)(?:grand |sub)?-?(?:total|totals|sum|summe|gesamt|insgesamt|somme|totale|suma)\b"
)
NAMED: Final = re.compile(
    r"(?i:(?:^|_|\b)(?:id|key|number|no|nr|uuid|code)$)|[a-z](?:Id|ID|Key|Number|No|Nr)$"
)
COMMENTS: Final = ("#", "//", "--", "%")


def infer_schema(
    path: Path, *, categories: Sequence[str] = (), required: Sequence[str] = ()
) -> str:
    """Write a first `data:` section for a file.

    Parameters
    ----------
    path
        CSV, TSV, Parquet or JSON Lines, also packed; an Excel workbook.
    categories
        Columns whose values are listed, however many there are, because something is sliced by
        them.
    required
        Columns that the caller relies on.

    Returns
    -------
    str
        YAML that loads as a `DataSpec`, with a comment wherever it is unsure. The file's rows pass
        it, but for those whose lines are named.

    Raises
    ------
    IntakeError
        When the file cannot be read, has no row that is whole, or lacks one of these columns.
    """
    if not path.is_file():
        raise IntakeError(
            "there is no such file", culprit=str(path), fix="check its name and its folder"
        )
    try:
        text, _ = _infer(path, categories, required)
    except RefusedFileError as error:
        raise IntakeError(str(error), culprit=str(path), fix=_FIX) from error
    return text


_FIX: Final = (
    "name a file with rows, or mend its first line: each row has as many fields as there are names"
)


def infer_audit(path: Path, geography: str, segment: str, label: str) -> str:
    """Write a whole first audit for a file of labelled cases.

    Parameters
    ----------
    path
        As for `infer_schema`.
    geography, segment, label
        Columns of the file.

    Returns
    -------
    str
        A `defs.yaml` that loads; candidates and gates stand in it as comments.

    Raises
    ------
    IntakeError
        As `infer_schema`; also where the label has not two values.
    """
    try:
        text, columns = _infer(path, (geography, segment), (geography, segment, label))
    except RefusedFileError as error:
        raise IntakeError(str(error), culprit=str(path), fix=_FIX) from error
    values = columns[label].distinct
    if values is None or len(values) != 2:  # noqa: PLR2004 - a binary label
        many = "many" if values is None else len(values)
        raise IntakeError(
            f"the column {label!r} has {many} different values, and a label has two",
            culprit=str(path),
            fix="name the column that holds the truth, as 0 and 1 or as two words",
        )
    positive = max(values, key=lambda value: (value.casefold() in _POSITIVE, value))
    type_ = columns[label].inferred.type
    shown = positive if type_ in ("integer", "boolean") else _scalar(positive)
    indented = "\n".join(f"    {line}" if line else "" for line in text.splitlines())
    return (
        "type: evaluator.orchestration.AuditComponent\n\n"
        "attributes:\n"
        f"  description: {_scalar(f'First audit of {path.name}')}\n\n"
        f"  data:\n{indented}\n\n"
        f"  geography: {_scalar(geography)}\n"
        f"  segment: {_scalar(segment)}\n"
        f"  label: {{column: {_scalar(label)}, positive: {shown}}}"
        "  # unsure: which of the two values counts as positive\n\n"
        "  # What is judged; see docs/audit-yaml.md for other kinds.\n"
        "  # candidates:\n"
        "  #   - {name: first, kind: recorded, path: outputs.csv, id: id, score: score}\n"
        "  # gates:\n"
        "  #   - {metric: accuracy, level: overall, at_least: 0.8}\n"
    )


_POSITIVE: Final = ("1", "true", "yes", "y", "t", "positive")


def _infer(
    path: Path, categories: Sequence[str], required: Sequence[str]
) -> tuple[str, dict[str, ColumnSketch]]:
    layout = _layout_of(path)
    absent = [name for name in (*categories, *required) if name not in layout.names]
    if absent:
        raise IntakeError(
            f"there is no column {absent[0]!r}",
            culprit=str(path),
            fix=f"name one of: {', '.join(layout.names)}",
        )
    columns = {name: ColumnSketch(name, layout.types.get(name)) for name in layout.names}
    reader = open_reader(path, layout.data(), name=path.name)
    rows = refused = 0
    faults = Counter[str]()
    for batch in reader.batches():
        rows += batch.frame.height
        refused += len(batch.rejects)
        faults.update(reject.rule for reject in batch.rejects)
        for name, column in columns.items():
            if name in batch.frame.columns:
                column.add(batch.frame[name])
            else:
                column.add_missing(batch.frame.height)
    if rows == 0:
        raise RefusedFileError(_why_no_row(refused, faults, reader))
    prefers_comma = reader.metadata.layout.delimiter == ";"
    for name, column in columns.items():
        column.infer(prefers_comma=prefers_comma, lists_values=name in categories)
    text = "\n".join([*_head(path, layout, columns, rows), *_lines(columns, required)]) + "\n"
    data = DataSpec.model_validate(yaml.safe_load(text))
    failing = _failing_lines(path, data)
    return "\n".join([*_told(failing, layout), text]), columns


class _Layout:
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
                "files": "{date}",
                "first_day": "2000-01-01",
                "id": {"row": "number"},
                "cut_off": "quarantine",
                "columns": columns,
                **self.keys,
            }
        )


def _layout_of(path: Path) -> _Layout:
    layout = _Layout()
    layout.names = ["column"]
    format_ = format_of(path.name, layout.data())
    if format_ == "parquet":
        held = _names_of_parquet(path, layout)
    elif format_ == "excel":
        held = header_of(path, layout.data())
    else:
        maximum = layout.data().maximum_bytes
        sample = next(read_blocks(path, maximum_bytes=maximum), b"")
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


def _name_columns(held: Sequence[str], layout: _Layout) -> None:
    """Leave out what cannot be called by its name, and say so."""
    names = [visible(name) for name in held]
    counts = Counter(names)
    layout.names = [name for name in names if can_name_a_column(name) and counts[name] == 1]
    for position, (before, name) in enumerate(zip(held, names, strict=True), 1):
        if before.strip() != name:
            layout.doubts.append(
                f"the name of column {position} holds characters that nobody sees; it is taken"
                f" for {_one_line(name)!r}"
            )
    for name in dict.fromkeys(name for name in names if name not in layout.names):
        what = "without a name" if not name else repr(_one_line(name))
        why = f"there are {counts[name]} of them" if counts[name] > 1 else "it cannot be declared"
        more = (
            "; if the header goes over several lines, declare `header_lines`"
            if counts[name] > 1
            else ""
        )
        layout.doubts.append(f"the column {what} is left out: {why}{more}")
    if not layout.names:
        raise RefusedFileError("no column of the file has a name of its own")


def _find_rows(text: bytes, layout: _Layout, format_: str, tail: Sequence[bytes]) -> list[str]:
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
    guess = _Layout()
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
    fields: Sequence[str], rows: Sequence[Sequence[str]], usual: int, layout: _Layout
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
    tail: Sequence[bytes], dialect: Dialect, width: int, delimiter: str, layout: _Layout
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


def _names_of_parquet(path: Path, layout: _Layout) -> list[str]:
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


def _why_no_row(refused: int, faults: Mapping[str, int], reader: Reader) -> str:
    """Say what a file has instead of rows."""
    if not refused:
        return "it has a header and no rows"
    listed = ", ".join(f"{count:,} x {rule}" for rule, count in faults.items())
    rows = "row" if refused == 1 else "rows"
    says = f"it has {refused:,} {rows}, and none is whole ({listed})"
    if {*faults} <= {"too_few_fields", "too_many_fields"}:
        width = len(reader.metadata.header)
        says = (
            f"it has {refused:,} {rows}, and none has as many fields as the first line, {width}"
            f" ({listed})"
        )
    return says


def _head(
    path: Path, layout: _Layout, columns: Mapping[str, ColumnSketch], rows: int
) -> Iterator[str]:
    """Write what stands above the columns."""
    found = DATE.search(path.name)
    day = found[0] if found and _is_day(found[0]) else None
    plain = Path(decompressed_name(path.name))
    ending = path.name.removeprefix(plain.stem)
    period = _period(path.name)
    if period is not None:
        (files, day), unsure = period, ""
    elif day is None:
        files, unsure = (
            f"{plain.stem}-{{date}}{ending}",
            "  # unsure: the file's name holds no date",
        )
    else:
        files, unsure = path.name.replace(day, "{date}", 1).replace(day, "{date}"), ""
        if files.count("{date}") > 1:
            files, unsure = f"{plain.stem}-{{date}}{ending}", "  # unsure: where the date stands"
    if plain.suffix.lower() not in ENDINGS:
        layout.keys["format"] = format_of(path.name, layout.data())
    yield f"# Inferred from all {rows:,} rows of {_one_line(path.name)}; look at every line."
    yield f"files: {_scalar(files)}{unsure}"
    yield f"first_day: {day or '2000-01-01'}{unsure}"
    id_, why = _find_id(columns)
    yield f"id: {id_}{why}"
    for key, value in layout.keys.items():
        yield f"{key}: {_value(value)}"
    yield "columns:"


def _period(name: str) -> tuple[str, str] | None:
    """Find the month or the year in a file's name; return `files` and the first day."""
    if DATE.search(name):
        return None
    for place, pattern, first in (("{month}", MONTH, "{}-01"), ("{year}", YEAR, "{}-01-01")):
        found = pattern.findall(name)
        if found:
            day = first.format(found[0])
            return (pattern.sub(place, name), day) if len(found) == 1 and _is_day(day) else None
    return None


def _is_day(text: str) -> bool:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return False
    return 1800 <= day.year <= 2199  # noqa: PLR2004 - what partitions may be


def _find_id(columns: Mapping[str, ColumnSketch]) -> tuple[str, str]:
    """Choose a column whose values are all there and all different, and that may be a name."""
    doubtful = {name: column.without_own for name, column in columns.items()}
    unique = [name for name, count in doubtful.items() if count == 0]
    named = [name for name in doubtful if NAMED.search(name)]
    first = next(iter(columns))
    # A number that is no count of the rows may be an amount.
    likely = [name for name in unique if columns[name].is_text or columns[name].counts_rows]
    nearly = [name for name in (*named, first) if doubtful[name] and columns[name].is_text]
    nearly += [name for name in named if doubtful[name] and name not in nearly]
    found = [*(name for name in named if name in unique), *likely, *nearly]
    if not found:
        return "{row: number}", "  # unsure: no column is complete and unique and looks like an id"
    chosen = found[0]
    if chosen in nearly:
        return _scalar(chosen), f"  # unsure: {doubtful[chosen]:,} rows repeat it or have none"
    others = ", ".join(_one_line(name) for name in unique if name != chosen)
    return _scalar(chosen), f"  # unsure: {others} would do, too" if others else ""


def _lines(columns: Mapping[str, ColumnSketch], required: Sequence[str]) -> Iterator[str]:
    for name, column in columns.items():
        found = column.inferred
        keys = {"type": found.type, **found.keys}
        if column.is_complete or name in required:
            keys["required"] = True
        listed = ", ".join(f"{key}: {_value(value)}" for key, value in keys.items())
        comment = f"  # unsure: {'; '.join(map(_comment, found.doubts))}" if found.doubts else ""
        yield f"  {_scalar(name)}: {{{listed}}}{comment}"


def _failing_lines(path: Path, data: DataSpec) -> list[tuple[int, str]]:
    """Hold the file against what was found; return the lines that do not pass, with their rules."""
    loose = data.model_copy(update={"cut_off": "quarantine"})
    validator, found = RowValidator(loose), list[tuple[int, str]]()
    for batch in open_reader(path, loose, name=path.name).batches():
        refused = validator.validate(batch).refused
        found += map(_failing, refused.select("line_number", "reasons").iter_rows())
    return found


def _failing(row: tuple[int, list[dict[str, str | None]]]) -> tuple[int, str]:
    line, reasons = row
    return line, ", ".join(f"{reason['column'] or 'row'} {reason['rule']}" for reason in reasons)


def _told(failing: Sequence[tuple[int, str]], layout: _Layout) -> Iterator[str]:
    """Write what a person should know before the first line."""
    for doubt in layout.doubts:
        yield f"# unsure: {_comment(doubt)}"
    if failing:
        count = f"{len(failing):,} {'row does' if len(failing) == 1 else 'rows do'} not pass"
        yield f"# {count}, and would go into quarantine:"
        for line, rules in failing[:MAX_LINES_NAMED]:
            yield f"#   line {line:,}: {_comment(rules)}"
        if len(failing) > MAX_LINES_NAMED:
            yield f"#   and {len(failing) - MAX_LINES_NAMED:,} more, up to line {failing[-1][0]:,}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return _scalar(value) if isinstance(value, str) else str(value)


def _scalar(text: str) -> str:
    """Write a text so that YAML reads it as the same text."""
    dumped = yaml.safe_dump(text, allow_unicode=True, width=10_000, default_style=None)
    plain = dumped.split("\n")[0]
    simple = re.fullmatch(r"[A-Za-z_][\w -]*", text) and yaml.safe_load(plain) == text
    if simple and not plain.endswith("..."):
        return plain
    return yaml.safe_dump(text, default_style='"', width=10_000_000).strip()


def _one_line(text: str) -> str:
    """Make a text fit into a comment."""
    return "".join(c if c.isprintable() else "?" for c in text)[:40]


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:400]
