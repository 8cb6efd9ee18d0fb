"""The difference of two candidates on the same cases, and what can be said of its truth."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from scipy import special

from evaluator.metrics._catalogue import METRICS
from evaluator.metrics._estimates import (
    CARRIED,
    BoolArray,
    Estimate,
    FloatArray,
    LevelMetric,
    LinearisedEstimate,
    PairedTest,
    Unseen,
    concat_arrays,
    divide,
    shortfall_reasons,
)
from evaluator.metrics._levels import IntArray
from evaluator.metrics._linear import Spread, SurveyDesign, UnitSums
from evaluator.metrics._means import MAX_SKEWNESS, Moments
from evaluator.metrics._rates import halve_towards

_NO_LEAN = 1e-6
_HALVINGS = 60
_NO_SPREAD = 1e-24
_NO_UNITS = 1e-9
# From so many different outputs on, candidates that agree on all of them are taken for the same.
MIN_OUTPUTS = 100
# Clusters differ in what their cases have in common, of which few of them show the tail.
_OF_CLUSTERS = Unseen(1.0)
_ALL_ALIKE = "all cases differ alike, so that the spread is unknown"
CandidatePair = tuple[str, str]


@dataclass(frozen=True)
class DiscordantCounts:
    """Cases that the candidate treats better and worse than the baseline, shape (groups,)."""

    better: FloatArray
    worse: FloatArray

    @property
    def discordant(self) -> FloatArray:
        """Cases that the two treat differently."""
        return self.better + self.worse


@dataclass(frozen=True)
class FewDiscordant:
    """What is known where few units, or none, are treated differently; arrays of shape (groups,).

    The share of all units that are may be as large as Clopper and Pearson's upper limit, and all
    of them may move the metric in the same direction, as far as they can. That is wide, and holds
    whatever these units are like.
    """

    # Units that were found to be treated differently, and all: effective numbers.
    found: FloatArray
    units: FloatArray
    # How far the metric moves at most, by the share of the units; infinite without a bound.
    reach: FloatArray
    # Whether this is what is known of the group.
    holds: BoolArray
    # The largest difference that the metric can have.
    largest: float

    @classmethod
    def of_units(
        cls, found: FloatArray, units: FloatArray, reach: float, largest: float = 1.0
    ) -> "FewDiscordant":
        """Say how many units were treated differently; of no group yet that it is what holds."""
        nowhere = np.zeros(len(found), dtype=bool)
        return cls(found, units, np.full(len(found), reach), nowhere, largest)

    def share(self, error: float) -> FloatArray:
        """Give the largest share of the units that may be treated differently."""
        spare = np.maximum(self.units - self.found, _NO_UNITS)
        share: FloatArray = special.betainccinv(self.found + 1, spare, error / 2)
        return share

    def interval(self, error: float) -> tuple[FloatArray, FloatArray]:
        """Give the limits that leave this error probability, half on each side."""
        half = np.minimum(self.reach * self.share(error), self.largest)
        return -half, half

    def beyond(self, distance: float) -> FloatArray:
        """Give the p-values of "the difference is this far from 0, or farther, on one side"."""
        spare = np.maximum(self.units - self.found, _NO_UNITS)
        needed = np.minimum(np.nan_to_num(divide(distance, self.reach), nan=1.0), 1.0)
        tail: FloatArray = special.betaincc(self.found + 1, spare, needed)
        return tail


@dataclass(frozen=True)
class Difference:
    """A metric's difference, candidate less baseline, in every group."""

    estimate: Estimate
    flips: DiscordantCounts
    # What the data say about the true difference, and what they do where little is discordant.
    distribution: "StudentisedDifference | PairedRateDifference"
    few: FewDiscordant
    # Where an interval stands though there is no test, and where the candidates are identical.
    without_test: BoolArray
    identical: BoolArray
    # Clusters that the metric rests on; NaN where cases are not in clusters.
    clusters: FloatArray

    def above(self, bound: float) -> FloatArray:
        """Give the p-values of "the difference is at most the bound", which is below 0."""
        return np.where(self.few.holds, self.few.beyond(-bound), self.distribution.above(bound))

    def below(self, bound: float) -> FloatArray:
        """Give the p-values of "the difference is at least the bound", which is above 0."""
        return np.where(self.few.holds, self.few.beyond(bound), self.distribution.below(bound))

    def interval(self, error: float) -> tuple[FloatArray, FloatArray]:
        """Give the limits that leave this error probability, half on each side."""
        each = np.full(len(self.identical), error)
        few, usual = self.few.interval(error), self.distribution.interval(each)
        low, high = (
            np.where(self.identical, 0.0, np.where(self.few.holds, one, other))
            for one, other in zip(few, usual, strict=True)
        )
        return low, high


