"""Dagster's entry point: loads the audits below `defs/` and nothing else."""

from pathlib import Path

import dagster as dg

from evaluator.orchestration import project_definitions


@dg.definitions
def defs() -> dg.Definitions:
    """Load every audit that has a folder here; one that does not load leaves the others alone."""
    audits = project_definitions(Path(__file__).parent / "defs")
    # Inside a run the work is one process; runs go side by side by the run queue, which took
    # a third of the time that a process a step took.
    return dg.Definitions.merge(audits, dg.Definitions(executor=dg.in_process_executor))
