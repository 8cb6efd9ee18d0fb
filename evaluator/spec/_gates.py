"""The gates of an audit: what all have in common, and each kind's keys and what they refer to."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from evaluator.metrics import FAIRNESS_MEASURES, METRICS
from evaluator.scorecard import Slice
from evaluator.spec._base import (
    LabelValue,
    SchemaByKind,
    SpecModel,
    class_name,
    kind_discriminator,
    problem,
    refuse_unknown,
)
from evaluator.spec._candidates import CandidateSpec
from evaluator.spec._data import DataSpec, LabelsSpec
from evaluator.spec._settings import FairnessSpec, WeakSlicesSpec

GateLevel = Literal["overall", "geography", "segment", "slice"]

CALIBRATION_ERRORS: Final = tuple(name for name, info in METRICS.items() if info.calibration_error)
"""The metrics that measure how far scores are from being probabilities; less is better."""

_DEFAULT_KIND: Final = "metric"


class Declared(Protocol):
    """What of an audit its gates refer to; an `AuditSpec` is one, and imports the gates."""

    @property
    def candidates(self) -> Sequence[CandidateSpec]: ...
    @property
    def data(self) -> DataSpec: ...
    @property
    def labels(self) -> LabelsSpec | None: ...
    @property
    def metrics(self) -> Sequence[str]: ...
    @property
    def slice_columns(self) -> Mapping[str, str]: ...
    @property
    def discovered(self) -> Mapping[str, Any]: ...
    @property
    def fairness(self) -> FairnessSpec | None: ...
    @property
    def weak_slices(self) -> WeakSlicesSpec | None: ...
    @property
    def baseline(self) -> str | None: ...
    @property
    def compares(self) -> bool: ...
    @property
    def classes(self) -> Sequence[str]: ...
    def slice_values(self) -> Mapping[str, Collection[str]]: ...


class GateBase(SpecModel):
    """A rule that a candidate must keep, or else it is not certified.

    Its `kind` says what it looks at.
    """

    if TYPE_CHECKING:
        # Each kind declares it after the keys that all have, and so it is shown.
        kind: str

    candidate: str | None = Field(default=None, examples=["gradient_boosting"])
    """The one candidate that the gate is for; without it the gate is for every candidate."""

    required: bool = Field(default=True, strict=True, examples=[False])
    """Whether a certificate needs this gate. One that is not required is judged and shown, and
    decides nothing."""

    rationale: str = Field(default="", examples=["Late flights are found in every region"])
    """What the gate is for, in words of your own; they stand beside its verdict in the report."""

    def check_references(self, key: str, audit: Declared) -> None:
        """Refuse what the gate refers to and the audit does not declare."""
        if self.candidate is not None:
            names = sorted(candidate.name for candidate in audit.candidates)
            what = f"there is no candidate {self.candidate!r}"
            refuse_unknown(f"{key}.candidate", what, self.candidate, names)


class EstimateGate(GateBase):
    """A gate on something that is estimated from cases, and so has an interval."""

    decide_on: Literal["bound", "value"] = Field(default="bound", examples=["value"])
    """What is held against the limit. `bound`: the interval; PASS where all of it is on the good
    side, FAIL where all of it is on the bad side, otherwise INSUFFICIENT EVIDENCE. `value`: the
    value alone, as if it were known exactly; the report says so."""


class ClassGate(EstimateGate):
    """A gate on what may have a value a class."""

    class_: LabelValue | None = Field(default=None, examples=["high"])
    """Of a multiclass task: the one class that the gate is for, where what it looks at has a value
    a class. Without it the limits must be kept by every class."""

    @property
    def of_class(self) -> str | None:
        """The name of the one class that it is for."""
        return None if self.class_ is None else class_name(self.class_)

    def check_references(self, key: str, audit: Declared) -> None:
        """Refuse a class that the label does not have."""
        super().check_references(key, audit)
        if self.of_class is None:
            return
        if not audit.classes:
            raise problem(f"{key}.class", "the label has no several classes", "take it out")
        what = f"the label has no class {self.of_class!r}"
        refuse_unknown(f"{key}.class", what, self.of_class, audit.classes)

    def _refuse_class(self, of: str) -> None:
        """Refuse a class of what has one value over all of them."""
        if self.class_ is not None:
            raise problem(
                "class", f"{of} has one value over all classes, and none of each", "take it out"
            )

    @model_serializer(mode="wrap")
    def _only_what_is_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What was certified before it could be declared says the same.
        said: dict[str, Any] = handler(self)
        return {key: one for key, one in said.items() if key != "class" or one is not None}


class ScopedGate(ClassGate):
    """A gate on measurements of scopes: overall, at margins or in slices."""

    if TYPE_CHECKING:
        # As with `kind`.
        metric: str

    level: GateLevel = Field(default="overall", examples=["slice"])
    """Where the limits must be kept: `overall`, or in each `geography`, in each `segment`, or in
    each `slice` (one geography x one segment). The gate passes where it passes at every place."""

    geography: str | None = Field(default=None, examples=["pacific"])
    """The one geography that the gate is for, instead of a `level`; with `segment`, one slice."""

    segment: str | None = Field(default=None, examples=["regional"])
    """The one segment that the gate is for, instead of a `level`; with `geography`, one slice."""

    @property
    def names_scope(self) -> bool:
        """Whether the gate is for one scope that it names."""
        return self.geography is not None or self.segment is not None

    @property
    def scope_level(self) -> GateLevel:
        """The level of the figures that the gate looks at."""
        if not self.names_scope:
            return self.level
        if self.geography is None:
            return "segment"
        return "geography" if self.segment is None else "slice"

    def check_references(self, key: str, audit: Declared) -> None:
        """Refuse a metric or a scope that the audit does not have."""
        super().check_references(key, audit)
        if self.metric not in audit.metrics:
            raise problem(
                f"{key}.metric",
                f"{self.metric!r} is not among the audit's metrics",
                f"add it to `metrics`, or use one of {', '.join(audit.metrics)}",
            )
        dimensions = {"overall": (), "slice": Slice._fields}.get(self.level, (self.level,))
        if dimensions and not audit.slice_columns.keys() & {*dimensions}:
            raise problem(
                f"{key}.level",
                f"the audit declares no {' and no '.join(dimensions)}",
                "take `level` out: the gate is for all cases then",
            )
        for dimension, name in (("geography", self.geography), ("segment", self.segment)):
            # Of what is discovered nobody knows beforehand whether it will be there.
            if name is not None and dimension not in audit.discovered:
                known = sorted(audit.slice_values().get(dimension, ()))
                refuse_unknown(
                    f"{key}.{dimension}", f"there is no {dimension} {name!r}", name, known
                )

    @model_validator(mode="after")
    def _class_fits(self) -> Self:
        if not METRICS[self.metric].per_class:
            self._refuse_class(self.metric)
        return self

    @model_validator(mode="after")
    def _scope_or_level(self) -> Self:
        if "level" in self.model_fields_set and self.names_scope:
            raise problem(
                "level",
                "the gate names a place, and a level as well",
                "take `level` out, or take `geography` and `segment` out",
            )
        return self


class MetricGate(ScopedGate):
    """A metric against a limit, or against the baseline's."""

    kind: Literal["metric"] = Field(default="metric", examples=["metric"])
    """This kind; it may be left out."""

    metric: str = Field(examples=["recall"])
    """The metric that the gate looks at; it must be among the audit's `metrics`."""

    at_least: float | None = Field(default=None, strict=True, allow_inf_nan=False, examples=[0.6])
    """The lowest value that passes. It may stand together with `at_most`."""

    at_most: float | None = Field(default=None, strict=True, allow_inf_nan=False, examples=[0.35])
    """The highest value that passes. It may stand together with `at_least`."""

    not_worse_than_baseline_by: float | None = Field(
        default=None, strict=True, allow_inf_nan=False, gt=0, examples=[0.01]
    )
    """By how much the candidate may be worse than the baseline, in the metric's own unit: the
    paired difference, on the same cases, is held against this margin."""

    better_than_baseline: bool = Field(default=False, strict=True, examples=[True])
    """Whether the candidate must be better than the baseline, by however little; a difference of
    exactly 0 is not better."""

    better_than_baseline_by: float | None = Field(
        default=None, strict=True, allow_inf_nan=False, gt=0, examples=[0.02]
    )
    """By how much at least the candidate must be better than the baseline, in the metric's own
    unit; the paired difference is held against it by its interval, and not by its value."""

    @property
    def against_baseline(self) -> bool:
        """Whether it is the difference from the baseline that counts."""
        return bool(self._against)

    @property
    def _against(self) -> list[str]:
        """Its keys of differences from the baseline."""
        keys = (
            "not_worse_than_baseline_by",
            "better_than_baseline",
            "better_than_baseline_by",
        )
        return [key for key in keys if getattr(self, key)]

    def check_references(self, key: str, audit: Declared) -> None:
        """Refuse a difference that is not computed as well."""
        super().check_references(key, audit)
        if not self.against_baseline:
            return
        if audit.baseline is None:
            raise problem(
                f"{key}.{self._against[0]}",
                "no candidate is the baseline",
                "write `baseline: true` at the candidate that the others are compared with",
            )
        if self.candidate == audit.baseline:
            raise problem(
                f"{key}.candidate",
                f"{self.candidate!r} is the baseline, and is not compared with itself",
                "name another candidate, or none, so that the gate is for all others",
            )
        if not audit.compares:
            raise _undeclared(f"{key}.{self._against[0]}", "compare candidates", "compare")

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, metric: str) -> str:
        check_metric("metric", metric)
        return metric

    @model_validator(mode="after")
    def _limits_make_sense(self) -> Self:
        limits = [key for key in ("at_least", "at_most") if getattr(self, key) is not None]
        against = self._against
        if not limits and not against:
            raise problem(
                "at_least",
                f"the gate on {self.metric} has no limit",
                "give it `at_least`, `at_most`, `not_worse_than_baseline_by`,"
                " `better_than_baseline: true` or `better_than_baseline_by`",
            )
        if len(against) + bool(limits) > 1:
            keys = [*limits, *against]
            raise problem(
                keys[-1],
                f"the gate on {self.metric} has {' and '.join(keys)}, which look at different"
                " things",
                "make a gate of each",
            )
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise problem(
                "at_least",
                f"the gate on {self.metric} can never pass, since its least {self.at_least:g} is "
                f"above its most {self.at_most:g}",
                "exchange the two, or take one out",
            )
        if against and METRICS[self.metric].higher_is_better is None:
            raise problem(
                against[0],
                f"of {self.metric} neither more nor less is better",
                "choose a metric that has a direction, or use `at_least` and `at_most`",
            )
        info = METRICS[self.metric]
        # Of other metrics there may be such a gate that was certified by.
        if against and info.per_class and info.no_paired_test:
            raise problem(
                against[0],
                f"candidates are not compared by {self.metric}: {info.no_paired_test}",
                "use `at_least` or `at_most`",
            )
        return self


