"""What each output is made of, as its identity.

The identity of an output is known before it is computed. So a result that exists is not
computed again, and one that rests on something older is seen to be outdated.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evaluator.evaluation import SCORE_VERSION
from evaluator.evidence import FreshStarts, Record, digest_of, identity_of
from evaluator.orchestration._home import Home
from evaluator.orchestration._streams import streams_of
from evaluator.scorecard import Asset
from evaluator.spec import Audit, AuditSpec, CandidateSpec

# Raised when the code of an output would give another result for the same inputs.
CODE_VERSIONS = {
    "raw_data": "1",
    "intake": "2",
    "evaluation_set": "1",
    "model": "1",
    "predictions": "2",
    "slice_metrics": "3",
    "scorecard": SCORE_VERSION,
    "mlflow_runs": "2",
    "audit_spec": "1",
    "certificate": "8",
    "dashboard": "12",
    "documents": "8",
    "promoted_models": "1",
}


_WHENCE = {"first_day", "last_day", "still_seconds", "landing", "table"}
"""The keys of `data` that say which days there are, and how they come."""
_DEPENDENCE = {"cluster", "weight"}
"""The keys of `data` that say how its cases count, and not what they are."""
_JOINING = {"column", "mature_after", "conflicts"}
"""The keys of `labels` that say which case gets which label."""
_OF_LABELS = {*_JOINING, "minimum_share"}
"""The keys of `labels` that change nothing of what one of its files gives."""


class SliceInputs(NamedTuple):
    """What the predictions for a slice are made of."""

    evaluation_set: str
    """The evaluation set's content version."""
    model: str
    """The artifact's digest."""


