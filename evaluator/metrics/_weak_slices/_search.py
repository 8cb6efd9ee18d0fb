"""Search all slices of up to three conditions, level by level, for those that do worse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics._estimates import BoolArray, FloatArray
from evaluator.metrics._levels import IntArray
from evaluator.metrics._two_sample import is_binary
from evaluator.metrics._weak_slices._conditions import CodeArray, meets

SliceCode = tuple[tuple[int, int], ...]
# The cell of each case, the cells of some slices, and which rows have a cell, if not all.
_Where = tuple[IntArray, IntArray, IntArray | None]
_ROUNDING = 1e-12
MAX_CONDITIONS = 3
# Less than two standard deviations is not worth to follow.
MIN_EVIDENCE = 2.0
# From this share of common cases on, two descriptions are of the same cases.
NEARLY_THE_SAME = 0.8
# From this share of the smaller one's cases on, two slices overlap.
OVERLAP = 0.5
# Enough to learn from how much they differ; so many sums are kept for each lead at most.
MAX_UNITS = 200


@dataclass(frozen=True)
class LossSums:
    """What is summed over the cases of slices; arrays of one shape."""

    # Cases, and what they weigh; without weights both are one array.
    cases: FloatArray
    n: FloatArray
    # Sum of the losses' distances from the mean loss of all cases, times their weights.
    total: FloatArray
    # Sum of the distances of those losses that are above that mean.
    above: FloatArray
    # Sum of the squared distances.
    squares: FloatArray

    def at(self, where: NDArray[Any]) -> "LossSums":
        """Take some of the slices, by positions or truth values."""
        of_these = (self.total[where], self.above[where], self.squares[where])
        n = self.n[where]
        return LossSums(n if self.cases is self.n else self.cases[where], n, *of_these)


class Losses:
    """The losses of all cases, finite, shape (rows,), ready to be summed over slices.

    Weights are positive; they are scaled so that all together weigh what they leave of the cases,
    (sum w)^2 / sum w^2. Of cases that depend on each other `cluster` has the numbers.
    """

    def __init__(
        self,
        losses: FloatArray,
        weights: FloatArray | None = None,
        cluster: IntArray | None = None,
    ) -> None:
        rows = len(losses)
        self._weights = weights
        if weights is not None:
            self._weights = weights * (weights.sum() / (weights**2).sum())
            self.mean = float(np.average(losses, weights=weights))
        else:
            self.mean = float(losses.mean())
        self.centred = losses - self.mean
        self._summed = [self.centred, np.maximum(self.centred, 0), self.centred**2]
        self.most_above = float(self._summed[1].max())
        if self._weights is not None:
            self._summed = [self._weights * values for values in self._summed]
        self._hits = losses.astype(np.intp) if weights is None and is_binary(losses) else None
        n = float(rows if self._weights is None else self._weights.sum())
        above, squares = (float(values.sum()) for values in self._summed[1:])
        zero = np.zeros(1)
        self.all = LossSums(zero + rows, zero + n, zero, zero + above, zero + squares)
        self.vary = squares > _ROUNDING * max(float((losses**2).sum()), 1e-300)
        self._unit: IntArray | None = None
        if cluster is not None or weights is not None:
            # Clusters are independent, and so are any parts that they are put together in.
            self._unit = (np.arange(rows) if cluster is None else cluster) % MAX_UNITS
            self._units = min(MAX_UNITS, int(self._unit.max()) + 1)

    def sums(self, cell: IntArray, cells: int, rows: IntArray | None = None) -> LossSums:
        """Sum over the cases of each cell."""
        if self._hits is not None:
            # One count of whole numbers says all where losses are 0 or 1.
            hits = self._hits if rows is None else self._hits[rows]
            counted = np.bincount(cell * 2 + hits, minlength=2 * cells).reshape(-1, 2)
            without, errors = counted[:, 0].astype(float), counted[:, 1].astype(float)
            n, miss = without + errors, 1 - self.mean
            squares = errors * miss**2 + without * self.mean**2
            return LossSums(n, n, errors - n * self.mean, errors * miss, squares)
        # Without values numpy counts in whole numbers.
        cases = np.bincount(cell, minlength=cells).astype(float)
        n = cases if self._weights is None else self._sum(self._weights, cell, cells, rows)
        return LossSums(
            cases, n, *(self._sum(values, cell, cells, rows) for values in self._summed)
        )

    @staticmethod
    def _sum(values: FloatArray, cell: IntArray, cells: int, rows: IntArray | None) -> FloatArray:
        own = values if rows is None else values[rows]
        return np.bincount(cell, own, minlength=cells).astype(float)

    @cached_property
    def _of_all_units(self) -> tuple[FloatArray, FloatArray]:
        every = np.zeros(len(self.centred), dtype=np.intp)
        return self.by_unit(every, every[:1])

    @property
    def dependent(self) -> bool:
        """Whether evidence has to be taken from how much clusters, or weighted cases, differ."""
        return self._unit is not None

    def by_unit(
        self, cell: IntArray, cells: IntArray, rows: IntArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Sum weights and weighted distances from the mean by chosen cell and unit."""
        if self._unit is None:
            raise ValueError("independent cases of one weight have no units")
        position = np.full(int(max(cell.max(initial=0), cells.max())) + 1, -1, dtype=np.intp)
        position[cells] = np.arange(len(cells))
        chosen = np.flatnonzero(position[cell] >= 0)
        those = chosen if rows is None else rows[chosen]
        both = position[cell[chosen]] * self._units + self._unit[those]
        size = len(cells) * self._units
        weights = None if self._weights is None else self._weights[those]
        weight = np.bincount(both, weights, minlength=size).astype(float)
        distance = self._sum(self._summed[0], both, size, those)
        return weight.reshape(-1, self._units), distance.reshape(-1, self._units)

    def of_units(
        self, evidence: FloatArray, sums: LossSums, where: _Where, chosen: IntArray
    ) -> FloatArray:
        """Say what dependence leaves of how much worse the chosen slices are than all other cases.

        Evidence is divided by the root of the design effect: the summed squares of the units'
        influences on the difference of the means, over the variance that independent cases would
        give it. It then is the quantile of the normal distribution that is as far out as this one
        of Student's.
        """
        cell, cells, rows = where
        weight, distance = self.by_unit(cell, cells[chosen], rows)
        all_weight, all_distance = self._of_all_units
        slices, every = sums.at(chosen), self.all
        influences, variances, units = [], [], []
        for n, total, squares, of_weight, of_distance in (
            (slices.n, slices.total, slices.squares, weight, distance),
            (
                every.n - slices.n,
                every.total - slices.total,
                every.squares - slices.squares,
                all_weight - weight,
                all_distance - distance,
            ),
        ):
            mean = total / n
            influences.append((of_distance - mean[:, None] * of_weight) / n[:, None])
            variances.append(np.maximum(squares / n - mean**2, 0) / n)
            units.append(np.count_nonzero(of_weight > _ROUNDING * n[:, None], axis=1))
        there = np.count_nonzero(all_weight)
        found = ((influences[0] - influences[1]) ** 2).sum(axis=1) * there / max(there - 1, 1)
        expected = variances[0] + variances[1]
        effect = np.divide(found, expected, out=np.ones(len(chosen)), where=expected > 0)
        student = evidence[chosen] / np.sqrt(np.maximum(effect, _ROUNDING))
        spare = np.minimum(*units) - 1
        normal = -special.ndtri(special.stdtr(np.maximum(spare, 1), -student))
        return np.where(spare > 0, normal, 0.0)

    def lightest(self, fewest: int) -> float:
        """Give what so many cases weigh at least."""
        if self._weights is None or fewest >= len(self._weights):
            return fewest
        # Less than was rounded.
        return float(np.partition(self._weights, fewest - 1)[:fewest].sum()) * (1 - 1e-9)

    def bound(self, n: FloatArray, above: FloatArray, fewest: float) -> FloatArray:
        """Give the most evidence that any subset that weighs `fewest` or more can have.

        A subset of weight s of a slice has a sum of distances of at most the slice's `above`, and
        of at most s times the largest distance. So its evidence, without the constant spread of
        all cases, is at most min(above, s largest) / sqrt(s (1 - s / N)), which is largest at
        s = above / largest or at the slice's own size.
        Source: the bound on a slice's errors in S. Sagadeeva, M. Boehm, SIGMOD (2021) 2290,
        carried over to this evidence.
        """
        every = float(self.all.n[0])
        spread = np.sqrt(float(self.all.squares[0]) / every)

        def most(size: FloatArray) -> FloatArray:
            top = np.minimum(above, size * self.most_above)
            found: FloatArray = top / (spread * np.sqrt(size * (1 - size / every)))
            return found

        inside = (n >= fewest) & (n < every)
        size = np.where(inside, n, 1.0)
        best = np.clip(above / self.most_above, min(fewest, every - 1), size)
        # More than was rounded.
        found = np.maximum(most(np.maximum(best, min(fewest, 1))), most(size))
        return np.where(inside, found, 0) * (1 + 1e-9)


