"""A query to a database: rows in blocks, or an error that tells no secret."""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, unquote_plus

from evaluator.errors import EvaluatorError, IntakeError, StateError

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Engine

#: Which driver a URL means that names none: in all of SQLAlchemy 2 what `evaluator[postgres]` has.
DRIVERS: Final = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
#: What databases call a column that nobody named.
UNNAMED: Final = ("", "?column?")
#: The beginnings of SQLSTATEs that no query brings about by itself: lost connections, whoever may
#: not log in or read, deadlocks, no resources, locks, an operator, disks, and the server's own.
MACHINE_STATES: Final = ("080", "28", "42501", "40", "53", "55", "57", "58", "F0", "XX")
#: SQLite's codes of what a query does: an error, to write, too big, mismatch, range.
SQLITE_INPUT_CODES: Final = (1, 8, 18, 20, 25)
#: A shorter secret is looked for as a word, or it would be found in any.
SHORT: Final = 4


def ask(
    url: str,
    query: str,
    bound: Mapping[str, date],
    *,
    rows_a_block: int,
    read_json: Callable[[str | bytes], Any],
) -> Generator[Sequence[Any], None, None]:
    """Give the names of an answer's columns, and then block after block of its rows."""
    engine, database = _open(url, read_json)
    is_connected = False
    try:
        with engine.connect() as connection:
            is_connected = True
            with _execute(connection, query, bound, database) as result:
                yield _names(result, database)
                yield from result.partitions(rows_a_block)
    except EvaluatorError:
        raise
    except Exception as raised:  # noqa: BLE001 - drivers raise what they like, with the URL in it
        error = _error(raised, url, database, is_connected=is_connected)
    else:
        return
    finally:
        engine.dispose()
    # Raised where the driver's error was caught, it would take that along.
    raise error


def _open(url: str, read_json: Callable[[str | bytes], Any]) -> tuple["Engine", str]:
    """Make an engine, and say which database it is of."""
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    what, culprit, fix = "", "the database's URL", "write it as kind://user:password@host/database"
    driver = ""
    try:
        parsed = make_url(url)
        driver = DRIVERS.get(parsed.drivername, parsed.drivername)
        parsed = parsed.set(drivername=driver)
        kind = parsed.get_backend_name()
        is_file = kind == "sqlite" and not parsed.host
        # Or part of a password would be taken for the host, and told.
        if not is_file and url.count("@") > (parsed.username is not None):
            what = "it has an @ that is not between password and host"
            fix = "write @ in user, password or options as %40, and / as %2F"
        else:
            culprit = f"{kind} database {parsed.database or ''!r}"
            culprit += f" on {parsed.host}" if parsed.host else ""
            json = {"json_deserializer": read_json} if kind == "postgresql" else {}
            engine = create_engine(parsed, poolclass=NullPool, **json)
    except NoSuchModuleError:
        what = "nothing that is installed knows this kind of database"
        fix = "begin the URL as in postgresql:// or sqlite:///, or install the kind's dialect"
    except ImportError as error:
        what = f"its driver is not installed ({error.name or driver})"
        is_ours = driver == DRIVERS["postgresql"]
        other = "install the driver, or name one in the URL that is installed"
        fix = 'pip install "evaluator[postgres]"' if is_ours else other
    except (SQLAlchemyError, ValueError, TypeError):
        what = "the URL cannot be read"
    if what:
        raise IntakeError(what, culprit=culprit, fix=fix)
    path = parsed.database
    # SQLite would make an empty one.
    if is_file and path and not path.startswith((":memory:", "file:")) and not Path(path).is_file():
        raise StateError("there is no such file", culprit=culprit, fix="put it there")
    return engine, culprit


def _execute(
    connection: "Connection", query: str, bound: Mapping[str, date], database: str
) -> "CursorResult[Any]":
    """Run a query where it can change nothing."""
    from sqlalchemy import Date, bindparam, text

    statement = text(query)
    named = statement.compile().params
    if unknown := sorted(named.keys() - bound.keys()):
        raise IntakeError(
            f"the query asks for :{', :'.join(unknown)}, which it is not given",
            culprit=database,
            fix=rf"ask for :{', :'.join(bound)}, or write \: for a colon that asks for nothing",
        )
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON").close()
    connection.execution_options(
        stream_results=True, postgresql_readonly=True, sqlite_raw_colnames=True
    )
    return connection.execute(
        statement.bindparams(*(bindparam(name, bound[name], type_=Date) for name in named))
    )


