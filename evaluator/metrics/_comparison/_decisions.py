"""From differences to decisions: adjusted p-values, intervals that agree, conclusions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics._catalogue import METRICS
from evaluator.metrics._checks import MetricsInputError
from evaluator.metrics._comparison._differences import (
    CandidatePair,
    Compared,
    Difference,
    Differences,
)
from evaluator.metrics._estimates import BoolArray, FloatArray, to_tidy_frame
from evaluator.metrics._levels import Slicing
from evaluator.metrics._multiplicity import ADJUSTMENTS, Adjustment

Margins = Mapping[str, float]
NOT_COMPARED = "not compared"
NOTHING_SHOWN = "no difference shown"
_AHEAD = ("better", "better, within the margin")
_BEHIND = ("worse", "worse, within the margin")
_COLUMNS = (
    "low",
    "high",
    "p_value",
    "p_adjusted",
    "low_adjusted",
    "high_adjusted",
    "p_equivalent",
    "p_not_worse",
)
_NEEDED = (
    "candidate",
    "baseline",
    "level",
    "metric",
    "difference",
    "conclusion",
    "higher_is_better",
)


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
        columns, ``metric``, ``class`` where the pairs have it, ``candidate``; ``rank`` by value
        alone, equal values sharing the better rank, missing where a pair is undefined;
        ``best_rank``, ``worst_rank``; and ``not_told_apart_from``, the candidates that were shown
        to be neither better nor worse, joined by ", ". Metrics without a better direction are left
        out.

    Raises
    ------
    MetricsInputError
        If the table is not one of all pairs.

    Source: M. Mogstad, J. Romano, A. Shaikh, D. Wilhelm, Review of Economic Studies 91 (2024) 476.
    """
    if absent := [name for name in _NEEDED if name not in pairs.columns]:
        raise MetricsInputError(f"the table of pairs lacks the columns {absent}")
    columns = [str(name) for name in pairs.columns]
    where = columns[columns.index("level") : columns.index("difference")]
    names = list(dict.fromkeys([*pairs["baseline"], *pairs["candidate"]]))
    rows: list[dict[str, Any]] = []
    directed = pairs[pairs["higher_is_better"].notna()]
    for values, table in directed.groupby(where, sort=False, dropna=False):
        if len(table) != len(names) * (len(names) - 1) // 2:
            raise MetricsInputError(f"pairs are missing or twice there at {values}")
        scope = dict(zip(where, values, strict=True))
        rows += [scope | one for one in _ranked(table, names)]
    own = ["candidate", "rank", "best_rank", "worst_rank", "not_told_apart_from"]
    ranks = pd.DataFrame(rows, columns=[*where, *own])
    return ranks.astype({"rank": "Int64", "best_rank": "int64", "worst_rank": "int64"})


