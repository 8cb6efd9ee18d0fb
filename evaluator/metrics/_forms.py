"""The forms of a metric that is measured from the rows of one level."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from evaluator.metrics._estimates import Estimate, FloatArray, concat_arrays
from evaluator.metrics._linear import LinearisedEstimate

Level = TypeVar("Level")
# A table has one estimate for each of its cells, by their names.
Measure = Callable[[Level], Estimate | dict[str, Estimate]]


@dataclass(frozen=True)
class PairedTest(Generic[Level]):
    """How two candidates are compared by a metric."""

    # The value with each row's influence on it.
    linear: Callable[[Level], LinearisedEstimate]
    # How well each case is treated: more is better, shape (rows,).
    merit: Callable[[Level], FloatArray]
    # Cases (of the rarest class, where the metric rests on it) below which there is no test.
    fewest: int = 0
    # Whether the metric is the share of cases whose merit is 1.
    hits: bool = False
    # As in `linear_difference`.
    skewed: bool = False
    largest: float = np.inf


@dataclass(frozen=True)
class LevelMetric(Generic[Level]):
    """All forms of a metric; weights and clusters are the level's."""

    measure: Measure[Level]
    # None where the catalogue says why there is no paired test.
    paired: PairedTest[Level] | None = None


def measure_levels(
    levels: Iterable[Level], measures: Mapping[str, Measure[Level]]
) -> dict[str, Estimate]:
    """Measure every level by all metrics, and put the levels one after the other."""
    results: list[dict[str, Estimate]] = []
    for at in levels:
        results.append({})
        for name, measure in measures.items():
            found = measure(at)
            results[-1] |= {name: found} if isinstance(found, Estimate) else found
    return {name: concat_arrays([one[name] for one in results]) for name in results[0]}