# A metric, or a metric of one class and which.
Compared = str | tuple[str, Any]
Differences = dict[tuple[CandidatePair, Compared], Difference]


def concat_levels(levels: Iterable[Differences]) -> Differences:
    """Put the groups of all levels, compared by the same methods, one after the other."""
    parts = list(levels)

    def joined(key: tuple[CandidatePair, Compared], name: str) -> Any:
        own = [getattr(part[key], name) for part in parts]
        return np.concatenate(own) if isinstance(own[0], np.ndarray) else concat_arrays(own)

    names = [field.name for field in fields(Difference)]
    return {key: Difference(**{name: joined(key, name) for name in names}) for key in parts[0]}


@dataclass(frozen=True)
class Discordance:
    """What two candidates treat differently in every group; arrays of shape (groups,)."""

    flips: DiscordantCounts
    few: FewDiscordant
    # Number of different outputs where both candidates' are the same; 0 elsewhere.
    alike: FloatArray
    # How cases are treated, and how many units have to be for any test to find something.
    how: str = "scored differently"
    least: int = 1
    unit: str = "cases"
    # What to say of none, if not their number.
    none: str | None = None
    # Why candidates are identical there.
    same: str = "the outputs are equal case by case"

    def settle(
        self,
        estimate: Estimate,
        distribution: "StudentisedDifference | PairedRateDifference",
        clusters: FloatArray | None = None,
    ) -> Difference:
        """Say where too little is treated differently for a test, and what is known there.

        It is asked of groups of cases enough alone. Candidates are identical where all outputs are
        the same; of a metric that has a bound, where these are `MIN_OUTPUTS` different ones, since
        fewer may agree by chance, and there is an interval that says so.
        """
        few = self.few
        scarce = (estimate.status == "ok") & (few.found < self.least)
        bounded = np.isfinite(few.reach)
        identical = scarce & (self.alike >= np.where(bounded, MIN_OUTPUTS, 1))
        without_test = scarce & bounded & ~identical
        # Of some discordant cases Tango's interval knows more.
        is_rate = isinstance(distribution, PairedRateDifference)
        holds = without_test & (few.found == 0) if is_rate else without_test
        none = self.none or (f"no case is {self.how}" if self.least == 1 else None)
        reasons = shortfall_reasons(self.least, f"{self.unit} that are {self.how}", few.found)
        if none is not None:
            reasons[few.found == 0] = none
        estimate.mark_too_few(scarce, reasons)
        estimate.value[identical], estimate.reason[identical] = 0.0, self.same
        if clusters is None:
            clusters = np.full(len(scarce), np.nan)
        few = replace(few, holds=holds)
        return Difference(
            estimate, self.flips, distribution, few, without_test, identical, clusters
        )


