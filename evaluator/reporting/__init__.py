"""What an audit found, for people: an HTML dashboard and a terminal's last lines."""

from evaluator.reporting.content import CandidateSummary, DashboardContent, IntakeDay
from evaluator.reporting.dashboard import render_dashboard
from evaluator.reporting.standouts import Standout, standout_slices
from evaluator.reporting.summary import summary_lines

__all__ = [
    "CandidateSummary",
    "DashboardContent",
    "IntakeDay",
    "Standout",
    "render_dashboard",
    "standout_slices",
    "summary_lines",
]
