"""What was found, in full: the lines and the JSON of `evaluator show` and `evaluator check`."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any, Final, NamedTuple

import pandas as pd

from evaluator.certification import PAGE, TECHNICAL_FILE
from evaluator.errors import UsageError
from evaluator.evidence import Record
from evaluator.orchestration._certificates import CERTIFICATE
from evaluator.orchestration._days import REPORT
from evaluator.orchestration._documents import headline_metrics
from evaluator.orchestration._evaluation_set import label_notes_of
from evaluator.orchestration._facts import CertificateFacts
from evaluator.orchestration._run_summary import (
    RunSummary,
    count_days,
    days_not_accepted,
    remarks_on_days,
    signed_by,
)
from evaluator.orchestration._scorecard_run import (
    JudgedScorecard,
    expected_scorecard,
    read_judged_scorecard,
)
from evaluator.orchestration._state import AuditState, DayState
from evaluator.orchestration._streams import Stream
from evaluator.reporting import difference_lines, printable, summary_lines
from evaluator.scorecard import Asset, Scorecard
from evaluator.spec import AuditSpec

_TABLES: Final = ("measurements", "comparisons", "ranks", "weak_slices")


class StoredFindings(NamedTuple):
    """What is stored of an audit now.

    Attributes
    ----------
    state
        Whose.
    days
        What became of each stream's days.
    judged
        The scorecard and its verdicts, of one candidate or of all; None where there is none.
    is_current
        Whether the scorecard says what is known now.
    """

    state: AuditState
    days: list[tuple[Stream, list[DayState]]]
    judged: JudgedScorecard | None
    is_current: bool


def stored_findings(state: AuditState, candidate: str | None = None) -> StoredFindings:
    """Read what is stored of an audit, and judge it by the audit's gates; nothing is run.

    Parameters
    ----------
    state
        The audit's.
    candidate
        Whose findings; those of all where None.

    Raises
    ------
    UsageError
        Where there is no such candidate, and where nothing is stored.
    """
    record = state.current(Asset.SCORECARD)
    days = [(stream, state.day_states(stream)) for stream in state.streams]
    if candidate is None and record is None:
        if not any(found for _, found in days):
            name = state.audit.name
            raise UsageError(
                "nothing of it is stored yet", culprit=name, fix=f"run it, `evaluator run {name}`"
            )
        return StoredFindings(state, days, None, is_current=False)
    judged = _judged(state, candidate)
    return StoredFindings(state, days, judged, is_current=_is_current(state, judged))


def _is_current(state: AuditState, judged: JudgedScorecard) -> bool:
    return state.store.find(*expected_scorecard(state).target) == judged.record


def _judged(state: AuditState, candidate: str | None) -> JudgedScorecard:
    """Read what was found of one candidate, or of all."""
    if candidate is None:
        return read_judged_scorecard(state)
    _check_candidates(state, candidate)
    judged = read_judged_scorecard(state)
    return replace(
        judged,
        scorecard=judged.scorecard.of(candidate),
        fairness_gaps=[gap for gap in judged.fairness_gaps if gap.candidate == candidate],
        verdicts=[verdict for verdict in judged.verdicts if verdict.candidate == candidate],
        outcomes=[outcome for outcome in judged.outcomes if outcome.candidate == candidate],
    )


def _check_candidates(state: AuditState, *candidates: str) -> None:
    name, declared = state.audit.name, [one.name for one in state.spec.candidates]
    for candidate in candidates:
        if candidate not in declared:
            raise UsageError(
                f"the audit {name} has no such candidate",
                culprit=f"{name}/{candidate}",
                fix=f"use one of {', '.join(declared)}" if declared else "declare it in the YAML",
            )
    if state.current(Asset.SCORECARD) is None:
        raise UsageError(
            "nothing was scored yet",
            culprit=f"{name}/{candidates[0]}",
            fix=f"run it, `evaluator run {name}`",
        )


def format_findings(found: StoredFindings) -> Iterator[str]:
    """Yield all that is stored in lines: days, figures, findings, verdicts, remarks, locations.

    Yields
    ------
    str
        A line, without its end and without control characters.
    """
    yield from map(printable, _lines(found))


def _lines(found: StoredFindings) -> Iterator[str]:
    state, name = found.state, found.state.audit.name
    for stream, days in found.days:
        yield count_days(stream, days)
        reports = {day.day: day.report for day in days}
        for day, words in days_not_accepted(stream, days):
            yield f"  {words}"
            report = reports[day]
            if report is not None:
                yield f"    report: {state.store.location(report, REPORT)}"
        yield from (f"  {words}" for _, words in remarks_on_days(stream, days))
    if found.judged is None:
        if state.spec.candidates:
            yield f"There is no scorecard yet; `evaluator run {name}` makes it."
        return
    frozen = state.current(Asset.EVALUATION_SET)
    if frozen is not None:
        yield from label_notes_of(state, frozen)
    yield f"The scorecard is of {found.judged.record.created_at:%Y-%m-%d %H:%M %Z}." + (
        "" if found.is_current else f" Things have changed since: `evaluator run {name}`."
    )
    yield ""
    yield from finding_lines(state.spec, found.judged)
    yield ""
    for what, where in _locations(state).items():
        yield f"{what + ':':<13} {where}"
    issued = state.current(Asset.CERTIFICATE)
    if issued is not None:
        yield f"{'':<13} one a candidate, {signed_by(issued)}"
        for candidate, why in CertificateFacts.of(issued).withheld.items():
            yield f"  none for {candidate}: {why}"


def findings_to_json(found: StoredFindings) -> str:
    """Write all that is stored down as JSON, as `to_json` does."""
    return to_json(_stored(found))


def run_to_json(state: AuditState, summary: RunSummary) -> str:
    """Write down as JSON what a run did, and all that is stored after it."""
    judged = summary.judged
    is_current = judged is not None and _is_current(state, judged)
    did = {
        "computed": summary.computed,
        "reused": summary.reused,
        "faults": summary.faults,
        "refresh_withheld": summary.refresh_withheld,
    }
    found = StoredFindings(state, summary.streams(state), judged, is_current=is_current)
    return to_json({**_stored(found), "run": did})


def _stored(found: StoredFindings) -> dict[str, Any]:
    state, judged = found.state, found.judged
    content: dict[str, Any] = {
        "audit": state.audit.name,
        "days": [
            {
                "stream": stream.name,
                "day": day.day,
                "state": day.state,
                "reason": day.reason,
                "report": day.report and state.store.location(day.report, REPORT),
            }
            for stream, days in found.days
            for day in days
        ],
    }
    if judged is not None:
        content["scorecard"] = {
            "identity": judged.record.identity,
            "created_at": judged.record.created_at.isoformat(),
            "is_current": found.is_current,
        }
        content |= findings_in(judged)
        content["slices"] = records_of(judged.scorecard.slices)
        content["locations"] = _locations(state)
    return content


class StoredPage(NamedTuple):
    """An audit's page: its path or its address in an object store, and its bytes."""

    location: str
    content: bytes


