"""Rows that need keep no rule are read of any file, by the types that an audit declares."""

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from evaluator.errors import IntakeError
from evaluator.intake import read_leniently
from evaluator.spec import DataSpec

COLUMNS: dict[str, Any] = {
    "case": {"type": "integer", "required": True, "unique": True},
    "amount": {"type": "float", "required": True, "minimum": 0},
    "place": {"type": "category", "allowed": ["n"], "required": True},
    "large": {"type": "boolean", "derive": "amount > 15"},
    "band": {"type": "category", "derive": "amount", "bins": [10]},
}


def data_with(columns: dict[str, Any] | None = None, **settings: Any) -> DataSpec:
    declared = {"files": "{date}.csv", "first_day": "2024-01-01", "id": "case", **settings}
    return DataSpec.model_validate(declared | {"columns": COLUMNS | (columns or {})})


def read(path: Path, data: DataSpec, ids: list[str] | None = None) -> tuple[pl.DataFrame, int]:
    parts = [*read_leniently(path, data, ids)]
    return pl.concat([part.frame for part in parts]), sum(part.unread for part in parts)


FRAME = pd.DataFrame(
    {"case": [1, 1, 3], "amount": [-4.0, 20.5, None], "place": ["q", "n", None], "other": 1}
)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.parquet", "t.jsonl", "t.xlsx"])
def test_no_rule_but_the_types_counts_whatever_the_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    {
        "t.csv": lambda: FRAME.to_csv(path, index=False, sep=";"),
        "t.tsv": lambda: FRAME.to_csv(path, index=False, sep="\t"),
        "t.csv.gz": lambda: path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode())),
        "t.parquet": lambda: FRAME.to_parquet(path),
        "t.jsonl": lambda: FRAME.to_json(path, orient="records", lines=True),
        "t.xlsx": lambda: FRAME.to_excel(path, index=False),
    }[name]()
    frame, unread = read(path, data_with())
    assert unread == 0
    assert frame.to_dict(as_series=False) == {
        "amount": [-4.0, 20.5, None],
        "place": ["q", "n", None],
        "large": [False, True, None],
        "band": ["below 10", "10 and above", None],
        "case": [1, 1, 3],
    }


def test_a_file_of_the_datas_format_is_laid_out_as_they_are_and_another_as_it_is(
    tmp_path: Path,
) -> None:
    german = data_with(delimiter=";", decimal=",", skip_lines=1, missing_values=["-"])
    (tmp_path / "t.csv").write_text("a title\ncase;amount\n7;1,5\n8;-\n")
    frame, unread = read(tmp_path / "t.csv", german)
    assert (frame["amount"].to_list(), unread) == ([1.5, None], 0)
    pd.DataFrame({"case": [7], "amount": [1.5]}).to_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet", german)[0]["amount"].to_list() == [1.5]


def test_what_a_file_lacks_is_no_column_and_nothing_is_derived_of_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("place,case\nn,4\n")
    assert read(tmp_path / "t.csv", data_with())[0].columns == ["place", "case"]
    (tmp_path / "t.csv").write_text("amount\n4\n")
    assert "case" not in read(tmp_path / "t.csv", data_with())[0].columns


def test_rows_with_a_value_of_another_type_are_counted_and_the_rest_of_them_is_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "t.csv").write_text('case,amount\n1,2\nx,y\n3,z\n4,5,6,7\n"8",9\n')
    frame, unread = read(tmp_path / "t.csv", data_with())
    assert frame["case"].to_list() == [1, None, 3, 8]
    assert unread == 3


@pytest.mark.parametrize("text", ["1\n2\n", "flight\n1\n2\n"], ids=["bare", "with a header"])
def test_one_column_that_is_called_like_none_holds_ids(tmp_path: Path, text: str) -> None:
    (tmp_path / "ids.txt").write_text(text)
    frame, _ = read(tmp_path / "ids.txt", data_with())
    assert frame["case"].drop_nulls().to_list() == [1, 2]
    assert frame.columns == ["case"]


def test_ids_may_be_called_otherwise_and_be_several_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("no,case,amount\n5,x,1\n")
    frame, unread = read(tmp_path / "t.csv", data_with(), ["no"])
    # What is called like the id is none.
    assert (frame["case"].to_list(), unread) == ([5], 1)
    two = data_with({"part": {"type": "string"}}, id=["case", "part"])
    (tmp_path / "t.csv").write_text("no,line\n5,a/b\n6,\n")
    frame, _ = read(tmp_path / "t.csv", two, ["no", "line"])
    assert frame[two.id_column].to_list() == ["5/a\\/b", None]


def test_a_file_that_is_absent_or_broken_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="there is no such file"):
        read(tmp_path / "t.csv", data_with())
    (tmp_path / "t.parquet").write_bytes(b"no parquet")
    with pytest.raises(IntakeError, match=r"t\.parquet"):
        read(tmp_path / "t.parquet", data_with())
