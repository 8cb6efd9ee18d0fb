"""One spelling for each value, so that equal values have equal digests."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def canonical_json(value: Any) -> bytes:
    """Spell a JSON value in the one way that its digest is taken of.

    Keys are sorted, nothing is escaped that need not be, and a newline ends it.

    Raises
    ------
    ValueError
        Where a number is not finite: JSON has no word for it.
    """
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return text.encode() + b"\n"


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
