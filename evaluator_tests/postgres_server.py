"""A real Postgres that asks for a password, on a socket that only its tests know."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL

USER = "some@body"
PASSWORD = "not/to:be%told?&=@all"  # noqa: S105 - of a server that ends with its test
#: Where Debian has the programs, of which only some are on the path.
DEBIAN = Path("/usr/lib/postgresql")


class PostgresServer:
    """A server with an empty database, of the user that it belongs to."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._data = folder / "data"
        # Postgres does not run as root.
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            names = {account.pw_name for account in pwd.getpwall()}
            account = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        # The socket's folder stands for the host: it needs no port that others could take first.
        query = {"host": str(folder)}
        address = URL.create("postgresql", USER, PASSWORD, database="postgres", query=query)
        self.url = address.render_as_string(hide_password=False)

    def start(self) -> None:
        """Make the database, and return when it answers."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        # The server's account has to read it, and its folder is that account's alone.
        secret.chmod(0o644)
        self._run(
            *("initdb", "--auth=scram-sha-256", f"--username={USER}", f"--pwfile={secret}"),
            *("--encoding=UTF8", "--locale=C", "--no-sync"),
        )
        settings = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off"
        self._run("pg_ctl", "start", "--wait", f"--log={self.folder}/log", f"--options={settings}")

    def stop(self) -> None:
        """End the server, and return when it is gone."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "--wait", "--mode=fast")

    def _run(self, program: str, *arguments: str) -> None:
        # What it says goes to a file, since a server would keep a pipe open.
        with (self.folder / "said").open("a+") as said:
            done = subprocess.run(
                [self._programs / program, f"--pgdata={self._data}", *arguments],
                cwd=self.folder,
                env={"LC_ALL": "C", "PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                check=False,
                **self._account,
            )
            said.seek(0)
            assert done.returncode == 0, said.read()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Serve an empty database, where Postgres is installed."""
    versions = DEBIAN.glob("*/bin/initdb")
    found = max(versions, key=lambda path: float(path.parts[-3]), default=shutil.which("initdb"))
    if found is None:
        pytest.skip("Postgres is not installed: apt-get install postgresql")
    # Not below pytest's own folders, into which only the tests' account may look, and short, as
    # a socket's name has to be.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = PostgresServer(Path(found).parent, folder)
    try:
        server.start()
        yield server
    finally:
        try:
            server.stop()
        finally:
            shutil.rmtree(folder)
