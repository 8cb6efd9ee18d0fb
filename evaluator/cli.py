"""The `evaluator` command.

It starts fast because it imports late: each command imports what it needs.
"""

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluator import certificate_commands, fork_server
from evaluator.errors import EvaluatorError, IntakeError, SpecError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from evaluator.orchestration.runner import Advance, AuditRun, Display, RunSummary
    from evaluator.spec import Audit

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


certificate_commands.register(app)


@app.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error was raised.")] = False,
) -> None:
    """Hold the options that go with every command."""


@app.command(
    epilog="Examples: evaluator demo  |  evaluator demo --days 92  |  evaluator demo sales"
)
def demo(
    audit: Annotated[str, typer.Argument(help="flights or sales.")] = "flights",
    days: Annotated[
        int | None,
        typer.Option(
            help="How many days: of flights up to 92 (November 2013, then December, then October;"
            " 28 without the option), of sales 14."
        ),
    ] = None,
) -> None:
    """Write an example's files and run its audit: real flights, five candidates, or daily sales.

    The flights are audited from raw file to certificate. The sales are made up, with the faults of
    real exports, and end at the data's report.
    """
    from evaluator.demo.prepare import prepare
    from evaluator.orchestration.home import Home

    home = Home.from_environment()
    with _progress() as display:
        prepare(audit, days, home, display)
        run = _audit_run(_load(audit), display)
        summary = run.run()
    # The demo is done when it has run; that not everything is accepted is what it shows.
    exit_code = _tell(run, summary)
    raise typer.Exit(Exit.DONE if exit_code == Exit.NOT_CERTIFIED else exit_code)


@app.command(
    epilog="Examples: evaluator run flights  |  evaluator run flights --candidate random_forest"
    " --geography pacific",
)
def run(
    audit: Annotated[str, typer.Argument(help="The audit's name: its folder under defs/.")],
    *,
    candidate: Annotated[str | None, typer.Option(help="Only this candidate.")] = None,
    geography: Annotated[str | None, typer.Option(help="Only the slices of this one.")] = None,
    segment: Annotated[str | None, typer.Option(help="Only the slices of this one.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Compute again what is stored; it stays stored.")
    ] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Freeze the evaluation set anew, by all its days.")
    ] = False,
) -> None:
    """Bring an audit up to date: take in what arrived, evaluate what is missing, certify.

    What is current is not computed again. Exit code 0: a candidate that was chosen is certified
    (or the audit has no gates, or no candidates, and all went well).
    """
    loaded = _load(audit)
    with _progress() as display:
        audit_run = _audit_run(
            loaded, display, candidate=candidate, geography=geography, segment=segment
        )
        if fresh:
            audit_run.start_afresh()
        summary = audit_run.run(refresh=refresh)
    raise typer.Exit(_tell(audit_run, summary))


@app.command(
    epilog="Example: evaluator validate flights .evaluator/landing/flights/flights-2013-11-01.csv",
)
def validate(
    audit: Annotated[str, typer.Argument(help="The audit whose data the file should be.")],
    file: Annotated[Path, typer.Argument(help="The file to look at; it is only read.")],
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all that was found, as JSON.")
    ] = False,
    quarantine: Annotated[
        Path | None, typer.Option(help="Write the refused rows to this CSV, to be mended.")
    ] = None,
) -> None:
    """Print a file's data quality report, without taking it in. Exit code 1: it is refused."""
    from tempfile import TemporaryDirectory

    from evaluator.evidence import canonical_json
    from evaluator.intake import quarantine_to_csv, take_in

    spec = _load(audit).spec
    if not file.is_file():
        raise UsageError("there is no such file", culprit=str(file), fix="check the path")
    slices = [column for column in (spec.geography, spec.segment) if column]
    with TemporaryDirectory() as folder:
        result = take_in(file, spec.data, into=Path(folder), name=file.name, slices=slices)
        if quarantine is not None:
            quarantine_to_csv(result.quarantine_path, quarantine)
    typer.echo(canonical_json(result.profile).decode().strip() if as_json else result.report)
    raise typer.Exit(Exit.DONE if result.broken is None else Exit.NOT_CERTIFIED)


