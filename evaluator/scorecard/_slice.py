"""A slice by its name.

Apart from what reads tables, so that an audit's YAML is read without pandas.
"""

from typing import NamedTuple

SLICE_SEPARATOR = "|"


class Slice(NamedTuple):
    """One geography x one segment: the least part of an evaluation set that has a result."""

    geography: str
    segment: str

    @property
    def key(self) -> str:
        """Its name as a partition of an asset, which is Dagster's: ``geography|segment``."""
        return f"{self.geography}{SLICE_SEPARATOR}{self.segment}"

    @classmethod
    def of_key(cls, key: str | None) -> "Slice":
        """Read the name of a partition.

        Raises
        ------
        ValueError
            Where it names no slice.
        """
        geography, segment = str(key).split(SLICE_SEPARATOR)
        return cls(geography, segment)