def different_outputs(
    group: IntArray,
    chosen: BoolArray,
    columns: Iterable[tuple[FloatArray, FloatArray]],
    *,
    ordered: bool = False,
) -> FloatArray:
    """Count the different outputs of groups in which those of both candidates are the same.

    Parameters
    ----------
    group
        Each row's group, shape (rows,).
    chosen
        The groups that are asked for, shape (groups,).
    columns
        Both candidates' outputs, arrays of shape (rows,).
    ordered
        Whether outputs are the same that order the rows of a group alike, ties included.

    Returns
    -------
    numpy.ndarray
        The largest number in any column, shape (groups,); 0 where some outputs are not the same.
    """
    same, most = chosen.copy(), np.zeros(len(chosen))
    rows = np.flatnonzero(chosen[group])
    if not len(rows):
        return most
    for one, other in columns:
        order = rows[np.lexsort((one[rows], group[rows]))]
        of_row, first, second = group[order], one[order], other[order]
        begins = np.append(True, of_row[1:] != of_row[:-1])
        rises = np.append(True, first[1:] != first[:-1])
        differs = first != second
        if ordered:
            differs = ~begins & (np.append(1, np.sign(np.diff(second))) != rises)
        same[of_row[differs]] = False
        most = np.maximum(most, np.bincount(of_row, begins | rises, len(chosen)))
    return np.where(same, most, 0.0)


def effective_units(design: SurveyDesign, among: BoolArray) -> FloatArray:
    """Count the units of equal weight that would be worth as much as those with the chosen rows.

    Source: as of `SurveyDesign.cases`, with the weights of clusters where there are some.
    """
    return design.of_groups_effective(design.of_units(design.weight * among))


def compare_levels(
    designs: Sequence[SurveyDesign],
    at_level: Mapping[str, Callable[[SurveyDesign], Any]],
    pairs: Sequence[CandidatePair],
    forms: Mapping[str, LevelMetric[Any]],
    error: float,
) -> Differences:
    """Compare pairs of candidates by all metrics, measured from the rows of every level."""

    def of_level(design: SurveyDesign) -> Differences:
        rows = {name: read(design) for name, read in at_level.items()}
        found: Differences = {}
        for metric, form in forms.items():
            ones = {name: _CandidateEstimate.of(metric, form, at) for name, at in rows.items()}
            for pair in pairs:
                both = ones[pair[0]], ones[pair[1]]
                found[pair, metric] = _level_difference(design, both, pair, error)
        return found

    return concat_levels(of_level(design) for design in designs)


class ComparedLevel(Protocol):
    """What a comparison needs of the rows of one level, of whatever task."""

    @property
    def design(self) -> SurveyDesign:
        """How the rows came about."""
        ...

    @property
    def outputs(self) -> list[FloatArray]:
        """What the candidate said of every row: scores, and last what it decided."""
        ...

    @property
    def parts(self) -> list[BoolArray]:
        """The rows that bounded metrics rest on which are no share of all; of several, each."""
        ...


@dataclass(frozen=True)
class _CandidateEstimate:
    """A candidate's metric at one level, as `PairedTest` has it, and what it was measured from."""

    test: PairedTest[Any]
    estimate: Estimate
    linear: LinearisedEstimate
    merit: FloatArray
    # All outputs, shape (rows,) each, and those of them that the metric reads.
    outputs: list[FloatArray]
    read: list[FloatArray]
    at: ComparedLevel

    @classmethod
    def of(cls, metric: str, form: LevelMetric[Any], at: Any) -> "_CandidateEstimate":
        """Measure a candidate in the forms that a comparison needs."""
        estimate, test = form.measure(at), form.paired
        if test is None or not isinstance(estimate, Estimate):
            raise TypeError("there is no paired test of this metric")
        outputs = at.outputs
        if METRICS[metric].needs == "score":
            outputs = read = outputs[:-1]
        elif METRICS[metric].needs == "limits":
            outputs = read = list(at.rows.limits)
        else:
            read = outputs[-1:]
        return cls(test, estimate, test.linear(at), test.merit(at), outputs, read, at)

    def units(self) -> FloatArray:
        """Count the effective units of the smallest part that a bounded metric rests on."""
        parts = [] if self.test.hits else [rows for rows in self.at.parts if rows.any()]
        parts = parts or [np.ones(len(self.merit), dtype=bool)]
        of_parts = np.array([effective_units(self.at.design, rows) for rows in parts])
        # A class that a group does not have says nothing about it.
        units: FloatArray = np.where(of_parts > 0, of_parts, np.inf).min(axis=0)
        return np.where(np.isfinite(units), units, 0.0)


