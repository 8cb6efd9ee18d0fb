import csv
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from evaluator.errors import IntakeError, UsageError
from evaluator.intake import IntakeResult, infer_audit, infer_schema, ingest
from evaluator.spec import TASKS, AuditSpec, DataSpec, RowNumber, TaskName


class Found:
    """What was inferred from a file, and what becomes of the file under it."""

    def __init__(self, path: Path) -> None:
        self.text = infer_schema(path)
        self.data = DataSpec.model_validate(yaml.safe_load(self.text))
        self.result: IntakeResult = ingest(path, self.data, into=path.parent / "out")
        self.typed = pq.read_table(self.result.typed_path).to_pylist()

    def keys(self, name: str) -> dict[str, Any]:
        return self.data.columns[name].model_dump(exclude_unset=True)

    def line(self, name: str) -> str:
        """The line of YAML of a column."""
        return next(one for one in self.text.splitlines() if one.startswith(f"  {name}: "))


def infer(folder: Path, content: bytes | str, name: str = "day-2024-03-01.csv") -> Found:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Found(path)


def column(folder: Path, *values: str) -> Found:
    """Infer a column `v` of values; their rows are counted in `id`."""
    rows = "".join(f'{number},"{value}"\n' for number, value in enumerate(values))
    return infer(folder, f"id,v\n{rows}")


MANY = [
    (["1", "-2", "+3"], {"type": "integer"}),
    (["1", "9223372036854775807"], {"type": "integer"}),
    (["1", "9223372036854775808"], {"type": "string"}),
    (["12345678901234567890123"], {"type": "string"}),
    (["10115", "00077"], {"type": "string"}),
    (["1.5", "2"], {"type": "float"}),
    (["1,5", "2"], {"type": "float", "decimal": ","}),
    (["1.234,50", "7"], {"type": "float", "decimal": ",", "thousands": "."}),
    (["1,234.50", "7"], {"type": "float", "thousands": ","}),
    (["1 234", "12\u202f345", "7"], {"type": "integer", "thousands": " "}),
    (["1'234", "7"], {"type": "integer", "thousands": "'"}),
    (["$1.50", "$2"], {"type": "float", "currency": ("$",)}),
    (["1.50 EUR", "2 EUR"], {"type": "float", "currency": ("EUR",)}),
    (["10%", "5.5 %"], {"type": "float", "percent": True}),
    (["(12.00)", "3.5"], {"type": "float", "parentheses": True}),
    (["true", "FALSE"], {"type": "boolean"}),
    (["2024-03-01", "2024-12-31"], {"type": "date"}),
    (["01.03.2024", "31.12.2024"], {"type": "date", "formats": ("%d.%m.%Y",)}),
    (["03/13/2024", "12/31/2024", "01/02/2024"], {"type": "date", "formats": ("%m/%d/%Y",)}),
    (["1.3.24", "31.12.24"], {"type": "date", "formats": ("%-d.%-m.%y",)}),
    (["2024-03-01 10:00:00"], {"type": "timestamp"}),
    (["2024-03-01T10:00:00Z", "2024-03-01T10:00:00+02:00"],
     {"type": "timestamp", "time_zone": "UTC"}),
    (["3/13/2024 1:05 PM", "3/2/2024 11:05 AM"],
     {"type": "timestamp", "formats": ("%-m/%-d/%Y %-I:%M %p",)}),
    (["Mar 1, 2024", "Dec 31, 2024"], {"type": "date", "formats": ("%b %-d, %Y",)}),
    (["1", "２"], {"type": "string"}),  # noqa: RUF001 - a full-width digit
    (["a1", "b2"], {"type": "string"}),
]  # fmt: skip


@pytest.mark.parametrize(("values", "keys"), MANY)
def test_a_column_is_declared_as_all_its_values_are_and_the_file_passes(
    tmp_path: Path, values: list[str], keys: dict[str, Any]
) -> None:
    found = column(tmp_path, *values)
    assert found.keys("v") == {**keys, "required": True}
    assert found.result.accepted == len(values)
    assert found.result.broken is None


