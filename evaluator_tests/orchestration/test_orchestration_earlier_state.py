"""A state that an earlier version made goes on under today's code, and nothing of it is lost.

The archive was made by commit dd72af8 with `EVALUATOR_HOME=/tmp/evaluator-state`: an audit of three
days and four slices, a model and a recording, with findings of every kind, run unsigned and once
more with a key. It holds what was declared and what arrived, the candidates, the public key and all
evidence; Dagster's runs and MLflow's, which can be made anew, are left out.
"""

import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evaluator.certification import TrustedKeys, load_public_key, verify
from evaluator.errors import RenamedKeyWarning
from evaluator.intake import Profile
from evaluator.orchestration import AuditState, Home
from evaluator.orchestration._days import DayIntake
from evaluator.orchestration._scorecard_run import read_judged_scorecard
from evaluator.scorecard import PROFILE
from evaluator.spec import Audit, load_audit
from evaluator_tests.orchestration.conftest import open_home, run

ARCHIVE = Path(__file__).parents[1] / "data" / "state-dd72af8.tar.xz"
POINTERS = {"current.json", "head.json"}
WHILE_VALID = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    # Python 3.11 has filters from 3.11.4 on; the archive is our own.
    filters: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "home", **filters)  # noqa: S202 - as above
    return open_home(tmp_path / "home", monkeypatch)


def stored(home: Home) -> dict[str, bytes]:
    """Return all files of the evidence but those that point to what is current."""
    root = home.root / "evidence"
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in POINTERS]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def checked(home: Home, certificate: bytes) -> Any:
    """Verify a certificate: with the issuer's key, if it is signed."""
    is_signed = json.loads(certificate)["signatures"]
    key = load_public_key(home.root / "keys" / "audit.public.pem")
    url = str(home.root / "evidence")
    return verify(
        certificate, url, trusted=TrustedKeys.of(key) if is_signed else None, now=WHILE_VALID
    )


def flights(home: Home) -> Audit:
    with pytest.warns(RenamedKeyWarning, match="`more_slices` is called `additional_slices` now"):
        return load_audit("flights", home.root / "defs")


def test_an_earlier_state_goes_on_and_nothing_that_was_stored_is_lost(earlier: Home) -> None:
    audit = flights(earlier)
    before = stored(earlier)
    certificates = [text for name, text in before.items() if name.endswith(".dsse.json")]
    assert len(certificates) == 4
    for certificate in certificates:
        # Comparisons that few cases carry have other limits now, and so other ranks, and a search
        # for weak slices looks at tails as well. Nothing else is found: not of bytes, signature or
        # ledger, and of no other figure.
        report = checked(earlier, certificate)
        assert report.result == "NOT REPRODUCED"
        for problem in report.problems:
            assert problem.check == "figures"
            of_comparison = problem.file.endswith(
                ("comparisons.parquet", "pairs.parquet", "ranks.parquet")
            )
            assert of_comparison or "the search of" in problem.what or "weak" in problem.file

    summary = run(audit, earlier)

    assert summary.faults == []
    assert [day.state for day in summary.days] == ["accepted"] * 3
    # What its predictions say of the label's two values was not asked in its time.
    assert (summary.computed, summary.reused) == (8, 0)
    findings = read_judged_scorecard(AuditState(audit, earlier))
    assert findings.scorecard.slices["state"].eq("current").all()
    assert [outcome.outcome for outcome in findings.outcomes] == ["certified"] * 2
    after = stored(earlier)
    assert {name: after.get(name) for name in before} == before
    made = {name.split("/")[1] for name in after.keys() - before.keys()}
    # Days are taken in anew, since values are typed more strictly; of the same rows all else rests
    # on the set that was frozen.
    assert "validated_data" in made
    assert not made & {"evaluation_set", "sturdy_model"}


def test_an_earlier_profile_is_read_whole_and_its_file_still_gives_the_same_rows(
    earlier: Home, tmp_path: Path
) -> None:
    state = AuditState(flights(earlier), earlier)
    intake = DayIntake(state, state.data, tmp_path)
    days = [day.day for day in state.day_states()]
    for day in days:
        (tmp_path / day).mkdir()
        result = intake.ingest(state.require("raw_data", day), tmp_path / day)
        kept = state.store.read_bytes(state.require("data_quality_report", day), PROFILE)
        profile = Profile.from_json(kept)
        assert profile.to_json() == kept
        for part in ("verdict", "rows", "header", "findings", "dataset_rules", "statistics"):
            assert getattr(result.profile, part) == getattr(profile, part)
    assert len(days) == 3
