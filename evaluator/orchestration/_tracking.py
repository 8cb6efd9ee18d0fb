"""MLflow's tracking store: a server, or a database of our own that goes along with its home."""

import logging
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from evaluator.errors import StateError
from evaluator.evidence import temporary_beside
from evaluator.orchestration._home import Home, locked, settle_process

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_SECONDS_FOR_A_LOCK = 30


def tracking_client(home: Home) -> "MlflowClient":
    """Return a client of the tracking store; one of our own is made, or found to be whole.

    Raises
    ------
    StateError
        Where a database of our own is not what MLflow can use.
    """
    from mlflow.tracking import MlflowClient

    settle_process()
    # Setting up the database is not news for whoever reads the terminal.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if home.tracks_itself:
        _make_whole(home)
        _check_whole(home.mlflow_database)
        move_artifacts_along(home)
    return MlflowClient(tracking_uri=home.tracking_uri)


def server_name(home: Home) -> str:
    """Name the tracking server for people, without what its address may hold of a password."""
    parts = urlsplit(home.tracking_uri)
    return parts.netloc.rpartition("@")[2] or home.tracking_uri


def move_artifacts_along(home: Home) -> None:
    """Let a home that was copied or moved write its artifacts into itself.

    MLflow keeps absolute addresses alone, of experiments, runs and models: those below the former
    home are made ones below this.
    """
    database = home.mlflow_database
    if not (home.tracks_itself and _is_made(database)):
        return
    here = home.mlflow_artifacts.as_uri()
    # What is no whole database is told where it is used: nothing else depends on it.
    with suppress(sqlite3.DatabaseError), closing(_connect(database)) as connection:
        found = connection.execute("SELECT experiment_id, name, artifact_location FROM experiments")
        for root in {root for row in found if (root := _root(*row))} - {here}:
            if not _is_same_folder(root, home.mlflow_artifacts):
                _replace_root(connection, root, here)


def _root(identity: int, name: str, location: str) -> str | None:
    """Return which home's artifacts an experiment's lie below; None where below no home's."""
    root, _, last = location.rpartition("/")
    return root if root.endswith("/mlflow/artifacts") and last in (str(identity), name) else None


def _is_same_folder(root: str, folder: Path) -> bool:
    """Tell whether it is another path to the same folder, as by a link or a mount."""
    try:
        return Path(urlsplit(root).path).samefile(folder)
    except OSError:
        return False


def _replace_root(connection: sqlite3.Connection, former: str, here: str) -> None:
    # Whatever columns have addresses in this version of MLflow, and all of them or none.
    with connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            for _, column, kind, *_ in columns:
                if "CHAR" in kind.upper() or "TEXT" in kind.upper():
                    connection.execute(
                        f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?)'  # noqa: S608 - names of its own schema
                        f' WHERE substr("{column}", 1, ?) = ?',
                        (f"{here}/", len(former) + 2, len(former) + 1, f"{former}/"),
                    )


def _make_whole(home: Home) -> None:
    """Make the database where there is none: aside and one after the other, and then named.

    MLflow makes one in place, in a hundred steps that nobody can take up again who finds some done.
    """
    database = home.mlflow_database
    if _is_made(database):
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with locked(database.with_name("mlflow.lock")):
        if _is_made(database):
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        for left in database.parent.glob(f".{database.name}.*"):
            left.unlink()
        # Its name is its own, because MLflow keeps engines by the names of their files.
        new = temporary_beside(database)
        address = f"sqlite:///{new}"
        store = SqlAlchemyStore(address, home.mlflow_artifacts.as_uri())  # type: ignore[no-untyped-call] # MLflow's lack
        store.engine.dispose()
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(database)


def _is_made(database: Path) -> bool:
    # A disk that was full leaves an empty file, in which nothing is lost.
    return database.is_file() and database.stat().st_size > 0


def _check_whole(database: Path) -> None:
    """Refuse what MLflow would stumble over, or change in place."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    try:
        with closing(_connect(database)) as connection:
            revisions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        revisions = []
    wanted = _get_latest_schema_revision()  # type: ignore[no-untyped-call] # MLflow's lack
    if revisions != [(wanted,)]:
        raise StateError(
            "MLflow cannot use it: it was left half made, is damaged, or is of another version of"
            " MLflow",
            culprit=str(database),
            fix=f"run `mlflow db upgrade sqlite:///{database}`; if that fails, move the file away:"
            " the next run makes another one, and every figure is in the evidence",
        )


def _connect(database: Path) -> sqlite3.Connection:
    """Open it as it is; none is made."""
    address = f"{database.as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_SECONDS_FOR_A_LOCK)
