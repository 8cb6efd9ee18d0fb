"""Which rows repeat what an earlier good row already holds."""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

SEEDS: Final = (11, 23)


class Uniqueness:
    """Remembers the keys of the rows that were kept, in 16 bytes each.

    Two 64-bit hashes with different seeds stand for a key; that two different keys agree in both
    has a chance below 1e-24 for 10,000,000 rows.

    Parameters
    ----------
    columns
        The columns that make the key.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._first: npt.NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self._second: npt.NDArray[np.uint64] = np.empty(0, dtype=np.uint64)

    def repeated(self, frame: "pl.DataFrame", kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Say which rows repeat an earlier kept row, and remember the rest of those kept.

        Parameters
        ----------
        frame
            The next rows, typed.
        kept
            Which of them nothing else refuses; only these hold a key.

        Returns
        -------
        numpy.ndarray of bool
            A row in which part of the key is missing repeats nothing.
        """
        keys = frame.select(self.columns)
        complete = np.ones(frame.height, dtype=bool)
        for column in keys.iter_columns():
            if column.null_count():
                complete &= column.is_not_null().to_numpy()
        first = keys.hash_rows(seed=SEEDS[0]).to_numpy()
        second = keys.hash_rows(seed=SEEDS[1]).to_numpy()
        order = (
            np.lexsort((np.arange(len(first)), second, first)) if len(first) else np.empty(0, int)
        )
        repeated = self._seen_before(first, second) & complete
        repeated |= (
            self._repeated_within(first, second, order, kept & complete & ~repeated) & complete
        )
        self._remember(first, second, kept & complete & ~repeated)
        return repeated

    def _seen_before(
        self, first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64]
    ) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(first), dtype=bool)
        if len(self._first) == 0:
            return found
        place = np.searchsorted(self._first, first)
        inside = place < len(self._first)
        suspects = np.flatnonzero(inside)[self._first[place[inside]] == first[inside]]
        for row in suspects.tolist():
            at = int(place[row])
            while at < len(self._first) and self._first[at] == first[row]:
                if self._second[at] == second[row]:
                    found[row] = True
                    break
                at += 1
        return found

    @staticmethod
    def _repeated_within(
        first: npt.NDArray[np.uint64],
        second: npt.NDArray[np.uint64],
        order: npt.NDArray[np.int64],
        holders: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.bool_]:
        """Find rows after the first holder of their key, among these rows."""
        repeated = np.zeros(len(first), dtype=bool)
        if len(first) < 2:  # noqa: PLR2004 - one row repeats nothing
            return repeated
        ordered, twin = first[order], second[order]
        starts = np.ones(len(order), dtype=bool)
        starts[1:] = (ordered[1:] != ordered[:-1]) | (twin[1:] != twin[:-1])
        if starts.all():
            return repeated
        group = np.cumsum(starts) - 1
        held = np.cumsum(holders[order])
        before = held - holders[order]
        at_start = before[starts][group]
        repeated[order] = before > at_start
        return repeated

    def _remember(
        self,
        first: npt.NDArray[np.uint64],
        second: npt.NDArray[np.uint64],
        kept: npt.NDArray[np.bool_],
    ) -> None:
        new_first, new_second = first[kept], second[kept]
        all_first = np.concatenate([self._first, new_first])
        order = np.argsort(all_first, kind="stable")
        self._first = all_first[order]
        self._second = np.concatenate([self._second, new_second])[order]
