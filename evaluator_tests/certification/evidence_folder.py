"""A small evidence folder, from raw file to certificates, made through the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from evaluator.certification import (
    DOCUMENT_ENDINGS,
    PAGE,
    TECHNICAL_FILE,
    AuditCertificate,
    Binder,
    Code,
    EnteredWaiver,
    EvaluationSetSummary,
    Issue,
    Ledger,
    Outcome,
    SigningKey,
    Statement,
    Waiver,
    build_certificate,
    build_statement,
    days_document,
    decide_gaps,
    decide_outcomes,
    gate_evidence,
    judge_scopes,
    model_card_name,
    share_evidence,
    sign_statement,
    spec_document,
    waivers_in_force,
)
from evaluator.certification._stored_evidence import SplitEvidence
from evaluator.evaluation import SCORE_VERSION, EvaluatedCases, Predicted, columns_needed, score
from evaluator.evidence import (
    Address,
    EvidenceStore,
    Record,
    RunContext,
    content_version,
    digest_of_bytes,
    identity_of,
)
from evaluator.metrics import slice_metrics
from evaluator.scorecard import (
    DAYS,
    MEASUREMENTS,
    PROFILE,
    SLICES,
    WEAK_SEARCHES,
    Asset,
    DayFacts,
    Scorecard,
    Slice,
    WeakSlice,
    from_stored,
)
from evaluator.scorecard._tables import SCHEMAS
from evaluator.spec import AuditSpec
from evaluator_tests.certification.evidence_spec import DRIFT, KEYS, PROFILE_OF_THE_DAY, SPEC

AUDIT = "shop"
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
VALID_UNTIL = NOW + timedelta(days=90)
MOMENT = RunContext("run-7", NOW)
SECRET = bytes(range(32))


@dataclass(frozen=True)
class Issued:
    """An evidence folder with the certificates of two candidates."""

    folder: Path
    certificates: Mapping[str, bytes]
    paths: Mapping[str, str]
    key: SigningKey

    @property
    def url(self) -> str:
        return str(self.folder)


class Builder:
    """Writes an audit's outputs one by one; tests change what they want to forge."""

    score_version = SCORE_VERSION
    valid_until = VALID_UNTIL

    def __init__(self, folder: Path, spec: AuditSpec = SPEC) -> None:
        self.folder = folder
        self.spec = spec
        self.store = EvidenceStore(str(folder))
        generator = np.random.default_rng(7)
        self.cases = pd.DataFrame(
            {
                "id": [f"c{number:03}" for number in range(80)],
                "geography": np.repeat(["north", "south"], 40),
                "segment": np.tile(np.repeat(["new", "returning"], 20), 2),
                "label": np.tile([0, 1, 1, 0], 20).astype(np.int8),
                "day": "2026-01-01",
            }
        )
        self.cases["data.country"] = self.cases["geography"]
        noise = generator.uniform(0, 0.6, 80)
        # So that there are slices where a candidate is weak.
        self.cases["data.amount"] = noise.round(1)
        self.cases["data.household"] = np.arange(80) // 4
        scores = np.clip(self.cases["label"] * 0.5 + noise, 0, 1)
        self.names = [candidate.name for candidate in spec.candidates]
        own = {"one": scores.to_numpy(), "two": 1 - scores.to_numpy()}
        # Others say much the same as the first.
        self.scores = {name: own.get(name, scores.to_numpy() ** 0.7) for name in self.names}
        self.absent = {("two", "south|new")}
        self.cluster = spec.data.cluster and f"data.{spec.data.cluster}"

    def write(
        self,
        asset: str,
        files: Mapping[str, bytes | pa.Table],
        upstream: Sequence[Record],
        *,
        version: str,
        partition: str | None = None,
        facts: Mapping[str, Any] | None = None,
        identity: str | None = None,
    ) -> Record:
        used = [record.as_upstream().model_dump() for record in upstream]
        return self.store.write(
            Address(AUDIT, asset, partition),
            identity or identity_of(asset, "1", {"version": version, "upstream": used}),
            files,
            content_version=version,
            upstream=[record.as_upstream() for record in upstream],
            facts=facts or {},
            code_version=self.score_version if asset == Asset.SCORECARD else "1",
            run_context=MOMENT,
        )

    def evaluation_set(self) -> Record:
        raw_bytes = self.cases.to_csv(index=False).encode()
        raw = self.write(
            "raw_data",
            {"cases-2026-01-01.csv": raw_bytes},
            [],
            version=digest_of_bytes(raw_bytes),
            partition="2026-01-01",
        )
        table = pa.Table.from_pandas(self.cases, preserve_index=False)
        typed = self.write(
            "validated_data",
            {"typed_rows.parquet": table},
            [raw],
            version=content_version(table),
            partition="2026-01-01",
        )
        refused = pa.table({"line_number": [7, 9], "raw": ["a;b", "c;d"]})
        self.write(
            "quarantined_rows",
            {"quarantined_rows.parquet": refused},
            [raw],
            version=content_version(refused),
            partition="2026-01-01",
            identity=typed.identity,
        )
        self.report = self.write(
            "data_quality_report",
            {PROFILE: PROFILE_OF_THE_DAY.to_json()},
            [raw],
            version="the day's report",
            partition="2026-01-01",
            identity=typed.identity,
        )
        return self.write(
            "evaluation_set",
            {"cases.parquet": table, "without_label.parquet": table.slice(0, 1)},
            [typed],
            version=content_version(table, order_by=["geography", "segment", "id"]),
        )

    def predictions(self, candidate: str, key: str) -> pd.DataFrame:
        here = (self.cases["geography"] + "|" + self.cases["segment"] == key).to_numpy()
        score = self.scores[candidate][here]
        return pd.DataFrame(
            {
                "id": self.cases["id"][here].to_numpy(),
                "label": self.cases["label"][here].to_numpy(),
                "score": score,
                "prediction": (score >= 0.5).astype(np.int8),
            }
        )

    def figures(self, frames: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
        measured = []
        for candidate in self.names:
            own = [
                frame.assign(geography=key.split("|")[0], segment=key.split("|")[1])
                for (name, key), frame in frames.items()
                if name == candidate
            ]
            if not own:
                continue
            table = slice_metrics(
                pd.concat(own).merge(self.cases[["id", "data.household"]], on="id"),
                label="label",
                score="score",
                prediction="prediction",
                slices=["geography", "segment"],
                metrics=self.spec.metrics,
                groups=self.spec.slice_values(),
                cluster=self.cluster,
            )
            keys = table["geography"].astype(str) + "|" + table["segment"].astype(str)
            known = [key for name, key in frames if name == candidate]
            table = table[(table["level"] != "geography x segment") | keys.isin(known)]
            table.insert(0, "candidate", candidate)
            measured.append(table)
        return pd.concat(measured, ignore_index=True).astype({"geography": "str", "segment": "str"})

    def findings(self, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        return tables

    def searches(self, found: Mapping[str, dict[str, Any]]) -> Mapping[str, dict[str, Any]]:
        return found

    def summary(self, digest: str) -> EvaluationSetSummary:
        return EvaluationSetSummary(
            digest=digest,
            first_day=date(2026, 1, 1),
            last_day=date(2026, 1, 1),
            days=1,
            rows=80,
            rows_without_label=0,
            rows_of_weight_zero=0,
            rows_seen_in_training=0,
            cluster=self.spec.data.cluster,
            weight=self.spec.data.weight,
        )

    def days(self) -> list[DayFacts]:
        return [DayFacts(day="2026-01-01", rows=82, quarantined=2, drift=DRIFT)]

    def waivers(self, ledger: Ledger, names: Sequence[str]) -> list[Waiver]:
        return [one.waiver for one in self.entered(ledger, names)]

    def entered(self, ledger: Ledger, names: Sequence[str]) -> list[EnteredWaiver]:
        artifacts = {name: digest_of_bytes(name.encode()) for name in names}
        return waivers_in_force(ledger.entries(), artifacts, NOW)

    def outcomes(self, decided: Sequence[Outcome]) -> Sequence[Outcome]:
        return decided

    def slices(self, states: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        return pd.DataFrame(states)

    def issue(self, key: SigningKey, *, signed: bool = True) -> Issued:
        evaluation_set = self.evaluation_set()
        rests_on = [evaluation_set]
        frames = {}
        states = []
        models = {
            name: self.write(f"{name}_model", {}, [], version=digest_of_bytes(name.encode()))
            for name in self.names
        }
        for name, model in models.items():
            for slice_key in KEYS:
                is_there = (name, slice_key) not in self.absent
                states.append(
                    {
                        "candidate": name,
                        **Slice.of_key(slice_key)._asdict(),
                        "state": "current" if is_there else "missing",
                        "error": None if is_there else "it crashed",
                        "content_version": "v" if is_there else None,
                    }
                )
                if not is_there:
                    continue
                frame = self.predictions(name, slice_key)
                frames[name, slice_key] = frame
                table = pa.Table.from_pandas(frame, preserve_index=False)
                predicted = self.write(
                    f"{name}_predictions",
                    {"predictions.parquet": table},
                    [evaluation_set, model],
                    version=content_version(table),
                    partition=slice_key,
                )
                if (name, slice_key) == ("one", "north|new"):
                    address = Address(AUDIT, "one_predictions", slice_key)
                    moment = RunContext("run-6", NOW - timedelta(hours=1))
                    self.store.record_failure(
                        address, predicted.identity, OSError("disk full"), "trace", moment
                    )
                measured = pa.table({"value": [float((frame.label == frame.prediction).mean())]})
                metrics = self.write(
                    f"{name}_slice_metrics",
                    {"metrics.parquet": measured},
                    [predicted],
                    version=content_version(measured),
                    partition=slice_key,
                )
                rests_on += [predicted, metrics]
        tables, searches = self.scored(frames)
        tables[SLICES] = self.slices(states)
        stored = {
            name: pa.Table.from_pandas(table, schema=SCHEMAS.get(name), preserve_index=False)
            for name, table in tables.items()
        }
        scorecard = self.write(
            "scorecard",
            {**stored, DAYS: days_document(self.days())},
            [*rests_on, self.report],
            version=content_version(stored[MEASUREMENTS]),
            facts={WEAK_SEARCHES: searches},
        )
        document = spec_document(self.spec)
        spec = self.write(
            "audit_spec", {"spec.json": document}, [], version=digest_of_bytes(document)
        )
        return self._certify(key, (scorecard, spec), tables, signed=signed)

    def scored(
        self, frames: Mapping[tuple[str, str], pd.DataFrame]
    ) -> tuple[dict[str, pd.DataFrame], Mapping[str, Any]]:
        """Make the scorecard's tables; the figures by other means than whoever checks them."""
        predicted = {}
        for name in self.names:
            own = {key: frame for (candidate, key), frame in frames.items() if candidate == name}
            slices = {Slice.of_key(key): frame for key, frame in own.items()}
            joined = [frame.assign(**one._asdict()) for one, frame in slices.items()]
            if not joined:
                continue
            predicted[name] = Predicted(pd.concat(joined, ignore_index=True), list(slices))
        table = pa.Table.from_pandas(self.cases[columns_needed(self.spec)], preserve_index=False)
        found = score(
            self.spec,
            EvaluatedCases(table, self.spec.data),
            lambda candidate: predicted.get(candidate.name),
        )
        tables = {name: from_stored(table) for name, table in found.tables.items()}
        tables[MEASUREMENTS] = self.figures(frames)
        return self.findings(tables), self.searches(found.searches)

    def _certify(
        self,
        key: SigningKey,
        roots: tuple[Record, Record],
        tables: Mapping[str, pd.DataFrame],
        *,
        signed: bool,
    ) -> Issued:
        scorecard, spec = roots
        found = Scorecard.from_tables(
            lambda name: tables.get(name, pd.DataFrame()),
            weak_searches=scorecard.facts[WEAK_SEARCHES],
            days=self.days(),
        )
        signer = key if signed else None
        names = self.names
        evidence_of_gates = gate_evidence(self.spec, found)
        judged = judge_scopes(self.spec.gates, evidence_of_gates, names)
        verdicts = [one.verdict for one in judged]
        evaluation_set = next(u for u in scorecard.upstream if u.asset == "evaluation_set")
        evidence = share_evidence(self.store, [scorecard, spec], names[1:], MOMENT)
        ledger = Ledger(str(self.folder), AUDIT)
        document = build_certificate(
            audit=AUDIT,
            spec_digest=spec.content_version,
            evaluation_set=self.summary(evaluation_set.content_version),
            artifact_digests={name: digest_of_bytes(name.encode()) for name in names},
            outcomes=self.outcomes(
                decide_outcomes(
                    verdicts,
                    found.slices,
                    names,
                    waivers=self.waivers(ledger, names),
                    now=NOW,
                    gaps=decide_gaps(judged, evidence_of_gates, self.spec.fairness),
                    weak_slices=found.rows(WeakSlice),
                )
            ),
            verdicts=verdicts,
            scorecard=found,
            headline_metrics=["accuracy", "recall"],
            evidence=[],
            code_version="0.1.0",
            packages={"numpy": "2"},
            created_at=NOW,
            run_id=MOMENT.run_id,
            key_id=signer.public.key_id if signer else None,
        )
        ledger = Ledger(str(self.folder), AUDIT)
        statements = {name: self.statement(document, name, evidence, ledger) for name in names}
        certificates = {
            name: sign_statement(statement, signer).to_bytes()
            for name, statement in statements.items()
        }
        record = self.write(
            "certificate",
            {f"{name}.dsse.json": content for name, content in certificates.items()},
            [scorecard, spec],
            version=digest_of_bytes(b"".join(certificates.values())),
        )
        folder = self.store.folder(record)
        paths = {name: f"{folder}/{name}.dsse.json" for name in names}
        record_bytes = (self.folder / folder / "record.json").read_bytes()
        for name, statement in statements.items():
            judged = statement.predicate.candidate
            ledger.append(
                "certificate",
                subject=digest_of_bytes(certificates[name]),
                author="ada@example.org",
                reason="the nightly audit",
                body={
                    "candidate": name,
                    "outcome": judged.outcome,
                    "artifact_digest": judged.artifact_digest,
                    "evaluation_set": evaluation_set.content_version,
                    "valid_from": NOW,
                    "valid_until": self.valid_until,
                    "path": paths[name],
                    "record_sha256": digest_of_bytes(record_bytes),
                },
                now=NOW,
                key=signer,
            )
        self.publish(record, signer)
        return Issued(self.folder, certificates, paths, key)

    def publish(self, certificate: Record, signer: SigningKey | None) -> None:
        """Store page and documents, and enter them as the issuer does."""
        stems = (TECHNICAL_FILE, *map(model_card_name, self.names))
        shown = {
            Asset.DASHBOARD: {PAGE: b"<html>report</html>"},
            Asset.DOCUMENTS: {
                f"{stem}.{ending}": f"{stem} as {ending}".encode()
                for stem in stems
                for ending in DOCUMENT_ENDINGS
            },
        }
        for asset, files in shown.items():
            record = self.write(asset, files, [certificate], version=asset)
            folder = self.store.folder(record)
            digests = {f"{folder}/{name}": one.sha256 for name, one in record.files.items()}
            content = (self.folder / folder / "record.json").read_bytes()
            digests[f"{folder}/record.json"] = digest_of_bytes(content)
            Ledger(str(self.folder), AUDIT).append(
                "publication",
                subject=digest_of_bytes(content),
                author="evaluator",
                reason="the nightly audit",
                body={
                    "asset": asset,
                    "issue": self.store.folder(certificate),
                    "files": digests,
                },
                now=NOW,
                key=signer,
            )

    def statement(
        self, document: AuditCertificate, name: str, evidence: SplitEvidence, ledger: Ledger
    ) -> Statement:
        statement = build_statement(
            document,
            name,
            artifact_is_file=True,
            evidence=evidence,
            issue=Issue(
                requested_by="ada@example.org",
                valid_until=self.valid_until,
                code=Code(version="0.1.0", revision="a" * 40, has_changes=False),
                seeds={"bootstrap": 7},
                ledger=ledger.head(),
                waivers=self.entered(ledger, [name]),
            ),
        )
        return self.bound(statement)

    def bound(self, statement: Statement) -> Statement:
        return Binder(SECRET).bound(statement, str(self.folder))
