"""Sensors for files and artifacts: what they ask for, and what they leave alone."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from evaluator.orchestration import Home, _arrivals
from evaluator.orchestration._arrivals import artifact_sensor, landing_sensor
from evaluator.orchestration._days import DayIntake
from evaluator.orchestration._streams import streams_of
from evaluator.spec import Audit
from evaluator_tests.orchestration.conftest import run
from evaluator_tests.orchestration.test_orchestration_faults import failing_on


class Watch:
    """A sensor that is evaluated look by look."""

    def __init__(self, sensor: dg.SensorDefinition) -> None:
        self.sensor = sensor
        self.cursor: str | None = None

    def look(self) -> list[str]:
        """Look once and return what is asked for: days, or assets."""
        with dg.build_sensor_context(cursor=self.cursor) as context:
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return [
            request.partition_key or request.asset_selection[0].path[-1]  # type: ignore[index] # each names its asset
            for request in result.run_requests or []
        ]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let so many seconds pass from one look to the next; by default as long as a file is still."""
    seconds = {"now": 0, "step": 30}

    def tick() -> int:
        seconds["now"] += seconds["step"]
        return seconds["now"]

    monkeypatch.setattr(_arrivals, "time", SimpleNamespace(time=tick))
    return lambda step: seconds.update(step=step)


@pytest.fixture
def landing(audit: Audit, home: Home) -> Watch:
    assert home.landing("flights").is_dir()
    return Watch(landing_sensor(audit, streams_of(audit.spec)[0]))


def landed(home: Home, day: str) -> Path:
    return home.landing("flights") / f"flights-{day}.csv"


def test_a_file_is_asked_for_at_the_second_look_that_finds_it_unchanged(landing: Watch) -> None:
    assert landing.look() == []
    assert landing.look() == ["2013-11-01", "2013-11-02", "2013-11-03"]
    assert landing.look() == []


def test_a_file_is_asked_for_when_it_has_been_still_for_as_long_as_declared(
    landing: Watch, clock: Callable[[int], None], home: Home
) -> None:
    clock(10)
    assert [landing.look() for _ in range(3)] == [[], [], []]
    with landed(home, "2013-11-02").open("a") as file:
        file.write("one more line after a pause\n")
    assert landing.look() == ["2013-11-01", "2013-11-03"]
    assert [landing.look() for _ in range(3)] == [[], [], ["2013-11-02"]]


def test_a_file_that_is_still_being_written_is_left_alone(landing: Watch, home: Home) -> None:
    landing.look()
    with landed(home, "2013-11-02").open("a") as file:
        file.write("one more line\n")
    assert landing.look() == ["2013-11-01", "2013-11-03"]
    assert landing.look() == ["2013-11-02"]


def test_a_day_whose_content_changed_is_asked_for_again(audit: Audit, finished_home: Home) -> None:
    watch = Watch(landing_sensor(audit, streams_of(audit.spec)[0]))
    assert watch.look() == watch.look() == []
    path = landed(finished_home, "2013-11-02")
    path.write_text(path.read_text() + "\n")
    assert watch.look() == []
    assert watch.look() == ["2013-11-02"]


def test_a_touched_file_with_equal_content_is_not_asked_for(
    audit: Audit, finished_home: Home
) -> None:
    watch = Watch(landing_sensor(audit, streams_of(audit.spec)[0]))
    watch.look()
    path = landed(finished_home, "2013-11-02")
    path.write_bytes(path.read_bytes())
    assert watch.look() == watch.look() == []


def test_a_day_that_waits_for_another_try_is_asked_for_after_ten_minutes(
    audit: Audit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DayIntake, "ingest", failing_on("2013-11-02", OSError("disk full")))
        run(audit, home)
    now = iter([1000.0, 1599.0, 1600.0, 1601.0])
    monkeypatch.setattr(_arrivals, "time", SimpleNamespace(time=lambda: next(now)))
    watch = Watch(landing_sensor(audit, streams_of(audit.spec)[0]))
    assert [watch.look() for _ in range(4)] == [[], [], ["2013-11-02"], []]


def test_other_files_in_the_folder_are_left_alone(landing: Watch, home: Home) -> None:
    for name in ("flights-2013-11-04.csv.part", "notes.txt", "flights-2012-01-01.csv"):
        (home.landing("flights") / name).write_text("x")
    landing.look()
    assert landing.look() == ["2013-11-01", "2013-11-02", "2013-11-03"]


def test_a_landing_folder_that_is_absent_is_no_fault(audit: Audit, home: Home) -> None:
    for path in home.landing("flights").iterdir():
        path.unlink()
    home.landing("flights").rmdir()
    watch = Watch(landing_sensor(audit, streams_of(audit.spec)[0]))
    assert watch.look() == watch.look() == []


def test_a_new_artifact_is_observed_once_it_is_stable(audit: Audit, finished_home: Home) -> None:
    watch = Watch(artifact_sensor(audit))
    assert watch.look() == watch.look() == []
    models = finished_home.root / "models/flights"
    (models / "frail.skops").write_bytes((models / "sturdy.skops").read_bytes())
    assert watch.look() == []
    assert watch.look() == ["frail_model"]
    assert watch.look() == []
