"""A file in; typed rows, quarantined rows and a profile out; drift."""

from evaluator.intake.content import reference_content
from evaluator.intake.content_drift import content_drift
from evaluator.intake.infer import infer_schema
from evaluator.intake.outputs import QUARANTINED_ROWS, TYPED_ROWS, typed_schema
from evaluator.intake.quarantine import quarantine_to_csv, read_mended
from evaluator.intake.replay import replay
from evaluator.intake.report import render_report
from evaluator.intake.take import IntakeResult, take_in
from evaluator.intake.volume import unusual_volume

__all__ = [
    "QUARANTINED_ROWS",
    "TYPED_ROWS",
    "IntakeResult",
    "content_drift",
    "infer_schema",
    "quarantine_to_csv",
    "read_mended",
    "reference_content",
    "render_report",
    "replay",
    "take_in",
    "typed_schema",
    "unusual_volume",
]
