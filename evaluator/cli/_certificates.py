"""The commands about certificates: make a key, check one, hand it on, decide, require one."""

import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from evaluator.cli._audits import AsJson, audits_folder, check_can_be_written, state_of_audit
from evaluator.errors import UsageError
from evaluator.verifier import (
    CASES_ASKED,
    Cases,
    Exit,
    Head,
    Keys,
    parse_head,
    trusted_keys,
    verify_command,
)

if TYPE_CHECKING:
    from evaluator.certification import EntryKind, Statement

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
SignWith = Annotated[
    Path | None,
    typer.Option(
        "--sign-with",
        help="Your private key's file; by default what EVALUATOR_SIGNING_KEY_FILE names.",
    ),
]


class Scope(StrEnum):
    """How much a revocation takes back."""

    CANDIDATE = "candidate"
    AUDIT = "audit"


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
    """Make an Ed25519 key to sign with.

    NAME.private.pem is for you alone, and NAME.public.pem to give away. Certificates are signed
    where EVALUATOR_SIGNING_KEY_FILE names the private one.
    """
    from evaluator.certification import create_key

    files = create_key(folder, name)
    typer.echo(f"Private key: {files.private} (keep it; export EVALUATOR_SIGNING_KEY_FILE=...)")
    typer.echo(f"Public key:  {files.public}")
    typer.echo(f"Key id:      {files.key_id}")


def _to_verify(certificate: str, evidence: str | None) -> tuple[bytes, str]:
    found = _find(certificate, evidence)
    return found.content, found.evidence


def _any_to_verify(certificate: str, evidence: str | None) -> tuple[bytes, str]:
    found = _find(certificate, evidence, of_audit=True)
    return found.content, found.evidence


commands.command("verify", epilog="Example: evaluator verify flights/gb --key audit.public.pem")(
    verify_command(
        _to_verify,
        find_any=_any_to_verify,
        certificate_help="A .dsse.json file, an exported folder, or AUDIT/CANDIDATE; with --all"
        " also AUDIT.",
        evidence_help=EVIDENCE_HELP,
    )
)


@keys.command("revoke", epilog="Example: evaluator keys revoke flights old.public.pem --by Ada ...")
def revoke_key(
    audit: Annotated[str, typer.Argument(help="The audit in whose ledger it is said.")],
    key: Annotated[Path, typer.Argument(help="The public key that nobody shall trust any more.")],
    *,
    by: Author,
    reason: Reason,
    sign_with: SignWith = None,
) -> None:
    """Enter that a key is revoked: what it signs from now on is void.

    What it signed before is void too, but for whoever kept a head of the ledger that shows it.
    """
    from evaluator.certification import load_public_key

    revocation = _Decision("key_revocation", by, reason, {}, sign_with)
    _append(revocation, audit, state_of_audit(audit).store.url, load_public_key(key).key_id)


@commands.command(epilog="Example: evaluator export flights/random_forest for-the-regulator")
def export(
    certificate: Certificate,
    to: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder to make.")],
    *,
    evidence: Evidence = None,
    key: Keys = None,
    redacted: Annotated[
        bool,
        typer.Option(
            "--redacted",
            help="Keep back raw files, refused rows, and columns that the audit does not let out.",
        ),
    ] = False,
) -> None:
    """Make a folder with which a stranger can check a certificate.

    It holds certificate, key, evidence, page, documents, and how to check them. Its manifest is
    signed with EVALUATOR_SIGNING_KEY_FILE. With a key, what that did not sign is not exported.
    """
    from evaluator.certification import (
        export_bundle,
        signing_key_from_environment,
        trusted_by_environment,
    )

    found = _find(certificate, evidence)
    found.statement()  # what is no certificate is told by its own name
    signing_key = signing_key_from_environment(os.environ)
    folder = export_bundle(
        found.content,
        found.evidence,
        to,
        trusted=trusted_by_environment(os.environ) if key is None else trusted_keys(key),
        key=signing_key,
        secret=_secret() if redacted else None,
        redact=_kept_back(found) if redacted else (),
        now=datetime.now(UTC),
    )
    typer.echo(f"The certificate and all that it rests on are in {folder}; README.txt says more.")
    if signing_key is None:
        typer.echo("Its manifest is UNSIGNED: nothing proves README.txt.")


