"""The process of the command `evaluator`, from its first line to its end."""

import atexit
import logging
import os
import sys

from evaluator.verifier import Exit, stopped_by_signals


def command() -> None:
    """Be the `evaluator` command, in a process of its own, and end the process at once.

    Python takes two seconds to take apart what Dagster, MLflow and pandas built up, for nothing.

    Raises
    ------
    SystemExit
        With an exit code of `Exit`, or as `stopped_by_signals` says, which ends the process when
        all that was registered to be done at its end is done.
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
        with stopped_by_signals():
            # It takes most of the time of a command that does little.
            from evaluator.cli._app import main

            main()
        code = Exit.DONE
    except SystemExit as request:
        code = request.code
        raise
