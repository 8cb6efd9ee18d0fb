"""The Dagster component that turns an audit's YAML into its part of the lineage graph."""

from pathlib import Path

import dagster as dg
from pydantic import BaseModel

from evaluator.orchestration.arrivals import artifact_sensor, landing_sensor
from evaluator.orchestration.automation import automation_sensor
from evaluator.orchestration.candidate_assets import candidate_assets
from evaluator.orchestration.evaluation_assets import evaluation_set_asset, model_asset
from evaluator.orchestration.intake_assets import intake_assets
from evaluator.orchestration.mlflow_runs import MlflowTracking
from evaluator.orchestration.report_assets import report_assets
from evaluator.orchestration.resources import HomeResource
from evaluator.orchestration.scaffold import AuditScaffolder
from evaluator.spec import Audit, AuditSpec, named_audit

# The same two objects for every audit: Dagster refuses different ones under one name.
RESOURCES = {"evaluator_home": HomeResource(), "evaluator_mlflow": MlflowTracking()}


@dg.scaffold_with(AuditScaffolder)
class AuditComponent(dg.Component):
    """One AI system under evaluation: its intake, its candidates, their certificate.

    Parameters
    ----------
    spec
        What the YAML's `attributes` say.
    """

    def __init__(self, spec: AuditSpec) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model that the YAML's `attributes` are held against."""
        return AuditSpec

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Describe the component in Dagster's lists."""
        return dg.ComponentTypeSpec(
            description="An audit of one AI system: intake, evaluation, certification.",
            owners=["team:audit"],
            tags=["evaluation", "audit"],
        )

    @classmethod
    def load(
        cls,
        attributes: BaseModel | None,
        context: dg.ComponentLoadContext,  # noqa: ARG003 - the signature is Dagster's
    ) -> "AuditComponent":
        """Make the component of validated attributes."""
        if not isinstance(attributes, AuditSpec):
            raise TypeError(f"expected an AuditSpec, not {type(attributes).__name__}")
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Build the audit's part of the graph; its name is its folder's."""
        return audit_definitions(named_audit(Path(context.path).name, self.spec))


def audit_definitions(audit: Audit) -> dg.Definitions:
    """Build one audit's assets, checks and sensors.

    Nothing is opened: files, models and servers may be absent until they are used.
    """
    assets = intake_assets(audit)
    sensors: list[dg.SensorDefinition] = [landing_sensor(audit), automation_sensor(audit)]
    if audit.spec.candidates:
        assets.append(evaluation_set_asset(audit))
        for candidate in audit.spec.candidates:
            assets += [model_asset(audit, candidate), candidate_assets(audit, candidate)]
        assets += report_assets(audit)
        sensors.append(artifact_sensor(audit))
    return dg.Definitions(assets=assets, sensors=sensors, resources=RESOURCES)
