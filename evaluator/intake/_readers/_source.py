"""The bytes of a file, unpacked, in blocks, within limits."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

from evaluator.intake._readers._layout import UTF8_NAMES

BLOCK_BYTES: Final = 16 * 1024 * 1024
COMPRESSIONS: Final = {".gz": "gzip", ".zst": "zstd"}
ARCHIVES: Final = (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")
ERROR_HANDLER: Final = "evaluator-mark"


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


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be decoded by lone surrogates, which no valid text holds."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in wrong), error.end


codecs.register_error(ERROR_HANDLER, _mark)


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
