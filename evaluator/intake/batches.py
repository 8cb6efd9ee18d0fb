"""What every reader hands on: rows as text, with where and how each of them stood in the file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Reject:
    """A row that cannot be split into fields.

    Parameters
    ----------
    line
        Its physical line, from 1.
    original
        Its bytes.
    rule, message
        What is wrong with it: in short, and in words.
    """

    line: int
    original: bytes
    rule: str
    message: str


@dataclass
class Batch:
    """Some consecutive rows.

    Parameters
    ----------
    frame
        One column of texts for each column that the audit reads from the file; null where the
        file has no text at all.
    line
        The physical line of each row of `frame`.
    originals
        Gives the bytes of the rows with these indices.
    rejects
        The rows that are not in `frame`, in order.
    plain
        Columns whose texts were made from typed values and so are spelled the plain way, whatever
        spellings the audit declares.
    """

    frame: "pl.DataFrame"
    line: npt.NDArray[np.int64]
    originals: Callable[[npt.NDArray[np.int64]], list[bytes]]
    rejects: list[Reject] = field(default_factory=list)
    plain: frozenset[str] = frozenset()


@dataclass
class Reading:
    """What a reader found out about the file; complete once its batches are read.

    Parameters
    ----------
    layout
        How the file is laid out, for the profile.
    header
        The names of the file's columns, in order.
    notes
        What a person should know though it refuses nothing.
    facts
        Counts about the structure, for the profile.
    """

    layout: dict[str, Any] = field(default_factory=dict)
    header: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
