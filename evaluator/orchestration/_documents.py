"""Certificate, dashboard, model cards and technical file, made of what is stored."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from itertools import islice
from posixpath import relpath
from typing import Any
from urllib.parse import quote, urlsplit

from evaluator import __version__
from evaluator.certification import (
    DOCUMENT_ENDINGS,
    PAGE,
    TECHNICAL_FILE,
    EvidenceRecord,
    Ledger,
    build_certificate,
    model_card_name,
    signing_key_from_environment,
)
from evaluator.evidence import (
    RECORD,
    Address,
    Record,
    RunContext,
    digest_of,
    digest_of_bytes,
    walk_upstream,
)
from evaluator.intake import Profile
from evaluator.orchestration._certificates import (
    expected_certificate,
    is_published,
    issue_certificate,
    publish,
    statement_name,
)
from evaluator.orchestration._evaluation_set import WITHOUT_LABEL, label_notes_of
from evaluator.orchestration._facts import (
    CertificateFacts,
    EvaluationSetFacts,
    IntakeFacts,
    MlflowFacts,
    ScorecardFacts,
)
from evaluator.orchestration._identities import CODE_VERSIONS, spec_digest
from evaluator.orchestration._scorecard_run import (
    JudgedScorecard,
    earlier_certifications,
    expected_scorecard,
)
from evaluator.orchestration._single_cases import find_examples, find_flips
from evaluator.orchestration._state import AuditState, DayState
from evaluator.reporting import (
    CandidateSummary,
    DashboardContent,
    DocumentsContent,
    EarlierFigures,
    IntakeDay,
    Link,
    model_card,
    render_dashboard,
    technical_file,
)
from evaluator.scorecard import (
    LABELLED_BY_AGE,
    MEASUREMENTS,
    OVERALL,
    PROFILE,
    Asset,
    from_stored,
    metrics_of,
)
from evaluator.spec import AuditSpec, date_of

_MOST_EARLIER = 20
"""So many earlier evaluation sets are shown."""
HEADLINES = 5
"""How many of the audit's metrics stand at the top of page and terminal."""

_PACKAGES = (
    "evaluator",
    "dagster",
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "skops",
)


def headline_metrics(spec: AuditSpec) -> tuple[str, ...]:
    """Choose the metrics that stand at the top of page and terminal."""
    return spec.headline_metrics[:HEADLINES]


def store_certificate(
    state: AuditState, judged: JudgedScorecard, run_context: RunContext
) -> Record:
    """Build, sign and store the certificate of the current scorecard."""
    key = signing_key_from_environment(os.environ)
    document = build_certificate(
        audit=state.audit.name,
        spec_digest=spec_digest(state.spec),
        evaluation_set=judged.evaluation_set,
        artifact_digests=ScorecardFacts.of(judged.record).models,
        outcomes=judged.outcomes,
        verdicts=judged.verdicts,
        scorecard=judged.scorecard,
        headline_metrics=headline_metrics(state.spec),
        evidence=_evidence(state, judged.record),
        code_version=__version__,
        packages={name: version(name) for name in _PACKAGES},
        created_at=run_context.now,
        run_id=run_context.run_id,
        key_id=key.public.key_id if key else None,
    )
    return issue_certificate(state, judged, document, run_context)


def reports_are_current(state: AuditState, now: datetime) -> bool:
    """Tell whether scorecard, MLflow runs, certificate and page say what is known now."""
    scorecard = state.store.find(*expected_scorecard(state).target)
    certificate = state.current(Asset.CERTIFICATE)
    if scorecard is None or certificate is None:
        return False
    runs = state.identities.mlflow_runs(scorecard, state.home)
    entries = Ledger(state.store.url, state.audit.name).entries()
    return (
        certificate == expected_certificate(state, scorecard, now).record
        and state.store.find(state.address(Asset.MLFLOW_RUNS), runs) is not None
        and all(
            (shown := state.store.find(*_page_target(state, scorecard, kind))) is not None
            and is_published(state, shown, certificate, entries)
            for kind in (Asset.DASHBOARD, Asset.DOCUMENTS)
        )
    )


