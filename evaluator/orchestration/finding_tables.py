"""What the scorecard found, in short tables for Dagster's UI."""

import pandas as pd

from evaluator.findings.scorecard import Scorecard
from evaluator.orchestration.markdown import markdown_table
from evaluator.spec import AuditSpec

MOST_ROWS = 50
"""How many rows of a table stand in the UI; the stored table has them all."""

_COMPARED = ["candidate", "metric", "difference", "low_adjusted", "high_adjusted", "p_adjusted"]
_COMPARED += ["better", "worse", "conclusion", "reason"]
_RANKED = ["metric", "candidate", "rank", "best_rank", "worst_rank", "not_told_apart_from"]
_GAPS = ["candidate", "measure", "comparison", "attribute", "group", "reference", "value", "low"]
_GAPS += ["high", "limit", "verdict", "failed", "open", "passed", "needed_cases", "reason"]
_WEAK = ["candidate", "slice", "n_all", "loss", "rest_loss", "low", "high", "harm_low"]
_WORSE = ["candidate", "slice", "n_before", "n_after", "loss_before", "loss_after", "low", "high"]


def finding_tables(spec: AuditSpec, scorecard: Scorecard) -> dict[str, str]:
    """Lay out as Markdown what the audit asks for: comparison, fairness, weak slices.

    Parameters
    ----------
    spec
        The audit.
    scorecard
        What was found.

    Returns
    -------
    dict[str, str]
        By the name of the entry. What could not be looked at stands among the remarks.
    """
    tables = {}
    if len(scorecard.comparisons):
        overall = scorecard.comparisons["level"] == "overall"
        words = f"Less {spec.baseline}, overall:\n\n"
        tables["comparison"] = words + _table(scorecard.comparisons[overall], _COMPARED)
    if len(scorecard.ranks):
        overall = scorecard.ranks["level"] == "overall"
        tables["ranks"] = _table(scorecard.ranks[overall], _RANKED)
    if len(scorecard.fairness):
        tables["fairness"] = _table(_worst_gaps(scorecard.fairness), _GAPS)
    if scorecard.weak_searches:
        tables["weak slices"] = _weak_slices(scorecard)
    if len(scorecard.worsened):
        worse = scorecard.worsened[scorecard.worsened["status"] == "worse"]
        tables["worse than when last certified"] = (
            _table(worse, _WORSE)
            if len(worse)
            else f"Of {len(scorecard.worsened):,} slices, none is shown to be worse."
        )
    return tables


def _worst_gaps(gaps: pd.DataFrame) -> pd.DataFrame:
    from evaluator.metrics import fairness_summary

    worst = []
    for candidate, own in gaps.groupby("candidate", sort=False):
        summary = fairness_summary(own.drop(columns="candidate"))
        worst.append(summary.assign(candidate=candidate))
    return pd.concat(worst, ignore_index=True)


def _weak_slices(scorecard: Scorecard) -> str:
    looked = "\n".join(
        f"- {candidate}: {search['confirmed']} confirmed of {search['tested']} tested, of"
        f" {search['possible']:,} possible slices"
        + (f"; nothing was searched: {search['reason']}" if search["reason"] else "")
        for candidate, search in scorecard.weak_searches.items()
    )
    table = scorecard.weak_slices
    own = table[(table["status"] == "confirmed") & table["explained_by"].isna()]
    return looked if own.empty else f"{looked}\n\n{_table(own, _WEAK)}"


def _table(rows: pd.DataFrame, columns: list[str]) -> str:
    table = markdown_table(rows[columns].head(MOST_ROWS))
    if len(rows) > MOST_ROWS:
        table += f"\n\nThe first {MOST_ROWS} of {len(rows):,} rows."
    return table
