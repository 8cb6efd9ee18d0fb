"""The commands about certificates: make a key, check one, hand it on, decide, require one."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from evaluator.errors import UsageError
from evaluator.scorecard import Asset
from evaluator.verifier import Exit, Key, verify_command

if TYPE_CHECKING:
    from evaluator.certification import EntryKind, PublicKey, Statement
    from evaluator.orchestration import AuditState

Certificate = Annotated[
    str,
    typer.Argument(
        metavar="CERTIFICATE", help="Its .dsse.json file, or AUDIT/CANDIDATE for the newest one."
    ),
]
Author = Annotated[str, typer.Option("--by", help="Who says so: a name or a role.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in words.")]
EVIDENCE_HELP = "The evidence folder or URL, by default the platform's own."
Evidence = Annotated[str | None, typer.Option("--evidence", help=EVIDENCE_HELP)]

commands = typer.Typer()
keys = typer.Typer(no_args_is_help=True)
commands.add_typer(keys, name="keys")


@keys.callback()
def _keys() -> None:
    """Make the keys that certificates are signed with."""


@keys.command(epilog="Example: evaluator keys create audit --folder ~/keys")
def create(
    name: Annotated[str, typer.Argument(help="What the two files are called.")],
    folder: Annotated[Path, typer.Option(help="Where they shall lie.")] = Path(),
) -> None:
    """Make an Ed25519 key: NAME.private.pem, for you alone, and NAME.public.pem to give away.

    Certificates are signed where EVALUATOR_SIGNING_KEY_FILE names the private one.
    """
    from evaluator.certification import create_key

    files = create_key(folder, name)
    typer.echo(f"Private key: {files.private} (keep it; export EVALUATOR_SIGNING_KEY_FILE=...)")
    typer.echo(f"Public key:  {files.public}")
    typer.echo(f"Key id:      {files.key_id}")


def _to_verify(certificate: str, evidence: str | None) -> tuple[bytes, str]:
    found = _find(certificate, evidence)
    return found.content, found.evidence


commands.command("verify", epilog="Example: evaluator verify flights/gb --key audit.public.pem")(
    verify_command(
        _to_verify,
        certificate_help="A .dsse.json file, an exported folder, or AUDIT/CANDIDATE.",
        evidence_help=EVIDENCE_HELP,
    )
)


@commands.command(epilog="Example: evaluator export flights/random_forest for-the-regulator")
def export(
    certificate: Certificate,
    to: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder to make.")],
    *,
    evidence: Evidence = None,
    key: Key = None,
) -> None:
    """Make a folder for a stranger: certificate, public key, evidence, report, how to check it."""
    from evaluator.certification import export_bundle, load_public_key, signing_key_from_environment

    found = _find(certificate, evidence)
    audit = found.statement().predicate.audit
    public_key: PublicKey | None = None
    if key is not None:
        public_key = load_public_key(key)
    elif (signing_key := signing_key_from_environment(os.environ)) is not None:
        public_key = signing_key.public
    folder = export_bundle(
        found.content,
        found.evidence,
        to,
        public_key=public_key,
        report=_page(audit, found.evidence),
    )
    typer.echo(f"The certificate and all that it rests on are in {folder}; README.txt says more.")


@commands.command(
    "sign-off", epilog="Example: evaluator sign-off flights/gb --by Ada --reason 'read it'"
)
def sign_off(certificate: Certificate, *, by: Author, reason: Reason) -> None:
    """Enter that a person stands behind a certificate."""
    _enter("sign_off", certificate, by, reason, {})


@commands.command(
    epilog="Example: evaluator waive flights/gb --gate '...' --until 2026-12-31 --by Ada ..."
)
def waive(
    certificate: Certificate,
    *,
    gate: Annotated[str, typer.Option(help="The gate, in the certificate's words.")],
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The waiver's last day.")],
    by: Author,
    reason: Reason,
) -> None:
    """Enter that a person waives a gate for a while; the verdict stays what it is."""
    statement = _find(certificate, None).statement()
    gates = [verdict.gate for verdict in statement.predicate.gates]
    if gate not in gates:
        raise UsageError(
            "the certificate has no such gate",
            culprit=f"--gate {gate!r}",
            fix="use one of: " + "; ".join(dict.fromkeys(gates)),
        )
    end_of_day = until.replace(hour=23, minute=59, second=59, tzinfo=UTC)
    _enter("waiver", certificate, by, reason, {"gate": gate, "until": end_of_day})


@commands.command(
    epilog="Example: evaluator revoke flights/gb --by Ada --reason 'labels were wrong'"
)
def revoke(certificate: Certificate, *, by: Author, reason: Reason) -> None:
    """Enter that a certificate no longer stands, and take its promotion back."""
    from evaluator.orchestration import demote

    found = _enter("revocation", certificate, by, reason, {})
    state = _state(found.statement().predicate.audit)
    for line in demote(state.home, state.spec, found.digest()):
        typer.echo(line)


@commands.command(
    epilog="Example: evaluator correct flights/gb 7 --by Ada --reason 'the wrong one'"
)
def correct(
    certificate: Certificate,
    entry: Annotated[int, typer.Argument(help="The number of the entry that no longer counts.")],
    *,
    by: Author,
    reason: Reason,
) -> None:
    """Enter that an earlier sign-off, waiver or revocation no longer counts."""
    _enter("correction", certificate, by, reason, {"corrects": entry})


@commands.command(epilog="Example: evaluator require flights random_forest")
def require(
    audit: Annotated[str, typer.Argument(help="The audit's name.")],
    candidate: Annotated[str, typer.Argument(help="The candidate that shall be released.")],
    *,
    artifact: Annotated[
        str | None,
        typer.Option(help="The artifact's digest; by default that of the one that lies there."),
    ] = None,
) -> None:
    """Ask before a release: exit code 0 only with a certificate that stands for this very artifact.

    What expired, was revoked, or is for another artifact, does not count.
    """
    from evaluator.certification import Ledger, require_certificate
    from evaluator.orchestration import qualified_outcome

    state = _state(audit)
    candidates = {declared.name: declared for declared in state.spec.candidates}
    if candidate not in candidates:
        raise UsageError(
            f"the audit {audit} has no such candidate",
            culprit=candidate,
            fix=f"use one of {', '.join(candidates) or '(there is none)'}",
        )
    digest = artifact or state.model_digest(candidates[candidate])
    entries = Ledger(state.store.url, audit).entries()
    now = datetime.now(UTC)
    answer = require_certificate(entries, candidate, digest, now)
    reasons = [answer.reason]
    if answer.certificate is not None:
        reasons.insert(0, qualified_outcome(state.store.files, entries, answer.certificate, now))
    word = "RELEASE" if answer.is_met else "DO NOT RELEASE"
    typer.echo(f"{word} {candidate}: {'; '.join(reasons)}")
    raise typer.Exit(Exit.DONE if answer.is_met else Exit.NOT_CERTIFIED)


class _FoundCertificate(NamedTuple):
    """A signed certificate, and where the evidence is that it rests on."""

    content: bytes
    source: str
    """Where it was found, for messages."""
    evidence: str

    def digest(self) -> str:
        """Return what the ledger knows the certificate by."""
        from evaluator.evidence import digest_of_bytes

        return digest_of_bytes(self.content)

    def statement(self) -> "Statement":
        """Read what it says, or say why it is no certificate."""
        from evaluator.certification import parse_envelope, parse_statement

        return parse_statement(parse_envelope(self.content, self.source).payload, self.source)


def _find(certificate: str, evidence: str | None) -> _FoundCertificate:
    """Read a certificate's file, or the newest one of a candidate."""
    path = Path(certificate)
    audit, _, candidate = certificate.partition("/")
    if path.is_file():
        content, source = path.read_bytes(), path.name
    elif candidate and "/" not in candidate and not certificate.endswith(".json"):
        content, source = _newest(audit, candidate), certificate
    else:
        raise UsageError(
            "there is no such certificate",
            culprit=certificate,
            fix="name a file that ends in .dsse.json, or AUDIT/CANDIDATE",
        )
    if evidence is None:
        from evaluator.orchestration import Home

        evidence = Home.from_environment().evidence_url
    return _FoundCertificate(content, source, evidence)