class CalibrationGate(ScopedGate):
    """How far scores may be from being probabilities."""

    kind: Literal["calibration"] = Field(examples=["calibration"])
    """This kind."""

    metric: str = Field(
        default="expected_calibration_error", examples=["expected_calibration_error"]
    )
    """The error of calibration; it must be among the audit's `metrics`. By default it is what is
    usual for the audit's `task`: of several classes `top_label_calibration_error`."""

    at_most: float = Field(strict=True, allow_inf_nan=False, ge=0, examples=[0.05])
    """The highest error that passes."""

    @field_validator("metric")
    @classmethod
    def _metric_is_an_error_of_calibration(cls, metric: str) -> str:
        what = f"{metric!r} is no error of calibration"
        refuse_unknown("metric", what, metric, CALIBRATION_ERRORS)
        return metric


class FairnessGate(ClassGate):
    """How differently groups of cases may be treated. It needs `fairness` in the audit."""

    kind: Literal["fairness"] = Field(examples=["fairness"])
    """This kind."""

    measure: str = Field(examples=["equal_opportunity"])
    """What is compared between groups; it must be among the measures of the audit's `fairness`."""

    attribute: str | None = Field(default=None, examples=["region"])
    """The column whose groups are compared, or a cross such as `region x airline_kind`; without
    it every column and every cross that the audit's `fairness` looks at."""

    limit_difference: float | None = Field(
        default=None, strict=True, allow_inf_nan=False, gt=0, examples=[0.1]
    )
    """The largest difference that passes. A gate has this, `limit_ratio`, or both."""

    limit_ratio: float | None = Field(default=None, strict=True, gt=0, lt=1, examples=[0.8])
    """The smallest ratio that passes; 0.8 is the four-fifths rule."""

    def check_references(self, key: str, audit: Declared) -> None:
        """Refuse a measure or an attribute that the audit's `fairness` does not look at."""
        super().check_references(key, audit)
        if audit.fairness is None:
            raise _undeclared(f"{key}.kind", "measure fairness", "fairness")
        what = f"the audit's `fairness` does not measure {self.measure!r}"
        refuse_unknown(f"{key}.measure", what, self.measure, sorted(audit.fairness.measures))
        attributes = sorted(audit.fairness.attributes)
        for name in [] if self.attribute is None else self.attribute.split(" x "):
            what = f"the audit's `fairness` does not look at {name!r}"
            refuse_unknown(f"{key}.attribute", what, name, attributes)

    @field_validator("measure")
    @classmethod
    def _measure_is_known(cls, measure: str) -> str:
        what = f"there is no fairness measure {measure!r}"
        refuse_unknown("measure", what, measure, FAIRNESS_MEASURES)
        return measure

    @model_validator(mode="after")
    def _class_fits(self) -> Self:
        if not FAIRNESS_MEASURES[self.measure].per_class:
            self._refuse_class(self.measure)
        return self

    @model_validator(mode="after")
    def _there_is_a_limit(self) -> Self:
        if self.limit_difference is None and self.limit_ratio is None:
            raise problem(
                "limit_difference",
                f"the gate on {self.measure} has no limit",
                "give it `limit_difference`, `limit_ratio`, or both",
            )
        if self.limit_ratio is not None and not FAIRNESS_MEASURES[self.measure].ratio:
            raise problem(
                "limit_ratio",
                f"a ratio of {self.measure} has no meaning",
                "use `limit_difference`",
            )
        return self