@dataclass(frozen=True)
class Shortlist:
    """Slices worth to follow, the most evidence first."""

    # Each slice's pairs of a feature's position and a condition's position in it.
    slices: list[SliceCode]
    # Shape (slices,).
    evidence: FloatArray
    # How many slices the conditions span.
    possible: int
    # How many of them had enough cases and could, by the bounds, be a lead.
    evaluated: int


def search(
    codes: Sequence[CodeArray],
    sizes: Sequence[int],
    losses: Losses,
    *,
    conditions: int,
    fewest: int,
    keep: int,
    crossed: int | None = None,
) -> Shortlist:
    """Find the slices that do worse than the rest, and by each of their conditions.

    A slice's evidence is the least of how much worse it is than all other cases, and than what
    each of its conditions leaves out: without the latter, one bad slice would bring thousands of
    its parts along, and hide small ones elsewhere. A slice of fewer than `fewest` cases, or whose
    rest has fewer, and one in which a condition leaves out nothing, is no lead. Where cases depend
    on each other or have weights, it is no more than what the clusters' differences leave of how
    much worse the slice is than all other cases. Only the first features are `crossed`; of the
    others, whose conditions lie in each other, each condition is evaluated alone.

    The levels go from one condition to more. A slice is only counted when all slices with one
    condition fewer have cases enough, and errors enough for some part of them to be among the
    leads; the crosses of one set of features are counted at a time, so that memory does not grow
    with the number of slices. Nothing that qualifies is lost by it.
    Source of the idea: S. Sagadeeva, M. Boehm, SliceLine, SIGMOD (2021) 2290.
    """
    found = _Collector(losses, fewest, keep)
    crossed = len(codes) if crossed is None else crossed
    singles = [_single(found, codes[p], sizes[p], p) for p in range(crossed)]
    for feature in range(crossed, len(codes)):
        for code in range(-sizes[feature], 0):
            _tail(found, codes[feature], code, feature)
    pairs: dict[tuple[int, int], _Survivors] = {}
    if conditions > 1:
        for first, second in combinations(range(crossed), 2):
            both = (singles[first], singles[second])
            pairs[first, second] = _pair(found, codes, sizes, (first, second), both)
    if conditions > 2:  # noqa: PLR2004 - three conditions
        for first, second in pairs:
            _triples(found, codes[:crossed], sizes, (first, second), pairs)
    # Elementary symmetric sums: the number of ways to choose a condition of so many features.
    spans = [1] + [0] * MAX_CONDITIONS
    for size in sizes[:crossed]:
        for level in range(MAX_CONDITIONS, 0, -1):
            spans[level] += spans[level - 1] * size
    return found.shortlist(sum(spans[1 : conditions + 1]) + sum(sizes[crossed:]))


