import itertools
import random
import sqlite3
import subprocess
import sys
import traceback
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from hypothesis import given, settings, strategies as st

from evaluator.errors import EvaluatorError, IntakeError, StateError, fault_of
from evaluator.intake import _database, _table, ingest, query_to_parquet
from evaluator_tests.intake.conftest import declare
from evaluator_tests.postgres_server import PASSWORD, USER, PostgresServer, postgres_server

DAY = date(2013, 11, 1)
BOUND = {"day": DAY, "next_day": date(2013, 11, 2)}
NAIVE = datetime(2013, 11, 1, 2, 3, 4, 5)  # noqa: DTZ001 - what databases give without a zone
INSTANT = pa.timestamp("us", tz="UTC")
#: Nobody answers there.
NOWHERE = "127.0.0.1:1"


def sqlite_of(folder: Path, rows: Sequence[Sequence[Any]], columns: str = "v") -> str:
    """Make a database with a table `t` whose columns have no type, and return its URL."""
    path = folder / "data.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE t ({columns})")
    marks = ", ".join("?" for _ in columns.split(","))
    connection.executemany(f"INSERT INTO t VALUES ({marks})", rows)  # noqa: S608 - marks alone
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


def answer(url: str, query: str, folder: Path) -> Any:
    """Return the file's table, once it is sure that its rows are counted."""
    into = folder / "answer.parquet"
    count = query_to_parquet(url, query, into, bound=BOUND)
    table = pq.read_table(into)
    assert table.num_rows == count
    return table


def refusal(url: str, query: str, folder: Path) -> EvaluatorError:
    """Return the error of a query, which leaves nothing behind, neither files nor causes."""
    folder = folder / "refused"
    folder.mkdir()
    with pytest.raises(EvaluatorError) as caught:
        query_to_parquet(url, query, folder / "answer.parquet", bound=BOUND)
    assert list(folder.iterdir()) == []
    folder.rmdir()
    assert caught.value.__cause__ is caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize(
    ("values", "type_", "stored"),
    [
        ([3, 1, None], pa.int64(), [None, 1, 3]),
        ([2**63 - 1, -(2**63)], pa.int64(), [-(2**63), 2**63 - 1]),
        ([1.5, -0.25], pa.float64(), [-0.25, 1.5]),
        ([0.1 + 0.2, 5e-324, 1e308], pa.float64(), [5e-324, 0.1 + 0.2, 1e308]),
        (["b", "", "ä", None], pa.string(), [None, "", "b", "ä"]),
        ([b"\x00\xff", b""], pa.string(), ["", "00ff"]),
        ([None, None], pa.string(), [None, None]),
        ([1, 2.5, 2**53], pa.float64(), [1.0, 2.5, 2.0**53]),
        ([2**53 + 1, 2.5], pa.string(), ["2.5", "9007199254740993"]),
        ([1, "x", 2.0, None], pa.string(), [None, "1", "2.0", "x"]),
        ([1, "1"], pa.string(), ["1", "1"]),
    ],
)
def test_a_column_has_the_one_type_that_holds_all_its_values(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: list[Any],
    type_: pa.DataType,
    stored: list[Any],
) -> None:
    url = sqlite_of(tmp_path, [(value,) for value in values])
    for rows_a_block in (1, 2, 50_000):
        monkeypatch.setattr(_table, "ROWS_A_BLOCK", rows_a_block)
        table = answer(url, "SELECT v FROM t", tmp_path)
        assert table.schema.types == [type_]
        assert table["v"].to_pylist() == stored


