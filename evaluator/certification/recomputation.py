"""The tables and verdicts of a certificate, computed once more from the stored predictions.

Digests show that evidence is what the issuer stored. This shows that the issuer's figures follow
from it: that the predictions are for the cases of the evaluation set, that the scorecard is what
they give, and that the verdicts are what the audit's gates say of the scorecard.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from evaluator.certification.findings import Problem
from evaluator.certification.gate_evidence import gate_evidence
from evaluator.certification.ledger_chain import ChainedEntry
from evaluator.certification.recomputed_days import check_days
from evaluator.certification.recomputed_tables import compare_searches, compare_tables
from evaluator.certification.recomputed_verdicts import compare_verdicts
from evaluator.certification.statement import ARTIFACT_DIGEST, CONTENT_DIGEST, EvidenceItem
from evaluator.certification.stored_evidence import StoredEvidence
from evaluator.evidence import content_version
from evaluator.evidence.canonical import canonical_json
from evaluator.findings import EvaluatedCases, Predicted, columns_needed, read_stored, score
from evaluator.findings.names import CASES, PREDICTIONS, SLICES, WEAK_SEARCHES
from evaluator.findings.scorecard import Scorecard
from evaluator.spec import CandidateSpec
from evaluator.spec.audit import AuditSpec

SCORECARD: Final = "scorecard"
EVALUATION_SET: Final = "evaluation_set"
SPEC: Final = "audit_spec"
SPEC_FILE: Final = "spec.json"


def spec_document(spec: AuditSpec) -> bytes:
    """Spell an audit's declaration so that it can be read again: what was written, no defaults.

    A dump with defaults would name options beside columns that they do not fit, and be refused.
    """
    return canonical_json(spec.model_dump(mode="json", exclude_unset=True))


def read_spec(content: bytes) -> AuditSpec:
    """Read what `spec_document` wrote."""
    return AuditSpec.model_validate_json(content)


def recompute(evidence: StoredEvidence, entries: Sequence[ChainedEntry] = ()) -> Iterator[Problem]:
    """Compute a certificate's tables and verdicts again, and tell what differs.

    Parameters
    ----------
    evidence
        Evidence whose files were held against their digests before.
    entries
        The ledger as it was when the certificate was made: waivers stand in it.

    Yields
    ------
    Problem
        One for each file, figure or verdict that is not what the stored predictions give.
    """
    scorecard = evidence.root(SCORECARD)
    spec = read_spec(evidence.read(evidence.root(SPEC), SPEC_FILE))
    evaluation_sets = evidence.upstream_of(scorecard, EVALUATION_SET)
    if len(evaluation_sets) != 1:
        what = f"the scorecard rests on {len(evaluation_sets)} evaluation sets"
        yield Problem("figures", scorecard.folder, what)
        return
    evaluation_set = evaluation_sets[0]
    cases = evidence.table(evaluation_set, CASES)
    version = content_version(cases, order_by=["geography", "segment", "id"])
    if version != evaluation_set.content_version:
        what = f"its content is {version}, and the record says {evaluation_set.content_version}"
        yield Problem("figures", f"{evaluation_set.folder}/{CASES}", what)
    yield from _check_subjects(evidence, evaluation_set)
    truth = cases.select(["id", "geography", "segment", "label"]).to_pandas()
    predicted: dict[str, Predicted] = {}
    for candidate in spec.candidates:
        found = evidence.upstream_of(scorecard, f"{candidate.name}_predictions")
        if found:
            frame = _predictions(evidence, found)
            yield from _check_cases(frame, truth, found)
            predicted[candidate.name] = Predicted(frame, {str(item.partition) for item in found})

    def predicted_by(candidate: CandidateSpec) -> Predicted | None:
        return predicted.get(candidate.name)

    known = EvaluatedCases(cases.select(columns_needed(spec)), spec.data.columns)
    scored = score(spec, known, predicted_by)
    tables = {name: read_stored(table) for name, table in scored.tables.items()}
    yield from compare_tables(evidence, scorecard, tables)
    stored_searches = evidence.record(scorecard).facts[WEAK_SEARCHES]
    yield from compare_searches(scorecard, stored_searches, scored.searches)
    slices = evidence.table(scorecard, SLICES).to_pandas()
    yield from _check_slices(f"{scorecard.folder}/{SLICES}", slices, spec, predicted)
    days, problems = check_days(evidence, scorecard, evaluation_set, spec)
    yield from problems
    again = Scorecard.from_tables(
        {**tables, SLICES: slices}, weak_searches=scored.searches, days=days
    )
    yield from compare_verdicts(evidence.predicate, spec, gate_evidence(spec, again), entries)


def _check_subjects(evidence: StoredEvidence, evaluation_set: EvidenceItem) -> Iterator[Problem]:
    """Make sure that what was measured is what the certificate is about."""
    predicate = evidence.predicate
    if predicate.evaluation_set.digest != evaluation_set.content_version:
        what = "the certificate is about another evaluation set than was measured"
        yield Problem("figures", evaluation_set.folder, what)
    model = f"{predicate.candidate.name}_model"
    artifact = predicate.candidate.artifact_digest
    for item in evidence.upstream_of(
        evidence.root(SCORECARD), f"{predicate.candidate.name}_predictions"
    ):
        sets = {u.content_version for u in item.upstream if u.asset == EVALUATION_SET}
        models = {u.content_version for u in item.upstream if u.asset == model}
        if sets != {evaluation_set.content_version}:
            yield Problem("figures", item.folder, "these cases are of another evaluation set")
        if models != {artifact}:
            what = f"another artifact than {artifact} ({CONTENT_DIGEST} or {ARTIFACT_DIGEST})"
            yield Problem("figures", item.folder, f"{what} made these predictions")


def _predictions(evidence: StoredEvidence, items: list[EvidenceItem]) -> pd.DataFrame:
    frames = []
    for item in items:
        geography, segment = str(item.partition).split("|")
        frame = evidence.table(item, PREDICTIONS).to_pandas()
        frames.append(frame.assign(geography=geography, segment=segment))
    joined: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return joined


def _check_cases(
    frame: pd.DataFrame, truth: pd.DataFrame, items: list[EvidenceItem]
) -> Iterator[Problem]:
    """Hold predictions against the evaluation set: the same cases, slices and labels."""
    keys = pd.MultiIndex.from_frame(truth[["geography", "segment", "id"]])
    found = pd.MultiIndex.from_frame(frame[["geography", "segment", "id"]])
    place = keys.get_indexer(found) if keys.is_unique else np.full(len(found), -1)
    labels = truth["label"].to_numpy()
    differs = (place < 0) | (labels[place] != frame["label"].to_numpy()) | found.duplicated()
    sizes = truth.groupby(["geography", "segment"]).size()
    slices = frame["geography"] + "|" + frame["segment"]
    for item in items:
        geography, segment = str(item.partition).split("|")
        is_here = (slices == item.partition).to_numpy()
        path = f"{item.folder}/{PREDICTIONS}"
        wrong = int(differs[is_here].sum())
        expected = int(sizes.get((geography, segment), 0))
        if wrong:
            what = (
                f"{wrong} of its cases are not in the evaluation set, or have another label there"
            )
            yield Problem("figures", path, what)
        elif int(is_here.sum()) != expected:
            what = f"it has {int(is_here.sum())} cases, and the slice has {expected}"
            yield Problem("figures", path, what)


def _check_slices(
    path: str,
    slices: pd.DataFrame,
    spec: AuditSpec,
    predicted: Mapping[str, Predicted],
) -> Iterator[Problem]:
    """Make sure that no slice is hidden, and none is called current without predictions."""
    values = spec.slice_values()
    expected = {
        (candidate.name, f"{geography}|{segment}")
        for candidate in spec.candidates
        for geography in values["geography"]
        for segment in values["segment"]
    }
    keys = slices["geography"] + "|" + slices["segment"]
    listed = list(zip(slices["candidate"], keys, strict=True))
    if len(listed) != len(expected) or set(listed) != expected:
        what = f"it lists {len(set(listed))} slices, and the audit has {len(expected)}"
        yield Problem("figures", path, what)
    for (candidate, key), state in zip(listed, slices["state"], strict=True):
        own = predicted.get(candidate)
        if (state == "current") != (own is not None and key in own.slices):
            what = f"{candidate} on {key} is called {state}, and the predictions say otherwise"
            yield Problem("figures", path, what)