@dataclass(frozen=True)
class _Survivors:
    """Slices of the same features whose parts may be leads: codes in one number, and sums."""

    cells: IntArray
    sums: LossSums

    def positions(self, cells: int) -> IntArray:
        """Give the position of each cell, -1 where it is not kept."""
        table = np.full(cells, -1, dtype=np.intp)
        table[self.cells] = np.arange(len(self.cells))
        return table


class _Collector:
    """The best leads so far, and what a slice must reach to be among them."""

    def __init__(self, losses: Losses, fewest: int, keep: int) -> None:
        self.losses = losses
        self.fewest = fewest
        self.least = MIN_EVIDENCE
        self.evaluated = 0
        self._lightest = losses.lightest(fewest)
        self._keep = keep
        # One row a lead: features and codes, -1 where there are fewer than three conditions.
        self._keys = np.zeros((0, 2 * MAX_CONDITIONS), dtype=np.intp)
        self._evidence = np.zeros(0)

    def hopeful(self, n: FloatArray, above: FloatArray) -> BoolArray:
        """Say which slices may have a lead among their parts."""
        return self.losses.bound(n, above, self._lightest) >= self.least

    def add(
        self,
        features: tuple[int, ...],
        codes: tuple[IntArray, ...],
        sums: LossSums,
        parents: Sequence[LossSums],
        where: _Where,
    ) -> None:
        """Evaluate slices of the same features, each part of one slice in every parent."""
        self.evaluated += len(sums.n)
        against_all = standard_scores(sums, self.losses.all)
        least = against_all.copy()
        # Against a parent of the same cases there is no evidence.
        for parent in parents:
            least = np.minimum(least, standard_scores(sums, parent))
        rest = self.losses.all.cases - sums.cases
        chosen = np.flatnonzero((rest >= self.fewest) & (least >= self.least))
        if len(chosen) and self.losses.dependent:
            of_units = self.losses.of_units(against_all, sums, where, chosen)
            least[chosen] = np.minimum(least[chosen], of_units)
            chosen = chosen[least[chosen] >= self.least]
        if not len(chosen):
            return
        keys = np.full((len(chosen), 2 * MAX_CONDITIONS), -1, dtype=np.intp)
        for position, (feature, code) in enumerate(zip(features, codes, strict=True)):
            keys[:, 2 * position], keys[:, 2 * position + 1] = feature, code[chosen]
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
            self.least = max(MIN_EVIDENCE, float(self._evidence[-1]))

    def shortlist(self, possible: int) -> Shortlist:
        """Give the leads in their order."""
        self._cut()
        slices = [
            tuple((int(f), int(c)) for f, c in zip(key[::2], key[1::2], strict=True) if f >= 0)
            for key in self._keys
        ]
        return Shortlist(slices, self._evidence, possible, self.evaluated)


