"""What an audit is: one AI system under evaluation, one YAML."""

import re
from collections import Counter
from collections.abc import Mapping
from itertools import product, starmap
from math import prod
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from evaluator.scorecard import Slice
from evaluator.spec._base import SpecModel, problem, suggestion
from evaluator.spec._candidates import CandidateSpec
from evaluator.spec._columns import ColumnSpec
from evaluator.spec._data import DataSpec
from evaluator.spec._gates import Declared, GateSpec, check_gates, check_metric_names
from evaluator.spec._settings import (
    DAY,
    CertificateSpec,
    CompareSpec,
    ExecutionSpec,
    FairnessSpec,
    LocalExecution,
    WeakSlicesSpec,
    is_cron_line,
)

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


MAX_SLICE_COLUMNS = 4
"""How many columns may be crossed; beyond that slices hold hardly a case each."""


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

    additional_slices: tuple[tuple[str, ...], ...] = Field(
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
        check_additional_slices(self)
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
                scopes=self.slice_values(),
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
    def _budget_is_a_count_or_a_share(cls, raw: Any) -> Any:
        is_number = isinstance(raw, int | float) and not isinstance(raw, bool)
        if raw != "none" and not (is_number and (raw >= 1 if raw == int(raw) else raw < 1)):
            raise problem(
                "allow_failed_slices",
                f"{raw!r} is neither `none`, nor a count, nor a share",
                "write none, a whole number such as 2, or a share below 1 such as 0.05",
            )
        return raw

    def failed_slices_allowed(self) -> int:
        """Count the slices of a candidate that may be missing."""
        raw = self.allow_failed_slices
        values = self.slice_values().values()
        slices = prod(len(names) for names in values)
        return 0 if raw == "none" else raw if isinstance(raw, int) else int(raw * slices)

    @property
    def baseline(self) -> str | None:
        """The baseline's name, if there is one."""
        return next((c.name for c in self.candidates if c.baseline), None)

    @property
    def compares(self) -> bool:
        """Whether there are candidates to be compared, and nobody switched it off."""
        return self.compare is not None and self.baseline is not None and len(self.candidates) > 1

    def slices(self) -> list[Slice]:
        """Return every slice: each geography x each segment; empty where nothing is evaluated."""
        values = self.slice_values()
        return list(starmap(Slice, product(values.get("geography", ()), values.get("segment", ()))))

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


def check_declared(key: str, column: str, columns: Mapping[str, ColumnSpec]) -> None:
    """Refuse a column that is not declared, and say which one could have been meant."""
    if column not in columns:
        raise problem(
            key,
            f"the column {column!r} is not declared",
            suggestion(
                column,
                columns,
                f"declare it under `data.columns`, or use one of {', '.join(columns)}",
            ),
        )


def check_additional_slices(spec: "AuditSpec") -> None:
    """Refuse lists of further columns that cannot be crossed."""
    for index, names in enumerate(spec.additional_slices):
        key = f"additional_slices.{index}"
        if not 1 <= len(names) <= MAX_SLICE_COLUMNS:
            raise problem(
                key,
                f"it names {len(names)} columns",
                f"name one to {MAX_SLICE_COLUMNS} columns in each list",
            )
        repeated = [name for name, count in Counter(names).items() if count > 1]
        if repeated:
            raise problem(key, f"the column {repeated[0]!r} stands there twice", "keep one of them")
        for name in names:
            _check_groups(key, name, spec)


def check_findings(spec: "AuditSpec") -> None:
    """Refuse what `compare`, `fairness` and `weak_slices` could not be computed with."""
    if spec.compare is not None and "compare" in spec.model_fields_set:
        _check_compare(spec.compare, spec)
    for key, found in (("fairness", spec.fairness), ("weak_slices", spec.weak_slices)):
        if found is not None and not spec.candidates:
            raise problem(
                key, "there are no candidates to look at", f"declare `candidates`, or no `{key}`"
            )
    if spec.fairness is not None:
        _check_fairness(spec.fairness, spec)
    if spec.weak_slices is not None:
        _check_weak_slices(spec.weak_slices, spec)


def _check_compare(compare: CompareSpec, spec: "AuditSpec") -> None:
    if not spec.compares:
        raise problem(
            "compare",
            "there are no two candidates of which one is the baseline",
            "write `baseline: true` on the candidate that the others are compared with",
        )
    margins = compare.margin if isinstance(compare.margin, dict) else {}
    for name in margins:
        if name not in spec.metrics:
            raise problem(
                "compare.margin",
                f"{name!r} is not among the audit's metrics",
                suggestion(name, spec.metrics, f"use one of {', '.join(spec.metrics)}"),
            )
    _check_cluster("compare.cluster", compare.cluster, spec)


def _check_fairness(fairness: FairnessSpec, spec: "AuditSpec") -> None:
    for name in fairness.attributes:
        _check_groups("fairness.attributes", name, spec)
    for name in fairness.control:
        _check_groups("fairness.control", name, spec)
        if name in fairness.attributes:
            raise problem(
                "fairness.control",
                f"the column {name!r} is an attribute too",
                "take it out: within one of its groups there is nothing to compare",
            )
    if isinstance(fairness.reference, str):
        return
    if set(fairness.reference) != set(fairness.attributes):
        raise problem(
            "fairness.reference",
            f"it names {', '.join(fairness.reference) or 'no column'}, and the attributes are"
            f" {', '.join(fairness.attributes)}",
            "give one value of every attribute",
        )
    for name, value in fairness.reference.items():
        allowed = spec.data.columns[name].allowed
        if allowed is not None and value not in allowed:
            raise problem(
                "fairness.reference",
                f"{value!r} is not an allowed value of {name!r}",
                f"use one of {', '.join(map(str, allowed))}",
            )


def _check_weak_slices(weak_slices: WeakSlicesSpec, spec: "AuditSpec") -> None:
    for name in weak_slices.features:
        _check_is_no_label_or_id("weak_slices.features", name, spec)
        column = spec.data.columns[name]
        if column.kind in ("date", "timestamp"):
            hour = " or " + f"`hour({name})`" if column.kind == "timestamp" else ""
            raise problem(
                "weak_slices.features",
                f"the column {name!r} is a {column.type}, and none of its values comes again",
                "derive a number and name that, such as a column of type integer with"
                f" `derive` as `weekday({name})`{hour}",
            )
    _check_cluster("weak_slices.cluster", weak_slices.cluster, spec)


def _check_cluster(key: str, name: str | None, spec: "AuditSpec") -> None:
    if name is None or (name == DAY and name not in spec.data.columns):
        return
    _check_is_no_label_or_id(key, name, spec)
    if spec.data.columns[name].type in ("float", "decimal", "timestamp"):
        raise problem(
            key,
            f"the column {name!r} is a {spec.data.columns[name].type}, which hardly any two cases"
            " have in common",
            f"name what cases share, such as a customer, or `{DAY}`",
        )


def _check_groups(key: str, name: str, spec: "AuditSpec") -> None:
    """Refuse a column that cuts the cases into no groups, or into as many as there are cases."""
    _check_is_no_label_or_id(key, name, spec)
    column = spec.data.columns[name]
    if column.type in ("float", "decimal", "timestamp"):
        raise problem(
            key,
            f"the column {name!r} is a {column.type}, which has nearly as many values as cases",
            "derive a band and name that, such as a column of type boolean with"
            f' `derive: "{_band(name, column)}"`',
        )


def _check_is_no_label_or_id(key: str, name: str, spec: "AuditSpec") -> None:
    check_declared(key, name, spec.data.columns)
    if spec.label is not None and name == spec.label.column:
        raise problem(
            key,
            f"the column {name!r} is the label",
            "take it out: within one of its groups there is nothing to tell apart",
        )
    if name == spec.data.id:
        raise problem(
            key, f"the column {name!r} is the id", "take it out: each of its groups is one case"
        )


def _band(name: str, column: ColumnSpec) -> str:
    return f"hour({name}) < 12" if column.type == "timestamp" else f"{name} >= 100"
