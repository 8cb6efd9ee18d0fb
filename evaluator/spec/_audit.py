"""What an audit is: one AI system under evaluation, one YAML."""

import re
import warnings
from collections.abc import Mapping, Sequence
from itertools import product, starmap
from typing import Any, Final, Literal, Self

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from evaluator.errors import RenamedKeyWarning
from evaluator.metrics import FAIRNESS_MEASURES, METRICS
from evaluator.scorecard import ALL, Slice, can_name_partitions
from evaluator.spec._base import (
    EITHER_SPELLING,
    MOVED_KEYS,
    SpecModel,
    move_keys,
    problem,
    refuse_repeated,
    refuse_unknown,
    suggestion,
)
from evaluator.spec._candidates import LATER_KEYS, CandidateSpec
from evaluator.spec._columns import NUMBER_TYPES, TIME_TYPES, ColumnSpec
from evaluator.spec._data import DAY, SNAPSHOT, DataSpec, LabelsSpec, RowNumber
from evaluator.spec._gates import GateSpec, UnseenGate, check_metric
from evaluator.spec._settings import (
    AutomationSpec,
    CertificateSpec,
    CompareSpec,
    ExamplesSpec,
    ExecutionSpec,
    FairnessSpec,
    LinksSpec,
    LocalExecution,
    WeakSlicesSpec,
)
from evaluator.spec._tasks import (
    SEVERAL_LABELS,
    TASKS,
    BinaryTask,
    LabelSpec,
    Task,
    TaskName,
    declared_task,
)

_MAX_SLICE_COLUMNS: Final = 4
"""How many columns may be crossed; beyond that slices hold hardly a case each."""

_MAX_SHOWN: Final = 40

_SOME_DAY: Final = "2013-11-01"

# Dagster takes no others.
_OWNER: Final = re.compile(
    r"team:.+|[a-z0-9_][a-z0-9._%+-]*@[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,7}",
    re.ASCII | re.IGNORECASE,
)

_CONTINUOUS_TYPES: Final = ("float", "decimal", "timestamp")
"""The types of columns that have nearly as many values as there are cases."""


