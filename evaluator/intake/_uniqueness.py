"""Which rows repeat what an earlier good row already holds."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

SEEDS: Final = (11, 23)
#: So many sorted runs are kept before they are merged into one.
MAX_RUNS: Final = 8

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


class Uniqueness:
    """Remembers the keys of the rows that were kept, in 16 bytes each.

    Two 64-bit hashes with different seeds stand for a key; that two different keys agree in both
    has a chance below 1e-24 for 10,000,000 rows.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._runs: list[tuple[Hashes, Hashes]] = []
        # While keys only rise, as most ids do, nothing repeats and no hash is needed yet.
        self._rising: list[pl.Series] | None = [] if len(columns) == 1 else None
        self._last: Any = None

    def repeated(self, frame: "pl.DataFrame", kept: Flags) -> Flags:
        """Say which rows repeat an earlier kept row, and remember the rest of those kept."""
        if self._rises(frame, kept):
            return np.zeros(frame.height, dtype=bool)
        return self._repeated(frame.select(self.columns), kept)

    def _rises(self, frame: "pl.DataFrame", kept: Flags) -> bool:
        """Whether all keys so far, these among them, are each above the one before."""
        import polars as pl

        if self._rising is None:
            return False
        keys = frame[self.columns[0]]
        if len(keys) == 0:
            return True
        above = keys.null_count() == 0 and (self._last is None or keys[0] > self._last)
        if above and (keys[1:] > keys[:-1]).all():
            self._last = keys[-1]
            self._rising.append(keys.filter(pl.Series(kept)))
            return True
        earlier, self._rising = self._rising, None
        for part in earlier:
            self._repeated(part.to_frame(), np.ones(len(part), dtype=bool))
        return False

    def _repeated(self, keys: "pl.DataFrame", kept: Flags) -> Flags:
        """Compare hashes with those of the runs, and add a run."""
        complete = np.ones(keys.height, dtype=bool)
        for column in keys.iter_columns():
            if column.null_count():
                complete &= column.is_not_null().to_numpy()
        first = keys.hash_rows(seed=SEEDS[0]).to_numpy()
        second = keys.hash_rows(seed=SEEDS[1]).to_numpy()
        # In the order of their hashes, rows are looked up in the runs without jumps in memory.
        order = np.argsort(first)
        ordered = first[order]
        repeated = np.zeros(keys.height, dtype=bool)
        for run, twins in self._runs:
            repeated[_seen(order, ordered, second, (run, twins))] = True
        repeated &= complete
        if (ordered[1:] == ordered[:-1]).any():
            holders = kept & complete & ~repeated
            repeated |= _repeated_within(first, second, holders) & complete
        held = (kept & complete & ~repeated)[order]
        self._runs.append((ordered[held], second[order][held]))
        if len(self._runs) > MAX_RUNS:
            self._merge()
        return repeated

    def _merge(self) -> None:
        first = np.concatenate([run for run, _ in self._runs])
        # A stable sort takes sorted runs as they are and merges them.
        order = np.argsort(first, kind="stable")
        second = np.concatenate([twins for _, twins in self._runs])
        self._runs = [(first[order], second[order])]


def _seen(
    order: npt.NDArray[np.int64],
    ordered: Hashes,
    second: Hashes,
    run: tuple[Hashes, Hashes],
) -> list[int]:
    """Find the rows whose key is in a run."""
    first, twins = run
    if len(first) == 0:
        return []
    position = np.searchsorted(first, ordered)
    inside = np.flatnonzero(position < len(first))
    suspects = inside[first[position[inside]] == ordered[inside]]
    found = []
    for suspect in suspects.tolist():
        row, at = int(order[suspect]), int(position[suspect])
        while at < len(first) and first[at] == ordered[suspect]:
            if twins[at] == second[row]:
                found.append(row)
                break
            at += 1
    return found


def _repeated_within(first: Hashes, second: Hashes, holders: Flags) -> Flags:
    """Find rows after the first holder of their key, among these rows."""
    order = np.lexsort((np.arange(len(first)), second, first))
    ordered, twin = first[order], second[order]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (ordered[1:] != ordered[:-1]) | (twin[1:] != twin[:-1])
    group = np.cumsum(starts) - 1
    held = np.cumsum(holders[order])
    before: npt.NDArray[np.int64] = held - holders[order]
    repeated = np.zeros(len(first), dtype=bool)
    repeated[order] = before > before[starts][group]
    return repeated
