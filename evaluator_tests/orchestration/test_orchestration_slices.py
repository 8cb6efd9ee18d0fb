"""By what an audit divides its cases: by one column or none, by bins, and under which names."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluator.certification import PAGE, TrustedKeys, create_key, verify_all
from evaluator.orchestration import AuditState, Home, statement_name
from evaluator.scorecard import CASES, Asset
from evaluator.spec import Audit, AuditSpec
from evaluator_tests.orchestration.conftest import open_home, run

CASES_PER_DAY = 240
COLUMNS = {
    "case": {"type": "string", "required": True},
    "region": {"type": "category", "required": True, "allowed": ["east", "west"]},
    "everywhere": {"type": "category", "required": True, "allowed": ["all"]},
    "everybody": {"type": "category", "required": True, "allowed": ["all"]},
    "hour": {"type": "integer", "required": True},
    "late": {"type": "integer", "allowed": [0, 1]},
}


@pytest.fixture
def landed(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home in which two days of cases and two recordings lie, for two audits."""
    root = tmp_path / "home"
    shutil.copytree(prepared / "mlflow", root / "mlflow")
    shutil.copytree(prepared / "dagster", root / "dagster")
    home = open_home(root, monkeypatch)
    key = create_key(tmp_path / "keys", "audit")
    monkeypatch.setenv("EVALUATOR_SIGNING_KEY_FILE", str(key.private))
    random = np.random.default_rng(7)
    count = 2 * CASES_PER_DAY
    late = random.integers(0, 2, count)
    cases = pd.DataFrame(
        {
            "case": [f"c{number:04d}" for number in range(count)],
            "region": random.choice(["east", "west"], count),
            "everywhere": "all",
            "everybody": "all",
            "hour": random.integers(0, 24, count),
            "late": late,
            "good": np.clip(0.5 * late + random.uniform(0, 0.6, count), 0, 1),
            "fair": np.clip(0.3 * late + random.uniform(0, 0.7, count), 0, 1),
        }
    )
    for audit in ("free", "bound"):
        home.landing(audit).mkdir(parents=True)
        for day in (1, 2):
            rows = cases.iloc[(day - 1) * CASES_PER_DAY : day * CASES_PER_DAY]
            path = home.landing(audit) / f"cases-2026-01-0{day}.csv"
            rows[list(COLUMNS)].to_csv(path, index=False)
    cases[["case", "good", "fair"]].to_csv(root / "outputs.csv", index=False)
    return home


def declare(name: str, **divided: str) -> Audit:
    common = {"kind": "recorded", "path": "outputs.csv", "id": "case"}
    settings: dict[str, Any] = {
        "data": {
            "files": "cases-{date}.csv",
            "first_day": "2026-01-01",
            "last_day": "2026-01-02",
            "id": "case",
            "columns": COLUMNS,
        },
        "label": {"column": "late", "positive": 1},
        "candidates": [
            {"name": "good", "score": "good", **common},
            {"name": "fair", "score": "fair", "baseline": True, **common},
        ],
        "metrics": ["accuracy", "roc_auc", "brier"],
        "fairness": {"attributes": ["region"], "measures": ["equal_opportunity"]},
        "weak_slices": {"features": ["region", "hour"], "minimum_support": 20},
        "gates": [{"metric": "roc_auc", "at_least": 0.6}],
        **divided,
    }
    return Audit(name, AuditSpec.model_validate(settings))


