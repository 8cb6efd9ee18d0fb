"""One candidate on the evaluation set: what is there is reused, what is missing is computed."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import NamedTuple, Self

import pandas as pd
import pyarrow as pa

from evaluator.candidates import Scorer, open_scorer, predict
from evaluator.evaluation import measure
from evaluator.evidence import Address, Record, RunContext, content_version
from evaluator.orchestration._evaluation_set import observe_model
from evaluator.orchestration._identities import CODE_VERSIONS, SliceInputs
from evaluator.orchestration._state import AuditState
from evaluator.scorecard import CASES, PREDICTIONS, SLICE_LEVEL
from evaluator.spec import CandidateSpec

METRICS = "metrics.parquet"


class EvaluatedSlice(NamedTuple):
    """A stored result, its frame where it was read or computed, and whether it was there."""

    record: Record
    frame: pd.DataFrame | None
    reused: bool


class CandidateEvaluation:
    """One candidate on the current evaluation set, slice by slice; a context to be left.

    What the candidate needs is opened when its first slice is predicted, and closed at the end.

    Parameters
    ----------
    state
        The audit's state.
    candidate
        Who is evaluated.
    run_context
        The run that evaluates, and its time.
    """

    def __init__(
        self, state: AuditState, candidate: CandidateSpec, run_context: RunContext
    ) -> None:
        self.state = state
        self.candidate = candidate
        self.run_context = run_context
        self.evaluation_set = state.require("evaluation_set")
        self.model = observe_model(state, candidate, run_context)
        self._opened = ExitStack()
        self._inputs = SliceInputs(self.evaluation_set.content_version, self.model.content_version)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def target(self, slice_key: str) -> tuple[Address, str]:
        """Return the address and the identity of a slice's predictions."""
        return (
            self.state.address(f"{self.candidate.name}_predictions", slice_key),
            self.state.identities.predictions(self.candidate, self._inputs, slice_key),
        )

    def predictions(self, slice_key: str) -> EvaluatedSlice:
        """Return a slice's predictions; compute them where they are not there yet."""
        address, identity = self.target(slice_key)
        existing = self.state.store.reuse(address, identity, self.run_context)
        if existing is not None:
            return EvaluatedSlice(existing, None, reused=True)
        predicted = predict(self.candidate, self._scorer, self._cases[slice_key])
        table = pa.Table.from_pandas(predicted, preserve_index=False)
        record = self.state.store.write(
            address,
            identity,
            {PREDICTIONS: table},
            content_version=content_version(table, order_by=["id"]),
            upstream=[self.evaluation_set.as_upstream(), self.model.as_upstream()],
            facts={"cases": len(predicted)},
            code_version=CODE_VERSIONS["predictions"],
            run_context=self.run_context,
        )
        return EvaluatedSlice(record, predicted, reused=False)

    def metrics(self, predictions: Mapping[str, Record]) -> dict[str, EvaluatedSlice]:
        """Return the metrics of these slices; those not there yet are computed in one pass."""
        evaluated = {}
        missing = {}
        for key, record in predictions.items():
            target = self.metrics_target(key, record)
            existing = self.state.store.reuse(*target, self.run_context)
            if existing is None:
                missing[key] = record
            else:
                table = self.state.store.read_table(existing, METRICS)
                evaluated[key] = EvaluatedSlice(existing, table.to_pandas(), reused=True)
        for key, measured in self._measure(missing).items():
            table = pa.Table.from_pandas(measured, preserve_index=False)
            address, identity = self.metrics_target(key, missing[key])
            record = self.state.store.write(
                address,
                identity,
                {METRICS: table},
                content_version=content_version(table),
                upstream=[missing[key].as_upstream()],
                facts={"cases": missing[key].facts["cases"]},
                code_version=CODE_VERSIONS["slice_metrics"],
                run_context=self.run_context,
            )
            evaluated[key] = EvaluatedSlice(record, measured, reused=False)
        return evaluated

    def metrics_target(self, slice_key: str, predictions: Record) -> tuple[Address, str]:
        """Return the address and the identity of a slice's metrics."""
        return (
            self.state.address(f"{self.candidate.name}_slice_metrics", slice_key),
            self.state.identities.slice_metrics(predictions.identity),
        )

    def _measure(self, predictions: Mapping[str, Record]) -> dict[str, pd.DataFrame]:
        if not predictions:
            return {}
        frame = read_predictions(self.state, predictions)
        measured = measure(self.state.spec, self.candidate, frame)
        per_slice = measured[measured["level"] == SLICE_LEVEL]
        keys = per_slice["geography"].astype(str) + "|" + per_slice["segment"].astype(str)
        return {
            str(key): rows.reset_index(drop=True)
            for key, rows in per_slice.groupby(keys)
            if key in predictions
        }

    @cached_property
    def _scorer(self) -> Scorer:
        label = self.state.spec.label
        scorer = open_scorer(
            self.candidate,
            self.state.home.root,
            positive=label.positive if label else 1,
            tracking_uri=self.state.home.tracking_uri,
            digest=self.model.content_version,
        )
        return self._opened.enter_context(scorer)

    @cached_property
    def _cases(self) -> dict[str, pd.DataFrame]:
        frame = self.state.store.read_table(self.evaluation_set, CASES).to_pandas()
        parts = frame.groupby(["geography", "segment"], sort=False)
        found = {f"{geography}|{segment}": part for (geography, segment), part in parts}
        return {key: found.get(key, frame.iloc[:0]) for key in self.state.slice_keys()}


def read_predictions(state: AuditState, records: Mapping[str, Record]) -> pd.DataFrame:
    """Read the predictions of some slices into one frame, with `geography` and `segment`."""
    frames = []
    for key, record in records.items():
        geography, segment = key.split("|")
        frame = state.store.read_table(record, PREDICTIONS).to_pandas()
        frames.append(frame.assign(geography=geography, segment=segment))
    joined: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return joined
