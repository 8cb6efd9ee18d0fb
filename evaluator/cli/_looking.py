"""The commands that look at what is stored: none of them runs anything."""

from typing import Annotated

import typer

from evaluator.cli._audits import state_of_audit

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
