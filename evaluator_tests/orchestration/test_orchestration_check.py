"""A single file by the steps of an audit: the same figures, and what it can be written down as."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from evaluator.errors import UsageError
from evaluator.evidence import RunContext
from evaluator.orchestration import (
    CheckRequest,
    Home,
    audit_of_file,
    check_file,
    keep_check,
)
from evaluator.orchestration._check import Checked
from evaluator.spec import SNAPSHOT, Audit, AuditSpec, load_audit
from evaluator_tests.orchestration.conftest import open_home, run

ROWS = 900


def made_cases() -> pd.DataFrame:
    random = np.random.default_rng(11)
    late = random.integers(0, 2, ROWS)
    near = 0.4 * late + random.uniform(0, 0.6, ROWS)
    return pd.DataFrame(
        {
            "case": [f"c{number:04d}" for number in range(ROWS)],
            "region": random.choice(["east", "north", "west"], ROWS),
            "kind": random.choice(["old", "new"], ROWS),
            "hour": random.integers(0, 24, ROWS),
            "crew": random.integers(0, 90, ROWS),
            "late": np.where(random.uniform(size=ROWS) < 0.05, None, late),
            "said": near,
            "once": np.where(random.uniform(size=ROWS) < 0.7, late, 1 - late),
            "minutes": (60 * near).round(1),
            "guess": (60 * near + random.normal(0, 5, ROWS)).round(1),
            "band": np.array(["low", "mid", "top"])[np.digitize(near, [0.3, 0.6])],
            "chosen": random.choice(["low", "mid", "top"], ROWS),
        }
    )


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    path = tmp_path / "cases.csv"
    made_cases().to_csv(path, index=False)
    return path


@pytest.fixture
def empty_home(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of the test's own, in which nothing has landed."""
    for name in ("mlflow", "dagster"):
        shutil.copytree(prepared / name, tmp_path / "home" / name)
    return open_home(tmp_path / "home", monkeypatch)


def check(path: Path, **asked: Any) -> Checked:
    request = CheckRequest(**{"label": "late", "score": "said", **asked})
    return check_file(audit_of_file(path, request), RunContext("check", datetime.now(UTC)))


@pytest.mark.parametrize(
    "asked",
    [
        {"baseline": "once", "geography": "region", "segment": "kind", "cluster": "crew"},
        {"at_least": {"roc_auc": 0.6}, "segment": "kind"},
        {},
        {"label": "band", "score": None, "prediction": "chosen", "segment": "kind"},
        {"label": "minutes", "score": None, "prediction": "guess", "baseline": "crew"},
    ],
)
def test_every_figure_and_verdict_is_an_audits_on_the_same_rows(
    asked: dict[str, Any], cases: Path, empty_home: Home
) -> None:
    checked = check(cases, **asked)
    assert checked.judged is not None
    spec = checked.file.audit.spec
    # The audit's own way: its YAML, a day's file that landed, and recordings that others wrote.
    dumped = yaml.safe_dump(spec.model_dump(mode="json", exclude_unset=True), sort_keys=False)
    declared = yaml.safe_load(dumped)
    for candidate in declared["candidates"]:
        candidate["path"] = f"{candidate['name']}.csv"
        keys = ("id", "score", "prediction")
        columns = [candidate[key] for key in keys if candidate.get(key)]
        labelled = made_cases().dropna(subset=spec.label_column)
        labelled[columns].to_csv(empty_home.root / candidate["path"], index=False)
    audit = Audit("flights", AuditSpec.model_validate(declared))
    landing = empty_home.landing("flights")
    landing.mkdir(parents=True)
    shutil.copy(cases, landing / spec.data.file_name(SNAPSHOT))

    judged = run(audit, empty_home).judged

    assert judged is not None
    # Over all tables of figures.
    assert checked.judged.record.content_version == judged.record.content_version
    assert checked.judged.scorecard.measurements.equals(judged.scorecard.measurements)
    assert checked.judged.verdicts == judged.verdicts
    assert checked.judged.outcomes == judged.outcomes
    assert checked.judged.fairness_gaps == judged.fairness_gaps
    assert checked.judged.evaluation_set == judged.evaluation_set


def test_its_audit_can_be_written_as_yaml(cases: Path) -> None:
    spec = audit_of_file(cases, CheckRequest(label="late", score="said", segment="kind")).audit.spec

    written = yaml.safe_dump(spec.model_dump(mode="json", exclude_unset=True), sort_keys=False)

    assert AuditSpec.model_validate(yaml.safe_load(written)) == spec


