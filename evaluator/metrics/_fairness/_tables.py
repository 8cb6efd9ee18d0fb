"""From gaps and limits to verdicts, tidy tables, and the cases that would decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from evaluator.metrics._estimates import FloatArray, divide
from evaluator.metrics._fairness._gaps import ALONE, NO_COMMON_STRATUM, Gap, is_set
from evaluator.metrics._fairness._references import OVERALL, GapOptions, ReferenceGaps
from evaluator.metrics._levels import IntArray, Level

# How probable a decision shall be with the number of cases that is asked for: the convention of
# trials, J. Cohen, Statistical Power Analysis for the Behavioral Sciences (1988).
POWER = 0.8
_MAX_CASES = 10**12
ColumnBlock = dict[str, NDArray[Any]]
_JOINED = " x "
# The columns that are the same in all rows of a block, and that a summary has one row of.
_SAME = ["measure", "comparison", "class", "attribute"]
# The columns of the result and their types.
_COLUMNS = {
    "measure": "str",
    "comparison": "str",
    "class": "object",
    "attribute": "str",
    "group": "str",
    "reference": "str",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "group_value": "float64",
    "reference_value": "float64",
    "n": "int64",
    "n_reference": "int64",
    "n_effective": "float64",
    "n_effective_reference": "float64",
    "strata": "int64",
    "strata_left_out": "int64",
    "limit": "float64",
    "verdict": "str",
    "needed_cases": "Int64",
    "status": "str",
    "reason": "str",
}
_SEVERITY = {"FAIL": 0, "INSUFFICIENT EVIDENCE": 1, "PASS": 2}
_COUNTED = {"failed": "FAIL", "open": "INSUFFICIENT EVIDENCE", "passed": "PASS"}


def fairness_summary(gaps: pd.DataFrame) -> pd.DataFrame:
    """Give the worst gap of every measure, comparison, class and attribute.

    The verdict is FAIL where any group failed, otherwise INSUFFICIENT EVIDENCE where any is open,
    and PASS only where all groups passed. The row is that of the largest gap among the groups of
    this verdict; one without a value stands only where there is none with one.

    Parameters
    ----------
    gaps
        What `fairness` gave.

    Returns
    -------
    pandas.DataFrame
        The chosen rows with their columns, and beside them how many groups ``failed``, are
        ``open`` and ``passed``.
    """
    size = gaps["value"].abs()
    ratio = (gaps["comparison"] == "ratio").to_numpy()
    with np.errstate(divide="ignore"):
        size = size.mask(ratio, np.abs(np.log(size)))
    ranked = gaps.assign(_severity=gaps["verdict"].map(_SEVERITY), _size=size).sort_values(
        ["_severity", "_size"], ascending=[True, False], na_position="last", kind="stable"
    )
    together = ranked.groupby(_SAME, dropna=False, sort=False)
    counts = {
        name: together["verdict"].transform(lambda verdicts, word=word: (verdicts == word).sum())
        for name, word in _COUNTED.items()
    }
    worst = ranked.assign(**counts)[~ranked.duplicated(_SAME)]
    return worst.drop(columns=["_severity", "_size"]).sort_index().reset_index(drop=True)


def group_labels(
    level: Level, values: Sequence[Sequence[Any]], codes: IntArray
) -> NDArray[np.object_]:
    """Name the groups of a level, whose codes are positions among each attribute's values."""
    labels = np.empty(len(codes), dtype=object)
    for group, own in enumerate(codes):
        labels[group] = _JOINED.join(
            str(values[position][code]) for position, code in zip(level.columns, own, strict=True)
        )
    return labels


def to_block(
    compared: ReferenceGaps,
    labels: NDArray[np.object_],
    limit: float,
    options: GapOptions,
    constant: tuple[Any, ...],
) -> ColumnBlock:
    """Lay out the gaps of one level, measure, class and comparison."""
    gap, ratio = compared.gap, options.comparison == "ratio"
    decided = decide(compared, -np.log(limit) if ratio else limit, options.minimum_support)
    value, low, high = gap.value, gap.low, gap.high
    if ratio and compared.unsigned:
        # The larger the logarithms' distance, the smaller the ratio of smaller to larger.
        value, low, high = -value, -high, -low
    if ratio:
        value, low, high = np.exp(value), np.exp(low), np.exp(high)
    defined, fine = decided.status != "undefined", decided.status == "ok"
    reference = np.where(compared.reference == OVERALL, "overall", labels[compared.reference])
    same = {
        name: np.full(len(value), text, dtype=object)
        for name, text in zip(_SAME, constant, strict=True)
    }
    return same | {
        "group": labels[compared.group],
        "reference": np.where(gap.undefined == ALONE, "", reference),
        "value": np.where(defined, value, np.nan),
        "low": np.where(fine, low, np.nan),
        "high": np.where(fine, high, np.nan),
        "group_value": gap.own,
        "reference_value": gap.other,
        "n": gap.rows,
        "n_reference": gap.other_rows,
        "n_effective": gap.cases,
        "n_effective_reference": gap.other_cases,
        "strata": gap.strata,
        "strata_left_out": gap.left_out,
        "limit": np.full(len(value), limit),
        "verdict": decided.verdict,
        "needed_cases": decided.needed_cases,
        "status": decided.status,
        "reason": decided.reason,
    }


