"""Checking a certificate from the command line, with or without the platform around."""

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluator.errors import UsageError
from evaluator.verifier._running import Exit, run_command

if TYPE_CHECKING:
    from evaluator.certification import LedgerHead, TrustedKeys

Find = Callable[[str, str | None], tuple[bytes, str]]
"""From what was called a certificate, and ``--evidence``, to its bytes and the evidence's URL."""
Keys = Annotated[
    list[Path] | None,
    typer.Option(
        "--key",
        help="A public key to trust, as its owner told you, or a file of trusted keys; may be given"
        " several times. By default the file that EVALUATOR_TRUSTED_KEYS names.",
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--ledger-head", help="Number and digest that an earlier check printed, as 12:9f86d0..."
    ),
]
Challenge = Annotated[
    str | None,
    typer.Option(help="The word that chooses cases; whoever demands them says it afterwards."),
]
Cases = Annotated[int, typer.Option(min=1, help="How many cases are demanded.")]
CASES_ASKED = 50


def verify_command(
    find: Find, *, find_any: Find, certificate_help: str, evidence_help: str
) -> Callable[..., None]:
    """Make the command that checks a certificate.

    Parameters
    ----------
    find
        Reads a certificate that is no exported folder.
    find_any
        Reads any of those that were issued together, for ``--all``.
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
        key: Keys = None,
        ledger_head: Head = None,
        all_issued: Annotated[
            bool,
            typer.Option(
                "--all",
                help="Check all certificates that were issued with it, and compute everything once:"
                " every candidate, all pairs, ranks.",
            ),
        ] = False,
        openings: Annotated[
            Path | None,
            typer.Option(help="Cases that were shown on demand; see `evaluator open`."),
        ] = None,
        challenge: Challenge = None,
        cases: Cases = CASES_ASKED,
        as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    ) -> None:
        """Check a certificate offline, down to its figures.

        It checks signature, every digest and the ledger, and computes the figures of its own
        candidate, of the baseline, and of the comparison of the two once more. Exit code 0 only
        where everything holds, a trusted key signed it, and it stands.
        """
        from evaluator.certification import (
            read_openings,
            verify as check,
            verify_all,
            verify_bundle,
        )

        now, trusted = datetime.now(UTC), trusted_keys(key)
        head = None if ledger_head is None else parse_head(ledger_head)
        shown = None
        if openings is not None or challenge is not None:
            if openings is None or challenge is None or all_issued:
                raise UsageError(
                    "cases were chosen by the word that demanded them, for one certificate",
                    culprit="--openings and --challenge",
                    fix="give both, and leave --all out",
                )
            shown = read_openings(openings, challenge=challenge, asked=cases)
        if all_issued:
            if Path(certificate).is_dir():
                raise UsageError(
                    "an exported folder is of one candidate",
                    culprit="--all",
                    fix="name a certificate's file, and its evidence folder with --evidence",
                )
            content, url = find_any(certificate, evidence)
            reports = verify_all(content, url, trusted=trusted, now=now, known_head=head)
        elif Path(certificate).is_dir():
            bundle = verify_bundle(
                Path(certificate), trusted=trusted, now=now, known_head=head, shown=shown
            )
            reports = [bundle.whole]
        else:
            content, url = find(certificate, evidence)
            reports = [check(content, url, trusted=trusted, now=now, known_head=head, shown=shown)]
        if as_json:
            records = [report.as_record() for report in reports]
            typer.echo(json.dumps(records if all_issued else records[0], indent=2))
        else:
            for line in (line for report in reports for line in report.to_lines()):
                # Names and reasons may be anybody's, and a terminal obeys what it is sent.
                typer.echo("".join(one if one.isprintable() else "\ufffd" for one in line))
        done = all(report.is_verified for report in reports)
        raise typer.Exit(Exit.DONE if done else Exit.NOT_CERTIFIED)

    return verify


def trusted_keys(
    files: Sequence[Path] | None, *, outside: Sequence[Path] = ()
) -> "TrustedKeys | None":
    """Read the keys that options name, or where they name none those of the environment.

    Parameters
    ----------
    files
        What ``--key`` named.
    outside
        Folders in which no key may lie, since whoever can change these could have put it there.

    Returns
    -------
    TrustedKeys or None
        None where neither names any.

    Raises
    ------
    UsageError
        Where one lies where it may not, or is none.
    """
    from evaluator.certification import TRUSTED_KEYS_VARIABLE, TrustedKeys

    elsewhere = os.environ.get(TRUSTED_KEYS_VARIABLE)
    named = files or ([Path(elsewhere)] if elsewhere else [])
    for path in named:
        if any(path.resolve().is_relative_to(folder.resolve()) for folder in outside):
            raise UsageError(
                "it lies with the audit or its evidence, and whoever can change these could have"
                " put it there",
                culprit=str(path),
                fix="keep a copy of the key elsewhere, as its owner told it to you",
            )
    trusted = [TrustedKeys.read(path) for path in named]
    return sum(trusted[1:], trusted[0]) if trusted else None


def parse_head(text: str) -> "LedgerHead":
    """Read a ledger's number and digest as a check printed them.

    Raises
    ------
    UsageError
        Where they are none.
    """
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
        " Exit codes: 0 verified; 1 not; 2 wrong use; 3 a fault; 130 or 143 stopped by"
        " Ctrl-C or SIGTERM."
    )
)(
    verify_command(
        _find,
        find_any=_find,
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