@pytest.mark.parametrize(
    ("values", "type_", "texts"),
    [
        ([True, False], pa.bool_(), ["True", "False"]),
        ([True, 1], pa.string(), ["True", "1"]),
        ([date(1, 1, 1), date(9999, 12, 31)], pa.date32(), ["0001-01-01", "9999-12-31"]),
        ([DAY, NAIVE], pa.string(), ["2013-11-01", "2013-11-01 02:03:04.000005"]),
        ([NAIVE, NAIVE.replace(microsecond=0)], pa.timestamp("us"),
         ["2013-11-01 02:03:04.000005", "2013-11-01 02:03:04"]),
        ([datetime(1, 1, 1, tzinfo=UTC)], INSTANT, ["0001-01-01 00:00:00+00:00"]),
        ([datetime(2013, 1, 2, 3, tzinfo=timezone(timedelta(hours=5, seconds=1)))], INSTANT,
         ["2013-01-01 21:59:59+00:00"]),
        ([NAIVE.replace(tzinfo=UTC), NAIVE], pa.string(),
         ["2013-11-01 02:03:04.000005+00:00", "2013-11-01 02:03:04.000005"]),
        ([datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5)))], pa.string(),
         ["9999-12-31 23:00:00-05:00"]),
        ([time(3, 4, 5, 6)], pa.string(), ["03:04:05.000006"]),
        ([timedelta(days=-1, seconds=2), timedelta(0)], pa.string(), ["-P0DT86398S", "P0DT0S"]),
        ([timedelta(days=3, microseconds=50)], pa.string(), ["P3DT0.000050S"]),
        ([Decimal("1.50"), Decimal(-10)], pa.decimal128(4, 2), ["1.50", "-10"]),
        ([Decimal("0.001"), Decimal("1E+3"), Decimal("0E-9")], pa.decimal128(13, 9),
         ["0.001", "1E+3", "0E-9"]),
        ([Decimal("1.5"), 100], pa.decimal128(4, 1), ["1.5", "100"]),
        ([Decimal("9" * 38)], pa.decimal128(38, 0), ["9" * 38]),
        ([Decimal("9" * 37), Decimal("0.01")], pa.string(), ["9" * 37, "0.01"]),
        ([Decimal("NaN"), Decimal("1.10")], pa.string(), ["NaN", "1.10"]),
        ([Decimal("Infinity")], pa.string(), ["Infinity"]),
        ([Decimal("1.5"), 1.5], pa.string(), ["1.5", "1.5"]),
        ([2**63, 1], pa.string(), ["9223372036854775808", "1"]),
        ([float("nan"), float("inf")], pa.float64(), ["nan", "inf"]),
        ([UUID(int=1)], pa.string(), ["00000000-0000-0000-0000-000000000001"]),
        ([bytearray(b"a"), memoryview(b"b")], pa.string(), ["61", "62"]),
        ([{"b": [1, None, True], "a": {}}], pa.string(), ['{"a":{},"b":[1,null,true]}']),
        ([[Decimal("1.10"), 'ä\ud800"', float("nan"), DAY]], pa.string(),
         ['[1.10,"ä\\ud800\\"","nan","2013-11-01"]']),
    ],
)  # fmt: skip
def test_whatever_a_driver_gives_is_spelt_and_typed(
    values: list[Any], type_: pa.DataType, texts: list[str]
) -> None:
    for block in (values, values[::-1]):
        column = _table._Column()
        spelt = column.spell([*block, None])
        assert spelt.to_pylist() == [*(texts if block is values else texts[::-1]), None]
        assert column.type == type_
        kept = spelt.cast(type_).to_pylist()[:-1]
        if type_ not in (pa.string(), pa.float64()):
            assert kept == block


def test_a_document_keeps_all_digits_and_its_kind() -> None:
    read = _table._read_json
    digits = "0.12345678901234567890123456789"
    assert read('{"b": %s, "a": 1e400}' % digits) == '{"a":1E+400,"b":%s}' % digits  # noqa: UP031
    assert read("9" * 5000) == "9" * 5000
    assert [read("1"), read(b'"1"'), read("null")] == ["1", '"1"', "null"]


