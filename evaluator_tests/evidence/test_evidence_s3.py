"""The same store on S3: a real server of that protocol, on loopback.

Whatever test of the store takes any store is run here as well.
"""

import asyncio
import inspect
import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs

from evaluator.errors import EvidenceError
from evaluator.evidence import EvidenceStore
from evaluator_tests.evidence import test_evidence_store as of_any_store
from evaluator_tests.evidence.test_evidence_store import AT, FIRST, SECOND, TABLE, moment, put
from evaluator_tests.s3_server import SECRET, s3_server

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

globals().update(
    {
        name: test
        for name, test in vars(of_any_store).items()
        if name.startswith("test_") and "store" in inspect.signature(test).parameters
    }
)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on a server of this module's own."""
    with s3_server() as url:
        yield url


@pytest.fixture
def store(bucket: str, tmp_path: Path) -> EvidenceStore:
    """A store of the test's own in the server's bucket."""
    return EvidenceStore(f"{bucket}/{tmp_path.name}")


def names_in(store: EvidenceStore) -> list[str]:
    """List the names of all objects, as the server has them."""
    found = s3fs.S3FileSystem(skip_instance_cache=True).find(store.url)
    return sorted(path.rsplit("/", 1)[-1] for path in found)


def test_nothing_is_stored_but_what_was_written(store: EvidenceStore) -> None:
    put(store)

    assert names_in(store) == ["current.json", "note.txt", "record.json", "rows.parquet"]


def test_a_file_is_copied_there_and_back_without_being_held_in_memory(
    store: EvidenceStore, tmp_path: Path
) -> None:
    # More than one part of S3's, each of which is sent by itself.
    content = os.urandom(1024) * 60_000
    (tmp_path / "large.bin").write_bytes(content)
    record = store.write(
        AT,
        FIRST,
        {"large.bin": tmp_path / "large.bin"},
        content_version="v",
        upstream=[],
        facts={},
        code_version="1",
        run_context=moment(),
    )

    store.fetch(record, "large.bin", tmp_path / "back.bin")

    assert (tmp_path / "back.bin").read_bytes() == content
    assert record.files["large.bin"].size == len(content)


@pytest.mark.parametrize("name", ["note.txt", "rows.parquet"])
def test_an_object_that_was_changed_or_deleted_is_an_error_that_names_it(
    store: EvidenceStore, tmp_path: Path, name: str
) -> None:
    record = put(store)
    place = store.location(record, name)
    assert place == f"{store.url}/shop/one_predictions/north/new/{FIRST}/{name}"
    files = s3fs.S3FileSystem(skip_instance_cache=True)

    files.pipe_file(place, b"another content")
    with pytest.raises(EvidenceError, match="the file is not what was stored") as caught:
        store.read_bytes(record, name)
    assert caught.value.culprit == place
    with pytest.raises(EvidenceError, match="the file is not what was stored"):
        store.fetch(record, name, tmp_path / "copy")

    files.rm(place)
    with pytest.raises(EvidenceError, match="the file is gone"):
        store.read_bytes(record, name)