def page_of(state: AuditState) -> StoredPage:
    """Read the audit's page, and hold it against its digest.

    Raises
    ------
    UsageError
        Where there is none.
    StateError
        Where it is gone, or changed.
    """
    record = state.current(Asset.DASHBOARD)
    if record is None:
        name = state.audit.name
        raise UsageError("it has no page yet", culprit=name, fix=f"run it, `evaluator run {name}`")
    return StoredPage(state.store.location(record, PAGE), state.store.read_bytes(record, PAGE))


class StoredComparison(NamedTuple):
    """How two candidates of an audit compare.

    Attributes
    ----------
    state
        The audit's.
    candidate, baseline
        The differences are the first's values less the second's.
    scorecard
        What was found, with the comparisons of these two alone.
    """

    state: AuditState
    candidate: str
    baseline: str
    scorecard: Scorecard


def stored_comparison(state: AuditState, one: str, other: str) -> StoredComparison:
    """Read how two candidates compare, whichever of them is named first; nothing is run.

    Raises
    ------
    UsageError
        Where they were not compared.
    """
    _check_candidates(state, one, other)
    card = read_judged_scorecard(state).scorecard
    # With the baseline as the page has it; the others all with all.
    for table in (card.comparisons, card.pairs):
        for candidate, baseline in ((one, other), (other, one)):
            if table.empty:
                continue
            own = table[(table["candidate"] == candidate) & (table["baseline"] == baseline)]
            if len(own):
                return StoredComparison(state, candidate, baseline, replace(card, comparisons=own))
    name = state.audit.name
    raise UsageError(
        f"{one} and {other} were not compared",
        culprit=name,
        fix="name two different candidates; the remarks of"
        f" `evaluator show {name}` say who was not compared, and why",
    )


