"""Which candidates are ahead, and which cannot be told apart."""

from typing import Any

import numpy as np
import pandas as pd

from evaluator.metrics.checks import MetricsInputError

_NEEDED = (
    "candidate",
    "baseline",
    "level",
    "metric",
    "difference",
    "conclusion",
    "higher_is_better",
)
_AHEAD = ("better", "better, within the margin")
_BEHIND = ("worse", "worse, within the margin")


def rank_candidates(pairs: pd.DataFrame) -> pd.DataFrame:
    """Rank candidates by every metric in every slice, with what the data leave open.

    A candidate's rank lies between ``best_rank``, 1 plus the number of candidates that were shown
    to be better, and ``worst_rank``, the number of candidates less those that were shown to be
    worse. Where the pairs were adjusted by Holm's procedure, all these ranges hold together, for
    a metric, with the confidence of the pairs.

    Parameters
    ----------
    pairs
        What `compare_pairs` gave.

    Returns
    -------
    pandas.DataFrame
        One row for each level, slice, metric and candidate, with the columns ``level``, the slice
        columns, ``metric``, ``candidate``; ``rank`` by value alone, equal values sharing the
        better rank, missing where a pair is undefined; ``best_rank``, ``worst_rank``; and
        ``not_told_apart_from``, the candidates that were shown to be neither better nor worse,
        joined by ", ". Metrics without a better direction are left out.

    Raises
    ------
    MetricsInputError
        If the table is not one of all pairs.

    Source: M. Mogstad, J. Romano, A. Shaikh, D. Wilhelm, Review of Economic Studies 91 (2024) 476.
    """
    if absent := [name for name in _NEEDED if name not in pairs.columns]:
        raise MetricsInputError(f"the table of pairs lacks the columns {absent}")
    columns = [str(name) for name in pairs.columns]
    where = columns[columns.index("level") : columns.index("metric") + 1]
    names = list(dict.fromkeys([*pairs["baseline"], *pairs["candidate"]]))
    rows: list[dict[str, Any]] = []
    directed = pairs[pairs["higher_is_better"].notna()]
    for values, table in directed.groupby(where, sort=False, dropna=False):
        if len(table) != len(names) * (len(names) - 1) // 2:
            raise MetricsInputError(f"pairs are missing or twice there at {values}")
        place = dict(zip(where, values, strict=True))
        rows += [place | one for one in _ranked(table, names)]
    own = ["candidate", "rank", "best_rank", "worst_rank", "not_told_apart_from"]
    ranks = pd.DataFrame(rows, columns=[*where, *own])
    return ranks.astype({"rank": "Int64", "best_rank": "int64", "worst_rank": "int64"})


def _ranked(table: pd.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    """Rank the candidates of one slice and metric."""
    # By candidate and other: the signed lead, and whether it was shown.
    lead: dict[tuple[str, str], float] = {}
    shown: dict[tuple[str, str], int] = {}
    for one, other, gap, words, higher in zip(
        *(table[name] for name in ("candidate", "baseline", "difference", "conclusion")),
        table["higher_is_better"],
        strict=True,
    ):
        ahead = gap if higher else -gap
        verdict = 1 if words in _AHEAD else -1 if words in _BEHIND else 0
        lead[one, other], lead[other, one] = ahead, -ahead
        shown[one, other], shown[other, one] = verdict, -verdict
    result = []
    for name in names:
        others = [other for other in names if other != name]
        undefined = any(np.isnan(lead[name, other]) for other in others)
        open_ones = [other for other in others if shown[name, other] == 0]
        result.append(
            {
                "candidate": name,
                "rank": None if undefined else 1 + sum(lead[name, other] < 0 for other in others),
                "best_rank": 1 + sum(shown[name, other] < 0 for other in others),
                "worst_rank": len(names) - sum(shown[name, other] > 0 for other in others),
                "not_told_apart_from": ", ".join(open_ones),
            }
        )
    return result
