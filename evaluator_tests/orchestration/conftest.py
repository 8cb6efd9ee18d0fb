"""A small cut of the real flights, and an audit of two candidates over it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import skops.io
from mlflow.tracking import MlflowClient
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from evaluator.demo.flights import LATE_MINUTES, load_flights, write_daily_files
from evaluator.orchestration.home import Home
from evaluator.orchestration.runner import AuditRun, Choice, RunSummary
from evaluator.spec import Audit, load_audit
from evaluator_tests.faults import crash_where_planned

AUDITS = Path(__file__).parents[2] / "evaluator" / "defs"
DAYS = [date(2013, 11, day) for day in (1, 2, 3)]
FEATURES = ("region", "airline_kind", "scheduled_hour", "distance", "departure_delay")
_CATEGORIES, _NUMBERS = list(FEATURES[:2]), list(FEATURES[2:])


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    """Every fourth flight of three days, and training rows before them."""
    every = load_flights()
    tested = every[every["date"].isin(DAYS)].iloc[::4]
    trained = every[(every["date"] < date(2013, 2, 1)) & every["arrival_delay"].notna()].iloc[::9]
    return pd.concat([trained, tested])


@pytest.fixture(scope="session")
def prepared(flights: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three days landed and two trained candidates, to be copied."""
    root = tmp_path_factory.mktemp("prepared")
    write_daily_files(flights, DAYS, root / "landing" / "flights")
    training = flights[flights["date"] < DAYS[0]]
    features = training[list(FEATURES)].astype(dict.fromkeys(_NUMBERS, "float64"))
    late = (training["arrival_delay"] > LATE_MINUTES).astype("int8")
    models = root / "models" / "flights"
    models.mkdir(parents=True)
    skops.io.dump(_pipeline().fit(features, late), models / "sturdy.skops")
    # The tables of MLflow's own file, which take seconds to make.
    tracking = root / "mlflow" / "mlflow.db"
    tracking.parent.mkdir()
    MlflowClient(tracking_uri=f"sqlite:///{tracking}").search_experiments()
    frail = make_pipeline(FunctionTransformer(crash_where_planned), _pipeline())
    skops.io.dump(frail.fit(features, late), models / "frail.skops")
    return root


@pytest.fixture(scope="session")
def finished(prepared: Path, audit: Audit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the whole audit has run, to be copied."""
    root = tmp_path_factory.mktemp("finished") / "home"
    shutil.copytree(prepared, root)
    with pytest.MonkeyPatch.context() as patch:
        run(audit, open_home(root, patch))
    return root


@pytest.fixture
def home(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of the test's own, in which nothing has run yet."""
    shutil.copytree(prepared, tmp_path / "home")
    return open_home(tmp_path / "home", monkeypatch)


@pytest.fixture
def finished_home(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home of the test's own, in which the whole audit has run."""
    shutil.copytree(finished, tmp_path / "home")
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


class _Quiet:
    """A display that shows nothing."""

    def plan(self, *stages: str) -> None:
        """Announce nothing."""

    @contextmanager
    def stage(self, _name: str, _parts: int) -> Iterator[Callable[[], None]]:
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
    """The shipped flights audit, with a sturdy and a frail candidate in place of its own."""
    return small_audit()


def small_audit() -> Audit:
    """Build the audit; the end-to-end test's code location calls it as well."""
    shipped = load_audit("flights", AUDITS)
    told = shipped.spec.model_dump(mode="json", exclude_unset=True)
    common = {"features": list(FEATURES)}
    told["candidates"] = [
        {"name": "sturdy", "path": "models/flights/sturdy.skops", "baseline": True, **common},
        {
            "name": "frail",
            "path": "models/flights/frail.skops",
            "trusted_types": ["evaluator_tests.faults.crash_where_planned"],
            **common,
        },
    ]
    told["gates"] = [{"metric": "roc_auc", "level": "overall", "at_least": 0.6}]
    return Audit("flights", type(shipped.spec).model_validate(told))


def _pipeline() -> Pipeline:
    encode = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), _CATEGORIES),
            ("numbers", StandardScaler(), _NUMBERS),
        ]
    )
    return make_pipeline(encode, LogisticRegression(max_iter=300))