def _names(result: "CursorResult[Any]", database: str) -> list[str]:
    """Return the names of an answer's columns, of which each has one of its own."""
    names = list(result.keys()) if result.returns_rows else []
    unnamed = [str(at) for at, name in enumerate(names, 1) if name in UNNAMED]
    repeated = sorted({name for name in names if names.count(name) > 1} - {*UNNAMED})
    if not names:
        what, fix = "the statement gives no rows", "write one that does, such as a SELECT"
    elif unnamed:
        what = f"of {len(names)} columns of the answer these have no name: {', '.join(unnamed)}"
        fix = "name each of them with AS"
    elif repeated:
        what = f"several columns of the answer are called {', '.join(repeated)}"
        fix = "name each of them with AS"
    else:
        return names
    raise IntakeError(what, culprit=database, fix=fix)


def _error(
    raised: Exception, url: str, database: str, *, is_connected: bool
) -> IntakeError | StateError:
    """Say what a driver raised, less what is secret."""
    from sqlalchemy.exc import DataError

    original = getattr(raised, "orig", None) or raised
    # Where in the statement it is: one that the driver wrapped the query in.
    words = re.sub(r"\nLINE \d+: .*\n *\^", "", str(original))
    said = _without_secrets(" ".join(words.split()).rstrip("."), url)
    if _is_of_machine(raised, original):
        reach = "see that its server runs, can be reached and lets this account in, and run again"
        fix = "look after the database, and run again" if is_connected else reach
        return StateError(f"the database fails: {said}", culprit=database, fix=fix)
    if not is_connected:
        return IntakeError(f"its URL is refused: {said}", culprit=database, fix="correct the URL")
    fix = "correct the query: one statement that gives rows and changes nothing"
    if isinstance(raised, DataError) and getattr(original, "sqlstate", None) is None:
        fix = "let the query cast that value to text, or leave it out"
    return IntakeError(f"the query is refused: {said}", culprit=database, fix=fix)


def _is_of_machine(raised: Exception, original: Any) -> bool:
    """Tell what may go well another time from what the query or the URL is to blame for."""
    from sqlalchemy import exc

    if not isinstance(raised, exc.DBAPIError):
        return not isinstance(raised, exc.SQLAlchemyError | TypeError | ValueError)
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if raised.connection_invalidated or state:
        return raised.connection_invalidated or str(state).startswith(MACHINE_STATES)
    if type(original).__module__ == "sqlite3":
        # Without a code it is Python that cannot read a value, or will not ask.
        return getattr(original, "sqlite_errorcode", 1) & 0xFF not in SQLITE_INPUT_CODES
    return isinstance(raised, exc.OperationalError | exc.InternalError | exc.InterfaceError)


def _without_secrets(text: str, url: str) -> str:
    """Take out user, password and options of a URL, however they are spelt."""
    before, _, behind = url.partition("://")[2].rpartition("@")
    user, _, password = before.partition(":")
    options = [option.partition("=")[2] for option in behind.partition("?")[2].split("&")]
    secrets = {user, password, *options}
    # An option may hold options, and what is decoded be decoded again.
    secrets.update(*(re.split(r"[;={}\s]", unquote_plus(option)) for option in options))
    for _ in range(2):
        secrets |= {decode(secret) for secret in secrets for decode in (unquote, unquote_plus)}
    spelt = [_spellings(secret) for secret in sorted(secrets, key=len, reverse=True) if secret]
    return re.sub("|".join([*spelt, r'(?<=user |role )"[^"]*"']), "***", text, flags=re.IGNORECASE)


def _spellings(secret: str) -> str:
    """Match each character as it is, behind backslashes, or in percents."""
    characters = {one: one.encode("utf-8", "surrogatepass") for one in secret}
    percents = {one: "".join(f"%{byte:02x}" for byte in held) for one, held in characters.items()}
    pattern = "".join(rf"\\*(?:{re.escape(one)}|{percents[one]})" for one in secret)
    return pattern if len(secret) >= SHORT else rf"(?<!\w){pattern}(?!\w)"
