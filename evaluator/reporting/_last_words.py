"""The last words of a run: what was decided and what must not be missed, on one screen."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from evaluator.certification import DecidedGap, Outcome, Verdict, format_count, format_metric
from evaluator.reporting._fairness import FairnessGroup, fairness_groups
from evaluator.reporting._formatting import NO_VALUE, aligned, format_measurement
from evaluator.reporting._terminal import (
    format_worsened,
    printable,
    slices_not_current,
)
from evaluator.reporting._weak_slices import weak_groups, worsened_groups
from evaluator.scorecard import Measurement, Scorecard, read_measurements

HEIGHT: Final = 24
_WIDTH: Final = 100
_MOST_CANDIDATES: Final = 5
_SHORTEST_NAME: Final = 6
_LONGEST_METRIC: Final = 23
_WAIVED: Final = "waived gate"
_COUNTED: Final = {
    "failed gate": ("gates", "failed"),
    "open gate": ("", "open"),
    _WAIVED: ("", "waived"),
    "failed gap": ("gaps", "failed"),
    "open gap": ("", "open"),
    "weak slice": ("weak", "slices"),
}
"""What is counted of a candidate, and the two lines that it stands below."""
_NOT_PASSED: Final = ("FAIL", "INSUFFICIENT EVIDENCE")


class _Row(NamedTuple):
    candidate: str
    outcome: str
    measured: str
    counts: Sequence[int | None]
    """Of `_COUNTED`; None where nothing was decided, or searched."""


class Notice(NamedTuple):
    """What of one kind must not be missed.

    Attributes
    ----------
    thing
        What each is, in the singular, for counting what finds no room.
    entries
        Each with a short name, by which it is called where its words find no room; without one it
        is counted alone.
    label
        What stands before the words of each.
    """

    thing: str
    entries: Sequence[tuple[str, str]]
    label: str = ""


def outcome_table(
    *,
    outcomes: Sequence[Outcome],
    verdicts: Sequence[Verdict],
    scorecard: Scorecard,
    fairness_gaps: Sequence[DecidedGap],
    headline_metric: str,
    command: str,
) -> list[str]:
    """Give a row a candidate: outcome, first metric, and how much stands against it.

    Parameters
    ----------
    outcomes, verdicts, scorecard, fairness_gaps
        As for `summary_lines`.
    headline_metric
        The metric whose overall value and interval are given.
    command
        What prints the rest, for more candidates than five.

    Returns
    -------
    list[str]
        Lines of 100 columns at most. A count stands as a dash where nothing was decided or
        searched: nobody takes that for none.
    """
    names = [outcome.candidate for outcome in outcomes]
    measured = {
        one.candidate: one
        for one in read_measurements(
            scorecard.measurements, metrics=[headline_metric], levels=["overall"]
        )
    }
    gaps = {group.candidate: group for group in fairness_groups(fairness_gaps, names)}
    searched = {
        name for name, search in scorecard.weak_searches.items() if search["reason"] is None
    }
    weak = {g.candidate: g.found for g in weak_groups(scorecard, names) if g.candidate in searched}
    rows = [
        _row(
            outcome,
            [verdict.verdict for verdict in verdicts if verdict.candidate == outcome.candidate],
            measured.get(outcome.candidate),
            gaps.get(outcome.candidate),
            weak.get(outcome.candidate),
        )
        for outcome in outcomes
    ]
    shown = rows if len(rows) <= _MOST_CANDIDATES else rows[: _MOST_CANDIDATES - 1]
    lines = _aligned(shown, format_metric(headline_metric))
    rest = rows[len(shown) :]
    if rest:
        lines += _wrapped(f"  and {len(rest):,} more, {_summed(rest)}: {command}")
    if any(outcome.qualified_by.cases_independent for outcome in outcomes):
        lines.append("  All intervals take cases as independent.")
    return lines


def _row(
    outcome: Outcome,
    verdicts: Sequence[str],
    measured: Measurement | None,
    gaps: FairnessGroup | None,
    weak: int | None,
) -> _Row:
    waived = len({waiver.gate for waiver in outcome.qualified_by.waived})
    return _Row(
        printable(outcome.candidate),
        outcome.outcome.upper(),
        format_measurement(measured),
        (
            *(verdicts.count(word) if verdicts else None for word in _NOT_PASSED),
            waived,
            *(
                gaps.verdicts.get(word, 0) if gaps and gaps.verdicts else None
                for word in _NOT_PASSED
            ),
            weak,
        ),
    )


def _aligned(rows: Sequence[_Row], metric: str) -> list[str]:
    waived = list(_COUNTED).index(_WAIVED)
    hidden = set() if any(row.counts[waived] for row in rows) else {waived}
    above, below = (
        [words for place, words in enumerate(line) if place not in hidden]
        for line in zip(*_COUNTED.values(), strict=True)
    )
    table = [
        ["", "", "", *above],
        ["", "outcome", _shortened(metric, _LONGEST_METRIC), *below],
        *(
            [
                *row[:3],
                *(
                    NO_VALUE if count is None else f"{count:,}"
                    for place, count in enumerate(row.counts)
                    if place not in hidden
                ),
            ]
            for row in rows
        ),
    ]
    _, *others = [max(map(len, column)) for column in zip(*table, strict=True)]
    free = max(_WIDTH - sum(others) - 2 * len(table[0]), _SHORTEST_NAME)
    whole = [[_shortened(line[0], free), *line[1:]] for line in table]
    counts = range(len(_Row._fields) - 1, len(table[0]))
    return [f"  {line}" for line in aligned(whole, right=counts)]


def _shortened(name: str, width: int) -> str:
    """Take out a name's middle: versions differ at the end."""
    if len(name) <= width:
        return name
    end = (width - 1) // 2
    return f"{name[: width - 1 - end]}…{name[-end:]}"