def test_one_value_among_thousands_decides_wherever_it_stands(tmp_path: Path) -> None:
    many = [str(10_000 + n) for n in range(20_000)]
    assert column(tmp_path, *many, "00077").keys("v")["type"] == "string"
    days = [f"{1 + n % 12:02}/{1 + n % 12:02}/2024" for n in range(15_000)]
    assert column(tmp_path, *days, "12/13/2024").keys("v")["formats"] == ("%m/%d/%Y",)


def test_dates_that_both_orders_read_are_told(tmp_path: Path) -> None:
    found = column(tmp_path, "01/02/2024", "03/04/2024")
    assert found.keys("v")["formats"] == ("%d/%m/%Y",)
    assert "%m/%d/%Y would read all values, too" in found.line("v")


def test_dates_of_several_spellings_stay_texts_and_are_shown(tmp_path: Path) -> None:
    found = column(tmp_path, "2024-03-01", "01/03/2024", "03/13/2024", "1.3.24")
    assert found.keys("v")["type"] == "string"
    assert "2024-03-01, 01/03/2024, 1.3.24" in found.line("v")


def test_each_line_that_does_not_pass_is_named(tmp_path: Path) -> None:
    values = [str(n) for n in range(100)]
    found = column(tmp_path, *values[:50], "oops", *values[50:])
    assert found.keys("v")["type"] == "integer"
    assert "# 1 row does not pass, and would go into quarantine:\n#   line 52: v type" in found.text
    assert found.result.quarantined == 1


@pytest.mark.parametrize("word", ["N/A", "#N/A", "\\N", "n.a.", "<NA>", "missing", "."])
def test_words_for_missing_are_no_category_and_no_number(tmp_path: Path, word: str) -> None:
    found = column(tmp_path, *["north", "south", word] * 10)
    assert found.keys("v")["allowed"] == ("north", "south")
    assert found.keys("v")["missing_values"] == ("", word)
    assert found.result.accepted == 30
    assert column(tmp_path, "1", "2", word).keys("v")["type"] == "integer"


def test_numbers_that_a_spreadsheet_has_shortened_are_no_ids(tmp_path: Path) -> None:
    found = infer(tmp_path, "id,n\n5.70306E+17,0\n5.70307E+17,1\n")
    assert found.keys("id")["type"] == "string"
    assert "a spreadsheet has shortened" in found.line("id")


def test_an_amount_or_a_date_is_never_proposed_as_id(tmp_path: Path) -> None:
    found = infer(tmp_path, "amount,day,n\n1.5,2024-03-01,1\n2.5,2024-03-02,1\n")
    assert found.data.id_columns == ()
    assert "{row: number}" in found.text
    assert infer(tmp_path, "when,v\n2024-03-01,1\n2024-03-02,1\n").data.id_columns == ()
    named = infer(tmp_path, "amount,customer_id\n1,a\n2,b\n")
    assert named.data.id == "customer_id"


LAYOUTS = [
    ("sep=;\r\nid;v\r\n1;a\r\n", {"delimiter": ";"}),
    ("Export of today\nid;v;w\n1;a;b\n2;c;d\n", {"skip_lines": 1, "delimiter": ";"}),
    ("# exported 2024\n# by tool\nid,v\n1,a\n2,b\n", {"comment": "#"}),
    ("id,v\n1,4\n2,5\n3,6\nTotal,15\n", {"not_rows": ("Total,.*",)}),
    ("id,v\n1,4\n2,5\n3,6\nSource: the office\n", {"not_rows": ("Source:.*",)}),
    ('id,v\n1,"a \\"b\\" c"\n2,d\n', {"escape": "\\"}),
    ('id, v\n1, a\n2, "b, c"\n', {"blanks_after_delimiter": True}),
    ('id,v\n1,="007"\n2,="008"\n', {"quote": ""}),
    ("id|v\n1|a,b\n2|c\n", {"delimiter": "|"}),
    ("Sales;;\n;;\nid;v;w\n1;a;b\n2;c;d\n", {"skip_lines": 2, "delimiter": ";"}),
    (',,"Sales\nof May"\nid,v,w\n1,a,b\n2,,c\n', {"skip_lines": 2}),
    ("id,north,,south\n,x,y,x\n1,2,3,4\n5,6,7,8\n", {"header_lines": 2}),
    ('id,v\n"id",v\n1,a\n2,b\n', {"header_lines": 2}),
    ("id,v,w\n1,'a, b','c'\n2,'d','e'\n", {"quote": "'"}),
]


