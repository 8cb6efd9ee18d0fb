"""What an audit found, for people: page, model cards, technical file, a terminal's last lines."""

from evaluator.reporting.content import CandidateSummary, DashboardContent, IntakeDay
from evaluator.reporting.dashboard import render_dashboard
from evaluator.reporting.document import Document
from evaluator.reporting.document_content import DocumentsContent
from evaluator.reporting.model_card import model_card
from evaluator.reporting.standouts import Standout, standout_slices
from evaluator.reporting.summary import summary_lines
from evaluator.reporting.technical_file import technical_file

__all__ = [
    "CandidateSummary",
    "DashboardContent",
    "Document",
    "DocumentsContent",
    "IntakeDay",
    "Standout",
    "model_card",
    "render_dashboard",
    "standout_slices",
    "summary_lines",
    "technical_file",
]
