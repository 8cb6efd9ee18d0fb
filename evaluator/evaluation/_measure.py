"""The measurements of one candidate at every level, from its predictions."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluator.evaluation._cases import (
    EvaluatedCases,
    FloatArray,
    Groups,
    IntArray,
    dependence_columns,
    with_dependence,
)
from evaluator.metrics import METRICS, slice_metrics
from evaluator.scorecard import SLICE_COLUMNS, SLICE_LEVEL, Slice, slice_keys
from evaluator.spec import AuditSpec, CandidateSpec


def measure(
    spec: AuditSpec,
    candidate: CandidateSpec,
    predictions: pd.DataFrame,
    levels: Collection[str] | None = None,
) -> pd.DataFrame:
    """Measure predictions, declared groups without rows included.

    Parameters
    ----------
    spec
        The audit: its metrics, its confidence, and its declared geographies and segments.
    candidate
        Where it gives no scores or no limits, what needs them is undefined.
    predictions
        `label`, the task's `output_columns`, `geography` and `segment`, one row a case; and what
        `with_dependence` adds, where the audit declares clusters or weights.
    levels
        Which levels are measured; by default all.

    Returns
    -------
    pandas.DataFrame
        As `evaluator.metrics.slice_metrics`: one row for each level, slice and metric.
    """
    return measure_by(
        spec,
        candidate,
        predictions,
        slices=SLICE_COLUMNS,
        groups=spec.slice_values(),
        levels=levels,
    )


def measure_by(
    spec: AuditSpec,
    candidate: CandidateSpec,
    predictions: pd.DataFrame,
    *,
    slices: Sequence[str],
    groups: Mapping[str, Sequence[Any]] | None = None,
    levels: Collection[str] | None = None,
) -> pd.DataFrame:
    """Measure predictions by any columns of theirs; see `evaluator.metrics.slice_metrics`."""
    reasons = {name: spec.asks.lacking(candidate, METRICS[name].needs) for name in spec.metrics}
    possible = [name for name, reason in reasons.items() if reason is None]
    measured: pd.DataFrame = slice_metrics(
        predictions,
        **spec.asks.metric_columns(candidate),
        limits=spec.asks.limit_columns(candidate),
        **spec.asks.metric_options,
        slices=slices,
        task=spec.asks.name,
        # Something has to be measured for the levels and their cases to be known.
        metrics=possible or [spec.asks.any_metric],
        confidence=spec.confidence,
        groups=groups,
        levels=levels,
        **dependence_columns(spec.data),
    )
    scopes = measured.drop_duplicates(["level", *slices]).drop(columns="class", errors="ignore")
    undefined = [
        scopes.assign(
            metric=name,
            **({} if one is None else {"class": one}),
            value=float("nan"),
            low=float("nan"),
            high=float("nan"),
            n_effective=0.0,
            clusters=pd.array([pd.NA] * len(scopes), dtype="Int64"),
            design_effect=float("nan"),
            status="undefined",
            reason=reason,
        )
        for name, reason in reasons.items()
        if reason is not None
        for one in spec.asks.classes_of(name)
    ]
    together: pd.DataFrame = pd.concat(
        [measured if possible else measured.iloc[:0], *undefined], ignore_index=True
    )
    return together


def measure_evaluated(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
    *,
    known: Collection[Slice],
) -> pd.DataFrame:
    """Measure predictions at every level; of single slices only those that are known."""
    frame = with_dependence(cases, predictions, row_positions)
    measurements = measure(spec, candidate, frame)
    # A slice that is not evaluated is not an empty slice: it stands among the missing ones.
    is_known = slice_keys(measurements).isin([one.key for one in known])
    return measurements[(measurements["level"] != SLICE_LEVEL) | is_known]


def design_effect(values: FloatArray, clusters: IntArray, weights: FloatArray | None) -> float:
    """Give the design effect of clusters on a mean: its variance over that of independent cases.

    Source: L. Kish, Survey Sampling (1965), 8.2; both variances are linearised.

    Parameters
    ----------
    values
        What the mean is of, shape (n,).
    clusters
        The number of each one's cluster, shape (n,).
    weights
        For how much each counts, shape (n,); None where all count alike.

    Returns
    -------
    float
        1 where cases of one cluster are as different as any; NaN where there is one cluster alone,
        or one value.
    """
    sizes = np.bincount(clusters)
    units = np.count_nonzero(sizes)
    if units < 2 or np.ptp(values) == 0:  # noqa: PLR2004 - one does not differ from another
        return float("nan")
    influence = values - np.average(values, weights=weights)
    if weights is not None:
        influence *= weights
    of_clusters = np.bincount(clusters, influence)
    spare, of_cases = units / (units - 1), len(values) / (len(values) - 1)
    return float(spare * np.sum(of_clusters**2) / (of_cases * np.sum(influence**2)))


def measure_additional_slices(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
) -> list[pd.DataFrame]:
    """Measure one candidate by the columns that `additional_slices` names, and by their crosses."""
    levels: dict[frozenset[str], pd.DataFrame] = {}
    outputs = predictions[["label", *spec.asks.output_columns(candidate)]]
    outputs = with_dependence(cases, outputs, row_positions)
    for names in spec.additional_slices:
        groups = [cases.groups_of(name) for name in names]
        # A declared column may be called `label` itself: here each goes by its position.
        codes = {str(place): cut.codes[row_positions] for place, cut in enumerate(groups)}
        frame = outputs.assign(**codes)
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
                cut_columns = [groups[position] for position in positions]
                levels[frozenset(columns)] = _level(columns, cut_columns, rows, positions)
    return list(levels.values())


def _level(
    columns: Sequence[str],
    cut_columns: Sequence[Groups],
    rows: pd.DataFrame,
    positions: Sequence[int],
) -> pd.DataFrame:
    """Name the groups of a level, and leave out those that the candidate was never run on."""
    codes = [rows[str(position)].to_numpy(dtype=np.intp) for position in positions]
    sizes = [len(cut.names) for cut in cut_columns]
    there = np.unique(np.ravel_multi_index([cut.codes for cut in cut_columns], sizes))
    is_unknown = np.isin(np.ravel_multi_index(codes, sizes), there) & (rows["n"].to_numpy() == 0)
    parts = [
        np.array([f"{column} = {name}" for name in cut.names], dtype=object)[code]
        for column, cut, code in zip(columns, cut_columns, codes, strict=True)
    ]
    named = rows.drop(columns=[name for name in rows.columns if name.isdigit()])
    named["level"] = " x ".join(columns)
    named.insert(1, "group", [", ".join(group) for group in zip(*parts, strict=True)])
    known: pd.DataFrame = named[~is_unknown]
    return known
