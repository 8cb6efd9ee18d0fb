"""Ranges cover exactly what is wanted, none of it twice."""

from collections import Counter
from collections.abc import Sequence

import dagster as dg
from hypothesis import given, settings, strategies as st

from evaluator.orchestration._partitions import (
    Range,
    SlicePartitions,
    ranges_of,
    slice_ranges_of,
)
from evaluator.scorecard import Slice

KEYS = [f"k{number}" for number in range(12)]
PLACES = ["east", "west", "north", "south", "far"]
KINDS = ["new", "old", "gone", "back"]
ALL = [Slice(place, kind) for place in PLACES for kind in KINDS]


def members(keys: list[str], chosen: Range) -> list[str]:
    """All keys from the first to the last, as Dagster takes a range."""
    return keys[keys.index(chosen.first) : keys.index(chosen.last) + 1]


def slice_members(chosen: Sequence[Slice]) -> list[Slice]:
    """Dagster takes a range of two dimensions as the product of the two ranges."""
    first, last = chosen[0], chosen[-1]
    return [
        Slice(p, k)
        for p in members(PLACES, Range(first.geography, last.geography))
        for k in members(KINDS, Range(first.segment, last.segment))
    ]


@settings(max_examples=200, derandomize=True)
@given(st.sets(st.sampled_from(KEYS)))
def test_ranges_cover_exactly_the_wanted_keys_and_none_twice(wanted: set[str]) -> None:
    covered = [key for chosen in ranges_of(KEYS, wanted) for key in members(KEYS, chosen)]

    assert covered == [key for key in KEYS if key in wanted]


@settings(max_examples=100, derandomize=True)
@given(st.sets(st.sampled_from(KEYS)))
def test_ranges_are_as_few_as_can_be(wanted: set[str]) -> None:
    ends = [key for key, after in zip(KEYS, [*KEYS[1:], ""], strict=True)
            if key in wanted and after not in wanted]  # fmt: skip

    assert [chosen.last for chosen in ranges_of(KEYS, wanted)] == ends


@settings(max_examples=300, derandomize=True)
@given(st.sets(st.sampled_from(ALL)))
def test_slice_ranges_cover_exactly_the_wanted_slices_and_none_twice(wanted: set[Slice]) -> None:
    ranges = slice_ranges_of(ALL, wanted)

    assert all(chosen == slice_members(chosen) for chosen in ranges)
    assert Counter(one for chosen in ranges for one in chosen) == Counter(wanted)


def test_all_slices_are_one_range() -> None:
    assert slice_ranges_of(ALL, set(ALL)) == [ALL]


def test_one_slice_is_one_range() -> None:
    assert slice_ranges_of(ALL, [Slice("north", "gone")]) == [[Slice("north", "gone")]]


def test_one_geography_and_one_segment_are_one_range_each() -> None:
    place = [Slice("west", kind) for kind in KINDS]
    kind = [Slice(place, "old") for place in PLACES]

    assert slice_ranges_of(ALL, place) == [place]
    assert slice_ranges_of(ALL, kind) == [kind]


def test_what_is_not_among_the_keys_is_left_out() -> None:
    assert ranges_of(KEYS, ["k3", "nothing"]) == [Range("k3", "k3")]
    assert slice_ranges_of(ALL, [Slice("east", "nothing"), Slice("nothing", "new")]) == []
    assert ranges_of([], ["k3"]) == []


def test_a_range_of_slices_is_dagsters_and_listed_once() -> None:
    dimensions = {
        "geography": dg.StaticPartitionsDefinition(PLACES),
        "segment": dg.StaticPartitionsDefinition(KINDS),
    }
    partitions, dagsters = SlicePartitions(dimensions), dg.MultiPartitionsDefinition(dimensions)
    for last in ("south|gone", "far|back"):
        chosen = dg.PartitionKeyRange("east|new", last)
        listed = partitions.get_partition_keys_in_range(chosen)

        assert listed == dagsters.get_partition_keys_in_range(chosen)
        assert partitions.get_partition_keys_in_range(chosen) is listed