def store_dashboard(state: AuditState, judged: JudgedScorecard, run_context: RunContext) -> Record:
    """Render, store and enter the page for the current certificate."""
    return _store_shown(state, judged, run_context, Asset.DASHBOARD, _render_page)


def store_documents(state: AuditState, judged: JudgedScorecard, run_context: RunContext) -> Record:
    """Render, store and enter each candidate's model card, and the audit's technical file."""
    return _store_shown(state, judged, run_context, Asset.DOCUMENTS, _render_documents)


Render = Callable[[AuditState, JudgedScorecard, RunContext], dict[str, bytes]]


def _store_shown(
    state: AuditState, judged: JudgedScorecard, run_context: RunContext, kind: str, render: Render
) -> Record:
    """Store what shows the current certificate, and enter it in the ledger."""
    with state.store.alone(state.address(kind)):
        address, identity = _page_target(state, judged.record, kind)
        certificate = state.require(Asset.CERTIFICATE)
        existing = state.store.find(address, identity)
        entries = Ledger(state.store.url, state.audit.name).entries()
        if existing is not None and not is_published(state, existing, certificate, entries):
            # Made anew, so that the issuer's key never vouches for what others may have written.
            state.store.remove([f"{state.store.folder(existing)}/{RECORD}"])
        existing = state.store.reuse(address, identity, run_context)
        if existing is not None:
            return existing
        files = render(state, judged, run_context)
        record = state.store.write(
            address,
            identity,
            files,
            content_version=digest_of(
                {name: digest_of_bytes(data) for name, data in files.items()}
            ),
            upstream=[record.as_upstream() for record in _page_upstream(state, judged.record)],
            facts={},
            code_version=CODE_VERSIONS[kind],
            run_context=run_context,
        )
        publish(state, record, certificate, entries, run_context.now)
        return record


def _render_page(
    state: AuditState, judged: JudgedScorecard, run_context: RunContext
) -> dict[str, bytes]:
    certificate = state.require(Asset.CERTIFICATE)
    evaluation_set = state.require(Asset.EVALUATION_SET)
    page = render_dashboard(
        DashboardContent(
            audit=state.audit.name,
            title=state.spec.description,
            created_at=run_context.now,
            evaluation_set=judged.evaluation_set,
            candidates=_candidates(state, judged),
            outcomes=judged.outcomes,
            verdicts=judged.verdicts,
            scorecard=judged.scorecard,
            fairness_gaps=judged.fairness_gaps,
            headline_metrics=headline_metrics(state.spec),
            standout_metrics=state.spec.metrics,
            confidence=state.spec.confidence,
            minimum_support=state.spec.minimum_support,
            without_label=state.store.read_table(evaluation_set, WITHOUT_LABEL).to_pandas(),
            **_late_labels(state, evaluation_set),
            intake_days=[_profiled_day(state, day) for day in state.day_states()],
            evidence=_evidence(state, certificate),
            code_version=__version__,
            run_id=run_context.run_id,
            signed_by=CertificateFacts.of(certificate).key_id,
            history=_history(state, judged.record),
            flips=list(find_flips(state, judged.record)),
            example_columns=() if state.spec.examples is None else state.spec.examples.columns,
            examples=list(find_examples(state, judged)),
            links=list(_links(state, judged, run_context)),
            scores_of_answers=state.spec.asks.claims_are_answers,
        )
    )
    return {PAGE: page.encode()}


