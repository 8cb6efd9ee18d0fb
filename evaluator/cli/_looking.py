"""The commands that look at what is stored: none of them runs anything."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from evaluator.cli._audits import audits_folder, check_can_be_written, state_of_audit

commands = typer.Typer()
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON instead.")]


@commands.command(
    epilog="Examples: evaluator show flights  |  evaluator show flights/random_forest --json"
)
def show(
    what: Annotated[
        str, typer.Argument(metavar="AUDIT[/CANDIDATE]", help="The audit, or one candidate of it.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Print all that is stored of an audit or a candidate.

    Nothing is run. It tells days, figures, slices that stand out, comparison, fairness, weak
    slices, verdicts with their reasons, remarks, and where page, documents and certificates lie.
    """
    from evaluator.orchestration import findings_to_json, format_findings, stored_findings

    audit, _, candidate = what.partition("/")
    found = stored_findings(state_of_audit(audit), candidate or None)
    if as_json:
        typer.echo(findings_to_json(found))
    else:
        for line in format_findings(found):
            typer.echo(line)


@commands.command(epilog="Examples: evaluator status  |  evaluator status flights --json")
def status(
    audit: Annotated[
        str | None, typer.Argument(help="One audit; by default all of the project.")
    ] = None,
    *,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Write it as a page to this file.")] = None,
) -> None:
    """Tell how each audit stands, and what to do.

    It tells the last accepted day, the slices that are outdated, failed or missing, and each
    candidate's certificate with its end. State is only read, and files that have not been taken in
    are not looked at. The page links to each audit's own.
    """
    from evaluator.orchestration import (
        Home,
        format_statuses,
        list_audits,
        read_statuses,
        statuses_to_json,
    )
    from evaluator.spec import audit_names, load_audit

    if html is not None:
        check_can_be_written(html)
    folder = audits_folder()
    if audit is not None:
        # One that was named by mistake is told as with every command.
        load_audit(audit, folder)
    names = audit_names(folder) if audit is None else [audit]
    now = datetime.now(UTC)
    found = read_statuses(names, folder, Home.from_environment(), now)
    if html is not None:
        html.write_text(list_audits(found, html, now), encoding="utf-8")
    if as_json:
        typer.echo(statuses_to_json(found))
    else:
        for line in format_statuses(found):
            typer.echo(line)