def _single(found: _Collector, codes: CodeArray, size: int, feature: int) -> _Survivors:
    """Evaluate the conditions of one feature."""
    cell = codes.astype(np.intp)
    sums = found.losses.sums(cell, size)
    some = (sums.cases >= found.fewest) & (sums.cases < found.losses.all.cases)
    enough = np.flatnonzero(some)
    sums = sums.at(enough)
    found.add((feature,), (enough,), sums, [], (cell, enough, None))
    hopeful = found.hopeful(sums.n, sums.above)
    return _Survivors(enough[hopeful], sums.at(hopeful))


def _tail(found: _Collector, codes: CodeArray, code: int, feature: int) -> None:
    """Evaluate one of the conditions of a feature that lie in each other."""
    cell = meets(codes, code).astype(np.intp)
    sums = found.losses.sums(cell, 2).at(np.array([1]))
    if sums.cases[0] >= found.fewest:
        found.add((feature,), (np.array([code]),), sums, [], (cell, np.array([1]), None))


def _pair(
    found: _Collector,
    codes: Sequence[CodeArray],
    sizes: Sequence[int],
    features: tuple[int, int],
    parents: tuple[_Survivors, _Survivors],
) -> _Survivors:
    """Evaluate the crosses of the conditions of two features."""
    first, second = features
    tables = [one.positions(sizes[f]) for one, f in zip(parents, features, strict=True)]
    if not all(len(one.cells) for one in parents):
        return _Survivors(np.zeros(0, np.intp), parents[0].sums.at(np.zeros(0, np.intp)))
    cell = codes[first].astype(np.intp) * sizes[second] + codes[second]
    sums = found.losses.sums(cell, sizes[first] * sizes[second])
    every = np.arange(sizes[first] * sizes[second])
    above = [
        table[code] for table, code in zip(tables, np.divmod(every, sizes[second]), strict=True)
    ]
    known = (above[0] >= 0) & (above[1] >= 0) & (sums.cases >= found.fewest)
    cells = np.flatnonzero(known)
    sums = sums.at(cells)
    wholes = [one.sums.at(positions[cells]) for one, positions in zip(parents, above, strict=True)]
    pair = tuple(np.divmod(cells, sizes[second]))
    found.add(features, pair, sums, wholes, (cell, cells, None))
    # Where a condition leaves out nothing, the same cases are met again with one fewer.
    parts = (sums.cases < wholes[0].cases) & (sums.cases < wholes[1].cases)
    going_on = parts & found.hopeful(sums.n, sums.above)
    return _Survivors(cells[going_on], sums.at(going_on))


