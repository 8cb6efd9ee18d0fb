"""Numbers: every metric on every slice, each with an interval that keeps its promise.

The names are imported when they are first used: whoever only validates metric names
(`METRICS`, `FAIRNESS_MEASURES`) does not pay for numpy and pandas.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from evaluator.metrics.fairness_measures import FAIRNESS_MEASURES, FairnessMeasure
from evaluator.metrics.registry import METRICS, MetricInfo, Task

if TYPE_CHECKING:
    from evaluator.metrics.checks import MetricsInputError
    from evaluator.metrics.comparison import compare_candidates, compare_pairs
    from evaluator.metrics.comparison_frame import paired_frame
    from evaluator.metrics.comparison_ranks import rank_candidates
    from evaluator.metrics.fairness import fairness
    from evaluator.metrics.fairness_summary import fairness_summary
    from evaluator.metrics.slices import slice_metrics
    from evaluator.metrics.weak_slices import WeakSlices, weak_slices
    from evaluator.metrics.worsened_slices import slice_definitions, worsened_slices

__all__ = [
    "FAIRNESS_MEASURES",
    "METRICS",
    "FairnessMeasure",
    "MetricInfo",
    "MetricsInputError",
    "Task",
    "WeakSlices",
    "compare_candidates",
    "compare_pairs",
    "fairness",
    "fairness_summary",
    "paired_frame",
    "rank_candidates",
    "slice_definitions",
    "slice_metrics",
    "weak_slices",
    "worsened_slices",
]

_HOMES = {
    "MetricsInputError": "evaluator.metrics.checks",
    "WeakSlices": "evaluator.metrics.weak_slices",
    "compare_candidates": "evaluator.metrics.comparison",
    "compare_pairs": "evaluator.metrics.comparison",
    "fairness": "evaluator.metrics.fairness",
    "fairness_summary": "evaluator.metrics.fairness_summary",
    "paired_frame": "evaluator.metrics.comparison_frame",
    "rank_candidates": "evaluator.metrics.comparison_ranks",
    "slice_definitions": "evaluator.metrics.worsened_slices",
    "slice_metrics": "evaluator.metrics.slices",
    "weak_slices": "evaluator.metrics.weak_slices",
    "worsened_slices": "evaluator.metrics.worsened_slices",
}


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Python would put the module `fairness` where the function of that name is looked for.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
