"""The tables and verdicts of a certificate, computed once more from the stored predictions.

Digests show that evidence is what the issuer stored. This shows that the issuer's figures follow
from it: that the predictions are for the cases of the evaluation set, that the scorecard is what
they give, and that the verdicts are what the audit's gates say of the scorecard.
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.certification._comparing import KEYS, compare_searches, compare_tables, is_same
from evaluator.certification._declaration import narrowed_to, read_declared
from evaluator.certification._entries import ChainedEntry
from evaluator.certification._gate_evidence import (
    GateEvidence,
    gate_evidence,
    read_days,
    with_reference,
)
from evaluator.certification._gates._behaviour import asks_about_days, asks_about_drift
from evaluator.certification._redaction import unseen_tables
from evaluator.certification._statement import (
    ARTIFACT_DIGEST,
    CONTENT_DIGEST,
    Discrepancy,
    EvidenceItem,
    Predicate,
    Training,
)
from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.certification._verdicts_again import compare_verdicts
from evaluator.errors import EvidenceError
from evaluator.evaluation import (
    EvaluatedCases,
    OthersCompared,
    Predicted,
    assumptions_of,
    columns_needed,
    score,
)
from evaluator.evidence import content_version
from evaluator.intake import Profile
from evaluator.scorecard import (
    ADDITIONAL_MEASUREMENTS,
    CASES,
    COMPARISONS,
    DAYS,
    FAIRNESS,
    LABELLED_BY_AGE,
    LABELS,
    PAIRS,
    PREDICTIONS,
    PROFILE,
    RANKS,
    SEEN_IN_TRAINING,
    SLICES,
    TRAINING,
    WEAK_SEARCHES,
    WEAK_SLICES,
    WORSENED,
    Asset,
    DayFacts,
    LabelFacts,
    Scorecard,
    Slice,
    TrainingFacts,
    from_stored,
    model_of,
    predictions_of,
    slice_keys,
)
from evaluator.spec import AuditSpec


def recompute(
    evidence: StoredEvidence, entries: Sequence[ChainedEntry] = ()
) -> Iterator[Discrepancy]:
    """Compute what a certificate says of its candidate again, and yield what differs.

    The candidate is measured, the baseline too, and the two are compared; what the scorecard says
    of others is taken as it is. One of format 1 lists everything, and all of it is computed.
    """
    predicate = evidence.predicate
    spec = read_declared(evidence)
    whose = None if predicate.shared is None else narrowed_to(spec, predicate.candidate.name)
    if whose is not None and len(whose) == len(spec.candidates):
        whose = None
    again = yield from _recompute_tables(evidence, spec, whose)
    if again is not None:
        yield from _recompute_candidate(predicate, spec, again, entries)


def recompute_all(
    evidence: StoredEvidence,
    certificates: Mapping[str, tuple[Predicate, Sequence[ChainedEntry]]],
    own: dict[str, list[Discrepancy]],
) -> Iterator[Discrepancy]:
    """Compute all that the certificates of an issue say again, each thing once.

    What differs of the tables is yielded; what else differs of a certificate goes into `own`.

    Parameters
    ----------
    evidence
        What all of them name together.
    certificates
        What each says, and the ledger as it was when it was made.
    own
        Filled with what is found of each.
    """
    spec = read_declared(evidence)
    again = yield from _recompute_tables(evidence, spec, None)
    for name, (predicate, entries) in certificates.items():
        own[name] = (
            [] if again is None else [*_recompute_candidate(predicate, spec, again, entries)]
        )


class _Again(NamedTuple):
    """What was computed once more, and on what."""

    gates: GateEvidence
    evaluation_set: EvidenceItem
    cases: int
    predictions: Mapping[str, Sequence[EvidenceItem]]
    """By candidate, what its predictions were read from."""


def _recompute_tables(
    evidence: StoredEvidence, spec: AuditSpec, whose: Sequence[str] | None
) -> Generator[Discrepancy, None, _Again | None]:
    """Compute the rows of some candidates again, or (None) all, and return them."""
    scorecard = evidence.root(Asset.SCORECARD)
    evaluation_sets = evidence.upstream_of(scorecard, Asset.EVALUATION_SET)
    if len(evaluation_sets) != 1:
        what = f"the scorecard rests on {len(evaluation_sets)} evaluation sets"
        yield Discrepancy("cases", scorecard.folder, what)
        return None
    evaluation_set = evaluation_sets[0]
    cases = evidence.table(evaluation_set, CASES)
    version = (
        evaluation_set.content_version  # of what is withheld
        if evidence.is_withheld(evaluation_set, CASES)
        else content_version(cases, order_by=["geography", "segment", "id"])
    )
    if version != evaluation_set.content_version:
        what = f"its content is {version}, and the record says {evaluation_set.content_version}"
        yield Discrepancy("cases", f"{evaluation_set.folder}/{CASES}", what)
    truth = cases.select(["id", "geography", "segment", "label"]).to_pandas()
    unseen = unseen_tables(evidence, spec)
    asked = _without(spec if whose is None else spec.with_candidates(whose), unseen)
    items = {
        c.name: evidence.upstream_of(scorecard, predictions_of(c.name)) for c in asked.candidates
    }
    predicted: dict[str, Predicted] = {}
    for name, own in items.items():
        if own:
            frame = _predictions(evidence, own)
            yield from _check_cases(frame, truth, own)
            predicted[name] = Predicted(frame, {Slice.of_key(item.partition) for item in own})
    whole = {
        name: evidence.table(scorecard, name)
        for name in KEYS
        # An earlier version had no table of some kinds.
        if name in scorecard.files and (whose is None or name != RANKS)
    }
    evaluated = _evaluated_slices(scorecard, spec)
    others = _others(spec, asked, whole, evaluated, truth)
    stored = {name: from_stored(_rows_of(whose, name, table)) for name, table in whole.items()}
    known = EvaluatedCases(cases.select(columns_needed(asked)), spec.data)
    if predicted:
        scored = score(asked, known, lambda candidate: predicted.get(candidate.name), others=others)
        found, searches = scored.tables, scored.searches
    else:
        found, searches = {}, {}
    # What is not computed has no rows, whatever is stored.
    tables = {
        name: stored[name] if name in unseen else from_stored(found.get(name, table.slice(0, 0)))
        for name, table in whole.items()
    }
    yield from compare_tables(scorecard, stored, tables, among_others=bool(others.slices))
    stored_searches = evidence.record(scorecard).facts[WEAK_SEARCHES]
    if whose is not None:
        stored_searches = {name: one for name, one in stored_searches.items() if name in whose}
    if WEAK_SLICES in unseen:
        searches = stored_searches
    yield from compare_searches(scorecard, stored_searches, searches)
    slices = evidence.table(scorecard, SLICES).to_pandas()
    yield from _check_slices(f"{scorecard.folder}/{SLICES}", slices, spec, evaluated)
    days, problems = check_days(evidence, scorecard, evaluation_set, spec)
    yield from problems
    labels = read_label_facts(evidence, evaluation_set)
    yield from _check_labels(evidence, evaluation_set, labels, cases.num_rows)
    training = read_training_facts(evidence, evaluation_set)
    yield from _check_seen(evidence, evaluation_set, training, cases.num_rows)
    again = Scorecard.from_tables(
        {
            **dict.fromkeys((*KEYS, WORSENED), pd.DataFrame()),
            **tables,
            SLICES: slices,
        }.__getitem__,
        weak_searches=searches,
        days=days,
        labels=labels,
        training=training,
    )
    return _Again(gate_evidence(spec, again), evaluation_set, cases.num_rows, items)


def _without(spec: AuditSpec, tables: Collection[str]) -> AuditSpec:
    """Ask for nothing that these tables would hold."""
    asked: dict[str, Any] = {FAIRNESS: {"fairness": None}, WEAK_SLICES: {"weak_slices": None}}
    asked[ADDITIONAL_MEASUREMENTS] = {"additional_slices": ()}
    return spec.model_copy(update={k: v for name in tables for k, v in asked[name].items()})


def _evaluated_slices(scorecard: EvidenceItem, spec: AuditSpec) -> dict[str, set[Slice]]:
    """Tell on which slices the scorecard has predictions of each candidate."""
    by_asset = {predictions_of(candidate.name): candidate.name for candidate in spec.candidates}
    found: dict[str, set[Slice]] = {name: set() for name in by_asset.values()}
    for upstream in scorecard.upstream:
        if upstream.asset in by_asset and upstream.partition is not None:
            found[by_asset[upstream.asset]].add(Slice.of_key(upstream.partition))
    return found


def _others(
    spec: AuditSpec,
    asked: AuditSpec,
    whole: Mapping[str, pa.Table],
    evaluated: Mapping[str, set[Slice]],
    truth: pd.DataFrame,
) -> OthersCompared:
    """Take from the scorecard what bears on the comparison of those who are looked at."""
    mine = [candidate.name for candidate in asked.candidates]
    with_cases = {
        Slice(*one) for one in set(zip(truth["geography"], truth["segment"], strict=True))
    }

    def p_values(name: str) -> dict[str, list[float]]:
        table = whole[name]
        tested = table.filter(pc.invert(_is_of(mine, name, table))).select(["metric", "p_value"])
        frame = tested.to_pandas().dropna()
        return {str(metric): rows.tolist() for metric, rows in frame.groupby("metric")["p_value"]}

    return OthersCompared(
        slices={
            candidate.name: {one.key for one in evaluated[candidate.name] & with_cases}
            for candidate in spec.candidates
            if candidate.name not in mine
        },
        comparisons=p_values(COMPARISONS),
        pairs=p_values(PAIRS),
    )


def _is_of(whose: Sequence[str], name: str, table: pa.Table) -> pa.ChunkedArray:
    """Tell which rows of a table are about these alone."""
    names = pa.array(whose, pa.string())
    of_candidate = pc.is_in(table["candidate"], value_set=names)
    if name not in (COMPARISONS, PAIRS):
        return of_candidate
    return pc.and_(of_candidate, pc.is_in(table["baseline"], value_set=names))


def _rows_of(whose: Sequence[str] | None, name: str, table: pa.Table) -> pa.Table:
    return table if whose is None else table.filter(_is_of(whose, name, table))


def _recompute_candidate(
    predicate: Predicate, spec: AuditSpec, again: _Again, entries: Sequence[ChainedEntry]
) -> Iterator[Discrepancy]:
    """Hold what a certificate says of its candidate against what was computed once more."""
    yield from _check_subjects(predicate, again)
    yield from _check_assumptions(predicate, spec)
    yield from _check_training(predicate, again)
    yield from compare_verdicts(predicate, spec, again.gates, entries)


def _check_subjects(predicate: Predicate, again: _Again) -> Iterator[Discrepancy]:
    """Make sure that what was measured is what the certificate is about."""
    evaluation_set = again.evaluation_set
    if predicate.evaluation_set.digest != evaluation_set.content_version:
        what = "the certificate is about another evaluation set than was measured"
        yield Discrepancy("cases", evaluation_set.folder, what)
    bound = predicate.commitment
    if bound is not None and bound.cases != again.cases:
        what = f"the certificate binds {bound.cases} cases, and {again.cases} were measured"
        yield Discrepancy("cases", evaluation_set.folder, what)
    model = model_of(predicate.candidate.name)
    artifact = predicate.candidate.artifact_digest
    for item in again.predictions.get(predicate.candidate.name, ()):
        sets = {u.content_version for u in item.upstream if u.asset == Asset.EVALUATION_SET}
        models = {u.content_version for u in item.upstream if u.asset == model}
        if sets != {evaluation_set.content_version}:
            yield Discrepancy("cases", item.folder, "these cases are of another evaluation set")
        if models != {artifact}:
            what = f"another artifact than {artifact} ({CONTENT_DIGEST} or {ARTIFACT_DIGEST})"
            yield Discrepancy("cases", item.folder, f"{what} made these predictions")


def _check_assumptions(predicate: Predicate, spec: AuditSpec) -> Iterator[Discrepancy]:
    """Make sure that the certificate says of clusters and weights what the audit declares."""
    stated, declared = predicate.evaluation_set, spec.data
    for name, was, is_now in (
        ("cluster", stated.cluster, declared.cluster),
        ("weight", stated.weight, declared.weight),
    ):
        if was != is_now:
            what = f"its cases' {name} is {was}, and the audit declares {is_now}"
            yield Discrepancy("statement", "certificate", what)
    again = assumptions_of(days=stated.days, cluster=declared.cluster, weight=declared.weight)
    if predicate.assumptions != again:
        what = f"its assumptions are not those of the audit: {'; '.join(again) or 'none'}"
        yield Discrepancy("statement", "certificate", what)


def _check_training(predicate: Predicate, again: _Again) -> Iterator[Discrepancy]:
    """Make sure that the certificate says of training what is known of the evaluation set."""
    stated = predicate.training
    if stated is None:
        return
    found = Training.known_from(again.gates.scorecard.training.get(predicate.candidate.name))
    if stated != found:
        what = f"it says that the candidate {stated.says}, and the evaluation set that it"
        yield Discrepancy("statement", "certificate", f"{what} {found.says}")


def _predictions(evidence: StoredEvidence, items: Sequence[EvidenceItem]) -> pd.DataFrame:
    frames = []
    for item in items:
        frame = evidence.table(item, PREDICTIONS).to_pandas()
        frames.append(frame.assign(**Slice.of_key(item.partition)._asdict()))
    joined: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return joined


def _check_cases(
    frame: pd.DataFrame, truth: pd.DataFrame, items: Sequence[EvidenceItem]
) -> Iterator[Discrepancy]:
    """Hold predictions against the evaluation set: the same cases, slices and labels."""
    keys = pd.MultiIndex.from_frame(truth[["geography", "segment", "id"]])
    found = pd.MultiIndex.from_frame(frame[["geography", "segment", "id"]])
    row = keys.get_indexer(found) if keys.is_unique else np.full(len(found), -1)
    labels = truth["label"].to_numpy()
    differs = (row < 0) | (labels[row] != frame["label"].to_numpy()) | found.duplicated()
    sizes = truth.groupby(["geography", "segment"]).size()
    slices = slice_keys(frame)
    for item in items:
        is_here = (slices == item.partition).to_numpy()
        path = f"{item.folder}/{PREDICTIONS}"
        wrong = int(differs[is_here].sum())
        expected = int(sizes.get(Slice.of_key(item.partition), 0))
        if wrong:
            what = (
                f"{wrong} of its cases are not in the evaluation set, or have another label there"
            )
            yield Discrepancy("cases", path, what)
        elif int(is_here.sum()) != expected:
            what = f"it has {int(is_here.sum())} cases, and the slice has {expected}"
            yield Discrepancy("cases", path, what)


def _check_slices(
    path: str,
    slices: pd.DataFrame,
    spec: AuditSpec,
    evaluated: Mapping[str, set[Slice]],
) -> Iterator[Discrepancy]:
    """Make sure that no slice is hidden, and none is called current without predictions."""
    expected = {(c.name, one) for c in spec.candidates for one in spec.slices()}
    listed = [
        (str(name), Slice.of_key(key))
        for name, key in zip(slices["candidate"], slice_keys(slices), strict=True)
    ]
    if len(listed) != len(expected) or set(listed) != expected:
        what = f"it lists {len(set(listed))} slices, and the audit has {len(expected)}"
        yield Discrepancy("cases", path, what)
    for (candidate, one), state in zip(listed, slices["state"], strict=True):
        if (state == "current") != (one in evaluated.get(candidate, ())):
            what = f"{candidate} on {one.key} is called {state}, and the predictions say otherwise"
            yield Discrepancy("cases", path, what)


def read_label_facts(evidence: StoredEvidence, evaluation_set: EvidenceItem) -> LabelFacts | None:
    """Read what an evaluation set's record says of labels that came in files of their own."""
    stored = evidence.record(evaluation_set).facts.get(LABELS)
    try:
        return None if stored is None else LabelFacts(**stored)
    except TypeError as error:
        raise EvidenceError(
            "it holds no facts about labels", culprit=evaluation_set.folder, fix="freeze it again"
        ) from error


