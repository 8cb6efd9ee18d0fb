"""A certificate checked by a stranger: offline, on a copied folder, with nothing but a public key.

First the signature, then the statement's form, every file's digest, the lineage, the ledger, and,
where all that holds, figures and verdicts computed once more from the stored predictions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from evaluator import __version__
from evaluator.certification._certificate_state import CertificateState, counting, state_of
from evaluator.certification._commitment import Shown, check_openings
from evaluator.certification._entries import (
    CertificateBody,
    ChainedEntry,
    LedgerEntry,
    PublicationBody,
)
from evaluator.certification._ledger import (
    Chain,
    check_contains,
    entry_name,
    ledger_folder,
    read_settled_chain,
)
from evaluator.certification._phrases import format_list
from evaluator.certification._publications import check_published, newest_publications
from evaluator.certification._recomputation import (
    SPEC_FILE,
    narrowed_to,
    read_declared,
    recompute,
    recompute_all,
)
from evaluator.certification._redaction import check_withheld, unseen_of
from evaluator.certification._signatures import (
    IN_TOTO,
    Envelope,
    EnvelopeError,
    parse_envelope,
)
from evaluator.certification._statement import (
    ARTIFACT_DIGEST,
    CONTENT_DIGEST,
    FILE_DIGEST,
    Discrepancy,
    LedgerHead,
    Statement,
    StatementError,
    parse_statement,
)
from evaluator.certification._stored_evidence import StoredEvidence, Withheld, candidate_assets
from evaluator.certification._trust import TrustedKeys
from evaluator.errors import EvidenceError, UsageError
from evaluator.evaluation import SCORE_VERSION
from evaluator.evidence import (
    RECORD,
    Files,
    Record,
    StoredFile,
    VersionKey,
    digest_of_bytes,
    key_of,
)
from evaluator.scorecard import Asset, model_of

SignatureWord = Literal["valid", "invalid", "unsigned", "not checked"]
Recompute = Callable[[StoredEvidence, Sequence[ChainedEntry]], Iterable[Discrepancy]]

_SIGNATURE_CAUTIONS: dict[SignatureWord, str] = {
    "unsigned": "UNSIGNED: nothing proves who issued this certificate, or that it was not changed"
    " since",
    "not checked": "SIGNATURE NOT CHECKED: no public key was given, so nothing proves who issued"
    " it",
}


# What is computed again, and so may come out otherwise where the calculation has changed since.
_COMPUTED = {"figures", "verdicts"}


@dataclass(frozen=True, kw_only=True)
class VerificationReport:
    """What checking a certificate found.

    Attributes
    ----------
    certificate
        SHA-256 of the certificate's file.
    statement
        What it says; None where that cannot be read.
    signature
        ``valid``: made by a trusted issuer; ``invalid``; ``unsigned``; ``not checked``: no key.
    key_id
        Of the issuer's key that signed it; None where no trusted one did.
    state
        What the ledger says of it now; None where there was nothing to ask.
    ledger
        The ledger's head now. Keep it: a later check against it finds a ledger that was cut.
    files, entries
        How many files and ledger entries were held against their digests.
    problems
        Everything that is not as the certificate says.
    cautions
        What is not wrong, and what a reader must know.
    other_calculation
        Whether its figures came from another version of the calculation than the one that
        computed them again.
    revoked_keys
        The ids of the trusted keys that the ledger revokes.
    published
        What the ledger says of the page and the documents that show it, by asset.
    not_checked
        What of the evidence this check left to others, or could not see.
    opened
        How many cases were shown, and what that is worth; None where none were asked for.
    """

    certificate: str
    statement: Statement | None
    signature: SignatureWord
    key_id: str | None = None
    state: CertificateState | None
    ledger: LedgerHead | None
    files: int
    entries: int
    problems: tuple[Discrepancy, ...]
    cautions: tuple[str, ...]
    other_calculation: bool = False
    revoked_keys: frozenset[str] = frozenset()
    published: Mapping[str, PublicationBody] = field(default_factory=dict)
    not_checked: tuple[str, ...] = ()
    opened: str | None = None

    @property
    def is_intact(self) -> bool:
        """Whether everything is as the certificate says; it says nothing about who issued it."""
        return not self.problems and self.statement is not None

    @property
    def is_verified(self) -> bool:
        """Whether it is intact, signed by a trusted issuer, and stands: the only full success."""
        stands = self.state is not None and self.state.stands
        return self.is_intact and self.signature == "valid" and stands

    @property
    def result(self) -> str:
        """The result in a few words."""
        if not self.is_intact:
            only_figures = all(problem.check in _COMPUTED for problem in self.problems)
            is_explained = self.other_calculation and only_figures and self.statement is not None
            return "NOT REPRODUCED" if is_explained else "FAILED"
        if self.state is None or not self.state.stands:
            return f"DOES NOT STAND ({self.state.state if self.state else 'unknown'})"
        if self.signature == "valid":
            return "VERIFIED"
        return f"INTACT, BUT {'UNSIGNED' if self.signature == 'unsigned' else 'NOT PROVEN'}"

    def as_record(self) -> dict[str, Any]:
        """Give the report as plain JSON values, without the statement itself."""
        return {
            "result": self.result,
            "is_verified": self.is_verified,
            "certificate": self.certificate,
            "candidate": self.statement and self.statement.predicate.candidate.name,
            "outcome": self.statement and self.statement.predicate.candidate.outcome,
            "qualified_by": self.statement
            and self.statement.predicate.candidate.model_dump(mode="json")["qualified_by"],
            "signature": self.signature,
            "key_id": self.key_id,
            "state": self.state and self.state.state,
            "state_reason": self.state and self.state.reason,
            "ledger": self.ledger and self.ledger.model_dump(),
            "files": self.files,
            "entries": self.entries,
            "problems": [problem._asdict() for problem in self.problems],
            "cautions": list(self.cautions),
            "not_checked": list(self.not_checked),
            "opened": self.opened,
        }

    def to_lines(self) -> list[str]:
        """Write it as lines of text."""
        lines = [f"{self.result}: certificate {self.certificate}"]
        if self.statement is not None:
            predicate = self.statement.predicate
            judged = predicate.candidate
            lines += [
                f"  audit       {predicate.audit}",
                f"  candidate   {judged.name}: {judged.in_words} ({judged.reason})",
                *(f"  with        {words}" for words in judged.named),
                f"  asked for   by {predicate.requested_by}, {predicate.created_at.isoformat()}",
                *(f"  assumes     {words}" for words in predicate.assumptions),
            ]
        by = "" if self.key_id is None else f", of the key {self.key_id}"
        lines.append(f"  signature   {self.signature}{by}")
        if self.state is not None:
            lines.append(f"  state       {self.state.state}: {self.state.reason}")
            lines += [f"  sign-off    {e.author}: {e.reason}" for e in self.state.sign_offs]
        if self.ledger is not None:
            lines.append(f"  ledger      {self.ledger.sequence} {self.ledger.digest}")
        lines.append(f"  checked     {self.files} files, {self.entries} ledger entries")
        lines += [] if self.opened is None else [f"  opened      {self.opened}"]
        lines += [f"  not checked {words}" for words in self.not_checked]
        lines += [f"  CAUTION     {caution}" for caution in self.cautions]
        lines += [f"  PROBLEM     {problem}" for problem in self.problems]
        return lines


def verify(
    certificate: Path | bytes,
    evidence_url: str,
    *,
    trusted: TrustedKeys | None = None,
    now: datetime,
    known_head: LedgerHead | None = None,
    withheld: Withheld | None = None,
    shown: Shown | None = None,
    recompute_again: Recompute = recompute,
) -> VerificationReport:
    """Check a certificate against the evidence that it names.

    Parameters
    ----------
    certificate
        The certificate's file, or its bytes.
    evidence_url
        The evidence folder, or a copy of it: a path or any fsspec URL.
    trusted
        An issuer among them must have signed it: with keys, an unsigned certificate is a problem,
        and what of the ledger none of them signed does not count.
    now
        The moment that validity is asked about, with its time zone.
    known_head
        A ledger's head that was kept from an earlier check.
    withheld
        The files that a redacted bundle does not hold, and what stands for them.
    shown
        Cases that were opened on demand.
    recompute_again
        Computes measurements and verdicts again from the stored predictions, and yields what
        differs.

    Returns
    -------
    VerificationReport
        Damage of any kind is a problem in the report, never an exception.

    Raises
    ------
    UsageError
        Where there is no such certificate's file.
    """
    content = certificate if isinstance(certificate, bytes) else _read(certificate)
    source = "certificate" if isinstance(certificate, bytes) else certificate.name
    asked = _Asked(trusted, now, known_head, withheld)
    checked = _check_stored(content, source, evidence_url, asked, {})
    evidence = checked.evidence
    if evidence is None or checked.is_damaged:
        return checked.with_recomputed(())
    found = caught(recompute_again(evidence, checked.entries))
    opened = None
    if shown is not None:
        found += caught(check_openings(shown, evidence, checked.report.certificate))
        opened = shown.in_words(evidence.predicate)
    return replace(checked.with_recomputed(found), not_checked=checked.unseen, opened=opened)


def verify_all(
    certificate: Path | bytes,
    evidence_url: str,
    *,
    trusted: TrustedKeys | None = None,
    now: datetime,
    known_head: LedgerHead | None = None,
) -> list[VerificationReport]:
    """Check all certificates that were issued with one, each as `verify` does, and what joins them.

    Every file is read once, and everything is computed once: all candidates, all pairs and ranks.
    What the scorecard rests on must be named by one of them.

    Parameters
    ----------
    certificate, evidence_url, trusted, now, known_head
        As for `verify`; the evidence is not an exported folder, which is of one certificate.

    Returns
    -------
    list[VerificationReport]
        One a certificate, the given one first. What is wrong with what they share stands in each.

    Raises
    ------
    UsageError
        Where there is no such certificate's file.
    """
    content = certificate if isinstance(certificate, bytes) else _read(certificate)
    asked = _Asked(trusted, now, known_head)
    digests: dict[str, StoredFile | None] = {}
    first = _check_stored(content, "certificate", evidence_url, asked, digests)
    checked, gone = [first], []
    for path in first.issued_with:
        try:
            found = Files(evidence_url, follow_links=False).read(path)
        except EvidenceError as error:
            gone.append(Discrepancy("evidence", path, error.what))
            continue
        if found is None:
            gone.append(Discrepancy("evidence", path, "it was issued with this one, and is gone"))
        elif digest_of_bytes(found) != first.report.certificate:
            checked.append(_check_stored(found, path, evidence_url, asked, digests))
    together = _recompute_together(evidence_url, checked, digests)
    return [
        one.with_recomputed([*gone, *found]) for one, found in zip(checked, together, strict=True)
    ]


class _Asked(NamedTuple):
    """By what a certificate is checked."""

    trusted: TrustedKeys | None
    now: datetime
    known_head: LedgerHead | None
    withheld: Withheld | None = None


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A certificate of which all is checked but what is computed."""

    report: VerificationReport
    evidence: StoredEvidence | None = None
    """None where the certificate or its list of what is shared cannot be read."""
    entries: Sequence[ChainedEntry] = ()
    """The ledger as it was when it was made."""
    issued_with: Sequence[str] = ()
    """The files of the certificates that were entered from the same issue."""
    others: Sequence[str] = ()
    """The candidates whom it is not about, and whose evidence it need not name."""

    @property
    def is_damaged(self) -> bool:
        """Whether there is nothing to compute from."""
        checks = {problem.check for problem in self.report.problems}
        return self.evidence is None or bool(checks & {"evidence", "lineage", "statement"})

    @property
    def unseen(self) -> tuple[str, ...]:
        """What checking this certificate alone leaves open."""
        found = [] if self.evidence is None else unseen_of(self.evidence)
        if self.others:
            found.append(
                f"what the scorecard says of other candidates ({format_list(list(self.others))}),"
                " and its ranks, was held against its digest and not computed again"
                + (": `--all` does that" if not found else "")
            )
        return tuple(found)

    def with_recomputed(self, found: Sequence[Discrepancy]) -> VerificationReport:
        """Add what came out otherwise."""
        report = self.report
        if report.statement is None:
            return report
        if self.evidence is None or self.is_damaged:
            words = "figures and verdicts were not recomputed, since the evidence is damaged"
            return replace(
                report, problems=(*report.problems, *found), cautions=(*report.cautions, words)
            )
        other = any(
            item.asset == Asset.SCORECARD and item.code_version != SCORE_VERSION
            for item in self.evidence.items
        )
        more = (_made_otherwise(report.statement),) if found and other else ()
        return replace(
            report,
            problems=(*report.problems, *found),
            cautions=(*report.cautions, *more),
            other_calculation=other,
        )


