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
from evaluator.intake._readers._records import Records
from evaluator.intake._readers._stream import (
    BLOCK_BYTES,
    RULES,
    BlankLines,
    RecordStream,
    RefusedFileError,
    describe_structure,
    mark_bytes,
    refuse_cut_off,
)
from evaluator.intake._violations import Batch, FileMetadata, RowTexts, batch_of_rows
from evaluator.spec import DataSpec


class JsonLinesReader:
    """Reads a file of JSON Lines in batches."""

    def __init__(self, path: Path, data: DataSpec, *, block: int = BLOCK_BYTES) -> None:
        self.data = data
        self.metadata = FileMetadata()
        self._stream = RecordStream(path, data, self._layout, block=block)
        self._blanks = BlankLines()
        self._keys: dict[str, None] = {}
        self._decimal_marks = data.decimal_marks

    def _layout(self, _sample: bytes, encoding: str, mark: int) -> Layout:
        detected = () if self.data.encoding else ("encoding",)
        return Layout(
            format="jsonl", encoding=encoding, byte_order_mark=mark > 0, detected=detected
        )

    def batches(self) -> Iterator[Batch]:
        some, last = False, None
        for records in self._stream.records():
            self.metadata.layout = self._stream.layout
            batch = self._batch(records)
            some = some or len(batch.line) > 0 or bool(batch.rejects)
            last = batch
            yield batch
        if not some:
            raise RefusedFileError("the file is empty")
        describe_structure(self.metadata, self._stream, self._blanks)
        refuse_cut_off(last, self._stream, self.data)
        self.metadata.header = list(self._keys)
        if self._keys:
            match_columns(self.metadata.header, self.data)

    def _batch(self, records: Records) -> Batch:
        fault = records.fault.copy()
        mark_bytes(records, fault)
        blank = self._blanks.rejects(records, fault)
        batch = batch_of_rows(
            self._rows(records, fault),
            self.data.file_columns,
            raw=self._raw(records),
        )
        batch.rejects = sorted([*blank, *batch.rejects], key=lambda reject: reject.line)
        return batch

    def _raw(self, records: Records) -> dict[int, bytes | None]:
        """Give the file's bytes of each row, where they are others."""
        transcoder = self._stream.transcoder
        if transcoder.is_utf8:
            return {}
        texts = ((int(line), records.text(index)) for index, line in enumerate(records.line))
        return {line: transcoder.original(text) for line, text in texts}

    def _rows(
        self, records: Records, fault: npt.NDArray[np.uint8]
    ) -> Iterator[tuple[int, bytes, RowTexts]]:
        for index in np.flatnonzero(fault != rec.BLANK).tolist():
            code, text = int(fault[index]), records.text(index)
            read = self.read(text) if code == rec.WHOLE else ({}, *RULES[code])
            yield int(records.line[index]), text, read

    def read(self, text: bytes) -> RowTexts:
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
        return {key: self._text(key, item) for key, item in found.items()}, "", ""

    def _text(self, key: str, value: Any) -> str | None:
        if isinstance(value, _Number) and key in self._decimal_marks:
            # A number of JSON has a point, however those in texts are written.
            return value.replace(".", self._decimal_marks[key])
        return _text(value)


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
    """Spell a value: texts and numbers as they are written, all else as JSON."""
    return value if value is None or type(value) is str else _as_json(value)


def _as_json(value: Any) -> str:
    if isinstance(value, _Object):
        inner = (f"{json.dumps(key)}: {_as_json(item)}" for key, item in value.pairs)
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_as_json(item) for item in value) + "]"
    if isinstance(value, _Number):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
