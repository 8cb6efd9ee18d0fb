"""The statement that a certificate makes: an in-toto Statement v1 with a predicate of our own.

Source: in-toto attestation framework, spec/v1/statement.md and spec/v1/digest_set.md
(github.com/in-toto/attestation). `certificate_schema.json` beside this file is the same as a JSON
schema, for readers in other languages. Beside it stands what a check of it finds.
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from evaluator.certification._outcomes import OutcomeWord, Qualifications, format_outcome
from evaluator.certification._phrases import format_training
from evaluator.certification._statement_v1 import as_format_2
from evaluator.certification._verdicts import STRICT, Verdict
from evaluator.errors import EvidenceError
from evaluator.evaluation import assumptions_of
from evaluator.evidence import (
    RECORD,
    StoredFile,
    Upstream,
    canonical_json,
    parse_canonical_json,
    shown,
)
from evaluator.scorecard import TrainingFacts

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:evaluator:certificate:v2"
SCHEMA_FILE = "certificate_schema.json"

FILE_DIGEST = "sha256"
"""A digest of a file's bytes."""
CONTENT_DIGEST = "evaluatorContentV1"
"""SHA-256 of a table's data in canonical order, in lower-case hexadecimal digits."""
ARTIFACT_DIGEST = "evaluatorArtifactV1"
"""SHA-256 that names an artifact which is no single file: a folder, a registry's version, an
endpoint's address and version; in lower-case hexadecimal digits."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class StatementError(EvidenceError):
    """What should be a certificate's statement is none."""


class Discrepancy(NamedTuple):
    """Something that is not as the certificate says."""

    check: str
    """Which check found it: `signature`, `statement`, `evidence`, `lineage`, `ledger`, `cases`
    (what was measured is what should have been), `figures`, `verdicts` or `bundle`."""
    file: str
    """The file that it is about, by its path below the evidence folder or the bundle."""
    what: str
    """What differs, as a sentence without its full stop."""

    def __str__(self) -> str:
        return f"{self.check}: {self.file}: {self.what}"


class StrictModel(BaseModel):
    """What is read strictly, from canonical JSON alone."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read canonical JSON, or raise a ValueError that says what is wrong with it."""
        parse_canonical_json(content)
        try:
            made = cls.model_validate_json(content, strict=True)
        except ValidationError as error:
            raise ValueError(first_fault(error)) from error
        if "format" in cls.model_fields.keys() - made.model_fields_set:
            msg = "`format` is missing"
            raise ValueError(msg)
        return made

    def to_bytes(self) -> bytes:
        """Spell it as canonical JSON."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))


def first_fault(error: ValidationError, of: str = "") -> str:
    """Say which key is wrong first, and why."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = shown(".".join(map(str, first["loc"])))
    return f"{f'`{place}`' if place else 'it'}{of} is not as it must be: {first['msg']}"


class Subject(StrictModel):
    """What the statement is about, known by its digests alone."""

    name: str
    digest: dict[str, Sha256] = Field(min_length=1)


class CandidateOutcome(StrictModel):
    """What all required gates together say about the candidate."""

    name: str
    artifact_digest: Sha256 | None
    """The digest of its artifact; null where it could not be read."""
    outcome: OutcomeWord
    reason: str
    qualified_by: Qualifications | SkipJsonSchema[None]
    """What must be said beside the outcome."""
    # None where a certificate of format 1 is read, which is silent.

    @property
    def in_words(self) -> str:
        """The outcome with what qualifies it."""
        return format_outcome(self.outcome, self.qualified_by)

    @property
    def named(self) -> list[str]:
        """What qualifies it, each by its name."""
        return [] if self.qualified_by is None else self.qualified_by.lines()


class Headline(StrictModel):
    """One of the audit's first metrics, overall, with its interval."""

    metric: str
    value: Number | None
    low: Number | None
    high: Number | None
    n: int | None
    n_effective: Number | None
    status: str
    reason: str | None
    clusters: int | None
    """How many clusters it rests on; null where cases are taken as independent."""
    design_effect: Number | None
    """How many of the cases that it rests on count as much as one independent case; null where
    there are neither clusters nor weights."""