def _triples(
    found: _Collector,
    codes: Sequence[CodeArray],
    sizes: Sequence[int],
    features: tuple[int, int],
    pairs: Mapping[tuple[int, int], _Survivors],
) -> None:
    """Evaluate what a third feature makes of the crosses of two."""
    first, second = features
    base = pairs[features]
    hopeful = found.hopeful(base.sums.n, base.sums.above)
    base = _Survivors(base.cells[hopeful], base.sums.at(hopeful))
    thirds = [
        third
        for third in range(second + 1, len(codes))
        if len(pairs[first, third].cells) and len(pairs[second, third].cells)
    ]
    if not len(base.cells) or not thirds:
        return
    one, two = np.divmod(base.cells, sizes[second])
    cell = codes[first].astype(np.intp) * sizes[second] + codes[second]
    position = base.positions(sizes[first] * sizes[second])[cell]
    rows = np.flatnonzero(position >= 0)
    position = position[rows]
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
        cell = position * size + codes[third][rows]
        sums = found.losses.sums(cell, len(base.cells) * size, rows)
        may &= sums.cases[candidates] >= found.fewest
        cells = candidates[may]
        pair, code = np.divmod(cells, size)
        found.add(
            (first, second, third),
            (one[pair], two[pair], code),
            sums.at(cells),
            [parent.at(may) for parent in parents],
            (cell, cells, rows),
        )


def standard_scores(slices: LossSums, parents: LossSums) -> FloatArray:
    """Say how much worse slices are than the rest of what they are part of.

    z = (sum of the slice's losses - n m) / sqrt(n v (1 - n / N)), where m and v are mean and
    variance of the losses of the parent's N cases: the distance of the slice's sum from what a
    random choice of n of the N cases would have, in standard deviations. Zero where nothing
    varies.
    Source: the variance of the mean of a sample without replacement, W. G. Cochran, Sampling
    Techniques (1977), 2.5.
    """
    mean = parents.total / parents.n
    variance = parents.squares / parents.n - mean**2
    vary: BoolArray = variance > _ROUNDING * parents.squares / parents.n
    scale = slices.n * np.where(vary, variance, 0) * (1 - slices.n / parents.n)
    z = np.zeros(np.broadcast(scale, slices.total).shape)
    np.divide(slices.total - slices.n * mean, np.sqrt(scale), out=z, where=scale > 0)
    return z


@dataclass(frozen=True)
class Representative:
    """A slice that stands for all descriptions of nearly the same cases."""

    slice: SliceCode
    also: tuple[SliceCode, ...]


def representatives(
    shortlist: Shortlist, codes: Sequence[CodeArray], losses: Losses, most: int
) -> list[Representative]:
    """Choose the leads that the ones before them do not explain.

    Going from the most evidence to the least, a lead is explained by a chosen slice when, inside
    of that slice and outside of it, it is no worse than the rest there: the evidence of both
    strata together is below two standard deviations. So a slice that is bad because a part of it
    is, and a part of a bad slice that is no worse than the whole, do not come again; a part that is
    worse than the whole does. Descriptions of nearly the same cases (of both together, 80 % are
    common) stand under the simplest one.
    """
    members = [np.flatnonzero(slice_members(one, codes)) for one in shortlist.slices]
    free = np.ones(len(members), dtype=bool)
    chosen: list[Representative] = []
    while free.any() and len(chosen) < most:
        best = int(free.argmax())
        same = free & (_shared(members, best, len(codes[0])) >= NEARLY_THE_SAME)
        alike = sorted(np.flatnonzero(same), key=lambda p: (len(shortlist.slices[p]), p))
        named = [shortlist.slices[position] for position in alike]
        chosen.append(Representative(named[0], tuple(named[1:])))
        free &= ~same
        explanation = Explanation(slice_members(named[0], codes), losses)
        for position in np.flatnonzero(free):
            free[position] = not explanation.explains(members[position])
    return chosen