def concat_blocks(blocks: Sequence[ColumnBlock]) -> pd.DataFrame:
    """Put blocks one below the other."""
    result = pd.DataFrame(
        {
            name: pd.Series(
                np.concatenate([block[name] for block in blocks]) if blocks else [], dtype=dtype
            )
            for name, dtype in _COLUMNS.items()
        }
    )
    missing = {name: result[name].mask(result[name] == "") for name in ("reference", "reason")}
    return result.assign(**missing)


@dataclass(frozen=True)
class GapVerdicts:
    """Verdicts on the groups of one level; arrays have shape (compared groups,)."""

    verdict: NDArray[np.object_]
    status: NDArray[np.object_]
    # Why the status is not ok, or why the verdict is open; empty otherwise.
    reason: NDArray[np.object_]
    # How many cases of the group would decide; NaN where it is decided, or where none would.
    needed_cases: FloatArray


def decide(compared: ReferenceGaps, limit: float, minimum_support: int) -> GapVerdicts:
    """Hold the intervals against a limit.

    PASS: the whole interval lies within the limit. FAIL: all of it lies beyond. Otherwise, and
    where there is no interval, the evidence is insufficient.
    """
    gap = compared.gap
    low, high = _bounds(compared, limit)
    undefined = is_set(gap.undefined)
    too_few = ~undefined & is_set(gap.too_few)
    ok = ~undefined & ~too_few
    passed = ok & (gap.low >= low) & (gap.high <= high)
    failed = ok & ((gap.high < low) | (gap.low > high))
    verdict = np.select([passed, failed], ["PASS", "FAIL"], "INSUFFICIENT EVIDENCE")
    needed = _needed_cases(compared, (low, high), minimum_support)
    needed = np.where(passed | failed, np.nan, needed)
    reason = np.where(undefined, gap.undefined, gap.too_few)
    for row in np.flatnonzero(ok & ~passed & ~failed):
        reason[row] = (
            "the limit lies within the interval"
            if np.isnan(needed[row])
            else f"the limit lies within the interval; about {needed[row]:.0f} cases of the group "
            "would decide"
        )
    status = np.select([undefined, too_few], ["undefined", "too_few"], "ok")
    return GapVerdicts(verdict.astype(object), status.astype(object), reason, needed)


def _bounds(compared: ReferenceGaps, limit: float) -> tuple[float, float]:
    """Give the smallest and the largest gap that are allowed."""
    return (
        -np.inf if compared.worse == 1 else -limit,
        np.inf if compared.worse == -1 else limit,
    )


def _needed_cases(
    compared: ReferenceGaps, bounds: tuple[float, float], minimum_support: int
) -> FloatArray:
    """Say how many cases of the group would decide with a probability of 0.8.

    If the observed rates are the true ones, and group and reference grow in the proportion in
    which they are, the gap d has the variance V n / n', n being the present and n' the future
    number of cases. The interval then lies on that side of the limit c on which d is, with the
    probability asked for, from n' = n V (z_confidence + z_power)^2 / (d - c)^2 on. Where a PASS
    needs both limits at once, the probability of missing is split between them. At least as many
    cases are needed as give both sides the minimum support.
    Source: J. L. Fleiss, B. Levin, M. C. Paik, Statistical Methods for Rates and Proportions
    (2003), chapter 4; with a limit other than 0, the same.
    """
    gap, (low, high) = compared.gap, bounds
    room = np.minimum(gap.planned - low, high - gap.planned)
    both = np.isfinite(low) and np.isfinite(high)
    to_pass = _quantile(compared.confidence_pass) + special.ndtri(
        (1 + POWER) / 2 if both else POWER
    )
    to_fail = _quantile(compared.confidence_fail) + special.ndtri(POWER)
    z = np.where(room > 0, to_pass, to_fail)
    rows = np.maximum(gap.rows, 1)
    needed = rows * divide(gap.variance * z**2, room**2)
    needed = np.maximum(needed, np.where(gap.rows > 0, rows + 1, 1))
    needed = np.maximum(needed, rows * _times_for_support(gap, minimum_support))
    more_is_no_help = (gap.undefined == ALONE) | (gap.undefined == NO_COMMON_STRATUM)
    hopeless = more_is_no_help | ~(needed < _MAX_CASES)
    return np.where(hopeless, np.nan, np.ceil(np.nan_to_num(needed)))


def _quantile(confidence: float) -> float:
    quantile: float = special.ndtri((1 + confidence) / 2)
    return quantile


def _times_for_support(gap: Gap, minimum_support: int) -> FloatArray:
    """Say how many times the present cases give both sides the minimum support."""
    rows, other_rows = np.maximum(gap.rows, 1), np.maximum(gap.other_rows, 1)
    share, other_share = gap.cases / rows, gap.other_cases / other_rows
    # A group without any such cases is expected to have as many as its reference has.
    expected = np.where(gap.cases > 0, share, other_share) * rows
    other_expected = np.where(gap.other_cases > 0, other_share, share) * other_rows
    times = [
        np.nan_to_num(divide(np.full(len(of), float(minimum_support)), of))
        for of in (expected, other_expected)
    ]
    return np.maximum(*times)