class DiscoveredColumn(SpecModel):
    """A column by which cases are divided, whose values nobody knows beforehand."""

    column: str = Field(examples=["region"])
    """The column; it must be required."""

    values: Literal["discover"] = Field(examples=["discover"])
    """That its values are found when the evaluation set is frozen."""

    at_most: int = Field(default=50, ge=1, le=1_000, examples=[50])
    """How many values at most are told apart, the most frequent ones; all others are `other`."""

    minimum_cases: int = Field(default=30, ge=1, examples=[30])
    """A value with fewer cases, when it is first seen, is `other`. One that was found stays."""

    found: tuple[str, ...] = Field(default=(), examples=[["north", "south", "other"]])
    """The values that were found. The platform writes them into a certificate's declaration; in
    your own YAML they have no place."""


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

    labels: LabelsSpec | None = Field(
        default=None, examples=[{"files": "labels-{date}.csv", "...": "..."}]
    )
    """Where labels come later than their cases, the files in which they come. Without it the label
    stands in the files of `data`."""

    task: TaskName = Field(default="binary", examples=["multiclass"])
    """What candidates are asked about each case: whether it is positive (`binary`), of which of
    several classes it is (`multiclass`), how much something is (`regression`), or which items come
    first (`ranking`; a case is a query then)."""

    label: LabelSpec | None = Field(default=None, examples=[{"column": "late", "positive": 1}])
    """Where the truth stands; needed as soon as there are candidates."""

    geography: str | DiscoveredColumn | None = Field(
        default=None, examples=["region", {"column": "region", "values": "discover"}]
    )
    """The column that gives a case's geography. It must be required and list its `allowed`
    values, unless these are to be discovered. Without it all cases are of one geography, `all`."""

    segment: str | DiscoveredColumn | None = Field(default=None, examples=["airline_kind"])
    """The column that gives a case's segment. It must be required and list its `allowed`
    values, unless these are to be discovered. Without it all cases are of one segment, `all`."""

    candidates: tuple[CandidateSpec, ...] = Field(
        default=(),
        examples=[[{"name": "gradient_boosting", "path": "models/gb.skops", "...": "..."}]],
    )
    """The models that are judged, side by side, on the same evaluation set."""

    metrics: tuple[str, ...] = Field(
        default=BinaryTask.headline_metrics, min_length=1, examples=[["accuracy", "roc_auc"]]
    )
    """What is measured on every slice; the first ones stand at the top of the report. By default it
    is what is usual for the audit's `task`. The number in a name such as `top_3_accuracy` or
    `ndcg_at_10` may be any from 1 on."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1, examples=[0.95])
    """How sure the intervals are: 0.95 means that 95 of 100 hold the true value."""

    limits_level: float | None = Field(
        default=None, gt=0, lt=1, strict=True, allow_inf_nan=False, examples=[0.9]
    )
    """Of a regression whose candidates give limits with their numbers: the probability with which
    all of these are meant to hold the truth. The metric `interval_score` needs it."""

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
        default=None, examples=[{"features": ["carrier", "distance"], "conditions": 2}]
    )
    """The columns among whose crosses weak slices are searched. Without it none are."""

    examples: ExamplesSpec | None = Field(
        default=None, examples=[{"columns": ["departure_delay", "carrier"]}]
    )
    """The columns of single cases that the page shows of the worst slices. Without it, it shows
    none."""

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

    links: LinksSpec = Field(
        default_factory=LinksSpec, examples=[{"dagster": "https://dagster.example.org"}]
    )
    """Where the page's links to Dagster and MLflow lead."""

    automation: AutomationSpec = Field(
        default_factory=AutomationSpec, examples=[{"nightly": "0 2 * * *"}]
    )
    """What happens by itself while the Dagster daemon runs."""

    @property
    def asks(self) -> Task:
        """What the candidates are asked; nothing without a label."""
        if self.label is None:
            raise ValueError("an audit without a label asks nothing")
        return declared_task(self.task, self.label, self.truth, self.limits_level)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the label's classes; none where the task has no several classes."""
        return () if self.label is None else self.asks.classes

    @property
    def headline_metrics(self) -> tuple[str, ...]:
        """The metrics that have one value over all classes, as the top of a report has them."""
        return tuple(name for name in self.metrics if not METRICS[name].per_class)

    @property
    def label_column(self) -> str:
        """The label's column; there is none without a label."""
        if self.label is None:
            raise ValueError("an audit without a label knows no truth")
        return self.label.column

    @property
    def truth(self) -> ColumnSpec:
        """How the label's column is declared: of the data, or of labels in files of their own."""
        return (self.labels or self.data).columns[self.label_column]

    @property
    def baseline(self) -> str | None:
        """The baseline's name, if there is one."""
        return next((c.name for c in self.candidates if c.baseline), None)

    @property
    def compares(self) -> bool:
        """Whether there are candidates to be compared, and nobody switched it off."""
        return self.compare is not None and self.baseline is not None and len(self.candidates) > 1

    def what_counts(self) -> dict[str, Any]:
        """Return all that is declared and may change what is found or how it is judged, as JSON."""
        # In which order candidates are declared says nothing of any of them.
        ordered = self.with_candidates(sorted(candidate.name for candidate in self.candidates))
        of_no_account = {"execution", "partitions_per_run", "links"}
        counts = ordered.model_dump(mode="json", exclude=of_no_account)
        # What was certified before these could be declared says the same.
        for key in ("labels", "examples", "limits_level"):
            if counts[key] is None:
                del counts[key]
        if counts["task"] == "binary":
            del counts["task"]
        for candidate in counts["candidates"]:
            if candidate["training"] is None:
                del candidate["training"]
            for key in LATER_KEYS & candidate.keys():
                if not candidate[key]:
                    del candidate[key]
        return counts

    @property
    def judged_by(self) -> tuple[GateSpec, ...]:
        """All gates: those that are declared, and those that candidates' `training` implies."""
        asked = {
            gate.candidate for gate in self.gates if isinstance(gate, UnseenGate) and gate.required
        }
        implied = (
            UnseenGate(
                kind="unseen",
                candidate=candidate.name,
                rationale="It has not seen the answers that it is judged by",
            )
            for candidate in self.candidates
            if candidate.training is not None
            and candidate.training.seen != "tell"
            and not {None, candidate.name} & asked
        )
        return (*self.gates, *implied)

    def with_candidates(self, names: Sequence[str]) -> Self:
        """Return the same audit of these of its candidates, in this order."""
        known = {candidate.name: candidate for candidate in self.candidates}
        return self.model_copy(update={"candidates": tuple(known[name] for name in names)})

    @property
    def redacts_ids(self) -> bool:
        """Whether an id shows what is withheld: of several columns, one is enough."""
        return not {*self.data.id_columns}.isdisjoint(self.certificate.redact)

    def slices(self) -> list[Slice]:
        """Return every slice: each geography x each segment; none where nothing is evaluated."""
        values = self.slice_values()
        return list(starmap(Slice, product(values.get("geography", ()), values.get("segment", ()))))

    @property
    def slice_columns(self) -> dict[str, str]:
        """The columns by which cases are divided, by the names `geography` and `segment`."""
        declared = {"geography": self.geography, "segment": self.segment}
        return {
            dimension: how if isinstance(how, str) else how.column
            for dimension, how in declared.items()
            if how is not None
        }

    @property
    def discovered(self) -> dict[str, DiscoveredColumn]:
        """The dimensions whose values are found when the evaluation set is frozen."""
        declared = {"geography": self.geography, "segment": self.segment}
        return {name: how for name, how in declared.items() if isinstance(how, DiscoveredColumn)}

    def with_found(self, values: Mapping[str, Sequence[str]]) -> Self:
        """Return the same audit with the values that were found, by dimension."""
        known = {
            name: how.model_copy(update={"found": tuple(values.get(name, ()))})
            for name, how in self.discovered.items()
        }
        return self.model_copy(update=known)

    def slice_values(self) -> dict[str, tuple[str, ...]]:
        """Return the values of the two slice columns, by the names `geography` and `segment`.

        A column that is not declared has the one value `all`, but where there is no label either,
        and so nothing that could be evaluated. Of one whose values are discovered there are those
        that were found.
        """
        columns, discovered = self.slice_columns, self.discovered
        return {
            dimension: discovered[dimension].found
            if dimension in discovered
            else tuple(map(str, self.data.columns[columns[dimension]].allowed_names))
            if dimension in columns
            else (ALL,)
            for dimension in Slice._fields
            if dimension in columns or self.label is not None
        }

    def failed_slices_allowed(self) -> int:
        """Count the slices of a candidate that may be missing."""
        budget = self.allow_failed_slices
        if isinstance(budget, str):
            return 0
        if isinstance(budget, int):
            return budget
        return int(budget * len(self.slices()))

    @model_validator(mode="before")
    @classmethod
    def _former_places_count(cls, raw: Any, info: ValidationInfo) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        moved, former = move_keys(raw)
        for old, value in former.items():
            new = MOVED_KEYS[old]
            block, key = new.split(".")
            if value != moved[block][key]:
                others = [new] * (key in raw[block]) + [o for o in former if MOVED_KEYS[o] == new]
                raise problem(
                    old,
                    f"it says {value!r}, and `{others[0]}` says {moved[block][key]!r}",
                    f"write `{new}` alone, which counts for both",
                )
            if info.context != EITHER_SPELLING:
                message = f"`{old}` is `{new}` now"
                warnings.warn(message, RenamedKeyWarning, stacklevel=2)
        return moved

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let `dg check yaml` know the former places too."""
        reference = super().__get_pydantic_json_schema__(schema, handler)
        for old, new in MOVED_KEYS.items():
            (block, key), (new_block, new_key) = old.split("."), new.split(".")
            blocks = handler.resolve_ref_schema(reference)["properties"]
            # A block that may be null is the first of two choices.
            written, present = (
                handler.resolve_ref_schema(blocks[name].get("anyOf", [blocks[name]])[0])
                for name in (block, new_block)
            )
            written["properties"][key] = {**present["properties"][new_key], "deprecated": True}
        return reference

    @field_validator("owners")
    @classmethod
    def _owners_can_be_reached(cls, owners: tuple[str, ...]) -> tuple[str, ...]:
        for owner in owners:
            if not _OWNER.fullmatch(owner):
                raise problem(
                    "owners",
                    f"{owner!r} is neither an e-mail address nor a team",
                    f"write an address, or team:{owner}",
                )
        return owners

    @model_validator(mode="before")
    @classmethod
    def _defaults_follow_from_the_task(cls, raw: Any) -> Any:
        name = raw.get("task") if isinstance(raw, Mapping) else None
        if isinstance(name, str) and re.fullmatch(r"multi[-_ ]?label", name):
            raise problem("task", *SEVERAL_LABELS)
        if name == BinaryTask.key or name not in TASKS:
            return raw
        task = TASKS[name]
        said: dict[str, Any] = {"metrics": list(task.headline_metrics), **raw}
        label = said.get("label")
        measures = [
            measure
            for measure in task.fairness_measures()
            if (option := FAIRNESS_MEASURES[measure].option) is None
            or (isinstance(label, Mapping) and label.get(option) is not None)
        ]
        usual: dict[str, dict[str, Any]] = {
            "fairness": {"measures": measures},
            "weak_slices": {"loss": task.losses[0]},
        }
        for block, defaults in usual.items():
            if isinstance(said.get(block), Mapping):
                said[block] = {**defaults, **said[block]}
        if isinstance(said.get("gates"), list):
            said["gates"] = [
                {"metric": task.calibration_error, **gate}
                if isinstance(gate, Mapping) and gate.get("kind") == "calibration"
                else gate
                for gate in said["gates"]
            ]
        return said

    @field_validator("metrics")
    @classmethod
    def _metrics_exist(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            check_metric("metrics", name)
        refuse_repeated("metrics", metrics)
        return metrics

    @field_validator("allow_failed_slices", mode="before")
    @classmethod
    def _budget_is_a_count_or_a_share(cls, raw: Any) -> Any:
        is_count = isinstance(raw, int) and not isinstance(raw, bool) and raw >= 1
        is_share = isinstance(raw, float) and 0 < raw < 1
        if raw != "none" and not is_count and not is_share:
            raise problem(
                "allow_failed_slices",
                f"{raw!r} is neither `none`, nor a count, nor a share",
                "write none, a whole number such as 2, or a share below 1 such as 0.05",
            )
        return raw

    @model_validator(mode="after")
    def _candidates_are_distinct(self) -> Self:
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
    def _references_resolve(self) -> Self:
        _check_slice_columns(self)
        _check_labels(self)
        _check_task(self)
        _check_label(self)
        _check_cluster(self)
        _check_weight(self)
        _check_features(self)
        _check_training(self)
        _check_additional_slices(self)
        _check_compare(self)
        _check_fairness(self)
        _check_weak_slices(self)
        _check_redact(self)
        _check_examples(self)
        return self

    @model_validator(mode="after")
    def _candidates_have_what_they_need(self) -> Self:
        if self.candidates and self.label is None:
            raise problem(
                "label", "it is needed to judge candidates", "declare `label`, or no candidates"
            )
        return self

    @model_validator(mode="after")
    def _gates_look_at_what_is_there(self) -> Self:
        for index, gate in enumerate(self.gates):
            gate.check_references(f"gates.{index}", self)
        return self


def _check_slice_columns(spec: AuditSpec) -> None:
    """Refuse slice columns that are not declared, not two, or cannot name partitions."""
    for key, name in spec.slice_columns.items():
        _check_declared(key, name, spec)
        if key in spec.discovered:
            _check_can_be_discovered(key, name, spec.data.columns[name])
        else:
            _check_partitions(key, name, spec.data.columns[name])
    if len({*spec.slice_columns.values()}) < len(spec.slice_columns):
        raise problem(
            "segment", "it is the same column as geography", "choose two different columns"
        )


def _check_can_be_discovered(key: str, name: str, column: ColumnSpec) -> None:
    """Refuse a column that some case may lack, or whose values are spelt in several ways."""
    if not column.required or column.severity != "refuse":
        raise problem(
            key,
            f"the column {name!r} must be required, since each case has to be in a partition",
            f"set `required: true` on `data.columns.{name}`, and leave its severity at refuse",
        )
    if column.type not in ("category", "string", "integer"):
        raise problem(
            f"data.columns.{name}",
            f"values of type {column.type} cannot name the partitions of {key}",
            "make it a category",
        )


def _check_partitions(key: str, name: str, column: ColumnSpec) -> None:
    """Refuse a slice column whose values cannot name partitions."""
    if not column.allowed or not column.required or column.severity != "refuse":
        raise problem(
            key,
            f"the column {name!r} must be required and list its allowed values,"
            " since they are the partitions",
            f"set `required: true` and `allowed: [...]` on `data.columns.{name}`,"
            " and leave its severity at refuse",
        )
    # Of the other types a value may be spelt in several ways, such as True, true and 1.
    python_type = {"category": str, "string": str, "integer": int}.get(column.type)
    if python_type is None or not all(isinstance(value, python_type) for value in column.allowed):
        raise problem(
            f"data.columns.{name}",
            f"values of type {column.type} cannot name the partitions of {key}",
            "make it a category and quote its allowed values",
        )
    if len(set(column.allowed)) < len(column.allowed):
        raise problem(
            f"data.columns.{name}.allowed", "a value stands there twice", "keep one of them"
        )
    for value in column.allowed_names:
        if not can_name_partitions(str(value)):
            shown = str(value)[:_MAX_SHOWN]
            raise problem(
                f"data.columns.{name}.allowed",
                f"the value {shown!r} cannot name a partition",
                "use short values that have none of | , [ ] / ... and no control characters in"
                " them, no blanks around them, and are not . or ..",
            )


def _check_label(spec: AuditSpec) -> None:
    """Refuse a column that is no label, or none of the audit's task."""
    if spec.label is None:
        return
    name = spec.label.column
    if spec.labels is None:
        _check_declared("label.column", name, spec)
    column = spec.truth
    if column.type in TIME_TYPES:
        raise problem(
            "label.column",
            f"the column {name!r} is a {column.type}, and no label",
            "name a column of type boolean, integer, string or category, or derive one",
        )
    asks = spec.asks
    asks.check_label()
    asks.check_options(spec.metrics, () if spec.fairness is None else spec.fairness.measures)
    asks.check_column(column)
    for index, candidate in enumerate(spec.candidates):
        asks.check_candidate(f"candidates.{index}", candidate)