def test_only_the_parameters_that_a_query_names_are_bound(tmp_path: Path) -> None:
    url = sqlite_of(tmp_path, [("2013-10-31",), ("2013-11-01",), ("2013-11-02",)])
    query = "SELECT v FROM t WHERE v >= :day"
    assert answer(url, query, tmp_path)["v"].to_pylist() == ["2013-11-01", "2013-11-02"]
    query += " AND v < :next_day AND v NOT LIKE '%:%' AND '10:30' <> '\\:x'"
    assert answer(url, query, tmp_path)["v"].to_pylist() == ["2013-11-01"]
    refused = refusal(url, "SELECT :nix, :day, :none", tmp_path)
    assert fault_of(refused) == "input"
    assert ":nix, :none" in str(refused)


def test_an_answer_without_rows_has_columns(tmp_path: Path) -> None:
    url = sqlite_of(tmp_path, [], "a, b")
    table = answer(url, 'SELECT a, b AS "t.x" FROM t', tmp_path)
    assert table.schema == pa.schema({"a": pa.string(), "t.x": pa.string()})


# Numbers that are equal and not the same; what no driver would give is left to other tests.
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.sampled_from([0, 0.0, -0.0, 1, 1.0, "1", "1.0"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3),
    st.binary(max_size=2),
)


@settings(max_examples=40)
@given(
    rows=st.lists(st.tuples(VALUES, VALUES), max_size=8),
    seed=st.randoms(use_true_random=False),
    rows_a_block=st.integers(1, 9),
)
def test_the_same_answer_in_any_order_is_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Any, Any]],
    seed: random.Random,
    rows_a_block: int,
) -> None:
    folder = tmp_path_factory.mktemp("orders")
    files = []
    with pytest.MonkeyPatch.context() as patch:
        for given_rows in (rows, seed.sample(rows, len(rows))):
            url = sqlite_of(folder, given_rows, "a, b")
            assert answer(url, "SELECT a, b FROM t", folder).num_rows == len(rows)
            files.append((folder / "answer.parquet").read_bytes())
            patch.setattr(_table, "ROWS_A_BLOCK", rows_a_block)
    assert files[0] == files[1]


def test_rows_are_sorted_by_all_columns_and_repeated_ones_stay(tmp_path: Path) -> None:
    rows = [(1, "b"), (None, "z"), (10, None), (1, None), (2, "a"), (1, "b")]
    table = answer(sqlite_of(tmp_path, rows, "a, b"), "SELECT a, b FROM t", tmp_path)
    assert list(zip(*table.to_pydict().values(), strict=True)) == [
        (None, "z"), (1, None), (1, "b"), (1, "b"), (2, "a"), (10, None)
    ]  # fmt: skip