def _level_difference(
    design: SurveyDesign,
    ones: tuple[_CandidateEstimate, _CandidateEstimate],
    pair: CandidatePair,
    error: float,
) -> Difference:
    one, other = ones
    test = one.test
    more, fewer = one.merit > other.merit, one.merit < other.merit
    flips = DiscordantCounts(design.total(more), design.total(fewer))
    effective = np.fmin(one.estimate.effective, other.estimate.effective)
    estimate = Estimate(one.linear.value - other.linear.value, effective)
    for name, single in zip(pair, ones, strict=True):
        for reason in dict.fromkeys(single.estimate.reason[single.estimate.undefined]):
            where = single.estimate.undefined & (single.estimate.reason == reason)
            of_candidate = any(word in str(reason) for word in ("predicted", "answered"))
            own = f"{reason} by {name!r}" if of_candidate else str(reason)
            estimate.mark_undefined(where, own)
    few, reasons = effective < test.fewest, shortfall_reasons(test.fewest, "cases", effective)
    if test.unseen is not None and test.unseen.instead is not None:
        reasons[few] += f"; {test.unseen.instead} need fewer"
    estimate.mark_too_few(few, reasons)
    by_merit = test.hits or test.by_merit
    found = design.units(more | fewer if by_merit else _differ(one.read, other.read))
    settings: dict[str, Any] = {}
    if by_merit:
        settings = decided_differently(error, clustered=design.cluster is not None)
    # A decision more or less moves the rates of two classes.
    reach = np.inf if np.isinf(test.largest) else 1.0 if by_merit else 2.0
    is_scarce = bool((found < settings.get("least", 1)).any())
    units = one.units() if is_scarce and np.isfinite(reach) else design.n
    all_same = (design.n > 0) & (design.total(_differ(one.outputs, other.outputs)) == 0)
    outputs = _of_both(one.outputs, other.outputs)
    alike = different_outputs(design.group, all_same, outputs)
    known = FewDiscordant.of_units(found, units, reach)
    discordance = Discordance(flips, known, alike, **settings)
    if test.hits and design.plain:
        gained = divide(flips.better - flips.worse, design.n)
        estimate.value = np.where(estimate.undefined, np.nan, gained)
        distribution = PairedRateDifference(flips.better, flips.worse, np.maximum(design.n, 1))
        return discordance.settle(estimate, distribution)
    linear = one.linear, other.linear
    return linear_difference(
        design,
        linear,
        estimate,
        discordance,
        skewed=test.skewed,
        largest=test.largest,
        unseen=test.unseen,
    )