@pytest.mark.parametrize(
    ("free", "bound"),
    [
        ({}, {"geography": "everywhere", "segment": "everybody"}),
        ({"geography": "region"}, {"geography": "region", "segment": "everybody"}),
        ({"segment": "region"}, {"geography": "everywhere", "segment": "region"}),
    ],
)
def test_what_is_not_divided_has_the_figures_of_a_column_that_is_always_all(
    free: dict[str, str],
    bound: dict[str, str],
    landed: Home,
    tmp_path: Path,
) -> None:
    states = {}
    for audit in (declare("free", **free), declare("bound", **bound)):
        summary = run(audit, landed)
        assert summary.faults == []
        assert summary.judged is not None
        assert [o.outcome for o in summary.judged.outcomes] == ["certified", "certified"]
        states[audit.name] = AuditState(audit, landed)

    found = {name: state.require(Asset.SCORECARD) for name, state in states.items()}

    # Over all tables of figures: measurements, comparisons, ranks, gaps and weak slices.
    assert found["free"].content_version == found["bound"].content_version
    record = states["free"].require(Asset.EVALUATION_SET)
    cases = states["free"].store.read_table(record, CASES).to_pandas()
    for dimension in {"geography", "segment"} - free.keys():
        assert set(cases[dimension]) == {"all"}
    assert len(cases) == 2 * CASES_PER_DAY
    page = states["free"].store.read_bytes(states["free"].require(Asset.DASHBOARD), PAGE)
    assert b"certified" in page
    reports = verify_all(
        states["free"].store.read_bytes(
            states["free"].require(Asset.CERTIFICATE), statement_name("good")
        ),
        landed.evidence_url,
        trusted=TrustedKeys.read(tmp_path / "keys" / "audit.public.pem"),
        now=datetime.now(UTC),
    )
    assert [(report.is_verified, report.problems) for report in reports] == [(True, ())] * 2


def test_slices_of_codes_and_bins_bear_names_wherever_they_are_shown(landed: Home) -> None:
    columns = {
        **COLUMNS,
        "region": {**COLUMNS["region"], "names": {"east": "The East", "west": "The West"}},
        "time of day": {
            "type": "category",
            "required": True,
            "derive": "hour",
            "bins": [6, 18],
            "names": {"below 6": "night", "18 and above": "evening"},
        },
    }
    settings = declare("free").spec.model_dump(mode="json", exclude_unset=True)
    settings |= {"geography": "region", "segment": "time of day"}
    settings["data"]["columns"] = columns
    settings["gates"] = [{"metric": "roc_auc", "geography": "The East", "at_least": 0.6}]
    settings["fairness"]["reference"] = {"region": "east"}
    settings["additional_slices"] = [["time of day"]]
    audit = Audit("free", AuditSpec.model_validate(settings))
    assert audit.spec.slice_values() == {
        "geography": ("The East", "The West"),
        "segment": ("night", "6 to below 18", "evening"),
    }

    summary = run(audit, landed)

    assert summary.faults == []
    assert summary.judged is not None
    state, scorecard = AuditState(audit, landed), summary.judged.scorecard
    cases = state.store.read_table(state.require(Asset.EVALUATION_SET), CASES).to_pandas()
    bands = pd.cut(cases["data.hour"], [-1, 5, 17, 23], labels=audit.spec.slice_values()["segment"])
    assert cases["segment"].tolist() == bands.tolist()
    assert (cases["geography"] == "The " + cases["data.region"].str.title()).all()
    assert set(scorecard.fairness["attribute"] + scorecard.fairness["group"]) >= {"regionThe West"}
    groups = set(scorecard.additional_measurements["group"])
    assert groups >= {"time of day = night", "time of day = 6 to below 18"}
    page = state.store.read_bytes(state.require(Asset.DASHBOARD), PAGE).decode()
    assert "The East" in page
    assert "evening" in page
    assert ">east<" not in page


def test_other_names_make_another_scorecard_and_take_no_day_in_anew(landed: Home) -> None:
    audit = declare("free", segment="region")
    run(audit, landed)
    before = AuditState(audit, landed)
    days, scorecard = before.accepted_days(), before.require(Asset.SCORECARD)
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    settings["data"]["columns"]["region"]["names"] = {"east": "The East"}
    renamed = Audit("free", AuditSpec.model_validate(settings))
    run(renamed, landed)
    after = AuditState(renamed, landed)
    assert after.accepted_days() == days
    assert after.require(Asset.SCORECARD).identity != scorecard.identity
    assert {s.segment for s in after.spec.slices()} == {"The East", "west"}
