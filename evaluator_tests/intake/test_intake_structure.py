import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from evaluator.intake import replay
from evaluator.intake._readers import _stream
from evaluator.intake._readers._delimited import DelimitedReader
from evaluator.intake._readers._records import WHOLE, Dialect, scan, split_record
from evaluator_tests.intake.conftest import Take, Taken, declare

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


TWO_LINES = {
    "id": {"type": "string"},
    "num ber": {"type": "integer"},
    "num t": {"type": "string"},
}


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (b"id||n||t\na||1||x|y\n", {"delimiter": "||"}),
        (b'id, n, t\na, 1, "x|y"\n', {"blanks_after_delimiter": True}),
        (b'id  n    t\na   1  "x|y"\n', {"delimiter": " ", "blanks_after_delimiter": True}),
        (b'Title; of "this\nas of today\nid;n;t\na;1;x|y\n', {"skip_lines": 2}),
        (b'# "made by hand\nid,n,t\n#x,1,"\na,1,x|y\n# end', {"comment": "#"}),
        (b"id,n,t\na,1,x|y\nTotal,1,\nSource: us\n", {"not_rows": ["Total,.*", "Source: .*"]}),
        (b"id|n|t\na|1|x\\|y\n", {"delimiter": "|", "escape": "\\"}),
        (b"sep=;\r\nid;n;t\r\na;1;x|y\r\n", {}),
        (b'"sep=|"\nid|n|t\na|1|"x|y"\n', {}),
        ("id§n§t\na§1§x|y\n".encode(), {"delimiter": "§"}),
        (b"id,num,\n,ber,t\na,1,x|y\n", {"header_lines": 2, "columns": TWO_LINES}),
    ],
)  # fmt: skip
def test_a_file_is_read_as_it_is_declared_to_be_laid_out(
    take: Take, content: bytes, keys: dict[str, Any]
) -> None:
    taken = take(content, declare(**{"columns": None, **keys}))
    assert taken.broken is None
    assert taken.quarantine == []
    assert [tuple(row.values())[:2] for row in taken.typed] == [("a", 1)]
    assert "x|y" in taken.typed[0].values()


def test_an_escape_before_any_other_character_is_a_character(take: Take) -> None:
    content = b'id,n,t\na,1,C:\\new\nb,2,"8\\\'9\\""\nc,3,\\N\nd,4,\\\\N\n'
    taken = take(content, declare(escape="\\"))
    assert [row["t"] for row in taken.typed] == ["C:\\new", "8\\'9\"", "\\N", "\\N"]


def test_where_an_apostrophe_is_the_quote_it_may_stand_inside_a_word(take: Take) -> None:
    content = b"id,n,t\na,1,men's, boots\nb,2,'men''s, boots'\nc,3,men's\nd,4,'men's'\n'e',5,x\n"
    taken = take(content, declare(quote="'"))
    assert [row["t"] for row in taken.typed] == ["men's, boots", "men's", "x"]
    assert taken.rules == {2: ["too_many_fields"], 5: ["stray_quote"]}


@pytest.mark.parametrize("other", [b'id,"n",t', b"id,n", b"id, n, t, more"])
@pytest.mark.parametrize("block", [16, 1024])
def test_rows_of_another_table_are_kept_apart_until_the_header_comes_again(
    tmp_path: Path, other: bytes, block: int
) -> None:
    path = tmp_path / "day.csv"
    path.write_bytes(b"id,n,t\na,1,x\n" + other + b"\nb,2,y\n\nid,n,t\nc,3,z\nid,n,x\n")
    batches = list(DelimitedReader(path, declare(), block=block).batches())
    typed = [row for batch in batches for row in batch.frame.rows()]
    refused = {reject.line: reject.rule for batch in batches for reject in batch.rejects}
    assert typed == [("a", "1", "x"), ("c", "3", "z"), ("id", "n", "x")]
    assert refused.pop(3) in ("other_table", "too_few_fields", "too_many_fields")
    assert refused == {4: "other_table", 5: "blank_line", 6: "repeated_header"}


def test_names_right_below_the_header_are_no_other_table(take: Take) -> None:
    taken = take(b'id,n,t\n"id",n,t\na,1,x\n')
    assert [row["id"] for row in taken.typed] == ["a"]
    assert taken.rules == {2: ["repeated_header"]}


def test_names_in_a_file_without_a_header_begin_another_table(take: Take) -> None:
    taken = take(b"a,1,x\nid,n,t\nb,2,y\n", declare(header=False))
    assert [row["id"] for row in taken.typed] == ["a"]
    assert taken.rules == {2: ["other_table"], 3: ["other_table"]}


