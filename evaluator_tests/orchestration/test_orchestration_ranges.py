"""Ranges cover exactly what is wanted, none of it twice."""

from collections import Counter

from hypothesis import given, settings, strategies as st

from evaluator.orchestration._partitions import Range, ranges_of, slice_ranges_of

KEYS = [f"k{number}" for number in range(12)]
PLACES = ["east", "west", "north", "south", "far"]
KINDS = ["new", "old", "gone", "back"]
ALL = [f"{place}|{kind}" for place in PLACES for kind in KINDS]


def members(keys: list[str], chosen: Range) -> list[str]:
    """All keys from the first to the last, as Dagster takes a range."""
    return keys[keys.index(chosen.first) : keys.index(chosen.last) + 1]


def slice_members(chosen: Range) -> list[str]:
    """Dagster takes a range of two dimensions as the product of the two ranges."""
    (place, kind), (last_place, last_kind) = (key.split("|") for key in chosen)
    return [
        f"{p}|{k}"
        for p in members(PLACES, Range(place, last_place))
        for k in members(KINDS, Range(kind, last_kind))
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
def test_slice_ranges_cover_exactly_the_wanted_slices_and_none_twice(wanted: set[str]) -> None:
    ranges = slice_ranges_of(PLACES, KINDS, wanted)

    covered = Counter(key for chosen in ranges for key in slice_members(chosen))

    assert covered == Counter(wanted)


def test_all_slices_are_one_range() -> None:
    assert slice_ranges_of(PLACES, KINDS, set(ALL)) == [Range("east|new", "far|back")]


def test_one_slice_is_one_range() -> None:
    assert slice_ranges_of(PLACES, KINDS, ["north|gone"]) == [Range("north|gone", "north|gone")]


def test_one_geography_and_one_segment_are_one_range_each() -> None:
    place = [f"west|{kind}" for kind in KINDS]
    kind = [f"{place}|old" for place in PLACES]

    assert slice_ranges_of(PLACES, KINDS, place) == [Range("west|new", "west|back")]
    assert slice_ranges_of(PLACES, KINDS, kind) == [Range("east|old", "far|old")]


def test_what_is_not_among_the_keys_is_left_out() -> None:
    assert ranges_of(KEYS, ["k3", "nothing"]) == [Range("k3", "k3")]
    assert slice_ranges_of(PLACES, KINDS, ["east|nothing", "nothing|new"]) == []
    assert ranges_of([], ["k3"]) == []
