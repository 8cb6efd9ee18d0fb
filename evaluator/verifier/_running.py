"""How a command of ours runs: what its exit codes say, and how errors become sentences."""

import sys
import traceback
import warnings
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import typer

from evaluator.errors import (
    EvaluatorError,
    IntakeError,
    RenamedKeyWarning,
    SpecError,
    UsageError,
    fault_of,
    in_words,
)


class Exit(IntEnum):
    """What a command's exit code says; one that a signal stopped has 128 and its number."""

    DONE = 0
    NOT_CERTIFIED = 1
    WRONG_USE = 2
    FAULT = 3


def run_command(app: typer.Typer, name: str) -> None:
    """Run a command on the process's arguments, and turn errors into a message.

    Parameters
    ----------
    app
        The command. ``--debug`` is taken out of its arguments: it shows where an error was raised.
    name
        What it is called.

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
            command = typer.main.get_command(app)
            command.invoke = _with_faults(command.invoke)  # type: ignore[method-assign] # see there
            command(arguments, prog_name=name)
    except EvaluatorError as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"Error: {error}", err=True)
        sys.exit(_exit_of(error))
    except Exception as error:  # noqa: BLE001 - a fault is one sentence; its trace is for --debug
        if debug:
            traceback.print_exc()
        what = in_words(f"{type(error).__name__}: {error}")
        typer.echo(f"A fault of the {fault_of(error)}: {what}", err=True)
        if not debug and fault_of(error) == "program":
            typer.echo("Run it again with --debug to see where.", err=True)
        sys.exit(Exit.FAULT)


def _with_faults(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """Let what ended too early be a fault; typer takes it for a person who gives no answer."""

    def invoke_command(context: typer.Context) -> Any:
        try:
            return invoke(context)
        except EOFError as error:
            raise ConnectionError(f"something ended too early ({error})") from error

    return invoke_command


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
    refuses = isinstance(error, IntakeError) and fault_of(error) == "input"
    return Exit.NOT_CERTIFIED if refuses else Exit.FAULT