def _check_task(spec: AuditSpec) -> None:
    """Refuse metrics, measures and losses that are of another task."""
    task = TASKS[spec.task]
    measures = () if spec.fairness is None else spec.fairness.measures
    losses = () if spec.weak_slices is None else (spec.weak_slices.loss,)
    for key, names, known in (
        ("metrics", [one for one in spec.metrics if not task.has_metric(one)], task.metrics()),
        ("fairness.measures", measures, task.fairness_measures()),
        ("weak_slices.loss", losses, task.losses),
    ):
        for name in names:
            refuse_unknown(key, f"{name!r} is of no {spec.task} task", name, known)
    if not spec.headline_metrics:
        raise problem(
            "metrics",
            "each of them has a value a class, and none says how good a candidate is in all",
            f"add one that does, such as {task.any_metric}",
        )
    if spec.limits_level is not None and not any(
        METRICS[name].option == "limits_level" for name in task.metrics()
    ):
        raise problem(
            "limits_level",
            f"it says nothing of a {spec.task} task",
            "take it out, or declare `task`",
        )
    limit = None if spec.fairness is None else spec.fairness.limit_difference
    shares = [name for name in measures if task.gaps_are_shares or FAIRNESS_MEASURES[name].rates]
    if limit is not None and limit >= 1 and shares:
        raise problem(
            "fairness.limit_difference",
            f"no difference between shares is above {limit:g}, and {shares[0]} compares shares",
            "write one below 1, or `measures` without shares",
        )


