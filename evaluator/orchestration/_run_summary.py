"""What a run did and found, in words for the terminal, and its exit code."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from evaluator.certification import PAGE, TECHNICAL_FILE
from evaluator.errors import StateError, UsageError, in_words
from evaluator.evidence import PruningPlan, plan_pruning
from evaluator.orchestration._certificates import CERTIFICATE
from evaluator.orchestration._days import REPORT
from evaluator.orchestration._documents import highlights
from evaluator.orchestration._evaluation_set import label_notes_of
from evaluator.orchestration._facts import CertificateFacts, IntakeFacts
from evaluator.orchestration._home import Home
from evaluator.orchestration._scorecard_run import JudgedScorecard
from evaluator.orchestration._state import AuditState, CandidateSliceState, DayState
from evaluator.orchestration._streams import Stream
from evaluator.reporting import summary_lines
from evaluator.scorecard import INTAKES, Asset
from evaluator.spec import Audit

DONE, NOT_CERTIFIED, FAULT = 0, 1, 3
MAX_REMARKS = 5
"""So many days that were accepted with a remark are told, the latest ones."""
RETAINED_ASSETS = (
    *(asset for names in INTAKES for asset in (names.raw, names.quarantined)),
    Asset.CERTIFICATE,
)
"""What came in, what was refused, and what was certified, with all that it rests on."""
MIN_AGE = timedelta(hours=1)
"""What is younger may belong to a run that has not come to its end."""


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
    label_days
        The same of labels that come in files of their own.
    judged
        The scorecard and its verdicts; None for an audit without candidates, and where no slice
        could ever be scored.
    faults
        Runs that failed otherwise than by a candidate or a refused day, in words.
    refresh_withheld
        Why the evaluation set has not all accepted days; None where it has.
    """

    computed: int = 0
    reused: int = 0
    slices: list[CandidateSliceState] = field(default_factory=list)
    days: list[DayState] = field(default_factory=list)
    label_days: list[DayState] = field(default_factory=list)
    judged: JudgedScorecard | None = None
    faults: list[str] = field(default_factory=list)
    refresh_withheld: str | None = None


def format_run_summary(state: AuditState, summary: RunSummary) -> Iterator[str]:
    """Yield the lines that end a run: what was done, what was found, where it lies.

    Parameters
    ----------
    state
        The audit's state after the run.
    summary
        What the run did; of an audit without candidates only days and faults are said.

    Yields
    ------
    str
        A line, without its end.
    """
    yield ""
    yield from _days(state, state.data, summary.days)
    if state.labels is not None:
        yield from _days(state, state.labels, summary.label_days)
    evaluation_set = state.current(Asset.EVALUATION_SET) if state.spec.candidates else None
    if evaluation_set is not None:
        yield from label_notes_of(state, evaluation_set)
    if summary.refresh_withheld is not None:
        yield summary.refresh_withheld
    if summary.slices:
        yield from _slices(summary)
    if summary.judged is not None:
        yield ""
        headline_metrics, standout_metrics = highlights(state.spec)
        yield from summary_lines(
            outcomes=summary.judged.outcomes,
            verdicts=summary.judged.verdicts,
            scorecard=summary.judged.scorecard,
            fairness_gaps=summary.judged.fairness_gaps,
            headline_metrics=headline_metrics,
            standout_metrics=standout_metrics,
            minimum_support=state.spec.minimum_support,
        )
        remarks = summary.judged.scorecard.remarks
        if remarks:
            yield from ("", "Remarks", *(f"  {remark}" for remark in remarks))
        yield ""
        yield from _locations(state)
    for fault in summary.faults:
        yield f"Fault: {in_words(fault)}"
    if summary.faults:
        yield "The next run tries again what faults kept from being done."


def exit_code(audit: Audit, choice: Choice, summary: RunSummary) -> int:
    """Choose the exit code of a run.

    Parameters
    ----------
    audit
        What was run.
    choice
        Which part of it.
    summary
        What the run did and found.

    Returns
    -------
    int
        0 done or certified, 1 done and not certified, 3 a fault. Where only some slices were run,
        or the audit has no gates, the chosen slices decide: 0 where all are current. An audit
        without candidates ends with 1 where a day was refused.
    """
    if summary.faults:
        return FAULT
    if summary.judged is None:
        refused = any(day.state == "refused" for day in (*summary.days, *summary.label_days))
        # Candidates that wait for labels are not certified.
        return NOT_CERTIFIED if refused or audit.spec.candidates else DONE
    only_a_part = choice.geography is not None or choice.segment is not None
    outcomes = [
        outcome.outcome
        for outcome in summary.judged.outcomes
        if choice.candidate in (None, outcome.candidate)
    ]
    if only_a_part or not audit.spec.gates:
        complete = all(s.state == "current" for s in summary.slices)
        # Without a gate a candidate is refused for what it saw in training.
        refused = not only_a_part and "not certified" in outcomes
        return DONE if complete and not refused else NOT_CERTIFIED
    return DONE if "certified" in outcomes else NOT_CERTIFIED