def _check_stored(
    content: bytes,
    source: str,
    evidence_url: str,
    asked: _Asked,
    digests: dict[str, StoredFile | None],
) -> _Checked:
    """Check signature, statement, files, lineage and ledger."""
    digest = digest_of_bytes(content)
    try:
        envelope = parse_envelope(content, source)
        signature, key_id, problems = _check_signature(envelope, asked.trusted, source)
        statement = parse_statement(envelope.payload, source)
    except (EnvelopeError, StatementError) as error:
        check = "signature" if isinstance(error, EnvelopeError) else "statement"
        report = VerificationReport(
            certificate=digest,
            statement=None,
            signature="invalid",
            state=None,
            ledger=None,
            files=0,
            entries=0,
            problems=(Discrepancy(check, source, error.what),),
            cautions=(),
        )
        return _Checked(report=report)
    predicate = statement.predicate
    evidence = StoredEvidence(evidence_url, predicate, digests=digests, withheld=asked.withheld)
    others: Sequence[str] = ()
    is_readable = True
    try:
        others = _others(evidence)
    except EvidenceError as error:
        is_readable = False
        problems.append(Discrepancy("evidence", str(error.culprit), error.what))
        # So that it is said of the files that the certificate names itself what they are.
        alone = predicate.model_copy(update={"shared": None})
        evidence = StoredEvidence(evidence_url, alone, digests=digests, withheld=asked.withheld)
    if is_readable:
        problems += _check_claims(statement, evidence, source)
        problems += all_found(check_withheld(evidence))
    problems += all_found(evidence.check_files())
    if is_readable:
        problems += evidence.check_lineage({a for one in others for a in candidate_assets(one)})
    chain, found = _check_ledger(statement, evidence, digest, asked.trusted, asked.known_head)
    problems += found
    entered = [
        (chained.entry.subject, chained.entry.certificate_body().path)
        for chained in chain.entries
        if chained.entry.kind == "certificate" and not chained.void
    ]
    issues = {path.rpartition("/")[0] for subject, path in entered if subject == digest}
    published = newest_publications((c.entry for c in counting(chain.entries)), issues)
    problems += all_found(check_published(evidence, published))
    cautions = [*chain.cautions]
    if signature in _SIGNATURE_CAUTIONS:
        cautions.insert(0, _SIGNATURE_CAUTIONS[signature])
    made_with, here = predicate.code.version, __version__
    if made_with != here:
        cautions.append(f"it was made with evaluator {made_with} and is checked with {here}")
    report = VerificationReport(
        certificate=digest,
        statement=statement,
        signature=signature,
        key_id=key_id,
        state=state_of(chain.entries, digest, asked.now),
        ledger=chain.head,
        files=sum(1 for _ in evidence.paths()),
        entries=len(chain.entries),
        problems=tuple(problems),
        cautions=tuple(cautions),
        revoked_keys=chain.revoked,
        published=published,
    )
    return _Checked(
        report=report,
        evidence=evidence if is_readable else None,
        entries=[c for c in chain.entries if c.entry.sequence <= predicate.ledger.sequence],
        issued_with=[path for _, path in entered if path.rpartition("/")[0] in issues],
        others=others,
    )


