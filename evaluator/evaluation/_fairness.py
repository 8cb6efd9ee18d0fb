"""How one candidate of the scorecard treats the groups that the audit names."""

from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from evaluator.evaluation._cases import EvaluatedCases, Groups, IntArray, group_name
from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.spec import AuditSpec, CandidateSpec, FairnessSpec

# No declared column can be called so.
_LABEL, _SCORE, _PREDICTION = " label", " score", " prediction"
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
    place: IntArray,
) -> pd.DataFrame:
    """Compare how a candidate treats the groups of the audit's attributes."""
    from evaluator.metrics import fairness

    asked = spec.fairness
    if asked is None:
        raise ValueError("the audit does not ask about fairness")
    cuts = {name: cases.groups_of(name) for name in (*asked.attributes, *asked.control)}
    columns = {
        name: pd.Categorical.from_codes(cut.codes[place], categories=pd.Index(cut.names))
        for name, cut in cuts.items()
    }
    outputs = predictions[["label", "score", "prediction"]].reset_index(drop=True)
    outputs = outputs.set_axis([_LABEL, _SCORE, _PREDICTION], axis="columns")
    possible = [
        name
        for name in asked.measures
        if candidate.has_scores or not FAIRNESS_MEASURES[name].needs_score
    ]
    gaps = fairness(
        outputs.assign(**columns),
        label=_LABEL,
        prediction=_PREDICTION,
        score=_SCORE if candidate.has_scores else None,
        attributes=asked.attributes,
        # Something has to be measured for the groups and their cases to be known.
        measures=possible or ["demographic_parity"],
        reference=_reference(asked),
        limit_difference=asked.limit_difference,
        limit_ratio=asked.limit_ratio,
        control=asked.control,
        confidence=spec.confidence,
        minimum_support=asked.minimum_support,
        groups={name: cuts[name].names for name in asked.attributes if cuts[name].declared},
    )
    undefined = [
        _undefined(gaps, name, f"{candidate.name} gives decisions and no scores", asked)
        for name in asked.measures
        if name not in possible
    ]
    found = pd.concat([gaps if possible else gaps.iloc[:0], *undefined], ignore_index=True)
    return _note_missing_cases(found, cuts, asked, candidate)


def _reference(asked: FairnessSpec) -> Literal["best", "overall"] | dict[str, str]:
    if isinstance(asked.reference, str):
        return asked.reference
    return {name: group_name(value) for name, value in asked.reference.items()}


def _undefined(gaps: pd.DataFrame, measure: str, reason: str, asked: FairnessSpec) -> pd.DataFrame:
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
        limit=asked.limit_difference,
        verdict="INSUFFICIENT EVIDENCE",
        needed_cases=pd.array([pd.NA] * int(is_template.sum()), dtype="Int64"),
        status="undefined",
        reason=reason,
    )
    return listed


def _note_missing_cases(
    gaps: pd.DataFrame, cuts: dict[str, Groups], asked: FairnessSpec, candidate: CandidateSpec
) -> pd.DataFrame:
    """Say of groups that seem to be empty whether the candidate was only not run on them."""
    empty = gaps["n"] == 0
    if not empty.any():
        return gaps
    reasons = gaps["reason"].astype(object)
    for size in range(1, len(asked.attributes) + 1):
        for names in combinations(asked.attributes, size):
            there = {
                _JOINED.join(
                    cuts[name].names[code] for name, code in zip(names, codes, strict=True)
                )
                for codes in np.unique(np.column_stack([cuts[n].codes for n in names]), axis=0)
            }
            is_here = empty & (gaps["attribute"] == _JOINED.join(names))
            not_run = is_here & gaps["group"].isin(list(there))
            reasons[not_run] = f"{candidate.name} was not run on the cases of this group"
    return gaps.assign(reason=reasons.astype("str"))
