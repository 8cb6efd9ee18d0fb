"""A first schema for a file that nobody has described yet."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml

from evaluator.errors import IntakeError
from evaluator.intake._readers import format_of, open_reader
from evaluator.intake._readers._layout import (
    SAMPLE_BYTES,
    dialect_of,
    find_encoding,
    find_layout,
    first_fields,
)
from evaluator.intake._readers._stream import RefusedFileError, decompressed_name, read_blocks
from evaluator.intake._violations import Batch
from evaluator.spec import DataSpec, can_name_a_column

SAMPLE_ROWS: Final = 10_000
MAX_CATEGORIES: Final = 20
#: So often on average must a value stand in the sample for a text to be a category.
MIN_CATEGORY_ROWS: Final = 5
#: The share of values that may be of another type than the one proposed.
MAX_WRONG_SHARE: Final = 0.05
#: Spellings that often stand for a missing value; they are proposed, never assumed.
OFTEN_MISSING: Final = ("NA", "N/A", "n/a", "NULL", "null", "None", "nan", "NaN", "-", "?")
CODES: Final = ("-1", "-9", "-99", "-999", "-9999", "99", "999", "9999")
DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
SHAPES: Final = (
    ("integer", re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")),
    ("float", re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?")),
    ("boolean", re.compile(r"(?i:true|false)")),
    ("date", DATE),
    ("timestamp", re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?")),
)
OTHER_TIMES: Final = (
    ("date", "%d.%m.%Y", re.compile(r"\d{2}\.\d{2}\.\d{4}")),
    ("date", "%d/%m/%Y", re.compile(r"\d{2}/\d{2}/\d{4}")),
    ("timestamp", "%d.%m.%Y %H:%M", re.compile(r"\d{2}\.\d{2}\.\d{4} \d{2}:\d{2}")),
    ("timestamp", "%d.%m.%Y %H:%M:%S", re.compile(r"\d{2}\.\d{2}\.\d{4} \d{2}:\d{2}:\d{2}")),
)


def infer_schema(path: Path) -> str:
    """Write a first `data:` section for a file, from its first rows.

    Parameters
    ----------
    path
        CSV, TSV, Parquet or JSON Lines, also packed.

    Returns
    -------
    str
        YAML that loads as a `DataSpec`, with a comment wherever it is unsure.

    Raises
    ------
    IntakeError
        When the file cannot be read, or has no rows.
    """
    try:
        names, columns, rows = _sample(path)
    except RefusedFileError as error:
        raise IntakeError(str(error), culprit=str(path), fix="name a file with rows") from error
    if rows == 0 or not names:
        raise IntakeError("it has no rows", culprit=str(path), fix="name a file with rows")
    id_, why = _find_id(names, columns)
    found = DATE.search(path.name)
    day = found[0] if found else "2000-01-01"
    plain = decompressed_name(path.name)
    files = path.name.replace(day, "{date}") if found else f"{Path(plain).stem}-{{date}}.csv"
    unsure_day = "" if found else "  # unsure: the file's name holds no date"
    lines = [
        f"# Inferred from the first {rows:,} rows of {_one_line(path.name)}; look at every line.",
        f"files: {_scalar(files)}{unsure_day}",
        f"first_day: {day}{unsure_day}",
        f"id: {_scalar(id_)}{why}",
        "columns:",
    ]
    for name in names:
        lines += _column(name, columns[name], required=name == id_)
    return "\n".join(lines) + "\n"


def _sample(path: Path) -> tuple[list[str], dict[str, list[str | None]], int]:
    """Read the first rows as text."""
    if not path.is_file():
        raise IntakeError(
            "there is no such file", culprit=str(path), fix="check its name and its folder"
        )
    names = _names(path)
    data = _spec(names)
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    rows = 0
    for batch in open_reader(path, data, name=path.name).batches():
        rows += _add(batch, columns, SAMPLE_ROWS - rows)
        if rows >= SAMPLE_ROWS:
            break
    return names, columns, rows


def _names(path: Path) -> list[str]:
    """Read a file's column names; one that is there twice, or cannot be used, is left out."""
    guess = _spec(["column"])
    format_ = format_of(path.name, guess)
    if format_ == "parquet":
        import pyarrow.parquet as pq

        names = list(pq.read_schema(path).names)
    else:
        sample = next(read_blocks(path, maximum_bytes=guess.maximum_bytes), b"")[:SAMPLE_BYTES]
        encoding, mark = find_encoding(sample, None, is_cut=len(sample) == SAMPLE_BYTES)
        text = sample[mark:].decode(encoding, errors="replace").encode()
        if format_ == "jsonl":
            names = _keys(text)
        else:
            layout = find_layout(text, encoding, mark, guess, format_)
            names = [name.strip() for name in first_fields(text, dialect_of(layout))]
    counts = Counter(names)
    kept = [name for name in names if can_name_a_column(name) and counts[name] == 1]
    if not kept:
        raise RefusedFileError("no column of the file has a name of its own")
    return kept


def _spec(names: Sequence[str]) -> DataSpec:
    """Describe a file of which only the names are known."""
    return DataSpec.model_validate(
        {
            "files": "{date}",
            "first_day": "2000-01-01",
            "id": names[0],
            "columns": {n: {"type": "string", "optional": n != names[0]} for n in names},
        }
    )


def _keys(text: bytes) -> list[str]:
    import json

    keys: dict[str, None] = {}
    for line in text.splitlines()[:100]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            keys.update(dict.fromkeys(value))
    return list(keys)