def _others(evidence: StoredEvidence) -> list[str]:
    """Name the candidates of whom a certificate names no evidence itself.

    Raises EvidenceError where its list of what is shared, or the declaration, cannot be read.
    """
    if evidence.predicate.shared is None:
        return []
    try:
        spec = read_declared(evidence)
    except ValueError as error:
        raise EvidenceError(
            "it is no declaration that this program reads",
            culprit=evidence.root(Asset.AUDIT_SPEC).folder,
            fix="check it with the version that the certificate names",
        ) from error
    mine = narrowed_to(spec, evidence.predicate.candidate.name)
    return [candidate.name for candidate in spec.candidates if candidate.name not in mine]


def _recompute_together(
    evidence_url: str, checked: Sequence[_Checked], digests: dict[str, StoredFile | None]
) -> list[list[Discrepancy]]:
    """Compute once what the certificates of an issue say; give what is found of each."""
    damaged = [one for one in checked if one.is_damaged]
    if damaged:
        what = (
            "figures and verdicts were not recomputed, since a certificate of the same issue or its"
            " evidence is damaged"
        )
        return [
            [] if one in damaged else [Discrepancy("figures", damaged[0].report.certificate, what)]
            for one in checked
        ]
    certificates = {
        one.report.certificate: (one.evidence.predicate, one.entries)
        for one in checked
        if one.evidence is not None
    }
    items = {key_of(item): item for one in checked if one.evidence for item in one.evidence.items}
    (first, _), *others = certificates.values()
    named = {key_of(item) for item in StoredEvidence(evidence_url, first).items}
    beside = [item for key, item in items.items() if key not in named]
    joint = StoredEvidence(evidence_url, first, beside, digests=digests)
    shared = list(joint.check_lineage())
    for predicate, _ in others:
        if (predicate.rests_on, predicate.shared) != (first.rests_on, first.shared):
            what = f"{predicate.candidate.name} does not rest on what the others rest on"
            shared.append(Discrepancy("lineage", "certificate", what))
    own: dict[str, list[Discrepancy]] = {}
    shared += caught(recompute_all(joint, certificates, own))
    return [[*shared, *own.get(one.report.certificate, ())] for one in checked]


