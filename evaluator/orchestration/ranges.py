"""From a set of partitions to the few ranges that cover exactly it.

Dagster runs a range of partitions in one run. A range of slices is the product of a range of
geographies and a range of segments.
"""

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import NamedTuple


class Range(NamedTuple):
    """The first and the last key of a range, both included."""

    first: str
    last: str


def ranges_of(keys: Sequence[str], wanted: Collection[str]) -> list[Range]:
    """Cover the wanted keys by stretches of neighbours.

    Parameters
    ----------
    keys
        All keys, in their order.
    wanted
        Those to cover; keys that are not among `keys` are left out.
    """
    numbered = [(position, key) for position, key in enumerate(keys) if key in wanted]
    stretches = []
    # Neighbours keep the same distance between their place here and their place in all keys.
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
