"""By what an audit divides its cases: by one column or none, by bins, and under which names."""

import shutil
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from evaluator.certification import PAGE, TrustedKeys, create_key, verify_all
from evaluator.orchestration import AuditState, Home, statement_name
from evaluator.orchestration._component import audit_definitions
from evaluator.orchestration._facts import ScorecardFacts
from evaluator.orchestration._local_runs import RANGE_END_TAG, RANGE_START_TAG
from evaluator.scorecard import CASES, Asset, Slice
from evaluator.spec import Audit, AuditSpec
from evaluator_tests.orchestration.conftest import open_home, run, start

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


CITIES = {"Aachen": 150, "Bonn": 120, "Celle": 60, "Jena": 20, "a|b": 40, "Ulm": 60, "other": 30}


def discovering(**how: Any) -> dict[str, Any]:
    return {"column": "city", "values": "discover", **how}


def of_cities(**divided: Any) -> Audit:
    settings = declare("free").spec.model_dump(mode="json", exclude_unset=True)
    settings["data"]["columns"] |= {
        "city": {"type": "category", "required": True},
        "place": {"type": "category", "required": True, "allowed": ["Aachen", "other"]},
    }
    settings["data"]["last_day"] = "2026-01-03"
    settings["fairness"] = None
    return Audit("free", AuditSpec.model_validate(settings | divided))


@pytest.fixture
def cities(landed: Home) -> Home:
    """The home, with a city of each case."""
    names = [city for city, count in CITIES.items() for _ in range(count)]
    order = np.random.default_rng(1).permutation(len(names))
    for audit, day in product(("free", "bound"), (1, 2)):
        path = landed.landing(audit) / f"cases-2026-01-0{day}.csv"
        rows = pd.read_csv(path)
        chosen = order[(day - 1) * CASES_PER_DAY : day * CASES_PER_DAY]
        city = pd.Series([names[number] for number in chosen])
        place = city.where(city == "Aachen", "other")
        rows.assign(city=city, place=place).to_csv(path, index=False)
    return landed


@pytest.mark.parametrize("segment", ["region", {"column": "region", "values": "discover"}])
def test_values_that_nobody_knew_are_partitions_once_the_set_is_frozen(
    segment: Any, cities: Home, tmp_path: Path
) -> None:
    audit = of_cities(geography=discovering(at_most=3), segment=segment)
    assert audit.spec.slices() == []

    summary = run(audit, cities)

    assert summary.faults == []
    assert summary.judged is not None
    state = AuditState(audit, cities)
    found = ("Aachen", "Bonn", "Celle", "other")
    assert state.spec.slice_values()["geography"] == found
    cases = state.store.read_table(state.require(Asset.EVALUATION_SET), CASES).to_pandas()
    expected = cases["data.city"].where(cases["data.city"].isin(found), "other")
    assert (cases["geography"] == expected).all()
    scored = summary.judged.scorecard.measurements
    assert set(scored.loc[scored["level"] == "geography", "geography"]) == {*found}
    remarks = ScorecardFacts.of(state.require(Asset.SCORECARD)).remarks
    assert any("150 of 480 cases are of the geography `other`" in told for told in remarks)
    with dg.DagsterInstance.get() as instance:
        assert [*instance.get_dynamic_partitions("free_geography")] == [*found]
        # Each slice is a partition that Dagster knows to be there.
        done = instance.get_materialized_partitions(dg.AssetKey(["free", "good_slice_metrics"]))
        assert {Slice.of_key(key) for key in done} == {*state.spec.slices()}
    certificate = state.require(Asset.CERTIFICATE)
    reports = verify_all(
        state.store.read_bytes(certificate, statement_name("good")),
        cities.evidence_url,
        trusted=TrustedKeys.read(tmp_path / "keys" / "audit.public.pem"),
        now=datetime.now(UTC),
    )
    assert [(report.is_verified, report.problems) for report in reports] == [(True, ())] * 2
    # A release asks whether the audit is declared as it was judged; what was found is not.
    assert state.spec.what_counts() != audit.spec.what_counts()
    assert state.spec.with_found({}).what_counts() == audit.spec.what_counts()
    assert summary.computed == 2 * 8
    again = run(audit, cities)
    assert (again.computed, again.reused) == (0, 2 * 8)


def test_the_figures_are_those_of_the_same_values_declared(cities: Home) -> None:
    discovered = of_cities(geography=discovering(minimum_cases=130))
    settings = of_cities(geography="place").spec.model_dump(mode="json", exclude_unset=True)
    declared = Audit("bound", AuditSpec.model_validate(settings))
    versions = set()
    for audit in (discovered, declared):
        assert run(audit, cities).faults == []
        state = AuditState(audit, cities)
        assert state.spec.slice_values()["geography"] == ("Aachen", "other")
        versions.add(state.require(Asset.SCORECARD).content_version)
    assert len(versions) == 1


def test_a_value_that_was_found_stays_and_new_ones_come_behind_it(cities: Home) -> None:
    audit = of_cities(geography=discovering(at_most=4, minimum_cases=50))
    run(audit, cities)
    before = AuditState(audit, cities).spec.slice_values()["geography"]
    assert before == ("Aachen", "Bonn", "Celle", "Ulm", "other")
    outputs = pd.read_csv(cities.root / "outputs.csv")
    more = pd.DataFrame(
        {
            "case": [f"d{number}" for number in range(90)],
            "region": "east",
            "everywhere": "all",
            "everybody": "all",
            "hour": 3,
            "late": 1,
            "city": "Jena",
            "place": "other",
        }
    )
    more.to_csv(cities.landing("free") / "cases-2026-01-03.csv", index=False)
    added = pd.DataFrame({"case": more["case"], "good": 0.9, "fair": 0.8})
    pd.concat([outputs, added]).to_csv(cities.root / "outputs.csv", index=False)
    wider = of_cities(geography=discovering(at_most=5, minimum_cases=50))
    start(wider, cities).run(refresh=True)
    state = AuditState(wider, cities)
    assert state.spec.slice_values()["geography"] == (*before, "Jena")
    with dg.DagsterInstance.get() as instance:
        assert [*instance.get_dynamic_partitions("free_geography")] == [*before, "Jena"]


def test_a_range_of_dagsters_own_is_backfilled_over_discovered_values(cities: Home) -> None:
    audit = of_cities(geography=discovering(at_most=3), segment="region")
    run(audit, cities)
    state = AuditState(audit, cities)
    definitions = audit_definitions(audit)
    keys = [dg.AssetKey(["free", name]) for name in ("good_predictions", "good_slice_metrics")]
    with dg.DagsterInstance.get() as instance:
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=keys,
            tags={
                RANGE_START_TAG: Slice("Bonn", "east").key,
                RANGE_END_TAG: Slice("other", "west").key,
            },
        )
    done = {
        Slice.of_key(str(event.partition))
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == keys[1]
    }
    assert done == {one for one in state.spec.slices() if one.geography != "Aachen"}
