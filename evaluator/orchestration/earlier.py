"""The last certificate that was about another evaluation set, and what got worse since then."""

from typing import NamedTuple

import pandas as pd

from evaluator.evidence import Record
from evaluator.findings.evaluated_cases import EvaluatedCases
from evaluator.findings.names import CASES
from evaluator.findings.weak_slices import find_worsened
from evaluator.orchestration.candidate_evaluation import read_predictions
from evaluator.orchestration.state import AuditState
from evaluator.spec import CandidateSpec

EARLIER_CERTIFICATE = "earlier_certificate"
"""A scorecard's fact: the last certificate before it that was about another evaluation set."""


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


def compare_with_earlier(
    state: AuditState,
    candidate: CandidateSpec,
    cases: EvaluatedCases,
    predictions: pd.DataFrame,
    earlier: Earlier,
) -> pd.DataFrame:
    """Say in which slices a candidate does worse than when it was last certified.

    The earlier figures are those of its predictions then, by whatever version of it there was. A
    case that is in both evaluation sets counts for the earlier one alone.

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
    records = {
        str(one.partition): state.store.get(state.address(one.asset, one.partition), one.identity)
        for one in earlier.scorecard.upstream
        if one.asset == f"{candidate.name}_predictions"
    }
    columns = [name for name in cases.table.column_names if name != "label"]
    table = state.store.read_table(earlier.evaluation_set, CASES, columns=columns)
    new = ~predictions["id"].isin(table["id"].to_pandas())
    if not records or not new.any():
        return pd.DataFrame()
    before = EvaluatedCases(table, state.spec.data.columns)
    return find_worsened(
        state.spec,
        candidate,
        (before, read_predictions(state, records)),
        (cases, predictions[new.to_numpy()]),
    )
