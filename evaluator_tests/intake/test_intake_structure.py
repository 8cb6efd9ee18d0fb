import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluator.intake._readers._delimited import DelimitedReader
from evaluator_tests.intake.conftest import Take, declare

HEADER = b"id,n,t\n"


def test_every_row_of_a_good_file_is_typed(take: Take) -> None:
    taken = take(HEADER + b"a,1,x\nb,,y\n")
    assert taken.broken is None
    assert taken.typed == [{"id": "a", "n": 1, "t": "x"}, {"id": "b", "n": None, "t": "y"}]
    assert taken.quarantine == []


def test_a_byte_order_mark_is_no_part_of_the_first_name(take: Take) -> None:
    taken = take(b"\xef\xbb\xbf" + HEADER + b"a,1,x\n")
    assert taken.typed == [{"id": "a", "n": 1, "t": "x"}]
    assert taken.profile.layout.byte_order_mark is True


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be", "cp1252"])
def test_other_encodings_are_detected(take: Take, encoding: str) -> None:
    content = (HEADER.decode() + "a,1,Zürich ist schön\nb,2,größer\n").encode(encoding)
    taken = take(content)
    assert [row["t"] for row in taken.typed] == ["Zürich ist schön", "größer"]
    assert "encoding" in taken.profile.layout.detected


def test_mixed_line_ends_end_rows_alike_and_are_told(take: Take) -> None:
    taken = take(b"id,n,t\r\na,1,x\nb,2,y\rc,3,z\r\n")
    assert [row["t"] for row in taken.typed] == ["x", "y", "z"]
    assert any("line ends are mixed" in note for note in taken.profile.notes)


def test_a_line_break_inside_quotes_belongs_to_the_value(take: Take) -> None:
    taken = take(HEADER + b'a,1,"two\nlines"\nb,x,"t"\n')
    assert taken.typed[0]["t"] == "two\nlines"
    assert taken.quarantine[0]["line_number"] == 4


def test_a_doubled_quote_is_one_quote(take: Take) -> None:
    assert take(HEADER + b'a,1,"say ""hi"", she said"\n').typed[0]["t"] == 'say "hi", she said'


def test_blank_lines_between_rows_are_quarantined_and_after_the_last_they_are_not(
    take: Take,
) -> None:
    taken = take(b"\n" + HEADER + b"a,1,x\n\nb,2,y\n\n\n")
    assert taken.rules == {4: ["blank_line"]}
    assert taken.result.rows == 3
    assert taken.profile.structure.blank_lines == 4


def test_ragged_rows_are_quarantined_with_line_and_text(take: Take) -> None:
    taken = take(HEADER + b"a,1\nb,2,y\nc,3,z,more\n")
    assert taken.rules == {2: ["too_few_fields"], 4: ["too_many_fields"]}
    assert [row["text"] for row in taken.quarantine] == ["a,1", "c,3,z,more"]


def test_a_declared_column_twice_in_the_header_refuses_the_file(take: Take) -> None:
    taken = take(b"id,n,n,t\na,1,2,x\n")
    assert "stands 2 times" in str(taken.broken)
    assert taken.result.rows == 0


def test_blank_and_repeated_undeclared_names_are_left_out_and_told(take: Take) -> None:
    taken = take(b"id,n,t,,q,q\na,1,x,,5,6\n")
    assert taken.typed == [{"id": "a", "n": 1, "t": "x"}]
    assert {c.column for c in taken.profile.schema_drift} == {"", "q"}


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(take: Take, content: bytes) -> None:
    taken = take(content)
    assert "the file is empty" in str(taken.broken)
    assert taken.typed == []


def test_a_header_without_rows_is_refused(take: Take) -> None:
    assert "a header and no rows" in str(take(HEADER).broken)


def test_bytes_that_are_not_of_the_encoding_cost_their_row_and_are_kept(take: Take) -> None:
    taken = take(HEADER + "a,1,ä\n".encode() * 5 + b"b,2,\xff\xfe\nc,3,z\n", declare(id="t"))
    assert taken.rules[7] == ["encoding"]
    assert next(r for r in taken.quarantine if r["line_number"] == 7)["raw"] == b"b,2,\xff\xfe"


def test_bytes_that_are_not_of_a_declared_encoding_cost_their_row(take: Take) -> None:
    content = HEADER + "a,1,ü\n".encode("cp1252") + b"b,2,\x81\n"
    taken = take(content, declare(encoding="cp1252"))
    assert [row["t"] for row in taken.typed] == ["ü"]
    assert taken.rules == {3: ["encoding"]}


def test_a_nul_byte_costs_its_row(take: Take) -> None:
    taken = take(HEADER + b"a,1,x\x00y\nb,2,y\n")
    assert taken.rules == {2: ["nul_byte"]}


def test_a_last_line_that_is_cut_off_is_quarantined_and_told(take: Take) -> None:
    taken = take(HEADER + b"a,1,x\nb,2")
    assert taken.rules == {3: ["too_few_fields"]}
    assert any("may be cut off" in note for note in taken.profile.notes)


def test_a_stray_quote_costs_one_row_and_not_the_rest(take: Take) -> None:
    taken = take(HEADER + b'a,1,5" pipe\nb,2,"ok"\nc,3,"open\nd,4,y\ne,5,"z"x\nf,6,w\n')
    assert taken.rules == {2: ["stray_quote"], 4: ["unclosed_quote"], 6: ["stray_quote"]}
    assert [row["id"] for row in taken.typed] == ["b", "d", "f"]