def _check_labels(spec: AuditSpec) -> None:
    """Refuse labels in files of their own that no case could be given."""
    labels, data = spec.labels, spec.data
    if labels is None:
        return
    if spec.label is None:
        raise problem("labels", "there is no `label` that they are of", "declare `label`, too")
    if spec.label.column != labels.column:
        raise problem(
            "labels.column",
            f"it is {labels.column!r}, and `label.column` is {spec.label.column!r}",
            "name the same column in both",
        )
    if labels.column in data.columns:
        raise problem(
            f"data.columns.{labels.column}",
            "the label stands in the data and in files of its own",
            "take it out here, or call this column otherwise",
        )
    if isinstance(data.id, RowNumber):
        raise problem(
            "data.id",
            "a row's number is known to its own file alone, and labels come in others",
            "name the columns that identify a case",
        )
    kinds = [[_id_type(one.columns[name]) for name in one.id_columns] for one in (data, labels)]
    if kinds[0] != kinds[1]:
        said = [" and ".join(kind) for kind in kinds]
        raise problem(
            "labels.id",
            f"it is {said[1]}, and `data.id` is {said[0]}",
            "name as many columns of the same types, in the same order",
        )
    if labels.mature_after and data.period == SNAPSHOT:
        raise problem(
            "labels.mature_after", "the data are of no day, so that no case has an age", "remove it"
        )
    if labels.table is None and data.table is None and labels.landing == data.landing:
        _check_files_apart(labels, data)


