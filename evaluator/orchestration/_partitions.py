"""The partitions of an audit and the mappings between them.

Every edge names its mapping: between slices and an unrelated definition Dagster would infer
an identity that resolves to nothing, without an error.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import groupby
from typing import NamedTuple
from urllib.parse import urlsplit

import dagster as dg

from evaluator.spec import AuditSpec, CandidateSpec

GEOGRAPHY = "geography"
SEGMENT = "segment"

SAME_PARTITION = dg.IdentityPartitionMapping()
"""A day rests on the same day, a slice on the same slice."""

ALL_PARTITIONS = dg.AllPartitionMapping()
"""A whole rests on every part; and a part on the whole that it is cut from."""


def daily(spec: AuditSpec) -> dg.DailyPartitionsDefinition:
    """Partitions of the intake: a day a file."""
    last = spec.data.last_day
    return dg.DailyPartitionsDefinition(
        start_date=spec.data.first_day.isoformat(),
        # Dagster's end is the first day that is left out.
        end_date=(last + timedelta(days=1)).isoformat() if last else None,
        # A day's file arrives on that day, not after its midnight.
        end_offset=0 if last else 1,
    )


def slices(spec: AuditSpec) -> dg.MultiPartitionsDefinition:
    """Partitions of the evaluation: a geography x a segment."""
    values = spec.slice_values()
    return dg.MultiPartitionsDefinition(
        {
            GEOGRAPHY: dg.StaticPartitionsDefinition(list(values[GEOGRAPHY])),
            SEGMENT: dg.StaticPartitionsDefinition(list(values[SEGMENT])),
        }
    )


class Range(NamedTuple):
    """The first and the last key of a range, both included."""

    first: str
    last: str


def ranges_of(keys: Sequence[str], wanted: Collection[str]) -> list[Range]:
    """Cover the wanted keys by stretches of neighbours."""
    numbered = [(position, key) for position, key in enumerate(keys) if key in wanted]
    stretches = []
    # Neighbours keep the same distance between their position here and that in all keys.
    for _, members in groupby(enumerate(numbered), key=lambda item: item[1][0] - item[0]):
        stretch = [key for _, (_, key) in members]
        stretches.append(Range(stretch[0], stretch[-1]))
    return stretches


def slice_ranges_of(
    geographies: Sequence[str], segments: Sequence[str], wanted: Collection[str]
) -> list[Range]:
    """Cover the wanted slices by products of neighbouring geographies and segments.

    Geographies that want the same segments share their ranges, so that all slices are one range.
    """
    by_geography = {
        geography: tuple(s for s in segments if f"{geography}|{s}" in wanted)
        for geography in geographies
    }
    found = []
    for chosen in dict.fromkeys(by_geography.values()):
        alike = [geography for geography, own in by_geography.items() if own == chosen]
        found += [
            Range(f"{rows.first}|{columns.first}", f"{rows.last}|{columns.last}")
            for rows in ranges_of(geographies, alike)
            for columns in ranges_of(segments, chosen)
        ]
    return found


class SliceBatch(NamedTuple):
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


def slice_batches(
    spec: AuditSpec, candidate: CandidateSpec, pending: Collection[str], *, wanted: int
) -> list[SliceBatch]:
    """Cut a candidate's pending slices into batches of neighbours."""
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
        SliceBatch(candidate.name, part, tuple(slice_ranges_of(geographies, segments, part)), pool)
        for part in (tuple(keys[start : start + size]) for start in range(0, len(keys), size or 1))
    ]
