"""The partitions of an audit and the mappings between them.

Every edge names its mapping: between slices and an unrelated definition Dagster would infer
an identity that resolves to nothing, without an error.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import groupby, product, starmap
from typing import Any, NamedTuple

import dagster as dg

from evaluator.scorecard import Slice
from evaluator.spec import SNAPSHOT, Audit, AuditSpec, CandidateSpec, DataSpec

GEOGRAPHY = "geography"
SEGMENT = "segment"

SAME_PARTITION = dg.IdentityPartitionMapping()
"""A day rests on the same day, a slice on the same slice."""

ALL_PARTITIONS = dg.AllPartitionMapping()
"""A whole rests on every part; and a part on the whole that it is cut from."""


def intake_partitions(data: DataSpec) -> dg.PartitionsDefinition[str]:
    """Partitions of the intake: a file each, by the first day that it is of, or one snapshot."""
    first, last = data.first_day, data.last_day
    if first is None or data.period == SNAPSHOT:
        return dg.StaticPartitionsDefinition([SNAPSHOT])
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule={"day": "0 0 * * *", "month": "0 0 1 * *", "year": "0 0 1 1 *"}[data.period],
        fmt="%Y-%m-%d",
        start=data.start_of_period(first).isoformat(),
        # Dagster's end is the first day that is left out.
        end=(data.end_of_period(last) + timedelta(days=1)).isoformat() if last else None,
        # A day's file arrives on that day, not after its midnight; what a table has is whole later.
        end_offset=0 if last or data.table else 1,
    )


class SlicePartitions(dg.MultiPartitionsDefinition):
    """Slices, whose ranges are listed once.

    Dagster lists a range anew for each partition that a step describes, all keys of it each time:
    with a thousand slices that was half of a run.
    """

    def get_partition_keys_in_range(
        self, partition_key_range: dg.PartitionKeyRange, dynamic_partitions_store: Any = None
    ) -> Sequence[Any]:
        """Return all keys of the product of two ranges."""
        kinds = [dimension.partitions_def for dimension in self.partitions_defs]
        if any(isinstance(kind, dg.DynamicPartitionsDefinition) for kind in kinds):
            # They may have become more since.
            return super().get_partition_keys_in_range(
                partition_key_range, dynamic_partitions_store
            )
        listed: dict[dg.PartitionKeyRange, Sequence[Any]] = self.__dict__.setdefault("_listed", {})
        if partition_key_range not in listed:
            listed[partition_key_range] = super().get_partition_keys_in_range(
                partition_key_range, dynamic_partitions_store
            )
        return listed[partition_key_range]


def slices(audit: Audit) -> dg.MultiPartitionsDefinition:
    """Partitions of the evaluation: a geography x a segment."""
    values = audit.spec.slice_values()
    return SlicePartitions(
        {
            dimension: dg.DynamicPartitionsDefinition(name=_set_of(audit, dimension))
            if dimension in audit.spec.discovered
            else dg.StaticPartitionsDefinition(list(values[dimension]))
            for dimension in (GEOGRAPHY, SEGMENT)
        }
    )


def tell_values(instance: dg.DagsterInstance, audit: Audit) -> AuditSpec:
    """Tell Dagster which values were found, and return the audit with them in Dagster's order."""
    ordered = {}
    for dimension, how in audit.spec.discovered.items():
        name = _set_of(audit, dimension)
        known = instance.get_dynamic_partitions(name)
        new = [value for value in how.found if value not in known]
        if new:
            instance.add_dynamic_partitions(name, new)
        # One that Dagster has and the evaluation set has not is another state's.
        ordered[dimension] = [value for value in [*known, *new] if value in how.found]
    return audit.spec.with_found(ordered)


def _set_of(audit: Audit, dimension: str) -> str:
    """Name the set of partitions with the values of a dimension."""
    return f"{audit.name}_{dimension}"


class Range(NamedTuple):
    """The first and the last key of a range, both included."""

    first: str
    last: str


def ranges_of(keys: Sequence[str], wanted: Collection[str]) -> list[Range]:
    """Cover the wanted keys by stretches of neighbours."""
    return [Range(stretch[0], stretch[-1]) for stretch in _stretches(keys, wanted)]


def _stretches(keys: Sequence[str], wanted: Collection[str]) -> list[list[str]]:
    numbered = [(position, key) for position, key in enumerate(keys) if key in wanted]
    # Neighbours keep the same distance between their position here and that in all keys.
    together = groupby(enumerate(numbered), key=lambda item: item[1][0] - item[0])
    return [[key for _, (_, key) in members] for _, members in together]


def slice_ranges_of(slices: Sequence[Slice], wanted: Collection[Slice]) -> list[list[Slice]]:
    """Cover the wanted slices by products of neighbouring geographies and segments.

    Geographies that want the same segments share their ranges, so that all slices are one range.
    """
    geographies = list(dict.fromkeys(one.geography for one in slices))
    segments = list(dict.fromkeys(one.segment for one in slices))
    by_geography = {
        geography: tuple(s for s in segments if (geography, s) in wanted)
        for geography in geographies
    }
    return [
        list(starmap(Slice, product(rows, columns)))
        for chosen in dict.fromkeys(by_geography.values())
        for rows in _stretches(geographies, [g for g in geographies if by_geography[g] == chosen])
        for columns in _stretches(segments, chosen)
    ]


def slice_batches(
    spec: AuditSpec, candidate: CandidateSpec, pending: Collection[Slice], *, wanted: int
) -> list[list[Slice]]:
    """Cut a candidate's pending slices into ranges, of which each is a run of its own."""
    slices = spec.slices()
    segments = len({one.segment for one in slices})
    pending = [one for one in slices if one in pending]
    if spec.partitions_per_run is not None:
        size = spec.partitions_per_run
    else:
        # What cannot run side by side is not cut.
        size = -(-len(pending) // (1 if candidate.pool else wanted))
        # Whole geographies stay together where there are enough of them: a range is a product.
        if len(slices) // segments >= wanted:
            size = -(-size // segments) * segments
    return [
        chosen
        for start in range(0, len(pending), size or 1)
        for chosen in slice_ranges_of(slices, pending[start : start + size])
    ]
