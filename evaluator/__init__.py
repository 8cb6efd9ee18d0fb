"""Evaluate, compare and certify the outputs of AI systems, slice by slice.

Importing the package imports nothing else: each part is imported where it is used.
"""

import os

# MLflow and Dagster would tell their makers about each use, and read this where they run: in
# whichever command, worker or program, one of ours was imported before, or it was started from one.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "true"

__version__ = "0.1.0"
