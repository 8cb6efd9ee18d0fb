"""What all tests share: the order they run in."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow ones, which mostly wait, so that the others fill their pauses."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