def test_what_is_no_number_and_zeros_have_their_place(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [(nan, 1), (0.0, 2), (-0.0, 3), (None, 4), (float("inf"), 5), (nan, 0)]
    files = set()
    for order in itertools.permutations(rows):
        columns = zip(*order, strict=True)
        table = pa.table([pa.array(values) for values in columns], names=["*", "^b.*$"])
        _table._write_sorted(table, tmp_path / "sorted.parquet")
        files.add((tmp_path / "sorted.parquet").read_bytes())
    assert len(files) == 1
    assert pq.read_table(tmp_path / "sorted.parquet")["^b.*$"].to_pylist() == [4, 2, 3, 5, 0, 1]


def test_200_000_rows_are_held_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 200_000
    url = sqlite_of(tmp_path, [(number, "x" * 20) for number in range(count)], "n, t")
    peaks = []
    for rows_a_block in (count, 2_000):
        monkeypatch.setattr(_table, "ROWS_A_BLOCK", rows_a_block)
        tracemalloc.start()
        # What Arrow and the engine hold of their own is not among it.
        table = answer(url, "SELECT n || '' AS n, t || n AS t FROM t", tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(set(table["n"].to_pylist())) == count
    assert peaks[1] < peaks[0] / 5


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("SELECT 1 AS a, 2 AS b, 3 AS b, 4 AS a", "several columns of the answer are called a, b"),
        ('SELECT 1 AS "", 2 AS b', "of 2 columns of the answer these have no name: 1"),
        ("SELECT 1 AS a, 2 AS '?column?', 3 AS '?column?'", "these have no name: 2, 3"),
        ("UPDATE t SET v = 2", "attempt to write"),
        ("UPDATE t SET v = 2 RETURNING v", "attempt to write"),
        ("DELETE FROM t", "attempt to write"),
        ("DROP TABLE t", "attempt to write"),
        ("PRAGMA query_only = OFF", "gives no rows"),
        ("BEGIN", "gives no rows"),
        ("", "gives no rows"),
        ("SELCT 1", 'near "SELCT": syntax error'),
        ("SELECT nix FROM t", "no such column: nix"),
        ("SELECT v FROM nix", "no such table: nix"),
        ("SELECT 1 AS a; SELECT 2 AS a", "one statement at a time"),
        ("SELECT CAST(X'FF' AS TEXT) AS a", "decode"),
    ],
)
def test_a_query_that_is_no_good_is_refused_and_changes_nothing(
    tmp_path: Path, query: str, what: str
) -> None:
    url = sqlite_of(tmp_path, [(1,)])
    refused = refusal(url, query, tmp_path)
    assert isinstance(refused, IntakeError)
    assert fault_of(refused) == "input"
    assert what in str(refused)
    assert "data.db" in refused.culprit
    assert answer(url, "SELECT v FROM t", tmp_path)["v"].to_pylist() == [1]


def test_a_file_that_is_absent_locked_or_no_database_is_tried_again(tmp_path: Path) -> None:
    absent, other = tmp_path / "absent.db", tmp_path / "other.db"
    other.write_text("no database" * 100)
    url = sqlite_of(tmp_path, [(1,)])
    lock = sqlite3.connect(tmp_path / "data.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    for address, what in (
        (f"sqlite:///{absent}", "there is no such file"),
        (f"sqlite:///{other}", "file is not a database"),
        (f"{url}?timeout=0", "database is locked"),
    ):
        failed = refusal(address, "SELECT v FROM t", tmp_path)
        assert fault_of(failed) == "machine"
        assert what in str(failed)
    lock.close()
    assert not absent.exists()


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "the URL cannot be read"),
        ("some@body:secret@host/data", "the URL cannot be read"),
        ("postgresql://somebody:secret@host:secret/data", "the URL cannot be read"),
        ("sqlite://somebody:secret@host/data", "the URL cannot be read"),
        ("sqlite:///:memory:?timeout=secret", "the URL cannot be read"),
        ("postgresql://somebody:sec@ret@host/data", "@ that is not between"),
        ("postgresql://some/body:secret@host/data", "@ that is not between"),
        ("postgresql://somebody:sec@ret?x@host/data", "@ that is not between"),
        ("postgresql://somebody:sec@ret:5432/data", None),
        ("postgresql:///data?password=sec@ret", "@ that is not between"),
        ("nix://somebody:secret@host/data", "knows this kind"),
        ("postgresql+nix://somebody:secret@host/data", "knows this kind"),
        ("postgresql://somebody:secret@host/data?plugin=secret", "knows this kind"),
        ("postgresql+psycopg2://somebody:secret@host/data", "not installed (psycopg2)"),
        ("mysql://somebody:secret@host/data", "not installed (MySQLdb)"),
        (f"postgresql://somebody:secret@{NOWHERE}/data?nix=secret", "invalid connection option"),
        (f"postgresql://somebody@{NOWHERE}/data?connect_timeout=secret", "bad value for"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_being_told(
    tmp_path: Path, url: str, what: str | None
) -> None:
    refused = refusal(url, "SELECT 1 AS a", tmp_path)
    if what is not None:
        assert fault_of(refused) == "input"
        assert what in str(refused)
    for secret in ("somebody", "some/body", "some@body", "secret", "sec@", "@ret"):
        assert secret not in "".join(traceback.format_exception(refused))


def test_a_driver_that_is_not_installed_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for kind in ("postgresql", "postgres", "postgresql+psycopg"):
        refused = refusal(f"{kind}://somebody:secret@host/data", "SELECT 1 AS a", tmp_path)
        assert fault_of(refused) == "input"
        assert refused.fix == 'pip install "evaluator[postgres]"'


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://somebody:s%C3%A9c%2Fr%40t+x@host/data", ["somebody", "séc/r@t+x", "éc/r"]),
        ("postgresql://somebody:a%2540b%20c@host/data", ["a%40b c", "a@b c", "a%2540b%20c"]),
        ("postgresql://SomeBody:it's \"so\"\\@host/data", ["somebody", 'it\'s "so"\\', r"it\'s"]),
        ("postgresql://u:pw@host/data?sslpassword=h%26id&password=t%3Dold", ["h&id", "t=old"]),
        ("postgresql:///data?host=host&user=so+me&password=%2B%2B%2B%2B", ["so me", "++++"]),
        ("postgresql://u:p?w=1x@host/data?passfile=/hidden", ["p?w=1x", "/hidden"]),
        ("postgresql://u@host/data?options=-ca%3Dhidden%20-cb%3Dtold", ["hidden", "told"]),
    ],
)  # fmt: skip
def test_what_a_driver_says_is_told_without_user_password_and_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, secrets: list[str]
) -> None:
    address = sqlalchemy.make_url(url)
    echoes = [
        url,
        address.render_as_string(hide_password=False),
        str(address.username),
        str(address.password),
        repr(address.password),
        psycopg.conninfo.make_conninfo(
            user=address.username, password=address.password, options=str(dict(address.query))
        ),
        *map(str, address.query.values()),
        'no entry for user "from-the-environment"',
    ]

    def fail(*_: Any, **__: Any) -> None:
        raise psycopg.OperationalError("; ".join(echoes) + "; and why. ")

    monkeypatch.setattr(psycopg, "connect", fail)
    failed = refusal(url, "SELECT 1 AS a", tmp_path)
    assert fault_of(failed) == "machine"
    told = "".join(traceback.format_exception(failed)) + repr(failed)
    assert "and why. To mend it" in told
    assert "postgresql database 'data'" in told
    for secret in [*secrets, "from-the-environment", str(address.password or secrets[0])]:
        assert secret.lower() not in told.lower()