class Training(StrictModel):
    """Whether the candidate saw the cases in training, as far as somebody looked."""

    says: str
    """All that is known, for behind the candidate's name."""
    looked_for: tuple[Literal["id", "content", "day", "file"], ...]
    """By what cases were looked for among what it was trained on; nobody checked where empty."""
    seen: int | None = Field(ge=0)
    """Labelled cases that were found there; null where nobody checked."""
    left_out: int | None = Field(ge=0)
    """Those of them that are not in the evaluation set; null where nobody checked."""

    @classmethod
    def known_from(cls, facts: TrainingFacts | None) -> Self:
        """Say what is known; None where the audit does not say what it was trained on."""
        looks: Any = () if facts is None else tuple(facts.looks)
        counts = (facts.found, facts.left_out) if facts is not None and looks else (None, None)
        return cls(
            says=format_training(facts), looked_for=looks, seen=counts[0], left_out=counts[1]
        )


class UnevaluatedSlice(StrictModel):
    """A slice without a result of this version."""

    geography: str
    segment: str
    state: str
    error: str | None


class Slices(StrictModel):
    """How many slices there should be, and which have no result of this version."""

    expected: int = Field(ge=0)
    not_current: tuple[UnevaluatedSlice, ...]


@dataclass(frozen=True, kw_only=True)
class EvaluationSetSummary:
    """The frozen labelled snapshot that everything was measured on.

    Attributes
    ----------
    digest
        Its content version.
    first_day, last_day
        The audit's window, both ends included; None where the data are of no day.
    days
        How many days of the window are in it.
    rows
        Labelled rows, which are the cases that were measured.
    rows_without_label
        Valid rows that were left out for want of a label.
    rows_of_weight_zero
        Labelled rows that were left out since they count for nothing.
    rows_seen_in_training
        Labelled rows that were left out since a candidate saw them in training.
    cluster, weight
        The columns by which its cases are clustered and weighted; None where they are not.
    """

    __pydantic_config__ = STRICT

    digest: str
    first_day: date | None
    last_day: date | None
    days: int
    rows: int
    rows_without_label: int
    rows_of_weight_zero: int
    rows_seen_in_training: int
    cluster: str | None
    weight: str | None

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What intervals take for granted of its cases, in sentences without their full stops."""
        return assumptions_of(days=self.days, cluster=self.cluster, weight=self.weight)

    @property
    def cases_independent(self) -> bool:
        """Whether they take all cases as independent, though these are of several days."""
        unclustered = assumptions_of(days=self.days, cluster=None, weight=None)
        return self.cluster is None and bool(unclustered)


class EvidenceItem(StrictModel):
    """One stored version that the certificate rests on: all its files, and what it rests on."""

    asset: str
    partition: str | None
    identity: str
    content_version: str
    folder: str
    """Where it lies, below the evidence store's address."""
    record: StoredFile
    """Its `record.json`, so that provenance cannot be changed either."""
    files: dict[str, StoredFile]
    notes: dict[str, StoredFile]
    """Other files in its folder: notes of earlier failures to compute it."""
    upstream: tuple[Upstream, ...]
    code_version: str
    run_id: str
    created_at: AwareDatetime

    @property
    def all_files(self) -> dict[str, StoredFile]:
        """Every file of its folder, its record among them."""
        return {RECORD: self.record, **self.files, **self.notes}


class SharedEvidence(StrictModel):
    """What all certificates of one issue rest on alike, in a file of its own.

    It has all evidence that no certificate of a single candidate names, the baseline's among it.
    """

    format: Literal["evaluator/shared-evidence/1"] = "evaluator/shared-evidence/1"
    evidence: tuple[EvidenceItem, ...]


class NamedEvidence(StrictModel):
    """Which of the evidence is meant: the version, and its one file."""

    asset: str
    identity: str
    sha256: Sha256


