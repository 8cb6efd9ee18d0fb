"""Dagster's entry point: loads the audits of the project, or those that ship, and nothing else."""

import dagster as dg

from evaluator.orchestration import project_definitions
from evaluator.spec import find_project, shipped_audits


@dg.definitions
def defs() -> dg.Definitions:
    """Load every audit that has a folder there; one that does not load leaves the others alone."""
    project = find_project()
    audits = project_definitions(project.audits if project else shipped_audits())
    # Inside a run the work is one process; runs go side by side by the run queue, which took
    # a third of the time that a process a step took.
    return dg.Definitions.merge(audits, dg.Definitions(executor=dg.in_process_executor))
