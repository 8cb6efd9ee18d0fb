"""The command itself: its options, and how its process ends."""

import atexit
import logging
import os
import sys
from typing import Annotated

import typer

from evaluator.cli import _audits, _certificates
from evaluator.verifier import Exit, run_command

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
    run_command(app, "evaluator")