def test_quotes_are_plain_text_where_the_audit_says_so(take: Take) -> None:
    taken = take(HEADER + b'a,1,5" pipe\n', declare(quote=""))
    assert taken.typed[0]["t"] == '5" pipe'


def test_a_gzip_that_is_cut_off_refuses_the_file(take: Take) -> None:
    packed = gzip.compress(HEADER + b"".join(b"%d,1,x\n" % n for n in range(50_000)))
    taken = take(packed[: len(packed) // 2], name="day.csv.gz")
    assert "cut off" in str(taken.broken)
    assert (taken.result.rows, taken.typed, taken.quarantine) == (0, [], [])


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_packed_files_are_read(take: Take, packing: str) -> None:
    taken = take(pa.compress(HEADER + b"a,1,x\n", packing, asbytes=True), name="day.csv.gz")
    assert taken.typed == [{"id": "a", "n": 1, "t": "x"}]
    assert taken.profile.layout.packing == packing


def test_a_zstd_that_is_cut_off_refuses_the_file(take: Take) -> None:
    packed = pa.compress(
        b"".join(b"%d,1,x\n" % (n * 7919) for n in range(50_000)), "zstd", asbytes=True
    )
    assert take(packed[: len(packed) // 2], name="day.csv.zst").broken is not None


def test_an_archive_is_refused_with_what_to_do(take: Take) -> None:
    assert "unpack it" in str(take(b"PK\x03\x04rest").broken)


def test_a_gzip_bomb_is_refused_by_its_unpacked_size(take: Take) -> None:
    bomb = gzip.compress(HEADER + b"a,1,x\n" * 200_000)
    taken = take(bomb, declare(maximum_bytes=100_000), name="day.csv.gz")
    assert "more than 100,000 bytes once unpacked" in str(taken.broken)


def test_a_parquet_file_is_refused_by_its_unpacked_size(take: Take, tmp_path: Path) -> None:
    rows = 200_000
    table = pa.table({"id": ["a"] * rows, "n": [1] * rows, "t": ["x"] * rows})
    pq.write_table(table, tmp_path / "bomb", compression="zstd")
    bomb = (tmp_path / "bomb").read_bytes()
    assert len(bomb) < 10_000
    data = declare(maximum_bytes=100_000, files="day-{date}.parquet")
    taken = take(bomb, data, name="day.parquet")
    assert "more than 100,000 bytes once unpacked" in str(taken.broken)


def test_a_row_beyond_the_limit_refuses_the_file(take: Take) -> None:
    taken = take(HEADER + b"a,1," + b"x" * 5_000 + b"\n", declare(maximum_row_bytes=1_000))
    assert "line 2 has more than 1,000 bytes" in str(taken.broken)


def test_a_file_of_one_endless_line_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    source = tmp_path / "day.csv"
    with source.open("wb") as stream:
        stream.truncate(1024**3)
    reader = DelimitedReader(source, declare(encoding="utf-8"), block=1024 * 1024)
    with pytest.raises(Exception, match="line 1 has more than"):
        next(reader.batches())


def test_too_many_columns_refuse_the_file(take: Take) -> None:
    names = b",".join(b"c%d" % n for n in range(3_000))
    assert "3,000 columns, more than 2,000" in str(take(names + b"\n").broken)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_detected(take: Take, delimiter: str) -> None:
    content = "id,n,t\na,1,x\n".replace(",", delimiter).encode()
    taken = take(content)
    assert taken.typed == [{"id": "a", "n": 1, "t": "x"}]
    assert taken.profile.layout.delimiter == delimiter


def test_a_file_without_a_header_is_read_in_the_declared_order(take: Take) -> None:
    taken = take(b"a,1,x\nb,2,y\n")
    assert [row["n"] for row in taken.typed] == [1, 2]
    assert any("no header" in note for note in taken.profile.notes)


def test_an_absent_declared_column_breaks_the_schema_and_a_likely_new_name_is_told(
    take: Take,
) -> None:
    taken = take(b"id,N_,t\na,1,x\n")
    assert "'n'" in str(taken.broken)
    assert [c.change for c in taken.profile.schema_drift] == ["renamed"]


def test_json_lines_keep_their_numbers_as_written(take: Take) -> None:
    data = declare({"id": {"type": "string"}, "n": {"type": "string"}, "t": {"type": "boolean"}})
    content = b'{"id": 12345678901234567890, "n": 1.10, "t": true}\n{"id": "b"}\n[1]\n{"id"\n'
    taken = take(content, data, name="day.jsonl")
    assert taken.typed[0] == {"id": "12345678901234567890", "n": "1.10", "t": True}
    assert taken.rules == {3: ["json"], 4: ["json"]}


def test_parquet_is_read_as_text_and_typed_again(take: Take, tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "n": pa.array([2**53 + 1, None]), "t": ["x", "y"]})
    pq.write_table(table, tmp_path / "made.parquet")
    taken = take((tmp_path / "made.parquet").read_bytes(), name="day.parquet")
    assert [row["n"] for row in taken.typed] == [2**53 + 1, None]


def test_a_file_that_is_no_parquet_is_refused(take: Take) -> None:
    assert "cannot be read" in str(take(b"PAR1 nothing", name="day.parquet").broken)
