"""The `evaluator` command: each of its commands reads words, calls a room, and prints.

It starts fast because it imports late. What the Dagster UI would lack does not belong here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