def slice_members(one: SliceCode, codes: Sequence[CodeArray]) -> BoolArray:
    """Say which cases meet all conditions of a slice, shape (rows,)."""
    inside: BoolArray = np.ones(len(codes[0]), dtype=bool)
    for feature, code in one:
        inside &= meets(codes[feature], code)
    return inside


def _shared(members: Sequence[IntArray], one: int, rows: int) -> FloatArray:
    """Give the common cases of each slice and one, as a share of both together."""
    inside = np.zeros(rows, dtype=bool)
    inside[members[one]] = True
    common = np.array([np.count_nonzero(inside[own]) for own in members])
    shared: FloatArray = common / (
        np.array([len(own) for own in members]) + len(members[one]) - common
    )
    return shared


class Explanation:
    """The cases inside (shape (rows,)) and outside of a slice, as what may explain others."""

    def __init__(self, representative: BoolArray, losses: Losses) -> None:
        self._stratum = representative.astype(np.intp)
        self._losses = losses
        self._strata = losses.sums(self._stratum, 2)
        if losses.dependent:
            self._by_unit = losses.by_unit(self._stratum, np.arange(2))

    def explains(self, rows: IntArray) -> bool:
        """Say whether a slice of such rows is no worse than the rest both inside and outside.

        The evidence of both strata is added as Mantel and Haenszel do: sums and variances apart.
        Where cases depend on each other, the variance is that of what clusters add to both.
        Source: N. Mantel, W. Haenszel, Journal of the National Cancer Institute 22 (1959) 719.
        """
        stratum = self._stratum[rows]
        parts, strata = self._losses.sums(stratum, 2, rows), self._strata
        there = (parts.cases > 0) & (parts.cases < strata.cases)
        expected = np.divide(parts.n * strata.total, strata.n, out=np.zeros(2), where=there)
        away = np.where(there, parts.total - expected, 0)
        if self._losses.dependent:
            # What a unit adds to the sum beyond its share of it, over both strata.
            mean, share = (
                np.divide(of, strata.n, out=np.zeros(2), where=there)
                for of in (strata.total, parts.n)
            )
            own, every = (
                (distance - mean[:, None] * weight) * there[:, None]
                for weight, distance in (
                    self._losses.by_unit(stratum, np.arange(2), rows),
                    self._by_unit,
                )
            )
            variance = (own - share[:, None] * every).sum(axis=0) ** 2
        else:
            z = standard_scores(parts.at(there), strata.at(there))
            # A sum's deviation is the sum over its evidence; where nothing varies it is zero.
            variance = np.divide(away[there], z, out=np.zeros_like(z), where=z != 0) ** 2
        return float(away.sum()) < MIN_EVIDENCE * float(np.sqrt(variance.sum()) or np.inf)


def overlap_groups(inside: Sequence[BoolArray]) -> list[int]:
    """Give slices numbers, overlapping ones the same.

    A slice joins the first group whose first slice it overlaps by at least half the smaller of the
    two, and opens a group of its own otherwise.
    """
    firsts: list[BoolArray] = []
    numbers = []
    for own in inside:
        n = int(np.count_nonzero(own))
        for number, first in enumerate(firsts):
            smaller = min(n, int(np.count_nonzero(first)))
            if np.count_nonzero(own & first) >= OVERLAP * max(smaller, 1):
                numbers.append(number + 1)
                break
        else:
            firsts.append(own)
            numbers.append(len(firsts))
    return numbers