def _check_labels(
    evidence: StoredEvidence, evaluation_set: EvidenceItem, facts: LabelFacts | None, cases: int
) -> Iterator[Discrepancy]:
    """Hold the counts of labels against those by age, and against the cases."""
    if facts is None:
        return
    path = f"{evaluation_set.folder}/{LABELLED_BY_AGE}"
    of_set = evidence.record(evaluation_set).facts
    found = cases + of_set.get("of_weight_zero", 0) + of_set.get("seen_left_out", 0)
    if facts.labelled != found:
        what = f"{facts.labelled} cases are said to have a label, and {found} have one"
        yield Discrepancy("cases", evaluation_set.folder, what)
    if evidence.is_withheld(evaluation_set, LABELLED_BY_AGE):
        return
    by_age = evidence.table(evaluation_set, LABELLED_BY_AGE).to_pandas()
    is_mature = by_age["from_days"].fillna(facts.mature_after) >= facts.mature_after
    counted = by_age.groupby(is_mature)[["cases", "labelled"]].sum()
    counted = counted.reindex([True, False], fill_value=0)
    stated = (facts.mature, facts.labelled, facts.too_young)
    recounted = (*counted.loc[True], counted["cases"][False])
    if stated != tuple(map(int, recounted)):
        yield Discrepancy("cases", path, "it counts other cases than the set's record says")


