"""The figures and verdicts of a certificate, computed once more from the stored predictions.

Digests show that evidence is what the issuer stored. This shows that the issuer's figures follow
from it: that the predictions are for the cases of the evaluation set, that the scorecard is what
they give, and that the verdicts are what the audit's gates say of the scorecard.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from evaluator.certification.figures import SLICE_LEVEL
from evaluator.certification.findings import Problem
from evaluator.certification.judged_evidence import JudgedEvidence
from evaluator.certification.outcomes import decide_outcomes
from evaluator.certification.statement import ARTIFACT_DIGEST, CONTENT_DIGEST, EvidenceItem
from evaluator.certification.stored_evidence import StoredEvidence
from evaluator.certification.verdicts import judge
from evaluator.evidence import content_version
from evaluator.evidence.canonical import canonical_json
from evaluator.metrics import slice_metrics
from evaluator.spec.audit import AuditSpec

SCORECARD: Final = "scorecard"
EVALUATION_SET: Final = "evaluation_set"
SPEC: Final = "audit_spec"

SPEC_FILE: Final = "spec.json"
FIGURES: Final = "figures.parquet"
SLICES: Final = "slices.parquet"
PREDICTIONS: Final = "predictions.parquet"
CASES: Final = "cases.parquet"

RELATIVE_TOLERANCE: Final = 1e-9
"""Two machines may add the same numbers in another order."""

_KEYS = ["candidate", "level", "geography", "segment", "metric"]
_NUMBERS = ["value", "low", "high", "n", "n_effective"]
_SHOWN = 5


def spec_document(spec: AuditSpec) -> bytes:
    """Spell an audit's declaration so that it can be read again: what was written, no defaults.

    A dump with defaults would name options beside columns that they do not fit, and be refused.
    """
    return canonical_json(spec.model_dump(mode="json", exclude_unset=True))


def read_spec(content: bytes) -> AuditSpec:
    """Read what `spec_document` wrote."""
    return AuditSpec.model_validate_json(content)


def recompute(evidence: StoredEvidence) -> Iterator[Problem]:
    """Compute a certificate's figures and verdicts again, and tell what differs.

    Parameters
    ----------
    evidence
        Evidence whose files were held against their digests before.

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
    predictions: dict[str, dict[str, EvidenceItem]] = {}
    measured = []
    for candidate in spec.candidates:
        found = evidence.upstream_of(scorecard, f"{candidate.name}_predictions")
        predictions[candidate.name] = {str(item.partition): item for item in found}
        if found:
            frame = _predictions(evidence, found)
            yield from _check_cases(frame, truth, found)
            figures = _measure(spec, frame, predictions[candidate.name])
            figures.insert(0, "candidate", candidate.name)
            measured.append(figures)
    figures = pd.concat(measured, ignore_index=True)
    figures = figures.astype({"geography": "str", "segment": "str"})
    stored = evidence.table(scorecard, FIGURES).to_pandas()
    yield from _compare_figures(f"{scorecard.folder}/{FIGURES}", stored, figures)
    slices = evidence.table(scorecard, SLICES).to_pandas()
    yield from _check_slices(f"{scorecard.folder}/{SLICES}", slices, spec, predictions)
    yield from _compare_verdicts(evidence, spec, figures, slices)


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


def _measure(
    spec: AuditSpec, predictions: pd.DataFrame, known: Mapping[str, EvidenceItem]
) -> pd.DataFrame:
    figures = slice_metrics(
        predictions,
        label="label",
        score="score",
        prediction="prediction",
        slices=["geography", "segment"],
        metrics=spec.metrics,
        confidence=spec.confidence,
        groups=spec.slice_values(),
    )
    # A slice that is not evaluated is not an empty slice: it stands among the missing ones.
    keys = figures["geography"].astype(str) + "|" + figures["segment"].astype(str)
    kept: pd.DataFrame = figures[(figures["level"] != SLICE_LEVEL) | keys.isin(list(known))]
    return kept.reset_index(drop=True)


