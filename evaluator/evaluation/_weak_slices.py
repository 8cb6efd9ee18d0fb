"""Where one candidate of the scorecard is weak, and where it got worse."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from evaluator.evaluation._cases import (
    APART,
    EvaluatedCases,
    IntArray,
    case_outputs,
    dependence_columns,
)
from evaluator.spec import AuditSpec, CandidateSpec, WeakSlicesSpec

if TYPE_CHECKING:
    from evaluator.metrics import WeakSlices

SEED = 0
"""Which of the equally good halves are searched."""


def search_weak_slices(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
) -> "WeakSlices":
    """Search for slices where a candidate does worse than on the rest of its cases."""
    from evaluator.metrics import weak_slices

    weak_slices_spec = _weak_slices_spec(spec)
    names = spec.asks.output_columns(candidate)
    frame = _frame(cases, predictions[["label", *names]], row_positions, weak_slices_spec.features)
    found = weak_slices(
        frame,
        features=weak_slices_spec.features,
        conditions=weak_slices_spec.conditions,
        minimum_support=weak_slices_spec.minimum_support,
        seed=SEED,
        **_settings(spec, candidate),
    )
    asked = {"loss": weak_slices_spec.loss, "level": weak_slices_spec.level}
    return replace(found, search=found.search | asked)


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
        An evaluation set, and `id`, `label` and the task's `output_columns` of the cases of it that
        count. No case counts in both.

    Returns
    -------
    pandas.DataFrame
        As `evaluator.metrics.worsened_slices`; without rows where the earlier cases have none of
        the columns.

    Raises
    ------
    ValueError
        If the audit declares no `weak_slices`, if its loss needs scores that the candidate does
        not give, or if there are predictions for other cases.
    """
    from evaluator.metrics import slice_definitions, worsened_slices

    weak_slices_spec = _weak_slices_spec(spec)
    features = [name for name in weak_slices_spec.features if before[0].has(name)]
    if not features:
        return pd.DataFrame()
    names = spec.asks.output_columns(candidate)
    then, now = (
        _frame(cases, predictions[["label", *names]], cases.positions_of(predictions), features)
        for cases, predictions in (before, after)
    )
    return worsened_slices(
        then,
        now,
        slices=slice_definitions(
            then, features=features, minimum_support=weak_slices_spec.minimum_support
        ),
        **_settings(spec, candidate),
    )


def _weak_slices_spec(spec: AuditSpec) -> WeakSlicesSpec:
    if spec.weak_slices is None:
        raise ValueError("the audit does not search for weak slices")
    return spec.weak_slices


def _frame(
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
    features: Sequence[str],
) -> pd.DataFrame:
    outputs = case_outputs(cases, predictions, row_positions)
    if outputs[APART.format("prediction")].dtype.kind not in "iuf":
        # Where there is no answer it is none of the classes, and so not right.
        outputs = outputs.fillna({APART.format("prediction"): ""})
    return pd.concat([outputs, cases.features(features, row_positions)], axis="columns")


def _settings(spec: AuditSpec, candidate: CandidateSpec) -> Mapping[str, Any]:
    weak_slices_spec = _weak_slices_spec(spec)
    loss = weak_slices_spec.loss
    reason = spec.asks.lacking(candidate, "score")
    if loss in spec.asks.losses_of_scores and reason is not None:
        raise ValueError(f"{reason}, and {loss} needs them")
    columns = spec.asks.metric_columns(candidate, APART)
    return {
        "loss": loss,
        "label": columns["label"],
        "score": columns["score"] if loss in spec.asks.losses_of_scores else None,
        "prediction": columns["prediction"],
        "level": weak_slices_spec.level,
        **dependence_columns(spec.data),
    }
