from datetime import date

from evaluator_tests.intake.conftest import Take, declare

LONG = "a_column_with_a_name_that_is_longer_than_a_table_s_cell_could_ever_be"


def flat(report: str) -> str:
    """A report without its line breaks."""
    return " ".join(report.split())


def test_missing_values_are_those_of_the_file_and_not_of_the_typed_rows_alone(take: Take) -> None:
    rows = "".join(f"r{n},{'x' if n % 2 else 1},{'' if n % 2 else 't'}\n" for n in range(100))
    taken = take(f"id,n,t\n{rows}".encode())
    assert taken.profile.missing == {"id": 0, "n": 0, "t": 50}
    assert "t: string, 50 missing (50.0%)" in flat(taken.result.report)


def test_names_and_frequent_values_stand_there_whole(take: Take) -> None:
    value = "a value that is longer than sixteen characters"
    columns = {"id": {"type": "string"}, LONG: {"type": "string"}}
    rows = "".join(f"r{n},{value}\n" for n in range(9))
    report = take(f"id,{LONG}\n{rows}".encode(), declare(columns)).result.report
    assert LONG in report
    assert f"most frequent: {value} (9)" in flat(report)
    assert max(map(len, report.splitlines())) <= 100


def test_of_a_file_without_a_typed_row_its_beginning_is_shown(take: Take) -> None:
    for content in (b"id,n,t\na,x,y\n", b"something else\nentirely\n"):
        report = take(content).result.report
        assert "Statistics" not in report
        assert f"How the file begins\n  {content.splitlines()[0].decode()}\n" in report
    assert "How the file begins" not in take(b"id,n,t\na,1,x\n").result.report
    assert "How the file begins" not in take(b"\x00\x01\x02\n").result.report


def test_the_next_command_is_named_where_rows_are_refused(take: Take) -> None:
    taken = take(b"id,n,t\na,x,y\nb,1,z\n", day=date(2013, 11, 1), audit="shop")
    assert "`evaluator replay shop 2013-11-01 --quarantine rows.csv`" in taken.result.report
    assert "evaluator replay" not in take(b"id,n,t\nb,1,z\n", audit="shop").result.report


def test_a_column_that_is_mostly_empty_is_something_found(take: Take) -> None:
    rows = "".join(f"r{n},{n if n % 7 == 0 else ''},t\n" for n in range(100))
    found = take(f"id,n,t\n{rows}".encode()).profile.dataset_rules
    assert [(rule.column, rule.rule, rule.severity) for rule in found] == [
        ("n", "mostly_missing", "warn")
    ]
    columns = {
        "id": {"type": "string"},
        "n": {"type": "integer", "maximum_missing_share": 0.9},
        "t": {"type": "string"},
    }
    assert take(f"id,n,t\n{rows}".encode(), declare(columns)).profile.dataset_rules == ()


def test_columns_that_are_ignored_are_new_on_no_day(take: Take) -> None:
    data = declare(ignore_columns=["note"], undeclared_columns="refuse")
    first = take(b"id,n,t,note\na,1,x,\n", data).profile
    assert first.schema_drift == ()
    assert take(b"id,n,t\na,1,x\n", data, last_accepted=first).profile.schema_drift == ()
    assert "not declared: 'more'" in str(take(b"id,n,t,more\na,1,x,\n", data).broken)


def test_what_is_suggested_loads(take: Take) -> None:
    changes = take(b"n,t,x,x,,fresh one\n1,a,1,1,1,1\n").profile.schema_drift
    suggested = {change.column: change.suggestion for change in changes}
    assert suggested["id"] == "id: name the column that identifies a row now"
    assert suggested["x"] == suggested[""] == ""
    assert suggested["fresh one"].startswith("columns: add `fresh one: {type: string}`")