@commands.command(
    "open",
    epilog="Examples: evaluator open flights  |  evaluator open flights/gb cases.json"
    " --challenge 'their word'",
)
def open_(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[AUDIT|CERTIFICATE]",
            help="The audit whose page is opened, without it the list of all audits; or, with FILE,"
            " a certificate's .dsse.json file, or AUDIT/CANDIDATE for the newest one.",
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A file to make, with the cases.")
    ] = None,
    *,
    challenge: Annotated[
        str | None, typer.Option(help="The word of whoever demands the cases.")
    ] = None,
    cases: Cases = CASES_ASKED,
    evidence: Evidence = None,
) -> None:
    """Open an audit's page, or show a certificate's cases on demand.

    The page's path is printed, and your browser opens it. Of the cases that the challenge chooses,
    the file says what was found of each, and what ties it to the certificate. That proves what was
    bound when it was issued, and not that it is true. Columns that the audit does not let out stay
    behind.
    """
    from evaluator.certification import open_cases
    from evaluator.evidence import write_whole

    if to is None and challenge is None and (what is None or "/" not in what):
        _open_page(_list_of_audits() if what is None else _page_of(what))
        return
    if what is None or to is None or challenge is None:
        raise UsageError(
            "cases go to a file, and a challenge chooses them",
            culprit="evaluator open",
            fix="give both FILE and --challenge, or for its page an audit's name alone",
        )
    found = _find(what, evidence)
    if to.exists():
        raise UsageError("it is there already", culprit=str(to), fix="name a new file")
    check_can_be_written(to)
    shown = open_cases(
        found.content,
        found.evidence,
        _secret(),
        challenge=challenge,
        count=cases,
        redact=_kept_back(found),
    )
    write_whole(to, shown.to_bytes())
    typer.echo(f"{len(shown.openings)} cases are in {to}, for whoever demanded them alone.")


def _page_of(audit: str) -> str:
    from evaluator.orchestration import page_of

    return page_of(state_of_audit(audit)).location


def _list_of_audits() -> str:
    """Write the page that lists all audits below the home, as they stand now."""
    from evaluator.orchestration import Home, list_audits, read_statuses
    from evaluator.spec import audit_names

    home, now, folder = Home.from_environment(), datetime.now(UTC), audits_folder()
    home.prepare()
    page = home.root / "audits.html"
    found = read_statuses(audit_names(folder), folder, home, now)
    page.write_text(list_audits(found, page, now), encoding="utf-8")
    return str(page)


def _open_page(page: str) -> None:
    """Print where a page lies, and open it in the browser."""
    import webbrowser

    typer.echo(page)
    path = Path(page)
    # In an object store a browser cannot read it.
    if not (path.is_file() and webbrowser.open(path.as_uri())):
        typer.echo("No browser opened it; open it yourself.", err=True)


@commands.command(
    "sign-off", epilog="Example: evaluator sign-off flights/gb --by Ada --reason 'read it'"
)
def sign_off(
    certificate: Certificate, *, by: Author, reason: Reason, sign_with: SignWith = None
) -> None:
    """Enter that a person stands behind a certificate."""
    _enter(certificate, _Decision("sign_off", by, reason, {}, sign_with))


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
    sign_with: SignWith = None,
) -> None:
    """Enter that a person waives a gate for a while.

    The verdict stays what it is.
    """
    statement = _find(certificate, None).statement()
    gates = [verdict.gate for verdict in statement.predicate.gates]
    if gate not in gates:
        raise UsageError(
            "the certificate has no such gate",
            culprit=f"--gate {gate!r}",
            fix="use one of: " + "; ".join(dict.fromkeys(gates)),
        )
    end_of_day = until.replace(hour=23, minute=59, second=59, tzinfo=UTC)
    body = {"gate": gate, "until": end_of_day}
    _enter(certificate, _Decision("waiver", by, reason, body, sign_with))


