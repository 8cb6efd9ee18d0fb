"""Numbers: every metric on every slice, each with an interval that keeps its promise.

The names are imported when they are first used: whoever only validates metric names
(`METRICS`) does not pay for numpy and pandas.
"""

from typing import TYPE_CHECKING, Any

from evaluator.metrics.registry import METRICS, MetricInfo, Task

if TYPE_CHECKING:
    from evaluator.metrics.checks import MetricsInputError
    from evaluator.metrics.slices import slice_metrics

__all__ = ["METRICS", "MetricInfo", "MetricsInputError", "Task", "slice_metrics"]

_HOMES = {
    "MetricsInputError": "evaluator.metrics.checks",
    "slice_metrics": "evaluator.metrics.slices",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
