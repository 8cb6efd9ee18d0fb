"""One MLflow run a candidate, so that measurements stand beside those of training."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from evaluator.certification import DecidedGap
from evaluator.evidence import Record, RunContext
from evaluator.orchestration._certificates import OUTCOME_TAG
from evaluator.orchestration._facts import MlflowFacts, ScorecardFacts
from evaluator.orchestration._home import Home
from evaluator.orchestration._identities import CODE_VERSIONS
from evaluator.orchestration._scorecard_run import JudgedScorecard
from evaluator.orchestration._state import AuditState
from evaluator.orchestration._tracking import tracking_client
from evaluator.scorecard import Asset, read_measurements, to_frame
from evaluator.spec import Audit, CandidateSpec

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

IDENTITY_TAG = "evaluator.identity"
DAGSTER_RUN_TAG = "dagster.run"

_METRICS_FILE = "slice_metrics.json"
_LONGEST_CLASS = 100


def store_mlflow_runs(
    state: AuditState,
    judged: JudgedScorecard,
    run_context: RunContext,
    has_ended: Callable[[str], bool],
) -> Record:
    """Log one run a candidate, and keep which runs they are.

    They go to the server that `MLFLOW_TRACKING_URI` names, or else to a SQLite file in the home.
    What runs of Dagster left unfinished there that have ended is closed.
    """
    with state.store.alone(state.address(Asset.MLFLOW_RUNS)):
        client = tracking_client(state.home)
        experiment = _experiment(client, state.audit, state.home)
        _close_interrupted(
            client, experiment, lambda run: run == run_context.run_id or has_ended(run)
        )
        identity = state.identities.mlflow_runs(judged.record, state.home)
        runs = {}
        for candidate in state.audit.spec.candidates:
            tables = _tables(judged, candidate.name)
            if tables[_METRICS_FILE].empty:
                continue
            tags = {
                IDENTITY_TAG: f"{identity}/{candidate.name}",
                "evaluator.audit": state.audit.name,
                "evaluator.candidate": candidate.name,
                "evaluator.model": str(ScorecardFacts.of(judged.record).models[candidate.name]),
                "evaluator.scorecard": judged.record.content_version,
                OUTCOME_TAG: _outcome(judged, candidate),
                DAGSTER_RUN_TAG: run_context.run_id,
            }
            found = client.search_runs(
                [experiment], f"tags.`{IDENTITY_TAG}` = '{tags[IDENTITY_TAG]}'"
            )
            finished = [run for run in found if run.info.status == "FINISHED"]
            if finished:
                # It is left as it is, but that a waiver was entered or ended: no figure changes.
                runs[candidate.name] = str(finished[0].info.run_id)
                client.set_tag(runs[candidate.name], OUTCOME_TAG, tags[OUTCOME_TAG])
                continue
            params = {
                "kind": candidate.kind,
                "source": candidate.source,
                "features": list(candidate.features),
                **state.spec.asks.settings(candidate),
            }
            run = client.create_run(experiment, run_name=candidate.name, tags=tags)
            _log_run(client, run, params, tables)
            runs[candidate.name] = str(run.info.run_id)
        return state.store.write(
            state.address(Asset.MLFLOW_RUNS),
            identity,
            {},
            content_version=identity,
            upstream=[judged.record.as_upstream()],
            facts=MlflowFacts(runs=runs, experiment=experiment).to_record(),
            code_version=CODE_VERSIONS["mlflow_runs"],
            run_context=run_context,
        )


def _close_interrupted(
    client: "MlflowClient", experiment: str, is_gone: Callable[[str], bool]
) -> None:
    """Close the runs of ours of which whoever logged them is gone; others log here as well."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        tags = run.data.tags
        if IDENTITY_TAG in tags and is_gone(tags.get(DAGSTER_RUN_TAG, "")):
            client.set_terminated(run.info.run_id, "KILLED")


def _experiment(client: "MlflowClient", audit: Audit, home: Home) -> str:
    existing = client.get_experiment_by_name(audit.name)
    if existing is not None:
        return str(existing.experiment_id)
    location = (home.mlflow_artifacts / audit.name).as_uri() if home.tracks_itself else None
    from mlflow.exceptions import MlflowException

    try:
        return str(client.create_experiment(audit.name, artifact_location=location))
    except MlflowException:
        # Another run may have been first.
        existing = client.get_experiment_by_name(audit.name)
        if existing is None:
            raise
        return str(existing.experiment_id)


def _log_run(
    client: "MlflowClient", run: "Run", params: dict[str, Any], tables: dict[str, pd.DataFrame]
) -> None:
    run_id = str(run.info.run_id)
    try:
        _fill_run(client, run, params, tables)
    except BaseException as error:
        # What it failed of is told; that this fails too would hide it.
        with suppress(Exception):
            client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    client.set_terminated(run_id)


def _fill_run(
    client: "MlflowClient", run: "Run", params: dict[str, Any], tables: dict[str, pd.DataFrame]
) -> None:
    from mlflow.entities import Metric, Param

    run_id = run.info.run_id
    measurements = tables[_METRICS_FILE]
    client.log_batch(
        run_id,
        metrics=[
            Metric(name, value, run.info.start_time, 0) for name, value in _numbers(measurements)
        ],
        params=[Param(key, str(value)) for key, value in params.items()],
    )
    for name, table in tables.items():
        if len(table):
            client.log_dict(run_id, as_json(table), name)


def _numbers(measurements: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Yield overall values and margins under names that MLflow takes; the slices are a table."""
    for one in read_measurements(measurements, levels=["overall", "geography", "segment"]):
        if one.value is not None:
            group = one.geography or one.segment
            suffix = "" if group is None else f"/{one.level}/{_safe(group)}"
            of_class = "" if one.class_ is None else f"/{_safe_class(one.class_)}"
            yield f"{one.metric}{of_class}{suffix}", one.value


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-. " else "_" for c in name)


def _safe_class(name: str) -> str:
    """Spell a class as MLflow takes it, told apart from others that are then spelt alike."""
    safe = _safe(name)[:_LONGEST_CLASS]
    if safe == name and name.strip("."):
        return name
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _tables(judged: JudgedScorecard, candidate: str) -> dict[str, pd.DataFrame]:
    """Give all that a run holds of its candidate, by the name of its file."""
    scorecard = judged.scorecard.of(candidate)
    gaps = [gap for gap in judged.fairness_gaps if gap.candidate == candidate]
    return {
        _METRICS_FILE: scorecard.measurements,
        "more_slices.json": scorecard.additional_measurements,
        "comparisons.json": scorecard.comparisons,
        "ranks.json": scorecard.ranks,
        "fairness.json": to_frame(gaps, DecidedGap),
        "weak_slices.json": scorecard.weak_slices,
        "worsened.json": scorecard.worsened,
    }


def as_json(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Lay a table out by columns; JSON has no infinite numbers, so these become reasons."""
    numbers = table.select_dtypes("float")
    infinite: pd.DataFrame = numbers.isin([np.inf, -np.inf])
    plain = table.astype(object).where(table.notna(), None)
    for name in numbers.columns[infinite.any()]:
        unbounded = infinite[name] & table["reason"].isna()
        plain.loc[unbounded, "reason"] = f"{name} is infinite"
        plain.loc[infinite[name], name] = None
    return {str(name): plain[name].tolist() for name in plain.columns}


def _outcome(judged: JudgedScorecard, candidate: CandidateSpec) -> str:
    return next(o.in_words for o in judged.outcomes if o.candidate == candidate.name)
