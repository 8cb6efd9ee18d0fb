"""Where one candidate of the scorecard is weak, and where it got worse."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from evaluator.evaluation._cases import EvaluatedCases, IntArray
from evaluator.spec import AuditSpec, CandidateSpec, WeakSlicesSpec

SEED = 0
"""Which of the equally good halves are searched."""
# No declared column can be called so.
_LABEL, _SCORE, _PREDICTION, _CLUSTER = " label", " score", " prediction", " cluster"
_NEED_SCORES = ("log_loss", "brier")


class WeakSliceSearch(NamedTuple):
    """What a search for weak slices tested, and how far it looked."""

    table: pd.DataFrame
    facts: dict[str, Any]


def search_weak_slices(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    place: IntArray,
) -> WeakSliceSearch:
    """Search for slices where a candidate does worse than on the rest of its cases."""
    from evaluator.metrics import weak_slices

    asked = _weak_slices_spec(spec)
    frame = _frame(asked, cases, predictions, place, asked.features)
    found = weak_slices(
        frame,
        features=asked.features,
        conditions=asked.conditions,
        minimum_support=asked.minimum_support,
        seed=SEED,
        **_settings(asked, candidate),
    )
    return WeakSliceSearch(found.table, {**found.search, "loss": asked.loss, "level": asked.level})


def find_worsened(
    spec: AuditSpec,
    candidate: CandidateSpec,
    before: tuple[EvaluatedCases, pd.DataFrame],
    after: tuple[EvaluatedCases, pd.DataFrame],
) -> pd.DataFrame:
    """Say in which slices a candidate does worse on its later cases than on its earlier ones.

    Slices have one condition each, which is made from the earlier cases without a look at how the
    candidate did.

    Parameters
    ----------
    spec
        An audit that declares `weak_slices`.
    candidate
        Who is looked at.
    before, after
        An evaluation set, and `id`, `label`, `score` and `prediction` of the cases of it that
        count. No case counts in both.

    Returns
    -------
    pandas.DataFrame
        As `evaluator.metrics.worsened_slices`; without rows where the earlier cases have none of
        the columns.
    """
    from evaluator.metrics import slice_definitions, worsened_slices

    asked = _weak_slices_spec(spec)
    features = [name for name in asked.features if before[0].has(name)]
    if not features:
        return pd.DataFrame()
    then, now = (
        _frame(asked, cases, predictions, cases.place_of(predictions), features)
        for cases, predictions in (before, after)
    )
    return worsened_slices(
        then,
        now,
        slices=slice_definitions(then, features=features, minimum_support=asked.minimum_support),
        **_settings(asked, candidate),
    )


def _weak_slices_spec(spec: AuditSpec) -> WeakSlicesSpec:
    if spec.weak_slices is None:
        raise ValueError("the audit does not search for weak slices")
    return spec.weak_slices


def _frame(
    asked: WeakSlicesSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    place: IntArray,
    features: "list[str] | tuple[str, ...]",
) -> pd.DataFrame:
    outputs = predictions[["label", "score", "prediction"]].reset_index(drop=True)
    outputs = outputs.set_axis([_LABEL, _SCORE, _PREDICTION], axis="columns")
    frame = pd.concat([outputs, cases.features(features, place)], axis="columns")
    if asked.cluster is not None:
        frame[_CLUSTER] = cases.clusters(asked.cluster, place)
    return frame


def _settings(asked: WeakSlicesSpec, candidate: CandidateSpec) -> Mapping[str, Any]:
    if asked.loss in _NEED_SCORES and not candidate.has_scores:
        raise ValueError(
            f"{candidate.name} gives decisions and no scores, and {asked.loss} needs them"
        )
    return {
        "loss": asked.loss,
        "label": _LABEL,
        "score": _SCORE if candidate.has_scores else None,
        "prediction": _PREDICTION,
        "level": asked.level,
        "cluster": None if asked.cluster is None else _CLUSTER,
    }
