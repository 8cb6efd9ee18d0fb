"""A file's bytes, unpacked, and the records of a text file: block by block, in bounded memory."""

import codecs
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from evaluator.intake._profile import Layout
from evaluator.intake._readers import _records as rec
from evaluator.intake._readers._layout import (
    SAMPLE_BYTES,
    SEPARATOR_LINE,
    UTF8_NAMES,
    dialect_of,
    find_encoding,
    is_guessed,
)
from evaluator.intake._readers._records import Records, scan
from evaluator.intake._violations import Batch, FileMetadata, Reject
from evaluator.spec import DataSpec

BLOCK_BYTES: Final = 16 * 1024 * 1024
COMPRESSIONS: Final = {".gz": "gzip", ".zst": "zstd"}
ARCHIVES: Final = (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")
ERROR_HANDLER: Final = "evaluator-mark"
BACK: Final = "evaluator-unmark"
RULES: Final = {
    rec.BLANK: ("blank_line", "the line is blank"),
    rec.UNCLOSED_QUOTE: ("unclosed_quote", "a quote is opened and never closed"),
    rec.STRAY_QUOTE: ("stray_quote", "a quote stands where none may stand"),
    rec.NUL_BYTE: ("nul_byte", "the line holds a NUL byte"),
    rec.NOT_OF_ENCODING: ("encoding", "the line holds bytes that are not of the encoding"),
    rec.REPEATED_HEADER: (
        "repeated_header",
        "the line repeats the header, as where files were put one behind the other",
    ),
    rec.OTHER_TABLE: (
        "other_table",
        "above the row the columns' names come again, written in another way: another table",
    ),
}


#: What is wrong with a row whose end is not there yet.
CUT_OFF: Final = ("too_few_fields", "unclosed_quote", "json", "encoding")


class RefusedFileError(Exception):
    """A file that cannot be taken in as a whole; it ends as a result, never at the user."""


def compression_of(path: Path) -> str | None:
    """Tell how a file is packed, by its first bytes and not by its name."""
    with path.open("rb") as stream:
        first = stream.read(8)
    if first.startswith(b"\x1f\x8b"):
        return "gzip"
    if first.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    if first.startswith(ARCHIVES):
        raise RefusedFileError("the file is an archive; unpack it, or pack it with gzip or zstd")
    return None


def decompressed_name(name: str) -> str:
    """Return a file's name without the ending of its packing."""
    for ending in COMPRESSIONS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def read_blocks(path: Path, *, maximum_bytes: int, block: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Read a file in blocks, unpacked."""
    packing = compression_of(path)
    total = 0
    with ExitStack() as stack:
        stream = _open(path, packing, stack)
        while True:
            try:
                part = stream.read(block)
            except EOFError as error:
                raise RefusedFileError(
                    f"the {packing} file is cut off after {total:,} unpacked bytes"
                ) from error
            except (OSError, zlib.error) as error:
                raise RefusedFileError(f"the file cannot be unpacked: {error}") from error
            if not part:
                return
            total += len(part)
            if total > maximum_bytes:
                raise RefusedFileError(
                    f"the file has more than {maximum_bytes:,} bytes"
                    f"{' once unpacked' if packing else ''} (maximum_bytes)"
                )
            yield part


def _open(path: Path, packing: str | None, stack: ExitStack) -> IO[bytes] | Any:
    if packing == "gzip":
        return stack.enter_context(gzip.open(path, "rb"))
    if packing == "zstd":
        import pyarrow as pa

        return stack.enter_context(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    return stack.enter_context(path.open("rb"))


def _as_surrogates(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be decoded by lone surrogates, which no valid text holds."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in wrong), error.end


def _from_surrogates(error: UnicodeError) -> tuple[bytes, int]:
    """Give back the bytes that lone surrogates stand for."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    if not all("\udc00" <= character <= "\udcff" for character in wrong):
        raise error
    return bytes(ord(character) - 0xDC00 for character in wrong), error.end


codecs.register_error(ERROR_HANDLER, _as_surrogates)
codecs.register_error(BACK, _from_surrogates)


class Transcoder:
    """Turns a file's blocks into UTF-8, and a row of it back into the file's bytes."""

    def __init__(self, encoding: str, mark: int) -> None:
        self._encoding = encoding
        self._mark = mark
        self.is_utf8 = encoding in UTF8_NAMES
        #: Whether each block came back as it was; some characters have several spellings.
        self._is_exact = True

    def as_utf8(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Turn blocks into UTF-8; what is not of the encoding becomes what no text holds."""
        mark, held = self._mark, b""
        decoder = codecs.getincrementaldecoder(self._encoding)(errors=ERROR_HANDLER)
        for block in chain(blocks, [b""]):
            part = block[mark:] if mark and block else block
            mark = max(mark - len(block), 0)
            if self.is_utf8:
                if part:
                    yield part
                continue
            text = decoder.decode(part, final=not block)
            before, held = held + part, decoder.getstate()[0]
            self._is_exact &= before == (self._encoded(text) or b"") + held
            if text:
                yield text.encode("utf-8", errors="surrogatepass")

    def original(self, text: bytes) -> bytes | None:
        """Give a row's bytes as they stand in the file; None where `text` is these, or unknown."""
        if self.is_utf8 or not self._is_exact:
            return None
        return self._encoded(text.decode("utf-8", errors="surrogatepass"))

    def read(self, original: bytes) -> bytes:
        """Turn a row's bytes as they stand in the file into UTF-8."""
        if self.is_utf8:
            return original
        return original.decode(self._encoding, ERROR_HANDLER).encode("utf-8", "surrogatepass")

    def _encoded(self, text: str) -> bytes | None:
        try:
            return text.encode(self._encoding, errors=BACK)
        except (UnicodeError, TypeError):
            return None


class RecordStream:
    """Reads a text file and finds its records."""

    def __init__(
        self,
        path: Path,
        data: DataSpec,
        find: Callable[[bytes, str, int], Layout],
        *,
        block: int = BLOCK_BYTES,
    ) -> None:
        self.path = path
        self.data = data
        #: From the first bytes (as UTF-8), the encoding and the length of the byte-order mark.
        self.find = find
        self.block = block
        self.line_ends = {"\\n": 0, "\\r\\n": 0, "\\r": 0}
        self.ends_whole = True
        #: Known once the first records are.
        self.layout = Layout()
        self.dialect = dialect_of(self.layout)
        self.transcoder = Transcoder("utf-8", 0)
        self.is_encoding_guessed = False
        #: How many lines at the beginning are no rows.
        self.skipped = 0

    def records(self) -> Iterator[Records]:
        """Scan the file block by block; what a block leaves open goes before the next one."""
        raw = read_blocks(self.path, maximum_bytes=self.data.maximum_bytes, block=self.block)
        sample = b""
        for part in raw:
            sample += part
            if len(sample) >= SAMPLE_BYTES:
                break
        encoding, mark = find_encoding(
            sample[:SAMPLE_BYTES], self.data.encoding, is_cut=len(sample) > SAMPLE_BYTES
        )
        self.is_encoding_guessed = is_guessed(encoding, mark, self.data.encoding)
        head = b"".join(Transcoder(encoding, mark).as_utf8(iter([sample[:SAMPLE_BYTES]])))
        head = b"".join(_without_lines(iter([head]), self.data.skip_lines))
        self.layout = self.find(head, encoding, mark)
        self.dialect = dialect_of(self.layout, self.data.comment)
        names_separator = self.layout.delimiter is not None and SEPARATOR_LINE.match(head)
        self.skipped = self.data.skip_lines + bool(names_separator)
        self.transcoder = Transcoder(encoding, mark)
        pieces = (sample[at : at + self.block] for at in range(0, len(sample), self.block))
        parts = self.transcoder.as_utf8(chain(pieces, raw))
        rest, line = b"", 1 + self.skipped
        for part in _without_lines(parts, self.skipped):
            # Cut where a line ends, so that the records mostly are the whole block and not a copy.
            cut = max(part.rfind(b"\n"), part.rfind(b"\r")) + 1
            block = b"".join([rest, memoryview(part)[:cut]])
            rest, line, found = self._scan(block, line, final=False)
            rest += part[cut:]
            yield from found
        if rest:
            self.ends_whole = rest.endswith((b"\n", b"\r"))
            rest, line, found = self._scan(rest, line, final=True)
            yield from found

    def _scan(self, block: bytes, line: int, *, final: bool) -> tuple[bytes, int, list[Records]]:
        """Scan one block; give back what it leaves open."""
        limit = self.data.maximum_row_bytes
        records = scan(block, self.dialect, first_line=line, final=final, limit=limit)
        self._check_lengths(records)
        for kind, count in records.line_ends.items():
            self.line_ends[kind] += count
        line += records.lines
        rest = block[records.consumed :]
        # What a quote holds open is within the limit, so that this is one line without an end.
        if len(rest) > limit and not final:
            raise RefusedFileError(self._too_long(line))
        return rest, line, [records] if len(records) else []

    def _check_lengths(self, records: Records) -> None:
        if len(records) == 0:
            return
        lengths = records.end - records.start
        if int(lengths.max()) > self.data.maximum_row_bytes:
            raise RefusedFileError(self._too_long(int(records.line[int(lengths.argmax())])))

    def _too_long(self, line: int) -> str:
        return (
            f"the row at line {line:,} has more than {self.data.maximum_row_bytes:,} bytes "
            "(maximum_row_bytes)"
        )


def _end_of_lines(text: bytes, count: int) -> int | None:
    """Find where so many lines end; None where there are not so many."""
    if count == 0:
        return 0
    ends = re.finditer(rb"\r\n|\n|\r(?!\Z)", text)
    last = next(islice(ends, count - 1, None), None)
    return None if last is None else last.end()


def _without_lines(parts: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Leave out so many lines at the beginning."""
    begun = b""
    while count and (part := next(parts, None)) is not None:
        begun += part
        end = _end_of_lines(begun, count)
        if end is not None:
            yield begun[end:]
            break
    yield from parts


class BlankLines:
    """Blank lines: refused rows between rows, and nothing before the first and after the last."""

    def __init__(self) -> None:
        self.count = 0
        self._pending: list[int] = []

    def rejects(self, records: Records, fault: npt.NDArray[np.uint8]) -> list[Reject]:
        """Give the blank lines that some later row has shown to stand between rows."""
        blank = records.line[fault == rec.BLANK]
        filled = records.line[(fault != rec.BLANK) & (fault != rec.LEFT_OUT)]
        self.count += len(blank)
        self._pending += blank.tolist()
        last = int(filled[-1]) if len(filled) else 0
        inner = [line for line in self._pending if line < last]
        self._pending = [line for line in self._pending if line > last]
        rule, message = RULES[rec.BLANK]
        return [Reject(line, b"", rule, message) for line in inner]


def describe_structure(metadata: FileMetadata, stream: RecordStream, blanks: BlankLines) -> None:
    """Note what a person should know about a file's lines."""
    used = {kind: count for kind, count in stream.line_ends.items() if count}
    metadata.structure = metadata.structure.model_copy(
        update={
            "line_ends": used,
            "blank_lines": blanks.count,
            "ends_with_line_end": stream.ends_whole,
        }
    )
    metadata.is_encoding_guessed = stream.is_encoding_guessed
    if stream.skipped:
        before = "line" if stream.skipped == 1 else "lines"
        metadata.notes.append(f"{stream.skipped:,} {before} before the header left out as no rows")
    left_out = metadata.structure.left_out
    if left_out:
        shown = ", ".join(map(str, metadata.structure.left_out_lines))
        metadata.notes.append(
            f"{left_out:,} lines left out as no rows (comment, not_rows), such as line {shown}"
        )
    if len(used) > 1:
        parts = ", ".join(f"{count:,} x {kind}" for kind, count in used.items())
        metadata.notes.append(f"line ends are mixed: {parts}")
    if not stream.ends_whole:
        metadata.notes.append("the file does not end with a line end; its last row may be cut off")


def refuse_cut_off(last: Batch | None, stream: RecordStream, data: DataSpec) -> None:
    """Refuse a file whose last row is not whole and has no line end."""
    if last is None or stream.ends_whole or data.cut_off == "quarantine" or not last.rejects:
        return
    end = last.rejects[-1]
    is_last = len(last.line) == 0 or end.line > last.line[-1]
    # A whole line may be of JSON and no object, or no JSON at all.
    is_open = end.rule != "json" or (
        end.original.startswith(b"{") and not end.original.rstrip().endswith(b"}")
    )
    if end.rule in CUT_OFF and is_last and is_open:
        raise RefusedFileError(
            f"it is cut off, or still being written: its last row, at line {end.line:,}, is not"
            f" whole ({end.message}) and has no line end; a whole file that ends so is taken in"
            " with `cut_off: quarantine`"
        )


def mark_bytes(records: Records, fault: npt.NDArray[np.uint8]) -> None:
    """Mark records that hold a NUL byte or what is not UTF-8."""
    data = records.data
    if b"\0" in data:
        _mark(fault, _holders(records, np.equal, 0), rec.NUL_BYTE)
    if data.isascii() or is_utf8(data[: records.consumed]):
        return
    beyond_ascii = _holders(records, np.greater_equal, 0x80)
    wrong = [row for row in beyond_ascii.tolist() if not is_utf8(records.text(row))]
    _mark(fault, np.array(wrong, dtype=np.int64), rec.NOT_OF_ENCODING)


def _holders(
    records: Records, holds: Callable[[npt.NDArray[np.uint8], int], Any], byte: int
) -> npt.NDArray[np.int64]:
    """Find the records with a byte of which a comparison with another holds."""
    bytes_ = np.frombuffer(records.data, dtype=np.uint8)[: records.consumed]
    positions = np.flatnonzero(holds(bytes_, byte))
    rows = np.unique(np.searchsorted(records.start, positions, side="right") - 1)
    return rows[rows >= 0]


def _mark(fault: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], code: int) -> None:
    fault[rows] = np.where(fault[rows] == rec.WHOLE, code, fault[rows])


def is_utf8(text: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