def read_training_facts(
    evidence: StoredEvidence, evaluation_set: EvidenceItem
) -> dict[str, TrainingFacts]:
    """Read what an evaluation set's record says of cases that candidates saw in training."""
    stored = evidence.record(evaluation_set).facts.get(TRAINING, {})
    try:
        return {name: TrainingFacts(**facts) for name, facts in stored.items()}
    except (TypeError, AttributeError) as error:
        raise EvidenceError(
            "it holds no facts about training", culprit=evaluation_set.folder, fix="freeze it again"
        ) from error


def _check_seen(
    evidence: StoredEvidence,
    evaluation_set: EvidenceItem,
    training: Mapping[str, TrainingFacts],
    cases: int,
) -> Iterator[Discrepancy]:
    """Hold the counts of cases that were seen in training against the list of them."""
    if not training:
        return
    path = f"{evaluation_set.folder}/{SEEN_IN_TRAINING}"
    left_out = evidence.record(evaluation_set).facts.get("seen_left_out", 0)
    for name, facts in training.items():
        if (facts.evaluated, facts.cases) != (cases, cases + left_out):
            what = f"of {name}, {facts.cases} cases are said to be looked at, and {facts.evaluated}"
            yield Discrepancy("cases", evaluation_set.folder, f"{what} to be in the set")
    if evidence.is_withheld(evaluation_set, SEEN_IN_TRAINING):
        return
    seen = evidence.table(evaluation_set, SEEN_IN_TRAINING).to_pandas()
    of_set = evidence.table(evaluation_set, CASES)["id"].cast(pa.string()).to_pandas()
    if len({*seen.loc[seen["left_out"], "id"]}) != left_out:
        yield Discrepancy("cases", path, "it lists other cases as left out than the set's record")
    if (seen["id"].isin(of_set) == seen["left_out"]).any():
        yield Discrepancy("cases", path, "a case in it is left out and in the set, or neither")
    for name, facts in training.items():
        own = seen[seen["candidate"] == name]
        counted = {f"by_{look}": int(own[f"by_{look}"].sum()) for look in facts.looks}
        counted |= {"found": len(own), "left_out": int(own["left_out"].sum())}
        if own["id"].duplicated().any() or any(
            getattr(facts, key) != count for key, count in counted.items()
        ):
            what = f"it lists other cases of {name} than the set's record counts"
            yield Discrepancy("cases", path, what)