@pytest.mark.parametrize(("content", "keys"), LAYOUTS)
def test_a_layout_is_proposed_under_which_every_row_is_whole(
    tmp_path: Path, content: str, keys: dict[str, Any]
) -> None:
    found = infer(tmp_path, content)
    declared = found.data.model_dump(exclude_unset=True)
    assert {key: declared[key] for key in keys} == keys
    assert declared.keys() - keys.keys() == {"files", "first_day", "id", "columns"}
    assert found.result.quarantined == 0
    assert found.data.columns.keys() & {"id", "id id"}


def test_a_first_line_that_looks_like_a_row_is_one_and_told(tmp_path: Path) -> None:
    found = infer(tmp_path, "1,alpha,2024-01-01\n2,beta,2024-01-02\n")
    assert found.data.header is False
    assert "# unsure: the first line looks like a row" in found.text
    assert found.result.accepted == 2
    assert infer(tmp_path, "id,2023,2024\n1,2,3\n2,3,4\n").data.header is None


def test_what_is_taken_for_a_title_or_a_header_of_several_lines_is_told(tmp_path: Path) -> None:
    found = infer(tmp_path, "Sales,,,\nid,north,,south\n,x,y,x\n1,2,3,4\n5,6,7,8\n")
    assert list(found.data.columns) == ["id", "north x", "north y", "south x"]
    assert "# unsure: the lines before the header are taken for a title" in found.text
    assert "# unsure: the header seems to go over 2 lines" in found.text
    assert found.result.accepted == 2
    assert infer(tmp_path, "id,,v\n1,x,a\n2,y,b\n").data.header_lines == 1


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("x,x,x\na,1,2,3\nb,4,5,6\nc,7,8,9\n", ["column_1", "x", "x_2", "x_3"]),
        ("n,x\na,1,2\nb,4,5\nc,7,8\n", ["column_1", "n", "x"]),
        ("id,n\na,1,\nb,4,\nc,7,\n", ["id", "n", "column_3"]),
        ('n,"m\nk",x\na,1,2,3\nb,4,5,6\nc,7,8,9\n', ["column_1", "n", "column_3", "x"]),
        ("sep=,\nx,x,x,x\na,1,2,3\nb,4,5,6\nc,7,8,9\n", ["x", "x_2", "x_3", "x_4"]),
    ],
)
def test_a_header_that_cannot_name_the_columns_is_numbered_and_told(
    tmp_path: Path, content: str, names: list[str]
) -> None:
    found = infer(tmp_path, content)
    assert list(found.data.columns) == names
    assert found.data.header is False
    assert "# unsure: the header lacks a name or repeats most" in found.text
    assert (found.result.accepted, found.result.quarantined) == (3, 0)
    assert [row[names[0]] for row in found.typed] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("content", "doubt"),
    [
        ("a,b,\n1,2,3\n4,5\n6,7\n8,9,1\n2,3,4\n", "only 3 of 5 lines have as many fields"),
        ("2023,2024\nx,y\nz,y\n", "the header holds numbers alone"),
        ('id,"a\nb"\n1,2\n3,4\n', "a name in the header goes over several lines"),
        ("id,,,\n1,x,y,z\n2,y,z,x\n", "the lines before the header are taken for a title"),
    ],
)
def test_a_doubtful_header_is_told(tmp_path: Path, content: str, doubt: str) -> None:
    assert f"# unsure: {doubt}" in infer(tmp_path, content).text


def test_columns_that_cannot_be_named_are_told(tmp_path: Path) -> None:
    found = infer(tmp_path, "id,\u200bn,a,a,,^x$\n1,2,3,4,5,6\n")
    assert list(found.data.columns) == ["id", "n"]
    for told in ("'a' is left out: there are 2", "without a name is left out", "nobody sees"):
        assert told in found.text


def test_where_no_row_is_whole_their_number_is_told(tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match=r"it has 3 rows, and none is whole \(3 x nul_byte\)"):
        infer(tmp_path, "A,B,C\n1,\0,2\n3,\0,4\n5,\0,6\n")
    with pytest.raises(IntakeError, match="it has 1 row, and none has as many fields as the first"):
        infer(tmp_path, "A,B,C\n1,4\n2,5,8,,\n")
    with pytest.raises(IntakeError, match="a header and no rows"):
        infer(tmp_path, "A,B,C\n")


