# ruff: noqa: DTZ001, DTZ007, E501 - timestamps without a zone are part of what is tested, in tables
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from evaluator.errors import IntakeError
from evaluator.intake import (
    Profile,
    _ingest,
    _statistics,
    reference_content,
    replay,
    unusual_volume,
)
from evaluator.intake._readers._delimited import DelimitedReader
from evaluator.intake._typing import parse_values
from evaluator.spec import ColumnSpec, parse_time_format
from evaluator_tests.intake.conftest import Take, Taken, declare

CUT: dict[str, Any] = {"id": {"type": "string"}, "n": {"type": "integer"}}
TABLE = {"url_from": "WAREHOUSE", "query": "SELECT * FROM t WHERE day = :day"}


def column(take: Take, spec: dict[str, Any], *values: str) -> tuple[list[Any], list[int]]:
    """Take in values of one column; give what was typed, and which values were refused."""
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    rows = [f"r{number},{value}\n" for number, value in enumerate(quoted)]
    content = ("id,v\n" + "".join(rows)).encode()
    taken = take(content, declare({"id": {"type": "string"}, "v": spec}, trim=False))
    refused = [row["line_number"] - 2 for row in taken.quarantine]
    return [row["v"] for row in taken.typed], refused


@pytest.mark.parametrize(
    ("type_", "good", "typed", "bad"),
    [
        ("string", ["007", "1e5", "NA", "=1", "2013-02-30"], None, []),
        ("string", ["1234567890123456789"], None, []),
        ("integer", ["007", "-3", "+5", "9223372036854775807"], [7, -3, 5, 2**63 - 1],
         ["1e5", "5.0", " 5", "5 ", "1_0", "9223372036854775808", "NA", "0x10", "٣", "--1"]),
        ("float", ["1e5", "-.5", "007", "1."], [1e5, -0.5, 7.0, 1.0],
         ["nan", "inf", "-Infinity", "1e999", "1,5", "1 000", "NaN", "five"]),
        ("boolean", ["true", "FALSE", "1", "0"], [True, False, True, False], ["yes", "2", "tRUE"]),
        ("date", ["2013-02-28"], [date(2013, 2, 28)],
         ["2013-02-30", "2013-2-3", "28.02.2013", "2013-02-28 00:00", "+2013-2-28", "2013/02/28"]),
        ("timestamp", ["2013-02-28 10:00:00", "2013-02-28T10:00:00.5", "2013-02-28"],
         [datetime(2013, 2, 28, 10), datetime(2013, 2, 28, 10, 0, 0, 500_000), datetime(2013, 2, 28)],
         ["2013-02-30 10:00:00", "2013-02-28 25:00:00", "2013-02-28T10:00:00Z", "now",
          "2013-02-28 10:00:00.1234567"]),
    ],
)  # fmt: skip
def test_a_value_is_of_its_type_or_refused_and_never_guessed(
    take: Take, type_: str, good: list[str], typed: list[Any] | None, bad: list[str]
) -> None:
    values, refused = column(take, {"type": type_}, *good, *bad)
    assert values == (good if typed is None else typed)
    assert refused == list(range(len(good), len(good) + len(bad)))


def test_a_decimal_is_exact_or_refused_and_never_rounded(take: Take) -> None:
    spec = {"type": "decimal", "precision": 6, "scale": 2}
    values, refused = column(
        take, spec, "1234.56", "-0.1", "007", "1.500", "1.234", "12345", ".", "1e2"
    )
    assert values == [Decimal("1234.56"), Decimal("-0.10"), Decimal(7), Decimal("1.50")]
    assert refused == [4, 5, 6, 7]


def test_formats_are_tried_in_order(take: Take) -> None:
    spec = {"type": "date", "formats": ["%d.%m.%Y", "%Y%m%d"]}
    values, refused = column(take, spec, "01.02.2013", "20130201", "2013-02-01", "31.02.2013")
    assert values == [date(2013, 2, 1)] * 2
    assert refused == [2, 3]


def test_a_time_zone_gives_instants_and_refuses_hours_that_are_none(take: Take) -> None:
    spec = {"type": "timestamp", "time_zone": "Europe/Berlin"}
    values, refused = column(
        take,
        spec,
        "2013-07-01 12:00:00",
        "2013-07-01T12:00:00Z",
        "2013-03-31 02:30:00",
        "2013-10-27 02:30:00",
    )
    assert [value.astimezone(UTC).hour for value in values] == [10, 12]
    assert refused == [2, 3]