class WeakSlicesGate(EstimateGate):
    """How much worse than elsewhere the candidate may be on any slice that a search finds.

    It needs `weak_slices` in the audit.
    """

    kind: Literal["weak_slices"] = Field(examples=["weak_slices"])
    """This kind."""

    no_weak_slice_above: float = Field(strict=True, allow_inf_nan=False, ge=0, examples=[0.1])
    """The largest excess of the loss on a slice over the loss on all other cases that passes."""

    def check_references(self, key: str, audit: Declared) -> None:
        """Refuse a gate on a search that there is not."""
        super().check_references(key, audit)
        if audit.weak_slices is None:
            raise _undeclared(f"{key}.kind", "search for weak slices", "weak_slices")


class CompleteGate(GateBase):
    """Every slice of the candidate has a result of this version.

    As many may be missing as `allow_failed_slices` allows.
    """

    kind: Literal["complete"] = Field(examples=["complete"])
    """This kind."""


class DataQualityGate(GateBase):
    """How much of the data that arrived may have been refused."""

    kind: Literal["data_quality"] = Field(examples=["data_quality"])
    """This kind."""

    refused_share_at_most: float | None = Field(
        default=None, strict=True, ge=0, lt=1, examples=[0.02]
    )
    """The largest share of rows in quarantine, over all accepted days together."""

    refused_days_at_most: int | None = Field(default=None, strict=True, ge=0, examples=[0])
    """How many days may have been refused as a whole."""

    @model_validator(mode="after")
    def _there_is_a_limit(self) -> Self:
        if self.refused_share_at_most is None and self.refused_days_at_most is None:
            raise problem(
                "refused_share_at_most",
                "the gate on the data's quality has no limit",
                "give it `refused_share_at_most`, `refused_days_at_most`, or both",
            )
        return self


