"""A first schema for a file that nobody has described yet: what it declares, the file keeps.

The whole file is looked at, block by block: once for what its columns hold, and once more under
what was found, so that each line which does not pass is named.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from evaluator.errors import IntakeError, check_is_file
from evaluator.intake._infer_layout import FoundLayout, layout_of, one_line
from evaluator.intake._readers import ENDINGS, Reader, format_of, open_reader
from evaluator.intake._readers._stream import RefusedFileError, decompressed_name
from evaluator.intake._sketch import ColumnSketch
from evaluator.intake._validator import RowValidator
from evaluator.metrics import METRICS
from evaluator.spec import (
    BinaryTask,
    DataSpec,
    FoundColumn,
    Likely,
    Task,
    TaskName,
    find_task,
)

MAX_LINES_NAMED: Final = 50
DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
MONTH: Final = re.compile(r"(?<!\d)\d{4}-\d{2}(?![\d-])")
YEAR: Final = re.compile(r"(?<!\d)(?:19|20)\d{2}(?![\d-])")
NAMED: Final = re.compile(
    r"(?i:(?:^|_|\b)(?:id|key|number|no|nr|uuid|code)$)|[a-z](?:Id|ID|Key|Number|No|Nr)$"
)


def infer_schema(path: Path) -> str:
    """Write a first `data:` section for a file.

    Parameters
    ----------
    path
        CSV, TSV, Parquet or JSON Lines, also packed; an Excel workbook.

    Returns
    -------
    str
        YAML that loads as a `DataSpec`, with a comment wherever it is unsure. The file's rows pass
        it, but for those whose lines are named.

    Raises
    ------
    IntakeError
        When the file is absent, cannot be read, or has no row that is whole.
    """
    text, _ = _infer(path)
    return text


def infer_audit(
    path: Path,
    label: str | None = None,
    *,
    task: TaskName | None = None,
    geography: str | None = None,
    segment: str | None = None,
) -> str:
    """Write a whole first audit for a file of cases.

    Parameters
    ----------
    path
        As for `infer_schema`.
    label, geography, segment
        Columns of the file; what is None is left out.
    task
        What is asked about the label. Where nobody says it, two values are the sides of a binary
        task; texts, and at most 20 different whole numbers, are classes where they repeat; other
        numbers are those of a regression.

    Returns
    -------
    str
        A `defs.yaml` that loads; candidates (`no_candidates`) and gates stand in it as comments.

    Raises
    ------
    IntakeError
        As `infer_schema`; also where a column is absent.
    UsageError
        Where the label is of no task, or not of the one that is named.
    """
    sliced = [name for name in (geography, segment) if name is not None]
    text, found = _infer(path, sliced, [*sliced, *([] if label is None else [label])], label, task)
    indented = "\n".join(f"    {line}" if line else "" for line in text.splitlines())
    by = {"geography": geography, "segment": segment}
    named = "".join(f"  {key}: {_scalar(name)}\n" for key, name in by.items() if name is not None)
    asked: type[Task] = BinaryTask
    if found is not None:
        asked = found.task
        named += "".join(f"  {line}\n" for line in _task_lines(found))
    return (
        "type: evaluator.orchestration.AuditComponent\n\n"
        "attributes:\n"
        f"  description: {_scalar(f'First audit of {path.name}')}\n\n"
        f"  data:\n{indented}\n\n"
        f"{named}\n{no_candidates(asked)}"
        "  # What a certificate needs; see docs/gates.md.\n"
        "  # gates:\n"
        f"  #   - {{metric: {asked.any_comparison}, level: overall, {_limit(asked)}}}\n"
        "  #   - {kind: complete}\n"
    )


class FoundLabel(NamedTuple):
    """What a file's label is."""

    task: type[Task]
    likely: Likely | None
    """Why the task was chosen, where nobody named it."""
    column: FoundColumn
    """As it is declared for the task."""