def find_prunable(audit: Audit, home: Home) -> PruningPlan:
    """Find what of an audit's evidence nothing refers to; nothing is removed yet.

    Parameters
    ----------
    audit
        Whose evidence is looked through.
    home
        Where evidence and runs are; Dagster's folder is made where it is not there.

    Returns
    -------
    PruningPlan
        For `evaluator.evidence.prune`. What is younger than an hour is not in it, and stays.

    Raises
    ------
    UsageError
        Where a run of any audit is under way, which may be about to refer to something.
    StateError
        Where Dagster's database cannot be asked for that, and somebody is at work.
    EvidenceError
        Where a record is damaged: what it refers to is not known then.
    """
    import dagster as dg

    from evaluator.orchestration._local_runs import is_anybody_at_work, open_instance

    home.prepare()
    under_way = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    try:
        with open_instance(home) as instance:
            runs = instance.get_runs(dg.RunsFilter(statuses=under_way))
    except StateError:
        # On a full disk nobody can ask, and just then room is to be made.
        if is_anybody_at_work(home):
            raise
        runs = []
    if runs:
        raise UsageError(
            f"{len(runs)} runs are under way or queued",
            culprit="evaluator prune",
            fix="wait until they have ended (the UI's page *Runs* shows them), and prune again",
        )
    return plan_pruning(
        home.store(),
        audit.name,
        retained=RETAINED_ASSETS,
        before=datetime.now(UTC) - MIN_AGE,
        beside=home.leftovers(),
    )


def format_pruning_plan(plan: PruningPlan) -> Iterator[str]:
    """Say what would be removed, by asset, and what stays.

    Yields
    ------
    str
        A line, without its end. Sizes are in megabytes of 1,000,000 bytes.
    """
    for asset in sorted({found.asset for found in plan.superseded}):
        found = [p for p in plan.superseded if p.asset == asset]
        yield f"  {asset}: {len(found):,} superseded versions, {_bytes(sum(p.size for p in found))}"
    if plan.incomplete or plan.beside:
        size = sum(p.size for p in plan.incomplete) + sum(plan.beside.values())
        count = sum(len(p.paths) for p in plan.incomplete) + len(plan.beside)
        yield f"  {count:,} files that a process left half written, {_bytes(size)}"
    if plan.is_empty:
        yield "There is nothing to remove."
    stays = f"{plan.kept:,} versions are referred to or kept for ever, and stay"
    young = f"; {plan.too_recent:,} are younger than an hour, and stay for now"
    yield stays + (young if plan.too_recent else "") + "."


def _days(state: AuditState, stream: Stream, days: Sequence[DayState]) -> Iterator[str]:
    accepted = [day for day in days if day.state == "accepted"]
    what = "days" if stream.is_data else f"days of {stream.name}"
    rows = sum(IntakeFacts.of(day.report).rows for day in accepted if day.report)
    quarantined = sum(IntakeFacts.of(day.report).quarantined for day in days if day.report)
    yield (
        f"{len(accepted)} of {len(days)} {what} accepted, {rows:,} rows;"
        f" {quarantined:,} rows in quarantine."
    )
    for day in days:
        if day.state != "accepted" and not (day.state == "waiting" and day.fault):
            yield f"  {day.day} {day.state}: {day.reason}"
        if day.state == "refused" and day.report is not None:
            yield f"    report: {state.store.location(day.report, REPORT)}"
    if any(day.state == "refused" for day in days):
        yield (
            f"  What is refused stays so until its file, the audit's `{stream.name}:` or the code"
            " changes;"
            f" `evaluator run {state.audit.name} --retry` tries again as it is."
        )
    remarks = [
        f"  {day.day} accepted, but {remark}"
        for day in accepted
        if day.report is not None
        for remark in IntakeFacts.of(day.report).checks.values()
        if remark is not None
    ]
    yield from remarks[-MAX_REMARKS:]
    if len(remarks) > MAX_REMARKS:
        yield f"  and {len(remarks) - MAX_REMARKS} more remarks on earlier days, in their reports"


def _slices(summary: RunSummary) -> Iterator[str]:
    failed = [s for s in summary.slices if s.state != "current"]
    if not summary.computed and not failed:
        yield f"No slice was computed: all {summary.reused} are current and were reused."
        return
    yield (
        f"{summary.computed} candidate slices computed, {summary.reused} reused,"
        f" {len(failed)} not evaluated."
    )
    # What is no candidate's doing is told as a fault.
    errors = Counter((s.candidate, s.error) for s in failed if s.fault == "input")
    for (candidate, error), count in errors.most_common(MAX_REMARKS):
        yield f"  {candidate}, {count} slice{'' if count == 1 else 's'}: {error}"


def _locations(state: AuditState) -> Iterator[str]:
    """Say where page and certificates lie, and who signed them."""
    page = state.current(Asset.DASHBOARD)
    if page is not None:
        yield f"Dashboard:    {state.store.location(page, PAGE)}"
    papers = state.current(Asset.DOCUMENTS)
    if papers is not None:
        file = f"{TECHNICAL_FILE}.html"
        folder = state.store.location(papers, file).removesuffix(file)
        yield f"Documents:    {folder} (model cards, technical file)"
    issued = state.current(Asset.CERTIFICATE)
    if issued is not None:
        folder = state.store.location(issued, CERTIFICATE).removesuffix(CERTIFICATE)
        facts = CertificateFacts.of(issued)
        key = facts.key_id
        signed = f"signed by key {key[:16]}" if key else "UNSIGNED, see `evaluator keys --help`"
        yield f"Certificates: {folder} (one a candidate, {signed})"
        for candidate, why in facts.withheld.items():
            yield f"  none for {candidate}: {why}"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