def _render_documents(
    state: AuditState, judged: JudgedScorecard, run_context: RunContext
) -> dict[str, bytes]:
    certificate = state.require(Asset.CERTIFICATE)
    evaluation_set = state.require(Asset.EVALUATION_SET)
    content = DocumentsContent(
        audit=state.audit.name,
        spec=state.spec,
        created_at=run_context.now,
        evaluation_set=judged.evaluation_set,
        candidates=_candidates(state, judged),
        outcomes=judged.outcomes,
        verdicts=judged.verdicts,
        scorecard=judged.scorecard,
        fairness_gaps=judged.fairness_gaps,
        without_label=state.store.read_table(evaluation_set, WITHOUT_LABEL).to_pandas(),
        **_late_labels(state, evaluation_set),
        intake_days=[_intake_day(day) for day in state.day_states()],
        certificates={
            name: certificate.files[statement_name(name)].sha256
            for name in CertificateFacts.of(certificate).outcomes
        },
        evidence=_evidence(state, certificate),
        code_version=__version__,
        packages={name: version(name) for name in _PACKAGES},
        run_id=run_context.run_id,
    )
    documents = {TECHNICAL_FILE: technical_file(content)}
    for candidate in state.spec.candidates:
        documents[model_card_name(candidate.name)] = model_card(content, candidate.name)
    return {
        f"{name}.{ending}": text.encode()
        for name, document in documents.items()
        for ending, text in zip(DOCUMENT_ENDINGS, (document.markdown, document.html), strict=True)
    }


def _links(state: AuditState, judged: JudgedScorecard, run_context: RunContext) -> Iterator[Link]:
    """Name what else there is: files beside the page, and the pages of Dagster and MLflow."""
    certificate = state.require(Asset.CERTIFICATE)
    page, documents = (
        state.store.folder_of(*_page_target(state, judged.record, kind))
        for kind in (Asset.DASHBOARD, Asset.DOCUMENTS)
    )
    dagster = (state.spec.links.dagster or "").rstrip("/")
    assets = f"{dagster}/assets/{state.audit.name}"
    mlflow, logged = _mlflow_address(state), _mlflow_facts(state, judged.record)

    def beside(folder: str, name: str) -> str:
        return quote(relpath(f"{folder}/{name}", page))

    def link(candidate: str | None, name: str, address: str) -> Link:
        return Link(candidate=candidate, name=name, address=address)

    yield link(None, "technical file", beside(documents, f"{TECHNICAL_FILE}.html"))
    if dagster:
        yield link(None, "lineage in Dagster", f"{assets}/{Asset.SCORECARD}?view=lineage")
        yield link(None, "run in Dagster", f"{dagster}/runs/{run_context.run_id}")
    if mlflow:
        yield link(None, "experiments in MLflow", f"{mlflow}/#/experiments")
    for candidate in state.spec.candidates:
        name = candidate.name
        yield link(name, "model card", beside(documents, f"{model_card_name(name)}.html"))
        if name in CertificateFacts.of(certificate).outcomes:
            signed = beside(state.store.folder(certificate), statement_name(name))
            yield link(name, "certificate", signed)
        if dagster:
            yield link(name, "slices in Dagster", f"{assets}/{metrics_of(name)}")
        if mlflow and logged and logged.experiment and name in logged.runs:
            run = f"{mlflow}/#/experiments/{logged.experiment}/runs/{logged.runs[name]}"
            yield link(name, "run in MLflow", run)


def _mlflow_address(state: AuditState) -> str | None:
    """Where MLflow's UI is: what the audit says, or the server that is logged to."""
    declared = state.spec.links.mlflow
    parts = urlsplit(declared or state.home.tracking_uri)
    if parts.scheme not in ("http", "https"):
        return None
    # An address may hold a password.
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def _mlflow_facts(state: AuditState, scorecard: Record) -> MlflowFacts | None:
    """Read which runs of MLflow are of this scorecard, where these were logged before the page."""
    identity = state.identities.mlflow_runs(scorecard, state.home)
    record = state.store.find(state.address(Asset.MLFLOW_RUNS), identity)
    return None if record is None else MlflowFacts.of(record)


