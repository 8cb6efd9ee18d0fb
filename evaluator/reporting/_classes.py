"""Classes: how well each candidate knows each of them, and what it takes for what."""

from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evaluator.reporting._content import AuditContent, DashboardContent
from evaluator.reporting._formatting import format_interval, format_value, group_by_candidate
from evaluator.scorecard import ClassFigure, Confusion

MOST_CLASSES: Final = 20
"""So many classes of a candidate are shown, of more the worst, until one looks for others."""
MOST_IN_MATRIX: Final = 12
"""Of more classes there is no matrix, and the worst come first."""
MOST_WITH_INTERVALS: Final = 5
"""In a matrix of more classes intervals stand in tips."""
MOST_CONFUSIONS: Final = 20
"""So many of a candidate's confusions are listed; all are in the scorecard."""
MOST_TAKEN: Final = 3
"""So many things that a class is taken for stand in a cell."""
NO_ANSWER: Final = "no answer"

_METRICS: Final = ("class_recall", "class_precision", "class_f1", "class_share")
_STEPS: Final = (0.02, 0.1, 0.5)
"""From these shares on a cell has one shade more."""


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class: its cases, and recall, precision, F1 and how often it was answered."""

    name: str
    cases: int
    figures: Sequence[ClassFigure]


@dataclass(frozen=True, kw_only=True)
class ClassGroup:
    """One candidate's classes: of many the worst first, of few in their order."""

    candidate: str
    rows: Sequence[ClassRow]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a class was taken for, among how many cases of it.

    Attributes
    ----------
    shade
        From -3 for what is often wrong to 3 for what is often right; None where the class has too
        few cases.
    """

    found: Confusion
    of: int
    shade: int | None

    @property
    def predicted(self) -> str:
        """What it was taken for, in words."""
        return _answer(self.found.predicted)

    @property
    def says(self) -> str:
        """All of it, in words."""
        found, what = self.found, "not answered"
        if found.predicted is not None:
            what = "rightly answered" if found.is_right else f"taken for {found.predicted}"
        return f"{found.label} {what}: {found.n:,} of {self.of:,}, {self.share}"

    @property
    def share(self) -> str:
        """Its share of the class's cases, with the interval."""
        return _with_interval(self.found.share, self.found.low, self.found.high)


@dataclass(frozen=True, kw_only=True)
class ConfusionRow:
    """One class: how many cases it has, and what they were taken for.

    Attributes
    ----------
    cells
        Of each class in order, and of no answer; None where no case is so.
    right
        Its cases that were answered rightly; None where none was.
    most
        What else it was taken for most often.
    """

    name: str
    of: int
    cells: Sequence[Taken | None]
    right: Taken | None
    most: Sequence[Taken]


@dataclass(frozen=True, kw_only=True)
class CandidateConfusion:
    """What one candidate takes for what.

    Attributes
    ----------
    answers
        What was answered: the classes in their order, and no answer where there are such.
    rows
        Of few classes in their order, of many the worst first.
    most
        The confusions of the most cases.
    confusions
        How many pairs of classes are confused.
    """

    candidate: str
    answers: Sequence[str]
    rows: Sequence[ConfusionRow]
    most: Sequence[Taken]
    confusions: int


def class_groups(content: AuditContent) -> list[ClassGroup]:
    """Lay out what is known of each class, candidate by candidate."""
    groups = []
    for candidate, figures in group_by_candidate(content.scorecard.rows(ClassFigure), ()):
        of_class: dict[str, dict[str, ClassFigure]] = {}
        for one in figures:
            of_class.setdefault(one.class_, {})[one.metric] = one
        rows = [
            ClassRow(
                name=name,
                cases=by_metric[_METRICS[0]].n,
                figures=[by_metric[metric] for metric in _METRICS],
            )
            for name, by_metric in of_class.items()
        ]
        if len(rows) > MOST_IN_MATRIX:
            rows.sort(key=_by_recall)
        groups.append(ClassGroup(candidate=candidate, rows=rows))
    return groups


