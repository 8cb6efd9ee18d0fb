"""The command itself, and the options that go with all of it."""

from typing import Annotated

import typer

from evaluator.cli import _audits, _certificates
from evaluator.verifier import run_command

app = typer.Typer(
    name="evaluator",
    help="Evaluate, compare and certify the outputs of AI systems, slice by slice.",
    epilog=(
        "Exit codes: 0 done or certified; 1 done and not certified, or a file refused;"
        " 2 wrong use or wrong YAML; 3 a fault; 130 or 143 stopped by Ctrl-C or SIGTERM."
        " State lies under EVALUATOR_HOME (.evaluator)."
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


def main() -> None:
    """Run the command on the process's arguments, and turn errors into a message.

    Raises
    ------
    SystemExit
        With an exit code of `Exit`.
    """
    run_command(app, "evaluator")