class LabelledGate(GateBase):
    """How many of the cases that are old enough have a label.

    It needs `labels` in the audit.
    """

    kind: Literal["labelled"] = Field(examples=["labelled"])
    """This kind."""

    at_least: float = Field(strict=True, gt=0, le=1, examples=[0.95])
    """The smallest share, of all cases that are `labels.mature_after` days old, that passes."""

    def check_references(self, key: str, audit: Declared) -> None:
        """Refuse a gate on labels that stand beside their cases."""
        super().check_references(key, audit)
        if audit.labels is None:
            raise _undeclared(f"{key}.kind", "have labels in files of their own", "labels")


class UnseenGate(GateBase):
    """How many of the cases the candidate may have seen in training.

    A candidate that declares no `training` does not pass. One whose `training.seen` is `refuse` or
    `leave_out` has this gate anyway, with a limit of 0, unless another of this kind is for it.
    """

    kind: Literal["unseen"] = Field(examples=["unseen"])
    """This kind."""

    at_most: float = Field(default=0.0, strict=True, ge=0, lt=1, examples=[0.001])
    """The largest share of the cases that passes."""


class DriftGate(GateBase):
    """How far the content of any accepted day may be from the reference's."""

    kind: Literal["drift"] = Field(examples=["drift"])
    """This kind."""

    drift_below: float = Field(strict=True, allow_inf_nan=False, gt=0, examples=[0.2])
    """Every column's distance from the reference must be below this, each day."""

    measure: Literal["stability_index", "jensen_shannon"] = Field(
        default="stability_index", examples=["jensen_shannon"]
    )
    """Which distance: the population stability index, or the Jensen-Shannon distance (0 to 1)."""

    columns: tuple[str, ...] | None = Field(
        default=None, min_length=1, examples=[["departure_delay"]]
    )
    """The declared columns that are looked at; without it all whose drift is measured."""

    def check_references(self, key: str, audit: Declared) -> None:
        """Refuse columns that are not declared."""
        super().check_references(key, audit)
        for name in self.columns or ():
            known = sorted(audit.data.columns)
            refuse_unknown(f"{key}.columns", f"there is no column {name!r}", name, known)


