"""The command `evaluator-verify`, with rooms of the evaluator that nobody else imports.

They lie in this package's folder, so that the whole package may be beside it, in any version, and
either may be uninstalled.
"""

import sys
from pathlib import Path


def main() -> None:
    """Be the command."""
    sys.path.insert(0, str(Path(__file__).parent))
    from evaluator import verifier  # noqa: PLC0415 - only now it is the one here

    with verifier.stopped_by_signals():
        verifier.main()