def _ranked(table: pd.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    """Rank the candidates of one slice and metric."""
    # By candidate and other: the signed lead, and whether it was shown.
    lead: dict[tuple[str, str], float] = {}
    shown: dict[tuple[str, str], int] = {}
    for one, other, gap, conclusion, higher in zip(
        *(table[name] for name in ("candidate", "baseline", "difference", "conclusion")),
        table["higher_is_better"],
        strict=True,
    ):
        ahead = gap if higher else -gap
        verdict = 1 if conclusion in _AHEAD else -1 if conclusion in _BEHIND else 0
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


def margins_of(margin: float | Mapping[str, float] | None, metrics: list[str]) -> Margins:
    """Give the margin of each metric that has one."""
    if margin is None:
        return {}
    margins = dict(margin) if isinstance(margin, Mapping) else dict.fromkeys(metrics, margin)
    if unknown := [name for name in margins if name not in metrics]:
        raise MetricsInputError(f"margins are given for {unknown}, which are not compared")
    for name, value in margins.items():
        if not 0 < value < np.inf:
            raise MetricsInputError(f"the margin of {name} must be positive, not {value}")
    return margins


def decide(
    slicing: Slicing,
    pairs: Sequence[CandidatePair],
    metrics: Sequence[str],
    found: Differences,
    *,
    margins: Margins,
    confidence: float,
    adjust: Adjustment,
    others: Mapping[str, FloatArray],
) -> pd.DataFrame:
    """Adjust the tests of each metric, make the intervals agree, and draw conclusions.

    A family is all tests of one metric: of all pairs, in all slices of all levels, and of all
    classes where it has a value a class. What has no test is not in it. Differences of rates with
    so few discordant cases that no outcome could have been a finding are left out as well, which
    loses none of the guarantees (Tarone).

    The adjusted interval of a member is, of m, with R findings at error probability e:

    - Benjamini and Hochberg: at e max(R, 1) / m. It excludes zero exactly for the findings, and
      of the findings' intervals the expected share that miss is at most e (Benjamini, Yekutieli).
    - Holm: at e / m, so that all hold together with the confidence (Bonferroni). Where Holm shows
      a difference whose interval so wide still holds zero, it is cut there.

    Sources: R. Tarone, Biometrics 46 (1990) 515; Y. Benjamini, D. Yekutieli, Journal of the
    American Statistical Association 100 (2005) 71; K. Strassburger, F. Bretz, Statistics in
    Medicine 27 (2008) 4914, for intervals that go with Holm's procedure.
    """
    decided: dict[tuple[CandidatePair, Compared], Mapping[str, NDArray[Any]]] = {}
    for name in metrics:
        family = {key: one for key, one in found.items() if _metric_of(key[1]) == name}
        columns = _family(
            list(family.values()),
            name,
            margins,
            confidence=confidence,
            adjust=adjust,
            others=others.get(name, np.empty(0)),
        )
        decided |= dict(zip(family, columns, strict=True))
    tables = []
    for pair in pairs:
        own = {one: columns for (of, one), columns in decided.items() if of == pair}
        differences = {one: found[pair, one] for one in own}
        tables.append(_table(slicing, pair, differences, own))
    return pd.concat(tables, ignore_index=True)


def _metric_of(compared: Compared) -> str:
    return compared if isinstance(compared, str) else compared[0]


def _family(
    differences: list[Difference],
    metric: str,
    margins: Margins,
    *,
    confidence: float,
    adjust: Adjustment,
    others: FloatArray,
) -> list[dict[str, NDArray[Any]]]:
    """Decide one metric's tests together; give the columns of each pair."""
    error = 1 - confidence
    sizes = np.cumsum([len(one.estimate.value) for one in differences])[:-1]
    status = np.concatenate([one.estimate.status for one in differences])
    value = np.concatenate([one.estimate.value for one in differences])
    tested = status == "ok"
    bounded = tested | np.concatenate([one.without_test for one in differences])
    identical = np.concatenate([one.identical for one in differences])
    p_value = _where(tested, np.concatenate([one.distribution.two_sided() for one in differences]))
    everyones = ADJUSTMENTS[adjust](np.concatenate([p_value, others]))
    found = np.nan_to_num(everyones, nan=1.0) <= error
    p_adjusted, shown = everyones[: len(p_value)], found[: len(p_value)]
    members = max(int(tested.sum() + (~np.isnan(others)).sum()), 1)
    several = max(int(found.sum()), 1) if adjust == "benjamini_hochberg" else 1
    columns: dict[str, NDArray[Any]] = {"p_value": p_value, "p_adjusted": p_adjusted}
    for suffix, own in (("", error), ("_adjusted", error * several / members)):
        low, high = _intervals(differences, own)
        # An interval around an estimate with added cases may end just short of the plain one.
        low, high = np.fmin(low, value), np.fmax(high, value)
        columns[f"low{suffix}"] = _where(bounded | identical, low)
        columns[f"high{suffix}"] = _where(bounded | identical, high)
    # Where exact test and score statistic disagree, an interval at a smaller error probability may
    # be the narrower one: it takes the other in, which excludes zero if the adjusted one does.
    low = np.fmin(columns["low"], columns["low_adjusted"])
    high = np.fmax(columns["high"], columns["high_adjusted"])
    # What the adjusted test shows, its interval excludes.
    columns["low_adjusted"] = np.where(shown & (value > 0), np.maximum(low, 0), low)
    columns["high_adjusted"] = np.where(shown & (value < 0), np.minimum(high, 0), high)
    direction = METRICS[metric].higher_is_better
    # Of others it is not known how they lie to a margin, and so not what the whole family shows.
    known_margins = {} if others.size else margins
    columns |= _within(differences, metric, known_margins, bounded, adjust)
    columns["conclusion"] = _conclusions(
        columns, value, status, shown, identical, direction=direction, error=error
    )
    split = {name: np.split(column, sizes) for name, column in columns.items()}
    return [{name: split[name][position] for name in split} for position in range(len(differences))]


def _where(there: BoolArray, values: FloatArray) -> FloatArray:
    return np.where(there, values, np.nan)


def _intervals(differences: list[Difference], error: float) -> tuple[FloatArray, FloatArray]:
    low, high = zip(*(one.interval(error) for one in differences), strict=True)
    return np.concatenate(low), np.concatenate(high)


def _within(
    differences: list[Difference],
    metric: str,
    margins: Margins,
    bounded: BoolArray,
    adjust: Adjustment,
) -> dict[str, NDArray[Any]]:
    """Test whether the differences lie within the margin, and whether harm does.

    Two one-sided tests: D. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987)
    657. Each is adjusted over the same family.
    """
    absent = np.full(len(bounded), np.nan)
    if metric not in margins:
        return {"p_equivalent": absent, "p_not_worse": absent}
    margin = margins[metric]
    above = np.concatenate([one.above(-margin) for one in differences])
    below = np.concatenate([one.below(margin) for one in differences])
    adjusted = ADJUSTMENTS[adjust]
    direction = METRICS[metric].higher_is_better
    harmless = absent if direction is None else above if direction else below
    return {
        "p_equivalent": adjusted(_where(bounded, np.maximum(above, below))),
        "p_not_worse": adjusted(_where(bounded, harmless)),
    }


def _conclusions(
    columns: Mapping[str, NDArray[Any]],
    value: FloatArray,
    status: NDArray[np.object_],
    shown: BoolArray,
    identical: BoolArray,
    *,
    direction: bool | None,
    error: float,
) -> NDArray[np.object_]:
    """Say in words what the adjusted tests show."""
    up, down = {True: ("better", "worse"), False: ("worse", "better"), None: ("higher", "lower")}[
        direction
    ]
    equivalent = np.nan_to_num(columns["p_equivalent"], nan=1.0) <= error
    not_worse = np.nan_to_num(columns["p_not_worse"], nan=1.0) <= error
    conclusions = np.full(len(value), NOTHING_SHOWN, dtype=object)
    conclusions[not_worse] = "not worse"
    conclusions[equivalent | identical] = "equivalent"
    for word, where in ((up, shown & (value > 0)), (down, shown & (value < 0))):
        conclusions[where] = word
        conclusions[where & equivalent] = f"{word}, within the margin"
    conclusions[status == "undefined"] = NOT_COMPARED
    return conclusions


def _table(
    slicing: Slicing,
    pair: CandidatePair,
    differences: Mapping[Compared, Difference],
    decided: Mapping[Compared, Mapping[str, NDArray[Any]]],
) -> pd.DataFrame:
    """Lay one pair's differences out as a tidy frame."""
    estimates = {name: one.estimate for name, one in differences.items()}
    table = to_tidy_frame(slicing, estimates, surveyed=False)

    def stacked(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        return np.column_stack(arrays).ravel()

    columns: dict[str, Any] = {
        "candidate": pd.Series([pair[0]] * len(table), dtype="str"),
        "baseline": pd.Series([pair[1]] * len(table), dtype="str"),
    }
    for name in table.columns[: table.columns.get_loc("value")]:
        columns[name] = table[name]
    columns["difference"] = table["value"]
    for name in _COLUMNS:
        columns[name] = stacked([own[name] for own in decided.values()])
    columns["n"], columns["n_effective"] = table["n"], table["n_effective"]
    clusters = pd.Series(stacked([one.clusters for one in differences.values()]))
    columns["clusters"] = clusters.astype("Int64")
    for name, attribute in (
        ("n_discordant", "discordant"),
        ("better", "better"),
        ("worse", "worse"),
    ):
        counts = stacked([getattr(one.flips, attribute) for one in differences.values()])
        columns[name] = counts.astype(np.int64)
    each = [METRICS[_metric_of(one)].higher_is_better for one in differences]
    repeats = len(table) // max(len(each), 1)
    columns["higher_is_better"] = pd.array(each * repeats, dtype="boolean")
    columns["conclusion"] = pd.Series(
        stacked([own["conclusion"] for own in decided.values()]), dtype="str"
    )
    identical = stacked([one.identical for one in differences.values()])
    columns["status"] = table["status"].mask(identical, "identical")
    columns["reason"] = table["reason"]
    return pd.DataFrame(columns)
