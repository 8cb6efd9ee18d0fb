"""The Dagster component that turns an audit's YAML into its part of the lineage graph."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components import Scaffolder, ScaffoldRequest
from pydantic import (
    BaseModel,
    GetJsonSchemaHandler,
    RootModel,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from evaluator.errors import EvaluatorError, SpecError, UsageError
from evaluator.evidence import digest_of, write_whole
from evaluator.orchestration._arrivals import artifact_sensor, landing_sensor
from evaluator.orchestration._asset_specs import (
    SECONDS_BETWEEN_TICKS,
    automation_sensor,
    once_for_each_code_version,
)
from evaluator.orchestration._assets._candidate import candidate_assets
from evaluator.orchestration._assets._evaluation_set import evaluation_set_asset, model_asset
from evaluator.orchestration._assets._intake import intake_assets
from evaluator.orchestration._assets._reports import report_assets
from evaluator.orchestration._executors._declared import DeclaredExecutor
from evaluator.orchestration._executors._executor import SliceExecutor
from evaluator.orchestration._resources import HomeResource, States
from evaluator.orchestration._streams import streams_of
from evaluator.scorecard import Asset, name_in_dagster
from evaluator.spec import (
    Audit,
    AuditSpec,
    audit_names,
    find_project,
    load_audit,
    named_audit,
    read_audit,
)

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

  # What is asked: whether a case is positive (binary), of which of several classes it is
  # (multiclass), or how much something is (regression). With another than binary take out
  # `positive` and `threshold`, and `metrics`, which are then what is usual for it.
  task: binary
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
_home_of_project = cache(HomeResource)
_MANY_SLICES, _SECONDS_WITH_MANY = 2_000, 30
"""So many slices of candidates are looked at less often."""


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


class _Attributes(RootModel[Any]):
    """What stands below `attributes`, which editors know as an audit's.

    It is taken as it is: what Dagster itself finds wrong takes the whole project down.
    """

    @classmethod
    def __get_pydantic_json_schema__(
        cls,
        schema: CoreSchema,
        handler: GetJsonSchemaHandler,
    ) -> JsonSchemaValue:
        return handler(AuditSpec.__pydantic_core_schema__)


@dg.scaffold_with(AuditScaffolder)
class AuditComponent(dg.Component):
    """One AI system under evaluation: its intake, its candidates, their certificate.

    Parameters
    ----------
    spec
        What the YAML's `attributes` say, or why they say no audit.
    """

    def __init__(self, spec: AuditSpec | EvaluatorError) -> None:
        self.spec = spec

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the model that the YAML's `attributes` are held against."""
        return _Attributes

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
        cls, attributes: BaseModel | None, context: dg.ComponentLoadContext
    ) -> "AuditComponent":
        """Make the component of what stands below `attributes`; a mistake there is kept for later.

        Parameters
        ----------
        attributes
            What `get_model_cls` made of them; None where there are none.
        context
            Dagster's; it names the folder.
        """
        try:
            return cls(AuditSpec.model_validate(getattr(attributes, "root", None)))
        except ValidationError as error:
            fault = SpecError(
                str(error), culprit=str(context.path), fix="see docs/audit-yaml.md for each key"
            )
            try:
                # The same, with its line.
                read_audit(Path(context.path) / "defs.yaml")
            except SpecError as located:
                fault = located
            return cls(fault)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Build the audit's part of the graph; its name is its folder's."""
        name = Path(context.path).name

        def read() -> Audit:
            if isinstance(self.spec, EvaluatorError):
                raise self.spec
            return named_audit(name, self.spec)

        built = _built(read, _home_of(Path(context.path)))
        return built if isinstance(built, dg.Definitions) else _fault_definitions(name, [built])


def project_definitions(folder: Path) -> dg.Definitions:
    """Build every audit below a folder, of which a wrong one leaves the others alone.

    Parameters
    ----------
    folder
        Where the audits lie, each a `defs.yaml` in a folder of its own.

    Returns
    -------
    dagster.Definitions
        Of what does not load they have an asset in its group, whose materialisation fails and
        says file, line and fix; the daemon does that at once.
    """
    parts, faults = [], dict[str, list[Exception]]()
    home = _home_of(folder)
    for name in audit_names(folder):
        built = _built(lambda name=name: load_audit(name, folder), home)  # type: ignore[misc] # bound now
        if isinstance(built, dg.Definitions):
            parts.append(built)
        else:
            # Folders whose names Dagster takes for one share an asset.
            faults.setdefault(name_in_dagster(name), []).append(built)
    parts += [_fault_definitions(name, found) for name, found in faults.items()]
    return dg.Definitions.merge(*parts)


def _home_of(path: Path) -> States:
    """Return where the state of what lies there is, whatever the working directory will be."""
    project = find_project(path)
    return _HOME if project is None else _home_of_project(project=str(project.root))


def _built(read: Callable[[], Audit], home: States) -> dg.Definitions | Exception:
    """Build one audit, or return what it fails of, be it its YAML, Dagster or ourselves."""
    try:
        definitions = audit_definitions(read(), home=home)
        # Some of what Dagster refuses it finds only here, for all audits together otherwise.
        definitions.resolve_implicit_global_asset_job_def()
    except Exception as error:  # noqa: BLE001 - whatever it is, other audits load
        return error
    return definitions


def _fault_definitions(name: str, faults: Sequence[Exception]) -> dg.Definitions:
    """Build what stands for an audit that does not load: an asset that fails, and is asked for."""
    from evaluator.reporting import escape_markdown

    name = name_in_dagster(name)
    words = [
        str(fault) if isinstance(fault, EvaluatorError) else f"{type(fault).__name__}: {fault}"
        for fault in faults
    ]
    told = "\n".join(words)

    @dg.asset(
        name=Asset.AUDIT_SPEC,
        key_prefix=name,
        group_name=name,
        description=f"This audit does not load.\n\n{escape_markdown(told)}",
        kinds={"yaml"},
        code_version=digest_of(told),
        automation_condition=once_for_each_code_version(),
    )
    def audit_spec() -> None:
        raise dg.Failure(told, allow_retries=False) from faults[0]

    # Not the audit's own sensor, whose memory is for when it loads again.
    sensor = automation_sensor(
        f"{name}_fault",
        dg.AssetSelection.assets(audit_spec.key),
        "Lets the audit's fault show as a failure.",
    )
    return dg.Definitions(assets=[audit_spec], sensors=[sensor])


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
    streams = streams_of(audit.spec)
    assets = [asset for stream in streams for asset in intake_assets(audit, stream)]
    count = len(audit.spec.candidates) * len(audit.spec.slices())
    automation = automation_sensor(
        f"{audit.name}_automation",
        dg.AssetSelection.groups(audit.name),
        "Materialises what follows from new content, and the nightly backfill.",
        # A tick looks at every slice of every candidate: 3 s for 27,000 of them.
        seconds=SECONDS_BETWEEN_TICKS if count < _MANY_SLICES else _SECONDS_WITH_MANY,
    )
    sensors = [*(landing_sensor(audit, stream, home.home) for stream in streams), automation]
    if audit.spec.candidates:
        assets.append(evaluation_set_asset(audit))
        for candidate in audit.spec.candidates:
            assets += [model_asset(audit, candidate), candidate_assets(audit, candidate)]
        assets += report_assets(audit)
        sensors.append(artifact_sensor(audit, home.home))
    return dg.Definitions(
        assets=assets,
        sensors=sensors,
        resources={
            "evaluator_home": home,
            "evaluator_executor": executor,
        },
    )
