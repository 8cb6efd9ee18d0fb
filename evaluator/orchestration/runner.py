"""Running an audit from a terminal, through Dagster, on the instance that the UI shows.

Only what is not current is run: the plan is made from the evidence, before anything starts.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from evaluator.errors import CandidateError, UsageError
from evaluator.orchestration import identities
from evaluator.orchestration.component import audit_definitions
from evaluator.orchestration.day_files import day_files
from evaluator.orchestration.documents import reports_are_current
from evaluator.orchestration.home import Home
from evaluator.orchestration.partitions import daily
from evaluator.orchestration.ranges import Range, ranges_of, slice_ranges_of
from evaluator.orchestration.scorecard import Findings, read_findings
from evaluator.orchestration.specs import key_of
from evaluator.orchestration.state import AuditState, DayState, SliceState
from evaluator.spec import Audit, CandidateSpec

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"

RAW_FILES, INTAKE, EVALUATION_SET, REPORTS = "Raw files", "Intake", "Evaluation set", "Reports"


class Display(Protocol):
    """Shows what runs and what is left."""

    def plan(self, *stages: str) -> None:
        """Announce stages that are to come; one that is up to date may never begin."""

    def stage(self, name: str, parts: int) -> AbstractContextManager[None]:
        """Show a stage of so many parts from its beginning to its end."""


class Choice(NamedTuple):
    """Which part of an audit is run; None stands for all."""

    candidate: str | None = None
    geography: str | None = None
    segment: str | None = None


@dataclass
class RunSummary:
    """What a run did and what it found.

    Attributes
    ----------
    computed, reused
        Candidate slices that were computed, and those whose evidence was there.
    slices
        The chosen slices as they are now.
    days
        What became of every day that has a file.
    findings
        The scorecard and its verdicts; None for an audit without candidates, and where no slice
        could ever be scored.
    faults
        Runs that failed otherwise than by a candidate or a refused day, in words.
    """

    computed: int = 0
    reused: int = 0
    slices: list[SliceState] = field(default_factory=list)
    days: list[DayState] = field(default_factory=list)
    findings: Findings | None = None
    faults: list[str] = field(default_factory=list)


class AuditRun:
    """One run of an audit.

    Parameters
    ----------
    audit
        What is run.
    home
        Where its state is; the Dagster instance too.
    choice
        Which part of it is run.
    display
        Shows the progress.
    """

    def __init__(self, audit: Audit, home: Home, choice: Choice, display: Display) -> None:
        self.audit = audit
        self.state = AuditState(audit, home)
        self.choice = choice
        self._display = display
        self.summary = RunSummary()
        _check_choice(audit, choice)
        home.prepare()
        self._instance = dg.DagsterInstance.get()
        self._job = audit_definitions(audit).resolve_implicit_global_asset_job_def()

    def run(self) -> RunSummary:
        """Bring everything that was chosen up to date, and tell what was found."""
        candidates = [candidate.name for candidate in self._chosen_candidates()]
        later = [EVALUATION_SET, *candidates, REPORTS] if candidates else []
        self._display.plan(RAW_FILES, INTAKE, *later)
        self.take_in_days()
        if self.audit.spec.candidates:
            self._freeze_evaluation_set()
            for candidate in self._chosen_candidates():
                self._evaluate(candidate)
            self._report()
        return self.summary

    def take_in_days(self) -> RunSummary:
        """Take in what arrived, and nothing more."""
        days = daily(self.audit.spec).get_partition_keys()
        arrived = [day for day in days if self._has_new_file(day)]
        for chosen in ranges_of(days, arrived):
            self._execute(RAW_FILES, ["raw_data"], chosen, len(arrived))
        waiting = [d.day for d in self.state.day_states() if d.state == "waiting"]
        for chosen in ranges_of(days, waiting):
            names = ["validated_data", "quarantined_rows", "data_quality_report"]
            self._execute(INTAKE, names, chosen, len(waiting), partial=True)
        self.summary.days = self.state.day_states()
        if not self.summary.days:
            landing = self.state.home.landing(self.audit.name)
            raise UsageError(
                f"no file has arrived in {landing}",
                culprit=self.audit.name,
                fix=f"put files called {self.audit.spec.data.files} there,"
                f" from {self.audit.spec.data.first_day} on",
            )
        return self.summary

    def _has_new_file(self, day: str) -> bool:
        files = day_files(self.audit, self.state.home, day)
        if not files.data.is_file():
            return False
        return self.state.is_news("raw_data", day, files.version())

    def _freeze_evaluation_set(self) -> None:
        days = self.state.accepted_days()
        wanted = identities.evaluation_set_identity(self.audit.spec, days)
        current = self.state.current("evaluation_set")
        if current is None or current.identity != wanted:
            self._execute(EVALUATION_SET, ["evaluation_set"], None, 1)

    def _chosen_candidates(self) -> list[CandidateSpec]:
        return [
            candidate
            for candidate in self.audit.spec.candidates
            if self.choice.candidate in (None, candidate.name)
        ]

    def _evaluate(self, candidate: CandidateSpec) -> None:
        try:
            artifact = self.state.model_digest(candidate)
        except CandidateError as error:
            self.summary.faults.append(str(error))
            return
        if artifact != self.state.observed_model(candidate):
            self._execute(candidate.name, [f"{candidate.name}_model"], None, 1)
        before = self._chosen_slices(candidate)
        pending = {s.slice_key for s in before if s.state != "current"}
        values = self.audit.spec.slice_values()
        for chosen in slice_ranges_of(values["geography"], values["segment"], pending):
            names = [f"{candidate.name}_predictions", f"{candidate.name}_slice_metrics"]
            self._execute(candidate.name, names, chosen, len(pending), partial=True)
        after = self._chosen_slices(candidate)
        self.summary.reused += len(before) - len(pending)
        self.summary.computed += sum(s.state == "current" and s.slice_key in pending for s in after)
        self.summary.slices += after

    def _chosen_slices(self, candidate: CandidateSpec) -> list[SliceState]:
        return [
            s
            for s in self.state.slice_states(
                candidate,
                self.state.require("evaluation_set"),
                self.state.observed_model(candidate),
            )
            if self.choice.geography in (None, s.geography)
            and self.choice.segment in (None, s.segment)
        ]

    def _report(self) -> None:
        if not reports_are_current(self.state):
            names = ["scorecard", "mlflow_runs", "certificate", "dashboard"]
            self._execute(REPORTS, names, None, len(names))
        if self.state.current("scorecard") is not None:
            self.summary.findings = read_findings(self.state)

    def _execute(
        self,
        stage: str,
        names: Sequence[str],
        chosen: Range | None,
        parts: int,
        *,
        partial: bool = False,
    ) -> None:
        """Run some assets; where `partial`, a failure is a finding and shows in the state."""
        tags = {RANGE_START_TAG: chosen.first, RANGE_END_TAG: chosen.last} if chosen else {}
        with self._display.stage(stage, parts):
            result = self._job.execute_in_process(
                instance=self._instance,
                asset_selection=[key_of(self.audit, name) for name in names],
                tags=tags,
                raise_on_error=False,
                # The terminal shows the progress; the log is in the UI.
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        if not result.success and not partial:
            failures = result.filter_events(lambda event: event.is_step_failure)
            self.summary.faults += [
                f"{stage}: {_cause(event.step_failure_data.error)}" for event in failures
            ]


def _cause(error: SerializableErrorInfo | None) -> str:
    """Say an error's own words; Dagster wraps it into errors of its own."""
    while error is not None and error.cause is not None:
        error = error.cause
    return "no error was recorded" if error is None else error.message.strip()


def _check_choice(audit: Audit, choice: Choice) -> None:
    values = audit.spec.slice_values()
    known = {
        "candidate": [candidate.name for candidate in audit.spec.candidates],
        "geography": list(values.get("geography", ())),
        "segment": list(values.get("segment", ())),
    }
    for option, chosen in choice._asdict().items():
        if chosen is not None and chosen not in known[option]:
            raise UsageError(
                f"the audit {audit.name} has no such {option}",
                culprit=f"--{option} {chosen}",
                fix=f"use one of {', '.join(known[option]) or '(there is none)'}",
            )
