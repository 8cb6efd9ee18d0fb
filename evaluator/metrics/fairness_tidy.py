"""From gaps to one row a measure, comparison, class and group."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics.fairness_gaps import ALONE
from evaluator.metrics.fairness_pairs import OVERALL
from evaluator.metrics.fairness_references import Compared, Setting
from evaluator.metrics.fairness_verdicts import decide
from evaluator.metrics.levels import IntArray, Level

Block = dict[str, NDArray[Any]]

_JOINED = " x "
# The columns that are the same in all rows of a block.
_SAME = ("measure", "comparison", "class", "attribute")

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


def named(level: Level, values: Sequence[Sequence[Any]], codes: IntArray) -> NDArray[np.object_]:
    """Name the groups of a level, whose codes are positions among each attribute's values."""
    words = np.empty(len(codes), dtype=object)
    for group, own in enumerate(codes):
        words[group] = _JOINED.join(
            str(values[position][code]) for position, code in zip(level.columns, own, strict=True)
        )
    return words


def laid_out(
    compared: Compared,
    words: NDArray[np.object_],
    limit: float,
    setting: Setting,
    constant: tuple[Any, ...],
) -> Block:
    """Lay out the gaps of one level, measure, class and comparison.

    Parameters
    ----------
    compared
        The gaps.
    words
        The groups' names.
    limit
        The largest difference, or the smallest ratio, that is allowed.
    setting
        How the gaps were asked for.
    constant
        Measure, comparison, class and attribute, which are the same in all rows.
    """
    gap, ratio = compared.gap, setting.comparison == "ratio"
    decided = decide(compared, -np.log(limit) if ratio else limit, setting.minimum_support)
    value, low, high = gap.value, gap.low, gap.high
    if ratio and compared.unsigned:
        # The larger the logarithms' distance, the smaller the ratio of smaller to larger.
        value, low, high = -value, -high, -low
    if ratio:
        value, low, high = np.exp(value), np.exp(low), np.exp(high)
    defined, fine = decided.status != "undefined", decided.status == "ok"
    reference = np.where(compared.reference == OVERALL, "overall", words[compared.reference])
    same = {
        name: np.full(len(value), text, dtype=object)
        for name, text in zip(_SAME, constant, strict=True)
    }
    return same | {
        "group": words[compared.group],
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


def joined(blocks: Sequence[Block]) -> pd.DataFrame:
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
