"""Whether a machine and a state can do their work, and how to mend what cannot."""

import os
import platform
import shlex
import shutil
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

from evaluator import __version__
from evaluator.certification import signing_key_from_environment, trusted_by_environment
from evaluator.errors import EvaluatorError
from evaluator.orchestration._home import Home, check_instance_file, is_held
from evaluator.orchestration._services import LOOPBACK
from evaluator.reporting import aligned, printable
from evaluator.spec import audit_names, load_audit

_PACKAGES: Final = ("dagster", "mlflow", "numpy", "pandas", "polars", "scikit-learn", "skops")
_ROOM: Final = 1_000_000_000
"""Of bytes that are free; an audit of a few hundred thousand cases takes less."""
_SHOWN: Final = 3


class Finding(NamedTuple):
    """What was looked at, what was found, and how to mend it; nothing to mend where it is well."""

    what: str
    found: str
    fix: str | None = None

    @property
    def is_problem(self) -> bool:
        """Whether there is something to mend."""
        return self.fix is not None


def examine(home: Home, audits: Path, port: int) -> list[Finding]:
    """Look at versions, audits, state, keys, databases, a port and the disk; nothing is changed.

    Parameters
    ----------
    home
        Where state is.
    audits
        Where the audits lie.
    port
        The one that the UI would listen on.
    """
    looks: Sequence[Callable[[], Iterator[Finding]]] = (
        _versions,
        lambda: _audits(audits),
        lambda: _state(home),
        _keys,
        lambda: _databases(home),
        lambda: _port(home, port),
        lambda: _disk(home),
    )
    return [finding for look in looks for finding in look()]


def format_examination(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a line a finding, without its end and without control characters."""
    rows = [
        ("PROBLEM", one.what, f"{one.found}. To mend it: {one.fix}")
        if one.is_problem
        else ("ok", one.what, one.found)
        for one in findings
    ]
    yield from map(printable, aligned(rows))


def _versions() -> Iterator[Finding]:
    yield Finding("evaluator", f"{__version__}, Python {platform.python_version()}")
    for name in _PACKAGES:
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "it is not installed", "install it: `pip install evaluator`")


def _audits(folder: Path) -> Iterator[Finding]:
    names = audit_names(folder)
    for name in names:
        try:
            load_audit(name, folder)
        except EvaluatorError as error:
            yield _problem(f"audit {name}", error)
    yield Finding("audits", f"{len(names)} in {folder}")


def _state(home: Home) -> Iterator[Finding]:
    if not home.root.exists():
        parent = next(path for path in home.root.parents if path.exists())
        if os.access(parent, os.W_OK):
            yield Finding("state", f"none yet in {home.root}")
        else:
            fix = f"let yourself write in {parent}, or have EVALUATOR_HOME name another folder"
            yield Finding("state", f"{home.root} cannot be made", fix)
        return
    folders = [home.root, *(path for path in home.root.iterdir() if path.is_dir())]
    closed = [path for path in folders if not os.access(path, os.R_OK | os.W_OK | os.X_OK)]
    if closed:
        found = f"{_named(closed)} cannot be read and written"
        yield Finding("state", found, "let yourself read and write there: `chmod -R u+rwX` it")
    else:
        yield Finding("state", f"{home.root}, evidence in {home.evidence_url}")
    others = [
        path
        for path in (*folders, home.root / "redaction.secret")
        # Whoever delivers files may be let into the state's folder and its landing folder.
        if path.exists()
        and path.name != "landing"
        and path.stat().st_mode & (stat.S_IRWXO | stat.S_IWGRP)
    ]
    if others:
        fix = f"`chmod go= {shlex.join(map(str, others))}`"
        yield Finding("permissions", f"{_named(others)} is open to others", fix)
    else:
        yield Finding("permissions", "the state is its owner's alone")


def _keys() -> Iterator[Finding]:
    try:
        key = signing_key_from_environment(os.environ)
    except EvaluatorError as error:
        yield _problem("signing key", error)
        return
    if key is None:
        yield Finding("signing key", "none: certificates are unsigned, see `evaluator keys --help`")
    else:
        yield Finding("signing key", key.public.key_id[:16])
    try:
        trusted = trusted_by_environment(os.environ)
    except EvaluatorError as error:
        yield _problem("trusted keys", error)
    else:
        yield Finding("trusted keys", "none are named" if trusted is None else "they can be read")


def _databases(home: Home) -> Iterator[Finding]:
    if home.instance_file.exists():
        try:
            check_instance_file(home.instance_file)
            yield Finding("Dagster", str(home.instance_file))
        except EvaluatorError as error:
            yield _problem("Dagster", error)
    files = [home.dagster / "history" / "runs.db", home.dagster / "schedules" / "schedules.db"]
    files += [home.mlflow_database] if home.tracks_itself else []
    for path in files:
        if path.exists():
            yield _database(path)
    if not home.tracks_itself:
        yield Finding("MLflow", "a server of your own, which is not asked")


def _database(path: Path) -> Finding:
    what = f"database {path.name}"
    fix = "restore it from a copy, or move the file away, and it is made anew without its history"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        return Finding(what, f"{path} cannot be read ({error})", "look who may read it, or wait")
    except sqlite3.DatabaseError as error:
        return Finding(what, f"{path} is damaged ({error})", fix)
    return Finding(what, "whole") if found == "ok" else Finding(what, f"{path}: {found}", fix)


def _port(home: Home, port: int) -> Iterator[Finding]:
    if is_held(home.ui_lock):
        # Then somebody listens, and should.
        yield Finding("UI", "it runs over this state")
        return
    problem = why_not_listen(port)
    if problem is None:
        yield Finding(f"port {port}", "free for `evaluator ui`")
    else:
        fix = f"end what listens there, or name another: `evaluator ui --port {port + 1}`"
        yield Finding(f"port {port}", f"the UI cannot listen there ({problem})", fix)


def why_not_listen(port: int) -> str | None:
    """Say why the UI cannot listen on a port; None where it can."""
    with socket.socket() as probe:
        # A connection that ended a moment ago is in nobody's way; who listens is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.strerror
    return None


def _disk(home: Home) -> Iterator[Finding]:
    there = next(path for path in (home.root, *home.root.parents) if path.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 1e9:,.1f} GB are free at {there}"
    yield Finding("disk", found, None if free >= _ROOM else "make room, as with `evaluator prune`")


def _problem(what: str, error: EvaluatorError) -> Finding:
    return Finding(what, f"{error.culprit}: {error.what}", error.fix)


def _named(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(map(str, paths[:_SHOWN])) + more
