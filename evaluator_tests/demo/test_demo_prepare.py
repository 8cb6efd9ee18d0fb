"""After `prepare`, all candidates of an example can be judged; again, it trains nothing."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from evaluator.candidates import build_evaluation_set, load_scorer, predict
from evaluator.demo import _flights as flights, _language as language, prepare
from evaluator.errors import UsageError
from evaluator.intake import ingest
from evaluator.orchestration import Home
from evaluator.scorecard import SLICE_COLUMNS
from evaluator.spec import SNAPSHOT, load_audit
from evaluator_tests.demo.conftest import AUDITS

# MLflow warns of type hints in its own classes, wherever it is imported first.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")


class Stages:
    """Remembers the stages that were shown."""

    def __init__(self) -> None:
        self.shown: dict[str, int] = {}

    def plan(self, *stages: str) -> None:
        raise AssertionError(stages)

    @contextmanager
    def stage(self, name: str, parts: int, _thing: str) -> Iterator[Callable[[], None]]:
        self.shown[name] = parts
        yield lambda: None

    def fail(self, name: str) -> None:
        raise AssertionError(name)

    def skip(self, name: str, why: str) -> None:
        raise AssertionError(name, why)


@pytest.fixture(scope="module")
def prepared(
    part: pd.DataFrame, translations: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    """A home that is prepared for three days; later calls work on a part of the year too."""
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flights, "load_flights", lambda: part)
        patch.setattr(language, "load_translations", lambda: translations.iloc[::40])
        home = Home(root, str(root / "evidence"))
        prepare("flights", 3, home, Stages())
        prepare("delay", 3, home, Stages())
        prepare("language", None, home, Stages())
        yield home


def recorded_days(home: Home) -> set[str]:
    path = home.root / "recordings" / "flights" / "airline_rule.csv"
    with path.open(newline="") as file:
        return {row["flight"].split("-")[0] for row in csv.DictReader(file)}


@pytest.mark.parametrize("audit", ["flights", "delay", "language"])
def test_every_candidate_answers_in_every_slice_of_what_was_prepared(
    prepared: Home, audit: str, tmp_path: Path
) -> None:
    spec = load_audit(audit, AUDITS).spec
    days = {}
    for path in sorted(prepared.landing(audit).iterdir()):
        result = ingest(path, spec.data, into=tmp_path / path.stem)
        assert result.quarantined == 0
        day = path.stem[-10:] if spec.data.first_day else SNAPSHOT
        days[day] = pq.read_table(result.typed_path)
    cases = build_evaluation_set(days, spec).cases.to_pandas()
    slices = dict(list(cases.groupby(list(SLICE_COLUMNS))))
    assert len(cases) > 600
    assert len(slices) > 12

    for candidate in spec.candidates:
        scorer = load_scorer(candidate, prepared.root, task=spec.asks)
        for of_slice in slices.values():
            found = predict(candidate, scorer, of_slice, task=spec.asks)
            assert found["id"].tolist() == of_slice["id"].tolist()
            assert found["prediction"].notna().all() or candidate.name == "py3langid_2"


def test_again_nothing_is_trained_and_nothing_changes(prepared: Home) -> None:
    def state() -> dict[Path, bytes]:
        files = [path for path in prepared.root.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in files}

    before = state()
    stages = Stages()

    prepare("flights", 3, prepared, stages)

    assert state() == before
    assert "Train the candidates" not in stages.shown
    assert stages.shown["Record what the airline's rule said"] == 3


def test_what_is_missing_is_made_again(prepared: Home) -> None:
    lost = prepared.root / "models" / "flights" / "gradient_boosting.onnx"
    before = lost.read_bytes()
    lost.unlink()
    stages = Stages()

    prepare("flights", 3, prepared, stages)

    assert stages.shown["Train the candidates"] == 1
    assert lost.read_bytes() == before


def test_the_recording_holds_every_day_that_landed_of_an_earlier_demo_too(prepared: Home) -> None:
    three = {"20131101", "20131102", "20131103"}
    assert recorded_days(prepared) == three

    prepare("flights", 4, prepared, Stages())
    assert recorded_days(prepared) == three | {"20131104"}
    # Fewer days take nothing away, since all that landed is audited.
    prepare("flights", 1, prepared, Stages())
    assert recorded_days(prepared) == three | {"20131104"}

    (prepared.landing("flights") / f"flights-{date(2013, 11, 4)}.csv").unlink()
    prepare("flights", 1, prepared, Stages())
    assert recorded_days(prepared) == three


def test_an_example_that_there_is_not_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such example") as caught:
        prepare("trains", None, Home(tmp_path, str(tmp_path)), Stages())

    assert caught.value.fix == "use one of flights, delay, language, sales"
    assert not list(tmp_path.iterdir())
