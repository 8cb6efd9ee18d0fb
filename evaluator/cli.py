"""The `evaluator` command.

It starts fast because it imports late: each command imports what it needs.
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluator.errors import EvaluatorError, SpecError, UsageError

if TYPE_CHECKING:
    from evaluator.orchestration.runner import AuditRun, RunSummary, Stage

AUDITS = Path(__file__).parent / "defs"


class Exit(IntEnum):
    """What the command's exit code says."""

    DONE = 0
    NOT_CERTIFIED = 1
    WRONG_USE = 2
    FAULT = 3


app = typer.Typer(
    name="evaluator",
    help="Evaluate, compare and certify the outputs of AI systems, slice by slice.",
    epilog=(
        "Exit codes: 0 done or certified; 1 done and not certified, or a file refused;"
        " 2 wrong use or wrong YAML; 3 a fault. State lies under EVALUATOR_HOME (.evaluator)."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error was raised.")] = False,
) -> None:
    """Hold the options that go with every command."""


@app.command(
    epilog="Example: evaluator demo --days 28",
)
def demo(
    days: Annotated[
        int, typer.Option(help="How many days: November 2013 first, then December, then October.")
    ] = 28,
) -> None:
    """Audit four models on real flights: write the files, train, evaluate, certify."""
    from evaluator.demo.flights import (
        CANDIDATES,
        demo_days,
        load_flights,
        train_candidates,
        write_daily_files,
    )
    from evaluator.orchestration.home import Home

    chosen = demo_days(days)
    home = Home.from_environment()
    with _progress() as stage:
        with stage("Load the flights of 2013", 1):
            flights = load_flights()
        with stage("Write the daily files", len(chosen)):
            write_daily_files(flights, chosen, home.landing("flights"))
        models = home.root / "models" / "flights"
        if not all((models / f"{name}.skops").is_file() for name in CANDIDATES):
            with stage("Train the candidates", len(CANDIDATES)):
                train_candidates(flights, models)
        run = _audit_run("flights", stage=stage)
        summary = run.run()
    # The demo is done when it has run; that not everyone is certified is what it shows.
    exit_code = _tell(run, summary)
    raise typer.Exit(Exit.DONE if exit_code == Exit.NOT_CERTIFIED else exit_code)


@app.command(
    epilog="Examples: evaluator run flights  |  evaluator run flights --candidate random_forest"
    " --geography pacific",
)
def run(
    audit: Annotated[str, typer.Argument(help="The audit's name: its folder under defs/.")],
    candidate: Annotated[str | None, typer.Option(help="Only this candidate.")] = None,
    geography: Annotated[str | None, typer.Option(help="Only the slices of this one.")] = None,
    segment: Annotated[str | None, typer.Option(help="Only the slices of this one.")] = None,
) -> None:
    """Bring an audit up to date: take in what arrived, evaluate what is missing, certify.

    What is current is not computed again. Exit code 0: a candidate that was chosen is certified
    (or the audit has no gates, or no candidates, and all went well).
    """
    with _progress() as stage:
        audit_run = _audit_run(
            audit, stage=stage, candidate=candidate, geography=geography, segment=segment
        )
        summary = audit_run.run()
    raise typer.Exit(_tell(audit_run, summary))


@app.command(
    epilog="Example: evaluator validate flights .evaluator/landing/flights/flights-2013-11-01.csv",
)
def validate(
    audit: Annotated[str, typer.Argument(help="The audit whose data the file should be.")],
    file: Annotated[Path, typer.Argument(help="The file to look at; it is only read.")],
) -> None:
    """Print a file's data quality report, without taking it in. Exit code 1: it is refused."""
    from tempfile import TemporaryDirectory

    from evaluator.intake import take_in
    from evaluator.spec import load_audit

    spec = load_audit(audit, AUDITS).spec
    if not file.is_file():
        raise UsageError("there is no such file", culprit=str(file), fix="check the path")
    slices = [column for column in (spec.geography, spec.segment) if column]
    with TemporaryDirectory() as folder:
        result = take_in(file, spec.data, into=Path(folder), name=file.name, slices=slices)
    typer.echo(result.report)
    raise typer.Exit(Exit.DONE if result.broken is None else Exit.NOT_CERTIFIED)


@app.command(epilog="Example: evaluator ui --port 3001")
def ui(
    port: Annotated[int, typer.Option(help="The port on this machine.")] = 3000,
) -> None:
    """Start the Dagster UI and daemon over the same state, on this machine only."""
    import os

    from evaluator.orchestration.home import Home

    home = Home.from_environment()
    home.prepare()
    # Dagster recommends `dg dev` at each start, and that needs a project's folder to stand in.
    os.environ["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded"
    arguments = ["-w", str(home.workspace), "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", *arguments])  # noqa: S606 - our own interpreter, no shell


def main() -> None:
    """Run the command, and turn errors into a message and an exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, prog_name="evaluator")
    except EvaluatorError as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"Error: {error}", err=True)
        sys.exit(Exit.WRONG_USE if isinstance(error, SpecError | UsageError) else Exit.FAULT)
    except Exception as error:  # noqa: BLE001 - a fault is told in a sentence, with --debug in full
        if debug:
            traceback.print_exc()
        typer.echo(
            f"A fault of the program or the machine: {type(error).__name__}: {error}", err=True
        )
        if not debug:
            typer.echo("Run it again with --debug to see where.", err=True)
        sys.exit(Exit.FAULT)


def _audit_run(
    name: str,
    *,
    stage: "Stage",
    candidate: str | None = None,
    geography: str | None = None,
    segment: str | None = None,
) -> "AuditRun":
    from evaluator.spec import load_audit

    # A wrong YAML is told before Dagster is loaded.
    audit = load_audit(name, AUDITS)
    from evaluator.orchestration.home import Home
    from evaluator.orchestration.runner import AuditRun, Choice

    return AuditRun(audit, Home.from_environment(), Choice(candidate, geography, segment), stage)


@contextmanager
def _progress() -> Iterator["Stage"]:
    """Show what runs, what is done and how long it took."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[parts]}", style="dim"),
        TimeElapsedColumn(),
    )
    progress = Progress(*columns, console=console)

    @contextmanager
    def stage(name: str, parts: int) -> Iterator[None]:
        # Before the first stage a user's mistake may be told, on a screen that is still clean.
        progress.start()
        task = progress.add_task(name, total=1, parts=f"{parts} to do" if parts > 1 else "")
        yield
        progress.update(task, completed=1, parts=f"{parts}" if parts > 1 else "")

    try:
        yield stage
    finally:
        if progress.tasks:
            progress.stop()


def _tell(run: "AuditRun", summary: "RunSummary") -> Exit:
    """Print what was found, and choose the exit code."""
    from evaluator.orchestration.told import exit_code, told

    for line in told(run.state, summary):
        typer.echo(line)
    return Exit(exit_code(run.audit, run.choice, summary))
