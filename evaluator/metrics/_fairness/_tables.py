"""From gaps to tidy tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluator.metrics._fairness._gaps import ALONE, is_set
from evaluator.metrics._fairness._references import OVERALL, GapOptions, ReferenceGaps
from evaluator.metrics._levels import IntArray, Level

ColumnBlock = dict[str, NDArray[Any]]
_JOINED = " x "
# The columns that are the same in all rows of a block.
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
    "clusters": "Int64",
    "strata": "int64",
    "strata_left_out": "int64",
    "status": "str",
    "reason": "str",
}


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
    options: GapOptions,
    constant: tuple[Any, ...],
) -> ColumnBlock:
    """Lay out the gaps of one level, measure, class and comparison."""
    gap, ratio = compared.gap, options.comparison == "ratio"
    value, low, high = gap.value, gap.low, gap.high
    if ratio and compared.unsigned:
        # The larger the logarithms' distance, the smaller the ratio of smaller to larger.
        value, low, high = -value, -high, -low
    if ratio:
        value, low, high = np.exp(value), np.exp(low), np.exp(high)
    undefined = is_set(gap.undefined)
    too_few = ~undefined & is_set(gap.too_few)
    reference = np.where(compared.reference == OVERALL, "overall", labels[compared.reference])
    same = {
        name: np.full(len(value), text, dtype=object)
        for name, text in zip(_SAME, constant, strict=True)
    }
    return same | {
        "group": labels[compared.group],
        "reference": np.where(gap.undefined == ALONE, "", reference),
        "value": np.where(undefined, np.nan, value),
        "low": np.where(undefined | too_few, np.nan, low),
        "high": np.where(undefined | too_few, np.nan, high),
        "group_value": gap.own,
        "reference_value": gap.other,
        "n": gap.rows,
        "n_reference": gap.other_rows,
        "n_effective": gap.cases,
        "n_effective_reference": gap.other_cases,
        "clusters": gap.clusters,
        "strata": gap.strata,
        "strata_left_out": gap.left_out,
        "status": np.select([undefined, too_few], ["undefined", "too_few"], "ok").astype(object),
        "reason": np.where(undefined, gap.undefined, gap.too_few),
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