def _task_lines(found: FoundLabel) -> Iterator[str]:
    """Write task and label down; the usual task goes without saying."""
    if found.task is not BinaryTask:
        yield f"task: {found.task.key}{_why(found.likely)}"
    said = {"column": found.column.name, **found.task.declared(found.column)}
    keys = ", ".join(f"{key}: {_value(one)}" for key, one in said.items())
    sides = "  # unsure: which of the two values counts as positive" if "positive" in said else ""
    yield f"label: {{{keys}}}{sides}"


def _why(likely: Likely | None) -> str:
    if likely is None:
        return ""
    if likely.otherwise is None:
        return f"  # {likely.why}"
    return f"  # unsure: {likely.why}; `--task {likely.otherwise}` takes it otherwise"


def _limit(task: type[Task]) -> str:
    """Write an example of what a certificate may need of a metric."""
    best = METRICS[task.any_comparison].higher_is_better
    return "at_least: 0.8" if best else "at_most: 10"


def no_candidates(task: type[Task]) -> str:
    """Write down, as a comment, what candidates could be; and what else follows from the task."""
    metrics = "" if task is BinaryTask else f"\n  metrics: {_value(task.headline_metrics)}\n\n"
    return (
        "  # What is judged; see docs/candidates.md for other kinds.\n"
        "  # candidates:\n"
        "  #   - {name: first, kind: recorded, path: outputs.csv, id: id,"
        f" {task.example_outputs}}}\n{metrics}"
    )


class FoundSchema(NamedTuple):
    """What a file holds, as far as it is known without a question to anybody."""

    settings: dict[str, Any]
    """An audit's `data`, as its YAML would say it."""
    columns: dict[str, FoundColumn]
    """What each column holds."""
    label: FoundLabel | None
    """What the label is, where there is one."""
    unique: str | None
    """A column that identifies a row."""
    doubts: list[str]
    """How the file may be laid out otherwise, as sentences without their full stops."""


def find_schema(
    path: Path,
    *,
    categories: Sequence[str] = (),
    outputs: Sequence[str] = (),
    label: str | None = None,
    task: TaskName | None = None,
) -> FoundSchema:
    """Find what a file holds.

    Parameters
    ----------
    path
        As for `infer_schema`.
    categories
        Columns whose values are listed, however many they are: cases are divided by them.
    outputs
        Columns that say something about a row, and never which one it is.
    label, task
        As for `infer_audit`.

    Raises
    ------
    IntakeError
        As `infer_schema`; a column that the file has not is none of these, and passed over.
    UsageError
        As `infer_audit`.
    """
    with _told_as_intake_error(path):
        layout = layout_of(path)
        columns, rows = _sketch(path, layout, [n for n in categories if n in layout.names])
        found = _find_label(columns, label if label in columns else None, task)
        text = _written(path, layout, columns, rows, ())
    naming = {name: one for name, one in columns.items() if name not in (*categories, *outputs)}
    return FoundSchema(
        yaml.safe_load(text),
        {name: column.found for name, column in columns.items()},
        found,
        next((name for name in _likely_ids(naming) if not naming[name].without_own), None),
        layout.doubts,
    )


def _infer(
    path: Path,
    categories: Sequence[str] = (),
    required: Sequence[str] = (),
    label: str | None = None,
    task: TaskName | None = None,
) -> tuple[str, FoundLabel | None]:
    """Write the section, and give what the label is.

    The values of `categories` are listed, however many they are: something is sliced by them.
    """
    check_is_file(path, IntakeError)
    with _told_as_intake_error(path):
        return _look(path, categories, required, label, task)


@contextmanager
def _told_as_intake_error(path: Path) -> Iterator[None]:
    try:
        yield
    except RefusedFileError as error:
        raise IntakeError(
            str(error),
            culprit=str(path),
            fix="name a file that can be taken in; docs/intake.md says what becomes of each fault",
        ) from error


