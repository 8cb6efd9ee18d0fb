"""Candidates that are the same thing under two names."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple


class Duplicates(NamedTuple):
    """Candidates that cannot differ."""

    what: Literal["artifact", "predictions"]
    """What is identical."""
    candidates: tuple[str, ...]

    @property
    def words(self) -> str:
        """The finding as a sentence."""
        names = f"{', '.join(self.candidates[:-1])} and {self.candidates[-1]}"
        if self.what == "artifact":
            return f"{names} have the same artifact, byte for byte"
        return f"{names} gave identical predictions on every slice"


def find_duplicates(
    artifacts: Mapping[str, str | None], predictions: Mapping[str, Sequence[str | None]]
) -> list[Duplicates]:
    """Find candidates whose artifacts or whose predictions are identical.

    Parameters
    ----------
    artifacts
        Each candidate's artifact by its digest; None where it was never seen.
    predictions
        Each candidate's predictions by their content versions, slices in the same order; None
        for a slice that is missing. Only candidates without a missing slice are compared.
    """
    complete = {
        name: tuple(versions)
        for name, versions in predictions.items()
        if all(versions) and versions
    }
    known = {name: digest for name, digest in artifacts.items() if digest is not None}
    return [
        *(Duplicates("artifact", names) for names in _alike(known)),
        *(Duplicates("predictions", names) for names in _alike(complete)),
    ]


def _alike(things: Mapping[str, object]) -> list[tuple[str, ...]]:
    names: dict[object, list[str]] = {}
    for name, thing in things.items():
        names.setdefault(thing, []).append(name)
    return [tuple(group) for group in names.values() if len(group) > 1]