class Code(StrictModel):
    """The code that made it."""

    version: str
    revision: str | None
    """The revision in its repository; null where it does not run from one."""
    has_changes: bool | None
    """Whether files differed from that revision; null where nobody can tell."""


class Validity(StrictModel):
    """From when until when, and what ends it before."""

    valid_from: AwareDatetime
    valid_until: AwareDatetime
    void_when: tuple[str, ...] = Field(min_length=1)


class LedgerHead(StrictModel):
    """The ledger's last entry at some moment; sequence 0 and a digest of zeros before the first."""

    sequence: int = Field(ge=0)
    digest: Sha256


class Commitment(StrictModel):
    """What binds each case, so that single cases can be shown later."""

    root: Sha256
    """The root of the Merkle tree (RFC 6962) over the salted digests of all cases."""
    cases: int = Field(ge=0)


class Predicate(StrictModel):
    """What was judged, what came out, and what it rests on."""

    audit: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    spec: NamedEvidence
    """The audit's declaration."""
    shared: NamedEvidence | SkipJsonSchema[None]
    """The list of the evidence that all certificates of the issue rest on alike."""
    # None where a certificate of format 1 is read, which lists everything itself.
    candidate: CandidateOutcome
    training: Training | SkipJsonSchema[None]
    """Whether the candidate saw the cases in training."""
    # None where a certificate of format 1 is read, which is silent.
    evaluation_set: EvaluationSetSummary
    assumptions: tuple[str, ...]
    """What all intervals take for granted of the cases, in sentences without their full stops."""
    gates: tuple[Verdict, ...]
    waivers: tuple[Sha256, ...] | None
    """The ledger's entries, by the digests of their files, of the waivers in force that its outcome
    heeds; null in a certificate of format 1, which heeds all that the ledger had then."""
    headline: tuple[Headline, ...]
    slices: Slices
    rests_on: tuple[Upstream, ...] = Field(min_length=1)
    """Where the evidence begins; all of it is reached from here."""
    evidence: tuple[EvidenceItem, ...] = Field(min_length=1)
    """The candidate's own, and the list of what is shared."""
    commitment: Commitment | SkipJsonSchema[None]
    """What binds each case."""
    # None where a certificate of format 1 is read, which binds none.
    code: Code
    packages: dict[str, str]
    seeds: dict[str, int]
    requested_by: str = Field(min_length=1)
    run_id: str
    created_at: AwareDatetime
    validity: Validity
    ledger: LedgerHead
    """The ledger before this certificate was entered."""


class Statement(StrictModel):
    """A certificate's content."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: tuple[Subject, ...] = Field(min_length=1)
    predicate_type: Literal["urn:evaluator:certificate:v2"] = Field(alias="predicateType")
    predicate: Predicate


def parse_statement(content: bytes, source: str) -> Statement:
    """Read a statement, strictly.

    Parameters
    ----------
    content
        Its canonical JSON.
    source
        Where it comes from, for messages.

    Returns
    -------
    Statement
        `Statement.to_bytes` gives the bytes that were signed again, but for one of format 1, which
        is read as what it says in format 2.

    Raises
    ------
    StatementError
        Where it is not canonical JSON, or not of this form; it names the first key.
    """
    in_format_2 = as_format_2(content)
    try:
        statement = Statement.parse(in_format_2)
    except ValueError as error:
        raise _refused(str(error), source) from error
    if in_format_2 is content:
        if statement.predicate.candidate.qualified_by is None:
            raise _refused("`predicate.candidate.qualified_by` is not said", source)
        for name in ("shared", "training", "commitment"):
            if getattr(statement.predicate, name) is None:
                raise _refused(f"`predicate.{name}` is not said", source)
    return statement


def _refused(what: str, source: str) -> StatementError:
    fix = "get the certificate again from whoever issued it"
    return StatementError(what, culprit=source, fix=fix)


def json_schema() -> dict[str, Any]:
    """Give the statement's JSON schema (draft 2020-12), as `certificate_schema.json` holds it."""
    schema = Statement.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": PREDICATE_TYPE,
        **schema,
    }
