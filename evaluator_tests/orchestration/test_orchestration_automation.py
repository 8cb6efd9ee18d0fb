"""What happens by itself, under a simulated clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from evaluator.orchestration import Home, audit_definitions
from evaluator.orchestration._partition_run import DATA_VERSION_TAG
from evaluator.spec import Audit
from evaluator_tests.faults import plan_faults
from evaluator_tests.orchestration.conftest import AIRLINE_KINDS, REGIONS

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DAY = "2013-11-02"
SLICES = {f"{region}|{kind}" for region in REGIONS for kind in AIRLINE_KINDS}
INTAKE = ("validated_data", "quarantined_rows", "data_quality_report")
EVALUATION = {
    f"{candidate}_{part}"
    for candidate in ("sturdy", "frail")
    for part in ("predictions", "slice_metrics")
}
# What one run makes; the runs of MLflow have their own, which may have to wait for a server.
REPORTS = {"scorecard", "certificate", "dashboard", "documents"}


class Clock:
    """An instance whose automation conditions are evaluated tick by tick."""

    def __init__(self, audit: Audit, instance: dg.DagsterInstance) -> None:
        self.audit = audit
        self.definitions = audit_definitions(audit)
        self.instance = instance
        self.now = NOON
        self._cursor: object | None = None

    def tick(self, *, minutes: int = 1) -> dict[str, set[str]]:
        """Let time pass and return what is asked for: partitions by asset, '' for a whole."""
        self.now += timedelta(minutes=minutes)
        result = dg.evaluate_automation_conditions(
            self.definitions,
            self.instance,
            asset_selection=dg.AssetSelection.groups(self.audit.name),
            evaluation_time=self.now,
            cursor=self._cursor,  # type: ignore[arg-type] # the first tick has none
        )
        self._cursor = result.cursor
        asked = {}
        for evaluated in result.results:
            subset = evaluated.true_subset.expensively_compute_asset_partitions()
            if subset:
                name = evaluated.key.path[-1]  # type: ignore[union-attr] # assets have paths
                asked[name] = {str(partition.partition_key or "") for partition in subset}
        return asked

    def materialised(self, name: str, version: str, *partitions: str) -> None:
        """Note that an asset was materialised with this content."""
        for partition in partitions or (None,):
            parts = partition.split("|") if partition else []
            key = (
                dg.MultiPartitionKey({"geography": parts[0], "segment": parts[1]})
                if len(parts) == 2
                else partition
            )
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    dg.AssetKey([self.audit.name, name]),
                    partition=key,
                    tags={DATA_VERSION_TAG: version},
                )
            )

    def observed(self, name: str, version: str) -> None:
        """Note that an artifact was observed."""
        self.instance.report_runless_asset_event(
            dg.AssetObservation(
                dg.AssetKey([self.audit.name, name]), tags={DATA_VERSION_TAG: version}
            )
        )

    def evaluated(self, version: str = "1") -> None:
        """Note that everything was materialised once."""
        self.materialised("raw_data", version, DAY)
        for name in INTAKE:
            self.materialised(name, version, DAY)
        self.materialised("evaluation_set", version)
        for candidate in ("sturdy", "frail"):
            self.observed(f"{candidate}_model", version)
            self.materialised(f"{candidate}_predictions", version, *SLICES)
            self.materialised(f"{candidate}_slice_metrics", version, *SLICES)
        for name in ("scorecard", "mlflow_runs", "certificate", "dashboard", "documents"):
            self.materialised(name, version)


@pytest.fixture
def clock(audit: Audit) -> Iterator[Clock]:
    """Everything was materialised, and the first tick is over."""
    with dg.DagsterInstance.ephemeral() as instance:
        clock = Clock(audit, instance)
        clock.evaluated()
        clock.tick()
        yield clock


def test_where_nothing_changes_nothing_is_asked_for(clock: Clock) -> None:
    assert clock.tick() == {}
    assert clock.tick(minutes=30) == {}


def test_a_day_that_arrives_late_is_validated(clock: Clock) -> None:
    clock.materialised("raw_data", "1", "2013-10-05")
    assert clock.tick() == {name: {"2013-10-05"} for name in INTAKE}


def test_equal_bytes_that_arrive_again_ask_for_nothing(clock: Clock) -> None:
    clock.materialised("raw_data", "1", DAY)
    assert clock.tick() == {}


def test_a_newly_accepted_day_makes_a_new_evaluation_set(clock: Clock) -> None:
    clock.materialised("validated_data", "2", "2013-11-03")
    assert clock.tick() == {"evaluation_set": {""}}


def with_policy(audit: Audit, refresh: str) -> Audit:
    automation = audit.spec.automation.model_copy(update={"refresh": refresh})
    return Audit(audit.name, audit.spec.model_copy(update={"automation": automation}))


def test_a_weekly_evaluation_set_takes_new_days_in_on_monday(audit: Audit) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        # Noon of a Monday.
        clock = Clock(with_policy(audit, "weekly"), instance)
        clock.evaluated()
        clock.tick()
        clock.materialised("validated_data", "2", "2013-11-03")
        assert "evaluation_set" not in clock.tick()
        assert "evaluation_set" not in clock.tick(minutes=6 * 24 * 60)
        assert clock.tick(minutes=24 * 60)["evaluation_set"] == {""}
        assert "evaluation_set" not in clock.tick()


def test_a_frozen_evaluation_set_is_left_to_people(audit: Audit) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        clock = Clock(with_policy(audit, "on_demand"), instance)
        clock.evaluated()
        clock.tick()
        clock.materialised("validated_data", "2", "2013-11-03")
        assert clock.tick() == {}
        assert "evaluation_set" not in clock.tick(minutes=30 * 24 * 60)


def test_a_new_evaluation_set_is_evaluated_on_every_slice(clock: Clock) -> None:
    clock.materialised("evaluation_set", "2")
    asked = clock.tick()
    assert asked["sturdy_predictions"] == asked["frail_predictions"] == SLICES


def test_a_new_model_version_asks_for_its_own_slices_only(clock: Clock) -> None:
    clock.observed("frail_model", "2")
    asked = clock.tick()
    assert set(asked) == {"frail_predictions", "frail_slice_metrics"}
    assert asked["frail_predictions"] == SLICES


def test_a_model_that_is_observed_unchanged_asks_for_nothing(clock: Clock) -> None:
    clock.observed("frail_model", "1")
    assert clock.tick() == {}


def test_metrics_that_changed_on_one_slice_make_a_new_scorecard_and_all_reports_of_it(
    clock: Clock,
) -> None:
    clock.materialised("frail_slice_metrics", "2", "pacific|network")
    assert clock.tick() == {name: {""} for name in REPORTS}


def test_on_new_data_nothing_is_asked_for_before_there_is_what_it_needs(audit: Audit) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        clock = Clock(audit, instance)
        for candidate in ("sturdy", "frail"):
            clock.observed(f"{candidate}_model", "1")
        assert clock.tick() == {}
        clock.materialised("raw_data", "1", DAY)
        assert set(clock.tick()) == set(INTAKE)
        clock.materialised("quarantined_rows", "1", DAY)
        clock.materialised("data_quality_report", "1", DAY)
        assert clock.tick() == {}
        clock.materialised("validated_data", "1", DAY)
        assert set(clock.tick()) == {"evaluation_set"}
        clock.materialised("evaluation_set", "1")
        assert set(clock.tick()) == EVALUATION
        assert clock.tick() == {}
        for candidate in ("sturdy", "frail"):
            clock.materialised(f"{candidate}_predictions", "1", *SLICES)
            clock.materialised(f"{candidate}_slice_metrics", "1", *SLICES)
        assert set(clock.tick()) == REPORTS
        clock.materialised("scorecard", "1")
        assert "mlflow_runs" in clock.tick()


@pytest.mark.usefixtures("finished_home")
def test_reports_that_one_run_made_with_their_scorecard_are_not_asked_for_again(
    audit: Audit, clock: Clock
) -> None:
    clock.materialised("frail_slice_metrics", "2", "pacific|network")
    assert set(clock.tick()) == REPORTS
    job = clock.definitions.resolve_implicit_global_asset_job_def()
    reports = [dg.AssetKey([audit.name, name]) for name in sorted(REPORTS)]
    assert job.execute_in_process(instance=clock.instance, asset_selection=reports).success
    # The page rests on the days as well, and no run makes both.
    assert set(clock.tick()) == {"mlflow_runs", "dashboard"}


def test_a_slice_that_is_repaired_just_after_the_scorecard_is_not_overlooked(
    clock: Clock,
) -> None:
    clock.materialised("scorecard", "2")
    clock.materialised("frail_slice_metrics", "2", "pacific|network")
    assert "scorecard" in clock.tick()


def test_every_night_all_slices_are_gone_over(clock: Clock) -> None:
    assert clock.tick(minutes=60) == {}
    asked = clock.tick(minutes=14 * 60)
    assert set(asked) == EVALUATION
    assert all(partitions == SLICES for partitions in asked.values())
    assert clock.tick() == {}


def test_the_scorecard_follows_though_a_slice_failed(
    audit: Audit, home: Home, clock: Clock
) -> None:
    plan_faults(home.root, ("pacific", "network"))
    job = clock.definitions.resolve_implicit_global_asset_job_def()

    def materialise(*names: str, **options: object) -> bool:
        return job.execute_in_process(
            instance=clock.instance,
            asset_selection=[dg.AssetKey([audit.name, name]) for name in names],
            raise_on_error=False,
            **options,  # type: ignore[arg-type] # a partition key or tags
        ).success

    for day in ("2013-11-01", "2013-11-02"):
        assert materialise("raw_data", "validated_data", partition_key=day)
    assert materialise("evaluation_set")
    clock.tick()
    clock.tick()
    clock.tick()
    only_the_failing_one = "pacific|network"
    assert not materialise(
        "frail_predictions", "frail_slice_metrics", partition_key=only_the_failing_one
    )
    asked = clock.tick()
    assert asked["scorecard"] == {""}
