"""How one candidate of the scorecard treats the groups that the audit names."""

from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from evaluator.evaluation._cases import (
    APART,
    EvaluatedCases,
    Groups,
    IntArray,
    case_outputs,
    dependence_columns,
    group_name,
)
from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.spec import AuditSpec, CandidateSpec, DataSpec, FairnessSpec

_JOINED = " x "
_UNKNOWN = (
    "value",
    "low",
    "high",
    "group_value",
    "reference_value",
)


def measure_fairness(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    row_positions: IntArray,
) -> pd.DataFrame:
    """Compare how a candidate treats the groups of the audit's attributes."""
    from evaluator.metrics import fairness

    fairness_spec = spec.fairness
    if fairness_spec is None:
        raise ValueError("the audit does not ask about fairness")
    cut_columns = {
        name: cases.groups_of(name) for name in (*fairness_spec.attributes, *fairness_spec.control)
    }
    columns = {
        name: pd.Categorical.from_codes(cut.codes[row_positions], categories=pd.Index(cut.names))
        for name, cut in cut_columns.items()
    }
    without_scores = spec.asks.lacking(candidate, "score")
    possible = [
        name
        for name in fairness_spec.measures
        if without_scores is None or not FAIRNESS_MEASURES[name].needs_score
    ]
    outputs = predictions[["label", *spec.asks.output_columns(candidate)]]
    gaps = fairness(
        case_outputs(cases, outputs, row_positions).assign(**columns),
        **spec.asks.metric_columns(candidate, APART),
        attributes=fairness_spec.attributes,
        task=spec.asks.name,
        tolerance=spec.asks.label.tolerance,
        # Something has to be measured for the groups and their cases to be known.
        measures=possible or [spec.asks.any_measure],
        reference=_reference(fairness_spec, spec.data),
        control=fairness_spec.control,
        confidence=spec.confidence,
        minimum_support=fairness_spec.minimum_support,
        groups={
            name: cut_columns[name].names
            for name in fairness_spec.attributes
            if cut_columns[name].declared
        },
        **dependence_columns(spec.data),
    )
    undefined = [
        _undefined(gaps, name, str(without_scores))
        for name in fairness_spec.measures
        if name not in possible
    ]
    found = pd.concat([gaps if possible else gaps.iloc[:0], *undefined], ignore_index=True)
    return _note_missing_cases(found, cut_columns, fairness_spec, candidate)


def _reference(
    fairness_spec: FairnessSpec, data: DataSpec
) -> Literal["best", "overall"] | dict[str, str]:
    if isinstance(fairness_spec.reference, str):
        return fairness_spec.reference
    return {
        name: group_name(data.columns[name].shown(value))
        for name, value in fairness_spec.reference.items()
    }


def _undefined(gaps: pd.DataFrame, measure: str, reason: str) -> pd.DataFrame:
    """List every group with a measure that cannot be computed."""
    is_template = (gaps["measure"] == gaps["measure"].iloc[0]) & (
        gaps["comparison"] == "difference"
    )
    listed: pd.DataFrame = gaps[is_template].assign(
        measure=measure,
        reference=None,
        **dict.fromkeys(_UNKNOWN, np.nan),
        n_effective=0.0,
        n_effective_reference=0.0,
        clusters=pd.array([pd.NA] * int(is_template.sum()), dtype="Int64"),
        status="undefined",
        reason=reason,
    )
    return listed


def _note_missing_cases(
    gaps: pd.DataFrame,
    cut_columns: dict[str, Groups],
    fairness_spec: FairnessSpec,
    candidate: CandidateSpec,
) -> pd.DataFrame:
    """Say of groups that seem to be empty whether the candidate was only not run on them."""
    empty = gaps["n"] == 0
    if not empty.any():
        return gaps
    reasons = gaps["reason"].astype(object)
    for size in range(1, len(fairness_spec.attributes) + 1):
        for names in combinations(fairness_spec.attributes, size):
            there = {
                _JOINED.join(
                    cut_columns[name].names[code] for name, code in zip(names, codes, strict=True)
                )
                for codes in np.unique(
                    np.column_stack([cut_columns[n].codes for n in names]), axis=0
                )
            }
            is_here = empty & (gaps["attribute"] == _JOINED.join(names))
            not_run = is_here & gaps["group"].isin(list(there))
            reasons[not_run] = f"{candidate.name} was not run on the cases of this group"
    return gaps.assign(reason=reasons.astype("str"))
