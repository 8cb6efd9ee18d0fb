"""The answer of an audit: who may go out, what stands against each, and every gate at a glance."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluator.certification import (
    OF_A_CLASS,
    Outcome,
    Verdict,
    format_count,
    format_list,
    format_metric,
    format_training,
)
from evaluator.reporting._content import CandidateSummary, DashboardContent
from evaluator.reporting._formatting import (
    first_words,
    format_place,
    format_value,
    sentence,
    without_remarks,
)
from evaluator.reporting._overview import (
    HeadlineRow,
    headline_rows,
    intake_totals,
    standout_groups,
)
from evaluator.reporting._slices import sign_of
from evaluator.reporting._weak_slices import worsened_groups
from evaluator.scorecard import OVERALL, Measurement, read_slices

MAX_CARDS = 5
"""More candidates than these stand in a table, and are its rows in the matrix of gates."""

MAX_ROOMY = 8
"""More than these have one line each, with fewer figures, so that they fit a screen."""

MAX_FIGURES = 5
"""How many metrics stand beside an outcome."""

_KINDS = {"certified": "good", "undecided": "open", "not certified": "bad"}
"""How an outcome is marked; who may go out comes first."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came out for one candidate, and what a reader must know beside it.

    Attributes
    ----------
    kind, status
        How the outcome is marked, and its word.
    follows
        What follows from it, in a sentence.
    figures
        Its overall measurements by metric; None where there is none.
    gap
        Which of its slices they are without; empty where they are whole.
    worst
        Where it is furthest below its overall figure; empty where no slice stands out.
    since
        What changed since its last certificate; empty where there is nothing to compare with.
    """

    candidate: CandidateSummary
    outcome: Outcome
    kind: str
    status: str
    follows: str
    figures: Sequence[tuple[str, Measurement | None]]
    gap: str
    worst: str
    since: str


@dataclass(frozen=True, kw_only=True)
class MatrixHead:
    """What stands before a row or above a column: a candidate or a gate."""

    title: str
    note: str = ""
    tag: str = ""


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """One gate on one candidate; `where` says in which place it is worst, and of how many."""

    verdict: Verdict
    where: str
    is_waived: bool


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """All gates on all candidates; None where a gate is not for a candidate."""

    corner: str
    columns: Sequence[MatrixHead]
    rows: Sequence[tuple[MatrixHead, Sequence[MatrixCell | None]]]


def answers(content: DashboardContent) -> list[Answer]:
    """Give the answer for each candidate: in the audit's order, of many the best first."""
    figures = {row.candidate: row for row in headline_rows(content)}
    worst = _worst_places(content)
    since = _changes(content)
    found = [
        _answer(content, candidate, figures[candidate.name], worst, since)
        for candidate in content.candidates
    ]
    return sorted(found, key=_goodness) if len(found) > MAX_CARDS else found


def _answer(
    content: DashboardContent,
    candidate: CandidateSummary,
    row: HeadlineRow,
    worst: dict[str, str],
    since: dict[str, str],
) -> Answer:
    outcome = content.outcome_of(candidate.name)
    is_qualified = outcome.outcome == "certified" and bool(outcome.qualified_by.short)
    metrics = content.headline_metrics[:MAX_FIGURES]
    status: str = outcome.outcome
    if content.file is not None:
        status = {"certified": "passes", "not certified": "does not pass"}.get(status, status)
    return Answer(
        candidate=candidate,
        outcome=outcome,
        kind="but" if is_qualified else _KINDS[outcome.outcome],
        status=status.capitalize(),
        follows=_follows(content, outcome),
        figures=[
            (metric, cell.measurement) for metric, cell in zip(metrics, row.cells, strict=False)
        ],
        gap=row.gap,
        worst=worst.get(candidate.name, ""),
        since=since.get(candidate.name, ""),
    )


def _goodness(answer: Answer) -> tuple[int, bool, float]:
    """Sort by outcome, and then by the first metric."""
    metric, measurement = next(iter(answer.figures), ("", None))
    value = None if measurement is None else measurement.value
    place = list(_KINDS).index(answer.outcome.outcome)
    return place, value is None, -sign_of(metric) * (value or 0.0)