def test_rows_that_no_column_tells_apart_are_told_apart_by_their_number(cases: Path) -> None:
    made_cases().drop(columns="case").to_csv(cases, index=False)

    checked = check(cases)

    assert checked.judged is not None
    assert checked.judged.evaluation_set.rows == made_cases()["late"].notna().sum()
    assert "its number in the file does" in " ".join(checked.file.chosen)


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "xlsx", "csv.gz"])
def test_a_file_of_any_format_has_the_figures_of_the_csv(
    ending: str, cases: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"cases.{ending}"
    frame = pd.read_csv(cases)
    if ending == "parquet":
        frame.to_parquet(path)
    elif ending == "jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    elif ending == "xlsx":
        frame.to_excel(path, index=False)
    else:
        frame.to_csv(path, index=False)

    found = check(path).judged
    of_csv = check(cases).judged

    assert found is not None
    assert of_csv is not None
    pd.testing.assert_frame_equal(
        found.scorecard.measurements, of_csv.scorecard.measurements, rtol=1e-9
    )


def test_decimal_commas_and_semicolons_are_understood(cases: Path, tmp_path: Path) -> None:
    european = tmp_path / "european.csv"
    made_cases().to_csv(european, index=False, sep=";", decimal=",")

    found, wanted = check(european).judged, check(cases).judged

    assert found is not None
    assert wanted is not None
    assert found.scorecard.measurements.equals(wanted.scorecard.measurements)


def test_what_an_ai_system_decided_itself_is_taken_in_the_labels_words(tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    words = made_cases().dropna(subset="late").replace({"late": {0: "no", 1: "yes"}})
    words["once"] = np.where(words["once"] == 1, "yes", "no")
    words.to_csv(path, index=False)

    judged = check(path, score=None, prediction="once").judged

    assert judged is not None
    overall = judged.scorecard.measurements.query("level == 'overall' and metric == 'accuracy'")
    assert overall["value"].tolist() == [(words["once"] == words["late"]).mean()]
    assert "roc_auc" not in set(judged.scorecard.measurements["metric"])


def test_a_limit_on_a_metric_that_is_not_among_the_usual_is_judged(cases: Path) -> None:
    judged = check(cases, at_most={"expected_calibration_error": 0.01}).judged

    assert judged is not None
    assert [verdict.metric for verdict in judged.verdicts] == ["expected_calibration_error"]


def test_shares_of_decisions_need_no_truth(cases: Path) -> None:
    checked = check(cases, label=None, segment="kind")

    shares = checked.selection_rates.set_index("place")["value"]
    frame = made_cases()
    assert checked.judged is None
    assert shares["overall"] == (frame["said"] >= 0.5).mean()
    assert shares["old"] == (frame.query("kind == 'old'")["said"] >= 0.5).mean()
    assert checked.profile.missing["late"] == frame["late"].isna().sum()


def test_scores_that_are_no_probabilities_are_refused_with_one_of_them(cases: Path) -> None:
    made_cases().assign(said=lambda frame: frame["said"] * 100).to_csv(cases, index=False)

    with pytest.raises(UsageError, match="values of 'said' are no probabilities, such as"):
        check(cases)


def test_values_that_say_nothing_are_called_by_their_column_too(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    frame = made_cases().assign(member=lambda cases: np.where(cases["hour"] < 12, "yes", "no"))
    frame.to_csv(path, index=False)

    judged = check(path, geography="kind", segment="member").judged

    assert judged is not None
    measured = judged.scorecard.measurements
    assert {*measured["segment"].dropna()} == {"member yes", "member no"}
    assert {*measured["geography"].dropna()} == {"old", "new"}
    gaps = [gap for gap in judged.fairness_gaps if gap.attribute == "member"]
    assert {gap.group for gap in gaps} <= {"member yes", "member no"}


def test_what_is_kept_is_an_audit_in_a_project_of_its_own_with_the_same_figures(
    cases: Path, tmp_path: Path, empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = check(cases, score=None, prediction="once", geography="region")
    assert checked.judged is not None
    monkeypatch.delenv("EVALUATOR_HOME")

    written = keep_check(checked, tmp_path / "my-audits")

    audit = load_audit("cases", written.parents[1])
    assert audit.spec == checked.file.audit.spec
    kept = tmp_path / "my-audits" / ".evaluator"
    for name in ("mlflow", "dagster"):
        shutil.copytree(empty_home.root / name, kept / name)
    judged = run(audit, open_home(kept, monkeypatch)).judged
    assert judged is not None
    assert judged.record.content_version == checked.judged.record.content_version
    assert "# late is positive where it is 1" in written.read_text()
    with pytest.raises(UsageError, match="something is there already"):
        keep_check(checked, tmp_path / "my-audits")
