"""The Dagster component that turns an audit's YAML into its part of the lineage graph."""

from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components import Scaffolder, ScaffoldRequest
from pydantic import BaseModel

from evaluator.errors import UsageError
from evaluator.evidence import write_whole
from evaluator.orchestration._arrivals import artifact_sensor, landing_sensor
from evaluator.orchestration._asset_specs import automation_sensor
from evaluator.orchestration._assets._candidate import candidate_assets
from evaluator.orchestration._assets._evaluation_set import evaluation_set_asset, model_asset
from evaluator.orchestration._assets._intake import intake_assets
from evaluator.orchestration._assets._reports import report_assets
from evaluator.orchestration._executors._declared import DeclaredExecutor
from evaluator.orchestration._executors._executor import SliceExecutor
from evaluator.orchestration._resources import HomeResource, States
from evaluator.spec import Audit, AuditSpec, named_audit

_TEMPLATE = """\
# An audit of one AI system. Every key is described in docs/audit-yaml.md.
# `evaluator run {name}` runs it; `evaluator validate {name} FILE` tries a file against `data`.
type: {type_name}

attributes:
  description: What the AI system decides, as a question
  owners: ["team:audit"]

  # A file a day arrives in the landing folder: EVALUATOR_HOME/landing/{name}/
  data:
    files: "{name}-{{date}}.csv"
    first_day: 2026-01-01
    # last_day: 2026-01-31        # without it, files keep coming
    id: case_id                   # identifies a row
    max_refused_share: 0.05       # more bad rows than this, and the day is refused
    columns:
      case_id: {{type: string, required: true, unique: true}}
      # Geography and segment are the partitions: list every value that there is.
      country: {{type: category, required: true, allowed: [north, south]}}
      customer: {{type: category, required: true, allowed: [new, returning]}}
      amount: {{type: float, minimum: 0}}
      # The truth. A row where it is missing is valid, and is not scored.
      label: {{type: integer, allowed: [0, 1]}}

  label: {{column: label, positive: 1}}
  geography: country
  segment: customer

  # The models that are judged. Without candidates the audit ends at the data's report.
  candidates: []
  #  - name: current_model
  #    baseline: true              # the others are compared with it
  #    kind: skops
  #    path: models/{name}/current.skops    # below EVALUATOR_HOME, or absolute
  #    features: [amount, country, customer]
  #    threshold: 0.5
  #    # trusted_types: [...]      # the error names those that the artifact needs

  metrics: [accuracy, precision, recall, f1, roc_auc, log_loss, brier]

  # What a certificate needs.
  gates: []
  #  - {{metric: roc_auc, level: overall, at_least: 0.75}}
  #  - {{metric: recall, level: geography, at_least: 0.5}}

  automation:
    nightly: "0 2 * * *"           # goes over all slices each night; null switches it off
"""
# The same objects for every audit: Dagster refuses different ones under one name.
_HOME, _EXECUTOR = HomeResource(), DeclaredExecutor()


class AuditScaffolder(Scaffolder[Any]):
    """Write a commented YAML that loads as it is."""

    def scaffold(self, request: ScaffoldRequest[Any]) -> None:
        """Write the audit's `defs.yaml`."""
        if request.scaffold_format != "yaml":
            raise UsageError(
                "an audit is written as YAML", culprit=request.type_name, fix="use --format yaml"
            )
        name = request.target_path.name
        text = _TEMPLATE.format(name=name, type_name=request.type_name)
        write_whole(request.target_path / "defs.yaml", text.encode())


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
        """Make the component of validated attributes.

        Raises
        ------
        TypeError
            Where they are no `AuditSpec`.
        """
        if not isinstance(attributes, AuditSpec):
            raise TypeError(f"expected an AuditSpec, not {type(attributes).__name__}")
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Build the audit's part of the graph; its name is its folder's."""
        return audit_definitions(named_audit(Path(context.path).name, self.spec))


def audit_definitions(
    audit: Audit, executor: SliceExecutor = _EXECUTOR, home: States = _HOME
) -> dg.Definitions:
    """Build one audit's assets, checks and sensors.

    Nothing is opened: files, models and servers may be absent until they are used.

    Parameters
    ----------
    audit
        The audit. Without candidates its graph ends at the days' reports.
    executor
        Evaluates the candidates' slices; by default where the audit says.
    home
        Gives the assets their state; by default that below the environment's home.

    Returns
    -------
    dagster.Definitions
        May be merged with those of other audits: their resources are the same objects.
    """
    assets = intake_assets(audit)
    sensors: list[dg.SensorDefinition] = [landing_sensor(audit), automation_sensor(audit)]
    if audit.spec.candidates:
        assets.append(evaluation_set_asset(audit))
        for candidate in audit.spec.candidates:
            assets += [model_asset(audit, candidate), candidate_assets(audit, candidate)]
        assets += report_assets(audit)
        sensors.append(artifact_sensor(audit))
    return dg.Definitions(
        assets=assets,
        sensors=sensors,
        resources={
            "evaluator_home": home,
            "evaluator_executor": executor,
        },
    )