def _id_type(column: ColumnSpec) -> str:
    """Say what an id is read as; text is text, whatever it is for."""
    if column.type == "decimal":
        return f"decimal of {column.precision} and {column.scale} digits"
    return "string" if column.type == "category" else column.type


def _check_files_apart(labels: LabelsSpec, data: DataSpec) -> None:
    """Refuse names by which a file in the same folder could be of data and of labels."""
    # What any number of files are called by stands for nothing as well.
    names = [one.file_name(_SOME_DAY) for one in (labels, data)]
    told = [re.escape(name).replace(r"\*", "[^/]*") for name in names]
    if any(re.fullmatch(told[i], names[1 - i].replace("*", "")) for i in (0, 1)):
        raise problem(
            "labels.files",
            f"a file could be one of {labels.files!r} and of {data.files!r}",
            "call them otherwise, or let them arrive in another folder (`landing`)",
        )


def _check_features(spec: AuditSpec) -> None:
    """Refuse features that are not declared, or that give the truth away."""
    for index, candidate in enumerate(spec.candidates):
        key = f"candidates.{index}.features"
        if spec.label is not None and spec.label.column in candidate.features:
            raise problem(
                key,
                f"{candidate.name} is given the label {spec.label.column!r} as a feature",
                "take it out: a candidate must not see the truth",
            )
        for name in candidate.features:
            _check_declared(key, name, spec)


