"""One spelling for each value, so that equal values have equal digests."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Python refuses longer ones, with a text that is about itself.
_MOST_DIGITS = 4000
_MOST_SHOWN = 60


def canonical_json(value: Any) -> bytes:
    """Spell a JSON value in the one way that its digest is taken of.

    Keys are sorted, nothing is escaped that need not be, and a newline ends it.

    Raises
    ------
    ValueError
        Where a number is not finite, or a text has half of a surrogate pair: JSON has no word for
        the one, UTF-8 none for the other.
    """
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode() + b"\n"


def parse_json(content: bytes) -> Any:
    """Read foreign JSON of which nothing can be read in two ways.

    Raises
    ------
    ValueError
        Where it is no JSON in UTF-8, an object has a key twice, a number is none of JSON or has
        thousands of digits, a text has half of a surrogate pair, or it is nested too deep. It says
        which of them, as a sentence without its full stop.
    """
    try:
        value = json.loads(
            content.decode(),
            object_pairs_hook=_distinct,
            parse_constant=_no_number,
            parse_int=_whole_number,
        )
        if b"\\u" in content:
            # In UTF-8 itself there are none, so half a pair is an escape.
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        what = "it is not in UTF-8"
    except UnicodeEncodeError:
        what = "a text in it has half of a surrogate pair"
    except RecursionError:
        what = "it is nested too deep"
    except json.JSONDecodeError as error:
        what = f"it is no JSON: {error.msg} at character {error.pos}"
    else:
        return value
    raise ValueError(what)


def parse_canonical_json(content: bytes) -> Any:
    """Read foreign JSON that is spelled as `canonical_json` spells it.

    Raises
    ------
    ValueError
        As `parse_json`; besides where it is spelled in another way.
    """
    value = parse_json(content)
    try:
        is_canonical = canonical_json(value) == content
    except RecursionError:
        msg = "it is nested too deep"
        raise ValueError(msg) from None
    if not is_canonical:
        msg = "it is not in canonical JSON"
        raise ValueError(msg)
    return value


def shown(text: str) -> str:
    """Make a foreign text harmless in a message: on one line, printable and not long."""
    printable = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return printable if len(printable) <= _MOST_SHOWN else f"{printable[:_MOST_SHOWN]}…"


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object whose keys are different, since readers differ in which one counts."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key `{shown(twice)}` stands twice in an object of it")
    return made


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} stands in it, which is no number of JSON")


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number in it has {len(digits)} digits")
    return int(digits)


def digest_of_bytes(content: bytes) -> str:
    """SHA-256 of some bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits; the file is not held in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value's canonical spelling, as 64 hexadecimal digits.

    Raises
    ------
    ValueError
        Where a number is not finite; see `canonical_json`.
    """
    return digest_of_bytes(canonical_json(value))


def identity_of(kind: str, code_version: str, inputs: Mapping[str, Any]) -> str:
    """Name a result before it is computed: by what it is made of and by which code.

    Parameters
    ----------
    kind
        What the result is, such as `predictions`.
    code_version
        A constant that is raised whenever the code would give another result.
    inputs
        Content versions and settings that the result depends on, as JSON values.

    Returns
    -------
    str
        The first 32 hexadecimal digits of a SHA-256: short enough for a folder's name, and
        at 128 bits beyond any accidental collision.
    """
    return digest_of({"kind": kind, "code_version": code_version, "inputs": dict(inputs)})[:32]


def content_version(table: pa.Table, *, order_by: Sequence[str] = ()) -> str:
    """Digest a table's data in canonical order.

    The version does not depend on row groups, chunks, compression, dictionary encoding or
    the bytes that lie under missing values; nor, with `order_by`, on the order of the rows.

    Parameters
    ----------
    table
        Any Arrow table of flat columns (numbers, booleans, text, dates, timestamps, decimals).
    order_by
        The columns that identify a row. Without any, the order of the rows counts.

    Returns
    -------
    str
        SHA-256 as 64 hexadecimal digits.
    """
    # Arrow sorts neither dictionaries nor views.
    table = pa.table([_decoded(column) for column in table.columns], names=table.column_names)
    if order_by:
        table = table.sort_by([(name, "ascending") for name in order_by])
    digest = hashlib.sha256()
    digest.update(f"{table.num_rows}\n".encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        _update_with_column(digest, name, column)
    return digest.hexdigest()


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Undo the encodings that do not change the data."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    return column


def _update_with_column(digest: "hashlib._Hash", name: str, column: pa.ChunkedArray) -> None:
    digest.update(canonical_json([name, str(column.type)]))
    digest.update(np.packbits(_to_numpy(pc.is_valid(column))).tobytes())
    for chunk in _value_bytes(column):
        digest.update(chunk)


def _value_bytes(column: pa.ChunkedArray) -> Iterator[bytes | memoryview]:
    """Yield the values' bytes, with one spelling for each value and for what is missing."""
    data_type = column.type
    if pa.types.is_large_string(data_type):
        filled = pc.fill_null(column, "")
        yield _to_numpy(pc.binary_length(filled)).tobytes()
        yield from map(_text_bytes, filled.chunks)
    elif pa.types.is_floating(data_type):
        values = _to_numpy(pc.fill_null(column.cast(pa.float64()), 0.0))
        # Adding zero turns -0.0 into 0.0.
        yield np.where(np.isnan(values), np.nan, values + 0.0).tobytes()
    elif pa.types.is_boolean(data_type):
        yield np.packbits(_to_numpy(pc.fill_null(column, pa.scalar(value=False)))).tobytes()
    elif pa.types.is_integer(data_type):
        yield _to_numpy(pc.fill_null(column, 0)).tobytes()
    elif pa.types.is_temporal(data_type):
        width = pa.int32() if data_type.bit_width == pa.int32().bit_width else pa.int64()
        yield _to_numpy(pc.fill_null(column.cast(width), 0)).tobytes()
    else:
        # Decimals, lists and whatever else has a faithful text form: rare, so plain is fine.
        for value in column.to_pylist():
            yield repr(value).encode() + b"\x00"


def _to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    return np.ascontiguousarray(column.to_numpy())


def _text_bytes(chunk: pa.Array) -> memoryview:
    _, offsets_buffer, data = chunk.buffers()
    if data is None:
        return memoryview(b"")
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)
    start, stop = offsets[chunk.offset], offsets[chunk.offset + len(chunk)]
    return memoryview(data)[start:stop]
