"""A whole audit whose evidence lies in an object store."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from evaluator.orchestration import AuditState, Choice, Home
from evaluator.orchestration._home import EVIDENCE_VARIABLE
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import run
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
