"""The command itself: its options, its exit codes, and how errors become sentences."""

import atexit
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from evaluator.cli import _audits, _certificates
from evaluator.cli._display import Exit
from evaluator.errors import EvaluatorError, IntakeError, RenamedKeyWarning, SpecError, UsageError

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


app.add_typer(_audits.commands)
app.add_typer(_certificates.commands)


def command() -> None:
    """Be the `evaluator` command, in a process of its own, and end the process at once.

    Python takes two seconds to take apart what Dagster, MLflow and pandas built up, for nothing.

    Raises
    ------
    SystemExit
        With an exit code of `Exit`, which ends the process when all that was registered to be done
        at its end is done.
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
    except SystemExit as request:
        code = request.code
        raise


def main() -> None:
    """Run the command on the process's arguments, and turn errors into a message.

    Raises
    ------
    SystemExit
        With an exit code of `Exit`.
    """
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _sentences_before(warnings.showwarning)
            app(arguments, prog_name="evaluator")
    except EvaluatorError as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"Error: {error}", err=True)
        sys.exit(_exit_of(error))
    except Exception as error:  # noqa: BLE001 - a fault is one sentence; its trace is for --debug
        if debug:
            traceback.print_exc()
        typer.echo(
            f"A fault of the program or the machine: {type(error).__name__}: {error}", err=True
        )
        if not debug:
            typer.echo("Run it again with --debug to see where.", err=True)
        sys.exit(Exit.FAULT)


def _sentences_before(show_other: Callable[..., None]) -> Callable[..., None]:
    """Show a warning that a user can act on as one sentence, without the code that warned."""
    shown = set()

    def show(message: Warning | str, category: type[Warning], *location: Any) -> None:
        if not issubclass(category, RenamedKeyWarning):
            show_other(message, category, *location)
        elif str(message) not in shown:
            shown.add(str(message))
            typer.echo(f"Warning: {message}", err=True)

    return show


def _exit_of(error: EvaluatorError) -> Exit:
    if isinstance(error, SpecError | UsageError):
        return Exit.WRONG_USE
    return Exit.NOT_CERTIFIED if isinstance(error, IntakeError) else Exit.FAULT