def _compare_figures(path: str, stored: pd.DataFrame, again: pd.DataFrame) -> Iterator[Problem]:
    stored, again = (
        frame.assign(**{name: frame[name].astype("str").fillna("") for name in _KEYS})
        .sort_values(_KEYS, kind="stable")
        .reset_index(drop=True)
        for frame in (stored, again)
    )
    if not stored[_KEYS].equals(again[_KEYS]):
        what = f"it has {len(stored)} figures for other places than the predictions give"
        yield Problem("figures", path, f"{what} ({len(again)})")
        return
    differs = stored["status"].ne(again["status"]).to_numpy()
    for name in _NUMBERS:
        left, right = (frame[name].to_numpy(dtype=float) for frame in (stored, again))
        is_close = np.isclose(left, right, rtol=RELATIVE_TOLERANCE, atol=1e-12, equal_nan=True)
        differs = differs | ~is_close
    for position in np.flatnonzero(differs)[:_SHOWN]:
        was, now = stored.iloc[position], again.iloc[position]
        place = " x ".join(part for part in (was["geography"], was["segment"]) if part)
        what = (
            f"{was['metric']} of {was['candidate']}, {place or 'overall'}: stored {_figure(was)},"
            f" recomputed {_figure(now)}"
        )
        yield Problem("figures", path, what)
    if differs.sum() > _SHOWN:
        yield Problem("figures", path, f"{int(differs.sum()) - _SHOWN} more figures differ")


def _figure(row: "pd.Series[Any]") -> str:
    return (
        f"{row['value']:.6g} [{row['low']:.6g}, {row['high']:.6g}], n {row['n']}, {row['status']}"
    )


def _check_slices(
    path: str,
    slices: pd.DataFrame,
    spec: AuditSpec,
    predictions: Mapping[str, Mapping[str, EvidenceItem]],
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
        if (state == "current") != (key in predictions.get(candidate, {})):
            what = f"{candidate} on {key} is called {state}, and the predictions say otherwise"
            yield Problem("figures", path, what)


def _compare_verdicts(
    evidence: StoredEvidence, spec: AuditSpec, figures: pd.DataFrame, slices: pd.DataFrame
) -> Iterator[Problem]:
    predicate = evidence.predicate
    name = predicate.candidate.name
    names = [candidate.name for candidate in spec.candidates]
    if name not in names:
        yield Problem("verdicts", "certificate", f"the audit has no candidate {name!r}")
        return
    found = JudgedEvidence(figures=figures, slices=slices, confidence=spec.confidence)
    verdicts = judge(spec.gates, found, names)
    again = [verdict.as_record() for verdict in verdicts if verdict.candidate == name]
    if len(again) != len(predicate.gates):
        what = f"it has {len(predicate.gates)} verdicts, and the audit's gates give {len(again)}"
        yield Problem("verdicts", "certificate", what)
    for stated, record in zip(predicate.gates, again, strict=False):
        differing = list(_differences(stated.model_dump(mode="json"), record))
        if differing:
            yield Problem("verdicts", "certificate", f"{stated.gate}: {'; '.join(differing)}")
    outcome = next(o for o in decide_outcomes(verdicts, slices, names) if o.candidate == name)
    if outcome.outcome != predicate.candidate.outcome:
        what = f"it says {predicate.candidate.outcome}, and the verdicts give {outcome.outcome}"
        yield Problem("verdicts", "certificate", what)
    overall = figures[(figures["candidate"] == name) & (figures["level"] == "overall")]
    measured = {row["metric"]: row for row in overall.to_dict("records")}
    for headline in predicate.headline:
        row = measured.get(headline.metric, {})
        for number in ("value", "low", "high"):
            recomputed = row.get(number)
            stated_number = getattr(headline, number)
            if not _is_same(stated_number, recomputed):
                what = f"{headline.metric}: {number} is {stated_number}, recomputed {recomputed}"
                yield Problem("verdicts", "certificate", what)


def _differences(stated: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[str]:
    # Wording may improve between versions of the program; what it says may not change.
    for key in sorted((stated.keys() | again.keys()) - {"reason"}):
        if not _is_same(stated.get(key), again.get(key)):
            yield f"{key} is {stated.get(key)!r}, recomputed {again.get(key)!r}"


def _is_same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        if math.isnan(right):
            return math.isnan(left)
        return math.isclose(left, right, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
    if isinstance(right, float) and math.isnan(right):
        return left is None
    return bool(left == right)
