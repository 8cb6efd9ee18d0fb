"""What is there, what is outdated and what is missing, told by provenance.

A failed slice leaves its previous version in place. So presence proves nothing: an output is
current only where its identity is the one that today's inputs give.
"""

from datetime import UTC, datetime
from typing import Literal, NamedTuple

from evaluator.candidates import artifact_digest
from evaluator.errors import EvidenceError, Fault
from evaluator.evidence import Address, FailureRecord, Record
from evaluator.orchestration._facts import EvaluationSetFacts, IntakeFacts
from evaluator.orchestration._home import Home
from evaluator.orchestration._identities import Identities, SliceInputs
from evaluator.orchestration._sources import Source, source_of
from evaluator.orchestration._streams import Stream, streams_of
from evaluator.scorecard import Asset, Slice, metrics_of, model_of, predictions_of
from evaluator.spec import Audit, AuditSpec, CandidateSpec

ARRIVAL = "arrival"
"""In the place of an identity, where a day's file could not be stored and so has none."""


class DayState(NamedTuple):
    """What became of a day's file."""

    day: str
    state: Literal["accepted", "refused", "waiting"]
    typed_rows: Record | None
    report: Record | None
    reason: str | None
    fault: Fault | None = None
    """Whose fault it is that it is not accepted, where taking it in has failed."""


class CandidateSliceState(NamedTuple):
    """What is known of one candidate on one slice."""

    candidate: str
    slice: Slice
    state: Literal["current", "outdated", "missing"]
    predictions: Record | None
    """The predictions on which the metrics rest, or would."""
    metrics: Record | None
    error: str | None
    """Why there is no current version, where that is known."""
    fault: Fault | None = None
    """Whose fault that is."""