@pytest.mark.parametrize("mark", [b"\xff", b"\r", b'"', b"a", b"\0", "§".encode()])
def test_what_can_separate_nothing_is_named_by_no_line(take: Take, mark: bytes) -> None:
    taken = take(b"sep=" + mark + b"\n" + HEADER + b"a,1,x\n")
    assert taken.broken is not None
    assert taken.typed == []


def test_what_is_no_row_is_counted_told_and_costs_nothing(take: Take) -> None:
    content = b"one\n# c\nid,n,t\na,1,x\n\nTotal,9,\n# d\nb,x,\nTotal,9,\n\n"
    data = declare(skip_lines=1, comment="#", not_rows=["Total,.*"])
    taken = take(content, data)
    assert taken.rules == {5: ["blank_line"], 8: ["type"]}
    structure = taken.profile.structure
    assert (structure.left_out, structure.left_out_lines) == (4, (2, 6, 7))
    assert "4 lines left out as no rows (comment, not_rows), such as line 2, 6, 7" in (
        taken.result.report
    )
    assert "1 line before the header left out as no rows" in taken.result.report


@pytest.mark.parametrize("name", ["day.csv", "day.jsonl"])
def test_a_file_whose_last_row_is_cut_off_is_refused_unless_declared(take: Take, name: str) -> None:
    whole, cut = (HEADER + b"a,1,x\n", b"b,2") if name == "day.csv" else (
        b'{"id": "a", "n": 1, "t": "x"}\n', b'{"id": "b", "n'
    )  # fmt: skip
    taken = take(whole + cut, name=name)
    assert "cut off, or still being written: its last row, at line" in str(taken.broken)
    assert taken.typed == []
    allowed = take(whole + cut, declare(cut_off="quarantine"), name=name)
    assert len(allowed.typed) == len(allowed.quarantine) == 1
    assert take(whole + cut + b"\n", name=name).broken is None


def test_a_last_row_that_is_whole_needs_no_line_end(take: Take) -> None:
    taken = take(HEADER + b"a,1,x\nb,2,y")
    assert [row["id"] for row in taken.typed] == ["a", "b"]
    assert any("may be cut off" in note for note in taken.profile.notes)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_header_that_comes_again_is_named_as_that(take: Take, mark: bytes) -> None:
    columns = {"id": {"type": "string"}, "n": {"type": "string"}, "t": {"type": "string"}}
    taken = take(HEADER + b"a,1,x\n" + mark + HEADER + b"b,2,y\n", declare(columns))
    assert taken.rules == {3: ["repeated_header"]}
    assert [row["id"] for row in taken.typed] == ["a", "b"]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Müller"), ("cp1252", "Müller;Jørgen;Åse;Zoë"), ("cp1251", "Москва"),
        ("cp932", "東京"), ("cp932", "ソ"), ("gb18030", "北京"), ("utf-16-le", "ü"),
        ("utf-32", "ü"),
        ("utf-16", "東"), ("cp037", "x"), ("iso2022_jp", "東京"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["day.csv", "day.jsonl"])
def test_a_refused_row_s_raw_is_the_file_s_bytes_in_any_encoding(
    take: Take, tmp_path: Path, encoding: str, text: str, name: str
) -> None:
    row = f"b,x,{text}" if name == "day.csv" else f'{{"id": "b", "n": "x", "t": "{text}"}}'
    header = "id,n,t\na,1,y\n" if name == "day.csv" else '{"id": "a", "n": 1, "t": "y"}\n'
    data = declare(encoding=encoding)
    taken = take(f"{header}{row}\n".encode(encoding), data, name=name)
    assert [one["text"] for one in taken.quarantine] == [row]
    # A mark at the beginning is of the file, and of none of its rows.
    plain = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(encoding, encoding)
    expected = row.encode(plain)
    assert taken.quarantine[0]["raw"] == expected
    again = replay(
        taken.result.typed_path, taken.result.quarantine_path, data, into=tmp_path / "b", name=name
    )
    assert Taken(again).quarantine == taken.quarantine


def test_a_character_that_two_spellings_have_leaves_raw_out_and_never_wrong(take: Take) -> None:
    content = b"id,n,t\na,x,\x87\x90\n"  # NEC's spelling of a character that has another one
    taken = take(content, declare(encoding="cp932"))
    assert taken.quarantine[0]["text"] == f"a,x,{content[11:13].decode('cp932')}"
    assert taken.quarantine[0]["raw"] is None


@pytest.mark.parametrize("names", ["Müller", "Müller;Jørgen;Åse", "Müller;Jørgen;Åse;Zoë"])
def test_few_accented_characters_are_of_windows_and_cost_no_row(take: Take, names: str) -> None:
    rows = "".join(f"{n},1,{name}\n" for n, name in enumerate(names.split(";")))
    taken = take((HEADER.decode() + rows).encode("cp1252"))
    assert [row["t"] for row in taken.typed] == names.split(";")
    found = [(rule.rule, rule.severity) for rule in taken.profile.dataset_rules]
    assert found == [("encoding", "warn")]
    assert "guessed" in taken.result.report


