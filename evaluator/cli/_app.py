"""The command itself, and the options that go with all of it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from evaluator.cli import _audits, _certificates, _check, _looking, _projects
from evaluator.verifier import run_command

app = typer.Typer(
    name="evaluator",
    help="Evaluate, compare and certify the outputs of AI systems, slice by slice.",
    epilog=(
        "Exit codes: 0 done or certified; 1 done and not certified, or a file refused;"
        " 2 wrong use or wrong YAML; 3 a fault; 130 or 143 stopped by Ctrl-C or SIGTERM."
        " The audits are those of the project that you stand in, or without one those that ship."
        " State lies in EVALUATOR_HOME, by default .evaluator in the project, or where you stand."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(asked: bool) -> None:
    if asked:
        from evaluator import __version__

        typer.echo(f"evaluator {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[  # noqa: ARG001 - `run_command` looks for it
        bool, typer.Option("--debug", help="Show where an error was raised.")
    ] = False,
    project: Annotated[
        Path | None,
        typer.Option(
            metavar="<folder>",
            help="The project that is meant, before the command; by default EVALUATOR_PROJECT, or"
            " the one that you stand in.",
        ),
    ] = None,
) -> None:
    """Hold the options that go with every command."""
    if project is not None:
        from evaluator.spec import PROJECT_VARIABLE, find_project

        # Processes that are started from here are told by it, too.
        os.environ[PROJECT_VARIABLE] = str(project.resolve())
        find_project()


app.add_typer(_check.commands)
app.add_typer(_projects.commands)
app.add_typer(_audits.commands)
app.add_typer(_looking.commands)
app.add_typer(_certificates.commands)


def main() -> None:
    """Run the command on the process's arguments, and turn errors into a message.

    Raises
    ------
    SystemExit
        With an exit code of `Exit`.
    """
    run_command(app, "evaluator")