def _newest(audit: str, candidate: str) -> bytes:
    from evaluator.orchestration import statement_name

    state = _state(audit)
    record = state.require(Asset.CERTIFICATE)
    name = statement_name(candidate)
    if name not in record.files:
        raise UsageError(
            "the audit's newest certificates have none for this candidate",
            culprit=f"{audit}/{candidate}",
            fix=f"use one of {', '.join(record.facts['outcomes'])}",
        )
    return state.store.read_bytes(record, name)


def _page(audit: str, evidence: str) -> bytes | None:
    """Read the audit's newest page, where there is one in this evidence."""
    from evaluator.evidence import Address, EvidenceStore
    from evaluator.orchestration import PAGE

    store = EvidenceStore(evidence)
    dashboard = store.current(Address(audit, Asset.DASHBOARD))
    return None if dashboard is None else store.read_bytes(dashboard, PAGE)


def _enter(
    kind: "EntryKind", certificate: str, by: str, reason: str, body: dict[str, object]
) -> _FoundCertificate:
    """Append a person's decision about a certificate to its audit's ledger."""
    from evaluator.certification import Ledger, signing_key_from_environment

    found = _find(certificate, None)
    audit = found.statement().predicate.audit
    added = Ledger(found.evidence, audit).append(
        kind,
        subject=found.digest(),
        author=by,
        reason=reason,
        body=body,
        now=datetime.now(UTC),
        key=signing_key_from_environment(os.environ),
    )
    typer.echo(f"Entered as number {added.entry.sequence} of the ledger of {audit}.")
    return found


def _state(audit: str) -> "AuditState":
    from evaluator.orchestration import AuditState, Home
    from evaluator.spec import load_audit, shipped_audits

    return AuditState(load_audit(audit, shipped_audits()), Home.from_environment())