def _look(
    path: Path,
    categories: Sequence[str],
    required: Sequence[str],
    label: str | None,
    task: TaskName | None,
) -> tuple[str, FoundLabel | None]:
    layout = layout_of(path)
    absent = [name for name in (*categories, *required) if name not in layout.names]
    if absent:
        raise IntakeError(
            f"there is no column {absent[0]!r}",
            culprit=str(path),
            fix=f"name one of: {', '.join(layout.names)}",
        )
    columns, rows = _sketch(path, layout, categories)
    found = _find_label(columns, label, task)
    text = _written(path, layout, columns, rows, required)
    data = DataSpec.model_validate(yaml.safe_load(text))
    failing = _failing_lines(path, data)
    return "\n".join([*_told(failing, layout), text]), found


def _find_label(
    columns: Mapping[str, ColumnSketch], label: str | None, said: TaskName | None
) -> FoundLabel | None:
    """Find what the label is; its column is looked at anew where its values shall be listed."""
    if label is None:
        return None
    column = columns[label]
    task, likely = find_task(column.found, said)
    if task.lists_values(column.found):
        column.infer(prefers_comma=False, lists_values=True)
    return FoundLabel(task, likely, column.found)


def _sketch(
    path: Path, layout: FoundLayout, categories: Sequence[str]
) -> tuple[dict[str, ColumnSketch], int]:
    """Learn from all rows what the columns hold; give also how many rows there are."""
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
    return columns, rows


def _written(
    path: Path,
    layout: FoundLayout,
    columns: Mapping[str, ColumnSketch],
    rows: int,
    required: Sequence[str],
) -> str:
    """Write the section down, but for what is told before it."""
    return "\n".join([*_head(path, layout, columns, rows), *_lines(columns, required)]) + "\n"


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
    path: Path, layout: FoundLayout, columns: Mapping[str, ColumnSketch], rows: int
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
        # What comes once is of no day.
        files, unsure = path.name, "  # of no day; with {date} in it one file a day is meant"
    else:
        files, unsure = path.name.replace(day, "{date}", 1).replace(day, "{date}"), ""
        if files.count("{date}") > 1:
            files, unsure = f"{plain.stem}-{{date}}{ending}", "  # unsure: where the date stands"
    if plain.suffix.lower() not in ENDINGS:
        layout.keys["format"] = format_of(path.name, layout.data())
    yield f"# Inferred from all {rows:,} rows of {one_line(path.name)}; look at every line."
    yield f"files: {_scalar(files)}{unsure}"
    if day is not None:
        yield f"first_day: {day}{unsure}"
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
    found = _likely_ids(columns)
    if not found:
        return "{row: number}", "  # unsure: no column is complete and unique and looks like an id"
    chosen = found[0]
    if doubts := columns[chosen].without_own:
        return _scalar(chosen), f"  # unsure: {doubts:,} rows repeat it or have none"
    unique = [name for name, column in columns.items() if column.without_own == 0]
    others = ", ".join(one_line(name) for name in unique if name != chosen)
    return _scalar(chosen), f"  # unsure: {others} would do, too" if others else ""


def _likely_ids(columns: Mapping[str, ColumnSketch]) -> list[str]:
    """List the columns that may identify a row, the likeliest first."""
    if not columns:
        return []
    doubtful = {name: column.without_own for name, column in columns.items()}
    unique = [name for name, count in doubtful.items() if count == 0]
    named = [name for name in doubtful if NAMED.search(name)]
    first = next(iter(columns))
    # A number that is no count of the rows may be an amount.
    likely = [name for name in unique if columns[name].is_text or columns[name].counts_rows]
    nearly = [name for name in (*named, first) if doubtful[name] and columns[name].is_text]
    nearly += [name for name in named if doubtful[name] and name not in nearly]
    return [*(name for name in named if name in unique), *likely, *nearly]


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


def _told(failing: Sequence[tuple[int, str]], layout: FoundLayout) -> Iterator[str]:
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


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:400]
