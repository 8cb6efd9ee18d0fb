import numpy as np
import polars as pl
from hypothesis import given, strategies as st

from evaluator.intake._uniqueness import Uniqueness

ROWS = st.tuples(st.one_of(st.none(), st.integers(0, 12)), st.integers(0, 1), st.booleans())


def naively(rows: list[tuple[int | None, int, bool]], width: int) -> list[bool]:
    """Say it row by row: an earlier kept row that repeats nothing itself holds the key."""
    held: set[tuple[int | None, ...]] = set()
    found = []
    for *key, kept in rows:
        wanted = tuple(key[:width])
        repeats = None not in wanted and wanted in held
        found.append(repeats)
        if kept and not repeats and None not in wanted:
            held.add(wanted)
    return found


@given(st.lists(ROWS, max_size=60), st.integers(1, 9), st.sampled_from([1, 2]), st.booleans())
def test_what_repeats_does_not_depend_on_how_rows_are_batched(
    rows: list[tuple[int | None, int, bool]],
    size: int,
    width: int,
    rising: bool,  # noqa: FBT001 - hypothesis passes by position
) -> None:
    if rising:
        rows = sorted((row for row in rows if row[0] is not None), key=lambda row: row[0] or 0)
    memory = Uniqueness(("a", "b")[:width])
    found: list[bool] = []
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        frame = pl.DataFrame(
            {"a": [row[0] for row in part], "b": [row[1] for row in part]},
            schema={"a": pl.Int64, "b": pl.Int64},
        )
        found += memory.repeated(frame, np.array([row[2] for row in part])).tolist()
    assert found == naively(rows, width)
