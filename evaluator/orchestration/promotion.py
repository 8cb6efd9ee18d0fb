"""What a certificate opens: a tag and an alias on the model in an MLflow registry.

Only a candidate that is declared as `models:/...` has a version there. Everything else asks
`evaluator require` before its release.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from evaluator.certification.certificate_state import require_certificate
from evaluator.certification.ledger import Ledger
from evaluator.orchestration.home import Home
from evaluator.orchestration.state import AuditState
from evaluator.spec import AuditSpec, CandidateSpec

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CERTIFICATE_TAG = "evaluator.certificate"

_ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))")


def registered(spec: AuditSpec) -> list[CandidateSpec]:
    """Return the candidates that are versions in an MLflow registry."""
    return [c for c in spec.candidates if c.kind == "mlflow" and _ADDRESS.fullmatch(c.model)]


def promote(state: AuditState, now: datetime) -> dict[str, str | None]:
    """Bring tags and aliases in the registry in line with the ledger.

    Returns
    -------
    dict[str, str or None]
        For each registered candidate the digest of the certificate that its version is tagged
        with now; None where it has none that stands.
    """
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=state.home.tracking_uri)
    entries = Ledger(state.store.url, state.audit.name).entries()
    tagged: dict[str, str | None] = {}
    for candidate in registered(state.spec):
        digest = state.observed_model(candidate)
        decided = require_certificate(entries, candidate.name, digest or "", now)
        version = _version(client, candidate)
        alias = state.spec.certificate.promote_alias
        if decided.is_met and decided.certificate is not None:
            client.set_model_version_tag(
                version.name, version.version, CERTIFICATE_TAG, decided.certificate
            )
            if alias is not None:
                client.set_registered_model_alias(version.name, alias, version.version)
            tagged[candidate.name] = decided.certificate
        else:
            _take_back(client, version, alias)
            tagged[candidate.name] = None
    return tagged


def demote(home: Home, spec: AuditSpec, certificate: str) -> Iterator[str]:
    """Take tag and alias from every model version that was promoted by a certificate."""
    from mlflow.tracking import MlflowClient

    if not registered(spec):
        return
    client = MlflowClient(tracking_uri=home.tracking_uri)
    for candidate in registered(spec):
        match = _ADDRESS.fullmatch(str(candidate.source))
        name = match["name"] if match else ""
        for version in client.search_model_versions(f"name='{name}'"):
            if version.tags.get(CERTIFICATE_TAG) == certificate:
                full = client.get_model_version(version.name, version.version)
                _take_back(client, full, spec.certificate.promote_alias)
                yield f"{version.name} version {version.version} is no longer promoted."


def _version(client: "MlflowClient", candidate: CandidateSpec) -> "ModelVersion":
    match = _ADDRESS.fullmatch(str(candidate.source))
    if match is None:
        raise ValueError(f"{candidate.source} is no address in a registry")
    if match["alias"] is not None:
        return client.get_model_version_by_alias(match["name"], match["alias"])
    return client.get_model_version(match["name"], match["version"])


def _take_back(client: "MlflowClient", version: "ModelVersion", alias: str | None) -> None:
    if CERTIFICATE_TAG in version.tags:
        client.delete_model_version_tag(version.name, version.version, CERTIFICATE_TAG)
    if alias is not None and alias in version.aliases:
        client.delete_registered_model_alias(version.name, alias)