def _summed(rows: Sequence[_Row]) -> str:
    """Count what the rest came to, with what stands against it: no outcome stands alone."""
    outcomes = Counter(row.outcome.lower() for row in rows)
    against = [
        format_count(total, thing)
        for place, thing in enumerate(_COUNTED)
        if (total := sum(row.counts[place] or 0 for row in rows))
    ]
    words = ", ".join(f"{count:,} {word}" for word, count in outcomes.items())
    return f"{words} with {', '.join(against)}" if against else words


def scorecard_notices(scorecard: Scorecard, candidates: Sequence[str]) -> list[Notice]:
    """Say which slices of a scorecard are not current, and which got worse.

    Parameters
    ----------
    scorecard
        What was found.
    candidates
        Whose, in their order.
    """
    worse = [group for group in worsened_groups(scorecard, candidates) if group.found]
    return [
        Notice("incomplete candidate", slices_not_current(scorecard.slices)),
        Notice(
            "worsened candidate",
            [(one.candidate, f"{one.candidate}: {format_worsened(one)}") for one in worse],
        ),
    ]


def fit_notices(notices: Sequence[Notice], room: int, command: str) -> list[str]:
    """Say so much of what must not be missed as there is room for, and count the rest.

    Parameters
    ----------
    notices
        The most important ones first. Each kind has a line at least, as long as there are lines;
        what is left goes to the first ones.
    room
        How many lines there are, of 100 columns.
    command
        What prints the rest.

    Returns
    -------
    list[str]
        Lines without control characters. A word that is longer than a line, such as a path, is
        left whole.
    """
    there = [notice for notice in notices if notice.entries]
    kept = there if len(there) <= room else there[: max(room - 1, 0)]
    left = room - (len(kept) < len(there))
    lines: list[str] = []
    for place, notice in enumerate(kept):
        said = _said(notice, max(left - (len(kept) - place - 1), 1), command)
        lines += said
        left -= height(said)
    if len(kept) < len(there):
        counts = (format_count(len(one.entries), one.thing) for one in there[len(kept) :])
        lines.append(_cut(f"and {', '.join(counts)}: {command}"))
    return lines


def height(lines: Sequence[str]) -> int:
    """Count the lines of a terminal of 100 columns that some lines take."""
    return sum(max(1, -(-len(line) // _WIDTH)) for line in lines)


def _said(notice: Notice, most: int, command: str) -> list[str]:
    """Say the entries of one kind in so many lines; what finds no room is named and counted."""
    entries = [_wrapped(notice.label + words) for _, words in notice.entries]
    if height([line for entry in entries for line in entry]) <= most:
        return [line for entry in entries for line in entry]
    count, first = len(entries), notice.entries[0]
    if most == 1 and count > 1:
        counted = format_count(count, notice.thing)
        names = _names(notice.entries)
        return [_cut(f"{counted}: {names}" if names else f"{counted}, first: {first[1]}")]
    room = most - (count > 1)
    if height(entries[0]) > room:
        lines, shown = [*entries[0][: room - 1], _cut(" ".join(entries[0][room - 1 :]))], 1
    else:
        lines, shown = [], 0
        while height([*lines, *entries[shown]]) <= room:
            lines += entries[shown]
            shown += 1
    if count > shown:
        rest = f"and {format_count(count - shown, f'more {notice.thing}')}"
        lines.append(_cut(f"{rest}: {_names(notice.entries[shown:]) or command}"))
    return lines


def _names(entries: Sequence[tuple[str, str]]) -> str:
    return ", ".join(name for name, _ in entries if name)


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(
        printable(words),
        _WIDTH,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cut(words: str) -> str:
    words = printable(" ".join(words.split()))
    return words if len(words) <= _WIDTH else f"{words[: _WIDTH - 2].rstrip()} …"
