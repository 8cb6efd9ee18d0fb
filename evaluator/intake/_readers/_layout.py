"""How a text file is laid out: encoding, delimiter, quote, header; declared or detected."""

import codecs
import re
import unicodedata
from typing import Final

from evaluator.intake._profile import Layout
from evaluator.intake._readers._records import (
    BLANK,
    LEFT_OUT,
    Dialect,
    Records,
    scan,
    split_record,
)
from evaluator.spec import DataSpec, FileFormat

SAMPLE_BYTES: Final = 1024 * 1024
#: What JSON text cannot hold unescaped.
NO_DELIMITER: Final = "\x1f"
#: So much of what is not ASCII is looked at where an encoding is guessed.
GUESSED_BYTES: Final = 64 * 1024
WORDS: Final = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
#: So few bytes beyond ASCII say nothing of an encoding.
FEW: Final = 3
ACCENTED: Final = ("cp1250", "cp1252", "cp1254", "cp1257", "cp1258", "latin_1", "iso8859_2")
#: How spreadsheets of some countries name the delimiter in a line before the header.
SEPARATOR_LINE: Final = re.compile(
    rb'"?sep=([\t !#-&(-/:-@\[-`{-~])"?(?:\r\n|\n|\r)', re.IGNORECASE
)
DELIMITERS: Final = (b",", b";", b"\t", b"|")
BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
UTF8_NAMES: Final = ("utf-8", "utf-8-sig", "ascii")


def dialect_of(layout: Layout, comment: str | None = None) -> Dialect:
    """Return what separates and encloses fields; without a delimiter, a line is one field."""
    return Dialect(
        (layout.delimiter or NO_DELIMITER).encode(),
        (layout.quote or "").encode() or None,
        (layout.escape or "").encode() or None,
        blanks=bool(layout.blanks),
        comment=(comment or "").encode() or None,
    )


def find_encoding(sample: bytes, declared: str | None, *, is_cut: bool) -> tuple[str, int]:
    """Tell the encoding of a file from its beginning, which may end in a character."""
    for mark, name in BYTE_ORDER_MARKS:
        if sample.startswith(mark) and (declared is None or _agrees(declared, name)):
            return name, len(mark)
    if declared is not None:
        # Without a mark, plain `utf-16` means the byte order of most machines.
        name = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(
            declared, declared
        )
        return name, 0
    wide = _wide_encoding(sample)
    if wide is not None:
        return wide, 0
    if sample.isascii() or _looks_like_utf8(sample, is_cut=is_cut):
        return "utf-8", 0
    return _guess_encoding(sample), 0


def is_guessed(encoding: str, mark: int, declared: str | None) -> bool:
    """Tell whether an encoding was taken for the likeliest, and not known by its bytes."""
    return declared is None and not mark and not encoding.startswith("utf-")


def _guess_encoding(sample: bytes) -> str:
    """Choose the likeliest encoding of bytes that are no UTF-8; of several as likely, Windows'."""
    from charset_normalizer import from_bytes

    # What is ASCII tells nothing of an encoding.
    lines = (line for line in sample.splitlines() if not line.isascii())
    telling = b"\n".join(lines)[:GUESSED_BYTES]
    words = b"".join(WORDS.findall(telling))
    high = sum(byte > 0x7F for byte in words)  # noqa: PLR2004 - the last byte of ASCII
    found = [] if high <= FEW else list(from_bytes(telling))
    if high * 2 < len(words):
        # Letters with accents stand among others; of other scripts every letter is beyond ASCII.
        found = [match for match in found if match.encoding in ACCENTED]
    if not found:
        return "cp1252"
    likely = [match for match in found if match.chaos <= found[0].chaos]
    if any("cp1252" in match.could_be_from_charset for match in likely):
        return "cp1252"
    return codecs.lookup(found[0].encoding).name


def _agrees(declared: str, marked: str) -> bool:
    """Whether a declared encoding lets the mark be a mark."""
    return marked.startswith(declared.removesuffix("-sig")) or declared == marked


