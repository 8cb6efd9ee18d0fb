"""Where one candidate of the scorecard is weak, and where it got worse since an earlier one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from evaluator.evidence import Record
from evaluator.orchestration.candidate_evaluation import read_predictions
from evaluator.orchestration.evaluated_cases import EvaluatedCases, IntArray
from evaluator.orchestration.evaluation_assets import CASES
from evaluator.orchestration.state import AuditState
from evaluator.spec import AuditSpec, CandidateSpec
from evaluator.spec.findings import WeakSlicesSpec

SEED = 0
"""Which of the equally good halves are searched."""

EARLIER_CERTIFICATE = "earlier_certificate"
"""A scorecard's fact: the last certificate before it that was about another evaluation set."""

# No declared column can be called so.
_LABEL, _SCORE, _PREDICTION, _CLUSTER = " label", " score", " prediction", " cluster"
_NEED_SCORES = ("log_loss", "brier")


class Earlier(NamedTuple):
    """The last certificate that was about another evaluation set, and what it rests on."""

    certificate: str
    """Its identity."""
    scorecard: Record
    evaluation_set: Record


def find_earlier(state: AuditState, evaluation_set: Record) -> Earlier | None:
    """Find the last certificate that was about another evaluation set than this one.

    Each scorecard notes the one before it, so that a walk from the current certificate finds it
    without listing all that is stored.
    """
    record = state.current("certificate") if state.spec.weak_slices else None
    while record is not None:
        scorecard = _upstream(state, record, "scorecard")
        used = None if scorecard is None else _upstream(state, scorecard, "evaluation_set")
        if scorecard is None or used is None:
            return None
        if used.content_version != evaluation_set.content_version:
            return Earlier(record.identity, scorecard, used)
        identity = scorecard.facts.get(EARLIER_CERTIFICATE)
        record = state.store.find(state.address("certificate"), identity) if identity else None
    return None


def _upstream(state: AuditState, record: Record, asset: str) -> Record | None:
    found = next((one for one in record.upstream if one.asset == asset), None)
    return None if found is None else state.store.find(state.address(asset), found.identity)


class Searched(NamedTuple):
    """What a search for weak slices tested, and how far it looked."""

    table: pd.DataFrame
    facts: dict[str, Any]


def search_weak_slices(
    spec: AuditSpec,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    place: IntArray,
) -> Searched:
    """Search for slices where a candidate does worse than on the rest of its cases.

    Parameters
    ----------
    spec
        An audit that declares `weak_slices`.
    candidate
        Who is looked at.
    cases
        The evaluation set.
    predictions
        `label`, `score` and `prediction` of the cases that the candidate was run on.
    place
        The place of each of these among the cases.

    Raises
    ------
    ValueError
        Where the loss needs scores and the candidate gives none.
    """
    from evaluator.metrics import weak_slices

    asked = _asked(spec)
    frame = _frame(asked, cases, predictions, place, asked.features)
    found = weak_slices(
        frame,
        features=asked.features,
        conditions=asked.conditions,
        minimum_support=asked.minimum_support,
        seed=SEED,
        **_settings(asked, candidate),
    )
    return Searched(found.table, {**found.search, "loss": asked.loss, "level": asked.level})


def compare_with_earlier(
    state: AuditState,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    earlier: Earlier,
) -> pd.DataFrame:
    """Say in which slices a candidate does worse than when it was last certified.

    The earlier figures are those of its predictions then, by whatever version of it there was. A
    case that is in both evaluation sets counts for the earlier one alone. Slices have one
    condition each, which is made from the earlier set without a look at how the candidate did.

    Parameters
    ----------
    state
        The state of an audit that declares `weak_slices`.
    candidate
        Who is looked at.
    cases
        The evaluation set of now.
    predictions
        `id`, `label`, `score` and `prediction` of the cases that the candidate was run on.
    earlier
        What to compare with.

    Returns
    -------
    pandas.DataFrame
        As `evaluator.metrics.worsened_slices`; without rows where the candidate is new, or no case
        is.
    """
    from evaluator.metrics import slice_definitions, worsened_slices

    asked = _asked(state.spec)
    records = {
        str(one.partition): state.store.get(state.address(one.asset, one.partition), one.identity)
        for one in earlier.scorecard.upstream
        if one.asset == f"{candidate.name}_predictions"
    }
    columns = [name for name in cases.table.column_names if name != "label"]
    table = state.store.read_table(earlier.evaluation_set, CASES, columns=columns)
    before_cases = EvaluatedCases(table, state.spec.data.columns)
    features = [name for name in asked.features if before_cases.has(name)]
    new = ~predictions["id"].isin(table["id"].to_pandas())
    if not records or not features or not new.any():
        return pd.DataFrame()
    then, now = read_predictions(state, records), predictions[new.to_numpy()]
    before = _frame(asked, before_cases, then, before_cases.place_of(then), features)
    after = _frame(asked, cases, now, cases.place_of(now), features)
    return worsened_slices(
        before,
        after,
        slices=slice_definitions(before, features=features, minimum_support=asked.minimum_support),
        **_settings(asked, candidate),
    )


def _asked(spec: AuditSpec) -> WeakSlicesSpec:
    if spec.weak_slices is None:
        raise ValueError("the audit does not search for weak slices")
    return spec.weak_slices


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
