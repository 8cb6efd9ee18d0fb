"""The command that looks at one file, without a project and without a state."""

import math
import shlex
from pathlib import Path
from typing import Annotated

import typer

from evaluator.cli._audits import AsJson, Task, check_can_be_written
from evaluator.errors import UsageError
from evaluator.verifier import Exit

commands = typer.Typer()


@commands.command(
    epilog="Examples: evaluator check outputs.csv --label late --score probability"
    "  |  evaluator check outputs.parquet --label approved --prediction decision --geography region"
    " --at-least accuracy=0.8 --html check.html  |  evaluator check outputs.csv --label kind"
    " --score 'p_{class}'  |  evaluator check outputs.csv --label minutes --prediction said"
)
def check(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet, JSON Lines or Excel; only read.")],
    *,
    label: Annotated[
        str | None, typer.Option(metavar="<column>", help="What holds the truth.")
    ] = None,
    task: Task = None,
    score: Annotated[
        str | None,
        typer.Option(
            metavar="<column>",
            help="The AI system's probabilities, from 0 to 1; of several classes as p_{class}.",
        ),
    ] = None,
    prediction: Annotated[
        str | None,
        typer.Option(
            metavar="<column>", help="Its decisions, in the label's values, or its numbers."
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="<column>", help="The same of what to compare with.")
    ] = None,
    geography: Annotated[
        str | None, typer.Option(metavar="<column>", help="What divides the rows.")
    ] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="<column>", help="What divides them once more.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="<column>", help="What rows that depend on each other share."),
    ] = None,
    positive: Annotated[
        str | None, typer.Option(metavar="<value>", help="The label's value that is positive.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="How far off a number may be that is near enough.")
    ] = None,
    abstains: Annotated[
        bool, typer.Option("--abstains", help="A prediction that is missing is no answer.")
    ] = False,
    at_least: Annotated[
        list[str] | None,
        typer.Option(metavar="<metric>=<limit>", help="A limit over all rows; may be repeated."),
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option(metavar="<metric>=<limit>", help="The same, from above."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the page to this file.")] = None,
    keep: Annotated[
        Path | None,
        typer.Option(metavar="<folder>", help="Make it an audit, in a new project there."),
    ] = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the verdict alone.")] = False,
) -> None:
    """Check one file of outputs and labels, as an audit would.

    Figures, groups, weak slices, and verdicts on limits are those of an audit on the same rows.
    Whether two sides, several classes or numbers are asked for, the label's values tell, or --task.
    Nothing is stored, but by --keep. Without a label it tells what is missing, how columns are
    distributed, and the shares of positive decisions or of each class.
    Exit code 1: a limit is not shown to be kept, or the file is refused.
    """
    from datetime import UTC, datetime

    from evaluator.evidence import RunContext
    from evaluator.orchestration import (
        CheckRequest,
        audit_of_file,
        check_exit_code,
        check_file,
        check_new_project,
        check_to_json,
        format_check,
        keep_check,
        render_check,
    )

    if html is not None:
        check_can_be_written(html)
        if html.exists() and file.exists() and html.samefile(file):
            raise UsageError(
                "the page would take the place of the file that is checked",
                culprit=f"--html {html}",
                fix="name another file",
            )
        if label is None:
            raise UsageError(
                "without a label there is no page",
                culprit=f"--html {html}",
                fix="name the column that holds the truth by --label, or leave out --html",
            )
    if keep is not None:
        check_new_project(keep)
    asked = CheckRequest(
        label=label,
        task=task,
        score=score,
        prediction=prediction,
        baseline=baseline,
        geography=geography,
        segment=segment,
        cluster=cluster,
        positive=positive,
        tolerance=tolerance,
        abstains=abstains,
        at_least=_limits("--at-least", at_least or []),
        at_most=_limits("--at-most", at_most or []),
    )
    run_context = RunContext("check", datetime.now(UTC))
    checked = check_file(audit_of_file(file, asked), run_context)
    if html is not None:
        html.write_text(render_check(checked, run_context), encoding="utf-8")
    if as_json:
        typer.echo(check_to_json(checked))
    else:
        for line in format_check(checked, verdict_alone=quiet):
            typer.echo(line)
        if html is not None and not quiet:
            typer.echo(f"\nPage: {html}")
    if keep is not None:
        kept = keep_check(checked, keep)
        typer.echo(
            f"\nKept as {kept}. Next:\n  cd {shlex.quote(str(keep))}"
            f"\n  evaluator run {kept.parent.name}",
            err=as_json,
        )
    raise typer.Exit(Exit(check_exit_code(checked)))


def _limits(option: str, stated: list[str]) -> dict[str, float]:
    """Read limits such as `accuracy=0.8`."""
    limits: dict[str, float] = {}
    for words in stated:
        metric, _, number = words.partition("=")
        try:
            limit = float(number)
        except ValueError:
            limit = math.nan
        if not math.isfinite(limit) or metric in limits:
            raise UsageError(
                "the metric has a limit already" if metric in limits else "it states no limit",
                culprit=f"{option} {words}",
                fix="write a metric and a number, such as accuracy=0.8, once a metric",
            )
        limits[metric] = limit
    return limits
