"""Gaps between groups of cases, each with the verdict of the gate that names it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from evaluator.certification._gate_evidence import GateEvidence
from evaluator.certification._verdicts import JudgedGate, ScopeVerdict, judge_scopes
from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.spec import FairnessGate, FairnessSpec

_OPEN = "INSUFFICIENT EVIDENCE"
_SEVERITY = {"FAIL": 0, _OPEN: 1, "PASS": 2}
_COUNTED = {"failed": "FAIL", "open": _OPEN, "passed": "PASS"}
_CELLS: Final = {
    "limit": "float64",
    "verdict": "str",
    "needed_cases": "Int64",
    "reason": "str",
    "gate": "str",
}
_NO_VERDICT: Final = dict.fromkeys(_CELLS)
# What a summary has one row of.
_TOGETHER = ["candidate", "measure", "comparison", "class", "attribute"]


def decide_gaps(
    judged: Iterable[JudgedGate], evidence: GateEvidence, stated: FairnessSpec | None
) -> pd.DataFrame:
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
    pandas.DataFrame
        The scorecard's `fairness`, whose ``reason`` also says why a verdict is open, with

        ``verdict``, ``needed_cases``
            As in `Verdict`; missing where nothing states a limit.
        ``limit``
            The largest difference or the smallest ratio that passes, as it is stated.
        ``gate``
            The gate in words; missing where none names the gap. Of several it is the one whose
            verdict is shown: FAIL before INSUFFICIENT EVIDENCE before PASS.
        ``gates``
            How many gates name the gap.
    """
    gaps = evidence.scorecard.fairness.reset_index(drop=True)
    if gaps.empty:
        return gaps
    of_gates = [_Decision(one, scope) for one in judged for scope in one.scopes]
    candidates = list(gaps["candidate"].unique())
    of_audit = [
        _Decision(one, scope, is_gate=False)
        for one in judge_scopes(_as_gates(stated), evidence, candidates)
        for scope in one.scopes
    ]
    named = Counter(one.scope.gate_input.row for one in of_gates)
    decided = _worst_by_row(of_audit) | _worst_by_row(of_gates)
    cells = pd.DataFrame(
        [
            decided[row].cells(comparison) if row in decided else _NO_VERDICT
            for row, comparison in enumerate(gaps["comparison"])
        ],
        columns=list(_CELLS),
    ).astype(_CELLS)
    added = cells.assign(
        reason=gaps["reason"].where(gaps["status"] != "ok", cells["reason"]),
        gates=[named[row] for row in gaps.index],
    )
    # An earlier version stored verdicts of its own.
    return pd.concat([gaps.drop(columns=added.columns, errors="ignore"), added], axis=1)


def worst_gaps(gaps: pd.DataFrame) -> pd.DataFrame:
    """Give the worst gap of every candidate, measure, comparison, class and attribute.

    Parameters
    ----------
    gaps
        What `decide_gaps` gave.

    Returns
    -------
    pandas.DataFrame
        The chosen rows with their columns, and beside them how many groups ``failed``, are
        ``open`` and ``passed``. The verdict is FAIL where any group failed, otherwise INSUFFICIENT
        EVIDENCE where any is open. The row is that of the largest gap among the groups of this
        verdict; one without a value stands only where there is none with one.
    """
    if gaps.empty:
        return gaps
    size = gaps["value"].abs()
    with np.errstate(divide="ignore"):
        size = size.mask(gaps["comparison"] == "ratio", np.abs(np.log(size)))
    ranked = worst_first(gaps.loc[size.sort_values(ascending=False, kind="stable").index])
    together = [ranked[name] for name in _TOGETHER]
    counts = {
        name: (ranked["verdict"] == word).groupby(together, dropna=False).transform("sum")
        for name, word in _COUNTED.items()
    }
    worst = ranked.assign(**counts)[~ranked.duplicated(_TOGETHER)]
    return worst.sort_index().reset_index(drop=True)


def worst_first(gaps: pd.DataFrame) -> pd.DataFrame:
    """Put what failed first, then what is open, passed, and has no verdict.

    Parameters
    ----------
    gaps
        What `decide_gaps` or `worst_gaps` gave.

    Returns
    -------
    pandas.DataFrame
        The same rows; those of one verdict in the order in which they stood.
    """
    severity = gaps["verdict"].map(_SEVERITY).fillna(len(_SEVERITY))
    return gaps.iloc[severity.argsort(kind="stable")]


class _Decision(NamedTuple):
    """What decides one gap."""

    by: JudgedGate
    scope: ScopeVerdict
    is_gate: bool = True

    def cells(self, comparison: str) -> dict[str, Any]:
        """Give the cells of the table, but for how many gates name the gap."""
        gate, scope = self.by.gate, self.scope
        assert isinstance(gate, FairnessGate)  # noqa: S101 - no other gate looks at gaps
        return {
            "limit": gate.limit_ratio if comparison == "ratio" else gate.limit_difference,
            "verdict": scope.verdict,
            "needed_cases": scope.needed_cases,
            "reason": scope.why if scope.verdict == _OPEN else None,
            "gate": self.by.verdict.gate if self.is_gate else None,
        }


def _worst_by_row(decisions: Iterable[_Decision]) -> dict[int, _Decision]:
    """Give what decides each gap; of several decisions the worst."""
    worst: dict[int, _Decision] = {}
    for one in decisions:
        row = one.scope.gate_input.row
        if row is not None and (row not in worst or one.scope.severity < worst[row].scope.severity):
            worst[row] = one
    return worst


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
