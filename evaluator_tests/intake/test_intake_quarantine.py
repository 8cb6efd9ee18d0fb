import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from evaluator.errors import IntakeError
from evaluator.intake import escape_formula, quarantine_to_csv, read_mended, replay
from evaluator.intake._writer import unescape_formula
from evaluator_tests.intake.conftest import Take, Taken, declare


def again(taken: Taken, folder: Path, **more: object) -> Taken:
    result = taken.result
    return Taken(
        replay(
            result.typed_path,
            result.quarantine_path,
            more.pop("data", declare()),  # type: ignore[arg-type] # a DataSpec
            into=folder / "next",
            name="day.csv",
            **more,  # type: ignore[arg-type] # the test says what
        )
    )


@given(st.text())
def test_an_inert_text_gives_the_text_back(text: str) -> None:
    assert unescape_formula(escape_formula(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\r=1", "＝1"])  # noqa: RUF001 - full-width on purpose
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(text: str) -> None:
    assert escape_formula(text).startswith("'")


def test_every_cell_of_the_csv_is_inert(take: Take, tmp_path: Path) -> None:
    taken = take(b'id,n,t\n=cmd,x,@SUM(1)\n-2,y,"=a\n=b"\n')
    out = tmp_path / "quarantine.csv"
    assert quarantine_to_csv(taken.result.quarantine_path, out) == 2
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert read_mended(out) == {2: "=cmd,x,@SUM(1)", 3: '-2,y,"=a\n=b"'}


def test_a_mended_row_joins_the_day_and_the_old_files_stay(take: Take, tmp_path: Path) -> None:
    taken = take(b"id,n,t\na,1,x\nb,two,y\nc,3\n")
    before = [p.read_bytes() for p in (taken.result.typed_path, taken.result.quarantine_path)]
    after = again(taken, tmp_path, mended={3: "b,2,y"})
    assert [row["id"] for row in after.typed] == ["a", "b"]
    assert after.rules == {4: ["too_few_fields"]}
    assert after.result.rows == taken.result.rows == 3
    after_files = [p.read_bytes() for p in (taken.result.typed_path, taken.result.quarantine_path)]
    assert after_files == before


def test_rows_are_judged_again_under_new_rules(take: Take, tmp_path: Path) -> None:
    strict = declare({"id": {"type": "string"}, "n": {"type": "integer", "maximum": 1}})
    loose = declare({"id": {"type": "string"}, "n": {"type": "integer", "maximum": 9}})
    taken = take(b"id,n\na,1\nb,5\n", strict)
    assert [row["n"] for row in again(taken, tmp_path, data=loose).typed] == [1, 5]


def test_a_mended_row_must_not_repeat_an_accepted_one(take: Take, tmp_path: Path) -> None:
    taken = take(b"id,n,t\na,1,x\nb,two,y\n")
    assert again(taken, tmp_path, mended={3: "a,2,y"}).rules == {3: ["unique"]}


def test_where_no_copy_is_kept_one_that_is_mended_lets_the_other_in(
    take: Take, tmp_path: Path
) -> None:
    data = declare(repeats="refuse_all")
    taken = take(b"id,n,t\na,1,x\nb,2,y\na,3,z\n", data)
    assert again(taken, tmp_path, data=data).rules == {2: ["unique"], 4: ["unique"]}
    after = again(taken, tmp_path, data=data, mended={4: "c,3,z"})
    assert [row["id"] for row in after.typed] == ["b", "a", "c"]
    accepted = again(taken, tmp_path, data=data, mended={4: "b,3,z"})
    assert accepted.rules == {4: ["unique"]}


@pytest.mark.parametrize(
    ("text", "rule"),
    [("b,2,y\nc,3,z", "several_rows"), ("", "blank_line"), ("b,2", "too_few_fields"),
     ('b,2,"y', "unclosed_quote"), ("b,2,y\0", "nul_byte")],
)  # fmt: skip
def test_a_row_that_is_mended_badly_stays(take: Take, tmp_path: Path, text: str, rule: str) -> None:
    taken = take(b"id,n,t\na,1,x\nb,two,y\n")
    assert again(taken, tmp_path, mended={3: text}).rules == {3: [rule]}


def test_bytes_that_are_no_text_come_through_a_replay(take: Take, tmp_path: Path) -> None:
    taken = take(b"id,n,t\na,1,x\nb,2,\xff\xfe\n", declare(encoding="utf-8"))
    assert again(taken, tmp_path).quarantine == taken.quarantine


@pytest.mark.parametrize("name", ["day.jsonl", "day.parquet"])
def test_rows_of_other_formats_come_back_too(take: Take, tmp_path: Path, name: str) -> None:
    strict = declare({"id": {"type": "string"}, "n": {"type": "float", "maximum": 1}})
    loose = declare({"id": {"type": "string"}, "n": {"type": "float"}})
    content = b'{"id": "a", "n": 0.5}\n{"id": "b", "n": 1.5}\n'
    if name.endswith("parquet"):
        pq.write_table(pa.table({"id": ["a", "b"], "n": [0.5, 1.5]}), tmp_path / "made")
        content = (tmp_path / "made").read_bytes()
    taken = take(content, strict, name=name)
    assert len(taken.quarantine) == 1
    assert [row["n"] for row in again(taken, tmp_path, data=loose).typed] == [0.5, 1.5]


def test_a_line_that_is_not_in_quarantine_cannot_be_mended(take: Take, tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="line 9 is not in quarantine"):
        again(take(b"id,n,t\na,1,x\n"), tmp_path, mended={9: "b,1,y"})


def test_the_present_files_are_never_overwritten(take: Take) -> None:
    result = take(b"id,n,t\na,1,x\n").result
    with pytest.raises(IntakeError, match="they stay"):
        replay(
            result.typed_path,
            result.quarantine_path,
            declare(),
            into=result.typed_path.parent,
            name="day.csv",
        )


def test_a_report_never_carries_a_terminal_s_control_characters(take: Take) -> None:
    taken = take(b"id,n,t\na,\x1b[31mred\x07,x\n" * 1)
    assert "\x1b" not in taken.result.report
    assert "\x07" not in taken.result.report


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_mended_rows_are_read_as_spreadsheets_save_them(
    take: Take, tmp_path: Path, encoding: str, delimiter: str
) -> None:
    long = "x" * 200_000
    taken = take(f'id,n,t\na,1,x\nb,two,"ü;{long}"\n'.encode())
    out = tmp_path / "rows.csv"
    quarantine_to_csv(taken.result.quarantine_path, out)
    with out.open(encoding="utf-8", newline="") as stream:
        csv.field_size_limit(1_000_000)
        rows = list(csv.reader(stream))
    mended = [[cell.replace("two", "2") for cell in row] for row in rows]
    with out.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(mended)
    after = again(taken, tmp_path, mended=read_mended(out))
    assert [row["t"] for row in after.typed] == ["x", f"ü;{long}"]


def test_what_is_no_file_of_mended_rows_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    for content, says in (
        (b"", "no columns `line_number` and `text`"),
        (b"a,b\n1,2\n", "no columns `line_number` and `text`"),
        (b"line_number,text\n1,x\n1,y\n", "is there twice"),
        (b"line_number,text\none,x\n", "is not a number"),
        (b'line_number,text\n1,x\n2,"y\n3,z\n', "line 3 cannot be read"),
    ):
        path.write_bytes(content)
        with pytest.raises(IntakeError, match=says):
            read_mended(path)