class Identities:
    """The identities of one audit's outputs.

    Parameters
    ----------
    audit
        The audit as its YAML stands now.
    fresh_starts
        How often it was begun afresh: each begins new identities.
    """

    def __init__(self, audit: Audit, fresh_starts: FreshStarts) -> None:
        self._audit = audit
        self._spec = audit.spec
        self._fresh_starts = fresh_starts

    def intake(self, raw: Record) -> str:
        """Identity of a day's typed rows, quarantined rows and report."""
        stream = next(one for one in streams_of(self._spec) if one.assets.raw == raw.asset)
        # Which days there are, where and when they are looked for and what cases weigh does not
        # change what one of them gives.
        apart = {*_WHENCE, *_DEPENDENCE, *_OF_LABELS}
        data = stream.spec.model_dump(mode="json", exclude=apart)
        for column in data["columns"].values():
            # What values are called is nothing to the intake.
            del column["names"]
            if column["bins"] is None:
                # Days that were taken in before it could be declared stay what they are.
                del column["bins"]
        inputs = {"raw": raw.content_version, "data": data, "slices": [*stream.dimensions]}
        return self._of("intake", inputs)

    def evaluation_set(
        self, days: Mapping[str, str], labels: Mapping[str, str], training: Mapping[str, Any]
    ) -> str:
        """Identity of the snapshot made of these days, of data and of labels in files of their own.

        Given are their content versions, and what `describe_training` gave.
        """
        # What is not said of the label changes no set that was frozen before it could be said.
        settings = self._spec.model_dump(
            mode="json", include={"label", "geography", "segment"}, exclude_none=True
        )
        settings["id"] = self._spec.data.id_column
        if self._spec.labels is not None:
            joining = self._spec.labels.model_dump(mode="json", include=_JOINING)
            joining |= {"days": dict(labels), "id": self._spec.labels.id_column}
            settings["labels"] = joining
        if training:
            settings["training"] = dict(training)
        settings |= self._dependence | self._task
        values = {name: list(allowed) for name, allowed in self._spec.slice_values().items()}
        for name in self._spec.discovered:
            # They follow from the days; that some are from before makes no other set.
            del values[name], settings[name]["found"]
        return self._of("evaluation_set", {"days": dict(days), "values": values, **settings})

    def predictions(self, candidate: CandidateSpec, inputs: SliceInputs, slice_key: str) -> str:
        """Identity of a candidate's predictions for one slice."""
        asked = {
            "evaluation_set": inputs.evaluation_set,
            "model": inputs.model,
            "slice": slice_key,
            "candidate": candidate.identity_settings,
            "label": self._spec.asks.label.model_dump(mode="json"),
            "labels": list(self._spec.truth.allowed or ()),
            **self._task,
        }
        return self._of("predictions", asked, candidate=candidate.name)

    def slice_metrics(self, predictions: str) -> str:
        """Identity of a slice's metrics, given that of its predictions."""
        return self._of("slice_metrics", {"predictions": predictions, **self._metric_settings()})

    def scorecard(
        self,
        evaluation_set: str,
        slices: Sequence[Any],
        *,
        previous: str | None,
        days: Sequence[Any] | None,
        labels: Any,
        training: Any,
    ) -> str:
        """Identity of the scorecard, given what is known of every slice, and the previous one's.

        The previous one is that with which it is said what got worse. The days count only where a
        gate looks at them; elsewhere they are None. So are the facts about labels where these stand
        beside their cases; of equal cases more may be without a label. And so are those about what
        candidates saw in training, where any says what that was of.
        """
        settings = self._spec.model_dump(mode="json", include={"fairness", "weak_slices"})
        # Limits decide, and are no part of what is measured.
        for limit in ("limit_difference", "limit_ratio"):
            (settings["fairness"] or {}).pop(limit, None)
        if self._spec.compares:
            settings |= self._spec.model_dump(mode="json", include={"compare"})
            settings["baseline"] = self._spec.baseline
        if days is not None:
            settings["days"] = list(days)
        if self._spec.labels is not None:
            settings["labels"] = [labels, self._spec.labels.minimum_share]
        if training:
            seen = {c.name: c.training.seen for c in self._spec.candidates if c.training}
            settings["training"] = [training, seen]
        columns = self._spec.data.columns.items()
        if names := {name: column.names for name, column in columns if column.names}:
            settings["names"] = names
        return self._of(
            "scorecard",
            {
                "evaluation_set": evaluation_set,
                # However the candidates are declared; each one's slices keep their order.
                "slices": sorted(slices, key=lambda described: str(described[0])),
                "more_slices": [list(names) for names in self._spec.additional_slices],
                "earlier": previous,
                **settings,
                **self._metric_settings(),
            },
        )

    def mlflow_runs(self, scorecard: Record, home: Home) -> str:
        """Identity of the MLflow runs of a scorecard, as it is judged, on one tracking server."""
        # A home that is moved keeps its own runs.
        server = "the platform's own" if home.tracks_itself else home.tracking_uri
        decided = self._spec.model_dump(
            mode="json", include={"gates", "fairness", "allow_failed_slices"}
        )
        return self._of(
            "mlflow_runs", {"scorecard": scorecard.identity, "tracking": server, **decided}
        )

    def certificate(
        self,
        scorecard: Record,
        *,
        key_id: str,
        renewal: int,
        waivers: Sequence[str],
        withheld: Mapping[str, str],
    ) -> str:
        """Identity of the certificate of a scorecard.

        By who signs it, how often it expired, the ledger's entries with waivers in force, and who
        gets none for what reason.
        """
        return self._of(
            "certificate",
            {
                "scorecard": scorecard.identity,
                "spec": spec_digest(self._spec),
                "key": key_id,
                "renewal": renewal,
                "waivers": list(waivers),
                **({"withheld": dict(withheld)} if withheld else {}),
            },
        )

    def page(self, kind: str, upstream: Sequence[Record], days: Sequence[Any]) -> str:
        """Identity of a page, of the kind `dashboard` or `documents`, that shows these outputs."""
        inputs: dict[str, Any] = {
            "upstream": [record.identity for record in upstream],
            "days": list(days),
            "spec": spec_digest(self._spec),
        }
        if kind == Asset.DASHBOARD:
            inputs["links"] = self._spec.links.model_dump()
        return self._of(kind, inputs)

    def _metric_settings(self) -> dict[str, Any]:
        settings = {"metrics": list(self._spec.metrics), "confidence": self._spec.confidence}
        if self._spec.limits_level is not None:
            settings["limits_level"] = self._spec.limits_level
        if self._spec.asks.version > 1:
            settings["version"] = self._spec.asks.version
        return settings | self._dependence

    @property
    def _task(self) -> dict[str, Any]:
        # A binary one has the identities that it had before there were others.
        if self._spec.task == "binary":
            return {}
        return {"task": self._spec.task, "classes": list(self._spec.asks.classes)}

    @property
    def _dependence(self) -> dict[str, Any]:
        # What declares neither has the identities that it had before they could be declared.
        return self._spec.data.model_dump(include=_DEPENDENCE, exclude_none=True)

    def _of(self, kind: str, inputs: Mapping[str, Any], candidate: str | None = None) -> str:
        started = self._fresh_starts.count(candidate)
        return _identity(kind, {**inputs, "fresh": started} if started else inputs)


def _identity(kind: str, inputs: Mapping[str, Any]) -> str:
    return identity_of(kind, CODE_VERSIONS[kind], inputs)


def spec_digest(spec: AuditSpec) -> str:
    """Digest of everything that the audit's YAML says and that may change what is found."""
    return digest_of(spec.what_counts())


def raw_identity(file_name: str, sha256: str) -> str:
    """Identity of a day's file as it came."""
    return _identity("raw_data", {"file": file_name, "sha256": sha256})


def model_identity(sha256: str) -> str:
    """Identity of a candidate's artifact."""
    return _identity("model", {"sha256": sha256})
