"""What is known of the days that arrived, for the gates that look at them."""

import json
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from evaluator.certification.day_facts import asks_about_drift, drift_of, with_reference
from evaluator.evidence import Record
from evaluator.findings.names import PROFILE
from evaluator.findings.scorecard import DayFacts
from evaluator.orchestration.state import AuditState, DayState


class ArrivedDays(NamedTuple):
    """The days that have a file, as they stand now."""

    states: Sequence[DayState]
    with_drift: bool
    """Whether a gate looks at drift."""

    @property
    def reports(self) -> list[Record]:
        """The reports that the facts are read from."""
        return [day.report for day in self.states if day.report is not None]

    @property
    def described(self) -> list[object]:
        """What the facts are made of, known without reading any report."""
        days = [
            [day.day, day.state, day.reason, day.report.identity if day.report else None]
            for day in self.states
        ]
        return [self.with_drift, days]


def arrived_days(state: AuditState) -> ArrivedDays:
    """Look at every day that has a file."""
    return ArrivedDays(state.day_states(), asks_about_drift(state.spec))


def day_facts(state: AuditState, days: ArrivedDays) -> list[DayFacts]:
    """Gather the facts about days; profiles are read only for the sake of drift.

    Parameters
    ----------
    state
        The audit's state.
    days
        The days as they stand.
    """
    return with_reference(state.spec, [_facts(state, d, days.with_drift) for d in days.states])


def _facts(state: AuditState, day: DayState, with_drift: bool) -> DayFacts:  # noqa: FBT001 - a fact that is handed on
    drift = None
    if with_drift and day.report is not None:
        drift = drift_of(json.loads(state.store.read_bytes(day.report, PROFILE)))
    counts = day.report.facts if day.report is not None and day.state != "waiting" else {}
    return DayFacts(
        day=date.fromisoformat(day.day),
        rows=counts.get("rows"),
        quarantined=counts.get("quarantined"),
        refused=day.reason if day.state == "refused" else None,
        drift=drift,
    )
