"""Checking a certificate from the command line, with or without the platform around."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluator.errors import UsageError
from evaluator.verifier._running import Exit, run_command

if TYPE_CHECKING:
    from evaluator.certification import LedgerHead

Find = Callable[[str, str | None], tuple[bytes, str]]
"""From what was called a certificate, and ``--evidence``, to its bytes and the evidence's URL."""
Key = Annotated[
    Path | None, typer.Option("--key", help="The issuer's public key, as they told you.")
]


def verify_command(find: Find, *, certificate_help: str, evidence_help: str) -> Callable[..., None]:
    """Make the command that checks a certificate.

    Parameters
    ----------
    find
        Reads a certificate that is no exported folder: from what was called one, and
        ``--evidence``, to its bytes and the evidence's URL.
    certificate_help, evidence_help
        What may be called a certificate, and what ``--evidence`` is where it is not given.

    Returns
    -------
    Callable
        The command, for `typer.Typer.command`.
    """

    def verify(
        certificate: Annotated[str, typer.Argument(help=certificate_help)],
        *,
        evidence: Annotated[str | None, typer.Option(help=evidence_help)] = None,
        key: Key = None,
        ledger_head: Annotated[
            str | None,
            typer.Option(help="Number and digest that an earlier check printed, as 12:9f86d0..."),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    ) -> None:
        """Check a certificate offline: signature, every digest, ledger, and all figures once more.

        Exit code 0 only where everything holds, it is signed with the given key, and it stands.
        """
        from evaluator.certification import load_public_key, verify as check, verify_bundle

        now = datetime.now(UTC)
        public_key = None if key is None else load_public_key(key)
        head = None if ledger_head is None else _parse_head(ledger_head)
        if Path(certificate).is_dir():
            bundle = verify_bundle(
                Path(certificate), public_key=public_key, now=now, known_head=head
            )
            report, problems, is_verified = bundle.report, bundle.problems, bundle.is_verified
        else:
            content, url = find(certificate, evidence)
            report = check(content, url, public_key=public_key, now=now, known_head=head)
            problems, is_verified = (), report.is_verified
        if as_json:
            document = {**report.as_record(), "bundle": [problem._asdict() for problem in problems]}
            typer.echo(json.dumps(document, indent=2))
        else:
            for line in [*report.to_lines(), *(f"  PROBLEM     {problem}" for problem in problems)]:
                typer.echo(line)
        raise typer.Exit(Exit.DONE if is_verified else Exit.NOT_CERTIFIED)

    return verify


def _parse_head(text: str) -> "LedgerHead":
    from pydantic import ValidationError

    from evaluator.certification import LedgerHead

    number, _, digest = text.partition(":")
    try:
        return LedgerHead(sequence=int(number), digest=digest)
    except (ValueError, ValidationError) as error:
        raise UsageError(
            "it is no number and digest of a ledger",
            culprit=f"--ledger-head {text}",
            fix="write them as an earlier check printed them, such as 12:9f86d0...",
        ) from error


def _find(certificate: str, evidence: str | None) -> tuple[bytes, str]:
    """Read a certificate's file where there is no platform to ask."""
    path = Path(certificate)
    if not path.is_file():
        raise UsageError(
            "there is no such certificate",
            culprit=certificate,
            fix="name an exported folder, or a file that ends in .dsse.json",
        )
    if evidence is None:
        raise UsageError(
            "nothing says where the evidence is that it rests on",
            culprit=certificate,
            fix="name the evidence folder or URL with --evidence",
        )
    return path.read_bytes(), evidence


_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)
_app.command(
    epilog=(
        "Example: evaluator-verify for-the-regulator --key audit.public.pem."
        " Exit codes: 0 verified; 1 not; 2 wrong use; 3 a fault."
    )
)(
    verify_command(
        _find,
        certificate_help="An exported folder, or a .dsse.json file.",
        evidence_help="The evidence folder or URL that a .dsse.json file rests on.",
    )
)


def main() -> None:
    """Be the command `evaluator-verify`, which says where it is not needed.

    Raises
    ------
    SystemExit
        With an exit code of `Exit`.
    """
    try:
        whole = version("evaluator")
    except PackageNotFoundError:
        pass
    else:
        typer.echo(
            f"evaluator-verify is not needed here: evaluator {whole} is installed, and"
            " `evaluator verify` checks the same.",
            err=True,
        )
    run_command(_app, "evaluator-verify")
