"""What all tests share: the order they run in, and that no property is held to a time."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones, which mostly wait, so that the others fill their pauses."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