def _history(state: AuditState, scorecard: Record) -> list[EarlierFigures]:
    """Read what was measured overall on earlier evaluation sets, the oldest first."""
    found = []
    for earlier in islice(earlier_certifications(state, scorecard), _MOST_EARLIER):
        facts = EvaluationSetFacts.of(earlier.evaluation_set)
        table = from_stored(state.store.read_table(earlier.scorecard, MEASUREMENTS))
        found.append(
            EarlierFigures(
                created_at=earlier.scorecard.created_at,
                last_day=max((day for day in map(date_of, facts.days) if day), default=None),
                cases=facts.cases,
                measurements=table[table["level"] == OVERALL],
            )
        )
    return found[::-1]


def _candidates(state: AuditState, judged: JudgedScorecard) -> list[CandidateSummary]:
    return [
        CandidateSummary(
            name=candidate.name,
            description=candidate.description,
            artifact_digest=ScorecardFacts.of(judged.record).models[candidate.name],
            baseline=candidate.baseline,
        )
        for candidate in state.spec.candidates
    ]


def _late_labels(state: AuditState, evaluation_set: Record) -> dict[str, Any]:
    """Say what became of labels that came in files of their own, and which of these are unused."""
    if state.labels is None or LABELLED_BY_AGE not in evaluation_set.files:
        return {}
    unused = [day for day in state.day_states(state.labels) if day.state != "accepted"]
    notes = [f"The labels of {day.day} are not used: {day.reason}." for day in unused]
    return {
        "label_notes": [*label_notes_of(state, evaluation_set), *notes],
        "labelled_by_age": state.store.read_table(evaluation_set, LABELLED_BY_AGE).to_pandas(),
    }


def _all_days(state: AuditState) -> list[DayState]:
    """Look at each day that came, of data and of labels."""
    return [day for stream in state.streams for day in state.day_states(stream)]


def _page_upstream(state: AuditState, scorecard: Record) -> list[Record]:
    reports = [day.report for day in _all_days(state) if day.report is not None]
    return [
        scorecard,
        state.require(Asset.CERTIFICATE),
        state.require(Asset.EVALUATION_SET),
        *reports,
    ]


def _page_target(state: AuditState, scorecard: Record, kind: str) -> tuple[Address, str]:
    days = [[day.day, day.state, day.reason] for day in _all_days(state)]
    identity = state.identities.page(kind, _page_upstream(state, scorecard), days)
    return state.address(kind), identity


def _evidence(state: AuditState, top: Record) -> list[EvidenceRecord]:
    """Everything that an output rests on, from itself back to the raw files."""
    return [
        EvidenceRecord(
            asset=record.asset,
            partition=record.partition,
            identity=record.identity,
            content_version=record.content_version,
            files={
                f"{state.store.folder(record)}/{name}": stored.sha256
                for name, stored in record.files.items()
            },
        )
        for record in walk_upstream(state.store, top.audit, [top], {}).versions.values()
    ]


def _intake_day(day: DayState) -> IntakeDay:
    facts = None if day.report is None else IntakeFacts.of(day.report)
    return IntakeDay(
        day=day.day,
        rows=None if facts is None else facts.rows,
        accepted=None if facts is None else facts.accepted,
        quarantined=None if facts is None else facts.quarantined,
        broken=day.reason,
    )


def _profiled_day(state: AuditState, day: DayState) -> IntakeDay:
    """Add to a day what its report says of its columns."""
    found = _intake_day(day)
    if day.report is None:
        return found
    profile = Profile.from_json(state.store.read_bytes(day.report, PROFILE))
    return replace(found, **columns_of(profile))


def columns_of(profile: Profile) -> dict[str, Any]:
    """Tell of a file's columns what is missing and how far they drifted, as `IntakeDay` has it."""
    drift, rows = profile.drift, profile.rows.read
    compared = {} if drift is None else drift.columns
    return {
        "missing": {name: count / rows for name, count in profile.missing.items() if rows},
        "drift": {name: one.stability_index for name, one in compared.items()},
        "drifted": () if drift is None else drift.drifted,
    }