@commands.command(
    epilog="Example: evaluator revoke flights/gb --by Ada --reason 'labels were wrong'"
)
def revoke(
    certificate: Certificate,
    *,
    all_of: Annotated[
        Scope | None,
        typer.Option(help="Revoke the candidate with every artifact, or the whole audit."),
    ] = None,
    by: Author,
    reason: Reason,
    sign_with: SignWith = None,
) -> None:
    """Enter that an artifact is revoked.

    Its certificates no longer stand, and it gets no new one. That lasts until `evaluator correct`
    takes it back. Promotions are taken back at once.
    """
    from evaluator.certification import Ledger, state_of, trusted_by_environment
    from evaluator.orchestration import demote

    scope = "artifact" if all_of is None else all_of.value
    found = _enter(certificate, _Decision("revocation", by, reason, {"scope": scope}, sign_with))
    state = state_of_audit(found.statement().predicate.audit)
    ledger, now = Ledger(found.evidence, state.audit.name), datetime.now(UTC)
    entries = ledger.entries(trusted_by_environment(os.environ))
    for line in demote(state.home, state.spec, lambda one: state_of(entries, one, now).stands):
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
    sign_with: SignWith = None,
) -> None:
    """Enter that an earlier decision no longer counts.

    It may be a sign-off, a waiver or a revocation.
    """
    from evaluator.certification import Ledger

    found = _find(certificate, None)
    audit = found.statement().predicate.audit
    entries = {c.entry.sequence: c.entry for c in Ledger(found.evidence, audit).entries()}
    # It may be about an earlier certificate than the newest.
    about = entries[entry].subject if entry in entries else found.digest()
    correction = _Decision("correction", by, reason, {"corrects": entry}, sign_with)
    _append(correction, audit, found.evidence, about)