def _wide_encoding(sample: bytes) -> str | None:
    """Recognise UTF-16 without a mark: in Latin text every other byte is zero."""
    usual = 0.4
    zeros_even, zeros_odd = sample[0::2].count(0), sample[1::2].count(0)
    half = max(len(sample) // 2, 1)
    if zeros_odd / half > usual and zeros_even / half < usual / 10:
        return "utf-16-le"
    if zeros_even / half > usual and zeros_odd / half < usual / 10:
        return "utf-16-be"
    return None


def _looks_like_utf8(sample: bytes, *, is_cut: bool) -> bool:
    """Whether more of the bytes beyond ASCII make sense as UTF-8 than do not."""
    if is_cut:
        # Its last character may lack its end, which is no fault of the encoding.
        decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        text = decoder.decode(sample)
    else:
        text = sample.decode("utf-8", errors="surrogateescape")
    wrong = sum("\udc80" <= character <= "\udcff" for character in text)
    right = sum(character > "\x7f" for character in text) - wrong
    return wrong == 0 or right > wrong


def find_layout(
    sample: bytes, encoding: str, mark: int, data: DataSpec, format_: FileFormat
) -> Layout:
    """Tell delimiter, quote and header of a file from its beginning."""
    detected = [] if data.encoding else ["encoding"]
    quote = b'"' if data.quote is None else data.quote.encode() or None
    if data.quote is None:
        detected.append("quote")
    separator = SEPARATOR_LINE.match(sample)
    if data.delimiter is not None:
        delimiter = data.delimiter.encode()
    elif separator is not None:
        delimiter = separator[1]
        sample = sample[separator.end() :]
        detected.append("delimiter")
    elif format_ == "tsv":
        delimiter = b"\t"
    else:
        delimiter = _find_delimiter(sample, quote, data)
        detected.append("delimiter")
    dialect = _dialect(delimiter, quote, data)
    header = data.header
    if header is None:
        header = _has_header(sample, dialect, data)
        detected.append("header")
    return Layout(
        format=format_,
        encoding=encoding,
        byte_order_mark=mark > 0,
        delimiter=delimiter.decode(),
        quote=(quote or b"").decode(),
        header=header,
        detected=tuple(detected),
        **({} if data.escape is None else {"escape": data.escape}),
        **({"blanks": True} if data.blanks_after_delimiter else {}),
    )


def _dialect(delimiter: bytes, quote: bytes | None, data: DataSpec) -> Dialect:
    return Dialect(
        delimiter,
        quote,
        None if data.escape is None else data.escape.encode(),
        blanks=data.blanks_after_delimiter,
        comment=None if data.comment is None else data.comment.encode(),
    )


def first_records(sample: bytes, dialect: Dialect) -> Records:
    """Scan a sample as if the file ended with it."""
    return scan(sample, dialect, first_line=1, final=True)


def first_fields(sample: bytes, dialect: Dialect) -> list[str]:
    """Return the fields of the first line that is neither blank nor a comment."""
    records = first_records(sample, dialect)
    for index in range(len(records)):
        text = records.text(index)
        if records.fault[index] not in (BLANK, LEFT_OUT):
            fields = split_record(text, dialect) or text.split(dialect.delimiter)
            return [field.decode("utf-8", errors="backslashreplace") for field in fields]
    return []


def _find_delimiter(sample: bytes, quote: bytes | None, data: DataSpec) -> bytes:
    """Choose the delimiter that finds most declared columns, then the most even one."""
    expected = set(data.file_columns)

    def merit(delimiter: bytes) -> tuple[int, float, bool]:
        dialect = _dialect(delimiter, quote, data)
        names = [visible(name) for name in first_fields(sample, dialect)]
        fields = first_records(sample[: 64 * 1024], dialect).fields
        even = float((fields == fields[0]).mean()) if len(fields) and fields[0] > 1 else 0.0
        return len(expected.intersection(names)), even, len(names) == len(expected)

    return max(DELIMITERS, key=merit)


def _has_header(sample: bytes, dialect: Dialect, data: DataSpec) -> bool:
    """Whether the first line names columns: any declared one, or it cannot be a row."""
    fields = first_fields(sample, dialect)
    plain = {_plain(field) for field in fields}
    if plain & {_plain(name) for name in data.file_columns}:
        return True
    return len(fields) != len(data.file_columns) or not any(
        field.strip() and not _could_be_name(field) for field in fields
    )


def _plain(name: str) -> str:
    return visible(name).casefold()


def visible(name: str) -> str:
    """Leave out of a column's name what nobody sees: marks without a width, blanks around it."""
    shown = "".join(
        " " if unicodedata.category(c) == "Zs" else c
        for c in name
        if unicodedata.category(c) not in ("Cf", "Cc") or c in "\t\n"
    )
    return shown.strip()


def _could_be_name(text: str) -> bool:
    """Whether a text might name a column: it is not a number and does not begin like one."""
    return not (text.strip()[:1].isdigit() or text.strip()[:1] in "+-.")