def test_a_short_password_is_hidden_and_leaves_the_words_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise psycopg.OperationalError("user me, password a: a bad attempt")

    monkeypatch.setattr(psycopg, "connect", fail)
    failed = refusal("postgresql://me:a@host/data", "SELECT 1 AS a", tmp_path)
    assert failed.what == "the database fails: user ***, password ***: *** bad attempt"


def _of_postgres(kind: type[sqlalchemy.exc.DBAPIError], state: str | None) -> Exception:
    original = psycopg.Error("as planned")
    original.sqlstate = state
    return kind("SELECT", {}, original)


def _of_sqlite(code: int | None) -> Exception:
    original = sqlite3.OperationalError("as planned")
    if code is not None:
        original.sqlite_errorcode = code
    return sqlalchemy.exc.OperationalError("SELECT", {}, original)


@pytest.mark.parametrize(
    ("raised", "fault"),
    [
        *[
            (_of_postgres(sqlalchemy.exc.OperationalError, state), "machine")
            for state in ("08006", "28P01", "40001", "53300", "55P03", "57014", "57P01", "58030")
        ],
        *[
            (_of_postgres(sqlalchemy.exc.OperationalError, state), "input")
            for state in ("08P01", "22012", "25006", "42P01", "42703", "42601")
        ],
        (_of_postgres(sqlalchemy.exc.ProgrammingError, "42501"), "machine"),
        (_of_postgres(sqlalchemy.exc.OperationalError, None), "machine"),
        (_of_postgres(sqlalchemy.exc.InterfaceError, None), "machine"),
        (_of_postgres(sqlalchemy.exc.DataError, None), "input"),
        (_of_sqlite(sqlite3.SQLITE_ERROR), "input"),
        (_of_sqlite(sqlite3.SQLITE_READONLY), "input"),
        (_of_sqlite(sqlite3.SQLITE_IOERR_READ), "machine"),
        (_of_sqlite(sqlite3.SQLITE_CORRUPT), "machine"),
        (_of_sqlite(None), "input"),
        (sqlalchemy.exc.CompileError("as planned"), "input"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "as planned"), "input"),
        (ConnectionResetError("as planned"), "machine"),
        (MemoryError("as planned"), "machine"),
    ],
)
def test_what_may_go_well_another_time_is_no_fault_of_the_query(
    raised: Exception, fault: str
) -> None:
    error = _database._error(raised, "postgresql://h/d", "database", is_connected=True)
    assert fault_of(error) == fault
    assert "as planned" in str(error)