def _made_otherwise(statement: Statement) -> str:
    """Say with what program figures can be compared that this one computes otherwise."""
    code = statement.predicate.code
    revision = "" if code.revision is None else f" at revision {code.revision}"
    return (
        "its figures came from another version of the calculation than this program has, which may"
        " be why they differ; nothing here shows that it is. Check it with the program that made"
        f" it: evaluator {code.version}{revision}"
    )


def _read(certificate: Path) -> bytes:
    try:
        return certificate.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the certificate cannot be read ({error.strerror})",
            culprit=str(certificate),
            fix="name a certificate's file, which ends in .dsse.json",
        ) from error


def _check_signature(
    envelope: Envelope, trusted: TrustedKeys | None, source: str
) -> tuple[SignatureWord, str | None, list[Discrepancy]]:
    problems = []
    if envelope.payload_type != IN_TOTO:
        what = f"its payload is {envelope.payload_type!r}, not {IN_TOTO!r}"
        problems.append(Discrepancy("signature", source, what))
    if trusted is None:
        return ("not checked" if envelope.is_signed else "unsigned"), None, problems
    issuer = trusted.issuer_of(envelope)
    if issuer is not None:
        return "valid", issuer.key_id, problems
    if not envelope.is_signed:
        problems.append(Discrepancy("signature", source, "it is unsigned, and a key was given"))
        return "unsigned", None, problems
    keys = ", ".join(trusted.issuers()) or "none"
    what = f"no signature is of a trusted issuer's key ({keys}), over exactly this statement"
    return "invalid", None, [*problems, Discrepancy("signature", source, what)]


