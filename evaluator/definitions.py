"""Dagster's entry point: loads the audits below `defs/` and nothing else."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Load every audit that has a folder here."""
    audits = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    # Inside a run the work is one process; runs go side by side by the run queue, which took
    # a third of the time that a process a step took.
    return dg.Definitions.merge(audits, dg.Definitions(executor=dg.in_process_executor))
