"""The figures of one candidate at every level, from its predictions."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from evaluator.findings.names import SLICE_COLUMNS, SLICE_LEVEL
from evaluator.metrics import METRICS, slice_metrics
from evaluator.spec import AuditSpec, CandidateSpec


def measure_known(
    spec: AuditSpec, candidate: CandidateSpec, predictions: pd.DataFrame, known: Collection[str]
) -> pd.DataFrame:
    """Measure predictions at every level; of single slices only those that are known.

    Parameters
    ----------
    spec
        The audit.
    candidate
        Whose predictions they are.
    predictions
        `label`, `score`, `prediction`, `geography` and `segment` of its cases.
    known
        The slices that it was evaluated on, as geography, `|`, segment.
    """
    figures = measure(spec, candidate, predictions)
    # A slice that is not evaluated is not an empty slice: it stands among the missing ones.
    keys = figures["geography"].astype(str) + "|" + figures["segment"].astype(str)
    return figures[(figures["level"] != SLICE_LEVEL) | keys.isin(list(known))]


def measure(spec: AuditSpec, candidate: CandidateSpec, predictions: pd.DataFrame) -> pd.DataFrame:
    """Measure predictions at every level, declared groups without rows included.

    Where the candidate gives decisions and no scores, what needs scores is undefined.
    """
    return measure_by(
        spec,
        candidate,
        predictions,
        slices=SLICE_COLUMNS,
        groups=spec.slice_values(),
    )


def measure_by(
    spec: AuditSpec,
    candidate: CandidateSpec,
    predictions: pd.DataFrame,
    *,
    slices: Sequence[str],
    groups: Mapping[str, Sequence[Any]] | None = None,
) -> pd.DataFrame:
    """Measure predictions by any columns of theirs; see `evaluator.metrics.slice_metrics`."""
    possible = [
        name for name in spec.metrics if candidate.has_scores or METRICS[name].needs != "score"
    ]
    measured: pd.DataFrame = slice_metrics(
        predictions,
        label="label",
        score="score" if candidate.has_scores else None,
        prediction="prediction",
        slices=slices,
        # Something has to be measured for the levels and their cases to be known.
        metrics=possible or ["base_rate"],
        confidence=spec.confidence,
        groups=groups,
    )
    first = measured[measured["metric"] == measured["metric"].iloc[0]]
    undefined = [
        first.assign(
            metric=name,
            value=float("nan"),
            low=float("nan"),
            high=float("nan"),
            n_effective=0.0,
            status="undefined",
            reason=f"{candidate.name} gives decisions and no scores",
        )
        for name in spec.metrics
        if name not in possible
    ]
    together: pd.DataFrame = pd.concat(
        [measured if possible else measured.iloc[:0], *undefined], ignore_index=True
    )
    return together
