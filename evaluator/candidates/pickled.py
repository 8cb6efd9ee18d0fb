"""Reading a pickle or joblib file, whose bytes are those that were trusted."""

import hashlib
import hmac
import io
from pathlib import Path
from typing import Any

from evaluator.candidates.artifact import existing_artifact
from evaluator.candidates.faults import fault
from evaluator.spec.candidates import PickleCandidate


def read_pickle(candidate: PickleCandidate, home: Path) -> Any:
    """Read the pickled classifier.

    The bytes that are compared with the pinned SHA-256 are the very ones that are then read, so
    that a file cannot be exchanged in between.

    Raises
    ------
    CandidateError
        Where the file is absent, is not the one that was pinned, or cannot be read.
    """
    content = existing_artifact(candidate, home).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if not hmac.compare_digest(found, candidate.sha256):
        raise fault(
            candidate,
            f"the SHA-256 of its artifact is {found}, and {candidate.sha256} is pinned, so nothing"
            " of it was read",
            fix="if you trust the new file, pin its digest under `sha256`",
        )
    import joblib  # type: ignore[import-untyped] # it ships no types

    try:
        return joblib.load(io.BytesIO(content))
    except Exception as error:
        raise fault(
            candidate,
            f"its artifact cannot be unpickled ({type(error).__name__}: {error})",
            fix="save the model again with the installed versions of its libraries",
        ) from error
