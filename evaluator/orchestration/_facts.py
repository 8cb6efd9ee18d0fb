"""What is kept with each version beside its files: small findings, read and written by name."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from evaluator.evidence import Record
from evaluator.scorecard import LabelFacts, TrainingFacts

_Moment = Annotated[datetime, PlainSerializer(datetime.isoformat)]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)

    @classmethod
    def of(cls, record: Record) -> Self:
        """Read what a record says."""
        return cls.model_validate(record.facts)

    def to_record(self) -> dict[str, Any]:
        """Say it as a record has it; what was not given is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class RawDataFacts(_Facts):
    """A day's file, or files, as they came."""

    file: str
    source: str
    """Where it lay, below the home; or the query that gave it."""
    parts: tuple[str, ...] = ()
    """The files of the day in the order in which they are read, where it may have several."""
    stamp: tuple[str, ...] | None = None
    """What an object store said of the files, so that they need not be fetched to know them."""
    answered_before: str | None = None
    """The content that a query gave before for the same day, where it was another."""
    mended: str | None = None
    """The file of rows that people mended, which lies beside it."""


class IntakeFacts(_Facts):
    """What became of a day's rows."""

    rows: int
    accepted: int
    quarantined: int
    broken: str | None
    """Why the whole day is refused; None where it is not."""
    checks: Mapping[str, str | None]
    """What each check found wrong; None where nothing."""


class EvaluationSetFacts(_Facts):
    """What the frozen set holds."""

    cases: int
    without_label: int
    """Valid rows that were left out for want of a label."""
    of_weight_zero: int = 0
    """Labelled rows that were left out since their weight is 0."""
    days: list[str]
    found: dict[str, list[str]] = {}
    """The values of each dimension that is discovered; a partition has no other."""
    pooled: dict[str, int] = {}
    """Of each such dimension how many cases are of values that are not told apart."""
    labels: LabelFacts | None = None
    """Where these came in files of their own."""
    training: dict[str, TrainingFacts] = {}
    """By candidate what is known of the cases that it saw in training, where it says of what."""
    seen_left_out: int = 0
    """Labelled rows that were left out since a candidate saw them there."""


class ModelFacts(_Facts):
    """Where a candidate's artifact comes from."""

    path: str
    kind: str


class SliceFacts(_Facts):
    """A candidate's predictions for a slice, or their metrics."""

    cases: int


class ScorecardFacts(_Facts):
    """What a scorecard is of."""

    candidates: list[str]
    slices: int
    """Of all candidates."""
    current: int
    """So many of them have a result."""
    models: dict[str, str | None]
    """The digest of each candidate's artifact; None where it was never seen."""
    weak_searches: dict[str, dict[str, Any]]
    seeds: dict[str, int] = Field(default_factory=dict)
    # Not among what it rests on, or else each certificate would hold all earlier ones.
    previous_certificate: str | None = Field(default=None, alias="earlier_certificate")
    """The identity of the last certificate before it that was about another evaluation set."""
    remarks: list[str]


class CertificateFacts(_Facts):
    """What the certificates of one issue have in common, and each candidate's outcome."""

    outcomes: dict[str, str]
    """Of those that have one."""
    withheld: dict[str, str] = {}
    """Why the others have none."""
    artifacts: dict[str, str | None]
    evaluation_set: str
    """Its digest."""
    valid_from: _Moment
    valid_until: _Moment
    key_id: str | None
    """Who signed; None where nobody did."""


class MlflowFacts(_Facts):
    """Where the figures were logged."""

    runs: dict[str, str]
    """The MLflow run of each candidate."""
    experiment: str | None = None
    """Whose runs they are; None in records from before it was kept."""
