"""What the scorecard measures beside geography and segment: further columns and their crosses."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluator.findings.evaluated_cases import EvaluatedCases, Groups, IntArray
from evaluator.findings.figures import measure_by
from evaluator.spec import AuditSpec, CandidateSpec


def measure_more(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    place: IntArray,
) -> list[pd.DataFrame]:
    """Measure one candidate by the columns that `more_slices` names, and by their crosses.

    Parameters
    ----------
    spec
        The audit.
    candidate
        Who is measured; where it gives no scores, what needs them is undefined.
    cases
        The evaluation set.
    predictions
        `label`, `score` and `prediction` of the cases that the candidate was run on.
    place
        The place of each of these among the cases.

    Returns
    -------
    list[pandas.DataFrame]
        One frame a level, no level twice: `level`, `group`, and the columns of
        `evaluator.metrics.slice_metrics` from `metric` on. A declared group without a case has
        `n` 0; a group that has cases, of which the candidate was run on none, is left out.
    """
    levels: dict[frozenset[str], pd.DataFrame] = {}
    for names in spec.more_slices:
        groups = [cases.groups_of(name) for name in names]
        frame = predictions[["label", "score", "prediction"]].copy()
        # A declared column may be called `label` itself: here each goes by its position.
        for position, cut in enumerate(groups):
            frame[str(position)] = cut.codes[place]
        measured = measure_by(
            spec,
            candidate,
            frame,
            slices=[str(position) for position in range(len(names))],
            groups={str(p): range(len(c.names)) for p, c in enumerate(groups) if c.declared},
        )
        for level, rows in measured.groupby("level", sort=False):
            if level == "overall":
                continue
            positions = [int(position) for position in str(level).split(" x ")]
            columns = [names[position] for position in positions]
            if frozenset(columns) not in levels:
                cuts = [groups[position] for position in positions]
                levels[frozenset(columns)] = _level(columns, cuts, rows, positions)
    return list(levels.values())


def _level(
    columns: Sequence[str], cuts: Sequence[Groups], rows: pd.DataFrame, positions: Sequence[int]
) -> pd.DataFrame:
    """Name the groups of a level, and leave out those that the candidate was never run on."""
    codes = [rows[str(position)].to_numpy(dtype=np.intp) for position in positions]
    sizes = [len(cut.names) for cut in cuts]
    there = np.unique(np.ravel_multi_index([cut.codes for cut in cuts], sizes))
    is_unknown = np.isin(np.ravel_multi_index(codes, sizes), there) & (rows["n"].to_numpy() == 0)
    parts = [
        np.array([f"{column} = {name}" for name in cut.names], dtype=object)[code]
        for column, cut, code in zip(columns, cuts, codes, strict=True)
    ]
    named = rows.drop(columns=[name for name in rows.columns if name.isdigit()])
    named["level"] = " x ".join(columns)
    named.insert(1, "group", [", ".join(group) for group in zip(*parts, strict=True)])
    known: pd.DataFrame = named[~is_unknown]
    return known
