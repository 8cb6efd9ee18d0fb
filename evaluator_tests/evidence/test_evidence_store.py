"""Every version stays, is found by its identity, and is never taken for what it is not."""

import errno
import hashlib
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from evaluator.errors import EvidenceError, StateError, fault_of
from evaluator.evidence import (
    Address,
    EvidenceStore,
    Record,
    RunContext,
    StoredFile,
    Upstream,
    digest_of_bytes,
    write_whole,
)

AT = Address("shop", "one_predictions", "north|new")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FIRST = "1" * 32
SECOND = "2" * 32
TABLE = pa.table({"id": ["a", "b"], "score": [0.25, 0.75]})


def moment(run: str = "run-1", minutes: int = 0) -> RunContext:
    return RunContext(run, NOON + timedelta(minutes=minutes))


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EvidenceStore]:
    """A store on a disk, and one on another of fsspec's file systems."""
    if request.param == "folder":
        yield EvidenceStore(str(tmp_path / "evidence"))
        return
    url = f"memory://{tmp_path.name}/evidence"
    yield EvidenceStore(url)
    files, root = fsspec.core.url_to_fs(url)
    if files.exists(root):
        files.rm(root, recursive=True)


@pytest.fixture
def local(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(str(tmp_path / "evidence"))


def put(
    store: EvidenceStore,
    identity: str = FIRST,
    *,
    at: Address = AT,
    content: bytes = b"hello",
    when: RunContext | None = None,
) -> Record:
    return store.write(
        at,
        identity,
        {"note.txt": content, "rows.parquet": TABLE},
        content_version="v" + identity,
        upstream=[
            Upstream(asset="evaluation_set", partition=None, identity="e", content_version="ev")
        ],
        facts={"cases": 2},
        code_version="1",
        run_context=when or moment(),
    )


def path_of(store: EvidenceStore, record: Record, name: str) -> Path:
    return Path(store.location(record, name))


def test_what_was_written_is_read_back_with_its_provenance(store: EvidenceStore) -> None:
    record = put(store)

    found = store.find(AT, FIRST)
    assert found == record
    assert store.current(AT) == record
    assert store.get(AT, FIRST) == record
    assert record.address == AT
    assert (record.run_id, record.created_at) == ("run-1", NOON)
    assert record.as_upstream().content_version == "v" + FIRST
    assert record.upstream[0].asset == "evaluation_set"
    assert record.facts == {"cases": 2}
    assert record.files["note.txt"].sha256 == digest_of_bytes(b"hello")
    assert record.files["note.txt"].size == 5
    assert store.read_bytes(record, "note.txt") == b"hello"
    assert store.read_table(record, "rows.parquet").equals(TABLE)


def test_a_part_of_a_table_can_be_read(store: EvidenceStore) -> None:
    record = put(store)

    part = store.read_table(record, "rows.parquet", filters=[("id", "==", "b")], columns=["score"])

    assert part.to_pydict() == {"score": [0.75]}


def test_another_process_finds_it_by_the_same_address(store: EvidenceStore) -> None:
    record = put(store)

    assert EvidenceStore(store.url).current(AT) == record


def test_what_was_never_written_is_not_there(store: EvidenceStore) -> None:
    assert store.find(AT, FIRST) is None
    assert store.current(AT) is None
    assert store.last_failure(AT, FIRST) is None
    assert list(store.partitions("shop", "raw_data")) == []
    with pytest.raises(EvidenceError, match="has no record") as caught:
        store.get(AT, FIRST)
    assert "shop/one_predictions[north|new]" in str(caught.value)


def test_every_version_stays_and_the_last_one_is_current(store: EvidenceStore) -> None:
    first = put(store, FIRST, content=b"old")
    second = put(store, SECOND, content=b"new", when=moment("run-2", 5))

    assert store.current(AT) == second
    assert store.find(AT, FIRST) == first
    assert store.read_bytes(first, "note.txt") == b"old"


def test_a_version_that_exists_is_left_as_it_is_and_made_current(store: EvidenceStore) -> None:
    first = put(store, FIRST)
    put(store, SECOND, when=moment("run-2", 5))

    again = put(store, FIRST, content=b"other bytes", when=moment("run-3", 9))

    assert again == first
    assert store.current(AT) == first
    assert store.read_bytes(first, "note.txt") == b"hello"


def test_a_failure_is_kept_with_its_error_until_the_version_is_computed(
    store: EvidenceStore,
) -> None:
    store.record_failure(AT, FIRST, ValueError("first try"), "trace 1", moment("run-1"))
    store.record_failure(AT, FIRST, OSError("second try"), "trace 2", moment("run-2", 3))
    store.record_failure(AT, SECOND, KeyError("of another"), "trace 3", moment("run-3", 9))

    failure = store.last_failure(AT, FIRST)
    assert failure is not None
    assert str(failure) == "OSError: second try"
    assert (failure.trace, failure.run_id) == ("trace 2", "run-2")
    assert store.find(AT, FIRST) is None
    assert store.current(AT) is None

    put(store, FIRST, when=moment("run-4", 12))

    assert store.last_failure(AT, FIRST) is None
    assert store.last_failure(AT, SECOND) is not None


def test_a_failure_leaves_the_older_version_current(store: EvidenceStore) -> None:
    first = put(store, FIRST)

    store.record_failure(AT, SECOND, ValueError("crash"), "trace", moment("run-2", 5))

    assert store.current(AT) == first


@pytest.mark.parametrize("name", ["note.txt", "rows.parquet"])
def test_a_changed_file_is_an_error_that_names_it(local: EvidenceStore, name: str) -> None:
    record = put(local)
    path = path_of(local, record, name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(EvidenceError, match="the file is not what was stored") as caught:
        local.read_bytes(record, name)

    assert caught.value.culprit == str(path)
    assert "restore the evidence folder from a copy" in caught.value.fix


def test_a_deleted_file_is_an_error_that_names_it(local: EvidenceStore) -> None:
    record = put(local)
    path = path_of(local, record, "rows.parquet")
    path.unlink()

    with pytest.raises(EvidenceError, match="the file is gone") as caught:
        local.read_table(record, "rows.parquet")

    assert caught.value.culprit == str(path)


def test_the_fix_for_a_deleted_file_works(local: EvidenceStore) -> None:
    record = put(local)
    path = path_of(local, record, "note.txt")
    path.unlink()
    with pytest.raises(EvidenceError) as caught:
        local.read_bytes(record, "note.txt")
    folder = path.parents[1]
    assert f"remove {FIRST} and current.json from {folder} and materialise it again" in str(
        caught.value
    )

    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()
    (folder / "current.json").unlink()

    assert local.current(AT) is None
    assert local.read_bytes(put(local), "note.txt") == b"hello"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"identity": 1}', b"\xff\xfe"])
@pytest.mark.parametrize("name", ["record.json", "current.json"])
def test_a_damaged_record_is_an_error_that_names_it(
    local: EvidenceStore, name: str, damage: bytes
) -> None:
    folder = path_of(local, put(local), "note.txt").parent
    path = folder / name if name == "record.json" else folder.parent / name
    path.write_bytes(damage)

    with pytest.raises(EvidenceError, match="the file is not what was stored") as caught:
        local.current(AT)

    assert caught.value.culprit == str(path)


def test_a_current_version_that_was_removed_is_an_error_and_not_nothing(
    local: EvidenceStore,
) -> None:
    record = put(local)
    path_of(local, record, "record.json").unlink()

    with pytest.raises(EvidenceError, match="has no record"):
        local.current(AT)


@pytest.mark.parametrize("survives", [0, 1, 2])
def test_a_writer_that_was_killed_halfway_leaves_no_version(
    store: EvidenceStore, survives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = store.files.write

    def die_later(path: str, content: bytes) -> StoredFile:
        if len(written) == survives:
            raise KeyboardInterrupt
        written.append(path)
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(store.files, "write", die_later)
        with pytest.raises(KeyboardInterrupt):
            put(store)

    assert store.find(AT, FIRST) is None
    assert store.current(AT) is None
    # And the next writer is not disturbed by what lies there.
    record = put(store, content=b"whole")
    assert store.read_bytes(record, "note.txt") == b"whole"
    assert store.current(AT) == record


def test_a_file_that_was_cut_off_is_never_seen_under_its_name(
    local: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(local, FIRST)
    before = path_of(local, put(local, FIRST), "note.txt").parents[1] / "current.json"
    pointed = before.read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # Everything is written but for the last rename of each file.
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            put(local, SECOND)

    assert before.read_bytes() == pointed
    assert local.find(AT, SECOND) is None
    assert local.last_failure(AT, SECOND) is None


def together(tasks: list[Callable[[], object]]) -> list[BaseException]:
    """Run tasks at the same time; return what they raised."""
    start = threading.Barrier(len(tasks))
    errors: list[BaseException] = []

    def run(task: Callable[[], object]) -> None:
        start.wait()
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_writers_of_one_identity_do_not_disturb_each_other(store: EvidenceStore) -> None:
    for number in range(10):
        identity = f"{number:032x}"
        tasks = [
            lambda run=run, identity=identity: put(store, identity, when=moment(f"run-{run}"))
            for run in range(4)
        ]

        assert together(tasks) == []
        record = store.get(AT, identity)
        assert store.read_bytes(record, "note.txt") == b"hello"
        assert store.read_table(record, "rows.parquet").equals(TABLE)
        assert store.current(AT) == record


def test_a_reader_sees_one_whole_pointer_or_the_other(local: EvidenceStore) -> None:
    first, second = put(local, FIRST), put(local, SECOND)
    seen = []
    done = threading.Event()

    def swap() -> None:
        for _ in range(150):
            local.make_current(first, moment())
            local.make_current(second, moment())
        done.set()

    def read() -> None:
        while not done.is_set():
            record = local.current(AT)
            seen.append(None if record is None else record.identity)

    assert together([swap, read]) == []
    assert set(seen) <= {FIRST, SECOND}
    assert local.current(AT) == second


@pytest.mark.parametrize(
    "key",
    ["2013-11-01", "a b", "São Paulo", "50%", "%2F", "a:b", "x/y", "_", ".", "..", "a\\b", "\n"],
)  # fmt: skip
def test_a_partition_may_have_any_name(store: EvidenceStore, key: str) -> None:
    at = Address("shop", "raw_data", key)
    record = put(store, at=at)
    put(store, SECOND, at=Address("shop", "raw_data"))
    put(store, SECOND, at=Address("shop", "raw_data", "other"))

    assert store.current(at) == record
    assert store.read_bytes(record, "note.txt") == b"hello"
    assert set(store.partitions("shop", "raw_data")) == {key, "other"}
    inside = f"{store.folder(record)}/note.txt".split("/")
    assert inside[:2] == ["shop", "raw_data"]
    assert len(inside) == 5
    assert not {".", ".."} & set(inside)


def test_slices_that_are_spelt_alike_are_kept_apart(store: EvidenceStore) -> None:
    keys = ["a|b", "a%7Cb|c", "a|_", "_|a", "..|a", ".|a", "A|b"]
    records = {
        key: put(store, f"{place:032x}", at=Address("shop", "x", key))
        for place, key in enumerate(keys)
    }

    for key, record in records.items():
        assert store.current(Address("shop", "x", key)) == record


def test_partitions_are_those_with_a_current_version(store: EvidenceStore) -> None:
    for day in ("2026-01-03", "2026-01-01"):
        put(store, at=Address("shop", "raw_data", day))
    failed = Address("shop", "raw_data", "2026-01-02")
    store.record_failure(failed, FIRST, ValueError("broken"), "trace", moment())

    assert list(store.partitions("shop", "raw_data")) == ["2026-01-01", "2026-01-03"]
    assert list(store.partitions("shop", "nothing")) == []


def test_a_run_may_have_any_name(store: EvidenceStore) -> None:
    store.record_failure(AT, FIRST, ValueError("crash"), "trace", moment("a/b c.tmp"))

    failure = store.last_failure(AT, FIRST)

    assert failure is not None
    assert failure.run_id == "a/b c.tmp"


def test_a_records_file_can_be_checked_without_this_program(local: EvidenceStore) -> None:
    record = put(local)
    stored = json.loads(path_of(local, record, "record.json").read_bytes())

    assert stored["format"] == "evaluator/record/1"
    for name, file in stored["files"].items():
        content = path_of(local, record, name).read_bytes()
        assert digest_of_bytes(content) == file["sha256"]
        assert len(content) == file["size"]


def test_no_temporary_file_stays(local: EvidenceStore, tmp_path: Path) -> None:
    put(local)
    local.record_failure(AT, SECOND, ValueError("crash"), "trace", moment())

    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}

    assert names == {
        "current.json", "failure.run-1.json", "note.txt", "record.json", "rows.parquet"
    }  # fmt: skip


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_what_is_written_is_its_owners_alone_whatever_the_processs_mask(
    mask: int, tmp_path: Path
) -> None:
    evidence = tmp_path / "state" / "evidence"
    before = os.umask(mask)
    try:
        local = EvidenceStore(str(evidence))
        put(local)
        local.files.create("shop/ledger/1.json", b"{}")
        local.files.replace("shop/ledger/head.json", b"{}")
    finally:
        os.umask(before)

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").rglob("*")}

    assert {modes.pop(path) for path in list(modes) if path.is_dir()} == {0o700}
    assert set(modes.values()) == {0o600}


def test_a_small_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.yaml"
    write_whole(path, b"before")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"after")

    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_locations_are_what_a_person_can_open(tmp_path: Path) -> None:
    local = EvidenceStore(str(tmp_path / "evidence"))
    memory = EvidenceStore(f"memory://{tmp_path.name}/evidence")
    inside = f"shop/one_predictions/north/new/{FIRST}/note.txt"

    assert local.location(put(local), "note.txt") == str(tmp_path / "evidence" / inside)
    assert memory.location(put(memory), "note.txt") == (
        f"memory:///{tmp_path.name}/evidence/{inside}"
    )
    assert f"{local.folder(put(local))}/note.txt" == inside
    assert memory.folder(put(memory)) == local.folder(put(local))


def test_facts_that_json_has_no_word_for_are_refused(local: EvidenceStore) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        local.write(
            AT,
            FIRST,
            {},
            content_version="v",
            upstream=[],
            facts={"share": float("nan")},
            code_version="1",
            run_context=moment(),
        )

    assert local.current(AT) is None


def test_a_file_is_stored_and_fetched_byte_for_byte(store: EvidenceStore, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 9_000)

    record = store.write(
        AT, FIRST, {"day.csv": source}, content_version="1", upstream=[], facts={},
        code_version="1", run_context=moment(),
    )  # fmt: skip
    store.fetch(record, "day.csv", target)

    assert target.read_bytes() == source.read_bytes()
    assert record.files["day.csv"].sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert record.files["day.csv"].size == 256 * 9_000


def test_fetching_what_is_not_what_was_stored_is_refused(
    store: EvidenceStore, tmp_path: Path
) -> None:
    record = put(store)
    wrong = record.model_copy(update={"files": {"note.txt": StoredFile(sha256="0" * 64, size=1)}})
    with pytest.raises(EvidenceError, match="not what was stored"):
        store.fetch(wrong, "note.txt", tmp_path / "target")


class Failing:
    """Lets a function of a file system fail so often, and do its work then."""

    def __init__(
        self, patch: pytest.MonkeyPatch, on: object, name: str, *errors: Exception | bytes
    ) -> None:
        self.calls = 0
        self._errors = list(errors)
        self._work = getattr(on, name)
        patch.setattr(on, name, self)

    def __call__(self, *arguments: object, **named: object) -> object:
        self.calls += 1
        if self._errors:
            error = self._errors.pop(0)
            if isinstance(error, Exception):
                raise error
            return error
        return self._work(*arguments, **named)


def file_system(store: EvidenceStore) -> object:
    return store.files._filesystem


BROKEN = OSError(errno.EIO, "Input/output error")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evaluator.evidence._files.time.sleep", lambda _: None)


def test_a_read_that_fails_is_tried_again_before_it_counts(
    store: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = put(store)
    Failing(monkeypatch, file_system(store), "cat_file", BROKEN)
    assert store.read_bytes(record, "note.txt") == b"hello"


def test_a_read_that_is_not_what_was_stored_is_made_again_before_it_counts(
    store: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = put(store)
    Failing(monkeypatch, file_system(store), "cat_file", b"hel")
    assert store.read_bytes(record, "note.txt") == b"hello"
    with monkeypatch.context() as patch:
        Failing(patch, file_system(store), "cat_file", b'{"format')
        assert EvidenceStore(store.url).current(AT) == record


def test_a_read_that_goes_on_failing_names_the_file_and_is_the_machines_fault(
    store: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = put(store)
    Failing(monkeypatch, file_system(store), "cat_file", *[BROKEN] * 9)
    with pytest.raises((OSError, EvidenceError), match=r"note\.txt") as caught:
        store.read_bytes(record, "note.txt")
    assert fault_of(caught.value) == "machine"


def test_a_store_that_refuses_is_asked_once_and_named_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EvidenceStore(f"memory://{tmp_path.name}/evidence")
    record = put(store)
    refused = PermissionError(errno.EACCES, "Forbidden")
    failing = Failing(monkeypatch, file_system(store), "cat_file", *[refused] * 9)
    with pytest.raises(EvidenceError, match=r"Forbidden") as caught:
        store.read_bytes(record, "note.txt")
    assert failing.calls == 1
    assert caught.value.culprit == store.location(record, "note.txt")
    assert "credentials" in caught.value.fix


def test_a_store_that_does_not_answer_is_not_one_without_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EvidenceStore(f"memory://{tmp_path.name}/evidence")
    put(store, at=Address("shop", "raw_data", "2026-01-02"))
    for name, ask in (
        ("info", lambda: list(store.partitions("shop", "raw_data"))),
        ("ls", lambda: list(store.partitions("shop", "raw_data"))),
        ("cat_file", lambda: EvidenceStore(store.url).current(AT)),
    ):
        with monkeypatch.context() as patch:
            Failing(patch, file_system(store), name, *[BROKEN] * 9)
            with pytest.raises(EvidenceError, match="the store did not do what it was asked"):
                ask()


@pytest.mark.parametrize("write", ["version", "entry", "head"])
def test_a_write_that_fails_leaves_no_temporary_file_and_names_where(
    local: EvidenceStore, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    put(local)
    before = sorted(Path(local.url).rglob("*"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("evaluator.evidence._files.os.fsync", full)
    monkeypatch.setattr("evaluator.evidence._files._pass_on", full)
    with pytest.raises(OSError, match="No space left") as caught:
        {
            "version": lambda: put(local, SECOND),
            "entry": lambda: local.files.create("shop/ledger/1.json", b"{}"),
            "head": lambda: local.files.replace("shop/ledger/head.json", b"{}"),
        }[write]()
    assert str(caught.value.filename).startswith(local.url)
    assert [path for path in sorted(Path(local.url).rglob("*")) if path.is_file()] == [
        path for path in before if path.is_file()
    ]


def test_a_disk_that_is_full_is_not_asked_again(
    local: EvidenceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    failing = Failing(monkeypatch, local.files, "_send", full)
    failing = Failing(monkeypatch, file_system(local), "cat_file", *[full] * 9)
    with pytest.raises(OSError, match="No space left"):
        local.current(AT)
    assert failing.calls == 1


def test_a_file_that_changes_while_it_is_copied_makes_no_version(
    store: EvidenceStore, tmp_path: Path
) -> None:
    file = tmp_path / "day.csv"
    file.write_bytes(b"half of it")
    with pytest.raises(StateError, match="it changed while it was read") as caught:
        store.write(
            AT,
            FIRST,
            {"day.csv": file},
            digests={"day.csv": digest_of_bytes(b"half")},
            content_version="v",
            upstream=[],
            facts={},
            code_version="1",
            run_context=moment(),
        )
    assert caught.value.culprit == str(file)
    assert store.find(AT, FIRST) is None
    assert store.current(AT) is None
    assert store.files.walk() == []
    assert fault_of(caught.value) == "machine"


def test_of_writers_of_one_identity_with_different_contents_the_first_ones_count(
    store: EvidenceStore,
) -> None:
    barrier = threading.Barrier(6)
    records: list[Record] = []

    def write(number: int) -> None:
        own = EvidenceStore(store.url)
        barrier.wait()
        run = moment(f"run-{number}")
        records.append(
            own.write(
                AT,
                FIRST,
                {"page.html": b"%d" % number * 1000, "card.html": b"%d" % number * 100_000},
                content_version="v",
                upstream=[],
                facts={},
                code_version="1",
                run_context=run,
                is_repeatable=False,
            )
        )

    threads = [threading.Thread(target=write, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.run_id for record in records}) == 1
    for name in ("page.html", "card.html"):
        content = store.read_bytes(records[0], name)
        assert content.startswith(records[0].run_id[-1].encode())
    assert not store.files.exists("shop/one_predictions/north/new/lock")


def test_a_lock_whose_holder_died_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EvidenceStore(f"memory://{tmp_path.name}/evidence")
    store.files.write("shop/lock", b"of a process that was killed")
    now = iter(range(0, 10_000, 100))
    monkeypatch.setattr("evaluator.evidence._files.time.monotonic", lambda: float(next(now)))
    with store.files.alone("shop"):
        assert store.files.read("shop/lock") != b"of a process that was killed"
    assert not store.files.exists("shop/lock")


def test_failures_that_earlier_versions_noted_are_tried_again_where_the_machine_was_at_fault(
    local: EvidenceStore,
) -> None:
    for name, fault in (
        ("OSError", "machine"),
        ("MemoryError", "machine"),
        ("IntakeError", "input"),
    ):
        local.record_failure(AT, FIRST, ValueError("it was so"), "", moment())
        (path,) = Path(local.url).rglob("failure.*.json")
        stored = json.loads(path.read_text())
        assert stored.pop("fault") == "program"
        path.write_text(json.dumps(stored | {"error": name}))
        noted = local.last_failure(AT, FIRST)
        assert noted is not None
        assert noted.fault == fault
