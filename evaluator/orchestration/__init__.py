"""The Dagster layer: an audit's YAML as assets, partitions, sensors, checks and runs.

Here are the clocks, the environment, MLflow and where state lies. Arithmetic does not belong here,
nor does what a certificate says.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
