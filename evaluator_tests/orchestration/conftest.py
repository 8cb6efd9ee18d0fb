"""Two cuts of the real flights, and an audit of two candidates over each."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from evaluator.demo._flights import LATE_MINUTES, load_flights, write_daily_files
from evaluator.orchestration import AuditRun, Choice, Display, Home, RunSummary
from evaluator.orchestration._tracking import tracking_client
from evaluator.spec import Audit, AuditSpec, load_audit
from evaluator_tests.conftest import BuiltOnce
from evaluator_tests.faults import crash_where_planned, plan_faults

CRASHED = ("pacific", "network")
"""The slice on which the frail candidate fails where a fault is planned."""
AUDITS = Path(__file__).parents[2] / "evaluator" / "defs"
DAYS = [date(2013, 11, day) for day in (1, 2, 3)]
REGIONS, AIRLINE_KINDS = ("eastern", "pacific"), ("network", "low_cost")
FEATURES = ("region", "airline_kind", "scheduled_hour", "distance", "departure_delay")
_CATEGORIES, _NUMBERS = list(FEATURES[:2]), list(FEATURES[2:])


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """What the small audit has: some 100 flights a day in four slices, and training rows."""
    return _cut_flights(REGIONS, AIRLINE_KINDS)


@pytest.fixture(scope="session")
def prepared(built_once: BuiltOnce) -> Path:
    """A home with three days landed and two trained candidates, to be copied."""
    return built_once("prepared", lambda root: _prepare(root, REGIONS, AIRLINE_KINDS))


@pytest.fixture(scope="session")
def finished(prepared: Path, audit: Audit, built_once: BuiltOnce) -> Path:
    """A home in which the whole small audit has run, to be copied."""
    return built_once("finished", lambda root: _finish(audit, prepared, root))


@pytest.fixture(scope="session")
def crashed(prepared: Path, audit: Audit, built_once: BuiltOnce) -> Path:
    """A home in which the small audit has run while a candidate failed on one slice."""

    def make(root: Path) -> None:
        shutil.copytree(prepared, root)
        plan_faults(root, CRASHED)
        with pytest.MonkeyPatch.context() as patch:
            assert run(audit, open_home(root, patch)).computed == 7

    return built_once("crashed", make)


@pytest.fixture(scope="session")
def prepared_whole(built_once: BuiltOnce) -> Path:
    """A home with three days of all regions landed, and the same candidates."""
    return built_once("prepared_whole", _prepare)


@pytest.fixture(scope="session")
def finished_whole(prepared_whole: Path, whole_audit: Audit, built_once: BuiltOnce) -> Path:
    """A home in which the audit with all its findings has run, to be copied."""
    return built_once("finished_whole", lambda root: _finish(whole_audit, prepared_whole, root))


def _cut_flights(
    regions: Sequence[str] | None = None, airline_kinds: Sequence[str] | None = None
) -> pd.DataFrame:
    """Take flights of three days, of these regions and airlines alone, and training rows."""
    every = load_flights()
    tested = every[every["date"].isin(DAYS)].iloc[::4]
    if regions and airline_kinds:
        here = tested["region"].isin(regions) & tested["airline_kind"].isin(airline_kinds)
        tested = tested[here]
    trained = every[(every["date"] < date(2013, 2, 1)) & every["arrival_delay"].notna()].iloc[::9]
    return pd.concat([trained, tested])


def _prepare(root: Path, *chosen: Sequence[str]) -> None:
    flights = _cut_flights(*chosen)
    write_daily_files(flights, DAYS, root / "landing" / "flights")
    training = flights[flights["date"] < DAYS[0]]
    features = training[list(FEATURES)].astype(dict.fromkeys(_NUMBERS, "float64"))
    late = (training["arrival_delay"] > LATE_MINUTES).astype("int8")
    models = root / "models" / "flights"
    models.mkdir(parents=True)
    skops.io.dump(_pipeline().fit(features, late), models / "sturdy.skops")
    frail = make_pipeline(FunctionTransformer(crash_where_planned), _pipeline())
    skops.io.dump(frail.fit(features, late), models / "frail.skops")
    # The tables of MLflow's own file and of Dagster's, which take seconds to make.
    with pytest.MonkeyPatch.context() as patch:
        tracking_client(open_home(root, patch))
        with dg.DagsterInstance.get():
            pass


def _finish(audit: Audit, prepared: Path, root: Path) -> None:
    shutil.copytree(prepared, root)
    with pytest.MonkeyPatch.context() as patch:
        summary = run(audit, open_home(root, patch))
    assert summary.faults == []


@pytest.fixture
def home(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of the test's own, in which nothing has run yet."""
    shutil.copytree(prepared, tmp_path / "home")
    return open_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def finished_home(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of the test's own, in which the whole small audit has run."""
    shutil.copytree(finished, tmp_path / "home")
    return open_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def crashed_home(crashed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of the test's own, in which one slice of a candidate is missing."""
    shutil.copytree(crashed, tmp_path / "home")
    return open_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def finished_whole_home(
    finished_whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Home:
    """A home of the test's own, in which the audit with all its findings has run."""
    shutil.copytree(finished_whole, tmp_path / "home")
    return open_home(tmp_path / "home", monkeypatch)


def open_home(root: Path, patch: pytest.MonkeyPatch) -> Home:
    """Make a folder the platform's home for a while."""
    patch.setenv("EVALUATOR_HOME", str(root))
    patch.delenv("EVALUATOR_EVIDENCE", raising=False)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home.from_environment()
    # `prepare` exports where Dagster's instance is; the patch takes it back.
    patch.setenv("DAGSTER_HOME", str(home.dagster))
    home.prepare()
    return home


class _Quiet(Display):
    """A display that shows nothing."""

    @contextmanager
    def stage(self, _name: str, _parts: int, _thing: str) -> Iterator[Callable[[], None]]:
        """Show nothing."""
        yield lambda: None


def start(audit: Audit, home: Home, choice: Choice | None = None) -> AuditRun:
    """Plan a run without a progress display."""
    return AuditRun(audit, home, choice or Choice(), _Quiet())


def run(audit: Audit, home: Home, choice: Choice | None = None) -> RunSummary:
    """Run an audit without a progress display."""
    return start(audit, home, choice).run()


@pytest.fixture(scope="session")
def audit() -> Audit:
    """The small audit: four slices, a sturdy and a frail candidate, and no findings."""
    return small_audit()


@pytest.fixture(scope="session")
def whole_audit() -> Audit:
    """All slices of the shipped flights audit, with findings that three days suffice for."""
    findings = {
        "compare": {"margin": 0.02},
        "fairness": {"attributes": ["region"], "measures": ["equal_opportunity"]},
        "weak_slices": {"features": ["origin", "departure_delay"], "minimum_support": 30},
    }
    return Audit("flights", AuditSpec.model_validate(_whole() | findings))


def declare(audit: Audit, folder: Path) -> None:
    """Write an audit's YAML, or another one in its place."""
    settings = audit.spec.model_dump(mode="json", exclude_unset=True)
    header = {"type": "evaluator.orchestration.AuditComponent", "attributes": settings}
    (folder / audit.name).mkdir(parents=True, exist_ok=True)
    (folder / audit.name / "defs.yaml").write_text(yaml.safe_dump(header))


def small_audit() -> Audit:
    """Build the small audit; the end-to-end test's code location calls it as well."""
    settings = _whole()
    settings["data"]["columns"]["region"]["allowed"] = list(REGIONS)
    settings["data"]["columns"]["airline_kind"]["allowed"] = list(AIRLINE_KINDS)
    settings["metrics"] = ["roc_auc", "accuracy", "recall"]
    for finding in ("additional_slices", "compare", "fairness", "weak_slices"):
        del settings[finding]
    return Audit("flights", AuditSpec.model_validate(settings))


def _whole() -> dict[str, Any]:
    settings = load_audit("flights", AUDITS).spec.model_dump(mode="json", exclude_unset=True)
    # Three days are too few to be the independent units.
    del settings["data"]["cluster"]
    common = {"features": list(FEATURES)}
    settings["candidates"] = [
        {"name": "sturdy", "path": "models/flights/sturdy.skops", "baseline": True, **common},
        {
            "name": "frail",
            "path": "models/flights/frail.skops",
            "trusted_types": ["evaluator_tests.faults.crash_where_planned"],
            **common,
        },
    ]
    settings["gates"] = [{"metric": "roc_auc", "level": "overall", "at_least": 0.6}]
    return settings


def _pipeline() -> Pipeline:
    encode = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), _CATEGORIES),
            ("numbers", StandardScaler(), _NUMBERS),
        ]
    )
    return make_pipeline(encode, LogisticRegression(max_iter=300))