def format_comparison(found: StoredComparison) -> Iterator[str]:
    """Yield how two candidates compare, in lines.

    Yields
    ------
    str
        A line, without its end and without control characters.
    """
    confidence = f"{100 * found.state.spec.confidence:g} %"
    yield printable(
        f"{found.candidate} less {found.baseline}, case by case; intervals at {confidence} and"
        " p-values are adjusted"
    )
    yield from difference_lines(found.scorecard, headline_metrics(found.state.spec))


def comparison_to_json(found: StoredComparison) -> str:
    """Write down how two candidates compare as JSON, every figure to its last digit."""
    return to_json(
        {
            "audit": found.state.audit.name,
            "candidate": found.candidate,
            "baseline": found.baseline,
            "comparisons": records_of(found.scorecard.comparisons),
        }
    )


def finding_lines(
    spec: AuditSpec, judged: JudgedScorecard, *, certifies: bool = True
) -> Iterator[str]:
    """Yield what a scorecard and its verdicts say, with the remarks; as `summary_lines` does."""
    yield from summary_lines(
        outcomes=judged.outcomes,
        verdicts=judged.verdicts,
        scorecard=judged.scorecard,
        fairness_gaps=judged.fairness_gaps,
        headline_metrics=headline_metrics(spec),
        standout_metrics=spec.metrics,
        minimum_support=spec.minimum_support,
        certifies=certifies,
    )
    if judged.scorecard.remarks:
        yield from ("", "Remarks", *(f"  {remark}" for remark in judged.scorecard.remarks))


def findings_in(judged: JudgedScorecard) -> dict[str, Any]:
    """Give what a scorecard and its verdicts say, every figure to its last digit."""
    scorecard = judged.scorecard
    return {
        "cases": judged.evaluation_set.rows,
        "without_label": judged.evaluation_set.rows_without_label,
        "outcomes": [asdict(outcome) for outcome in judged.outcomes],
        "verdicts": [asdict(verdict) for verdict in judged.verdicts],
        **{name: records_of(getattr(scorecard, name)) for name in _TABLES},
        "fairness_gaps": [asdict(gap) for gap in judged.fairness_gaps],
        "weak_searches": scorecard.weak_searches,
        "remarks": scorecard.remarks,
    }


def to_json(content: Any) -> str:
    """Write what was found as JSON; what is undefined or infinite is null, and all is ASCII."""
    return json.dumps(_finite(content), indent=2, allow_nan=False)


def _locations(state: AuditState) -> dict[str, str]:
    """Say where page, documents and certificates lie."""
    ends = {
        "Dashboard": (Asset.DASHBOARD, PAGE, PAGE),
        "Documents": (Asset.DOCUMENTS, f"{TECHNICAL_FILE}.html", ""),
        "Certificates": (Asset.CERTIFICATE, CERTIFICATE, ""),
    }
    records: dict[str, Record | None] = {what: state.current(end[0]) for what, end in ends.items()}
    return {
        what: state.store.location(record, ends[what][1]).removesuffix(ends[what][1])
        + ends[what][2]
        for what, record in records.items()
        if record is not None
    }


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Give a table's rows, with None where a cell is missing."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _finite(value: Any) -> Any:
    """Put null in the place of what JSON has no number for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value if isinstance(value, str | int | float | None) else str(value)