@app.command(epilog="Example: evaluator infer exports/sales-2024-03-01.csv")
def infer(
    file: Annotated[Path, typer.Argument(help="A file like those that will come daily.")],
) -> None:
    """Write a first `data:` section for an audit's YAML, with a comment wherever it is unsure."""
    from textwrap import indent

    from evaluator.intake import infer_schema

    if not file.is_file():
        raise UsageError("there is no such file", culprit=str(file), fix="check the path")
    typer.echo("data:\n" + indent(infer_schema(file), "  "), nl=False)


@app.command(
    epilog="Examples: evaluator replay sales 2024-03-02 --quarantine rows.csv, then mend the column"
    " `text`, then evaluator replay sales 2024-03-02 --mended rows.csv",
)
def replay(
    audit: Annotated[str, typer.Argument(help="The audit's name.")],
    day: Annotated[str, typer.Argument(help="The day, as 2024-03-02.")],
    quarantine: Annotated[
        Path | None, typer.Option(help="Write the day's refused rows to this CSV, to be mended.")
    ] = None,
    mended: Annotated[
        Path | None, typer.Option(help="Feed this CSV's rows back into the day.")
    ] = None,
) -> None:
    """Write a day's refused rows for mending, or feed mended ones back into the day.

    What passes now joins the day's next version; the earlier one stays. Exit code 1: the day is
    not accepted.
    """
    from evaluator.orchestration.day_intake import REPORT
    from evaluator.orchestration.replaying import feed_back, known_day, write_quarantine

    if (quarantine is None) == (mended is None):
        raise UsageError(
            "say what to do with the day's refused rows",
            culprit="evaluator replay",
            fix="give either --quarantine FILE or --mended FILE",
        )
    loaded = _load(audit)
    with _progress() as display:
        run = _audit_run(loaded, display)
        day = known_day(run.state, day)
        if quarantine is not None:
            count = write_quarantine(run.state, day, quarantine)
        elif mended is not None:
            count = feed_back(run.state, day, mended)
            run.take_in_days()
    if quarantine is not None:
        typer.echo(f"{count:,} refused rows of {day} are in {quarantine}.")
        raise typer.Exit(Exit.DONE)
    report = run.state.require("data_quality_report", day)
    typer.echo(run.state.store.read_bytes(report, REPORT).decode())
    accepted = run.state.accepted_days()
    raise typer.Exit(Exit.DONE if day in accepted else Exit.NOT_CERTIFIED)


