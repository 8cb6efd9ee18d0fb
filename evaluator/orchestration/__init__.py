"""The Dagster layer: an audit's YAML as assets, partitions, sensors and checks.

The names are imported when they are first used: whoever only looks at an audit's state does not
pay for Dagster.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluator.orchestration.component import AuditComponent, audit_definitions

__all__ = ["AuditComponent", "audit_definitions"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from evaluator.orchestration import component

    return getattr(component, name)


def __dir__() -> list[str]:
    # Dagster looks here for the components that there are.
    return __all__
