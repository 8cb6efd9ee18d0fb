import csv
import io
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given, settings, strategies as st

from evaluator.errors import IntakeError
from evaluator.intake import infer_schema, ingest
from evaluator.intake._readers._delimited import DelimitedReader
from evaluator.intake._readers._records import Dialect, scan
from evaluator.intake._readers._stream import RefusedFileError
from evaluator.spec import DataSpec
from evaluator_tests.intake.conftest import declare

DIALECT = Dialect(b",", b'"')
PIECES = st.lists(
    st.sampled_from(
        [b"a", b"1", b",", b",", b'"', b'""', b"\n", b"\n", b"\r", b"\r\n", b"\0", b"\xff",
         b"\xc3\xa9", b"\xef\xbb\xbf", b" ", b"=", b"2013-02-30", b"007", b"1e5", b"NA"]
    ),
    max_size=60,
).map(b"".join)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
TYPES = {
    "id": {"type": "string"},
    "n": {"type": "integer", "minimum": 0},
    "t": {"type": "timestamp"},
}


def all_texts(content: bytes, block: int) -> list[tuple[int, object]]:
    """Read with a block size; give every row, whole or not, with its line."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "day.csv"
        source.write_bytes(content)
        data = declare(encoding="utf-8", delimiter=",", header=True, maximum_row_bytes=64)
        rows: list[tuple[int, object]] = []
        try:
            for batch in DelimitedReader(source, data, block=block).batches():
                rows += zip(batch.line.tolist(), batch.frame.rows(), strict=True)
                rows += [(reject.line, (reject.rule, reject.original)) for reject in batch.rejects]
        except RefusedFileError as error:
            return [(0, str(error))]
        return sorted(rows, key=lambda row: row[0])


@settings(max_examples=150)
@given(PIECES)
def test_the_records_of_any_bytes_cover_them_without_gap_or_overlap(content: bytes) -> None:
    records = scan(content, DIALECT, first_line=1, final=True)
    place = 0
    for index in range(len(records)):
        begin, end = int(records.start[index]), int(records.end[index])
        assert content[place:begin] in (b"", b"\n", b"\r", b"\r\n")
        assert begin <= end
        before = content[:begin]
        lines = before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")
        assert int(records.line[index]) == lines + 1
        place = end
    assert content[place:] in (b"", b"\n", b"\r", b"\r\n")
    assert records.consumed == len(content)


@settings(max_examples=150)
@given(PIECES, st.integers(1, 40))
def test_the_size_of_the_blocks_changes_nothing(content: bytes, block: int) -> None:
    whole = b"id,n,t\n" + content
    assert all_texts(whole, block) == all_texts(whole, 1024 * 1024)


@settings(max_examples=150)
@given(PIECES, st.integers(1, 9))
def test_the_size_of_the_scan_s_windows_changes_nothing(content: bytes, window: int) -> None:
    def found() -> list[tuple[int, int, int]]:
        scanned = scan(content, DIALECT, first_line=1, final=True)
        columns = (scanned.start, scanned.end, scanned.fields)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    expected = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluator.intake._readers._records.WINDOW", window)
        assert found() == expected


@settings(max_examples=150)
@given(PIECES, st.sampled_from([b"id,n,t\n", b""]))
def test_no_bytes_crash_the_intake_or_lose_a_row(content: bytes, header: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "day.csv"
        source.write_bytes(header + content)
        result = ingest(source, declare(TYPES), into=Path(folder) / "out")
        typed = pq.read_table(result.typed_path)
        quarantine = pq.read_table(result.quarantine_path).to_pylist()
        assert result.rows == len(typed) + len(quarantine)
        assert all(row["reasons"] for row in quarantine)
        lines = [row["line_number"] for row in quarantine]
        assert lines == sorted(set(lines))


@settings(max_examples=100)
@given(
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=12),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_csv_writer_wrote_comes_back_value_by_value(
    rows: list[tuple[str, str, str]], delimiter: str, line_end: str, quoting: int
) -> None:
    if line_end == "\n":
        # Such a writer leaves a lone return unquoted, and then nobody can tell it from a line end.
        quoting = csv.QUOTE_ALL
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=quoting)  # type: ignore[arg-type] # the constants are integers
    numbered = [(f"r{number}", *row[1:]) for number, row in enumerate(rows)]
    writer.writerows([("id", "n", "t"), *numbered])
    data = declare(
        {name: {"type": "string"} for name in ("id", "n", "t")},
        missing_values=[],
        delimiter=delimiter,
        encoding="utf-8",
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "day.csv"
        source.write_bytes(out.getvalue().encode("utf-8"))
        result = ingest(source, data, into=Path(folder) / "out")
        typed = pq.read_table(result.typed_path).to_pylist()
    assert [tuple(row.values()) for row in typed] == numbered
    assert result.quarantined == 0


@settings(max_examples=60)
@given(st.lists(st.text(max_size=30), max_size=10))
def test_no_json_lines_crash_the_intake(lines: list[str]) -> None:
    content = "\n".join(lines).encode("utf-8", errors="replace")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "day.jsonl"
        source.write_bytes(b'{"id": "a", "n": 1, "t": null}\n' + content)
        data = declare(TYPES, cut_off="quarantine")
        result = ingest(source, data, into=Path(folder) / "out")
        assert result.rows == result.accepted + result.quarantined >= 1


@settings(max_examples=100)
@given(PIECES, st.sampled_from(["day.csv", "day.jsonl", "2013-11-30.csv"]))
@example(b'{"id": "a"}\n' + b"[" * 100_000, "day.jsonl")
def test_an_inferred_schema_loads_whatever_the_file_holds(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / name
        source.write_bytes(content)
        try:
            text = infer_schema(source)
        except IntakeError:
            return
        data = DataSpec.model_validate(yaml.safe_load(text))
        result = ingest(source, data, into=Path(folder) / "out")
        assert result.rows == result.accepted + result.quarantined
