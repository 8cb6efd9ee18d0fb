"""What an audit is: one AI system under evaluation, one YAML."""

from collections import Counter
from collections.abc import Mapping

from pydantic import Field, field_validator, model_validator

from evaluator.spec.base import SpecModel, problem
from evaluator.spec.candidates import CandidateSpec
from evaluator.spec.data import ColumnSpec, DataSpec
from evaluator.spec.gates import GateSpec, check_metric_names

HEADLINE_METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "log_loss",
    "brier",
)


LabelValue = bool | int | str
"""What a label may be."""


class LabelSpec(SpecModel):
    """Where the truth stands."""

    column: str = Field(examples=["late"])
    """The declared column that holds the label. A row where it is missing is valid, and is not
    scored."""

    positive: LabelValue = Field(default=1, examples=[1, True, "late"])
    """The label's value that counts as positive; every other one is negative."""


class AutomationSpec(SpecModel):
    """What happens by itself while the Dagster daemon runs."""

    nightly: str | None = Field(default="0 2 * * *", examples=["0 2 * * *"])
    """A cron line (UTC) for the scheduled backfill of all slices; `null` switches it off."""


class AuditSpec(SpecModel):
    """One AI system under evaluation. Without candidates the audit ends at the data's report."""

    description: str = Field(
        default="", examples=["Will this flight arrive more than 15 minutes late?"]
    )
    """What is audited, in a sentence for the report and the Dagster UI."""

    owners: tuple[str, ...] = Field(
        default=("team:audit",), min_length=1, examples=[["team:audit", "ada@example.org"]]
    )
    """Who answers for the audit: e-mail addresses, or `team:` and a name."""

    data: DataSpec = Field(examples=[{"files": "flights-{date}.csv", "...": "..."}])
    """The daily files and their columns."""

    label: LabelSpec | None = Field(default=None, examples=[{"column": "late", "positive": 1}])
    """Where the truth stands; needed as soon as there are candidates."""

    geography: str | None = Field(default=None, examples=["region"])
    """The column that gives a case's geography. It must be required and list its `allowed`
    values."""

    segment: str | None = Field(default=None, examples=["airline_kind"])
    """The column that gives a case's segment. It must be required and list its `allowed`
    values."""

    candidates: tuple[CandidateSpec, ...] = Field(
        default=(),
        examples=[[{"name": "gradient_boosting", "path": "models/gb.skops", "...": "..."}]],
    )
    """The models that are judged, side by side, on the same evaluation set."""

    metrics: tuple[str, ...] = Field(
        default=HEADLINE_METRICS, min_length=1, examples=[["accuracy", "roc_auc"]]
    )
    """What is measured on every slice; the first ones stand at the top of the report."""

    gates: tuple[GateSpec, ...] = Field(
        default=(), examples=[[{"metric": "roc_auc", "level": "overall", "minimum": 0.75}]]
    )
    """The rules that a certificate needs."""

    automation: AutomationSpec = Field(
        default_factory=AutomationSpec, examples=[{"nightly": "0 2 * * *"}]
    )
    """What happens by itself while the Dagster daemon runs."""

    @field_validator("metrics")
    @classmethod
    def _metrics_exist(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        check_metric_names(metrics, key="metrics")
        return metrics

    @model_validator(mode="after")
    def _candidates_are_distinct(self) -> "AuditSpec":
        repeated = [n for n, count in Counter(c.name for c in self.candidates).items() if count > 1]
        if repeated:
            raise problem(
                "candidates",
                f"the name {repeated[0]!r} is used more than once",
                "give each candidate a name of its own",
            )
        baselines = [c.name for c in self.candidates if c.baseline]
        if len(baselines) > 1:
            raise problem(
                "candidates",
                f"{' and '.join(baselines)} are both declared as the baseline",
                "keep `baseline: true` on one of them",
            )
        return self

    @model_validator(mode="after")
    def _references_resolve(self) -> "AuditSpec":
        for key, column in (("geography", self.geography), ("segment", self.segment)):
            if column is not None:
                _check_slice_column(key, column, self.data.columns)
        if self.geography is not None and self.geography == self.segment:
            raise problem(
                "segment", "it is the same column as geography", "choose two different columns"
            )
        if self.label is not None:
            _check_declared("label.column", self.label.column, self.data.columns)
        for index, candidate in enumerate(self.candidates):
            for feature in candidate.features:
                _check_declared(f"candidates.{index}.features", feature, self.data.columns)
            if self.label is not None and self.label.column in candidate.features:
                raise problem(
                    f"candidates.{index}.features",
                    f"{candidate.name} is given the label {self.label.column!r} as a feature",
                    "take it out: a candidate must not see the truth",
                )
        return self

    @model_validator(mode="after")
    def _candidates_have_what_they_need(self) -> "AuditSpec":
        if self.candidates:
            for key in ("label", "geography", "segment"):
                if getattr(self, key) is None:
                    raise problem(
                        key,
                        "it is needed to judge candidates",
                        f"declare `{key}`, or no candidates",
                    )
        names = {c.name for c in self.candidates}
        for index, gate in enumerate(self.gates):
            if gate.candidate is not None and gate.candidate not in names:
                raise problem(
                    f"gates.{index}.candidate",
                    f"there is no candidate {gate.candidate!r}",
                    _one_of(sorted(names)),
                )
            if gate.metric not in self.metrics:
                raise problem(
                    f"gates.{index}.metric",
                    f"{gate.metric!r} is not among the audit's metrics",
                    f"add it to `metrics`, or use one of {', '.join(self.metrics)}",
                )
        return self

    @property
    def baseline(self) -> str | None:
        """The baseline's name, if there is one."""
        return next((c.name for c in self.candidates if c.baseline), None)

    def slice_values(self) -> dict[str, tuple[str, ...]]:
        """Return the values of the two slice columns, by the names `geography` and `segment`."""
        return {
            dimension: tuple(str(value) for value in self.data.columns[column].allowed or ())
            for dimension, column in (("geography", self.geography), ("segment", self.segment))
            if column is not None
        }


def _one_of(names: list[str]) -> str:
    return f"use one of {', '.join(names)}"


def _check_declared(key: str, column: str, columns: Mapping[str, ColumnSpec]) -> None:
    if column not in columns:
        raise problem(
            key,
            f"the column {column!r} is not declared",
            f"declare it under `data.columns`, or {_one_of(list(columns))}",
        )


def _check_slice_column(key: str, column: str, columns: Mapping[str, ColumnSpec]) -> None:
    _check_declared(key, column, columns)
    declared = columns[column]
    if not declared.allowed or not declared.required or declared.severity != "refuse":
        raise problem(
            key,
            f"the column {column!r} must be required and list its allowed values,"
            " since they are the partitions",
            f"set `required: true` and `allowed: [...]` on `data.columns.{column}`,"
            " and leave its severity at refuse",
        )
    for value in declared.allowed:
        # Dagster builds a slice's key from its two values with these characters.
        if any(character in str(value) for character in "|,[]/") or not str(value).strip():
            raise problem(
                f"data.columns.{column}.allowed",
                f"the value {value!r} cannot name a partition",
                "use values that are not blank and have none of | , [ ] / in them",
            )