def _check_training(spec: AuditSpec) -> None:
    """Refuse columns by which no case could be found again in what a candidate was trained on."""
    data = spec.data
    for index, candidate in enumerate(spec.candidates):
        training, key = candidate.training, f"candidates.{index}.training"
        if training is None:
            continue
        if training.id_columns is not None and len(training.id_columns) != len(data.id_columns):
            count = len(data.id_columns)
            raise problem(
                f"{key}.id",
                f"it names {len(training.id_columns)} columns, and `data.id` {count or 'none'}",
                "name as many, in the same order" if count else "remove it: rows have no id there",
            )
        for name in training.columns or ():
            _check_is_no_label_or_id(f"{key}.columns", name, spec)
        if training.day is not None:
            _check_declared(f"{key}.day", training.day, spec)
            if data.columns[training.day].type not in TIME_TYPES:
                raise problem(
                    f"{key}.day",
                    f"the column {training.day!r} is a {data.columns[training.day].type}",
                    "name a column of type date or timestamp",
                )
        elif training.last_day is not None and data.period == SNAPSHOT:
            raise problem(
                f"{key}.last_day",
                "the data are of no day, so that no case is before it",
                "name under `day` the column that says of which day a case is, or remove it",
            )


def _check_additional_slices(spec: AuditSpec) -> None:
    """Refuse lists of columns that cannot be crossed."""
    for index, names in enumerate(spec.additional_slices):
        key = f"additional_slices.{index}"
        if not 1 <= len(names) <= _MAX_SLICE_COLUMNS:
            raise problem(
                key,
                f"it names {len(names)} columns",
                f"name one to {_MAX_SLICE_COLUMNS} columns in each list",
            )
        refuse_repeated(key, names, noun="the column ")
        for name in names:
            _check_groups(key, name, spec)


