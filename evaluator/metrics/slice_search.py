"""Search all slices of up to three conditions, level by level, for those that do worse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evaluator.metrics.estimates import BoolArray, FloatArray
from evaluator.metrics.features import CodeArray
from evaluator.metrics.levels import IntArray
from evaluator.metrics.loss_sums import Losses, Sums, evidence

MOST_CONDITIONS = 3
# Less than two standard deviations is not worth to follow.
LEAST_EVIDENCE = 2.0


@dataclass(frozen=True)
class Leads:
    """Slices worth to follow, the most evidence first.

    Parameters
    ----------
    slices
        Each slice's pairs of a feature's position and a condition's position in it.
    evidence
        Shape (slices,).
    possible
        How many slices the conditions span.
    evaluated
        How many of them had enough cases and could, by the bounds, be a lead.
    """

    slices: list[tuple[tuple[int, int], ...]]
    evidence: FloatArray
    possible: int
    evaluated: int


def search(
    codes: Sequence[CodeArray],
    sizes: Sequence[int],
    losses: Losses,
    *,
    conditions: int,
    fewest: int,
    keep: int,
) -> Leads:
    """Find the slices that do worse than the rest, and by each of their conditions.

    A slice's evidence is the least of how much worse it is than all other cases, and than what
    each of its conditions leaves out: without the latter, one bad slice would bring thousands of
    its parts along, and hide small ones elsewhere. A slice of fewer than `fewest` cases, or whose
    rest has fewer, and one in which a condition leaves out nothing, is no lead.

    The levels go from one condition to more. A slice is only counted when all slices with one
    condition fewer have cases enough, and errors enough for some part of them to be among the
    leads; the crosses of one set of features are counted at a time, so that memory does not grow
    with the number of slices. Nothing that qualifies is lost by it.
    Source of the idea: S. Sagadeeva, M. Boehm, SliceLine, SIGMOD (2021) 2290.

    Parameters
    ----------
    codes
        For each feature, the position of each case's condition, shape (rows,).
    sizes
        How many conditions each feature has.
    losses
        The losses of the same cases; they vary.
    conditions
        One to three conditions a slice.
    fewest
        The fewest cases of a slice.
    keep
        How many leads to give at most.
    """
    found = _Found(losses, fewest, keep)
    singles = [_single(found, code, sizes[p], p) for p, code in enumerate(codes)]
    pairs: dict[tuple[int, int], _Kept] = {}
    if conditions > 1:
        for first, second in combinations(range(len(codes)), 2):
            both = (singles[first], singles[second])
            pairs[first, second] = _pair(found, codes, sizes, (first, second), both)
    if conditions > 2:  # noqa: PLR2004 - three conditions
        for first, second in pairs:
            _triples(found, codes, sizes, (first, second), pairs)
    # Elementary symmetric sums: the number of ways to choose a condition of so many features.
    spans = [1] + [0] * MOST_CONDITIONS
    for size in sizes:
        for level in range(MOST_CONDITIONS, 0, -1):
            spans[level] += spans[level - 1] * size
    return found.leads(sum(spans[1 : conditions + 1]))


@dataclass(frozen=True)
class _Kept:
    """Slices of the same features whose parts may be leads: codes in one number, and sums."""

    cells: IntArray
    sums: Sums

    def positions(self, cells: int) -> IntArray:
        """Give the position of each cell, -1 where it is not kept."""
        table = np.full(cells, -1, dtype=np.intp)
        table[self.cells] = np.arange(len(self.cells))
        return table


class _Found:
    """The best leads so far, and what a slice must reach to be among them."""

    def __init__(self, losses: Losses, fewest: int, keep: int) -> None:
        self.losses = losses
        self.fewest = fewest
        self.least = LEAST_EVIDENCE
        self.evaluated = 0
        self._keep = keep
        # One row a lead: features and codes, -1 where there are fewer than three conditions.
        self._keys = np.zeros((0, 2 * MOST_CONDITIONS), dtype=np.intp)
        self._evidence = np.zeros(0)

    def hopeful(self, n: FloatArray, above: FloatArray) -> BoolArray:
        """Say which slices may have a lead among their parts."""
        return self.losses.bound(n, above, self.fewest) >= self.least

    def add(
        self,
        features: tuple[int, ...],
        codes: tuple[IntArray, ...],
        sums: Sums,
        parents: Sequence[Sums],
    ) -> None:
        """Evaluate slices of the same features, each part of one slice in every parent."""
        self.evaluated += len(sums.n)
        least = evidence(sums, self.losses.all)
        # Against a parent of the same cases there is no evidence.
        for parent in parents:
            least = np.minimum(least, evidence(sums, parent))
        rest = self.losses.all.n - sums.n
        chosen = np.flatnonzero((rest >= self.fewest) & (least >= self.least))
        if not len(chosen):
            return
        keys = np.full((len(chosen), 2 * MOST_CONDITIONS), -1, dtype=np.intp)
        for place, (feature, code) in enumerate(zip(features, codes, strict=True)):
            keys[:, 2 * place], keys[:, 2 * place + 1] = feature, code[chosen]
        self._keys = np.concatenate([self._keys, keys])
        self._evidence = np.concatenate([self._evidence, least[chosen]])
        if len(self._keys) > 2 * self._keep:
            self._cut()

    def _cut(self) -> None:
        """Leave the best: by evidence, then the fewest conditions, then the first features."""
        conditions = (self._keys[:, ::2] >= 0).sum(axis=1)
        order = np.lexsort((*self._keys.T[::-1], conditions, -self._evidence))[: self._keep]
        self._keys, self._evidence = self._keys[order], self._evidence[order]
        if len(order) == self._keep:
            self.least = max(LEAST_EVIDENCE, float(self._evidence[-1]))

    def leads(self, possible: int) -> Leads:
        """Give the leads in their order."""
        self._cut()
        slices = [
            tuple((int(f), int(c)) for f, c in zip(key[::2], key[1::2], strict=True) if f >= 0)
            for key in self._keys
        ]
        return Leads(slices, self._evidence, possible, self.evaluated)


def _single(found: _Found, codes: CodeArray, size: int, feature: int) -> _Kept:
    """Evaluate the conditions of one feature."""
    sums = found.losses.sums(codes.astype(np.intp), size)
    enough = np.flatnonzero((sums.n >= found.fewest) & (sums.n < found.losses.all.n))
    sums = sums.at(enough)
    found.add((feature,), (enough,), sums, [])
    hopeful = found.hopeful(sums.n, sums.above)
    return _Kept(enough[hopeful], sums.at(hopeful))


def _pair(
    found: _Found,
    codes: Sequence[CodeArray],
    sizes: Sequence[int],
    features: tuple[int, int],
    parents: tuple[_Kept, _Kept],
) -> _Kept:
    """Evaluate the crosses of the conditions of two features."""
    first, second = features
    tables = [one.positions(sizes[f]) for one, f in zip(parents, features, strict=True)]
    if not all(len(one.cells) for one in parents):
        return _Kept(np.zeros(0, np.intp), parents[0].sums.at(np.zeros(0, np.intp)))
    cell = codes[first].astype(np.intp) * sizes[second] + codes[second]
    sums = found.losses.sums(cell, sizes[first] * sizes[second])
    every = np.arange(sizes[first] * sizes[second])
    above = [
        table[code] for table, code in zip(tables, np.divmod(every, sizes[second]), strict=True)
    ]
    known = (above[0] >= 0) & (above[1] >= 0) & (sums.n >= found.fewest)
    cells = np.flatnonzero(known)
    sums = sums.at(cells)
    wholes = [one.sums.at(positions[cells]) for one, positions in zip(parents, above, strict=True)]
    found.add(features, tuple(np.divmod(cells, sizes[second])), sums, wholes)
    # Where a condition leaves out nothing, the same cases are met again with one fewer.
    parts = (sums.n < wholes[0].n) & (sums.n < wholes[1].n)
    going_on = parts & found.hopeful(sums.n, sums.above)
    return _Kept(cells[going_on], sums.at(going_on))


def _triples(
    found: _Found,
    codes: Sequence[CodeArray],
    sizes: Sequence[int],
    features: tuple[int, int],
    pairs: Mapping[tuple[int, int], _Kept],
) -> None:
    """Evaluate what a third feature makes of the crosses of two."""
    first, second = features
    base = pairs[features]
    hopeful = found.hopeful(base.sums.n, base.sums.above)
    base = _Kept(base.cells[hopeful], base.sums.at(hopeful))
    thirds = [
        third
        for third in range(second + 1, len(codes))
        if len(pairs[first, third].cells) and len(pairs[second, third].cells)
    ]
    if not len(base.cells) or not thirds:
        return
    one, two = np.divmod(base.cells, sizes[second])
    cell = codes[first].astype(np.intp) * sizes[second] + codes[second]
    place = base.positions(sizes[first] * sizes[second])[cell]
    rows = np.flatnonzero(place >= 0)
    place = place[rows]
    for third in thirds:
        size = sizes[third]
        every = np.arange(size)
        others = [pairs[first, third], pairs[second, third]]
        positions = [
            other.positions(sizes[feature] * size)[code[:, None] * size + every].ravel()
            for other, feature, code in zip(others, features, (one, two), strict=True)
        ]
        candidates = np.flatnonzero((positions[0] >= 0) & (positions[1] >= 0))
        parents = [base.sums.at(candidates // size)]
        parents += [o.sums.at(p[candidates]) for o, p in zip(others, positions, strict=True)]
        n = np.minimum.reduce([parent.n for parent in parents])
        above = np.minimum.reduce([parent.above for parent in parents])
        may = found.hopeful(n, above)
        if not may.any():
            continue
        sums = found.losses.sums(place * size + codes[third][rows], len(base.cells) * size, rows)
        may &= sums.n[candidates] >= found.fewest
        cells = candidates[may]
        pair, code = np.divmod(cells, size)
        found.add(
            (first, second, third),
            (one[pair], two[pair], code),
            sums.at(cells),
            [parent.at(may) for parent in parents],
        )
