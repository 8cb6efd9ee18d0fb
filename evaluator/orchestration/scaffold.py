"""What `dg scaffold defs evaluator.orchestration.AuditComponent NAME` writes."""

from typing import Any

from dagster.components import Scaffolder, ScaffoldRequest

from evaluator.errors import UsageError

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
        (request.target_path / "defs.yaml").write_text(text, encoding="utf-8")
