"""A file in; typed rows, quarantined rows and a profile out; drift."""

from evaluator.intake.outputs import QUARANTINED_ROWS, TYPED_ROWS, typed_schema
from evaluator.intake.report import render_report
from evaluator.intake.take import IntakeResult, take_in

__all__ = [
    "QUARANTINED_ROWS",
    "TYPED_ROWS",
    "IntakeResult",
    "render_report",
    "take_in",
    "typed_schema",
]