def test_to_import_it_loads_no_engine() -> None:
    program = (
        "import sys\nfrom evaluator.intake import query_to_parquet\n"
        "assert not {'sqlalchemy', 'polars', 'pandas'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_typed_rows_of_sqlite_are_right_to_the_last_digit(tmp_path: Path) -> None:
    rows = [("b", 2**63 - 1, 0.1 + 0.2, "0.10"), ("a", 5, 1, None)]
    url = sqlite_of(tmp_path, rows, "id, n, f, d")
    answer(url, "SELECT id, n, f, d, :day AS day FROM t", tmp_path)
    data = declare(
        {
            "id": {"type": "string"},
            "n": {"type": "integer"},
            "f": {"type": "float"},
            "d": {"type": "decimal", "precision": 5, "scale": 2},
            "day": {"type": "date"},
        }
    )
    result = ingest(tmp_path / "answer.parquet", data, into=tmp_path / "out")
    assert result.broken is None
    assert pq.read_table(result.typed_path).to_pylist() == [
        {"id": "a", "n": 5, "f": 1.0, "d": None, "day": DAY},
        {"id": "b", "n": 2**63 - 1, "f": 0.1 + 0.2, "d": Decimal("0.10"), "day": DAY},
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A Postgres that all tests of this file share."""
    with postgres_server() as one:
        yield one


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "type_", "stored"),
    [
        ("true", pa.bool_(), True),
        ("9223372036854775807", pa.int64(), 2**63 - 1),
        ("9223372036854775808", pa.decimal128(19, 0), Decimal(2**63)),
        ("0.1::float8 + 0.2::float8", pa.float64(), 0.1 + 0.2),
        ("'-infinity'::float8", pa.float64(), float("-inf")),
        ("1.50::numeric", pa.decimal128(3, 2), Decimal("1.50")),
        ("'NaN'::numeric", pa.string(), "NaN"),
        ("1e40::numeric", pa.string(), f"1{'0' * 40}"),
        ("'ä%'::text", pa.string(), "ä%"),
        ("date '2013-11-01'", pa.date32(), DAY),
        ("CAST(:day AS date) + 1", pa.date32(), date(2013, 11, 2)),
        ("timestamp '2013-11-01 02:03:04.000005'", pa.timestamp("us"), NAIVE),
        ("timestamptz '2013-11-01 02:00+05:30'", INSTANT,
         datetime(2013, 10, 31, 20, 30, tzinfo=UTC)),
        ("timestamptz '0001-01-01 00:00+00'", INSTANT, datetime(1, 1, 1, tzinfo=UTC)),
        ("time '02:03:04.5'", pa.string(), "02:03:04.500000"),
        ("timetz '02:03+01'", pa.string(), "02:03:00+01:00"),
        ("interval '-2 days 3.5 s'", pa.string(), "-P1DT86396.500000S"),
        ("'00000000-0000-0000-0000-00000000000a'::uuid", pa.string(), f"{UUID(int=10)}"),
        (r"'\xABcd'::bytea", pa.string(), "abcd"),
        ("ARRAY[[1.10, 2], [NULL, 0]]", pa.string(), "[[1.10,2],[null,0]]"),
        ("ARRAY[]::text[]", pa.string(), "[]"),
        (r"""'{"b"\: 0.12345678901234567890, "a"\: [1, null]}'::jsonb""", pa.string(),
         '{"a":[1,null],"b":0.12345678901234567890}'),
        (r"""'{"b"\: 1, "a"\: "é"}'::json""", pa.string(), '{"a":"é","b":1}'),
        ("""'"1"'::jsonb""", pa.string(), '"1"'),
        ("'null'::jsonb", pa.string(), "null"),
        ("'10.0.0.1'::inet", pa.string(), "10.0.0.1"),
        ("int4range(1, 3)", pa.string(), "[1, 3)"),
        ("NULL::int", pa.string(), None),
    ],
)  # fmt: skip
def test_each_type_of_postgres_becomes_one_that_is_defined(
    tmp_path: Path, server: PostgresServer, expression: str, type_: pa.DataType, stored: Any
) -> None:
    table = answer(server.url, f"SELECT {expression} AS v", tmp_path)
    assert table.schema.types == [type_]
    assert table["v"].to_pylist() == [stored]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("SELECT 'infinity'::date AS v", "date too large"),
        ("SELECT '-infinity'::timestamptz AS v", "timestamp too small"),
        ("SELECT date '0044-03-15 BC' AS v", "date too small"),
        ("SELECT 1", "of 1 columns of the answer these have no name: 1"),
        ("SELECT 1 AS a, 2 AS a", "are called a"),
        ("SELECT", "gives no rows"),
        ("SELCT 1", 'refused: syntax error at or near "SELCT". To mend it'),
        ("SELECT nix FROM pg_class", 'refused: column "nix" does not exist. To mend it'),
        ("SELECT v FROM nix", 'refused: relation "nix" does not exist. To mend it'),
        ("SELECT 1 / 0 AS v", "division by zero"),
        ("SELECT 1 / (2000 - g) AS v FROM generate_series(1, 3000) g", "division by zero"),
        ("SELECT $1 AS v", "requires 1"),
        ("SELECT 1 AS v; SELECT 2 AS v", "multiple commands"),
        ("CREATE TABLE nix (v int)", 'syntax error at or near "CREATE"'),
        ("UPDATE pg_class SET relname = ''", 'syntax error at or near "UPDATE"'),
        ("COMMIT", 'syntax error at or near "COMMIT"'),
    ],
)
def test_postgres_refuses_what_no_query_should_ask(
    tmp_path: Path, server: PostgresServer, query: str, what: str
) -> None:
    refused = refusal(server.url, query, tmp_path)
    assert fault_of(refused) == "input"
    assert what in str(refused)
    assert refused.culprit == "postgresql database 'postgres'"


@pytest.mark.slow
def test_a_query_of_postgres_can_only_read_has_a_cursor_and_ends_with_its_connection(
    tmp_path: Path, server: PostgresServer
) -> None:
    query = "SELECT statement, current_setting('transaction_read_only') AS only FROM pg_cursors"
    (found,) = answer(server.url, query, tmp_path).to_pylist()
    assert query in found["statement"]
    assert found["only"] == "on"
    count = "SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'client backend'"
    with psycopg.connect(server.url) as watching:
        # A connection that is closed goes when its process does.
        while watching.execute(count).fetchone() != (1,):
            watching.rollback()


@pytest.mark.slow
def test_postgres_in_any_order_gives_the_same_bytes(tmp_path: Path, server: PostgresServer) -> None:
    query = (
        "SELECT g % 7 AS a, CASE g % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' WHEN 2 THEN '0'"
        " WHEN 3 THEN NULL ELSE g::text END::float8 AS b, g / 3.0 AS c"
        " FROM generate_series(1, 200000) g ORDER BY "
    )
    files = set()
    for order in ("g", "g DESC", "g % 1009, g"):
        assert answer(server.url, query + order, tmp_path).num_rows == 200_000
        files.add((tmp_path / "answer.parquet").read_bytes())
    assert len(files) == 1


@pytest.mark.slow
def test_typed_rows_of_postgres_are_right_to_the_last_digit(
    tmp_path: Path, server: PostgresServer
) -> None:
    query = (
        "SELECT * FROM (VALUES"
        " ('a', 9007199254740993, 12345678901234567890.123456789012345678::numeric, 1e-7::float8,"
        "  timestamptz '2013-11-01 00:30:00.000001+02', true, CAST(:day AS date)),"
        " ('b', -1, 0.5, 'NaN'::float8, '2013-11-01 12:00+00', NULL, NULL),"
        " ('c', -2, -0.000000000000000001, 123456.789, NULL, false, :next_day)"
        ") AS given (id, n, d, f, at, b, day)"
    )
    answer(server.url, query, tmp_path)
    data = declare(
        {
            "id": {"type": "string"},
            "n": {"type": "integer"},
            "d": {"type": "decimal", "precision": 38, "scale": 18},
            "f": {"type": "float"},
            "at": {"type": "timestamp", "time_zone": "UTC"},
            "b": {"type": "boolean"},
            "day": {"type": "date"},
        }
    )
    result = ingest(tmp_path / "answer.parquet", data, into=tmp_path / "out")
    assert (result.accepted, result.quarantined) == (2, 1), "NaN is no number of an audit"
    assert [list(row.values()) for row in pq.read_table(result.typed_path).to_pylist()] == [
        ["a", 2**53 + 1, Decimal("12345678901234567890.123456789012345678"), 1e-7,
         datetime(2013, 10, 31, 22, 30, 0, 1, tzinfo=UTC), True, DAY],
        ["c", -2, Decimal("-0.000000000000000001"), 123456.789, None, False, date(2013, 11, 2)],
    ]  # fmt: skip


@pytest.mark.slow
def test_who_may_not_log_in_may_another_time_and_is_not_told(
    tmp_path: Path, server: PostgresServer
) -> None:
    address = sqlalchemy.make_url(server.url)
    for wrong in (
        address.set(password="wrong/secret"),  # noqa: S106 - of nobody
        address.set(username="no/body"),
        address.set(database="absent"),
    ):
        url = wrong.render_as_string(hide_password=False)
        failed = refusal(url, "SELECT 1 AS v", tmp_path)
        assert isinstance(failed, StateError)
        told = "".join(traceback.format_exception(failed))
        assert "FATAL" in told
        for secret in (USER, PASSWORD, "wrong/secret", "no/body", str(server.folder)):
            assert secret not in told


@pytest.mark.slow
def test_a_connection_that_is_lost_while_rows_come_is_a_fault_of_the_machine(
    tmp_path: Path, server: PostgresServer, capfd: pytest.CaptureFixture[str]
) -> None:
    query = (
        "SELECT g, CASE g WHEN 120000 THEN pg_terminate_backend(pg_backend_pid()) END AS ended"
        " FROM generate_series(1, 200000) g"
    )
    failed = refusal(server.url, query, tmp_path)
    assert fault_of(failed) == "machine"
    assert "terminating connection" in str(failed)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_server_that_is_stopped_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    with postgres_server() as server:
        assert answer(server.url, "SELECT 1 AS v", tmp_path).num_rows == 1
        server.stop()
        failed = refusal(server.url, "SELECT 1 AS v", tmp_path)
    assert not server.folder.exists()
    assert fault_of(failed) == "machine"
    assert PASSWORD not in str(failed)
    failed = refusal(f"postgresql://somebody:secret@{NOWHERE}/data", "SELECT 1 AS v", tmp_path)
    assert fault_of(failed) == "machine"
    assert failed.culprit == "postgresql database 'data' on 127.0.0.1"