def _of_both(
    one: Sequence[FloatArray], other: Sequence[FloatArray]
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Pair outputs with their like; decisions come last, and one may have no scores before."""
    return zip(reversed(one), reversed(other), strict=False)


def _differ(one: Sequence[FloatArray], other: Sequence[FloatArray]) -> BoolArray:
    """Say of which rows any output differs that both have."""
    differ: BoolArray = np.logical_or.reduce([a != b for a, b in _of_both(one, other)])
    return differ


def decided_differently(error: float, *, clustered: bool) -> dict[str, Any]:
    """Give how many units have to be decided differently, as `Discordance` takes it.

    An interval by the spread of fewer clusters is too short: where all move the metric in the same
    direction, it misses in up to 15 % of the samples, on one side.
    """
    unit = "clusters with cases" if clustered else "cases"
    return {"how": "decided differently", "least": fewest_discordant(error), "unit": unit}


def mean_difference(
    estimate: Estimate,
    discordance: Discordance,
    moments: Moments,
    *,
    largest: float = np.inf,
    clusters: FloatArray | None = None,
    moved: tuple[FloatArray | float, FloatArray | float] = (0.0, 0.0),
) -> Difference:
    """Compare by the mean of the units' differences, whose moments are given: the paired t-test.

    The studentised mean is corrected for skewness as in `StudentisedDifference`; where the
    differences are symmetric this is Student's paired test itself. Where they show no spread, or
    are carried by one unit, there is no test.
    """
    distribution = StudentisedDifference.of_moments(moments, largest, moved)
    difference = discordance.settle(estimate, distribution, clusters)
    estimate.mark_too_few(moments.deviation == 0, _ALL_ALIKE)
    carried = np.abs(np.nan_to_num(moments.skewness)) > MAX_SKEWNESS * np.sqrt(moments.n)
    estimate.mark_too_few(carried, "one case carries the difference")
    return difference


@dataclass(frozen=True)
class BundledRows:
    """How many rows each bundle of a design has, and their squared influences; (bundles,)."""

    rows: FloatArray
    squares: FloatArray


def linear_difference(
    design: SurveyDesign,
    linear: LinearisedEstimate | tuple[LinearisedEstimate, LinearisedEstimate],
    estimate: Estimate,
    discordance: Discordance,
    *,
    among: BoolArray | None = None,
    bundled: BundledRows | None = None,
    skewed: bool = False,
    largest: float = np.inf,
    unseen: Unseen | None = None,
) -> Difference:
    """Compare two linearised estimates by the difference of each unit's influences.

    The units are the clusters, or the rows where there are none. Limits and tests are as if one
    more had been seen, as `unseen` says: of clusters, one as far out as the furthest, on the side
    of the difference that faces away from 0, since it is too small where those that carry it are
    lacking. A test of "no difference" does not change by that. Variance and degrees of freedom are
    those of `Spread`.
    Source: D. Binder, International Statistical Review 51 (1983) 279.
    """
    if isinstance(linear, LinearisedEstimate):
        influence, alone = linear.influence, np.zeros(design.groups)
    else:
        one, other = linear
        influence = one.influence - other.influence
        alone = design.variance(one.influence) + design.variance(other.influence)
    units = design.units(among)
    if design.plain:
        spread = Spread.of_cases(units, *design.moments(influence))
    else:
        share = design.share(np.ones(len(influence), dtype=bool) if among is None else among)
        rows = np.ones(len(influence)) if bundled is None else bundled.rows
        squares = influence**2 if bundled is None else bundled.squares
        parts = [design.of_units(one) for one in (influence, squares, share, share**2 / rows)]
        spread = Spread.of_units(UnitSums(design.group_of_unit, *parts), design.groups)
    # What is left by cancellation is no spread.
    variance = np.where(spread.variance <= _NO_SPREAD * alone, 0, spread.variance)
    # As if so many independent units had been averaged.
    n = np.where(units > 0, spread.known(spread.carriers) + 1, 0)
    lean = spread.lean if skewed else np.zeros(len(n))
    deviation, skewness = np.sqrt(np.nan_to_num(variance) * n), lean * np.sqrt(n)
    moments = Moments(n, estimate.value.copy(), deviation, skewness)
    design.mark_few_clusters(estimate, among)
    clusters = units if design.cluster is not None else None
    unseen = unseen if unseen is not None or design.plain else _OF_CLUSTERS
    moved: tuple[FloatArray | float, FloatArray | float] = (0.0, 0.0)
    if unseen is not None:
        below, above = design.furthest(influence)
        t = np.nan_to_num(divide(estimate.value, np.sqrt(variance)))
        moved = unseen.moved(below, -t, units), unseen.moved(above, t, units)
    found = mean_difference(
        estimate, discordance, moments, largest=largest, clusters=clusters, moved=moved
    )
    if unseen is not None and unseen.instead is not None:
        unit = "case" if design.cluster is None else "cluster"
        carried = np.maximum(below, above) ** 2 > CARRIED * variance
        reason = f"one {unit} carries the difference; {unseen.instead} say more"
        estimate.mark_too_few(carried, reason)
    return found


@dataclass(frozen=True)
class StudentisedDifference:
    """Differences whose studentised error follows Student's distribution, or nearly.

    With t = (estimate - difference) / error and l the skewness of t's numerator, the quantity
    t + l t^2 / 3 + l^2 t^3 / 27 + l / 6 follows Student's distribution where the skewness is known
    well, and t itself where it is only noise. Neither is known: every test here is the less
    certain of the two, and every interval holds both. Both quantities grow with t, so that tests
    and intervals are the same statement. Without skewness this is Student's own test.

    In simulation the corrected test alone errs in 0.087 of the samples at level 0.05 where heavy
    tails are symmetric (60 cases), Student's alone in 0.08 where they are not (25 cases).

    Source: P. Hall, Journal of the Royal Statistical Society B 54 (1992) 221.
    """

    # Estimates, their standard errors, and the degrees of freedom of these; shape (groups,).
    value: FloatArray
    error: FloatArray
    freedom: FloatArray
    # Skewness of a single unit's contribution over the root of the number of units.
    lean: FloatArray
    # The largest difference that the metric can have; may be infinite.
    largest: float = np.inf
    # How far a unit that was not seen may move the estimate down, and up.
    lowered: FloatArray | float = 0.0
    raised: FloatArray | float = 0.0

    @classmethod
    def of_moments(
        cls,
        moments: Moments,
        largest: float,
        moved: tuple[FloatArray | float, FloatArray | float] = (0.0, 0.0),
    ) -> "StudentisedDifference":
        """Take the mean of a quantity of each unit, whose moments are given."""
        root = np.sqrt(np.maximum(moments.n, 1))
        lean = np.nan_to_num(moments.skewness) / root
        spare = np.maximum(moments.n - 1, 1)
        return cls(moments.mean, moments.deviation / root, spare, lean, largest, *moved)

    @property
    def _sides(self) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """Give estimate and error as the lower limit has them, and as the upper one has."""
        below, above = self.value - self.lowered, self.value + self.raised
        return (below, np.hypot(self.error, self.lowered)), (
            above,
            np.hypot(self.error, self.raised),
        )

    def _tails(self, bound: float) -> tuple[FloatArray, FloatArray]:
        """Give the larger upper and lower tail, were the true difference the bound."""

        def carried(t: FloatArray) -> FloatArray:
            return t + self.lean * t**2 / 3 + self.lean**2 * t**3 / 27 + self.lean / 6

        # Without spread there is no test: whoever made the error says so.
        low, high = (divide(value - bound, error) for value, error in self._sides)
        upper = special.stdtr(self.freedom, -np.minimum(low, carried(low)))
        lower = special.stdtr(self.freedom, np.maximum(high, carried(high)))
        return upper, lower

    def two_sided(self) -> FloatArray:
        """Give the p-values of "there is no difference"."""
        upper, lower = self._tails(0.0)
        doubled: FloatArray = np.minimum(2 * np.minimum(upper, lower), 1.0)
        return doubled

    def above(self, bound: float) -> FloatArray:
        """Give the p-values of "the difference is at most the bound"."""
        return self._tails(bound)[0]

    def below(self, bound: float) -> FloatArray:
        """Give the p-values of "the difference is at least the bound"."""
        return self._tails(bound)[1]

    def interval(self, error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the limits that leave these error probabilities, half on each side."""
        quantile = -special.stdtrit(self.freedom, error / 2)
        straight = np.abs(self.lean) < _NO_LEAN
        lean = np.where(straight, _NO_LEAN, self.lean)

        def back(carried: FloatArray) -> FloatArray:
            bent = 3 / lean * (np.cbrt(1 + lean * (carried - lean / 6)) - 1)
            t: FloatArray = np.where(straight, carried, bent)
            return t

        (below, error_below), (above, error_above) = self._sides
        low = below - error_below * np.maximum(back(quantile), quantile)
        high = above - error_above * np.minimum(back(-quantile), -quantile)
        return np.maximum(low, -self.largest), np.minimum(high, self.largest)


@dataclass(frozen=True)
class PairedRateDifference:
    """Differences of rates over the same cases; arrays of shape (groups,)."""

    # Cases that are a hit for the candidate alone and for the baseline alone.
    more: FloatArray
    fewer: FloatArray
    # All cases; at least 1.
    n: FloatArray

    def two_sided(self) -> FloatArray:
        """Give McNemar's exact p-values."""
        return mcnemar(self.more, self.fewer)

    def _statistic(self, bound: float) -> FloatArray:
        return tango(self.more, self.fewer, self.n, np.full(len(self.n), bound))

    def above(self, bound: float) -> FloatArray:
        """Give Tango's p-values of "the difference is at most the bound"."""
        tail: FloatArray = special.ndtr(-self._statistic(bound))
        return tail

    def below(self, bound: float) -> FloatArray:
        """Give Tango's p-values of "the difference is at least the bound"."""
        tail: FloatArray = special.ndtr(self._statistic(bound))
        return tail

    def interval(self, error: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give Tango's limits, brought into agreement with the exact test.

        Score statistic and exact test may fall on different sides of their limits when both are
        near them. There the quantile is stretched by what the two differ by at zero, so that the
        interval holds zero exactly when the exact test does not contradict it.
        """
        quantile = -special.ndtri(error / 2)
        score = np.abs(self._statistic(0.0))
        exact = np.abs(special.ndtri(self.two_sided() / 2))
        disagree = (score > quantile) != (self.two_sided() <= error)
        quantile[disagree] *= score[disagree] / exact[disagree]
        return tango_interval(self.more, self.fewer, self.n, quantile)


def mcnemar(more: FloatArray, fewer: FloatArray) -> FloatArray:
    """Give the p-values of McNemar's exact test that two rates are equal.

    Of the b + c cases that are a hit for one candidate alone, b follows the binomial distribution
    with rate 1/2; twice the smaller tail, at most 1. The outcome itself counts in full: it is not
    the mid-p version, and never errs more often than nominal.
    """
    least, most = np.minimum(more, fewer), np.maximum(more, fewer)
    # The probability of at most `least` of them; without any, half.
    tail = special.betainc(np.maximum(most, 1), least + 1, 0.5)
    doubled: FloatArray = np.minimum(2 * tail, 1.0)
    return doubled


def fewest_discordant(error: float) -> int:
    """Give the number of discordant cases from which on McNemar's exact test can find anything.

    With d of them the smallest possible p-value is 2^(1 - d).
    """
    return int(np.ceil(1 - np.log2(error)))


def tango(more: FloatArray, fewer: FloatArray, n: FloatArray, difference: FloatArray) -> FloatArray:
    """Give Tango's score statistic at a supposed true difference; it is standard normal there.

    (b - c - n d) / sqrt(n (2 q + d (1 - d))), where q is the probability of c that is most
    likely if the difference is d: the larger root of
    2 n q^2 - (b + c - (2 n - b + c) d) q - c d (1 - d) = 0.
    """
    linear = more + fewer - (2 * n - more + fewer) * difference
    constant = fewer * difference * (1 - difference)
    root = np.sqrt(np.maximum(linear**2 + 8 * n * constant, 0))
    q = np.maximum(linear + root, 0) / (4 * n)
    variance = n * np.maximum(2 * q + difference * (1 - difference), 0)
    excess = more - fewer - n * difference
    # Only a difference that is observed exactly has neither excess nor variance.
    statistic = np.where(excess == 0, 0.0, np.copysign(np.inf, excess))
    np.divide(excess, np.sqrt(variance), out=statistic, where=variance > 0)
    return statistic


def tango_interval(
    more: FloatArray, fewer: FloatArray, n: FloatArray, quantile: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Give the differences at which Tango's statistic does not exceed the normal quantile."""

    def contradicted(difference: FloatArray) -> BoolArray:
        return np.abs(tango(more, fewer, n, difference)) > quantile

    observed = (more - fewer) / n
    low, high = (halve_towards(end, observed, contradicted, _HALVINGS) for end in (-1.0, 1.0))
    return low, high