@app.command(epilog="Examples: evaluator prune flights  |  evaluator prune flights --yes")
def prune(
    audit: Annotated[str, typer.Argument(help="The audit's name.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove what nothing refers to any more, after saying what.

    Raw files, quarantined rows, certificates, and all that current versions and certificates rest
    on stay.
    """
    from evaluator.evidence import prune as remove
    from evaluator.orchestration.home import Home
    from evaluator.orchestration.tidying import look_for_prunable, told_prunable

    home = Home.from_environment()
    plan = look_for_prunable(_load(audit), home)
    for line in told_prunable(plan):
        typer.echo(line)
    if plan.all and (yes or typer.confirm("Remove this for good?")):
        remove(home.store(), plan)
        typer.echo("Removed.")


@app.command(
    epilog="Examples: evaluator lineage flights dashboard  |  evaluator lineage flights"
    " random_forest_slice_metrics --partition 'pacific|network'  |  evaluator lineage flights"
    " raw_data --partition 2013-11-01 --downstream",
)
def lineage(
    audit: Annotated[str, typer.Argument(help="The audit's name.")],
    asset: Annotated[str, typer.Argument(help="The asset's name, as the graph shows it.")],
    *,
    partition: Annotated[
        str | None, typer.Option(help="One day, or one slice as 'GEOGRAPHY|SEGMENT'; else all.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            help="The beginning of an identity, of a content version or of a file's SHA-256;"
            " else what is current."
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="text, json, prov (W3C PROV-JSON) or openlineage.")
    ] = "text",
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Tell what rests on it instead.")
    ] = False,
) -> None:
    """Tell what an output rests on, back to the files' bytes, or what rests on it.

    It says what is superseded, and what is outdated since something that it rests on moved on. Exit
    code 3: the records contradict each other, or one is gone.
    """
    from datetime import UTC, datetime

    from evaluator.evidence.lineage_formats import FORMATS
    from evaluator.orchestration.home import Home
    from evaluator.orchestration.lineage_questions import Question, ask_lineage

    if form not in FORMATS:
        raise UsageError(
            f"there is no format {form!r}",
            culprit="evaluator lineage",
            fix=f"name one of: {', '.join(FORMATS)}",
        )
    answer = ask_lineage(
        _load(audit),
        Home.from_environment(),
        Question(asset, partition, version),
        downstream=downstream,
        now=datetime.now(UTC),
    )
    typer.echo(FORMATS[form](answer))
    raise typer.Exit(Exit.FAULT if answer.problems else Exit.DONE)


@app.command(epilog="Example: evaluator ui --port 3001")
def ui(
    port: Annotated[int, typer.Option(help="The port on this machine.")] = 3000,
) -> None:
    """Start the Dagster UI and daemon over the same state, on this machine only."""
    from evaluator.orchestration.home import Home

    home = Home.from_environment()
    home.prepare()
    # Dagster recommends `dg dev` at each start, and that needs a project's folder to stand in.
    os.environ["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded"
    arguments = ["-w", str(home.workspace), "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", *arguments])  # noqa: S606 - our own interpreter, no shell


def command() -> None:
    """Be the `evaluator` command, in a process of its own, and end the process at once.

    Python takes two seconds to take apart what Dagster, MLflow and pandas built up, for nothing.
    """
    code: object = Exit.FAULT

    def end() -> None:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))

    # What is registered first is called last, when all that others left to be done is done.
    atexit.register(end)
    try:
        main()
        code = Exit.DONE
    except SystemExit as ended:
        code = ended.code
        raise


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
        sys.exit(_exit_of(error))
    except Exception as error:  # noqa: BLE001 - a fault is told in a sentence, with --debug in full
        if debug:
            traceback.print_exc()
        typer.echo(
            f"A fault of the program or the machine: {type(error).__name__}: {error}", err=True
        )
        if not debug:
            typer.echo("Run it again with --debug to see where.", err=True)
        sys.exit(Exit.FAULT)


def _exit_of(error: EvaluatorError) -> Exit:
    if isinstance(error, SpecError | UsageError):
        return Exit.WRONG_USE
    return Exit.NOT_CERTIFIED if isinstance(error, IntakeError) else Exit.FAULT


def _load(audit: str) -> "Audit":
    """Read an audit; a wrong YAML is told before Dagster is loaded and progress is shown."""
    from evaluator.spec import load_audit

    return load_audit(audit, AUDITS)


def _audit_run(
    audit: "Audit",
    display: "Display",
    *,
    candidate: str | None = None,
    geography: str | None = None,
    segment: str | None = None,
) -> "AuditRun":
    from evaluator.orchestration.home import Home
    from evaluator.orchestration.state import AuditState

    home = Home.from_environment()
    if AuditState(audit, home).looks_pending():
        # It imports what the candidates' processes need, while this one imports Dagster.
        fork_server.start()
    from evaluator.orchestration.runner import AuditRun, Choice

    return AuditRun(audit, home, Choice(candidate, geography, segment), display)


@contextmanager
def _progress() -> Iterator["Display"]:
    """Show what runs, what is left, and how long each part took."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[note]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        shown = _Shown(progress)
        yield shown
        shown.close()


class _Shown:
    """A row for each stage, from its announcement on."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._rows: dict[str, TaskID] = {}

    def plan(self, *stages: str) -> None:
        for name in stages:
            self._rows[name] = self._progress.add_task(name, total=1, start=False, note="to come")

    @contextmanager
    def stage(self, name: str, parts: int) -> Iterator["Advance"]:
        if name not in self._rows:
            self.plan(name)
        row = self._rows[name]
        count = f"{parts} parts" if parts > 1 else ""
        through = 0

        def advance() -> None:
            nonlocal through
            through += 1
            self._progress.update(row, note=f"{through} of {count}")

        self._progress.start_task(row)
        self._progress.update(row, completed=0, note=f"running {count}")
        yield advance
        self._progress.update(row, completed=1, note=count)

    def close(self) -> None:
        for row in self._rows.values():
            if not self._progress.tasks[row].finished:
                self._progress.update(row, completed=1, note="up to date")


def _tell(run: "AuditRun", summary: "RunSummary") -> Exit:
    """Print what was found, and choose the exit code."""
    from evaluator.orchestration.told import exit_code, told

    for line in told(run.state, summary):
        typer.echo(line)
    return Exit(exit_code(run.audit, run.choice, summary))