@pytest.mark.parametrize(
    ("name", "files", "day"),
    [
        ("day-2024-03-01.csv", "day-{date}.csv", "2024-03-01"),
        ("data.jsonl", "data.jsonl", "None"),
        ("x-2024-02-30.jsonl", "x-2024-02-30.jsonl", "None"),
        ("sales-2024-03.csv", "sales-{month}.csv", "2024-03-01"),
        ("sales_2024.csv", "sales_{year}.csv", "2024-01-01"),
        ("sales-2024-13.csv", "sales-2024-13.csv", "None"),
        ("export 2024-03-01T10.ndjson", "export {date}T10.ndjson", "2024-03-01"),
    ],
)
def test_the_files_name_is_kept_with_its_date_and_ending(
    tmp_path: Path, name: str, files: str, day: str
) -> None:
    line = '{"id": 1, "v": 2}\n' if "nd" in name or "jsonl" in name else "id,v\n1,2\n"
    found = infer(tmp_path, line, name)
    assert (found.data.files, str(found.data.first_day)) == (files, day)
    assert found.result.accepted == 1


def test_a_parquet_file_s_own_types_are_the_truth(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([2**53 + 1, 2**53 + 2], pa.int64()),
            "big": pa.array([2**64 - 1, 1], pa.uint64()),
            "price": pa.array([1, 2], pa.decimal128(12, 2)),
            "at": pa.array([0, 1], pa.timestamp("us", "America/New_York")),
            "code": pa.array(["007", "1"]),
            "many": pa.array([[1], [2]]),
        }
    )
    path = tmp_path / "day-2024-03-01.parquet"
    pq.write_table(table, path)
    found = Found(path)
    kinds = {name: spec.type for name, spec in found.data.columns.items()}
    assert kinds == {
        "id": "integer", "big": "string", "price": "decimal", "at": "timestamp", "code": "string",
    }  # fmt: skip
    assert found.keys("price")["precision"] == 12
    assert found.keys("at")["time_zone"] == "America/New_York"
    assert [row["id"] for row in found.typed] == [2**53 + 1, 2**53 + 2]
    assert "'many' is left out" in found.text


def test_a_guessed_encoding_is_declared_and_doubted(tmp_path: Path) -> None:
    found = infer(tmp_path, "id,v\n0,Müller\n1,Jørgen\n".encode("cp1252"))
    assert found.data.encoding == "cp1252"
    assert "# unsure: the encoding cp1252 is a guess" in found.text
    assert [row["v"] for row in found.typed] == ["Müller", "Jørgen"]


def test_a_whole_first_audit_loads(tmp_path: Path) -> None:
    path = tmp_path / "cases-2024-03-01.csv"
    rows = "".join(f"c{n},r{n % 30},{'ab'[n % 2]},{'yes' if n % 3 else 'no'}\n" for n in range(90))
    path.write_text(f"case,region,kind,ok\n{rows}")
    written = yaml.safe_load(infer_audit(path, "ok", geography="region", segment="kind"))
    spec = AuditSpec.model_validate(written["attributes"])
    assert (spec.geography, spec.segment) == ("region", "kind")
    assert len(spec.slices()) == 60
    assert spec.label is not None
    assert (spec.label.column, spec.label.positive) == ("ok", "yes")
    undivided = AuditSpec.model_validate(yaml.safe_load(infer_audit(path, "ok"))["attributes"])
    assert (undivided.geography, undivided.segment) == (None, None)
    with pytest.raises(IntakeError, match="no column 'nowhere'"):
        infer_audit(path, "ok", geography="nowhere", segment="kind")
    with pytest.raises(UsageError, match="and a binary label has two"):
        infer_audit(path, "region", task="binary", geography="kind", segment="ok")


