"""The partitions of an audit and the mappings between them.

Every edge names its mapping: between slices and an unrelated definition Dagster would infer
an identity that resolves to nothing, without an error.
"""

from datetime import timedelta

import dagster as dg

from evaluator.spec import AuditSpec

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
