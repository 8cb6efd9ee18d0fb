"""A file's bytes, unpacked, and the records of a text file: block by block, in bounded memory."""

import codecs
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from evaluator.intake._profile import Layout, Structure
from evaluator.intake._readers import _records as rec
from evaluator.intake._readers._layout import (
    SAMPLE_BYTES,
    UTF8_NAMES,
    dialect_of,
    find_encoding,
)
from evaluator.intake._readers._records import Records, scan
from evaluator.intake._violations import FileMetadata, Reject
from evaluator.spec import DataSpec

BLOCK_BYTES: Final = 16 * 1024 * 1024
COMPRESSIONS: Final = {".gz": "gzip", ".zst": "zstd"}
ARCHIVES: Final = (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")
ERROR_HANDLER: Final = "evaluator-mark"
RULES: Final = {
    rec.BLANK: ("blank_line", "the line is blank"),
    rec.UNCLOSED_QUOTE: ("unclosed_quote", "a quote is opened and never closed"),
    rec.STRAY_QUOTE: ("stray_quote", "a quote stands where none may stand"),
    rec.NUL_BYTE: ("nul_byte", "the line holds a NUL byte"),
    rec.NOT_OF_ENCODING: ("encoding", "the line holds bytes that are not of the encoding"),
}


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


codecs.register_error(ERROR_HANDLER, _as_surrogates)


def as_utf8(blocks: Iterator[bytes], encoding: str, mark: int) -> Iterator[bytes]:
    """Turn a file's blocks into UTF-8."""
    decoder = None
    if encoding not in UTF8_NAMES:
        decoder = codecs.getincrementaldecoder(encoding)(errors=ERROR_HANDLER)
    for block in blocks:
        part = block[mark:] if mark else block
        mark = max(mark - len(block), 0)
        if decoder is not None:
            part = decoder.decode(part).encode("utf-8", errors="surrogatepass")
        if part:
            yield part
    if decoder is not None:
        rest = decoder.decode(b"", final=True).encode("utf-8", errors="surrogatepass")
        if rest:
            yield rest


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

    def records(self) -> Iterator[Records]:
        """Scan the file block by block; what a block leaves open goes before the next one."""
        raw = read_blocks(self.path, maximum_bytes=self.data.maximum_bytes, block=self.block)
        sample = b""
        for part in raw:
            sample += part
            if len(sample) >= SAMPLE_BYTES:
                break
        encoding, mark = find_encoding(sample[:SAMPLE_BYTES], self.data.encoding)
        head = b"".join(as_utf8(iter([sample[:SAMPLE_BYTES]]), encoding, mark))
        self.layout = self.find(head, encoding, mark)
        self.dialect = dialect_of(self.layout)
        rest, line = b"", 1
        pieces = (sample[at : at + self.block] for at in range(0, len(sample), self.block))
        for part in as_utf8(chain(pieces, raw), encoding, mark):
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


class BlankLines:
    """Blank lines: refused rows between rows, and nothing before the first and after the last."""

    def __init__(self) -> None:
        self.count = 0
        self._pending: list[int] = []

    def rejects(self, records: Records, fault: npt.NDArray[np.uint8]) -> list[Reject]:
        """Give the blank lines that some later row has shown to stand between rows."""
        blank = records.line[fault == rec.BLANK]
        filled = records.line[fault != rec.BLANK]
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
    metadata.structure = Structure(
        line_ends=used, blank_lines=blanks.count, ends_with_line_end=stream.ends_whole
    )
    if len(used) > 1:
        parts = ", ".join(f"{count:,} x {kind}" for kind, count in used.items())
        metadata.notes.append(f"line ends are mixed: {parts}")
    if not stream.ends_whole:
        metadata.notes.append("the file does not end with a line end; its last row may be cut off")


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