WESTERN = [
    *("Süd", "Müller", "Jørgen", "Zoë", "naïve", "façade", "Köln", "Straße", "Élodie", "Ñandú"),
    *("São", "Ærø", "Øre", "Málaga", "Hôtel", "Coruña", "García", "François", "Malmö", "Tromsø"),
    *("Århus", "Genève", "5€", "it\u2019s", "a\u2013b", "20°C", "½", "m²", "§5", "Größe", "Übung"),
]


@pytest.mark.parametrize("word", WESTERN)
def test_one_word_of_windows_is_read_whole_wherever_it_stands(take: Take, word: str) -> None:
    for text in (f"id;n;t\na;1;{word}\nb;2;{word} Nord\n", f"id,n,t\na,1,x{word}\nb,2,y\n"):
        taken = take(text.encode("cp1252"))
        assert taken.quarantine == []
        assert word in taken.typed[0]["t"]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp932", "東京,大阪,ソ,名古屋"),
        ("cp932", "カタカナ表示ソフト"),
        ("gb18030", "北京,上海,广州"),
        ("big5", "台北,高雄,台中"),
        ("cp1251", "Привет мир хорошая погода"),
        ("cp1253", "Καλημέρα κόσμε"),
        ("cp1250", "Příliš žluťoučký kůň"),
    ],
)
def test_other_scripts_are_guessed_by_their_texts(take: Take, encoding: str, text: str) -> None:
    rows = "".join(f"{n},1,{word}\n" for n, word in enumerate(text.split(",") * 9))
    taken = take(f"id,n,t\n{rows}".encode(encoding))
    assert [row["t"] for row in taken.typed[: text.count(",") + 1]] == text.split(",")
    assert [rule.rule for rule in taken.profile.dataset_rules] == ["encoding"]


def test_a_sample_that_cuts_a_character_is_still_utf_8(
    take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = HEADER + b"a,1," + "ü".encode() + b"\nb,2,y\n"
    cut = content.index(b"\xbc")
    monkeypatch.setattr(_stream, "SAMPLE_BYTES", cut)
    taken = take(content)
    assert [row["t"] for row in taken.typed] == ["ü", "y"]
    assert taken.profile.dataset_rules == ()


def test_what_nobody_sees_is_no_part_of_a_column_s_name_and_told(take: Take) -> None:
    taken = take("\u200bid,n\u00a0,\u2060t\ufeff\na,1,x\n".encode())
    assert taken.typed == [{"id": "a", "n": 1, "t": "x"}]
    assert taken.profile.header == ("id", "n", "t")
    assert len([note for note in taken.profile.notes if "nobody sees" in note]) == 2


def test_numbers_of_json_have_a_point_whatever_the_texts_beside_them_have(take: Take) -> None:
    columns = {"id": {"type": "string"}, "v": {"type": "float"}}
    data = declare(columns, decimal=",", thousands=".")
    content = b'{"id": "a", "v": 1.234}\n{"id": "b", "v": "1.234,5"}\n{"id": "c", "v": "1.5"}\n'
    taken = take(content, data, name="day.jsonl")
    assert [row["v"] for row in taken.typed] == [1.234, 1234.5]
    assert taken.rules == {3: ["type"]}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"escape": '"', "quote": '"'}, "it is the quote"),
        ({"not_rows": ["("]}, "not a regular"),
        ({"delimiter": "a\n"}, "ends a line"),
        ({"quote": "|", "delimiter": "||"}, "is the delimiter"),
    ],
)
def test_a_layout_that_cannot_be_is_refused_when_the_yaml_loads(
    keys: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        declare(**keys)


PIECES = st.lists(
    st.sampled_from(["a", "|", "||", '"', '""', "\\", '\\"', "\n", " ", "#", '||"', "x\\||"]),
    max_size=40,
).map("".join)  # fmt: skip


@settings(max_examples=150)
@given(PIECES)
def test_no_layout_loses_a_byte(text: str) -> None:
    dialects = [
        Dialect(b"||", b'"'), Dialect(b"|", b'"', b"\\"), Dialect(b"|", b'"', blanks=True),
        Dialect(b"|", b'"', comment=b"#"), Dialect(b"||", None, b"\\", blanks=True),
    ]  # fmt: skip
    content = text.encode()
    for dialect in dialects:
        records = scan(content, dialect, first_line=1, final=True)
        covered = b"".join(records.text(index) for index in range(len(records)))
        assert covered.replace(b"\n", b"") == content.replace(b"\n", b"")
        assert records.consumed == len(content)
        for index in np.flatnonzero(records.fault == WHOLE).tolist():
            fields = split_record(records.text(index), dialect)
            assert fields is not None
            assert len(fields) == records.fields[index]
