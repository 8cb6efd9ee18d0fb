"""How the work of a terminal's run is cut, so that every core has some."""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from evaluator.orchestration.ranges import Range, slice_ranges_of
from evaluator.spec import AuditSpec, CandidateSpec


class Portion(NamedTuple):
    """Some slices of one candidate, which one process evaluates."""

    candidate: str
    slice_keys: tuple[str, ...]
    ranges: tuple[Range, ...]
    pool: str | None
    """What it needs and others must not use at the same time."""


def pool_of(candidate: CandidateSpec) -> str | None:
    """Name the scarce thing that a candidate needs: the server of its endpoint."""
    if candidate.kind != "http":
        return None
    return f"endpoint_{urlsplit(candidate.url).netloc.replace(':', '_').replace('.', '_')}"


def portions_of(
    spec: AuditSpec, candidate: CandidateSpec, pending: Collection[str], *, wanted: int
) -> list[Portion]:
    """Cut a candidate's pending slices into portions of neighbours.

    Parameters
    ----------
    spec
        Knows all slices, and how many a run may have.
    candidate
        Whose slices they are.
    pending
        The keys of the slices to evaluate.
    wanted
        How many portions would keep the cores busy; what needs a pool is one portion.
    """
    values = spec.slice_values()
    geographies, segments = values["geography"], values["segment"]
    keys = [f"{g}|{s}" for g in geographies for s in segments if f"{g}|{s}" in pending]
    pool = pool_of(candidate)
    if spec.partitions_per_run is not None:
        size = spec.partitions_per_run
    else:
        size = -(-len(keys) // (1 if pool else wanted))
        # Whole geographies stay together where there are enough of them: a range is a product.
        if len(geographies) >= wanted:
            size = -(-size // len(segments)) * len(segments)
    return [
        Portion(candidate.name, part, _ranges(geographies, segments, part), pool)
        for part in (tuple(keys[start : start + size]) for start in range(0, len(keys), size or 1))
    ]


def _ranges(
    geographies: Sequence[str], segments: Sequence[str], keys: Collection[str]
) -> tuple[Range, ...]:
    return tuple(slice_ranges_of(geographies, segments, keys))