def _by_recall(row: ClassRow) -> tuple[bool, float, float]:
    """Put those first of which it is sure that they are bad: few cases alone make none so."""
    recall = row.figures[0]
    most = 1.0 if recall.high is None else recall.high
    return recall.high is None, most, 1.0 if recall.value is None else recall.value


def classes_finding(groups: Sequence[ClassGroup]) -> str:
    """Name the class that is known worst, whoever it is that does not know it."""
    known = [(_by_recall(row), group.candidate, row) for group in groups for row in group.rows]
    _, candidate, row = min(known, key=lambda one: one[0])
    return f"the lowest recall is that of {row.name}, {_format_recall(row)} with {candidate}"


def worst_classes(content: AuditContent, candidate: str) -> str:
    """Name the classes that a candidate knows worst; empty where there are no classes."""
    groups = {group.candidate: group.rows for group in class_groups(content)}
    worst = sorted(groups.get(candidate, ()), key=_by_recall)[:MOST_TAKEN]
    return ", ".join(f"{row.name} {_format_recall(row)}" for row in worst)


def _format_recall(row: ClassRow) -> str:
    recall = row.figures[0]
    return _with_interval(recall.value, recall.low, recall.high)


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    ends = format_interval(low, high, has_sign=False)
    return f"{format_value(value)}{f' ({ends})' if ends else ''}"


def confusions(content: DashboardContent) -> list[CandidateConfusion]:
    """Lay out what each candidate takes for what."""
    of_classes = {group.candidate: group.rows for group in class_groups(content)}
    return [
        _confusion_of(name, found, of_classes.get(name, ()), content.minimum_support)
        for name, found in group_by_candidate(content.scorecard.rows(Confusion), ())
    ]


def _confusion_of(
    candidate: str,
    found: Sequence[Confusion],
    classes: Sequence[ClassRow],
    minimum_support: int,
) -> CandidateConfusion:
    sizes: Counter[str] = Counter()
    for one in found:
        sizes[one.label] += one.n
    cells = {
        (one.label, one.predicted): Taken(
            found=one, of=sizes[one.label], shade=_shade(one, sizes[one.label], minimum_support)
        )
        for one in found
    }
    wrong = [one for one in cells.values() if not one.found.is_right]
    wrong.sort(key=lambda one: -one.found.n)
    taken: dict[str, list[Taken]] = {}
    for mistake in wrong:
        taken.setdefault(mistake.found.label, []).append(mistake)
    names = list(dict.fromkeys([*(row.name for row in classes), *sizes]))
    answers: list[str | None] = [*names]
    if any(one.predicted is None for one in found):
        answers.append(None)
    return CandidateConfusion(
        candidate=candidate,
        answers=[_answer(one) for one in answers],
        rows=[
            ConfusionRow(
                name=name,
                of=sizes[name],
                cells=[cells.get((name, answer)) for answer in answers],
                right=cells.get((name, name)),
                most=taken.get(name, [])[:MOST_TAKEN],
            )
            for name in names
        ],
        most=wrong[:MOST_CONFUSIONS],
        confusions=len(wrong),
    )


def _answer(predicted: str | None) -> str:
    return NO_ANSWER if predicted is None else predicted


def _shade(one: Confusion, of: int, minimum_support: int) -> int | None:
    if one.share is None or one.status != "ok" or of < minimum_support:
        return None
    return bisect(_STEPS, one.share) * (1 if one.is_right else -1)


def confusion_finding(shown: Sequence[CandidateConfusion]) -> str:
    """Say what is most often taken for what."""
    wrong = [
        (taken, one.candidate)
        for one in shown
        for taken in one.most
        if taken.found.predicted is not None
    ]
    if not wrong:
        return "no case was taken for another class"
    most, candidate = max(wrong, key=lambda one: one[0].found.n)
    return f"most often {most.says}, by {candidate}"
