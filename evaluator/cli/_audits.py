"""The commands about audits: run one, look at a file, replay a day, prune, ask for lineage."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluator.cli._display import progress_display
from evaluator.errors import EvaluatorError, UsageError, check_is_file
from evaluator.verifier import Exit

if TYPE_CHECKING:
    from evaluator.orchestration import AuditRun, AuditState, Display, Home, RunSummary, Stream
    from evaluator.spec import Audit, TaskName
else:
    # The room that knows the names is not loaded for a look at the options.
    TaskName = str


def _known_task(name: str | None) -> str | None:
    from evaluator.spec import TASKS

    if name is not None and name not in TASKS:
        raise UsageError(
            "there is no such task", culprit=f"--task {name}", fix=f"use one of {', '.join(TASKS)}"
        )
    return name


commands = typer.Typer()
Geography = Annotated[
    str | None, typer.Option(metavar="<column>", help="The column with a case's geography.")
]
Segment = Annotated[
    str | None, typer.Option(metavar="<column>", help="The column with a case's segment.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as JSON instead.")]
Label = Annotated[
    str | None, typer.Option(metavar="<column>", help="The column that holds the truth.")
]
Task = Annotated[
    TaskName | None,
    typer.Option(
        metavar="<task>",
        callback=_known_task,
        help="binary, multiclass or regression; by default the label's values tell.",
    ),
]


@commands.command(
    epilog="Examples: evaluator demo  |  evaluator demo --days 92  |  evaluator demo sales"
)
def demo(
    audit: Annotated[str, typer.Argument(help="flights, delay, language or sales.")] = "flights",
    days: Annotated[
        int | None,
        typer.Option(
            help="How many days: of flights and delay up to 92 (November 2013, then October, then"
            " December; 61 without the option), of sales 14."
        ),
    ] = None,
) -> None:
    """Write an example's files and run its audit.

    They are real: flights that are late or not, with five candidates; their delay in minutes; and
    the language of texts, one of 88. These are audited from raw file to certificate. The sales are
    made up, with the faults of real exports, and end at the data's report.
    """
    from evaluator.demo import prepare
    from evaluator.orchestration import Home
    from evaluator.spec import load_audit, shipped_audits

    home = Home.from_environment()
    with progress_display() as display:
        prepare(audit, days, home, display)
        run = _audit_run(load_audit(audit, shipped_audits()), display)
        summary = run.run()
    # The demo is done when it has run; that not everything is accepted is what it shows.
    exit_code = _print_summary(run, summary)
    raise typer.Exit(Exit.DONE if exit_code == Exit.NOT_CERTIFIED else exit_code)


@commands.command(
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
    retry: Annotated[
        bool, typer.Option("--retry", help="Try refused days again, though nothing changed.")
    ] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Freeze the evaluation set anew, by all its days.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print outcomes and faults alone, and no progress.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring an audit up to date, and certify.

    It takes in what arrived, evaluates what is missing, and certifies. What is current is not
    computed again. Exit code 0: a candidate that was chosen is certified (or the audit has no
    gates, or no candidates, and all went well).
    """
    loaded = _load(audit)
    with progress_display(quiet=quiet) as display:
        audit_run = _audit_run(
            loaded, display, candidate=candidate, geography=geography, segment=segment
        )
        if fresh:
            audit_run.start_afresh()
        summary = audit_run.run(refresh=refresh, retry=retry)
    raise typer.Exit(_print_summary(audit_run, summary, quiet=quiet, as_json=as_json))


@commands.command(
    epilog="Example: evaluator validate flights .evaluator/landing/flights/flights-2013-11-01.csv",
)
def validate(
    audit: Annotated[str, typer.Argument(help="The audit whose data the file should be.")],
    file: Annotated[Path, typer.Argument(help="The file to look at; it is only read.")],
    *,
    as_json: AsJson = False,
    quarantine: Annotated[
        Path | None, typer.Option(help="Write the refused rows to this CSV, to be mended.")
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="The file should be one of the audit's labels.")
    ] = False,
) -> None:
    """Print a file's data quality report, without taking it in. Exit code 1: it is refused."""
    from tempfile import TemporaryDirectory

    from evaluator.intake import ingest, quarantine_to_csv

    stream = _stream(_load(audit), labels=labels)
    check_is_file(file)
    if quarantine is not None:
        check_can_be_written(quarantine)
    with TemporaryDirectory() as folder:
        result = ingest(file, stream.spec, into=Path(folder), name=file.name, slices=stream.slices)
        if quarantine is not None:
            quarantine_to_csv(result.quarantine_path, quarantine)
    typer.echo(result.profile.to_json().decode().strip() if as_json else result.report)
    raise typer.Exit(Exit.DONE if result.broken is None else Exit.NOT_CERTIFIED)


