"""Text files of any encoding, as UTF-8 bytes in whole blocks.

A byte that is not of the file's encoding becomes bytes that are not UTF-8, so that one later
check finds the rows that hold such bytes, whatever the encoding was.
"""

import codecs
from collections.abc import Iterator
from typing import Final

from evaluator.intake.layout import UTF8_NAMES

MARK: Final = "evaluator-mark"


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be decoded by lone surrogates, which no valid text holds."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(chr(0xDC00 + byte) for byte in wrong), error.end


codecs.register_error(MARK, _mark)


def as_utf8(blocks: Iterator[bytes], encoding: str, mark: int) -> Iterator[bytes]:
    """Turn a file's blocks into UTF-8.

    Parameters
    ----------
    blocks
        The file's bytes.
    encoding
        Their encoding.
    mark
        How many bytes at the beginning are a byte-order mark, to be dropped.

    Yields
    ------
    bytes
        UTF-8; in place of what cannot be decoded, bytes that are not UTF-8.
    """
    decoder = None
    if encoding not in UTF8_NAMES:
        decoder = codecs.getincrementaldecoder(encoding)(errors=MARK)
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
