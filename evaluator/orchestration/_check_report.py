"""What a check found, for the terminal, as a page and as JSON, and its exit code."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from evaluator import __version__
from evaluator.certification import format_count
from evaluator.evidence import RunContext
from evaluator.intake import Profile
from evaluator.orchestration._check import Checked
from evaluator.orchestration._documents import columns_of, headline_metrics
from evaluator.orchestration._findings import finding_lines, findings_in, records_of, to_json
from evaluator.orchestration._run_summary import Choice, RunSummary, exit_code
from evaluator.orchestration._scorecard_run import JudgedScorecard
from evaluator.reporting import (
    CandidateSummary,
    DashboardContent,
    IntakeDay,
    SingleFile,
    printable,
    render_dashboard,
)
from evaluator.spec import SNAPSHOT

_INDEPENDENT: Final = (
    "each row is taken as independent of the others; --cluster names a column of what they share"
)


def check_exit_code(checked: Checked) -> int:
    """Choose the exit code of a check: as an audit of the one candidate that is checked has it."""
    if checked.judged is None:
        return 0
    audit = checked.file.audit
    chosen = Choice(candidate=audit.spec.candidates[0].name)
    return exit_code(audit, chosen, RunSummary(judged=checked.judged))


def format_check(checked: Checked, *, verdict_alone: bool = False) -> Iterator[str]:
    """Yield the lines of a check: verdict, figures, and what they rest on.

    Parameters
    ----------
    checked
        What was found.
    verdict_alone
        Whether the verdict is all that is told; without a label, what became of the rows.

    Yields
    ------
    str
        A line, without its end and without control characters.
    """
    judged = checked.judged
    file = _single_file(checked)
    lines = [f"{file.name}: {_rows_in_words(checked)}"]
    if verdict_alone:
        yield printable(lines[0] if judged is None else _verdict(judged))
        return
    if judged is not None:
        lines += [_verdict(judged), ""]
        lines += finding_lines(checked.file.audit.spec, judged, certifies=False)
    else:
        lines += ["", *_unlabelled_lines(checked)]
    lines += ["", "What it rests on"]
    lines += [
        f"  {format_count(count, 'row')} refused: {reason}"
        for reason, count in file.refusals.items()
    ]
    lines += [f"  {note}" for note in file.notes]
    yield from map(printable, lines)


def render_check(checked: Checked, run_context: RunContext) -> str:
    """Render the page of a check, as the dashboard of an audit is rendered.

    Parameters
    ----------
    checked
        What was found; with a label.
    run_context
        When.
    """
    judged, spec = checked.judged, checked.file.audit.spec
    if judged is None:
        raise ValueError("without a label there is no page")
    return render_dashboard(
        DashboardContent(
            audit=checked.file.audit.name,
            title=checked.file.path.name,
            created_at=run_context.now,
            evaluation_set=judged.evaluation_set,
            candidates=[
                CandidateSummary(
                    name=candidate.name,
                    description=candidate.description,
                    artifact_digest=None,
                    baseline=candidate.baseline,
                )
                for candidate in spec.candidates
            ],
            outcomes=judged.outcomes,
            verdicts=judged.verdicts,
            scorecard=judged.scorecard,
            fairness_gaps=judged.fairness_gaps,
            headline_metrics=headline_metrics(spec),
            standout_metrics=spec.metrics,
            confidence=spec.confidence,
            minimum_support=spec.minimum_support,
            without_label=checked.without_label,
            intake_days=[
                IntakeDay(
                    day=SNAPSHOT,
                    rows=checked.profile.rows.read,
                    accepted=checked.profile.rows.typed,
                    quarantined=checked.profile.rows.quarantined,
                    **columns_of(checked.profile),
                )
            ],
            evidence=[],
            code_version=__version__,
            run_id=run_context.run_id,
            signed_by=None,
            file=_single_file(checked),
            flips=checked.flips,
            scores_of_answers=spec.asks.claims_are_answers,
        )
    )


def check_to_json(checked: Checked) -> str:
    """Write all that was found down as JSON, every figure to its last digit.

    Returns
    -------
    str
        An object; what is undefined or infinite in it is null. All characters are ASCII.
    """
    judged = checked.judged
    found: dict[str, Any] = {
        "evaluator": __version__,
        "file": asdict(_single_file(checked)),
        "confidence": checked.file.audit.spec.confidence,
    }
    if judged is None:
        found["columns"] = {
            name: one.model_dump(mode="json") for name, one in checked.profile.statistics.items()
        }
        found["missing"] = checked.profile.missing
        found["selection_rates"] = records_of(checked.selection_rates)
    else:
        found |= {"task": checked.file.audit.spec.task, **findings_in(judged)}
    return to_json(found)


def _single_file(checked: Checked) -> SingleFile:
    rows, spec = checked.profile.rows, checked.file.audit.spec
    notes = [*checked.file.chosen, f"intervals are at {100 * spec.confidence:g} %"]
    if checked.judged is not None:
        notes += checked.judged.evaluation_set.assumptions or [_INDEPENDENT]
    return SingleFile(
        name=checked.file.path.name,
        digest=checked.digest,
        rows=rows.read,
        accepted=rows.typed,
        quarantined=rows.quarantined,
        refusals=_refusals(checked.profile),
        notes=notes,
    )


def _refusals(profile: Profile) -> dict[str, int]:
    return {
        f"{f'{one.column}: ' if one.column else ''}{one.says}": one.count
        for one in profile.findings
        if one.severity == "refuse"
    }


def _rows_in_words(checked: Checked) -> str:
    rows = checked.profile.rows
    words = f"{format_count(rows.read, 'row')}, {_none_or(rows.quarantined)} of them refused"
    if checked.judged is None:
        return f"{words}; without a label nothing can be said of right and wrong"
    found = checked.judged.evaluation_set
    return (
        f"{words}, {_none_or(found.rows_without_label)} without a label;"
        f" {format_count(found.rows, 'case')}"
    )


def _none_or(count: int) -> str:
    return f"{count:,}" if count else "none"


def _verdict(judged: JudgedScorecard) -> str:
    first = judged.outcomes[0]
    if not judged.verdicts:
        return "No limit was asked for, so that there is no verdict; --at-least METRIC=X sets one."
    words = {"certified": "PASSES", "not certified": "DOES NOT PASS"}
    against = first.qualified_by.short
    # That all slices are there goes without saying: a check fails otherwise.
    why = "every limit is kept" if first.outcome == "certified" else first.reason
    return (
        f"{first.candidate} {words.get(first.outcome, 'IS UNDECIDED')}"
        f"{against and f', with {against}'}: {why}."
    )


def _unlabelled_lines(checked: Checked) -> Iterator[str]:
    """Say what is known without a label: what is missing, how columns and scores spread."""
    missing = {name: count for name, count in checked.profile.missing.items() if count}
    yield "Missing values"
    yield from (
        [f"  {name}: {format_count(count, 'row')}" for name, count in missing.items()]
        or ["  none, in no column"]
    )
    yield from ("", "Columns")
    table = [_column(name, one) for name, one in checked.profile.statistics.items()]
    width = max((len(name) for name, _ in table), default=0)
    yield from (f"  {name:<{width}}  {words}" for name, words in table)
    if len(checked.selection_rates):
        of_classes = "class" in checked.selection_rates
        yield from ("", f"Share of {'each class' if of_classes else 'positive decisions'}")
        for row in records_of(checked.selection_rates):
            low, high = row["low"], row["high"]
            interval = "" if low is None else f" ({low:.3f} to {high:.3f})"
            share = "undefined" if row["value"] is None else f"{row['value']:.3f}"
            place = f"{row['class']}, {row['place']}" if of_classes else row["place"]
            yield f"  {place}: {share}{interval}, {format_count(row['n'], 'row')}"


def _column(name: str, statistics: Any) -> tuple[str, str]:
    if statistics.mean is not None and statistics.median is not None:
        quarters = (statistics.min, statistics.q1, statistics.median, statistics.q3, statistics.max)
        return name, (
            f"{statistics.type}, least, quartiles and most"
            f" {', '.join(f'{float(value):.6g}' for value in quarters)}; mean {statistics.mean:.6g}"
        )
    often = ", ".join(f"{one.value} {one.count:,}" for one in statistics.most_frequent[:5])
    distinct = f"{statistics.type}, {statistics.distinct:,} values"
    return name, f"{distinct}{often and f': {often}'}"