def _follows(content: DashboardContent, outcome: Outcome) -> str:
    """Say what follows from an outcome, with the first of what decides it."""
    # Nothing is said of verdicts where nobody drew a conclusion from them.
    of = content.verdicts if outcome in content.outcomes else ()
    own = [one for one in of if one.candidate == outcome.candidate and one.required]
    first, rest = outcome.reason, ""
    if outcome.outcome == "certified" and own:
        every = format_count(len(own), "required gate")
        first = "the required gate passes" if len(own) == 1 else f"all {every} pass"
    decisive = {"not certified": "FAIL", "undecided": "INSUFFICIENT EVIDENCE"}
    found = [one for one in own if one.verdict == decisive.get(outcome.outcome)]
    if found:
        first = _held(found[0])
        more = len(found) - 1
        verb = {"FAIL": "fails" if more == 1 else "fail"}.get(
            found[0].verdict, "is open" if more == 1 else "are open"
        )
        rest = f"; {format_count(more, 'more required gate')} {verb}" if more else ""
    is_check = content.file is not None
    reserved = ", with reservations" if outcome.qualified_by.short else ""
    if is_check and not content.verdicts:
        return "No limit was asked for."
    begin = {
        "certified": f"{'Keeps every limit' if is_check else 'May go out'}{reserved}",
        "not certified": "Breaks a limit" if is_check else "Must not go out",
        "undecided": "Not decided",
    }[outcome.outcome]
    return f"{begin}: {first}{rest}."


def _held(verdict: Verdict) -> str:
    """Say how the worst place of a gate that does not pass lies to its limit."""
    if verdict.value is None:
        return first_words(verdict.reason)
    is_broken = verdict.verdict == "FAIL"
    # Of a difference from the baseline or between groups, the gate's own words are plainer.
    is_of_metric = (
        verdict.kind in {"metric", "calibration"} and "the baseline's" not in verdict.gate
    )
    if not is_of_metric or verdict.metric is None or verdict.limit is None:
        return f"“{verdict.gate}” {'fails' if is_broken else 'is open'}"
    metric = format_metric(verdict.metric).removesuffix(OF_A_CLASS)
    where = "" if verdict.scope == OVERALL else f" of {verdict.scope}"
    side = "below" if verdict.limit == verdict.minimum else "above"
    verb = "is" if is_broken else "may be"
    return f"{metric}{where} {verb} {side} {verdict.limit:g}"


def _worst_places(content: DashboardContent) -> dict[str, str]:
    """Name each candidate's furthest slice on the worse side, by the first metric that has one."""
    places = {}
    for candidate, rows in standout_groups(content).items():
        worse = [row for row in rows if row.standout.direction == "worse"]
        for row in worse[:1]:
            figures = (
                f"{format_value(row.standout.value)}, overall {format_value(row.standout.overall)}"
            )
            places[candidate] = f"{row.scope}: {row.metric} {figures}"
    return places


def _changes(content: DashboardContent) -> dict[str, str]:
    """Say where each candidate does worse than when it was last certified."""
    names = [candidate.name for candidate in content.candidates]
    said = {}
    for group in worsened_groups(content.scorecard, names):
        slices = format_count(group.looked_at, "slice")
        if group.rows:
            named = format_list([row.description for row in group.rows])
            said[group.candidate] = f"worse on {group.found:,} of {slices}: {named}"
        elif group.looked_at:
            said[group.candidate] = f"none of {slices} is shown to be worse"
    return said


def qualified(content: DashboardContent) -> int:
    """Count who is certified with reservations."""
    return sum(
        outcome.outcome == "certified" and bool(outcome.qualified_by.short)
        for outcome in content.outcomes
    )


def tallies(content: DashboardContent) -> Iterator[tuple[str, str]]:
    """Count outcomes, and what keeps slices and days from counting, each with its mark."""
    counts, reserved = Counter(one.outcome for one in content.outcomes), qualified(content)
    states = read_slices(content.scorecard.slices)
    missing = sum(state.state == "missing" for state in states)
    outdated = sum(not state.is_current for state in states) - missing
    unused = len(intake_totals(content.intake_days).unused)
    for kind, count, words in (
        ("good", counts["certified"] - reserved, f"{counts['certified'] - reserved} certified"),
        ("but", reserved, f"{reserved} certified with reservations"),
        ("bad", counts["not certified"], f"{counts['not certified']} not certified"),
        ("open", counts["undecided"], f"{counts['undecided']} undecided"),
        ("bad", missing, f"{format_count(missing, 'slice')} missing"),
        ("open", outdated, f"{format_count(outdated, 'slice')} outdated"),
        ("open", not states, "no slice recorded"),
        (
            "good",
            states and not missing + outdated,
            f"all {format_count(len(states), 'slice')} current",
        ),
        ("bad", unused, f"{format_count(unused, 'day')} of data not used"),
    ):
        if count:
            yield kind, words