def test_missing_spellings_also_coded_ones_are_missing_and_not_wrong(take: Take) -> None:
    spec = {"type": "integer", "missing_values": ["", "-99", "NA"], "minimum": 0}
    values, refused = column(take, spec, "-99", "NA", "", "5", "-98")
    assert values == [None, None, None, 5]
    assert refused == [4]


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        ({"type": "category", "allowed": ["a", "b"]}, ["a", ""], ["c", "A", "a "]),
        ({"type": "integer", "allowed": [2**53 + 1]}, ["9007199254740993"], ["9007199254740992"]),
        ({"type": "float", "allowed": [1, 2.5]}, ["1", "2.50"], ["2"]),
        ({"type": "date", "allowed": [date(2013, 1, 1)]}, ["2013-01-01"], ["2013-01-02"]),
        ({"type": "boolean", "allowed": [True]}, ["true"], ["false"]),
        ({"type": "decimal", "allowed": [0.1]}, ["0.10"], ["0.11"]),
        ({"type": "timestamp", "allowed": [datetime(2013, 1, 1)]}, ["2013-01-01"], ["2013-01-02"]),
        ({"type": "integer", "minimum": 1, "maximum": 3}, ["1", "3", ""], ["0", "4"]),
        ({"type": "decimal", "minimum": 0.1}, ["0.10"], ["0.09"]),
        ({"type": "date", "minimum": date(2013, 1, 1)}, ["2013-01-01"], ["2012-12-31"]),
        ({"type": "timestamp", "maximum": date(2013, 1, 1)}, ["2013-01-01 00:00"], ["2013-01-01 00:01"]),
        ({"type": "timestamp", "time_zone": "Europe/Berlin", "minimum": datetime(2013, 1, 1)},
         ["2012-12-31T23:00:00Z"], ["2012-12-31T22:59:59Z"]),
        ({"type": "string", "minimum_length": 2, "maximum_length": 3}, ["äö", "abc"], ["ä", "abcd"]),
        ({"type": "string", "pattern": "[A-Z]{2}|x"}, ["AB", "x"], ["ABC", "aAB", "xx", "AB\n"]),
        ({"type": "string", "required": True}, ["x"], [""]),
        ({"type": "string", "unique": True}, ["x", "y", "", ""], ["x"]),
    ],
)  # fmt: skip
def test_each_rule_refuses_what_breaks_it(
    take: Take, spec: dict[str, Any], good: list[str], bad: list[str]
) -> None:
    _, refused = column(take, spec, *good, *bad)
    assert refused == list(range(len(good), len(good) + len(bad)))


def test_a_row_with_two_faults_carries_both_reasons(take: Take) -> None:
    columns = {
        "id": {"type": "string"},
        "n": {"type": "integer", "required": True},
        "k": {"type": "category", "allowed": ["a"]},
    }
    taken = take(b"id,n,k\nr,many,z\ns,,a\n", declare(columns))
    assert taken.rules == {2: ["type", "allowed"], 3: ["required"]}
    assert [r["message"] for r in taken.quarantine[0]["reasons"]] == [
        "n: 'many' is not an integer",
        "k: 'z' is not an allowed value",
    ]


def test_a_warning_is_counted_and_the_row_stays(take: Take) -> None:
    columns = {"id": {"type": "string"}, "n": {"type": "integer", "maximum": 5, "severity": "warn"}}
    taken = take(b"id,n\na,9\nb,1\n", declare(columns))
    assert len(taken.typed) == 2
    finding = taken.profile.findings[0]
    assert (finding.severity, finding.count, finding.examples[0].line) == ("warn", 1, 2)


def test_the_first_good_row_keeps_a_unique_value(take: Take) -> None:
    columns = {"id": {"type": "string"}, "n": {"type": "integer", "minimum": 0}}
    taken = take(b"id,n\na,-1\na,1\na,2\nb,3\n", declare(columns))
    assert [(row["id"], row["n"]) for row in taken.typed] == [("a", 1), ("b", 3)]
    assert taken.rules == {2: ["minimum"], 4: ["unique"]}


def test_columns_are_unique_together_where_declared(take: Take) -> None:
    data = declare(unique_together=[["n", "t"]])
    taken = take(b"id,n,t\na,1,x\nb,1,y\nc,1,x\nd,,x\ne,,x\n", data)
    assert list(taken.rules) == [4]


def test_a_row_rule_looks_across_columns_and_passes_over_what_is_missing(take: Take) -> None:
    columns = {name: {"type": "integer"} for name in ("a", "b")} | {"id": {"type": "string"}}
    data = declare(columns, row_rules=[{"name": "in order", "expression": "a <= b"}])
    taken = take(b"id,a,b\nr,1,2\ns,3,2\nt,,2\n", data)
    assert taken.rules == {3: ["in order"]}
    assert taken.quarantine[0]["reasons"][0]["value"] == "a=3, b=2"