def _add(batch: Batch, columns: dict[str, list[str | None]], room: int) -> int:
    taken = batch.frame.head(room)
    for name, values in columns.items():
        there = name in taken.columns
        values.extend(taken[name].to_list() if there else [None] * taken.height)
    return taken.height


def _find_id(names: Sequence[str], columns: dict[str, list[str | None]]) -> tuple[str, str]:
    """Choose a column whose values are all there and all different."""
    unique = [name for name in names if len(set(columns[name])) == len(columns[name])]
    unique = [name for name in unique if not {"", None} & set(columns[name])]
    if not unique:
        nearest = max(names, key=lambda name: len(set(columns[name]) - {"", None}))
        return nearest, "  # unsure: no column is complete and unique; rows need an id"
    named = [name for name in unique if re.search(r"(?i)(^|_|\b)(id|key|number|no)$", name)]
    exact = [name for name in unique if type_of_text(columns[name][0] or "") != "float"]
    chosen = (named or exact or unique)[0]
    others = [name for name in unique if name != chosen]
    listed = ", ".join(_one_line(name) for name in others)
    return chosen, f"  # unsure: {listed} would do, too" if others else ""


def _column(name: str, values: Sequence[str | None], *, required: bool) -> list[str]:
    present = [value for value in values if value not in ("", None)]
    spellings = [word for word in OFTEN_MISSING if word in present]
    kept = [value for value in present if value not in spellings]
    if not kept:
        return [f"  {_scalar(name)}: {{type: string}}  # unsure: it has no value in the sample"]
    counts = Counter(type_of_text(str(value)) for value in kept)
    type_, keys, unsure = _type(counts, [str(value) for value in kept])
    if type_ in ("string", "category"):
        spellings = []
    if required or len(present) == len(values):
        keys.append("required: true")
    if spellings:
        keys.append(f"missing_values: {_flow(['', *spellings])}")
        unsure.append(f"{', '.join(spellings)} is taken for missing")
    codes = [code for code in CODES if code in kept and type_ in ("integer", "float")]
    if codes and _stands_out(codes, kept):
        unsure.append(f"{', '.join(codes)} may be a code for missing")
    comment = f"  # unsure: {'; '.join(unsure)}" if unsure else ""
    return [f"  {_scalar(name)}: {{{', '.join([f'type: {type_}', *keys])}}}{comment}"]


def type_of_text(text: str) -> str:
    """Tell the narrowest type that a text has the shape of."""
    if re.fullmatch(r"[+-]?0\d+(?:\.\d*)?", text):
        return "string"
    for name, shape in SHAPES:
        if shape.fullmatch(text):
            return name
    return "string"


def _type(counts: Counter[str], kept: list[str]) -> tuple[str, list[str], list[str]]:
    """Choose a type that nearly all values have, with its keys and doubts."""
    fits = {"float": {"integer", "float"}}
    if counts["float"] and counts["integer"]:
        counts["float"] += counts.pop("integer")
    type_, count = counts.most_common(1)[0]
    if type_ == "string":
        return _text_type(kept)
    wrong = [v for v in kept if type_of_text(v) not in fits.get(type_, {type_})]
    if len(wrong) > len(kept) * MAX_WRONG_SHARE:
        return "string", [], [f"{count} of {len(kept)} look like {type_}"]
    if wrong:
        example = _one_line(wrong[0])
        return type_, [], [f"{len(wrong)} of {len(kept)} values are none, such as {example}"]
    doubts = ["it may be a boolean"] if type_ == "integer" and {*kept} <= {"0", "1"} else []
    return type_, [], doubts


def _text_type(kept: list[str]) -> tuple[str, list[str], list[str]]:
    """Tell what texts are that have no plain shape: times in other spellings, categories, texts."""
    for other, how, shape in OTHER_TIMES:
        if all(shape.fullmatch(value) for value in kept):
            doubt = ["day and month may stand the other way round"] if "/" in how else []
            return other, [f"formats: {_flow([how])}"], doubt
    distinct = sorted(set(kept))
    if len(distinct) <= MAX_CATEGORIES and len(kept) >= MIN_CATEGORY_ROWS * len(distinct):
        return "category", [f"allowed: {_flow(distinct)}"], ["the sample may lack some values"]
    zeros = any(re.fullmatch(r"[+-]?0\d+", value) for value in kept)
    return "string", [], ["digits with leading zeros are kept as text"] if zeros else []


def _stands_out(codes: Sequence[str], kept: Sequence[str | None]) -> bool:
    """Whether a code is the smallest or the largest value."""
    numbers = sorted({float(str(v)) for v in kept if type_of_text(str(v)) in ("integer", "float")})
    ends = {numbers[0], numbers[-1]} if numbers else set()
    return any(float(code) in ends for code in codes)


def _scalar(text: str) -> str:
    """Write a text so that YAML reads it as the same text."""
    dumped = yaml.safe_dump(text, allow_unicode=True, width=10_000, default_style=None)
    plain = dumped.split("\n")[0]
    simple = re.fullmatch(r"[A-Za-z_][\w -]*", text) and yaml.safe_load(plain) == text
    if simple and not plain.endswith("..."):
        return plain
    return yaml.safe_dump(text, default_style='"', width=10_000_000).strip()


def _flow(texts: Sequence[str]) -> str:
    return "[" + ", ".join(_scalar(text) for text in texts) + "]"


def _one_line(text: str) -> str:
    """Make a text fit into a comment."""
    return "".join(c if c.isprintable() else "?" for c in text)[:40]