def gate_matrix(content: DashboardContent, found: Sequence[Answer]) -> Matrix | None:
    """Lay the verdicts out by gate and answer, what is required first; None without any."""
    gates: dict[tuple[str, int], dict[str, Verdict]] = {}
    met: Counter[tuple[str, str]] = Counter()
    for verdict in sorted(content.verdicts, key=lambda one: not one.required):
        # Two gates may have the same words.
        met[verdict.gate, verdict.candidate] += 1
        nth = met[verdict.gate, verdict.candidate]
        gates.setdefault((verdict.gate, nth), {})[verdict.candidate] = verdict
    if not gates:
        return None
    waived = {
        (outcome.candidate, waiver.gate)
        for outcome in content.outcomes
        for waiver in outcome.qualified_by.waived
    }
    # A gate may name a candidate that the audit does not have.
    judged = dict.fromkeys(verdict.candidate for verdict in content.verdicts)
    names = list(dict.fromkeys([*(one.candidate.name for one in found), *judged]))
    rows = [
        [_cell(own[name], waived) if name in own else None for name in names]
        for own in gates.values()
    ]
    heads = [_gate_head(next(iter(own.values()))) for own in gates.values()]
    baseline = {one.name for one in content.candidates if one.baseline}
    candidates = [
        MatrixHead(title=name, tag="baseline" if name in baseline else "") for name in names
    ]
    if len(names) <= MAX_CARDS:
        return Matrix(corner="Gate", columns=candidates, rows=list(zip(heads, rows, strict=True)))
    turned = list(zip(*rows, strict=True))
    return Matrix(
        corner="Candidate", columns=heads, rows=list(zip(candidates, turned, strict=True))
    )


def _gate_head(verdict: Verdict) -> MatrixHead:
    return MatrixHead(
        title=verdict.says or verdict.gate,
        note=verdict.gate if verdict.says else "",
        tag="" if verdict.required else "not required",
    )


def _cell(verdict: Verdict, waived: set[tuple[str, str]]) -> MatrixCell:
    where = ""
    if verdict.places > 1:
        group = verdict.group and without_remarks(verdict.group)
        place = group or format_place(verdict.geography, verdict.segment)
        count, word = verdict.failing or verdict.open, "fail" if verdict.failing else "open"
        where = f"{place}; {count:,} of {verdict.places:,} {word}" if count else place
    is_waived = (verdict.candidate, verdict.gate) in waived
    return MatrixCell(verdict=verdict, where=where, is_waived=is_waived)


def taken_for_granted(content: DashboardContent) -> list[str]:
    """Say what all figures take for granted, and what is known of training, in sentences."""
    found = content.evaluation_set
    assumptions = () if found is None else found.assumptions
    return [*map(sentence, assumptions), *_training(content)]


def _training(content: DashboardContent) -> Iterator[str]:
    by_words: dict[str, list[str]] = {}
    for candidate in content.candidates:
        words = format_training(content.scorecard.training.get(candidate.name))
        by_words.setdefault(words, []).append(candidate.name)
    for words, names in by_words.items():
        everybody = len(by_words) == 1 and len(names) > 1
        # A name stays as it is written.
        yield f"{'Each candidate' if everybody else format_list(names)} {words}."


def not_looked_at(content: DashboardContent) -> list[tuple[str, str, str]]:
    """Say what there is nothing of, and which key or option would supply it."""
    scorecard, is_check = content.scorecard, content.file is not None
    in_yaml = [
        ("gates", "in the YAML say what must hold"),
        ("baseline: true", "in the YAML compares the other candidates with one of them"),
        ("fairness", "in the YAML names attributes between whose groups gaps are measured"),
        ("weak_slices", "in the YAML names features among which they are searched"),
    ]
    of_check = [
        ("--at-least", "sets a limit"),
        ("--baseline", "names a column to compare with"),
        ("--segment", "names a column of groups"),
        ("--segment", "names a column among whose values they are searched"),
    ]
    parts = {
        "Gates": not content.verdicts,
        "Comparison": scorecard.comparisons.empty,
        "Fairness": not content.fairness_gaps,
        "Weak slices": not scorecard.weak_searches and scorecard.weak_slices.empty,
    }
    supplies = zip(parts.items(), of_check if is_check else in_yaml, strict=True)
    return [(name, *supply) for (name, is_lacking), supply in supplies if is_lacking]