def test_a_derived_column_is_missing_where_an_input_is(take: Take) -> None:
    columns = {
        "id": {"type": "string"},
        "delay": {"type": "float", "missing_values": ["", "NA"]},
        "late": {"type": "integer", "derive": "delay > 15", "allowed": [0, 1]},
    }
    taken = take(b"id,delay\na,16\nb,15\nc,NA\n", declare(columns))
    assert [row["late"] for row in taken.typed] == [1, 0, None]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("n + 1 == 4", True), ("n / 0 > 1", None), ("n % 2 == 1 and n // 2 == 1", True),
        ("-n < 0 < n", True), ("not (n > 5)", True), ("t in ['x', 'y']", True),
        ("t not in ['x']", False), ("length(t) == 1", True), ("upper(t) == 'X'", True),
        ("starts_with(t, 'x') or ends_with(t, 'q')", True), ("is_missing(m)", True),
        ("m > 1", None), ("is_missing(m) or m > 1", True), ("year(d) == 2013", True),
        ("weekday(d) == 4 and month(d) == 2 and day(d) == 28", True),
        ("d < date('2013-03-01')", True), ("date(s) == d and hour(s) == 10", True),
        ("round(n / 7, 2) == 0.43", True), ("abs(n - 10) == 7", True),
        ("column('t') == 'x'", True), ("9223372036854775807 + n > 0", True),
        ("number(replace('1.234,5', ',', '.')) > 0", None), ("number(t) > 0", None),
        ("number(replace(replace('1.234,5', '.', ''), ',', '.')) == 1234.5", True),
        ("number('inf') > 0", None), ("replace('a.b', '.', '') == 'ab'", True),
    ],
)  # fmt: skip
def test_expressions_compute_what_they_say(take: Take, expression: str, expected: object) -> None:
    columns = {
        "id": {"type": "string"},
        "n": {"type": "integer"},
        "m": {"type": "integer"},
        "t": {"type": "string"},
        "d": {"type": "date"},
        "s": {"type": "timestamp"},
        "v": {"type": "boolean", "derive": expression},
    }
    taken = take(b"id,n,m,t,d,s\na,3,,x,2013-02-28,2013-02-28 10:00:00\n", declare(columns))
    assert taken.typed[0]["v"] is expected


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os')", "n.real > 1", "n[0] > 1", "(lambda: 1)()", "[x for x in n]", "n > 't'",
        "unknown > 1", "n", "n ** 9 > 1", "n > 1 if n else n", "f'{n}' == 'a'", "t > None", "n is n",
        "abs(n, n) > 1", "abs(t) > 1", "t in n", "t in ['a', 1]", "date('2013-02-30') < date('x')",
        "n > 1; n", "", "n == 99999999999999999999", "is_missing(n + 1)", "(" * 200 + "n" + ")" * 200,
        "not " * 100 + "True",
    ],
)  # fmt: skip
def test_what_is_not_of_the_language_is_refused_when_the_yaml_loads(expression: str) -> None:
    with pytest.raises(ValidationError, match="row_rules"):
        declare(row_rules=[{"name": "rule", "expression": expression}])


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"files": "x.csv"}, "the data are of no day"),
        ({"files": "x-{day}.csv"}, "{day} stands for nothing"),
        ({"files": "*/{date}.csv"}, "not in the name of a file"),
        ({"files": None}, "name the files that arrive"),
        ({"first_day": None}, "the data are of a day each"),
        ({"landing": "landing/here"}, "neither an absolute path nor a URL"),
        ({"landing": "ftp://ada:secret@host/x"}, "names a user"),
        ({"table": TABLE}, "there is a `table` as well"),
        ({"files": None, "table": TABLE, "landing": "/data"}, "no file arrives"),
        ({"files": None, "table": {**TABLE, "query": "SELECT :dya"}}, ":dya stands for nothing"),
        ({"files": None, "table": {**TABLE, "url_from": "sqlite://x"}}, "no place for a pass"),
        ({"files": None, "table": {**TABLE, "query": "SELECT 1"}}, "the data are of no day"),
        ({"files": "../{date}.csv"}, "not a plain path"),
        ({"files": "/{date}.csv"}, "not a plain path"),
        ({"id": "z"}, "no column 'z'"),
        ({"columns": {"id": {"type": "string", "minimum": 1}}}, "says nothing about"),
        ({"columns": {"id": {"type": "integer", "minimum": 2, "maximum": 1}}}, "above maximum"),
        ({"columns": {"id": {"type": "integer", "allowed": ["1"]}}}, "'1' is not of type integer"),
        ({"columns": {"id": {"type": "string", "pattern": "("}}}, "not a regular expression"),
        ({"columns": {"id": {"type": "string", "pattern": "(?=a)"}}}, "look-around"),
        ({"columns": {"id": {"type": "timestamp", "time_zone": "Mars"}}}, "not a known zone"),
        ({"columns": {"id": {"type": "string"}, "*": {"type": "string"}}}, "cannot name a column"),
        ({"columns": CUT | {"a": {"type": "category", "derive": "n", "bins": [2, 1]}}}, "not rise"),
        ({"columns": CUT | {"a": {"type": "category", "bins": [1]}}}, "a number that is derived"),
        (
            {"columns": CUT | {"a": {"type": "category", "derive": "id", "bins": [1]}}},
            "gives a text",
        ),
        (
            {"columns": CUT | {"a": {"type": "integer", "allowed": [1], "names": {"2": "b"}}}},
            "'2' is no allowed value",
        ),
        (
            {"columns": CUT | {"a": {"type": "integer", "allowed": [1, 2], "names": {"1": "2"}}}},
            "two values are called '2'",
        ),
        ({"encoding": "klingon"}, "not known"),
        ({"delimiter": ",", "quote": ","}, "it is the delimiter"),
        ({"unique_together": [["id", "q"]]}, "no column 'q'"),
        ({"last_day": date(2013, 1, 1)}, "before first_day"),
        ({"dataset_rules": {"freshness": {"column": "t"}}}, "neither a date"),
    ],
)
def test_a_declaration_that_cannot_work_names_the_key_and_the_fix(
    keys: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        declare(**{"columns": None, **keys})
    assert says in str(caught.value)
    assert "To mend it" in str(caught.value)


def test_a_pattern_that_the_engine_does_not_know_is_told(take: Take) -> None:
    with pytest.raises(IntakeError, match=r"columns\.id\.pattern"):
        take(b"id\na\n", declare({"id": {"type": "string", "pattern": r"a(?>b)"}}))


def test_too_many_refused_rows_trip_the_breaker_and_both_files_are_there(take: Take) -> None:
    taken = take(b"id,n,t\na,x,\nb,1,\nc,2,\n", declare(max_refused_share=0.3))
    assert "1 of 3 rows are refused" in str(taken.broken)
    assert (len(taken.typed), len(taken.quarantine)) == (2, 1)


def test_rules_over_the_day_refuse_or_warn(take: Take) -> None:
    columns = {
        "id": {"type": "string"},
        "d": {"type": "date", "maximum_missing_share": 0.3, "severity": "warn"},
    }
    rules = {"minimum_rows": 3, "freshness": {"column": "d", "within_days": 1}}
    content = b"id,d\na,2013-11-01\nb,\n"
    taken = take(content, declare(columns, dataset_rules=rules), day=date(2013, 11, 5))
    assert [(r.rule, r.severity) for r in taken.profile.dataset_rules] == [
        ("minimum_rows", "refuse"), ("freshness", "refuse"), ("maximum_missing_share", "warn"),
    ]  # fmt: skip
    assert "fewer than 3" in str(taken.broken)
    assert "missing in" not in str(taken.broken)


def test_an_optional_column_may_be_absent(take: Take) -> None:
    columns = {"id": {"type": "string"}, "v": {"type": "float", "optional": True}}
    assert take(b"id\na\n", declare(columns)).typed == [{"id": "a", "v": None}]


def test_blanks_are_dropped_only_where_the_audit_says_so(take: Take) -> None:
    content = b"id,n,t\na, 5 , x\n"
    assert take(content, declare(trim=True)).typed == [{"id": "a", "n": 5, "t": "x"}]
    assert take(content).rules == {2: ["type"]}


def test_the_same_input_gives_the_same_bytes(take: Take) -> None:
    content = b"id,n,t\n" + b"".join(b"r%d,%d,x\n" % (n, n % 7) for n in range(500))
    first = take(content).result
    before = (first.typed_path.read_bytes(), first.report)
    second = take(content).result
    assert (second.typed_path.read_bytes(), second.report) == before


def test_a_profile_is_json_without_exceptions(take: Take) -> None:
    columns = {
        "id": {"type": "string"},
        "d": {"type": "decimal"},
        "t": {"type": "timestamp", "time_zone": "UTC"},
        "b": {"type": "boolean"},
        "f": {"type": "float"},
        "text of d": {"type": "string", "optional": True},
    }
    taken = take(b"id,d,t,b,f\na,1.50,2013-01-01,true,1e308\nb,1.50,,,-1e308\n", declare(columns))
    again = json.loads(taken.profile.to_json())
    assert again["statistics"]["d"]["most_frequent"] == [{"value": "1.50", "count": 2}]
    assert again["statistics"]["f"]["count"] == 2
    assert Profile.from_json(taken.profile.to_json()).to_json() == taken.profile.to_json()


@pytest.mark.parametrize(
    ("rows", "past", "unusual"),
    [(100, [100, 110, 90], False), (40, [100, 110, 90], True), (230, [100, 110, 90], True),
     (1, [100, 100], False), (0, [], False)],
)  # fmt: skip
def test_a_volume_is_unusual_beside_days_of_the_same_weekday(
    rows: int, past: list[int], unusual: object
) -> None:
    assert (unusual_volume(rows, past) is not None) is unusual


DATES = [
    (
        "%d.%m.%Y",
        "01.03.2024",
        ["01.03.24", "1.3.2024", "01.03.02024", "01.03.2024 ", "01.13.2024"],
    ),
    ("%d.%m.%y", "01.03.24", ["01.03.2024", "1.3.24", "30.02.24"]),
    ("%Y%m%d", "20240301", ["2024031", "24030112", "202403011", "2024 301", "20240230"]),
    ("%-d/%-m/%Y", "1/3/2024", ["01/03/2024", "1/3/24", "0/3/2024"]),
    ("%d/%m/%Y", "01/03/2024", ["01/02/24", "1/3/2024", "01/03/2024x"]),
    ("%e %B %Y", " 1 march 2024", ["1 march 2024", " 1 mar 2024", "31 march 24"]),
    ("%a %d-%b-%Y", "Fri 01-MAR-2024", ["Thu 01-Mar-2024", "Fri 01-March-2024"]),
    ("%Y-%j", "2024-061", ["2024-61", "2023-366", "2024-000"]),
    ("%F", "2024-03-01", ["2024-3-01", "24-03-01", "02024-03-01", "0000-03-01", "２024-03-01"]),  # noqa: RUF001 - a full-width digit
]


@pytest.mark.parametrize(("how", "good", "bad"), DATES)
def test_a_date_counts_only_if_its_text_is_what_its_format_would_write(
    take: Take, how: str, good: str, bad: list[str]
) -> None:
    values, refused = column(take, {"type": "date", "formats": [how]}, good, *bad)
    assert values == [date(2024, 3, 1)]
    assert refused == list(range(1, len(bad) + 1))


def test_a_year_of_two_digits_is_of_this_century_or_the_last_as_posix_has_it(take: Take) -> None:
    for how in ("%d.%m.%y", "%y%m%d %H:%M", "%d %b %y"):
        texts = [
            datetime(year, 3, 1).strftime(how) for year in (1969, 1970, 1999, 2000, 2024, 2068)
        ]
        values, refused = column(take, {"type": "timestamp", "formats": [how]}, *texts)
        assert [value.year for value in values] == [1969, 1970, 1999, 2000, 2024, 2068]
        assert refused == []


TIMES = [
    (None, "2024-02-09 12:34:56", ["2024-02-09 12:34:60", "2016-12-31 23:59:60", "24-02-09 01:02:03",
     "2024-02-09 1:02:03", "2024-02- 9 01:02:03", "2024-02-09  12:34:56", "2024-02-09 24:00:00"]),
    (None, "2024-02-09T12:34", ["2024-02-09T12:60", "2024-02-09T12", "0000-02-09 12:34"]),
    ("%d.%m.%Y %H:%M", "09.02.2024 12:34", ["09.02.2024 24:34", "09.02.24 12:34", "09.02.2024 12:34:00"]),
    ("%d/%m/%Y %I:%M %p", "09/02/2024 12:34 pm", ["09/02/2024 13:34 pm", "09/02/2024 00:34 am"]),
    ("%Y%m%d%H%M%S%3f", "20240209123456007", ["2024020912345607", "20240209123460007"]),
    ("%Y-%m-%d %H:%M:%S,%f", "2024-02-09 12:34:56,25", ["2024-02-09 12:34:56,", "2024-02-09 12:34:56,1234567"]),
    ("%Y-%m-%d %H:%M:%S.%f", "2024-02-09 12:34:56.25", ["2024-02-09 12:34:56", "2024-02-09 12:34:60.25"]),
]  # fmt: skip


@pytest.mark.parametrize(("how", "good", "bad"), TIMES)
def test_a_time_counts_only_if_its_text_is_what_its_format_would_write(
    take: Take, how: str | None, good: str, bad: list[str]
) -> None:
    spec = {"type": "timestamp", **({} if how is None else {"formats": [how]})}
    values, refused = column(take, spec, good, *bad)
    assert len(values) == 1
    assert (values[0].year, values[0].month, values[0].day) == (2024, 2, 9)
    assert (values[0].hour, values[0].minute) == (12, 34)
    assert refused == list(range(1, len(bad) + 1))


@given(
    st.datetimes(datetime(1600, 1, 1), datetime(2199, 12, 31)),
    st.sampled_from(["%d.%m.%Y %H:%M:%S", "%Y%m%d%H%M%S", "%B %d %Y %I:%M:%S %p", "%Y-%j %H:%M:%S",
                     "%a %b %d %H:%M:%S %Y", "%Y-%m-%d %H:%M:%S,%f", "%FT%T.%f", "%Y/%m/%d %R:%S"]),
)  # fmt: skip
def test_what_a_format_writes_is_read_back_as_the_same_time(moment: datetime, how: str) -> None:
    if "%f" not in how:
        moment = moment.replace(microsecond=0)
    text = moment.strftime(how)
    spec = ColumnSpec.model_validate({"type": "timestamp", "formats": [how]})
    assert parse_values(pl.Series([text]), spec).to_list() == [moment]


@settings(max_examples=300)
@given(
    st.sampled_from(
        ["%Y-%m-%d", "%d/%m/%Y", "%Y-%m-%d %H:%M:%S", "%H:%M:%S %Y-%j", "%d.%m.%Y %H:%M"]
    ),
    st.data(),
)
def test_digits_are_a_time_just_where_the_standard_library_writes_them_so(
    how: str, data: st.DataObject
) -> None:
    spelled = parse_time_format(how)
    assert spelled.bounds is not None
    digits = [st.integers(low, high) for low, high in zip(*spelled.bounds, strict=True)]
    text = bytes(data.draw(st.tuples(*digits))).decode()
    spec = ColumnSpec.model_validate({"type": "timestamp", "formats": [how]})
    try:
        expected = datetime.strptime(text, how)
    except ValueError:
        expected = None
    # The 61st second and the 366th day of a short year it takes for the next one's first.
    if expected is not None and any(
        part in how and expected.strftime(part) not in text for part in ("%S", "%j")
    ):
        expected = None
    # Beside a text of another width the shape is asked, and alone the bytes are.
    alone = parse_values(pl.Series([text]), spec).to_list()
    assert alone == parse_values(pl.Series([text, "x"]), spec).to_list()[:1] == [expected]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("%Q-%K", "stands for nothing"), ("%Y-%m", "year, month and day"), ("%H:%M", "year"),
        ("%Y-%m-%d %I:%M", "%I and %p"), ("%Y-%m-%d %H", "without its hour and minute"),
        ("%Y-%m-%d %Y", "twice"), ("%-d%-m%Y", "right before another"), ("%s", "stands for nothing"),
        ("%Y-%m-%d %H:%M.%f", "without the second"), ("%Y-%m-%d %H:%M %z", "an offset"),
    ],
)  # fmt: skip
def test_a_format_that_names_no_one_time_is_refused_when_the_yaml_loads(
    how: str, says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        declare({"id": {"type": "timestamp", "formats": [how]}})


@pytest.mark.parametrize(
    "spec",
    [{"type": "date"}, {"type": "timestamp"}, {"type": "timestamp", "time_zone": "Asia/Tokyo"},
     {"type": "timestamp", "time_zone": "America/New_York"}],
)  # fmt: skip
def test_a_time_that_no_program_holds_costs_its_row_and_nothing_else(
    take: Take, spec: dict[str, Any]
) -> None:
    texts = ["0000-01-01", "10000-01-01", "-0001-01-01"]
    if "time_zone" in spec:
        texts += ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"]
        texts.append("0001-01-01" if spec["time_zone"] == "Asia/Tokyo" else "9999-12-31T23:00:00")
    values, refused = column(take, spec, "2024-01-01", *texts)
    assert len(values) == 1
    assert refused == list(range(1, len(texts) + 1))


def test_the_first_and_the_last_day_that_there_are_are_dates(take: Take) -> None:
    values, _ = column(take, {"type": "date"}, "0001-01-01", "9999-12-31")
    assert values == [date.min, date.max]


@pytest.mark.parametrize(
    ("keys", "repeated", "skipped"),
    [
        ({}, None, None),
        ({"ambiguous": "earlier"}, "00:30", None),
        ({"ambiguous": "later", "gap": "forward"}, "01:30", "01:30"),
        ({"gap": "backward"}, None, "00:30"),
    ],
)
def test_hours_that_clocks_repeat_or_skip_are_refused_by_name_or_read_as_declared(
    take: Take, keys: dict[str, str], repeated: str | None, skipped: str | None
) -> None:
    spec = {"type": "timestamp", "time_zone": "Europe/Berlin", **keys}
    data = declare({"id": {"type": "string"}, "v": spec})
    taken = take(b"id,v\na,2013-10-27 02:30:00\nb,2013-03-31 02:30:00\nc,soon\n", data)
    found = {row["id"]: f"{row['v'].astimezone(UTC):%H:%M}" for row in taken.typed}
    assert found == {id_: at for id_, at in (("a", repeated), ("b", skipped)) if at is not None}
    rules = {4: ["type"]} | ({2: ["ambiguous"]} if repeated is None else {})
    assert taken.rules == rules | ({3: ["gap"]} if skipped is None else {})
    if not keys:
        report = " ".join(taken.result.report.split())
        assert "`ambiguous: earlier` or `later` chooses" in report
        assert "`gap: forward` or `backward` moves it" in report


def test_what_is_moved_over_a_gap_is_where_the_standard_library_puts_it(take: Take) -> None:
    zone = ZoneInfo("Australia/Lord_Howe")  # its clocks change by half an hour
    local = datetime(2024, 10, 6, 2, 15)
    for gap, fold in (("forward", 0), ("backward", 1)):
        spec = {"type": "timestamp", "time_zone": "Australia/Lord_Howe", "gap": gap}
        values, _ = column(take, spec, str(local))
        assert values[0].astimezone(UTC) == local.replace(tzinfo=zone, fold=fold).astimezone(UTC)


NUMBERS = [
    ({"decimal": ",", "thousands": "."}, {"1.234.567,89": "1234567.89", "1,5": "1.5", "-12": "-12", ",5": "0.5"},
     ["1.5", "12.34,5", "1.2345", "1,234.5", "1.234.56", "1 234,5", "1,5,5", ","]),
    ({"decimal": ",", "thousands": " "}, {"1 234,5": "1234.5", "1\u00a0234": "1234", "1\u202f234,25": "1234.25"},
     ["1  234", "1 23", " 234"]),
    ({"thousands": ","}, {"1,234.5": "1234.5", "12": "12", "+1,000": "1000"}, ["1,5", "1,2345", "1234,567"]),
    ({"thousands": "'"}, {"1'234.5": "1234.5", "1\u2019234": "1234"}, ["1''234"]),
    ({"currency": ["€", "EUR", "$"]}, {"€12.50": "12.5", "12.50 EUR": "12.5", "-$3": "-3", "$-3": "-3", "7": "7", "$ 5": "5"},
     ["£3", "$", "$3 EUR $", "-$-3", "1$2"]),
    ({"percent": True}, {"12.5%": "0.125", "-7 %": "-0.07", "100%": "1", "0.07%": "0.0007", "14.2%": "0.142"},
     ["12.5", "%", "12%%"]),
    ({"percent": True, "decimal": ","}, {"12,5 %": "0.125"}, ["12.5 %"]),
    ({"parentheses": True, "currency": ["$"], "thousands": ","}, {"($1,234.50)": "-1234.5", "3": "3", "(2)": "-2"},
     ["(2", "2)", "(-2)", "((2))", "-(2)"]),
]  # fmt: skip


@pytest.mark.parametrize(("spelling", "good", "bad"), NUMBERS)
@pytest.mark.parametrize("at", ["column", "file"])
def test_numbers_are_read_as_they_are_declared_to_be_written_and_no_otherwise(
    take: Take, spelling: dict[str, Any], good: dict[str, str], bad: list[str], at: str
) -> None:
    for type_, make in (("decimal", Decimal), ("float", float)):
        spec = {"type": type_, **({"precision": 18, "scale": 6} if type_ == "decimal" else {})}
        own = {**spec, **spelling} if at == "column" else spec
        keys = spelling if at == "file" else {}
        data = declare({"id": {"type": "string"}, "v": own}, delimiter="|", quote="", **keys)
        rows = "".join(f"r{n}|{text}\n" for n, text in enumerate([*good, *bad]))
        taken = take(f"id|v\n{rows}".encode(), data)
        assert [row["v"] for row in taken.typed] == [make(value) for value in good.values()]
        assert list(taken.rules) == [n + 2 for n in range(len(good), len(good) + len(bad))]


def test_whole_numbers_may_be_grouped_too(take: Take) -> None:
    spec = {"type": "integer", "thousands": ".", "currency": ["€"]}
    values, refused = column(take, spec, "9.007.199.254.740.993", "3 €", "1.5", "1,5")
    assert (values, refused) == ([9007199254740993, 3], [2, 3])


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"decimal": ",", "thousands": ","}, "groups digits, too"),
        ({"currency": ["1"]}, "cannot be told from a number"),
        ({"currency": ["-"]}, "cannot be told from a number"),
        ({"currency": ["e"]}, "cannot be told from a number"),
        ({"columns": {"id": {"type": "string", "decimal": ","}}}, "says nothing about"),
        ({"columns": {"id": {"type": "integer", "percent": True}}}, "says nothing about"),
        ({"columns": {"id": {"type": "string", "gap": "forward"}}}, "says nothing about"),
        ({"columns": {"id": {"type": "timestamp", "gap": "forward"}}}, "without a time_zone"),
        ({"columns": {"id": {"type": "string", "when": "n > 1"}}}, "no column `n`"),
        ({"columns": {"id": {"type": "string", "when": "length(id)"}}}, "it gives a number"),
        ({"columns": {"id": {"type": "string", "not_pattern": "("}}}, "not a regular expression"),
        ({"dataset_rules": {"minimum_rows": 10, "maximum_rows": 1}}, "above maximum_rows"),
    ],
)
def test_keys_that_contradict_each_other_are_refused_when_the_yaml_loads(
    keys: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        declare(**{"columns": None, **keys})


def test_a_text_that_must_not_match_is_refused_where_it_does(take: Take) -> None:
    spec = {"type": "string", "not_pattern": "(?i)test.*|x"}
    assert column(take, spec, "fine", "TEST 1", "x", "xx", "")[1] == [1, 2]


def test_the_rules_of_a_column_count_only_where_its_condition_holds(take: Take) -> None:
    columns = {
        "id": {"type": "string"},
        "status": {"type": "string"},
        "n": {"type": "integer", "required": True, "minimum": 1, "when": "status == 'sent'"},
    }
    taken = take(
        b"id,status,n\na,sent,1\nb,sent,\nc,new,\nd,new,0\ne,new,x\nf,,\n", declare(columns)
    )
    assert taken.rules == {3: ["required"], 6: ["type"]}


def test_no_condition_lets_a_row_in_without_its_id(take: Take) -> None:
    columns = {"id": {"type": "string", "when": "n > 5"}, "n": {"type": "integer"}}
    taken = take(b"id,n\na,1\n,1\n,9\n", declare(columns))
    assert taken.rules == {3: ["required"], 4: ["required"]}


def test_a_row_rule_has_a_condition_and_says_what_a_missing_value_means(take: Take) -> None:
    columns = {name: {"type": "integer"} for name in ("a", "b")} | {"id": {"type": "string"}}
    rule = {"name": "in order", "expression": "a <= b", "when": "a > 1", "missing": "break"}
    taken = take(b"id,a,b\nr,9,1\ns,1,0\nt,2,\nu,,2\nv,1,\n", declare(columns, row_rules=[rule]))
    assert list(taken.rules) == [2, 4]


def test_columns_in_another_order_refuse_the_file_where_declared(take: Take) -> None:
    content = b"id,t,n\na,x,1\n"
    assert take(content).broken is None
    broken = take(content, declare(columns_in_order=True)).broken
    assert "another order than the declared ones: id, t, n" in str(broken)
    assert take(b"id,more,n,t\na,,1,x\n", declare(columns_in_order=True)).broken is None


@pytest.mark.parametrize("block", [1 << 20, 20])
def test_all_rows_of_a_repeated_id_are_refused_where_declared(
    take: Take, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(
        DelimitedReader.__init__, "__kwdefaults__", {"format_": "csv", "block": block}
    )
    content = b"id,n,t\na,1,x\nb,2,y\na,3,z\nc,4,\nb,x,\n"
    taken = take(content, declare(repeats="refuse_all"))
    # A row that is refused for another reason holds no value against the others.
    assert taken.rules == {2: ["unique"], 4: ["unique"], 6: ["type"]}
    assert [row["id"] for row in taken.typed] == ["b", "c"]
    assert take(content).rules == {4: ["unique"], 6: ["type", "unique"]}


def test_a_cell_of_blanks_is_missing_where_a_value_is_required(take: Take) -> None:
    values, refused = column(take, {"type": "string", "required": True}, "x", "  ", "\u00a0\u2003")
    assert (values, refused) == (["x"], [1, 2])


def test_trim_takes_every_blank_that_unicode_has(take: Take) -> None:
    data = declare({"id": {"type": "string"}, "v": {"type": "integer"}}, trim=True)
    taken = take("id,v\na,\u00a05\u202f\nb, 6\t\nc,\u3000\n".encode(), data)
    assert [row["v"] for row in taken.typed] == [5, 6, None]


def test_a_fault_in_the_statistics_costs_no_row_and_no_report(
    take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no such mean")

    content = b"id,n,t\na,1,x\nb,x,y\n"
    reference = reference_content([take(content).result.typed_path], declare())
    for name in ("_describe", "content_drift", "schema_drift"):
        with monkeypatch.context() as patch:
            module = _statistics if name == "_describe" else _ingest
            patch.setattr(module, name, fail)
            taken = take(content, reference=reference)
        assert taken.broken is None
        assert (len(taken.typed), len(taken.quarantine)) == (1, 1)
        assert "ValueError: no such mean" in " ".join(taken.result.report.split())
        assert Profile.from_json(taken.profile.to_json()) == taken.profile


def test_several_columns_identify_a_row_together(take: Take, tmp_path: Path) -> None:
    columns = {"a": {"type": "string"}, "b": {"type": "integer"}, "v": {"type": "integer"}}
    data = declare(columns, id=["a", "b"])
    taken = take(b"a,b,v\nx/y,1,1\nx,1,2\nx,1,3\n,2,4\nx\\,1,x\nx\\,2,5\n", data)
    assert [row["a + b"] for row in taken.typed] == ["x\\/y/1", "x/1", "x\\\\/2"]
    assert taken.rules == {4: ["unique together: a + b"], 5: ["required"], 6: ["type"]}
    result = taken.result
    again = replay(
        result.typed_path, result.quarantine_path, data, into=tmp_path / "b", name="day.csv",
        mended={6: "z,1,1"},
    )  # fmt: skip
    assert [row["a + b"] for row in Taken(again).typed][-1] == "z/1"


def test_where_no_column_tells_rows_apart_their_numbers_do(take: Take, tmp_path: Path) -> None:
    data = declare({"v": {"type": "integer"}}, id={"row": "number"})
    day = date(2013, 11, 1)
    taken = take(b'v\n1\n1\nx\n"2"\n', data, day=day)
    assert [row["row number"] for row in taken.typed] == [f"{day}:2", f"{day}:3", f"{day}:5"]
    result = taken.result
    again = replay(
        result.typed_path, result.quarantine_path, data, into=tmp_path / "b", name="day.csv",
        day=day, mended={4: "7"},
    )  # fmt: skip
    assert (7, f"{day}:4") in [(row["v"], row["row number"]) for row in Taken(again).typed]
    assert take(b"v\n1\n", data).typed == [{"v": 1, "row number": "2"}]


@pytest.mark.parametrize(
    ("files", "path", "period", "end"),
    [
        ("x-{date}.csv", "x-2024-02-05.csv", "day", "2024-02-05"),
        ("date={date}/part-0.csv", "date=2024-02-05/part-0.csv", "day", "2024-02-05"),
        ("{year}/{month}/{date}.csv", "2024/2024-02/2024-02-05.csv", "day", "2024-02-05"),
        ("x-{month}.csv", "x-2024-02.csv", "month", "2024-02-29"),
        ("{year}/x-{month}.csv", "2024/x-2024-02.csv", "month", "2024-02-29"),
        ("x-{year}.csv", "x-2024.csv", "year", "2024-12-31"),
        ("{date}/x-*.csv", "2024-02-05/x-*.csv", "day", "2024-02-05"),
    ],
)
def test_a_file_is_of_a_day_a_month_or_a_year_and_may_lie_in_folders(
    files: str, path: str, period: str, end: str
) -> None:
    data = declare(files=files)
    day = date(2024, 2, 5)
    assert (data.file_name(day.isoformat()), data.period) == (path, period)
    assert str(data.end_of_period(day)) == end


def test_how_fresh_a_month_s_rows_are_is_seen_from_its_end(take: Take) -> None:
    columns = {"id": {"type": "string"}, "d": {"type": "date"}}
    rules = {"freshness": {"column": "d", "within_days": 1}}
    data = declare(columns, files="x-{month}.csv", dataset_rules=rules)
    day = date(2024, 2, 1)
    assert take(b"id,d\na,2024-02-28\n", data, day=day).broken is None
    assert "2 days before" in str(take(b"id,d\na,2024-02-27\n", data, day=day).broken)


def test_a_number_is_cut_into_bins_whose_upper_bounds_are_the_next_ones(take: Take) -> None:
    bins = {"type": "category", "derive": "n / 1", "bins": [-0.5, 18, 30]}
    taken = take(
        b"id,n\na,-1\nb,-0.5\nc,17.9\nd,18\ne,30\nf,\n",
        declare({"id": {"type": "string"}, "n": {"type": "float"}, "band": bins}),
    )
    assert [row["band"] for row in taken.typed] == [
        "below -0.5", "-0.5 to below 18", "-0.5 to below 18", "18 to below 30", "30 and above", None
    ]  # fmt: skip
    assert taken.rules == {}