@commands.command(epilog="Example: evaluator require flights random_forest --key audit.public.pem")
def require(
    audit: Annotated[str, typer.Argument(help="The audit's name.")],
    candidate: Annotated[str, typer.Argument(help="The candidate that shall be released.")],
    *,
    artifact: Annotated[
        str | None,
        typer.Option(help="The artifact's digest; by default that of the one that lies there."),
    ] = None,
    key: Keys = None,
    ledger_head: Head = None,
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="Ask for no signature, and believe the folder.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask before a release whether this very artifact is certified.

    Exit code 0 only with a certificate that stands for it. A trusted key must have signed it, and
    the audit must be declared as it was judged. What expired, was revoked, or is for another
    artifact, does not count.
    """
    from evaluator.certification import check_release

    state = state_of_audit(audit)
    candidates = {declared.name: declared for declared in state.spec.candidates}
    if candidate not in candidates:
        raise UsageError(
            f"the audit {audit} has no such candidate",
            culprit=candidate,
            fix=f"use one of {', '.join(candidates)}" if candidates else "declare it in the YAML",
        )
    if key and allow_unsigned:
        raise UsageError(
            "with a key signatures are asked for, and with this they are not",
            culprit="--allow-unsigned",
            fix="leave out one of the two",
        )
    trusted = (
        None
        if allow_unsigned
        else trusted_keys(key, outside=[Path(state.store.url), audits_folder()])
    )
    if trusted is None and not allow_unsigned:
        raise UsageError(
            "no key is trusted, so that any certificate could be anybody's",
            culprit="--key",
            fix="name the issuer's public key with `--key`, or trusted keys in"
            " EVALUATOR_TRUSTED_KEYS; `--allow-unsigned` believes whoever can write there",
        )
    answer = check_release(
        state.store.url,
        state.spec,
        audit,
        candidate,
        artifact or state.model_digest(candidates[candidate]),
        trusted=trusted,
        now=datetime.now(UTC),
        known_head=None if ledger_head is None else parse_head(ledger_head),
    )
    code = Exit.DONE if answer.is_met else Exit.NOT_CERTIFIED
    if as_json:
        from dataclasses import asdict

        from evaluator.orchestration import to_json

        typer.echo(to_json({"audit": audit, "candidate": candidate, **asdict(answer)}))
        raise typer.Exit(code)
    lines = list(answer.reasons)
    if answer.outcome is not None and answer.is_met:
        lines.insert(0, answer.outcome)
    elif answer.outcome is not None:
        lines.append(f"its newest certificate says: {answer.outcome}")
    typer.echo(f"{'RELEASE' if answer.is_met else 'DO NOT RELEASE'} {candidate}: {lines[0]}")
    for line in lines[1:]:
        typer.echo(f"  and         {line}")
    for caution in answer.cautions:
        typer.echo(f"  CAUTION     {caution}")
    raise typer.Exit(code)


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


def _find(certificate: str, evidence: str | None, *, of_audit: bool = False) -> _FoundCertificate:
    """Read a certificate's file, or the newest one of a candidate, or of the audit."""
    path = Path(certificate)
    audit, _, candidate = certificate.partition("/")
    if path.is_file():
        content, source = path.read_bytes(), path.name
    elif candidate and "/" not in candidate and not certificate.endswith(".json"):
        content, source = _newest(audit, candidate), certificate
    elif of_audit and certificate == audit and not certificate.endswith(".json"):
        content, source = _newest(audit, None), certificate
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


def _newest(audit: str, candidate: str | None) -> bytes:
    """Read what was entered last of a candidate, or (None) of any, be it revoked or not."""
    from evaluator.certification import Ledger

    store = state_of_audit(audit).store
    paths: dict[str | None, str] = {}
    for chained in Ledger(store.url, audit).entries():
        if chained.entry.kind == "certificate":
            body = chained.entry.certificate_body()
            paths |= {body.candidate: body.path, None: body.path}
    content = store.files.read(paths[candidate]) if candidate in paths else None
    if content is None:
        raise UsageError(
            "the ledger has no certificate for this candidate"
            if candidate not in paths
            else f"its newest certificate, {paths[candidate]}, is gone",
            culprit=audit if candidate is None else f"{audit}/{candidate}",
            fix=f"use one of {', '.join(filter(None, paths))}, or name a certificate's file"
            if paths
            else f"name a certificate's file, or issue one: `evaluator run {audit}`",
        )
    return content


def _secret() -> bytes:
    """Read what this state's salted digests are made with."""
    from evaluator.certification import secret_in
    from evaluator.orchestration import Home

    return secret_in(Home.from_environment().root)


def _kept_back(found: _FoundCertificate) -> tuple[str, ...]:
    """Name the columns that its audit does not let out by now."""
    return state_of_audit(found.statement().predicate.audit).spec.certificate.redact


class _Decision(NamedTuple):
    """What a person says, and with whose key."""

    kind: "EntryKind"
    by: str
    reason: str
    body: dict[str, object]
    sign_with: Path | None


def _enter(certificate: str, decision: _Decision) -> "_FoundCertificate":
    """Append a person's decision about a certificate to its audit's ledger."""
    found = _find(certificate, None)
    _append(decision, found.statement().predicate.audit, found.evidence, found.digest())
    return found


def _append(decision: _Decision, audit: str, evidence: str, subject: str) -> None:
    from evaluator.certification import Ledger, load_signing_key, signing_key_from_environment

    key = (
        signing_key_from_environment(os.environ)
        if decision.sign_with is None
        else load_signing_key(decision.sign_with)
    )
    added = Ledger(evidence, audit).append(
        decision.kind,
        subject=subject,
        author=decision.by,
        reason=decision.reason,
        body=decision.body,
        now=datetime.now(UTC),
        key=key,
    )
    typer.echo(f"Entered as number {added.entry.sequence} of the ledger of {audit}.")
