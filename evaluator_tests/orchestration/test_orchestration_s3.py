"""A whole audit whose evidence lies in an object store, and files that arrive in one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import s3fs

from evaluator.orchestration import AuditState, Choice, Home
from evaluator.orchestration._arrivals import landing_sensor
from evaluator.orchestration._home import EVIDENCE_VARIABLE
from evaluator.orchestration._streams import streams_of
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import open_home, run
from evaluator_tests.orchestration.test_orchestration_arrivals import Watch, clock  # noqa: F401 - a fixture
from evaluator_tests.orchestration.test_orchestration_sources import two_days, typed
from evaluator_tests.s3_server import s3_server

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket() -> Iterator[str]:
    with s3_server() as url:
        yield url


def test_an_audit_with_its_evidence_on_s3_finds_what_it_finds_on_a_disk(
    audit: Audit,
    home: Home,
    finished: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(EVIDENCE_VARIABLE, f"{bucket}/audits")
    on_s3 = replace(home, evidence_url=f"{bucket}/audits")

    on_disk = Home(finished, str(finished / "evidence"))

    sturdy = Choice(candidate="sturdy")
    first = run(audit, on_s3, sturdy)
    second = run(audit, on_s3, sturdy)

    assert first.faults == []
    assert (first.computed, first.reused) == (4, 0)
    assert (second.computed, second.reused) == (0, 4)
    assert not (home.root / "evidence").exists()
    there, here = AuditState(audit, on_s3), AuditState(audit, on_disk)
    for key in (one.key for one in audit.spec.slices()):
        stored, wanted = (state.require("sturdy_predictions", key) for state in (there, here))
        assert stored.content_version == wanted.content_version
        assert stored.files == wanted.files
        measured = [
            state.store.read_table(
                state.require("sturdy_slice_metrics", key), "metrics.parquet"
            ).to_pandas()
            for state in (there, here)
        ]
        pd.testing.assert_frame_equal(*measured, rtol=1e-9)


def test_files_that_arrive_on_s3_are_fetched_once_and_again_when_they_change(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = open_home(tmp_path / "home", monkeypatch)
    landing = f"{bucket}/landing/sales"
    audit = two_days(files="date={date}/part-*.csv", landing=landing)
    store = s3fs.S3FileSystem()
    store.pipe(f"{landing}/date=2024-03-01/part-1.csv", b"id,n\nb,2\n")
    store.pipe(f"{landing}/date=2024-03-01/part-0.csv", b"id,n\na,1\n")
    data = streams_of(audit.spec)[0]
    watch = Watch(landing_sensor(audit, data))

    assert [watch.look() for _ in range(3)] == [[], ["2024-03-01"], []]
    assert run(audit, home).faults == []
    before = AuditState(audit, home).require("raw_data", "2024-03-01")
    assert [row["id"] for row in typed(audit, home, "2024-03-01")] == ["a", "b"]
    assert not AuditState(audit, home).source(data).is_new("2024-03-01", before)

    store.pipe(f"{landing}/date=2024-03-01/part-1.csv", b"id,n\nb,3\n")
    assert [watch.look() for _ in range(3)] == [[], ["2024-03-01"], []]
    run(audit, home)
    assert [row["n"] for row in typed(audit, home, "2024-03-01")] == [1, 3]