def _check_claims(statement: Statement, evidence: StoredEvidence, source: str) -> list[Discrepancy]:
    """Make sure that what the statement says twice, it says the same."""
    predicate = statement.predicate
    problems = []
    subjects = {subject.name: subject.digest for subject in statement.subject}
    artifact = subjects.pop(f"{predicate.audit}/{model_of(predicate.candidate.name)}", {})
    measured = subjects.pop(f"{predicate.audit}/{Asset.EVALUATION_SET}", {})
    named = artifact.get(FILE_DIGEST) or artifact.get(ARTIFACT_DIGEST)
    if named != predicate.candidate.artifact_digest:
        problems.append("the subject is not the artifact that was judged")
    if named is None and predicate.candidate.outcome == "certified":
        problems.append("it certifies a candidate whose artifact nobody knows")
    if measured.get(CONTENT_DIGEST) != predicate.evaluation_set.digest:
        problems.append("the subject is not the evaluation set that was measured")
    if not any(
        item.asset == Asset.EVALUATION_SET
        and item.content_version == measured.get(CONTENT_DIGEST)
        and measured.get(FILE_DIGEST) in {stored.sha256 for stored in item.files.values()}
        for item in evidence.items
    ):
        problems.append("the evaluation set that it is about is not among the evidence")
    if subjects or len(statement.subject) > len({s.name for s in statement.subject}):
        problems.append("it has subjects beside the candidate's artifact and the evaluation set")
    spec = evidence.item(VersionKey(Asset.AUDIT_SPEC, None, predicate.spec.identity))
    if spec is None or getattr(spec.files.get(SPEC_FILE), "sha256", None) != predicate.spec.sha256:
        problems.append("the audit's declaration is not among the evidence")
    return [Discrepancy("statement", source, what) for what in problems]


