"""The recorded candidates: the files say of each flight what a rule or a boosting says."""

import csv
import statistics
from datetime import date
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from evaluator.candidates import load_scorer, predict, recording_issues
from evaluator.demo._flights import FIRST_DAY, demo_days, read_source
from evaluator.demo._flights_models import BANDS, late_shares, write_minutes, write_rule
from evaluator.spec import AuditSpec, RecordedCandidate
from evaluator_tests.candidates.conftest import task_of

DAYS = demo_days(28)


@pytest.fixture(scope="module")
def home(year: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the recording where the audit looks for it."""
    root = tmp_path_factory.mktemp("home")
    write_rule(year, DAYS, root / "recordings" / "flights" / "airline_rule.csv")
    return root


@pytest.fixture(scope="module")
def rows(home: Path) -> list[dict[str, str]]:
    """The recording as any other program reads it."""
    with (home / "recordings" / "flights" / "airline_rule.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cases(year: pd.DataFrame) -> pd.DataFrame:
    """The recorded days' cases, as an evaluation set has them."""
    labelled = year[year["date"].isin(DAYS) & year["arrival_delay"].notna()]
    late = (labelled["arrival_delay"] > 15).astype("int8")
    return pd.DataFrame({"id": labelled["flight_id"], "label": late}).reset_index(drop=True)


@pytest.fixture(scope="module")
def rule(flights_spec: AuditSpec) -> RecordedCandidate:
    candidate = flights_spec.candidates[-1]
    assert isinstance(candidate, RecordedCandidate)
    assert candidate.name == "airline_rule"
    return candidate


def test_the_recording_holds_the_days_flights_that_departed_and_no_other(
    rows: list[dict[str, str]], year: pd.DataFrame
) -> None:
    source = read_source("flights.csv.zip")
    of_days = (source["month"] == 11) & (source["day"] <= 28)
    departed = of_days & source["dep_time"].notna()

    recorded = [row["flight"] for row in rows]

    assert recorded == year.loc[departed.to_numpy(), "flight_id"].tolist()
    assert len(recorded) < of_days.sum()
    assert list(rows[0]) == ["flight", "late_probability", "late"]


def test_each_row_says_what_the_rule_says(rows: list[dict[str, str]], year: pd.DataFrame) -> None:
    # Once more, with neither the demo's bands nor its frames.
    bounds = [-5, 0, 5, 10, 15, 20, 30, 60]
    source = read_source("flights.csv.zip")
    late = dict.fromkeys(range(9), 0)
    arrived = dict.fromkeys(range(9), 0)
    known = source[(source["month"] < 10) & source["arr_delay"].notna()]
    for departure, arrival in zip(known["dep_delay"], known["arr_delay"], strict=True):
        band = sum(departure > bound for bound in bounds)
        arrived[band] += 1
        late[band] += arrival > 15
    delays = dict(zip(year["flight_id"], source["dep_delay"], strict=True))

    for row in rows:
        delay = delays[row["flight"]]
        band = sum(delay > bound for bound in bounds)
        assert row["late"] == str(int(delay > 15))
        assert float(row["late_probability"]) == pytest.approx(late[band] / arrived[band], abs=5e-4)


def test_the_shares_grow_with_the_delay_and_are_never_certain(year: pd.DataFrame) -> None:
    shares = late_shares(year)

    assert len(shares) == len(BANDS) - 1
    assert all(one < other for one, other in pairwise(shares))
    # A certain score that is wrong once has an infinite log loss.
    assert shares.iloc[0] > 0
    assert shares.iloc[-1] < 1


def test_the_rule_learned_nothing_from_the_months_that_are_audited(year: pd.DataFrame) -> None:
    def with_delay(chosen: pd.Series) -> pd.DataFrame:
        return year.assign(arrival_delay=year["arrival_delay"].mask(chosen, 500))

    later = pd.Series(year["date"] >= FIRST_DAY)

    assert late_shares(with_delay(later)).equals(late_shares(year))
    assert not late_shares(with_delay(~later)).equals(late_shares(year))


def test_the_audit_judges_the_recorded_decisions_and_probabilities(
    home: Path, rule: RecordedCandidate, cases: pd.DataFrame, rows: list[dict[str, str]]
) -> None:
    scorer = load_scorer(rule, home, task=task_of())

    found = predict(rule, scorer, cases, task=task_of()).set_index("id")

    recorded = {row["flight"]: row for row in rows}
    assert len(found) == len(cases) > 25_000
    for case, score, prediction in zip(
        found.index, found["score"], found["prediction"], strict=True
    ):
        assert score == float(recorded[case]["late_probability"])
        assert prediction == int(recorded[case]["late"])
    # The decision is the rule's own and does not follow from its probability.
    assert (found["prediction"] != (found["score"] >= rule.threshold)).any()


def test_diverted_flights_are_all_that_is_found_amiss(
    home: Path, rule: RecordedCandidate, cases: pd.DataFrame
) -> None:
    source = read_source("flights.csv.zip")
    of_days = source[(source["month"] == 11) & (source["day"] <= 28)]
    diverted = of_days["dep_time"].notna() & of_days["arr_delay"].isna()

    findings = recording_issues(rule, home, cases, task=task_of())

    assert [finding.kind for finding in findings] == ["extra_ids"]
    assert findings[0].affected == diverted.sum() > 0


@pytest.fixture(scope="module")
def minutes(
    part: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, pd.DataFrame]:
    """What two systems said of the arrival delay on the days, beside the flights themselves."""
    folder = tmp_path_factory.mktemp("minutes")
    write_minutes(part, DAYS, folder)
    flights = part.set_index("flight_id")
    return {
        path.stem: pd.read_csv(path, index_col="flight").join(flights) for path in folder.iterdir()
    }


def test_a_delay_is_carried_over_with_what_it_changed_by_before(
    minutes: dict[str, pd.DataFrame], part: pd.DataFrame
) -> None:
    before = part[(part["date"] < FIRST_DAY) & part["arrival_delay"].notna()]
    changes = (before["arrival_delay"] - before["departure_delay"]).astype(int).tolist()
    cuts = statistics.quantiles(changes, n=20, method="inclusive")

    said = minutes["carried_over"]

    for name, change in (("low", cuts[0]), ("minutes", cuts[9]), ("high", cuts[18])):
        difference = (said[name] - said["departure_delay"]).astype(float)
        assert difference.min() == difference.max() == pytest.approx(change, abs=0.05)


@pytest.mark.parametrize("name", ["carried_over", "boosted"])
def test_about_nine_of_ten_flights_arrive_within_the_limits(
    name: str, minutes: dict[str, pd.DataFrame], part: pd.DataFrame
) -> None:
    said = minutes[name]
    arrived = said[said["arrival_delay"].notna()]

    departed = part["date"].isin(DAYS) & part["departure_delay"].notna()
    assert said.index.tolist() == part.loc[departed, "flight_id"].tolist()
    assert ((said["low"] <= said["minutes"]) & (said["minutes"] <= said["high"])).all()
    within = arrived["arrival_delay"].between(arrived["low"], arrived["high"])
    assert 0.85 < within.mean() < 0.97


def test_what_is_said_of_a_delay_is_learned_from_earlier_months_alone(
    part: pd.DataFrame, minutes: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    def written(chosen: pd.Series, folder: Path) -> dict[str, pd.DataFrame]:
        write_minutes(
            part.assign(arrival_delay=part["arrival_delay"].mask(chosen, 500)), DAYS, folder
        )
        return {path.stem: pd.read_csv(path, index_col="flight") for path in folder.iterdir()}

    later = part["date"] >= FIRST_DAY

    same, other = written(later, tmp_path / "later"), written(~later, tmp_path / "before")

    for name, said in minutes.items():
        assert same[name].equals(said[same[name].columns])
        assert not other[name].equals(said[other[name].columns])


def test_a_recording_appears_whole_or_not_at_all(
    year: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "airline_rule.csv"
    write_rule(year, [date(2013, 11, 1)], path)
    before = path.read_bytes()

    def die_halfway(frame: pd.DataFrame, target: Path, **_: object) -> None:
        target.write_text(",".join(frame.columns))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", die_halfway)
        with pytest.raises(KeyboardInterrupt):
            write_rule(year, DAYS, path)
    assert path.read_bytes() == before

    write_rule(year, [date(2013, 11, 1)], path)

    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["airline_rule.csv"]