class CheckedDays(NamedTuple):
    """The days as they are stored, and what is wrong with them."""

    days: Sequence[DayFacts]
    problems: Sequence[Discrepancy]


def check_days(
    evidence: StoredEvidence, scorecard: EvidenceItem, evaluation_set: EvidenceItem, spec: AuditSpec
) -> CheckedDays:
    """Read the facts about days, and hold them against the reports that they come from."""
    if not asks_about_days(spec):
        return CheckedDays((), ())
    path = f"{scorecard.folder}/{DAYS}"
    days = read_days(evidence.read(scorecard, DAYS))
    reports = {
        str(item.partition): item
        for item in evidence.upstream_of(scorecard, Asset.DATA_QUALITY_REPORT)
    }
    listed = {day.day for day in days}
    evaluated = {
        str(item.partition) for item in evidence.upstream_of(evaluation_set, Asset.VALIDATED_DATA)
    }
    faults = [
        f"{day} is missing from it, and is evaluated or has a report"
        for day in sorted((evaluated | reports.keys()) - listed)
    ]
    if with_reference(spec, days) != days:
        faults.append("its days are not in order, or others are the reference")
    for day in days:
        report = reports.get(day.day)
        if report is None:
            # Of a day that waits, or was refused before there was a report, nothing is counted.
            claims = day.rows is not None or day.quarantined is not None or day.drift is not None
            found = ["nothing counts its rows"] if claims else []
        else:
            if evidence.is_withheld(report, PROFILE):
                continue
            profile = Profile.from_json(evidence.read(report, PROFILE))
            found = list(_mismatches(day, profile, with_drift=asks_about_drift(spec)))
        faults += [f"{day.day}: {what}" for what in found]
    return CheckedDays(days, [Discrepancy("cases", path, what) for what in faults])


def _mismatches(day: DayFacts, profile: Profile, *, with_drift: bool) -> Iterator[str]:
    """Say what of a day's facts its profile does not say."""
    known = day.rows is not None
    for name, stated, counted in (
        ("rows", day.rows, profile.rows.read),
        ("quarantined", day.quarantined, profile.rows.quarantined),
    ):
        if known and stated != counted:
            yield f"{name} is {stated}, and its profile says {counted}"
    if profile.broken and day.refused is None:
        yield "it is not called refused, and its profile refuses it"
    drift = profile.drift_measures() if with_drift else None
    stated_drift = None if day.drift is None else dict(day.drift)
    if not is_same(stated_drift, drift):
        yield "its drift is not what its profile says"
