"""The functions that fill a scorecard: measure, compare, fairness, weak slices.

Whoever makes a certificate and whoever verifies one call the same. Files, gates and Dagster do not
belong here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