class AuditState:
    """The state of one audit's evidence.

    Parameters
    ----------
    audit
        The audit as its YAML stands now.
    home
        Where evidence and artifacts are.
    """

    def __init__(self, audit: Audit, home: Home) -> None:
        self.streams = streams_of(audit.spec)
        self.data = self.streams[0]
        self.home = home
        self.store = home.store()
        self.audit = audit
        self.know_values()

    def know_values(self) -> None:
        """Take over the values that were found when the current evaluation set was frozen."""
        if self.audit.spec.discovered:
            frozen = self.current(Asset.EVALUATION_SET)
            found = {} if frozen is None else EvaluationSetFacts.of(frozen).found
            self.audit = Audit(self.audit.name, self.audit.spec.with_found(found))
        self.identities = Identities(self.audit, self.store.fresh_starts(self.audit.name))

    @property
    def spec(self) -> AuditSpec:
        """What is declared."""
        return self.audit.spec

    @property
    def labels(self) -> Stream | None:
        """The labels, where they come in files of their own."""
        return self.streams[1] if self.spec.labels else None

    def address(self, asset: str, partition: str | None = None) -> Address:
        """Address of one of the audit's assets."""
        return Address(self.audit.name, asset, partition)

    def current(self, asset: str, partition: str | None = None) -> Record | None:
        """Return the version that was materialised last."""
        return self.store.current(self.address(asset, partition))

    def is_new(self, asset: str, partition: str | None, content_version: str) -> bool:
        """Tell whether this content is another one than was materialised last."""
        record = self.current(asset, partition)
        return record is None or record.content_version != content_version

    def source(self, stream: Stream) -> Source:
        """Return what its days come from, for one look."""
        return source_of(self.audit, self.home, stream)

    def days(self, stream: Stream) -> list[str]:
        """Return the keys of its partitions that there are today, in their order."""
        return stream.spec.partitions(datetime.now(UTC).date())

    def arrived_days(self, stream: Stream, source: Source) -> list[str]:
        """Tell of which days something new came, or may have.

        Raises
        ------
        EvidenceError
            Where an object store cannot be listed.
        """
        raw = stream.assets.raw
        return [day for day in self.days(stream) if source.is_new(day, self.current(raw, day))]

    def require(self, asset: str, partition: str | None = None) -> Record:
        """Return the version that was materialised last, or say that it is needed.

        Raises
        ------
        EvidenceError
            Where the asset was never materialised.
        """
        record = self.current(asset, partition)
        if record is None:
            address = self.address(asset, partition)
            raise EvidenceError(
                "it is needed and was never materialised",
                culprit=str(address),
                fix=f"materialise {address} first",
            )
        return record

    def day_states(self, stream: Stream | None = None) -> list[DayState]:
        """Tell what became of every day that has a file; of the data, unless another is named."""
        stream = stream or self.data
        days = self.store.partitions(self.audit.name, stream.assets.raw)
        return [self._day_state(stream, day) for day in days]

    def accepted_days(self, stream: Stream | None = None) -> dict[str, Record]:
        """Typed rows of the days that the evaluation set may use; see `day_states`."""
        states = self.day_states(stream)
        return {day.day: day.typed_rows for day in states if day.typed_rows is not None}

    def faulty_days(self, stream: Stream | None = None) -> dict[str, str]:
        """Tell which days wait for another try, since no file of theirs is at fault, and why."""
        stream = stream or self.data
        waiting = {
            d.day: d.reason or "" for d in self.day_states(stream) if d.fault not in (None, "input")
        }
        source = self.source(stream)
        for day in self.store.tried_partitions(self.audit.name, stream.assets.raw):
            address = self.address(stream.assets.raw, day)
            failure = self.store.last_failure(address, ARRIVAL)
            if failure is None or failure.fault == "input":
                continue
            pointer = self.store.pointer(address)
            is_later = pointer is None or pointer.pointed_at < failure.created_at
            if is_later and source.has_come(day):
                waiting[day] = str(failure)
        return waiting

    def model_digest(self, candidate: CandidateSpec) -> str:
        """Digest of the candidate's artifact as it lies there now."""
        return artifact_digest(candidate, self.home.root, tracking_uri=self.home.tracking_uri)

    def place(self, record: Record, name: str) -> str:
        """Say where a file of a version lies, as `Home.place` does."""
        return self.home.place(self.store.location(record, name))

    def may_be_pending(self) -> bool:
        """Guess from each candidate's first slice whether there are slices to evaluate."""
        if not self.spec.candidates:
            return False
        evaluation_set = self.current(Asset.EVALUATION_SET)
        if evaluation_set is None:
            return True
        first = next(iter(self.spec.slices()), None)
        return first is None or any(
            self._slice_state(
                candidate, evaluation_set, self.observed_model(candidate), first
            ).state
            != "current"
            for candidate in self.spec.candidates
        )

    def slice_states(
        self, candidate: CandidateSpec, evaluation_set: Record, model: str | None
    ) -> list[CandidateSliceState]:
        """Tell what is known of a candidate on every slice.

        Parameters
        ----------
        candidate
            One of the audit's.
        evaluation_set
            The evaluation set that the results have to rest on.
        model
            The artifact's digest that they have to rest on; None where it was never seen.
        """
        return [
            self._slice_state(candidate, evaluation_set, model, one) for one in self.spec.slices()
        ]

    def observed_model(self, candidate: CandidateSpec) -> str | None:
        """Digest of the artifact that was seen last, if one was."""
        record = self.current(model_of(candidate.name))
        return None if record is None else record.content_version

    def _day_state(self, stream: Stream, day: str) -> DayState:
        raw = self.require(stream.assets.raw, day)
        identity = self.identities.intake(raw)
        address = self.address(stream.assets.typed, day)
        typed_rows = self.store.find(address, identity)
        return day_state(
            day,
            report=self.store.find(self.address(stream.assets.report, day), identity),
            typed_rows=typed_rows,
            failure=None if typed_rows else self.store.last_failure(address, identity),
        )

    def _slice_state(
        self, candidate: CandidateSpec, evaluation_set: Record, model: str | None, of: Slice
    ) -> CandidateSliceState:
        if model is None:
            unseen = "its artifact was never seen"
            return CandidateSliceState(candidate.name, of, "missing", None, None, unseen)
        inputs = SliceInputs(evaluation_set.content_version, model)
        predicted = self.identities.predictions(candidate, inputs, of.key)
        predictions_at = self.address(predictions_of(candidate.name), of.key)
        metrics_at = self.address(metrics_of(candidate.name), of.key)
        measured = self.identities.slice_metrics(predicted)
        predictions = self.store.find(predictions_at, predicted)
        metrics = self.store.find(metrics_at, measured)
        if predictions is not None and metrics is not None:
            return slice_state(candidate.name, of, predictions=predictions, metrics=metrics)
        return slice_state(
            candidate.name,
            of,
            predictions=predictions,
            metrics=metrics,
            failure=self.store.last_failure(predictions_at, predicted)
            or self.store.last_failure(metrics_at, measured),
            was_measured=self.store.current(metrics_at) is not None,
        )


def day_state(
    day: str, *, report: Record | None, typed_rows: Record | None, failure: FailureRecord | None
) -> DayState:
    """Decide what became of a day, by what is stored of its file as it is now."""
    if typed_rows is not None:
        return DayState(day, "accepted", typed_rows, report, None)
    if failure is not None:
        broken = None if report is None else IntakeFacts.of(report).broken
        if failure.fault == "input":
            return DayState(day, "refused", None, report, broken or failure.message, failure.fault)
        return DayState(day, "waiting", None, report, str(failure), failure.fault)
    return DayState(day, "waiting", None, report, "its file was not validated yet")


def slice_state(
    candidate: str,
    of: Slice,
    *,
    predictions: Record | None,
    metrics: Record | None,
    failure: FailureRecord | None = None,
    was_measured: bool = False,
) -> CandidateSliceState:
    """Decide whether a slice counts, by what is stored of the identities that it should have.

    `was_measured` says that there are metrics of other inputs.
    """
    if predictions is not None and metrics is not None:
        return CandidateSliceState(candidate, of, "current", predictions, metrics, None)
    reason = None if failure is None else str(failure)
    state: Literal["outdated", "missing"] = "outdated" if was_measured else "missing"
    fault = None if failure is None else failure.fault
    return CandidateSliceState(candidate, of, state, predictions, None, reason, fault)
