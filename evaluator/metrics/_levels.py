"""Which slices there are: overall, each slice column, and all their crosses."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics._checks import MetricsInputError, column, factorised, refuse_rows

IntArray = NDArray[np.intp]

_MAX_COLUMNS = 4


@dataclass(frozen=True)
class Level:
    """One way to cut the rows: by no column, by one, or by the cross of several."""

    name: str
    # Positions among the slice columns.
    columns: tuple[int, ...]
    # The value of each column in each group, shape (groups, columns).
    codes: IntArray
    # Shape (cells,).
    group_of_cell: IntArray

    @property
    def groups(self) -> int:
        """Number of groups, those without rows included."""
        return len(self.codes)

    def add_up(self, of_cells: NDArray[Any]) -> NDArray[Any]:
        """Add what was counted in the finest cells, along the first axis."""
        total = np.zeros((self.groups, *of_cells.shape[1:]), dtype=of_cells.dtype)
        np.add.at(total, self.group_of_cell, of_cells)
        return total


@dataclass(frozen=True)
class Slicing:
    """All levels over the same rows: overall first, then single columns, then crosses."""

    # The slice columns, and the values of each in their order.
    names: tuple[str, ...]
    groups: tuple[list[Any], ...]
    # The finest cell of each row, shape (rows,), and how many cells have rows.
    cell: IntArray
    cells: int
    levels: tuple[Level, ...]

    def add_up(self, of_cells: NDArray[Any]) -> NDArray[Any]:
        """Add what was counted in the finest cells, for all groups of all levels in turn."""
        return np.concatenate([level.add_up(of_cells) for level in self.levels])

    @cached_property
    def group_of_cell(self) -> IntArray:
        """Each cell's group among those of all levels in turn, shape (levels, cells)."""
        first = np.cumsum([0, *(level.groups for level in self.levels[:-1])])
        return first[:, None] + [level.group_of_cell for level in self.levels]


def cut_slices(
    frame: pd.DataFrame,
    slices: Sequence[str],
    groups: Mapping[str, Sequence[Any]] | None,
    chosen_levels: Collection[str] | None = None,
) -> Slicing:
    """Find the cell of every row and the levels above the cells.

    A cross lists every combination when all its columns have declared groups, and otherwise
    the combinations that occur: undeclared columns of many values would have products without
    end.
    """
    names = (slices,) if isinstance(slices, str) else tuple(slices)
    declared = dict(groups or {})
    if not 1 <= len(names) <= _MAX_COLUMNS or len(set(names)) < len(names):
        raise MetricsInputError(
            f"slices must be one to {_MAX_COLUMNS} different columns, not {list(names)}"
        )
    if unknown := [name for name in declared if name not in names]:
        raise MetricsInputError(f"groups are declared for {unknown}, which are no slice columns")
    coded = [_code(frame, name, declared.get(name)) for name in names]
    cell, cell_codes = combine_codes([codes for codes, _ in coded], [len(v) for _, v in coded])
    levels = [Level("overall", (), np.zeros((1, 0), np.intp), np.zeros(len(cell_codes), np.intp))]
    for size in range(1, len(names) + 1):
        for chosen in combinations(range(len(names)), size):
            sizes = [len(coded[position][1]) for position in chosen]
            complete = size == 1 or all(names[position] in declared for position in chosen)
            levels.append(
                _level(
                    " x ".join(names[p] for p in chosen),
                    chosen,
                    cell_codes,
                    sizes,
                    complete=complete,
                )
            )
    known = [level.name for level in levels]
    if unknown := [name for name in chosen_levels or () if name not in known]:
        raise MetricsInputError(f"there is no level {unknown}; use {known}")
    if chosen_levels is not None:
        levels = [level for level in levels if level.name in chosen_levels]
    return Slicing(names, tuple(v for _, v in coded), cell, len(cell_codes), tuple(levels))


def _code(
    frame: pd.DataFrame, name: str, declared: Sequence[Any] | None
) -> tuple[IntArray, list[Any]]:
    """Replace a slice column's values by their positions in the list of values."""
    coded, occurring = factorised(column(frame, name))
    if coded.size and coded.min() < 0:
        refuse_rows(coded < 0, f"slice column {name!r} is missing")
    if declared is None:
        there = np.bincount(coded, minlength=len(occurring)) > 0
        values = [value for value, is_there in zip(occurring, there, strict=True) if is_there]
        try:
            values.sort()
        except TypeError:
            values.sort(key=str)
    else:
        values = list(declared)
        if len(set(values)) < len(values):
            raise MetricsInputError(f"groups of {name!r} are declared twice: {values}")
    if values == occurring:
        return coded, values
    position = {value: index for index, value in enumerate(values)}
    lookup = np.array([position.get(value, -1) for value in occurring], dtype=np.intp)
    recoded = lookup[coded] if len(lookup) else np.zeros(0, np.intp)
    if recoded.size and recoded.min() < 0:
        refuse_rows(recoded < 0, f"slice column {name!r} holds a value that was not declared")
    return recoded, values


def combine_codes(codes: list[IntArray], sizes: list[int]) -> tuple[IntArray, IntArray]:
    """Give the number of each row's combination of values, and each combination's codes."""
    rows = len(codes[0])
    # Column by column, so that the product of sizes never outgrows the rows by much.
    cell = np.zeros(rows, np.intp)
    cell_codes = np.zeros((1 if rows else 0, 0), np.intp)
    for code, size in zip(codes, sizes, strict=True):
        # The first column finds one cell there.
        combined = code
        if cell_codes.size:
            combined = cell * size
            combined += code
        possible = max(len(cell_codes), 1) * size
        if possible <= max(4 * rows, 1024):
            there = np.flatnonzero(np.bincount(combined, minlength=possible))
            if len(there) == possible:
                cell = combined
            else:
                number = np.zeros(possible, np.intp)
                number[there] = np.arange(len(there))
                cell = number[combined]
        else:
            there, cell = np.unique(combined, return_inverse=True)
        before, last = np.divmod(there, size) if size else (there, there)
        cell_codes = np.column_stack([cell_codes[before], last])
    return cell, cell_codes


def _level(
    name: str, chosen: tuple[int, ...], cell_codes: IntArray, sizes: list[int], *, complete: bool
) -> Level:
    """Build a level, its groups in the order of their values."""
    own = [cell_codes[:, position] for position in chosen]
    if not complete:
        group_of_cell, codes = combine_codes(own, sizes)
        return Level(name, chosen, codes, group_of_cell)
    groups = int(np.prod(sizes))
    group_of_cell = np.zeros(len(cell_codes), np.intp)
    for code, size in zip(own, sizes, strict=True):
        group_of_cell = group_of_cell * size + code
    codes = (
        np.column_stack(np.unravel_index(np.arange(groups), sizes)) if groups else cell_codes[:0]
    )
    return Level(name, chosen, codes[:, : len(chosen)].astype(np.intp), group_of_cell)