def _check_compare(spec: AuditSpec) -> None:
    """Refuse a comparison that was asked for and cannot be made."""
    # The default is for every audit, also where there is nothing to compare.
    if spec.compare is None or "compare" not in spec.model_fields_set:
        return
    if not spec.compares:
        raise problem(
            "compare",
            "there are no two candidates of which one is the baseline",
            "write `baseline: true` on the candidate that the others are compared with",
        )
    for name in spec.compare.margin if isinstance(spec.compare.margin, dict) else ():
        what = f"{name!r} is not among the audit's metrics"
        refuse_unknown("compare.margin", what, name, spec.metrics)


def _check_fairness(spec: AuditSpec) -> None:
    """Refuse attributes and a reference that make no groups to be compared."""
    fairness = spec.fairness
    if fairness is None:
        return
    _check_has_candidates("fairness", spec)
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
        column = spec.data.columns[name]
        allowed = column.allowed
        if allowed is not None and value not in (*allowed, *column.allowed_names):
            raise problem(
                "fairness.reference",
                f"{value!r} is not an allowed value of {name!r}",
                f"use one of {', '.join(map(str, allowed))}",
            )


def _check_weak_slices(spec: AuditSpec) -> None:
    """Refuse columns that no slice can be described by."""
    weak_slices = spec.weak_slices
    if weak_slices is None:
        return
    _check_has_candidates("weak_slices", spec)
    for name in weak_slices.features:
        _check_is_no_label_or_id("weak_slices.features", name, spec)
        column = spec.data.columns[name]
        if column.type in TIME_TYPES:
            hour = f" or `hour({name})`" if column.type == "timestamp" else ""
            raise problem(
                "weak_slices.features",
                f"the column {name!r} is a {column.type}, and none of its values comes again",
                "derive a number and name that, such as a column of type integer with"
                f" `derive` as `weekday({name})`{hour}",
            )


def _check_has_candidates(key: str, spec: AuditSpec) -> None:
    """Refuse a block about candidates where there are none."""
    if not spec.candidates:
        raise problem(
            key, "there are no candidates to look at", f"declare `candidates`, or no `{key}`"
        )


