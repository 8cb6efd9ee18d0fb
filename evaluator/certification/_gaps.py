"""Gaps between groups of cases, each with the verdict of the gate that names it."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from evaluator.certification._gate_evidence import GateEvidence
from evaluator.certification._verdicts import JudgedGate, ScopeVerdict, VerdictWord, judge_scopes
from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.scorecard import Gap
from evaluator.spec import FairnessGate, FairnessSpec

_OPEN: VerdictWord = "INSUFFICIENT EVIDENCE"
_SEVERITY: Mapping[str | None, int] = {"FAIL": 0, _OPEN: 1, "PASS": 2, None: 3}


@dataclass(frozen=True, kw_only=True)
class DecidedGap(Gap):
    """A gap, whose `reason` also says why a verdict is open.

    Attributes
    ----------
    limit
        The largest difference or the smallest ratio that passes, as it is stated.
    verdict, needed_cases
        As in `Verdict`; None where nothing states a limit.
    gate
        The gate in words; None where none names the gap. Of several it is the one whose verdict
        is shown: FAIL before INSUFFICIENT EVIDENCE before PASS.
    gates
        How many gates name the gap.
    """

    limit: float | None = None
    verdict: str | None = None
    needed_cases: int | None = None
    gate: str | None = None
    gates: int


@dataclass(frozen=True, kw_only=True)
class WorstGap(DecidedGap):
    """The worst gap of several, and how many of these ``failed``, are ``open`` and ``passed``."""

    failed: int
    open: int
    passed: int


Decided = TypeVar("Decided", bound=DecidedGap)


def decide_gaps(
    judged: Sequence[JudgedGate], evidence: GateEvidence, stated: FairnessSpec | None
) -> list[DecidedGap]:
    """Give every gap the verdict of the gate that names it, or else by the limit of the audit.

    Parameters
    ----------
    judged
        What `judge_scopes` gave for the audit's gates.
    evidence
        What they were judged on.
    stated
        The audit's `fairness`. A gap that no gate names is held against its `limit_difference` or
        `limit_ratio`, just as a gate on the measure with these limits would hold it.

    Returns
    -------
    list[DecidedGap]
        The scorecard's gaps, in their order.
    """
    gaps = evidence.scorecard.rows(Gap)
    candidates = list(dict.fromkeys(gap.candidate for gap in gaps))
    of_audit = judge_scopes(_as_gates(stated), evidence, candidates)
    named = Counter(scope.gate_input.row for one in judged for scope in one.scopes)
    decided = _worst_by_row(of_audit) | _worst_by_row(judged)
    return [_decide(gap, decided.get(row), named[row]) for row, gap in enumerate(gaps)]


def worst_gaps(gaps: Sequence[DecidedGap]) -> list[WorstGap]:
    """Give the worst gap of every candidate, measure, comparison, class and attribute.

    Parameters
    ----------
    gaps
        What `decide_gaps` gave.

    Returns
    -------
    list[WorstGap]
        In their order. The verdict is FAIL where any group failed, otherwise INSUFFICIENT EVIDENCE
        where any is open. It is the largest gap among the groups of this verdict; one without a
        value stands only where there is none with one.
    """
    alike: dict[Hashable, list[int]] = {}
    for row, gap in enumerate(gaps):
        about = (gap.candidate, gap.measure, gap.comparison, gap.class_, gap.attribute)
        alike.setdefault(about, []).append(row)
    worst = {
        min(rows, key=lambda row: _goodness(gaps[row])): Counter(gaps[row].verdict for row in rows)
        for rows in alike.values()
    }
    return [
        WorstGap(**vars(gaps[row]), failed=words["FAIL"], open=words[_OPEN], passed=words["PASS"])
        for row, words in sorted(worst.items())
    ]


def worst_first(gaps: Iterable[Decided]) -> list[Decided]:
    """Put what failed first, then what is open, passed, and has no verdict.

    Parameters
    ----------
    gaps
        What `decide_gaps` or `worst_gaps` gave.

    Returns
    -------
    list
        The same gaps; those of one verdict in the order in which they stood.
    """
    return sorted(gaps, key=lambda gap: _SEVERITY[gap.verdict])


def _goodness(gap: DecidedGap) -> tuple[int, float]:
    """Sort by verdict, then by size, for which half is as much as twice; the worst is first."""
    value = gap.value
    if gap.is_ratio and value is not None:
        value = math.log(abs(value)) if value else math.inf
    return _SEVERITY[gap.verdict], math.inf if value is None else -abs(value)


class _Decision(NamedTuple):
    """What decides one gap."""

    by: JudgedGate
    scope: ScopeVerdict


def _decide(gap: Gap, decision: _Decision | None, gates: int) -> DecidedGap:
    cells = vars(gap) | {"reason": None if gap.status == "ok" else gap.reason}
    if decision is None:
        return DecidedGap(**cells, gates=gates)
    scope = decision.scope
    if gap.status == "ok" and scope.verdict == _OPEN:
        cells["reason"] = scope.why
    return DecidedGap(
        **cells,
        limit=scope.gate_input.limits.stated,
        verdict=scope.verdict,
        needed_cases=scope.needed_cases,
        gate=decision.by.verdict.gate if gates else None,
        gates=gates,
    )


def _worst_by_row(judged: Iterable[JudgedGate]) -> dict[int | None, _Decision]:
    """Give what decides each gap; of several decisions the worst, and of alike ones the first."""
    decisions = [_Decision(one, scope) for one in judged for scope in one.scopes]
    best_first = sorted(decisions, key=lambda one: one.scope.severity)[::-1]
    return {one.scope.gate_input.row: one for one in best_first}


def _as_gates(stated: FairnessSpec | None) -> Iterator[FairnessGate]:
    """Spell the limits that the audit states as gates, one a measure."""
    if stated is None:
        return
    for measure in stated.measures:
        difference = stated.limit_difference
        ratio = stated.limit_ratio if FAIRNESS_MEASURES[measure].ratio else None
        if difference is not None or ratio is not None:
            yield FairnessGate(
                kind="fairness", measure=measure, limit_difference=difference, limit_ratio=ratio
            )