def _check_ledger(
    statement: Statement,
    evidence: StoredEvidence,
    digest: str,
    trusted: TrustedKeys | None,
    known_head: LedgerHead | None,
) -> tuple[Chain, list[Discrepancy]]:
    predicate = statement.predicate
    folder = ledger_folder(predicate.audit)
    try:
        chain = read_settled_chain(
            evidence.files, predicate.audit, trusted=trusted, known_head=known_head
        )
    except EvidenceError as error:
        # A link: what it leads to is not read.
        found = Discrepancy("ledger", str(error.culprit), error.what)
        return Chain((), (found,), (), None), [found]
    # A signed certificate carries the head of its time: a ledger turned back behind it is found.
    problems = [*chain.problems, *check_contains(chain.entries, predicate.ledger, folder)]
    entered = [
        chained.entry
        for chained in chain.entries
        if chained.entry.subject == digest and chained.entry.kind == "certificate"
    ]
    if not entered:
        what = f"it has no entry for this certificate ({digest}): cut, or never entered"
        problems.append(Discrepancy("ledger", folder, what))
    for entry in entered:
        path = f"{folder}/{entry_name(entry.sequence)}"
        body = entry.certificate_body()
        if ledger_claims(body) != statement_claims(statement):
            what = "what it says of the certificate is not what the certificate says"
            problems.append(Discrepancy("ledger", path, what))
        if entry.sequence <= predicate.ledger.sequence:
            problems.append(Discrepancy("ledger", path, "it is older than the certificate"))
        problems += all_found(_check_stored_copy(evidence, entry, body, digest))
    return chain, problems


def ledger_claims(body: CertificateBody) -> dict[str, Any]:
    """Give what an entry says of its certificate, as `statement_claims` has it."""
    return body.model_dump(exclude={"path", "record_sha256"})


def statement_claims(statement: Statement) -> dict[str, Any]:
    """Give what the ledger has to say of a certificate."""
    predicate = statement.predicate
    return {
        "candidate": predicate.candidate.name,
        "outcome": predicate.candidate.outcome,
        "artifact_digest": predicate.candidate.artifact_digest,
        "evaluation_set": predicate.evaluation_set.digest,
        "valid_from": predicate.validity.valid_from,
        "valid_until": predicate.validity.valid_until,
    }


def _check_stored_copy(
    evidence: StoredEvidence, entry: LedgerEntry, body: CertificateBody, digest: str
) -> Iterator[Discrepancy]:
    """Look at the version that the certificate was stored with, where the folder has it."""
    folder, _, name = body.path.rpartition("/")
    if not evidence.files.names(folder):
        return  # an export holds the certificate beside the evidence
    content = evidence.files.read(f"{folder}/{RECORD}")
    if content is None or digest_of_bytes(content) != body.record_sha256:
        what = f"it is not the record that ledger entry {entry.sequence} names"
        yield Discrepancy("evidence", f"{folder}/{RECORD}", what)
        return
    try:
        record = Record.model_validate_json(content)
    except ValidationError:
        yield Discrepancy("evidence", f"{folder}/{RECORD}", "it is no provenance record")
        return
    stored = record.files.get(name)
    if stored is None or stored.sha256 != digest:
        yield Discrepancy("evidence", body.path, "the certificate that is stored here is another")
        return
    listed = {RECORD: StoredFile(sha256=body.record_sha256, size=len(content)), **record.files}
    for problem in evidence.check_folder(folder, listed):
        # A note of an earlier failure to issue it may lie here too.
        if not problem.file.startswith(f"{folder}/failure."):
            yield problem


def all_found(found: Iterator[Discrepancy]) -> list[Discrepancy]:
    """List what a check finds; a link or a path that leads out ends it, and is a finding."""
    problems = []
    try:
        for problem in found:
            problems.append(problem)  # noqa: PERF402 - a list made at once would be lost
    except EvidenceError as error:
        problems.append(Discrepancy("evidence", str(error.culprit), error.what))
    return problems


def caught(found: Iterable[Discrepancy]) -> list[Discrepancy]:
    """List what computing again finds; that it cannot be done is a finding too."""
    problems = []
    try:
        # One by one, so that what was found before a fault is reported too.
        for problem in found:
            problems.append(problem)  # noqa: PERF402 - a list made at once would be lost
    except Exception as error:  # noqa: BLE001 - whatever odd evidence makes it raise is a finding, never a pass
        what = f"figures and verdicts cannot be recomputed: {type(error).__name__}: {error}"
        problems.append(Discrepancy("figures", "evidence", what))
    return problems