@commands.command(
    epilog="Examples: evaluator infer exports/sales-2024-03-01.csv;"
    " evaluator infer cases.csv --geography region --segment kind --label approved"
)
def infer(
    file: Annotated[Path, typer.Argument(help="A file like those that will come daily.")],
    geography: Geography = None,
    segment: Segment = None,
    label: Label = None,
    task: Task = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write a first `data:` section for an audit's YAML.

    It has a comment wherever it is unsure. With a label it is a whole first audit, divided by
    geography and segment where these are named; `evaluator new` puts it in place. Two values of
    the label are a binary task; texts, and up to 20 whole numbers, that repeat are classes
    (multiclass); other numbers are a regression.
    """
    from textwrap import indent

    import yaml

    from evaluator.intake import infer_audit, infer_schema
    from evaluator.orchestration import to_json

    check_is_file(file)
    if label is not None:
        section = infer_audit(file, label, task=task, geography=geography, segment=segment)
    elif geography is not None or segment is not None or task is not None:
        raise UsageError(
            "an audit that is divided by columns, or asks something, has a label",
            culprit="evaluator infer",
            fix="name the label too, or no column for the `data:` section alone",
        )
    else:
        section = "data:\n" + indent(infer_schema(file), "  ")
    tell([to_json(yaml.safe_load(section))] if as_json else [section.removesuffix("\n")])


@commands.command(
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
    *,
    labels: Annotated[
        bool, typer.Option("--labels", help="The day's labels, where these have their own files.")
    ] = False,
) -> None:
    """Write a day's refused rows for mending, or feed them back.

    What passes now joins the day's next version; the earlier one stays. Exit code 1: the day is
    not accepted.
    """
    from evaluator.orchestration import REPORT, known_day, replay_quarantine, write_quarantine

    if (quarantine is None) == (mended is None):
        raise UsageError(
            "say what to do with the day's refused rows",
            culprit="evaluator replay",
            fix="give either --quarantine FILE or --mended FILE",
        )
    loaded = _load(audit)
    stream = _stream(loaded, labels=labels)
    if quarantine is not None:
        check_can_be_written(quarantine)
    with progress_display() as display:
        run = _audit_run(loaded, display)
        day = known_day(run.state, stream, day)
        if quarantine is not None:
            count = write_quarantine(run.state, stream, day, quarantine)
        elif mended is not None:
            replay_quarantine(run.state, stream, day, mended)
            run.ingest_days()
    if quarantine is not None:
        typer.echo(f"{count:,} refused rows of {day} are in {quarantine}.")
        raise typer.Exit(Exit.DONE)
    if run.summary.faults:
        # The report that is there is of the day as it was before.
        raise typer.Exit(_print_summary(run, run.summary))
    report = run.state.require(stream.assets.report, day)
    typer.echo(run.state.store.read_bytes(report, REPORT).decode())
    raise typer.Exit(Exit.DONE if day in run.state.accepted_days(stream) else Exit.NOT_CERTIFIED)


def _stream(audit: "Audit", *, labels: bool) -> "Stream":
    """Choose the audit's data, or its labels."""
    from evaluator.orchestration import streams_of

    streams = streams_of(audit.spec)
    if labels and audit.spec.labels is None:
        raise UsageError(
            "the audit has no labels in files of their own",
            culprit="--labels",
            fix="leave it out: the labels stand in the data",
        )
    return streams[labels]


@commands.command(epilog="Examples: evaluator prune flights  |  evaluator prune flights --yes")
def prune(
    audit: Annotated[str, typer.Argument(help="The audit's name.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what nothing refers to any more, after saying what.

    As JSON it only says what, unless with --yes. Raw files, quarantined rows, certificates, and
    all that current versions and certificates rest on stay.
    """
    from evaluator.evidence import prune as remove
    from evaluator.orchestration import (
        Home,
        find_prunable,
        format_pruning_plan,
        pruning_plan_in,
        to_json,
    )

    home = Home.from_environment()
    loaded = _load(audit)
    plan = find_prunable(loaded, home)
    if as_json:
        if yes:
            remove(home.store(), plan)
        tell([to_json(pruning_plan_in(plan, removed=yes))])
        return
    tell(format_pruning_plan(plan))
    if not plan.is_empty and (yes or _is_agreed("Remove this for good?")):
        if not yes:
            # Whatever has begun meanwhile may refer to some of it.
            plan = find_prunable(loaded, home).within(plan)
        remove(home.store(), plan)
        typer.echo("Removed.")


@commands.command(
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
    output_format: Annotated[
        str, typer.Option("--format", help="text, json, prov (W3C PROV-JSON) or openlineage.")
    ] = "text",
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Tell what rests on it instead.")
    ] = False,
) -> None:
    """Tell what an output rests on, or what rests on it.

    It goes back to the files' bytes. It says what is superseded, and what is outdated since
    something that it rests on moved on. Exit code 3: the records contradict each other, or one is
    gone.
    """
    from datetime import UTC, datetime

    from evaluator.evidence import FORMATS
    from evaluator.orchestration import Home, Question, ask_lineage

    if output_format not in FORMATS:
        raise UsageError(
            f"there is no format {output_format!r}",
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
    typer.echo(FORMATS[output_format](answer))
    raise typer.Exit(Exit.FAULT if answer.problems else Exit.DONE)


@commands.command(epilog="Example: evaluator ui --port 3001")
def ui(
    port: Annotated[int, typer.Option(help="The port on this machine.", min=1, max=65535)] = 3000,
) -> None:
    """Run the Dagster UI and daemon over the same state.

    They listen on this machine only. An audit that does not load is told, and is red in the UI; the
    others are there. What ends of Dagster's processes is started again; Ctrl-C ends them all.
    """
    from evaluator.orchestration import Home, serve
    from evaluator.spec import audit_names, load_audit

    _check_can_listen(port)
    home = Home.from_environment()
    home.prepare()
    _hold_alone(home)
    folder = audits_folder()
    for name in audit_names(folder):
        try:
            load_audit(name, folder)
        except EvaluatorError as error:
            typer.echo(f"Error: {error}", err=True)
    serve(home, port, lambda told: typer.echo(told, err=True))


def _is_agreed(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort as silence:
        raise UsageError(
            "it asks before it removes, and nobody answers",
            culprit="evaluator prune",
            fix="answer in a terminal, or give --yes",
        ) from silence


def _check_can_listen(port: int) -> None:
    """Refuse a port before Dagster starts: its daemon would go on without the UI."""
    from evaluator.orchestration import why_not_listen

    problem = why_not_listen(port)
    if problem is not None:
        raise UsageError(
            f"the UI cannot listen there ({problem})",
            culprit=f"--port {port}",
            fix="end what listens there, or name another one, such as `evaluator ui --port 3001`",
        )


def _hold_alone(home: "Home") -> None:
    """Refuse a second daemon over one state, which would ask for every run twice."""
    import fcntl

    # Never closed, and inherited by nobody: it is this process's end that lets go of it.
    lock = os.open(home.ui_lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            "a UI with its daemon runs over this state already",
            culprit=str(home.root),
            fix="use that one, or end it first",
        ) from error


def _load(audit: str) -> "Audit":
    """Read an audit; a wrong YAML is reported before Dagster is loaded and progress is shown."""
    from evaluator.spec import load_audit

    return load_audit(audit, audits_folder())


def tell(lines: Iterable[str]) -> None:
    """Print lines."""
    for line in lines:
        typer.echo(line)


def state_of_audit(audit: str) -> "AuditState":
    """Read an audit, and open what is stored of it."""
    from evaluator.orchestration import AuditState, Home

    return AuditState(_load(audit), Home.from_environment())


def audits_folder() -> Path:
    """Return where the audits lie that are meant: the project's, or those that ship."""
    from evaluator.spec import find_project, shipped_audits

    project = find_project()
    return shipped_audits() if project is None else project.audits


def _audit_run(
    audit: "Audit",
    display: "Display",
    *,
    candidate: str | None = None,
    geography: str | None = None,
    segment: str | None = None,
) -> "AuditRun":
    from evaluator.orchestration import AuditState, Home

    home = Home.from_environment()
    home.prepare()
    if AuditState(audit, home).may_be_pending():
        # It imports what the candidates' processes need, while this one imports Dagster.
        from evaluator.orchestration import start_fork_server

        start_fork_server()
    from evaluator.orchestration import AuditRun, Choice

    return AuditRun(audit, home, Choice(candidate, geography, segment), display)


def _print_summary(
    run: "AuditRun", summary: "RunSummary", *, quiet: bool = False, as_json: bool = False
) -> Exit:
    """Print what a run did and found, and choose the exit code."""
    from evaluator.orchestration import (
        exit_code,
        format_outcomes,
        format_run_summary,
        run_to_json,
    )

    if as_json:
        tell([run_to_json(run.state, summary)])
    else:
        tell(format_outcomes(summary) if quiet else format_run_summary(run.state, summary))
    return Exit(exit_code(run.audit, run.choice, summary))


def check_can_be_written(path: Path) -> None:
    """Refuse what can be no file before anything is done for it."""
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(
            "no file can be written there",
            culprit=str(path),
            fix="name a file in a folder that is there",
        )
