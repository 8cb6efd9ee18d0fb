"""The difference of two areas under the ROC curve over the same cases."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.metrics._catalogue import NEGATIVES, POSITIVES, none_of
from evaluator.metrics._comparison._differences import (
    Difference,
    Discordance,
    DiscordantCounts,
    FewDiscordant,
    StudentisedDifference,
    fewest_discordant,
)
from evaluator.metrics._estimates import (
    MIN_OF_EACH_CLASS,
    NO_SPREAD,
    BoolArray,
    Estimate,
    FloatArray,
    Unseen,
    divide,
)
from evaluator.metrics._levels import Level
from evaluator.metrics._ranking import CellLayout, variance_of_area

RANKED_DIFFERENTLY = "ranked differently"
# What a case that was not seen may carry, and from how many carriers on it is left out.
_UNSEEN, _MANY = 1.5, 60
SAME_ORDER = "the scores rank the cases alike"


def roc_auc_difference(
    layout: CellLayout,
    level: Level,
    placed: tuple[NDArray[np.int32], NDArray[np.int32]],
    alike: Callable[[BoolArray], FloatArray] | None = None,
    *,
    error: float = 0.05,
) -> Difference:
    """Compare two areas under the ROC curve by DeLong's paired method.

    The difference of the areas is the mean, over either class, of the difference of the
    placements as shares of the other class; its variance is the sum over both classes of the
    variance of these differences over their number. Student's distribution with Satterthwaite's
    degrees of freedom takes the place of the normal one. `alike` tells of which of the groups
    where no case is ranked differently the scores have the same order, as `different_outputs` does.

    Where hardly a case carries the difference, no more of the pairs can be ordered differently than
    an upper limit from those that share no case, as many as there are of the rarer class. That rule
    looks at outcomes.

    Sources: E. DeLong, D. DeLong, D. Clarke-Pearson, Biometrics 44 (1988) 837; X. Sun, W. Xu,
    IEEE Signal Processing Letters 21 (2014) 1389, for placements by sorting.
    """
    cases = level.add_up(layout.sizes).astype(float)
    negatives, positives = cases[:, 0], cases[:, 1]

    def measured(rows: slice) -> list[NDArray[Any]]:
        gained = placed[0][rows] - placed[1][rows]
        square = np.multiply(gained, gained, dtype=np.float64)
        return [gained, square, gained > 0, gained < 0, square * square]

    found = level.add_up(layout.of_cells(measured))
    sums, squares = found[:, :, 0], found[:, :, 1]
    better, worse = found[:, :, 2].sum(axis=1), found[:, :, 3].sum(axis=1)
    value = divide(sums[:, 1], 2 * positives * negatives)
    of_classes = []
    for column, own, others in ((1, positives, negatives), (0, negatives, positives)):
        second = divide(squares[:, column], 4 * others**2)
        centred = second - own * value**2
        # What is left by cancellation is no spread.
        of_classes.append(np.where(centred <= NO_SPREAD * second, 0, centred))
    variance, freedom = variance_of_area(of_classes, (positives, negatives))
    fewer = np.minimum(positives, negatives)
    estimate = Estimate(value.copy(), fewer)
    flips = DiscordantCounts(better, worse)
    estimate.mark_undefined(positives == 0, none_of(POSITIVES))
    estimate.mark_undefined(negatives == 0, none_of(NEGATIVES))
    mark_few_of_a_class(estimate, positives, negatives, MIN_OF_EACH_CLASS)
    freedom = np.maximum(np.nan_to_num(freedom, nan=1.0), 1)
    no_skewness = np.zeros(len(value))
    distribution = StudentisedDifference(value, np.sqrt(variance), freedom, no_skewness, 1.0)
    below = 2 * cases * cases[:, ::-1]
    second, fourth = (
        np.nan_to_num(divide(found[:, :, place], below**power)).sum(axis=1)
        for place, power in ((1, 2), (4, 4))
    )
    carriers = carriers_of(second, fourth)
    few_carry = np.where(flips.discordant > 0, carriers, 0)
    away = np.nan_to_num(divide(value, np.sqrt(variance)))
    size = np.sqrt(np.nan_to_num(divide(fourth, second)))
    unseen = unseen_carrier(carriers)
    distribution = replace(
        distribution,
        lowered=unseen.moved(size, -away, fewer),
        raised=unseen.moved(size, away, fewer),
    )
    unchanged = (flips.discordant == 0) & (cases.sum(axis=1) > 0)
    difference = Discordance(
        flips,
        FewDiscordant.of_units(few_carry, fewer, 1.0),
        np.zeros(len(unchanged)) if alike is None else alike(unchanged),
        how=RANKED_DIFFERENTLY,
        same=SAME_ORDER,
        **few_carriers(error),
    ).settle(estimate, distribution)
    estimate.mark_too_few(
        variance == 0, "all cases are ranked differently alike, so that the spread is unknown"
    )
    return difference


def carriers_of(second: FloatArray, fourth: FloatArray) -> FloatArray:
    """Count the cases of one size that have the same sums of second and fourth powers."""
    return np.nan_to_num(divide(second**2, fourth))


def few_carriers(error: float) -> dict[str, Any]:
    """Give how many cases of one size have to carry a difference, as `Discordance` takes it.

    As many as have to be decided differently: fewer are too few even where they all agree.
    """
    none = f"no case is {RANKED_DIFFERENTLY}"
    return {"least": fewest_discordant(error), "unit": "cases of each class", "none": none}


def unseen_carrier(carriers: FloatArray) -> Unseen:
    """Say how far one more may lie than those that carry a difference: not at all beside many.

    With it the limits of a few equal ones are about those of a number by Poisson's distribution.
    """
    return Unseen(_UNSEEN * np.maximum(1 - carriers / _MANY, 0))


def mark_few_of_a_class(
    estimate: Estimate, positives: FloatArray, negatives: FloatArray, least: int
) -> None:
    """Mark groups with fewer than `least` cases of either class."""
    for what, cases in (("positive", positives), ("negative", negatives)):
        estimate.mark_shortfall(least, f"{what} labels", cases)
