"""The one gap of each measure and attribute that a reader should see first."""

import numpy as np
import pandas as pd

_OF = ["measure", "comparison", "class", "attribute"]
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
    together = ranked.groupby(_OF, dropna=False, sort=False)
    counts = {
        name: together["verdict"].transform(lambda verdicts, word=word: (verdicts == word).sum())
        for name, word in _COUNTED.items()
    }
    worst = ranked.assign(**counts)[~ranked.duplicated(_OF)]
    return worst.drop(columns=["_severity", "_size"]).sort_index().reset_index(drop=True)