GateSpec = Annotated[
    Annotated[MetricGate, Tag("kind: metric")]
    | Annotated[CalibrationGate, Tag("kind: calibration")]
    | Annotated[FairnessGate, Tag("kind: fairness")]
    | Annotated[WeakSlicesGate, Tag("kind: weak_slices")]
    | Annotated[CompleteGate, Tag("kind: complete")]
    | Annotated[DataQualityGate, Tag("kind: data_quality")]
    | Annotated[LabelledGate, Tag("kind: labelled")]
    | Annotated[UnseenGate, Tag("kind: unseen")]
    | Annotated[DriftGate, Tag("kind: drift")],
    kind_discriminator(GateBase, _DEFAULT_KIND),
    SchemaByKind(_DEFAULT_KIND),
]
"""One gate of an audit, of any kind."""


def check_metric(key: str, name: str) -> None:
    """Refuse a metric that there is not, and say which ones could have been meant."""
    if name not in METRICS:
        close = get_close_matches(name, METRICS, n=3) or list(METRICS)
        raise problem(key, f"there is no metric {name!r}", f"use one of {', '.join(close)}")


def _undeclared(key: str, what: str, block: str) -> PydanticCustomError:
    """Say that the audit does not do what the gate looks at."""
    return problem(key, f"the audit does not {what}", f"declare `{block}`, or take the gate out")