@pytest.mark.parametrize(
    ("values", "said", "label", "comment"),
    [
        (["x, y", 'z "q"', "ü=1"], None, {}, "  # it has 3 different texts\n"),
        (["3", "1", "2"], None, {"classes": [1, 2, 3]}, "`--task regression` takes it otherwise"),
        (["3.0", "1.0", "2.0"], None, {}, "unsure: it has only 3 different whole numbers"),
        (["3", "1", "2"], "multiclass", {"classes": [1, 2, 3]}, "task: multiclass\n"),
        (["3", "1", "2"], "regression", {}, "task: regression\n"),
        ([f"{n}.5" for n in range(30)], None, {}, "  # it has 30 different numbers\n"),
        ([str(n) for n in range(30)], None, {}, "  # it has 30 different numbers\n"),
        (["1", "0"], "multiclass", {"classes": [0, 1]}, "task: multiclass\n"),
        (["true", "false"], "multiclass", {"classes": [False, True]}, "task: multiclass\n"),
        (["1.0", "0.0"], None, {"positive": 1, "negative": 0}, "which of the two values counts"),
    ],
)
def test_task_label_and_metrics_follow_from_the_label_s_values_or_from_your_word(
    values: list[str],
    said: TaskName | None,
    label: dict[str, Any],
    comment: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "cases.csv"
    with path.open("w", newline="") as file:
        rows = [(f"c{n}", values[n % len(values)]) for n in range(180)]
        csv.writer(file).writerows([("case", "truth"), *rows, ("c180", "NA")])

    text = infer_audit(path, "truth", task=said)

    spec = AuditSpec.model_validate(yaml.safe_load(text)["attributes"])
    assert spec.label is not None
    declared = spec.label.model_dump(exclude_unset=True, mode="json")
    assert declared == {"column": "truth", **label}
    assert spec.metrics == TASKS[spec.task].headline_metrics
    if spec.task == "multiclass":
        assert sorted(spec.asks.classes) == sorted(values)
    assert comment in text


def test_the_task_that_is_usual_goes_without_saying(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_text("case,ok\n" + "".join(f"c{n},{n % 2}\n" for n in range(40)))
    text = infer_audit(path, "ok")
    assert "task" not in text
    assert "metrics" not in text
    assert "#   - {name: first, kind: recorded, path: outputs.csv, id: id, score: score}" in text


@pytest.mark.parametrize(
    ("values", "task", "says"),
    [
        (["x"], None, "all its values are 'x', and a label has at least two"),
        ([""], None, "it has no values"),
        ([f"2024-01-{n:02}" for n in range(1, 29)], None, "it is a date, which is neither class"),
        (["2024-01-01", "2024-01-02"], None, "it is a date, which is neither class nor number"),
        ([f"text {n}" for n in range(100)], None, "100 different texts hardly repeat"),
        ([f"text {n}" for n in range(5000)], None, "more different texts than there can be"),
        ([f"text {n}" for n in range(5000)], "multiclass", "more different values than there can"),
        (["1.5", "2.5", "3"], "multiclass", "its numbers are no whole ones"),
        (["1.5", "2.5"], "binary", "its numbers are no whole ones"),
        (["a", "b", "c"], "regression", "it holds no numbers ('a', 'b', 'c')"),
    ],
)
def test_what_can_be_no_label_is_refused_with_what_could_be_one(
    values: list[str], task: TaskName | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "cases.csv"
    rows = "".join(f"c{n},{values[n % len(values)]}\n" for n in range(max(120, len(values))))
    path.write_text(f"case,truth\n{rows}")
    with pytest.raises(UsageError, match=f"--label truth: .*{re.escape(says)}") as caught:
        infer_audit(path, "truth", task=task)
    assert "a class that other rows have, too, or a number" in caught.value.fix


def test_values_that_are_not_of_the_label_s_type_are_no_values_of_it(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_text("case,ok\n" + "".join(f"c{n},{n % 2}\n" for n in range(40)) + "c40,often\n")
    written = yaml.safe_load(infer_audit(path, "ok"))["attributes"]
    assert written["label"] == {"column": "ok", "positive": 1, "negative": 0}


def test_a_column_that_is_called_as_added_ids_are_keeps_its_name(tmp_path: Path) -> None:
    found = infer(tmp_path, "row number,v\n1,a\n1,b\n")
    assert list(found.data.columns) == ["row number", "v"]
    numbered = found.data.model_copy(update={"id": RowNumber(row="number")})
    assert numbered.id_column == "row number (id)"