def test_a_transfer_that_breaks_off_leaves_the_object_that_was_there(
    store: EvidenceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two may write one version, and the slower one must not cut off what the faster one wrote."""
    record = put(store)
    with (tmp_path / "large.bin").open("wb") as large:
        # Two parts and a bit; less is sent in one.
        large.truncate(110 * 1024**2)
    call = s3fs.S3FileSystem._call_s3

    async def break_off(files: s3fs.S3FileSystem, method: str, *args: Any, **kwargs: Any) -> Any:
        if method == "upload_part" and kwargs["PartNumber"] > 1:
            raise PermissionError("the credentials have expired")
        return await call(files, method, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "_call_s3", break_off)
        with pytest.raises(EvidenceError, match="have expired"):
            store.files.write(f"{store.folder(record)}/note.txt", tmp_path / "large.bin")

    assert store.read_bytes(record, "note.txt") == b"hello"


def test_a_small_write_asks_the_server_five_times_and_no_more(
    store: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question costs some ten milliseconds where the server is not on this machine."""
    asked = []
    call = s3fs.S3FileSystem._call_s3

    async def count(files: s3fs.S3FileSystem, method: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(method)
        return await call(files, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", count)
    store.write(
        AT,
        FIRST,
        {"rows.parquet": TABLE},
        content_version="v",
        upstream=[],
        facts={},
        code_version="1",
        run_context=moment(),
    )

    assert asked == ["head_object", "list_objects_v2", "put_object", "put_object", "put_object"]


def test_a_server_that_fails_now_and_then_costs_a_tenth_of_a_second_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []
    sleep = asyncio.sleep

    async def note(seconds: float, *arguments: Any) -> None:
        if seconds:
            pauses.append(seconds)
        await sleep(0, *arguments)

    monkeypatch.setattr(asyncio, "sleep", note)
    with s3_server(lambda server: server.let_fail(500, every=5)) as url:
        store = EvidenceStore(f"{url}/{tmp_path.name}")
        for number in range(20):
            identity = f"{number:032}"
            put(store, identity)
            assert EvidenceStore(store.url).get(AT, identity).identity == identity
    assert len(pauses) > 20
    assert statistics.median(pauses) == 0.1


def test_a_server_that_refuses_is_named_with_the_path_and_what_helps(tmp_path: Path) -> None:
    with s3_server(lambda server: server.let_fail(403, every=1)) as url:
        store = EvidenceStore(f"{url}/{tmp_path.name}")
        for ask in (
            lambda: store.find(AT, FIRST),
            lambda: put(store),
            lambda: store.files.names(""),
        ):
            with pytest.raises(
                EvidenceError, match="credentials may read, write and delete"
            ) as caught:
                ask()
            assert caught.value.culprit.startswith(store.url)


_DIES = """
import os, signal, sys
from pathlib import Path
from evaluator.evidence import EvidenceStore
from evaluator_tests.evidence.test_evidence_store import put

store = EvidenceStore(sys.argv[1])
survives = int(sys.argv[2])
write, written = store.files.write, []

def die_later(path, content):
    if len(written) == survives:
        os.kill(os.getpid(), signal.SIGKILL)
    written.append(path)
    return write(path, content)

store.files.write = die_later
put(store)
"""


@pytest.mark.parametrize("survives", [1, 2])
def test_a_process_that_was_killed_between_two_files_leaves_no_version(
    store: EvidenceStore, survives: int
) -> None:
    died = subprocess.run(
        [sys.executable, "-c", _DIES, store.url, str(survives)], cwd=ROOT, check=False
    )

    assert died.returncode == -9
    assert len(names_in(store)) == survives
    assert store.find(AT, FIRST) is None
    assert store.current(AT) is None
    record = put(store, content=b"whole")
    assert store.read_bytes(record, "note.txt") == b"whole"


def test_another_process_finds_what_this_one_wrote_after_it_had_looked(
    store: EvidenceStore,
) -> None:
    other = EvidenceStore(store.url)
    assert other.current(AT) is None
    assert list(other.partitions("shop", "one_predictions")) == []

    put(store, FIRST)
    assert other.current(AT) == store.current(AT)
    put(store, SECOND)
    assert other.current(AT) == store.get(AT, SECOND)
    assert other.read_table(store.get(AT, SECOND), "rows.parquet").equals(TABLE)


def test_credentials_stand_in_no_log_no_error_and_no_record(
    store: EvidenceStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        record = put(store)
        store.record_failure(AT, SECOND, ValueError("crash"), "trace", moment())
        with pytest.raises(EvidenceError) as caught:
            store.get(AT, SECOND)

    told = caplog.text + str(caught.value) + store.location(record, "note.txt")
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    stored = b"".join(files.cat_file(path) for path in files.find(store.url))
    assert SECRET not in told
    assert SECRET.encode() not in stored
