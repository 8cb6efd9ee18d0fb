"""The commands that make what is the user's own: a project, and audits in it."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evaluator.cli._audits import Geography, Label, Segment, Task
from evaluator.errors import UsageError, check_is_file

if TYPE_CHECKING:
    from evaluator.orchestration import FirstAudit
    from evaluator.spec import Project

commands = typer.Typer()


@commands.command(
    epilog="Examples: evaluator init my-audits  |  evaluator init my-audits --from"
    " loans-2026-01-01.csv --label approved",
)
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder; its name becomes a package's.")
    ],
    file: Annotated[
        Path | None, typer.Option("--from", help="A data file, for a first audit called as it is.")
    ] = None,
    geography: Geography = None,
    segment: Segment = None,
    label: Label = None,
    *,
    task: Task = None,
) -> None:
    """Make a project of your own, with a first audit of a file.

    It is a project of Dagster's, too: its own tools know it, and assets of yours may stand in it.
    """
    from evaluator.orchestration import FirstAudit, check_new_project, make_project, name_from

    if file is None and (geography or segment or label or task):
        raise UsageError(
            "columns are a file's", culprit="evaluator init", fix="name the file with --from"
        )
    first = inferred = None
    check_new_project(folder)
    if file is not None:
        check_is_file(file)
        first = FirstAudit(name_from(file), file, geography, segment, label, task)
        # A file that is none of an audit is told before anything is made.
        inferred = first.infer()
    project = make_project(folder)
    typer.echo(f"{project.root} is a project; its README.md says what lies where.")
    if first is not None:
        _write(first, project, inferred)
    then = "new AUDIT --from FILE" if first is None else f"run {first.name}"
    typer.echo(f"Next:\n  cd {shlex.quote(str(folder))}\n  evaluator {then}")


@commands.command(
    epilog="Examples: evaluator new loans --from loans-2026-01-01.csv  |  evaluator new loans"
    " --from cases.csv --label approved --recorded vendor.csv --recorded rule.csv",
)
def new(
    audit: Annotated[str, typer.Argument(help="What it shall be called.")],
    *,
    file: Annotated[
        Path, typer.Option("--from", help="A data file; one whose name has no date comes once.")
    ],
    geography: Geography = None,
    segment: Segment = None,
    label: Label = None,
    task: Task = None,
    recorded: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="<file>",
            help="What an AI system gave for the cases, to be judged; the first is the baseline.",
        ),
    ] = None,
) -> None:
    """Write a first audit into the project, ready to run.

    What it runs on is put where the audit looks for it. What is in the YAML is found in the files,
    with a comment wherever it is unsure. Without a label the audit ends at the data's report.
    """
    from evaluator.orchestration import FirstAudit
    from evaluator.spec import find_project

    project = find_project()
    if project is None:
        raise UsageError(
            "there is no project for it to lie in",
            culprit="evaluator new",
            fix="make a project first, `evaluator init DIR`, and stand in it, or name it with"
            " `evaluator --project DIR new ...`",
        )
    for path in (file, *(recorded or ())):
        check_is_file(path)
    first = FirstAudit(audit, file, geography, segment, label, task, recorded or ())
    _write(first, project)
    typer.echo(f"Next:\n  evaluator run {audit}")


def _write(first: "FirstAudit", project: "Project", inferred: str | None = None) -> None:
    from evaluator.orchestration import Home, write_first_audit

    home = Home.from_environment(project.root)
    path = write_first_audit(first, project, home, inferred)
    unsure = path.read_text(encoding="utf-8").count("# unsure")
    typer.echo(f"{path} is written; {unsure} of its lines are unsure: look at them.")
    typer.echo(f"Its data arrive in {home.landing(first.name)}, where the file is now.")
