"""What a run did and found, in words for the terminal, and its exit code."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from evaluator.certification import PAGE, format_count
from evaluator.errors import StateError, UsageError, in_words
from evaluator.evidence import Prunable, PruningPlan, Record, plan_pruning
from evaluator.orchestration._evaluation_set import label_notes_of
from evaluator.orchestration._facts import CertificateFacts, IntakeFacts
from evaluator.orchestration._home import Home
from evaluator.orchestration._scorecard_run import JudgedScorecard
from evaluator.orchestration._state import AuditState, CandidateSliceState, DayState
from evaluator.orchestration._streams import Stream
from evaluator.reporting import (
    HEIGHT,
    Notice,
    fit_notices,
    height,
    outcome_table,
    printable,
    scorecard_notices,
)
from evaluator.scorecard import INTAKES, Asset
from evaluator.spec import Audit

DONE, NOT_CERTIFIED, FAULT = 0, 1, 3
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

    def streams(self, state: AuditState) -> list[tuple[Stream, list[DayState]]]:
        """Give the days of each stream of the audit."""
        return list(zip(state.streams, (self.days, self.label_days), strict=False))


def format_run_summary(state: AuditState, summary: RunSummary) -> Iterator[str]:
    """Yield the lines that end a run, on one screen: what was done, decided and is missing.

    `evaluator show` prints the rest.

    Parameters
    ----------
    state
        The audit's state after the run.
    summary
        What the run did; of an audit without candidates only days and faults are said.

    Yields
    ------
    str
        A line, without its end: 24 of 100 columns at most, in which a path that is longer counts
        as the lines that it takes.
    """
    show = f"evaluator show {state.audit.name}"
    streams = summary.streams(state)
    first = ["", *(count_days(stream, days) for stream, days in streams)]
    if summary.slices:
        first.append(_count_slices(summary))
    judged = summary.judged
    last = [*([] if judged is None else _where(state)), *_what_next(state, summary)]
    last += _more(state, summary)
    if judged is not None:
        table = outcome_table(
            outcomes=judged.outcomes,
            verdicts=judged.verdicts,
            scorecard=judged.scorecard,
            fairness_gaps=judged.fairness_gaps,
            headline_metric=state.spec.headline_metrics[0],
            command=show,
        )
        first += ["", *table]
    room = HEIGHT - height([*first, *last])
    yield from first
    yield from fit_notices(_notices(state, summary, streams), room, show)
    yield from last


def format_outcomes(summary: RunSummary) -> Iterator[str]:
    """Yield each candidate's outcome with what qualifies it, refused days, and faults.

    Yields
    ------
    str
        A line, without its end and without control characters.
    """
    outcomes = [] if summary.judged is None else summary.judged.outcomes
    refused = [d for d in (*summary.days, *summary.label_days) if d.state == "refused"]
    yield from map(
        printable,
        (
            *(f"{outcome.candidate}: {outcome.in_words}" for outcome in outcomes),
            *(f"{day.day} refused: {day.reason}" for day in refused),
            *(f"Fault: {in_words(fault)}" for fault in summary.faults),
        ),
    )


def _notices(
    state: AuditState, summary: RunSummary, streams: Sequence[tuple[Stream, Sequence[DayState]]]
) -> list[Notice]:
    """Gather what must not be missed, the most important first."""
    judged = summary.judged
    # What is no candidate's doing is told as a fault.
    errors = Counter((s.candidate, s.error) for s in summary.slices if s.fault == "input")
    certificate = state.current(Asset.CERTIFICATE) if judged is not None else None
    withheld = {} if certificate is None else CertificateFacts.of(certificate).withheld
    frozen = state.current(Asset.EVALUATION_SET) if state.spec.candidates else None
    told = [] if frozen is None else label_notes_of(state, frozen)
    told += [] if summary.refresh_withheld is None else [summary.refresh_withheld]
    remarks = [] if judged is None else [("", remark) for remark in judged.scorecard.remarks]
    for stream, days in streams:
        remarks += [(day, words) for day, words in reversed(remarks_on_days(stream, days))]
    return [
        Notice(
            "fault",
            [(fault.partition(": ")[0], in_words(fault)) for fault in summary.faults],
            "Fault: ",
        ),
        Notice(
            "refused or waiting day",
            [
                one
                for stream, days in streams
                for one in days_not_accepted(
                    stream,
                    # What waits by a fault is told as one.
                    [day for day in days if not (day.state == "waiting" and day.fault)],
                )
            ],
        ),
        Notice(
            "withheld certificate",
            [(name, f"none for {name}: {why}") for name, why in withheld.items()],
            "Certificate: ",
        ),
        *(
            [
                Notice(
                    "failing candidate",
                    [
                        (name, f"{name}, {format_count(count, 'slice')}: {error}")
                        for (name, error), count in errors.most_common()
                    ],
                )
            ]
            if judged is None
            else scorecard_notices(judged.scorecard, [one.candidate for one in judged.outcomes])
        ),
        Notice("note", [("", note) for note in told]),
        Notice("remark", remarks, "Remark: "),
    ]


def _what_next(state: AuditState, summary: RunSummary) -> Iterator[str]:
    """Say what helps, in a sentence at most."""
    audit = state.audit.name
    refused = [
        key
        for key, days in (("`data:`", summary.days), ("`labels:`", summary.label_days))
        if any(day.state == "refused" for day in days)
    ]
    named: dict[str, str] = {}
    for one in () if summary.judged is None else summary.judged.outcomes:
        named.setdefault(one.outcome, one.candidate)
    if summary.faults:
        yield "Next: the next run tries again what faults kept from being done."
    elif refused:
        yield (
            f"Next: mend the refused files, or the audit's {' and '.join(refused)};"
            f" `evaluator run {audit} --retry` tries again as it is."
        )
    elif any(s.state != "current" for s in summary.slices):
        yield f"Next: mend the candidates that fail, and run again: `evaluator run {audit}`."
    elif "certified" in named:
        yield f"Next: before a release, `evaluator require {audit} {named['certified']} --key KEY`."
    elif "undecided" in named:
        yield f"Next: more cases; `evaluator show {audit}/{named['undecided']}` says how many."
    elif named:
        yield f"Next: `evaluator show {audit}/{named['not certified']}` says which gates fail."
    elif not state.spec.candidates:
        yield (
            "Next: name what is judged, in `candidates:` of the YAML; then `evaluator run"
            f" {audit}`."
        )


def _more(state: AuditState, summary: RunSummary) -> Iterator[str]:
    """Say where the rest is."""
    audit = state.audit.name
    if summary.judged is not None:
        yield (
            f"More: `evaluator show {audit}` prints the rest, `evaluator open {audit}` opens the"
            " page."
        )
    elif summary.days:
        yield f"More: `evaluator show {audit}` names the reports."


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


def pruning_plan_in(plan: PruningPlan, *, removed: bool) -> dict[str, Any]:
    """Give what would be removed, or was, as JSON has it; sizes are in bytes."""

    def listed(found: Sequence[Prunable]) -> list[dict[str, Any]]:
        return [{"asset": one.asset, "paths": list(one.paths), "size": one.size} for one in found]

    return {
        "removed": removed,
        "superseded": listed(plan.superseded),
        "incomplete": listed(plan.incomplete),
        "beside": {str(path): size for path, size in plan.beside.items()},
        "kept": plan.kept,
        "too_recent": plan.too_recent,
    }


def count_days(stream: Stream, days: Sequence[DayState]) -> str:
    """Count the days of a stream, and their rows."""
    accepted = [day for day in days if day.state == "accepted"]
    what = "days" if stream.is_data else f"days of {stream.name}"
    rows = sum(IntakeFacts.of(day.report).rows for day in accepted if day.report)
    quarantined = sum(IntakeFacts.of(day.report).quarantined for day in days if day.report)
    return (
        f"{len(accepted)} of {len(days)} {what} accepted, {rows:,} rows;"
        f" {quarantined:,} rows in quarantine."
    )


def days_not_accepted(stream: Stream, days: Sequence[DayState]) -> list[tuple[str, str]]:
    """Name the days that are refused or wait, and say why."""
    of = "" if stream.is_data else f"{stream.name} of "
    return [
        (day.day, f"{of}{day.day} {day.state}: {day.reason}")
        for day in days
        if day.state != "accepted"
    ]


def remarks_on_days(stream: Stream, days: Sequence[DayState]) -> list[tuple[str, str]]:
    """Name the days that were accepted with a remark, and say it."""
    of = "" if stream.is_data else f"{stream.name} of "
    return [
        (day.day, f"{of}{day.day} accepted, but {remark}")
        for day in days
        if day.state == "accepted" and day.report is not None
        for remark in IntakeFacts.of(day.report).checks.values()
        if remark is not None
    ]


def _count_slices(summary: RunSummary) -> str:
    failed = sum(s.state != "current" for s in summary.slices)
    if not summary.computed and not failed:
        return f"No slice was computed: all {summary.reused} are current and were reused."
    return (
        f"{summary.computed} candidate slices computed, {summary.reused} reused,"
        f" {failed} not evaluated."
    )


def _where(state: AuditState) -> Iterator[str]:
    """Say where the page lies, and who signed the certificates."""
    page = state.current(Asset.DASHBOARD)
    if page is not None:
        # From where one stands, where it lies below.
        yield f"Page: {state.store.location(page, PAGE).removeprefix(f'{Path.cwd()}/')}"
    issued = state.current(Asset.CERTIFICATE)
    if issued is not None:
        yield f"Certificates: one a candidate, {signed_by(issued)}"


def signed_by(certificates: Record) -> str:
    """Say who signed certificates."""
    key = CertificateFacts.of(certificates).key_id
    return f"signed by key {key[:16]}" if key else "UNSIGNED, see `evaluator keys --help`"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
