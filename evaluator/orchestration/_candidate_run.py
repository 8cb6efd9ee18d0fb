"""One candidate on the evaluation set: what is there is reused, what is missing is computed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from evaluator.candidates import Scorer, open_scorer, predict, task_knowing_labels
from evaluator.evaluation import (
    EvaluatedCases,
    columns_needed,
    dependence_columns,
    measure,
    with_dependence,
)
from evaluator.evidence import Address, Record, RunContext, content_version
from evaluator.orchestration._evaluation_set import observe_model
from evaluator.orchestration._facts import SliceFacts
from evaluator.orchestration._identities import CODE_VERSIONS, SliceInputs
from evaluator.orchestration._state import AuditState
from evaluator.scorecard import (
    CASES,
    PREDICTIONS,
    SLICE_LEVEL,
    Asset,
    Slice,
    metrics_of,
    predictions_of,
    slice_keys,
)
from evaluator.spec import CandidateSpec, Task

METRICS = "metrics.parquet"


class StoredFrame(NamedTuple):
    """A stored output, and its table where this process made it."""

    record: Record
    frame: pd.DataFrame | None


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
        self.evaluation_set = state.require(Asset.EVALUATION_SET)
        self.model = observe_model(state, candidate, run_context)
        self._opened = ExitStack()
        self._inputs = SliceInputs(self.evaluation_set.content_version, self.model.content_version)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def evaluate(
        self, slices: Sequence[Slice], on_predicted: Callable[[Slice], None] = lambda _: None
    ) -> Iterator[tuple[Slice, Exception | None]]:
        """Predict slices one by one and measure them in one pass; yield each with its fault."""
        predicted: dict[Slice, StoredFrame] = {}
        for one in slices:
            try:
                predicted[one] = self.predict(one)
            except Exception as error:  # noqa: BLE001 - a slice's fault must not take the others
                yield one, error
            else:
                on_predicted(one)
        fault: Exception | None = None
        try:
            self.measure(predicted)
        except Exception as error:  # noqa: BLE001 - the predictions are there and must count
            fault = error
        for one in predicted:
            yield one, fault

    def predictions_target(self, of: Slice) -> tuple[Address, str]:
        """Return the address and the identity of a slice's predictions."""
        return (
            self.state.address(predictions_of(self.candidate.name), of.key),
            self.state.identities.predictions(self.candidate, self._inputs, of.key),
        )

    def metrics_target(self, of: Slice) -> tuple[Address, str]:
        """Return the address and the identity of a slice's metrics."""
        _, predictions = self.predictions_target(of)
        return (
            self.state.address(metrics_of(self.candidate.name), of.key),
            self.state.identities.slice_metrics(predictions),
        )

    def predict(self, of: Slice) -> StoredFrame:
        """Return a slice's predictions; compute them where they are not there yet."""
        address, identity = self.predictions_target(of)
        existing = self.state.store.reuse(address, identity, self.run_context)
        if existing is not None:
            return StoredFrame(existing, None)
        task, cases = self._evaluated
        predicted = predict(self.candidate, self._scorer, cases[of], task=task)
        # To start threads for one slice takes longer than to convert it.
        table = pa.Table.from_pandas(predicted, preserve_index=False, nthreads=1)
        record = self.state.store.write(
            address,
            identity,
            {PREDICTIONS: table},
            content_version=content_version(table, order_by=["id"]),
            upstream=[self.evaluation_set.as_upstream(), self.model.as_upstream()],
            facts=SliceFacts(cases=len(predicted)).to_record(),
            code_version=CODE_VERSIONS["predictions"],
            run_context=self.run_context,
            # Candidates may answer otherwise the next time.
            is_repeatable=False,
        )
        return StoredFrame(record, predicted)

    def measure(self, predicted: Mapping[Slice, StoredFrame]) -> None:
        """Measure slices; the metrics that are not there yet are computed in one pass."""
        missing = {
            one: predictions
            for one, predictions in predicted.items()
            if self.state.store.reuse(*self.metrics_target(one), self.run_context) is None
        }
        if not missing:
            return
        frame = join_slices(
            (one, predictions.frame if predictions.frame is not None else self._read(predictions))
            for one, predictions in missing.items()
        )
        if self._depending is not None:
            row_positions = self._depending.positions_of(frame)
            frame = with_dependence(self._depending, frame, row_positions)
        measured = measure(self.state.spec, self.candidate, frame, levels=[SLICE_LEVEL])
        by_slice = dict(list(measured.groupby(slice_keys(measured))))
        for one, predictions in missing.items():
            rows = by_slice[one.key].reset_index(drop=True)
            table = pa.Table.from_pandas(rows, preserve_index=False, nthreads=1)
            address, identity = self.metrics_target(one)
            self.state.store.write(
                address,
                identity,
                {METRICS: table},
                content_version=content_version(table),
                upstream=[predictions.record.as_upstream()],
                facts=predictions.record.facts,
                code_version=CODE_VERSIONS["slice_metrics"],
                run_context=self.run_context,
            )

    def _read(self, predictions: StoredFrame) -> pd.DataFrame:
        frame: pd.DataFrame = self.state.store.read_table(
            predictions.record, PREDICTIONS
        ).to_pandas()
        return frame

    @cached_property
    def _scorer(self) -> Scorer:
        scorer = open_scorer(
            self.candidate,
            self.state.home.root,
            task=self._evaluated[0],
            tracking_uri=self.state.home.tracking_uri,
            digest=self.model.content_version,
        )
        return self._opened.enter_context(scorer)

    @cached_property
    def _depending(self) -> EvaluatedCases | None:
        """The cases with their clusters and weights; None where neither is declared."""
        spec = self.state.spec
        if not dependence_columns(spec.data):
            return None
        columns = columns_needed(spec)
        table = self.state.store.read_table(self.evaluation_set, CASES, columns=columns)
        return EvaluatedCases(table, spec.data)

    @cached_property
    def _evaluated(self) -> tuple[Task, dict[Slice, pd.DataFrame]]:
        """What is asked, and the cases of each slice."""
        table = self.state.store.read_table(self.evaluation_set, CASES)
        # A slice may hold one of the label's values alone, and all of them must be known.
        task = task_knowing_labels(self.state.spec, table)
        frame = table.to_pandas()
        parts = frame.groupby(["geography", "segment"], sort=False)
        found = {Slice(*map(str, key)): part for key, part in parts}
        return task, {one: found.get(one, frame.iloc[:0]) for one in self.state.spec.slices()}


def read_predictions(state: AuditState, records: Mapping[Slice, Record]) -> pd.DataFrame:
    """Read the predictions of some slices into one frame, with `geography` and `segment`."""
    return join_slices(
        (one, state.store.read_table(record, PREDICTIONS).to_pandas())
        for one, record in records.items()
    )


def join_slices(frames: Iterable[tuple[Slice, pd.DataFrame]]) -> pd.DataFrame:
    """Join the frames of some slices into one, with `geography` and `segment`."""
    slices, parts = zip(*frames, strict=True)
    sizes = [len(part) for part in parts]
    joined: pd.DataFrame = pd.concat(parts, ignore_index=True)
    # Once for all of them: a column a slice is a quarter of what reading thousands of slices costs.
    for name, values in zip(Slice._fields, zip(*slices, strict=True), strict=True):
        joined[name] = pd.array(np.repeat(np.array(values, dtype=object), sizes), dtype="str")
    return joined