def _check_groups(key: str, name: str, spec: AuditSpec) -> None:
    """Refuse a column that cuts the cases into no groups, or into as many as there are cases."""
    _check_is_no_label_or_id(key, name, spec)
    column = spec.data.columns[name]
    if column.type in _CONTINUOUS_TYPES:
        band = f"hour({name}) < 12" if column.type == "timestamp" else f"{name} >= 100"
        raise problem(
            key,
            f"the column {name!r} is a {column.type}, which has nearly as many values as cases",
            "derive a band and name that, such as a column of type boolean with"
            f' `derive: "{band}"`',
        )


def _check_cluster(spec: AuditSpec) -> None:
    """Refuse a column that bundles no cases."""
    key, name = "data.cluster", spec.data.cluster
    if name is None:
        return
    if name == DAY and name not in spec.data.columns:
        if spec.data.period == SNAPSHOT:
            raise problem(key, "the data are of no day", "name a column, or leave `cluster` out")
        return
    _check_is_no_label_or_id(key, name, spec)
    column = spec.data.columns[name]
    if column.type in _CONTINUOUS_TYPES:
        raise problem(
            key,
            f"the column {name!r} is a {column.type}, which hardly any two cases have in common",
            f"name what cases share, such as a customer, or `{DAY}`",
        )


def _check_redact(spec: AuditSpec) -> None:
    """Refuse to withhold what every figure is computed from."""
    key = "certificate.redact"
    refuse_repeated(key, spec.certificate.redact, noun="the column ")
    label = None if spec.label is None else spec.label.column
    needed = {label: "label"} | {name: kind for kind, name in spec.slice_columns.items()}
    for name in spec.certificate.redact:
        kind = (needed | {spec.data.weight: "weight"}).get(name)
        if kind is None:
            _check_declared(key, name, spec)
        else:
            raise problem(
                key,
                f"the column {name!r} is the {kind}, from which every figure is computed",
                "take it out: without it nobody could check anything",
            )


def _check_examples(spec: AuditSpec) -> None:
    """Refuse to show what is to be withheld, or what there is not."""
    for name in () if spec.examples is None else spec.examples.columns:
        _check_declared("examples.columns", name, spec)
        if name in spec.certificate.redact:
            raise problem(
                "examples.columns",
                f"the column {name!r} may not leave (`certificate.redact`)",
                "take it out in one of the two places",
            )
    if spec.examples is not None and spec.redacts_ids:
        raise problem(
            "examples", "ids may not leave (`certificate.redact`)", "take one of the two out"
        )


def _check_weight(spec: AuditSpec) -> None:
    """Refuse a column that no case can be weighed by."""
    key, name = "data.weight", spec.data.weight
    if name is None:
        return
    _check_declared(key, name, spec)
    kind = spec.data.columns[name].type
    if spec.label is not None and name == spec.label.column:
        what = "is the label"
    elif name == spec.data.id_column:
        what = "is the id"
    elif kind not in NUMBER_TYPES:
        what = f"is a {kind}"
    else:
        return
    raise problem(
        key,
        f"the column {name!r} {what}, and no weight",
        f"name a column of weights, of type {', '.join(NUMBER_TYPES[:-1])} or {NUMBER_TYPES[-1]}",
    )


def _check_is_no_label_or_id(key: str, name: str, spec: AuditSpec) -> None:
    """Refuse a column that is not declared, and the two that make no groups."""
    if spec.label is not None and name == spec.label.column:
        raise problem(
            key,
            f"the column {name!r} is the label",
            "take it out: within one of its groups there is nothing to tell apart",
        )
    _check_declared(key, name, spec)
    if name == spec.data.id_column:
        raise problem(
            key, f"the column {name!r} is the id", "take it out: each of its groups is one case"
        )


def _check_declared(key: str, name: str, spec: AuditSpec) -> None:
    """Refuse a column that is not declared, and say which one could have been meant."""
    columns = spec.data.columns
    if name not in columns:
        fix = f"declare it under `data.columns`, or use one of {', '.join(columns)}"
        raise problem(key, f"the column {name!r} is not declared", suggestion(name, columns, fix))
