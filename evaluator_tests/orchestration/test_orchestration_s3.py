"""A whole audit whose evidence lies in an object store."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evaluator.orchestration.home import EVIDENCE_VARIABLE, Home
from evaluator.orchestration.state import AuditState
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

    first = run(audit, on_s3)
    second = run(audit, on_s3)

    assert first.faults == []
    assert (first.computed, first.reused) == (36, 0)
    assert (second.computed, second.reused) == (0, 36)
    assert not (home.root / "evidence").exists()
    there, here = AuditState(audit, on_s3), AuditState(audit, on_disk)
    for candidate in audit.spec.candidates:
        for key in here.slice_keys():
            for asset in (f"{candidate.name}_predictions", f"{candidate.name}_slice_metrics"):
                stored, wanted = there.require(asset, key), here.require(asset, key)
                assert stored.identity == wanted.identity
                assert stored.content_version == wanted.content_version
                assert stored.files == wanted.files
