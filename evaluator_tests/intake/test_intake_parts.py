"""Several files that make up one day."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.intake import QUARANTINED_ROWS, TYPED_ROWS, ingest, quarantine_to_csv, replay
from evaluator.spec import DataSpec
from evaluator_tests.intake.conftest import Taken, declare

TakeParts = Callable[..., Taken]


@pytest.fixture
def take_parts(tmp_path: Path) -> TakeParts:
    """Take in files, by name, as one day."""

    def run(parts: dict[str, bytes], **keys: Any) -> Taken:
        for name, content in parts.items():
            (tmp_path / name).write_bytes(content)
        return Taken(
            ingest(
                [tmp_path / name for name in parts],
                several(**keys),
                into=tmp_path / "out",
                name="day-*.csv",
            )
        )

    return run


def several(**keys: Any) -> DataSpec:
    return declare(files="{date}-*.csv", **keys)


def test_their_rows_are_one_day_and_an_id_is_there_once_in_all_of_them(
    take_parts: TakeParts,
) -> None:
    taken = take_parts({"a.csv": b"id,n,t\n1,1,x\n2,2,y\n", "b.csv": b"id,n,t\n2,5,z\n3,3,z\n"})
    assert [row["id"] for row in taken.typed] == ["1", "2", "3"]
    assert taken.rules == {5: ["unique"]}
    assert taken.profile.rows.read == 4
    assert [(part.file, part.first_line) for part in taken.profile.parts] == [
        ("a.csv", 1),
        ("b.csv", 4),
    ]


def test_report_and_quarantine_say_in_which_file_a_row_stands(
    take_parts: TakeParts, tmp_path: Path
) -> None:
    taken = take_parts(
        {"a.csv": b"id,n,t\n1,1,x\n\n", "b.csv": b"\n\nid,n,t\n2,two,y\n", "c.csv": b"id,n,t\n"}
    )
    assert "b.csv line 4 'two'" in taken.result.report
    assert "3 files, in this order: 'a.csv', 'b.csv', 'c.csv'" in taken.result.report
    out = tmp_path / "rows.csv"
    quarantine_to_csv(taken.result.quarantine_path, out)
    with out.open() as file:
        [row] = csv.DictReader(file)
    assert (row["place"], row["text"]) == ("b.csv line 4", "2,two,y")


def test_each_is_read_by_its_own_layout_also_when_its_rows_come_back(
    take_parts: TakeParts, tmp_path: Path
) -> None:
    taken = take_parts(
        {
            "a.csv": b"id,n,t\n1,1,x\n2,two,\xc3\xa9\n",
            "b.csv": "t;n;id\nMüller;zwei;3\nGröße;4;4\nMaß;5;5\n".encode("cp1252"),
        },
    )
    assert [(row["id"], row["t"]) for row in taken.typed] == [
        ("1", "x"),
        ("4", "Größe"),
        ("5", "Maß"),
    ]
    assert [row["raw"] for row in taken.quarantine] == [None, "Müller;zwei;3".encode("cp1252")]
    lines = [row["line_number"] for row in taken.quarantine]
    again = Taken(
        replay(
            tmp_path / "out" / TYPED_ROWS,
            tmp_path / "out" / QUARANTINED_ROWS,
            several(),
            into=tmp_path / "again",
            name="day-*.csv",
            mended={lines[0]: "2,2,é", lines[1]: "Müller;3;3"},
        )
    )
    assert [(row["id"], row["n"], row["t"]) for row in again.typed[3:]] == [
        ("2", 2, "é"),
        ("3", 3, "Müller"),
    ]
    assert again.quarantine == []
    # What stays in quarantine can come back once more.
    left = Taken(
        replay(
            tmp_path / "out" / TYPED_ROWS,
            tmp_path / "out" / QUARANTINED_ROWS,
            several(),
            into=tmp_path / "left",
            name="day-*.csv",
            mended={lines[0]: "2,2,é"},
        )
    )
    assert [row["raw"] for row in left.quarantine] == ["Müller;zwei;3".encode("cp1252")]
    assert left.profile.parts == taken.profile.parts


def test_one_that_cannot_be_taken_in_refuses_the_day_by_its_name(take_parts: TakeParts) -> None:
    taken = take_parts({"a.csv": b"id,n,t\n1,1,x\n", "b.csv": b"id,n\n2,2\n"})
    assert "the file is refused: b.csv: " in str(taken.broken)
    assert (taken.typed, taken.quarantine) == ([], [])


def test_keys_that_several_files_share_are_all_refused_where_that_is_declared(
    take_parts: TakeParts,
) -> None:
    parts = {"a.csv": b"id,n,t\n1,1,x\n2,2,y\n", "b.csv": b"id,n,t\n2,5,z\n3,3,z\n"}
    taken = take_parts(parts, repeats="refuse_all")
    assert [row["id"] for row in taken.typed] == ["1", "3"]


def test_what_is_noted_of_all_files_is_told_once_and_else_with_their_names(
    take_parts: TakeParts,
) -> None:
    taken = take_parts(
        {"a.csv": b"id,n,t\n1,1,x\n# no\n", "b.csv": b"id,n,t\n# no\n2,2,y\n"}, comment="#"
    )
    told = [note for note in taken.profile.notes if "left out" in note]
    assert told == [
        "a.csv: 1 lines left out as no rows (comment, not_rows), such as line 3",
        "b.csv: 1 lines left out as no rows (comment, not_rows), such as line 2",
    ]
    assert taken.profile.structure.left_out == 2
    assert [taken.profile.place_of(n) for n in taken.profile.structure.left_out_lines] == [
        "a.csv line 3",
        "b.csv line 2",
    ]


def test_a_day_without_rows_is_refused_unless_none_are_needed(take_parts: TakeParts) -> None:
    nothing = {"a.csv": b"id,n,t\n", "b.csv": b"id,n,t\n"}
    assert "a header and no rows" in str(take_parts(nothing).broken)
    assert take_parts(nothing, dataset_rules={"minimum_rows": 0}).broken is None
