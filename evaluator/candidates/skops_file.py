"""Reading a skops file: types that are not trusted are named, and nothing is unpickled."""

from pathlib import Path
from typing import Any

from evaluator.candidates.faults import fault
from evaluator.spec.candidates import MlflowCandidate, SkopsCandidate


def read_skops(candidate: SkopsCandidate | MlflowCandidate, path: Path) -> Any:
    """Read a model in the skops format.

    Raises
    ------
    CandidateError
        Where it holds types that the YAML does not trust, or cannot be read.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(path, trusted=list(candidate.trusted_types))
    except UntrustedTypesFoundException:
        unknown = sorted(
            set(skops.io.get_untrusted_types(file=path)) - set(candidate.trusted_types)
        )
        raise fault(
            candidate,
            f"its artifact holds types that are not trusted: {', '.join(unknown)}",
            fix="if you trust them, list them under `trusted_types` in the audit's YAML",
        ) from None
    except Exception as error:
        raise fault(
            candidate,
            f"its artifact {path} cannot be read as skops ({type(error).__name__}: {error})",
            fix="save the model again with skops.io.dump and the installed scikit-learn",
        ) from error
