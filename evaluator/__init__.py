"""Evaluate, compare and certify the outputs of AI systems, slice by slice.

Importing the package imports nothing else: each part is imported where it is used.
"""

import os

# MLflow would tell its makers about each use, and reads this where it is imported: by whichever
# command, worker or program, one of ours was imported before.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

__version__ = "0.1.0"
