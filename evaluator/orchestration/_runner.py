"""Running an audit from a terminal, through Dagster, on the instance that the UI shows.

Only what is not current is run: the plan is made from the evidence, before anything starts.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import UTC, datetime
from importlib import import_module
from typing import Protocol

from evaluator.certification import format_count
from evaluator.errors import CandidateError, EvidenceError, UsageError
from evaluator.evidence import RunContext
from evaluator.orchestration._certificates import registered
from evaluator.orchestration._documents import reports_are_current
from evaluator.orchestration._evaluation_set import accepted_rows, missing_labels, needs_refresh
from evaluator.orchestration._executors._declared import ray_executor
from evaluator.orchestration._executors._executor import Job
from evaluator.orchestration._executors._processes import ProcessExecutor
from evaluator.orchestration._home import Home
from evaluator.orchestration._local_runs import LocalRuns, new_run_id
from evaluator.orchestration._partitions import Range, ranges_of, slice_batches
from evaluator.orchestration._run_summary import Choice, RunSummary
from evaluator.orchestration._scorecard_run import read_judged_scorecard
from evaluator.orchestration._state import AuditState, CandidateSliceState, DayState
from evaluator.orchestration._streams import Stream
from evaluator.orchestration._tracking import move_artifacts_along, server_name
from evaluator.scorecard import Asset, Slice, metrics_of, model_of, predictions_of
from evaluator.spec import Audit, CandidateSpec

RAW_FILES, INTAKE, EVALUATION_SET, REPORTS = "Raw files", "Intake", "Evaluation set", "Reports"

Advance = Callable[[], None]
"""Says that one more part of a stage is through."""


class Display(Protocol):
    """Shows what runs and what is left."""

    def plan(self, *stages: str) -> None:
        """Announce stages that are to come; each begins or is skipped."""

    def stage(self, name: str, parts: int, thing: str) -> AbstractContextManager[Advance]:
        """Show a stage of so many things from its beginning to its end; several may go on."""

    def fail(self, name: str) -> None:
        """Say of a stage that ended that not all of it was done; the last words say why."""

    def skip(self, name: str, why: str) -> None:
        """Say why an announced stage does not begin; of one that has begun nothing is said."""


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
        self.choice = choice
        self._display = display
        self.summary = RunSummary()
        home.prepare()
        self._advance: dict[str, Advance] = {}
        self._executor = ray_executor(audit, self._on_predicted) or ProcessExecutor(
            os.cpu_count() or 1, self._on_predicted
        )
        move_artifacts_along(home)
        self._open(home)
        _check_choice(self.state.audit, choice)
        self._runs.close_abandoned()

    def _open(self, home: Home) -> None:
        self.state = AuditState(self.audit, home)
        self._runs = LocalRuns(self.state, self._executor)

    def start_afresh(self) -> None:
        """Ignore what is stored of the chosen candidate, or of all; nothing of it is removed.

        Raises
        ------
        UsageError
            Where single slices are chosen: others of the candidate would be lost to the scorecard.
        """
        if self.choice.geography is not None or self.choice.segment is not None:
            raise UsageError(
                "a fresh start is one of a whole candidate",
                culprit="--fresh",
                fix="leave out --geography and --segment",
            )
        self.state.store.start_afresh(self.audit.name, self.choice.candidate)
        self._open(self.state.home)

    def run(self, *, refresh: bool = False, retry: bool = False) -> RunSummary:
        """Bring everything that was chosen up to date, and tell what was found.

        Parameters
        ----------
        refresh
            Whether the evaluation set takes in all accepted days now, whatever its policy is.
        retry
            Whether days that were refused are tried again, though nothing changed.

        Raises
        ------
        UsageError
            Where no file has arrived at all.
        """
        candidates = [candidate.name for candidate in self._chosen_candidates()]
        later = [EVALUATION_SET, *candidates, REPORTS] if candidates else []
        self._display.plan(RAW_FILES, INTAKE, *later)
        self.ingest_days(retry=retry)
        if self.audit.spec.candidates:
            self._refresh_evaluation_set(refresh=refresh)
            # Where none was ever frozen, a fault says what to mend, and there is nothing to do.
            if self.state.current(Asset.EVALUATION_SET) is not None:
                self._display.skip(
                    EVALUATION_SET,
                    "stays as it is" if self.summary.refresh_withheld else "up to date",
                )
                self._evaluate()
                self._report()
            else:
                for stage in later:
                    self._display.skip(stage, "there is no evaluation set yet")
        # A process of a run that was killed a moment ago may have ended only now.
        self._runs.close_abandoned()
        self._runs.close()
        return self.summary

    def ingest_days(self, *, retry: bool = False) -> RunSummary:
        """Take in what arrived, and what waits for another try; where `retry`, refused days too."""
        self.summary.days = self._ingest(self.state.data, retry=retry)
        if self.state.labels is not None:
            self.summary.label_days = self._ingest(self.state.labels, retry=retry)
        if not self.summary.days and not self.summary.faults:
            raise self.state.source(self.state.data).nothing_came()
        self._display.skip(RAW_FILES, "nothing new came")
        self._display.skip(INTAKE, "nothing to take in")
        return self.summary

    def _ingest(self, stream: Stream, *, retry: bool) -> list[DayState]:
        days = self.state.days(stream)
        try:
            arrived = self.state.arrived_days(stream, self.state.source(stream))
        except EvidenceError as error:
            # What is stored can be judged without it.
            self.summary.faults.append(f"{RAW_FILES}: {error}")
            arrived = []
        for chosen in ranges_of(days, arrived):
            self._execute(RAW_FILES, [stream.assets.raw], chosen, (len(arrived), "day"))
        tried = ("waiting", "refused") if retry else ("waiting",)
        waiting = [d.day for d in self.state.day_states(stream) if d.state in tried]
        names = [stream.assets.typed, *stream.assets.beside]
        faults = []
        for chosen in ranges_of(days, waiting):
            faults += self._execute(INTAKE, names, chosen, (len(waiting), "day"), partial=True)
        states = self.state.day_states(stream)
        left = [d for d in states if d.state == "waiting"]
        stage = INTAKE if stream.is_data else f"{INTAKE} of {stream.name}"
        self.summary.faults += [f"{stage}, {d.day}: {d.reason}" for d in left if d.fault]
        if any(d.fault is None for d in left):
            # Not even that could be noted.
            self.summary.faults += [f"{stage}: {fault}" for fault in faults]
        return states

    def _refresh_evaluation_set(self, *, refresh: bool) -> None:
        snapshot = self.state.current(Asset.EVALUATION_SET)
        missing = missing_labels(self.state)
        if self.summary.faults and self.audit.spec.automation.faulty_days == "wait":
            # So far there are those of single days alone.
            self.summary.refresh_withheld = (
                "The evaluation set waits for the days that could not be taken in"
                " (`automation.faulty_days: wait`)"
                + ("." if snapshot is None else f", as frozen on {snapshot.created_at:%Y-%m-%d}.")
            )
        elif missing is not None:
            self.summary.refresh_withheld = str(missing)
        elif refresh or needs_refresh(self.state, snapshot, datetime.now(UTC)):
            self._execute(EVALUATION_SET, [Asset.EVALUATION_SET], None, (1, "asset"))
        elif snapshot is not None:
            frozen = [(day.asset, day.partition) for day in snapshot.upstream]
            accepted = [(day.asset, day.partition) for day in accepted_rows(self.state)]
            policy = self.audit.spec.automation.refresh
            if sorted(accepted) != sorted(frozen):
                self.summary.refresh_withheld = (
                    f"The evaluation set stays as it was frozen on {snapshot.created_at:%Y-%m-%d}"
                    f" (`refresh: {policy}`): {len(frozen)} days, and {len(accepted)} are accepted"
                    " now. `evaluator run --refresh` freezes it anew."
                )

    def _chosen_candidates(self) -> list[CandidateSpec]:
        return [
            candidate
            for candidate in self.audit.spec.candidates
            if self.choice.candidate in (None, candidate.name)
        ]

    def _evaluate(self) -> None:
        observed = self._observe_models()
        before = {candidate.name: self._chosen_slices(candidate) for candidate in observed}
        pending = {
            name: {s.slice for s in states if s.state != "current"}
            for name, states in before.items()
        }
        faults = self._compute([c for c in observed if pending[c.name]], pending)
        for candidate in observed:
            computed = pending[candidate.name]
            after = self._chosen_slices(candidate) if computed else before[candidate.name]
            self.summary.reused += len(after) - len(computed)
            self.summary.computed += sum(
                s.state == "current" and s.slice in computed for s in after
            )
            if any(s.slice in computed and s.state != "current" for s in after):
                self._display.fail(candidate.name)
            self.summary.slices += after
        for candidate in observed:
            count = format_count(len(before[candidate.name]), "slice")
            self._display.skip(candidate.name, f"{count}, nothing left to do")
        left = [s for s in self.summary.slices if s.state != "current"]
        times = Counter((s.candidate, s.error) for s in left if s.fault not in (None, "input"))
        self.summary.faults += [
            f"{name}, {format_count(count, 'slice')}: {error}"
            for (name, error), count in times.items()
        ]
        if any(s.fault is None for s in left):
            # Not even that could be noted.
            self.summary.faults += faults

    def _observe_models(self) -> list[CandidateSpec]:
        """Look at the candidates' artifacts, and return those that have one."""
        found, changed = [], []
        for candidate in self._chosen_candidates():
            try:
                artifact = self.state.model_digest(candidate)
            except CandidateError as error:
                self.summary.faults.append(str(error))
                self._display.skip(candidate.name, "it has no artifact")
                continue
            found.append(candidate)
            if artifact != self.state.observed_model(candidate):
                changed.append(model_of(candidate.name))
        if changed:
            self.summary.faults += self._runs.execute(changed, None)
        return found

    def _compute(
        self, candidates: Sequence[CandidateSpec], pending: Mapping[str, set[Slice]]
    ) -> list[str]:
        """Evaluate pending slices side by side; a run of Dagster for each range of them.

        Returns what the runs failed of; what a candidate failed of shows in the state.
        """
        faults: list[str] = []
        if not candidates:
            return faults
        wanted = -(-(os.cpu_count() or 1) // len(candidates))
        # A range of partitions is one in Dagster's order.
        spec = self._runs.tell_values() if self.state.spec.discovered else self.state.spec
        jobs = [
            Job(
                self.audit,
                candidate,
                self.state.home,
                RunContext(new_run_id(), datetime.now(UTC)),
                slices,
            )
            for candidate in candidates
            for slices in slice_batches(spec, candidate, pending[candidate.name], wanted=wanted)
        ]
        with self._executor, ExitStack() as shown:
            for candidate in candidates:
                name = candidate.name
                self._advance[name] = shown.enter_context(
                    self._display.stage(name, len(pending[name]), "slice")
                )
            self._executor.submit(*jobs)
            # The reports will need it, and this process only waits.
            # It silences a warning of its own, which in a thread beside Dagster's may be undone.
            import_module("requests")
            ahead = threading.Thread(target=_import_ahead, daemon=True)
            ahead.start()
            for job in jobs:
                faults += self._runs.execute(
                    [predictions_of(job.candidate.name), metrics_of(job.candidate.name)],
                    Range(job.slices[0].key, job.slices[-1].key),
                    job.run_context.run_id,
                )
            # Of two threads that import what imports itself in a circle, one finds half of it.
            ahead.join()
        return faults

    def _on_predicted(self, candidate: str, _: Slice) -> None:
        self._advance[candidate]()

    def _chosen_slices(self, candidate: CandidateSpec) -> list[CandidateSliceState]:
        return [
            s
            for s in self.state.slice_states(
                candidate,
                self.state.require(Asset.EVALUATION_SET),
                self.state.observed_model(candidate),
            )
            if self.choice.geography in (None, s.slice.geography)
            and self.choice.segment in (None, s.slice.segment)
        ]

    def _report(self) -> None:
        if not reports_are_current(self.state, datetime.now(UTC)):
            names = [Asset.SCORECARD, Asset.CERTIFICATE, Asset.DASHBOARD, Asset.DOCUMENTS]
            logged = [Asset.MLFLOW_RUNS]
            logged += [Asset.PROMOTED_MODELS] if registered(self.audit.spec) else []
            if self.state.home.tracks_itself:
                names, logged = names + logged, []
            self._execute(REPORTS, names, None, (len(names), "asset"))
            if logged:
                # At last, so that nobody waits for a server but this.
                stage = f"MLflow at {server_name(self.state.home)}, waited for two minutes at most"
                self._execute(stage, logged, None, (len(logged), "asset"))
        self._display.skip(REPORTS, "up to date")
        if self.state.current(Asset.SCORECARD) is not None:
            self.summary.judged = read_judged_scorecard(self.state)

    def _execute(
        self,
        stage: str,
        names: Sequence[str],
        chosen: Range | None,
        parts: tuple[int, str],
        *,
        partial: bool = False,
    ) -> list[str]:
        """Run some assets; where `partial`, a failure is a finding and shows in the state."""
        with self._display.stage(stage, *parts):
            faults = self._runs.execute(names, chosen)
        if faults:
            self._display.fail(stage)
        if not partial:
            self.summary.faults += [f"{stage}: {fault}" for fault in faults]
        return faults


def _import_ahead() -> None:
    # What it fails of is told where it is needed.
    with suppress(Exception):
        import_module("mlflow.tracking")


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
                fix=f"use one of {', '.join(known[option])}"
                if known[option]
                else "leave it out: the audit declares none",
            )
