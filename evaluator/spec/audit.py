"""What an audit is: one AI system under evaluation, one YAML."""

import re
from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from evaluator.spec.base import SpecModel, problem
from evaluator.spec.candidates import CandidateSpec
from evaluator.spec.certificate import CertificateSpec
from evaluator.spec.column_checks import check_declared, check_findings, check_more_slices
from evaluator.spec.cron import is_cron_line
from evaluator.spec.data import ColumnSpec, DataSpec
from evaluator.spec.execution import ExecutionSpec, LocalExecution
from evaluator.spec.findings import CompareSpec, FairnessSpec, WeakSlicesSpec
from evaluator.spec.gate_checks import Declared, check_gates
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

    refresh: Literal["daily", "weekly", "on_demand"] = Field(default="daily", examples=["weekly"])
    """When newly accepted days go into the evaluation set: as they come, each Monday (UTC), or
    only when a person materialises `evaluation_set` or calls `evaluator run --refresh`. Until then
    it stays frozen as it is."""

    @field_validator("nightly")
    @classmethod
    def _nightly_is_a_cron_line(cls, nightly: str | None) -> str | None:
        if nightly is not None and not is_cron_line(nightly):
            raise problem(
                "nightly",
                f"{nightly!r} is no cron line",
                "write minute, hour, day, month and weekday, such as 0 2 * * * for 02:00 each day",
            )
        return nightly


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

    confidence: float = Field(default=0.95, gt=0.5, lt=1, examples=[0.95])
    """How sure the intervals are: 0.95 means that 95 of 100 hold the true value."""

    minimum_support: int = Field(default=30, ge=1, examples=[30])
    """How many cases a slice's value must rest on before the slice is shown as standing out."""

    more_slices: tuple[tuple[str, ...], ...] = Field(
        default=(), examples=[[["origin"], ["carrier", "origin"]]]
    )
    """Lists of one to four declared columns, by which the scorecard measures beside geography and
    segment: by each column of a list and by all crosses of them. Rows without a value are a group
    of their own."""

    compare: CompareSpec | None = Field(
        default_factory=CompareSpec, examples=[{"margin": {"accuracy": 0.01}}]
    )
    """How the candidates are compared, case by case. It is done wherever there are a baseline and
    another candidate; `null` switches it off. Metrics without a paired test, which are those of
    calibration and the base rate, are left out."""

    fairness: FairnessSpec | None = Field(
        default=None, examples=[{"attributes": ["region"], "measures": ["equal_opportunity"]}]
    )
    """Between which groups unequal treatment is looked for, and in which measures. Without it
    there is no such look."""

    weak_slices: WeakSlicesSpec | None = Field(
        default=None, examples=[{"features": ["carrier", "distance"], "cluster": "day"}]
    )
    """The columns among whose crosses weak slices are searched. Without it none are."""

    gates: tuple[GateSpec, ...] = Field(
        default=(), examples=[[{"metric": "roc_auc", "level": "overall", "at_least": 0.75}]]
    )
    """The rules that a certificate needs."""

    allow_failed_slices: int | float | Literal["none"] = Field(
        default="none", examples=["none", 2, 0.05]
    )
    """How many of a candidate's slices may be missing before it cannot be certified: `none`, a
    count, or a share below 1. The scorecard is there whatever is missing, and lists it; a gate
    that looks at a missing slice itself does not pass."""

    partitions_per_run: int | None = Field(default=None, ge=1, strict=True, examples=[10])
    """How many slices one Dagster run evaluates at most. By default a backfill has one run for
    each value of the smaller of the two dimensions, and the terminal one for each core."""

    execution: ExecutionSpec = Field(
        default_factory=LocalExecution, examples=[{"kind": "ray", "address": "10.0.0.1:6379"}]
    )
    """Where candidates are run: on the machine of their Dagster run, or on a Ray cluster."""

    certificate: CertificateSpec = Field(
        default_factory=CertificateSpec, examples=[{"requested_by": "Ada Bell", "valid_days": 90}]
    )
    """Who asks for the certificates, how long they are valid, and what they open."""

    automation: AutomationSpec = Field(
        default_factory=AutomationSpec, examples=[{"nightly": "0 2 * * *"}]
    )
    """What happens by itself while the Dagster daemon runs."""

    @field_validator("owners")
    @classmethod
    def _owners_can_be_reached(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        for owner in owners:
            if not re.fullmatch(r"team:.+|[\w.+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", owner):
                raise problem(
                    "owners",
                    f"{owner!r} is neither an e-mail address nor a team",
                    f"write an address, or team:{owner}",
                )
        return owners

    @field_validator("metrics")
    @classmethod
    def _metrics_exist(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        check_metric_names(metrics, key="metrics")
        repeated = [name for name, count in Counter(metrics).items() if count > 1]
        if repeated:
            raise problem("metrics", f"{repeated[0]!r} stands there twice", "keep one of them")
        return metrics

    @model_validator(mode="after")
    def _candidates_are_distinct(self) -> "AuditSpec":
        names: list[str] = []
        baselines: list[str] = []
        for index, candidate in enumerate(self.candidates):
            if candidate.name in names:
                raise problem(
                    f"candidates.{index}.name",
                    f"the name {candidate.name!r} is used more than once",
                    "give each candidate a name of its own",
                )
            names.append(candidate.name)
            if candidate.baseline:
                baselines.append(candidate.name)
            if len(baselines) > 1:
                raise problem(
                    f"candidates.{index}.baseline",
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
            check_declared("label.column", self.label.column, self.data.columns)
            _check_label(self.label, self.data.columns[self.label.column])
        for index, candidate in enumerate(self.candidates):
            if self.label is not None and self.label.column in candidate.features:
                raise problem(
                    f"candidates.{index}.features",
                    f"{candidate.name} is given the label {self.label.column!r} as a feature",
                    "take it out: a candidate must not see the truth",
                )
            for feature in candidate.features:
                check_declared(f"candidates.{index}.features", feature, self.data.columns)
        check_more_slices(self)
        check_findings(self)
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
        check_gates(
            self.gates,
            Declared(
                candidates=[candidate.name for candidate in self.candidates],
                baseline=self.baseline,
                metrics=self.metrics,
                places=self.slice_values(),
                columns=self.data.columns,
                compares=self.compares,
                fairness_measures=self.fairness.measures if self.fairness else (),
                fairness_attributes=self.fairness.attributes if self.fairness else None,
                weak_slices=self.weak_slices is not None,
            ),
        )
        return self

    @field_validator("allow_failed_slices", mode="before")
    @classmethod
    def _budget_is_a_count_or_a_share(cls, told: Any) -> Any:
        is_number = isinstance(told, int | float) and not isinstance(told, bool)
        if told != "none" and not (is_number and (told >= 1 if told == int(told) else told < 1)):
            raise problem(
                "allow_failed_slices",
                f"{told!r} is neither `none`, nor a count, nor a share",
                "write none, a whole number such as 2, or a share below 1 such as 0.05",
            )
        return told

    def failed_slices_allowed(self) -> int:
        """Count the slices of a candidate that may be missing."""
        told = self.allow_failed_slices
        values = self.slice_values().values()
        slices = prod(len(names) for names in values)
        return 0 if told == "none" else told if isinstance(told, int) else int(told * slices)

    @property
    def baseline(self) -> str | None:
        """The baseline's name, if there is one."""
        return next((c.name for c in self.candidates if c.baseline), None)

    @property
    def compares(self) -> bool:
        """Whether there are candidates to be compared, and nobody switched it off."""
        return self.compare is not None and self.baseline is not None and len(self.candidates) > 1

    def slice_values(self) -> dict[str, tuple[str, ...]]:
        """Return the values of the two slice columns, by the names `geography` and `segment`."""
        return {
            dimension: tuple(str(value) for value in self.data.columns[column].allowed or ())
            for dimension, column in (("geography", self.geography), ("segment", self.segment))
            if column is not None
        }


def _check_slice_column(key: str, column: str, columns: Mapping[str, ColumnSpec]) -> None:
    check_declared(key, column, columns)
    declared = columns[column]
    if not declared.allowed or not declared.required or declared.severity != "refuse":
        raise problem(
            key,
            f"the column {column!r} must be required and list its allowed values,"
            " since they are the partitions",
            f"set `required: true` and `allowed: [...]` on `data.columns.{column}`,"
            " and leave its severity at refuse",
        )
    # Of the other types a value may be spelt in several ways, such as True, true and 1.
    fits = {"category": str, "string": str, "integer": int}.get(declared.type)
    if fits is None or not all(isinstance(value, fits) for value in declared.allowed):
        raise problem(
            f"data.columns.{column}",
            f"values of type {declared.type} cannot name the partitions of {key}",
            "make it a category and quote its allowed values",
        )
    if len(set(declared.allowed)) < len(declared.allowed):
        raise problem(
            f"data.columns.{column}.allowed", "a value stands there twice", "keep one of them"
        )
    for value in declared.allowed:
        # Dagster builds a slice's key from its two values with these characters.
        if any(character in str(value) for character in "|,[]/") or not str(value).strip():
            raise problem(
                f"data.columns.{column}.allowed",
                f"the value {value!r} cannot name a partition",
                "use values that are not blank and have none of | , [ ] / in them",
            )


def _check_label(label: LabelSpec, column: ColumnSpec) -> None:
    """Refuse a positive value that no label could have: everything would be negative."""
    if column.kind in ("date", "timestamp"):
        raise problem(
            "label.column",
            f"the column {label.column!r} is a {column.type}, and no label",
            "name a column of type boolean, integer, string or category, or derive one",
        )
    positive = label.positive
    # The YAML may say 1 where the column is boolean, and true where it is a number.
    fits = {
        "text": isinstance(positive, str),
        "number": isinstance(positive, int),
        "boolean": positive in (0, 1),
    }[column.kind]
    allowed = column.allowed or ()
    if not fits or (allowed and positive not in allowed):
        raise problem(
            "label.positive",
            f"{positive!r} is no value of the column {label.column!r}, which is of type"
            f" {column.type}{' and allows ' if allowed else ''}{', '.join(map(repr, allowed))}",
            "write the value that counts as positive as it stands in the data, texts quoted",
        )
