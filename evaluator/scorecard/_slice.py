"""A slice by its name.

Apart from what reads tables, so that an audit's YAML is read without pandas.
"""

import re
from typing import Final, NamedTuple
from urllib.parse import quote

SLICE_SEPARATOR = "|"

ALL: Final = "all"
"""The one value of a dimension by which an audit does not divide its cases."""

OTHER: Final = "other"
"""Of a dimension whose values are discovered: all values that are not told apart."""

# Dagster builds keys and ranges of slices with some of these, and refuses others; `/` and what is
# no character would be lost where a slice is shown or is a folder.
_REFUSED: Final = re.compile(r"[|,\[\]/\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\.\.\.")
_MAX_FOLDER_LENGTH: Final = 200


def can_name_partitions(value: str) -> bool:
    """Tell whether a value of geography or segment can be part of a slice's name."""
    if _REFUSED.search(value) or value in {"", ".", ".."} or value != value.strip():
        return False
    # It is a folder of the evidence, which spells it so.
    return len(quote(value, safe="")) <= _MAX_FOLDER_LENGTH


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
