"""A certificate checked by a stranger: offline, on a copied folder, with nothing but a public key.

First the signature, then the statement's form, every file's digest, the lineage, the ledger, and,
where all that holds, figures and verdicts computed once more from the stored predictions.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from evaluator import __version__
from evaluator.certification._certificate_state import counting, state_of
from evaluator.certification._commitment import Shown, check_openings
from evaluator.certification._declaration import SPEC_FILE, narrowed_to, read_declared
from evaluator.certification._entered import check_ledger
from evaluator.certification._entries import (
    ChainedEntry,
)
from evaluator.certification._phrases import format_list
from evaluator.certification._publications import check_published, newest_publications
from evaluator.certification._recomputation import recompute, recompute_all
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
from evaluator.certification._verification_report import (
    SignatureWord,
    VerificationReport,
    all_found,
    caught,
)
from evaluator.errors import EvidenceError, UsageError
from evaluator.evaluation import SCORE_VERSION
from evaluator.evidence import (
    Files,
    StoredFile,
    VersionKey,
    digest_of_bytes,
    key_of,
)
from evaluator.scorecard import Asset, model_of

Recompute = Callable[[StoredEvidence, Sequence[ChainedEntry]], Iterable[Discrepancy]]

_SIGNATURE_CAUTIONS: dict[SignatureWord, str] = {
    "unsigned": "UNSIGNED: nothing proves who issued this certificate, or that it was not changed"
    " since",
    "not checked": "SIGNATURE NOT CHECKED: no public key was given, so nothing proves who issued"
    " it",
}


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
    chain, found = check_ledger(statement, evidence, digest, asked.trusted, asked.known_head)
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
