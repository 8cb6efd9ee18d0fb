"""The commands that look at what is stored: none of them runs anything."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from evaluator.cli._audits import AsJson, audits_folder, check_can_be_written, state_of_audit, tell
from evaluator.errors import StateError, UsageError
from evaluator.verifier import Exit

commands = typer.Typer()
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS_TO_PRINT: Final = 300


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
    tell([findings_to_json(found)] if as_json else format_findings(found))


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
    tell([statuses_to_json(found)] if as_json else format_statuses(found))


@commands.command(
    epilog="Examples: evaluator dashboard flights  |  evaluator dashboard flights --pdf flights.pdf"
)
def dashboard(
    audit: Annotated[str, typer.Argument(help="The audit's name.")],
    *,
    pdf: Annotated[
        Path | None, typer.Option(help="Write it to this file as it is printed, by Chromium.")
    ] = None,
) -> None:
    """Say where an audit's page lies, or write it as a PDF.

    The PDF has the answer and what each section found, with the details folded.
    """
    from evaluator.orchestration import page_of

    if pdf is not None:
        check_can_be_written(pdf)
    page = page_of(state_of_audit(audit))
    if pdf is None:
        typer.echo(page.location)
    else:
        _print(page.content, pdf)
        typer.echo(f"The page is printed in {pdf}.")


def _print(page: bytes, to: Path) -> None:
    """Let a browser print a page."""
    import shutil
    import subprocess
    from tempfile import TemporaryDirectory

    from evaluator.evidence import write_whole

    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        raise UsageError(
            f"no browser that prints is installed ({', '.join(_BROWSERS)})",
            culprit="--pdf",
            fix="install Chromium, or print the page in your own browser",
        )
    with TemporaryDirectory() as folder:
        source, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        source.write_bytes(page)
        arguments = ["--headless", "--disable-gpu", "--no-pdf-header-footer"]
        # As root it has no sandbox of its own; the page allows no script but ours.
        arguments += ["--no-sandbox"] if os.geteuid() == 0 else []
        arguments += [f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}"]
        try:
            ended = subprocess.run(  # noqa: S603 - the browser and a page of ours
                [program, *arguments, source.as_uri()],
                capture_output=True,
                timeout=_SECONDS_TO_PRINT,
                check=False,
            )
            why = f"it ended with {ended.returncode}"
        except subprocess.TimeoutExpired:
            why = f"it took more than {_SECONDS_TO_PRINT} seconds"
        if not printed.is_file():
            raise StateError(
                f"no page was printed ({why})",
                culprit=program,
                fix="look whether it runs, or print the page in your own browser",
            )
        write_whole(to, printed.read_bytes())


@commands.command(epilog="Example: evaluator compare flights random_forest gradient_boosting")
def compare(
    audit: Annotated[str, typer.Argument(help="The audit's name.")],
    one: Annotated[str, typer.Argument(metavar="A", help="A candidate.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Print how two candidates compare, case by case.

    The differences are as they are stored, with intervals, p-values and conclusions, overall and
    where one was shown by slice. The first line says which is taken from which. Nothing is run.
    """
    from evaluator.orchestration import comparison_to_json, format_comparison, stored_comparison

    found = stored_comparison(state_of_audit(audit), one, other)
    tell([comparison_to_json(found)] if as_json else format_comparison(found))


@commands.command(epilog="Example: evaluator doctor --json")
def doctor(
    port: Annotated[int, typer.Option(help="The UI's port.", min=1, max=65535)] = 3000,
    *,
    as_json: AsJson = False,
) -> None:
    """Tell whether everything is in place, and how to mend it.

    It looks at versions, audits, state and who may enter it, keys, the databases of Dagster and
    MLflow, the UI's port, and the disk. Nothing is changed. Exit code 1: there is a problem.
    """
    from evaluator.orchestration import Home, examine, format_examination, to_json

    findings = examine(Home.from_environment(), audits_folder(), port)
    told = [to_json([one._asdict() for one in findings])]
    tell(told if as_json else format_examination(findings))
    has_problem = any(one.is_problem for one in findings)
    raise typer.Exit(Exit.NOT_CERTIFIED if has_problem else Exit.DONE)
