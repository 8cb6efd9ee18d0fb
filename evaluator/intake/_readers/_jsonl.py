"""The reader of JSON Lines: one object a line, whose values become text first."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from evaluator.intake._profile import Layout
from evaluator.intake._readers import _records as rec
from evaluator.intake._readers._delimited import match_columns
from evaluator.intake._readers._layout import TextLayout
from evaluator.intake._readers._records import Dialect, Records
from evaluator.intake._readers._source import BLOCK_BYTES, RefusedFileError
from evaluator.intake._readers._stream import (
    RULES,
    BlankLines,
    RecordStream,
    describe_structure,
    mark_bytes,
)
from evaluator.intake._violations import Batch, FileMetadata, Reject
from evaluator.spec import DataSpec

#: A byte that JSON text cannot hold unescaped, so that a line is one field.
NO_DELIMITER: Final = b"\x1f"


class JsonLinesReader:
    """Reads a file of JSON Lines in batches."""

    def __init__(self, path: Path, data: DataSpec, *, block: int = BLOCK_BYTES) -> None:
        self.data = data
        self.metadata = FileMetadata()
        self._detected = () if data.encoding else ("encoding",)
        self._stream = RecordStream(path, data, self._layout, block=block)
        self._blanks = BlankLines()
        self._keys: dict[str, None] = {}

    def _layout(self, _sample: bytes, encoding: str, mark: int) -> TextLayout:
        return TextLayout(encoding, mark, Dialect(NO_DELIMITER, None), False, self._detected)  # noqa: FBT003 - no header

    def batches(self) -> Iterator[Batch]:
        """Read the file."""
        some = False
        for records in self._stream.records():
            layout = self._stream.layout
            self.metadata.layout = Layout(
                format="jsonl",
                encoding=layout.encoding,
                byte_order_mark=layout.mark > 0,
                detected=self._detected,
            )
            batch = self._batch(records)
            some = some or len(batch.line) > 0 or bool(batch.rejects)
            yield batch
        if not some:
            raise RefusedFileError("the file is empty")
        describe_structure(self.metadata, self._stream, self._blanks)
        self.metadata.header = list(self._keys)
        if self._keys:
            match_columns(self.metadata.header, self.data)

    def _batch(self, records: Records) -> Batch:
        import polars as pl

        fault = records.fault.copy()
        mark_bytes(records, fault)
        rejects = self._blanks.rejects(records, fault)
        names = self.data.file_columns
        values: dict[str, list[str | None]] = {name: [] for name in names}
        rows: list[int] = []
        for index in range(len(records)):
            code = int(fault[index])
            if code == rec.BLANK:
                continue
            text = records.text(index)
            rule, message = RULES.get(code, ("", ""))
            found: dict[str, str | None] = {}
            if code == rec.WHOLE:
                found, rule, message = self.read(text)
            if rule:
                rejects.append(Reject(int(records.line[index]), text, rule, message))
                continue
            rows.append(index)
            for name in names:
                values[name].append(found.get(name))
        rejects.sort(key=lambda reject: reject.line)
        positions = np.array(rows, dtype=np.int64)

        def originals(indices: npt.NDArray[np.int64]) -> list[bytes]:
            return [records.text(int(row)) for row in positions[indices]]

        return Batch(
            frame=pl.DataFrame(values, schema=dict.fromkeys(names, pl.String)),
            line=records.line[positions],
            originals=originals,
            rejects=rejects,
        )

    def read(self, text: bytes) -> tuple[dict[str, str | None], str, str]:
        """Read one object."""
        try:
            value = _DECODER.decode(text.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            return {}, "json", f"the line is not JSON: {error}"
        if not isinstance(value, _Object):
            return {}, "json", "the line is not a JSON object"
        found = dict(value.pairs)
        if len(found) < len(value.pairs):
            return {}, "duplicate_key", "a key stands twice in the object"
        if b"\\u" in text and not _is_text(found):
            return {}, "encoding", "an escape in the line is half of a character"
        if len(self._keys) <= self.data.maximum_columns:
            self._keys.update(dict.fromkeys(found))
        if len(self._keys) > self.data.maximum_columns:
            raise RefusedFileError(
                f"the objects have more than {self.data.maximum_columns:,} keys (maximum_columns)"
            )
        return {key: _text(item) for key, item in found.items()}, "", ""


class _Object:
    """An object's keys and values, as often as they stand there."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


class _Number(str):
    """A number as it is written, so that no digit of it is lost."""

    __slots__ = ()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Object,
    parse_int=_Number,
    parse_float=_Number,
    parse_constant=_no_constant,
)


def _is_text(found: dict[str, Any]) -> bool:
    """Whether all texts can be written: JSON can escape what no encoding can write."""
    try:
        for key, value in found.items():
            key.encode()
            (_text(value) or "").encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: Any) -> str | None:
    """Spell a value: texts and numbers as they are, true and false, nested values as JSON."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, _Number):
        return str(value)
    return _as_json(value)


def _as_json(value: Any) -> str:
    if isinstance(value, _Object):
        inner = (f"{json.dumps(key)}: {_as_json(item)}" for key, item in value.pairs)
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_as_json(item) for item in value) + "]"
    if isinstance(value, _Number):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
