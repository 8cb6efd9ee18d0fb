"""The further blocks: comparison, fairness, weak slices, certificates, where and when all runs."""

import re
from itertools import chain, product
from typing import Annotated, Any, Final, Literal

from pydantic import Field, Tag, ValidationInfo, field_validator

from evaluator.metrics import FAIRNESS_MEASURES
from evaluator.spec._base import (
    SchemaByKind,
    SpecModel,
    kind_discriminator,
    problem,
    refuse_repeated,
    refuse_unknown,
)
from evaluator.spec._tasks import BinaryTask, Loss

Margin = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]

_HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
_ADDRESS: Final = re.compile(rf"auto|(?:ray://)?(?P<host>{_HOST}):(?P<port>[0-9]{{1,5}})")
_HIGHEST_PORT: Final = 65535
_SERVER: Final = r"^https?://[A-Za-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~/-]*)?$"
_DEFAULT_KIND: Final = "local"

_CRON_RANGES: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS: Final = ("jan feb mar apr may jun jul aug sep oct nov dec", 1)
_LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WEEKDAYS: Final = ("sun mon tue wed thu fri sat", 0)


class CompareSpec(SpecModel):
    """How the candidates are compared on the same cases.

    Each is compared with the baseline, and all pairs for the ranks. docs/comparison.md says how to
    read the result.
    """

    margin: Margin | dict[str, Margin] | None = Field(
        default=None, examples=[{"accuracy": 0.01, "roc_auc": 0.01}]
    )
    """The largest difference that does not matter, in the metric's own unit: one for all metrics,
    or some by name. Only with it can candidates be shown to be equivalent, or not worse."""

    adjust: Literal["holm", "benjamini_hochberg"] = Field(
        default="holm", examples=["benjamini_hochberg"]
    )
    """How the tests of a metric in all slices are kept honest: `holm` bounds the chance of any
    false finding, `benjamini_hochberg` the share of false ones among the findings."""


class ExamplesSpec(SpecModel):
    """Which columns of single cases the page may show, as examples of the worst slices.

    At most 5 cases of each of the 20 slices that are furthest on the worse side are shown: those
    with the largest errors, and some at random. A redacted bundle does not have the page then.
    """

    columns: tuple[str, ...] = Field(min_length=1, examples=[["departure_delay", "carrier"]])
    """The declared columns whose values are shown, beside id, label, score and decision."""

    @field_validator("columns")
    @classmethod
    def _columns_are_distinct(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        refuse_repeated("columns", columns)
        return columns


class FairnessSpec(SpecModel):
    """Whether each candidate treats groups of cases alike.

    docs/fairness.md says what the measures mean and how to choose among them.
    """

    attributes: tuple[str, ...] = Field(
        min_length=1, max_length=4, examples=[["region", "airline_kind"]]
    )
    """One to four declared columns whose values make the groups. Each is looked at alone and in
    its crosses with the others; cases without a value are a group of their own."""

    measures: tuple[str, ...] = Field(
        default=BinaryTask.fairness_measures(),
        min_length=1,
        examples=[["equal_opportunity", "accuracy_gap"]],
    )
    """What is compared between the groups. Several of them cannot hold at once, so choose the
    question; by default all that fit the audit's `task` are measured."""

    reference: Literal["best", "overall"] | dict[str, bool | int | str] = Field(
        default="best", examples=[{"region": "eastern", "airline_kind": "network"}]
    )
    """What each group is compared with: the `best` of the others, all cases together (`overall`),
    or a group named by one value of every attribute."""

    limit_difference: float | None = Field(
        default=None, gt=0, strict=True, allow_inf_nan=False, examples=[0.1]
    )
    """The largest difference between a group and its reference that is fair: of shares below 1, of
    means in the label's unit. Differences that no
    gate names are shown with a verdict against it, and no certificate depends on that; without it
    they have none."""

    limit_ratio: float | None = Field(
        default=None, gt=0, lt=1, strict=True, allow_inf_nan=False, examples=[0.8]
    )
    """The same for ratios: the smallest that is fair; its inverse is the largest. 0.8 is the
    four-fifths rule."""

    control: tuple[str, ...] = Field(default=(), max_length=4, examples=[["scheduled_hour"]])
    """Declared columns that may explain a gap: groups are compared within each combination of
    their values."""

    minimum_support: int = Field(default=20, ge=1, strict=True, examples=[20])
    """The fewest cases that each side of an interval rests on."""

    @field_validator("measures")
    @classmethod
    def _measures_exist(cls, measures: tuple[str, ...]) -> tuple[str, ...]:
        for name in measures:
            what = f"there is no fairness measure {name!r}"
            refuse_unknown("measures", what, name, tuple(FAIRNESS_MEASURES))
        refuse_repeated("measures", measures)
        return measures

    @field_validator("attributes", "control")
    @classmethod
    def _columns_are_distinct(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        refuse_repeated(str(info.field_name), names)
        return names


class WeakSlicesSpec(SpecModel):
    """Where each candidate does worse than on its other cases.

    Slices are searched among the crosses of the columns, and confirmed on cases that the search
    has not seen. Where an earlier certificate was about another evaluation set, it is told of each
    single condition whether the candidate got worse since. docs/weak-slices.md says how to read
    the result.
    """

    features: tuple[str, ...] = Field(
        min_length=1, examples=[["carrier", "origin", "distance", "scheduled_hour"]]
    )
    """The declared columns that slices are described by: numbers, texts and truth values. Numbers
    are cut into ranges, and cases without a value are a condition of their own."""

    loss: Loss = Field(default="error_rate", examples=["false_negative_rate"])
    """What "worse" means, by the audit's `task`: of a binary one `error_rate`,
    `false_negative_rate`, `false_positive_rate`, and `log_loss` and `brier`, which need scores; of
    classes `error_rate`, and these two; of numbers `absolute_error`, the default then, or
    `squared_error`; of rankings `ndcg_shortfall`, which is 1 - NDCG at 10."""

    conditions: int = Field(default=2, ge=1, le=3, strict=True, examples=[2])
    """How many conditions a slice has at most. Three take about ten times as long as two."""

    minimum_support: int = Field(default=100, ge=2, strict=True, examples=[100])
    """The fewest cases of a slice; half of them are searched, and half confirm."""

    level: float = Field(default=0.1, gt=0, lt=0.5, strict=True, examples=[0.1])
    """The probability that a candidate has even one slice reported although none is weak."""

    @field_validator("features")
    @classmethod
    def _features_are_distinct(cls, features: tuple[str, ...]) -> tuple[str, ...]:
        refuse_repeated("features", features)
        return features


class CertificateSpec(SpecModel):
    """Who asks for the audit's certificates, how long they are valid, and what they open."""

    requested_by: str = Field(default="not stated", min_length=1, examples=["Ada Bell, model risk"])
    """Who asked for the audit; it stands in each certificate."""

    valid_days: int = Field(default=90, ge=1, le=3660, strict=True, examples=[90])
    """How many days a certificate is valid. Whatever is stated here, one is void when the artifact
    or the evaluation set is another one, or the ledger revokes it."""

    promote_alias: str | None = Field(
        default=None, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", examples=["released"]
    )
    """The alias that a certified model of an MLflow registry is given, beside a tag with its
    certificate's digest. Both are taken away when the certificate no longer stands. A candidate
    is promoted by nothing else."""

    redact: tuple[str, ...] = Field(default=(), examples=[["tail_number"]])
    """Declared columns that may not leave with a redacted export, such as names: salted digests
    stand for their values. Raw files, typed and refused rows and the reports of days stay behind
    anyway. Label, geography, segment and weight must leave, since figures are computed from them;
    what is measured by other redacted columns is not computed again from such an export."""


class LinksSpec(SpecModel):
    """Where the page's links lead that go to a server; nothing is asked there by itself."""

    dagster: str | None = Field(
        default="http://127.0.0.1:3000",
        pattern=_SERVER,
        examples=["https://dagster.example.org"],
    )
    """The address of Dagster's UI, by default where `evaluator ui` has it; `null` for no links."""

    mlflow: str | None = Field(
        default=None, pattern=_SERVER, examples=["https://mlflow.example.org"]
    )
    """The address of MLflow's UI. Without it, that of the tracking server where there is one."""


class ExecutionBase(SpecModel):
    """What places to run have in common: nothing but that `kind` decides which keys there are."""


class LocalExecution(ExecutionBase):
    """The candidates are run on the machine that runs the audit."""

    kind: Literal["local"] = Field(default="local", examples=["local"])
    """`local`: on the machine that runs the audit."""


class RayExecution(ExecutionBase):
    """A candidate's slices are spread over a Ray cluster."""

    kind: Literal["ray"] = Field(examples=["ray"])
    """`ray`: on a Ray cluster; needs the extra `ray`."""

    address: str = Field(examples=["ray://ray-head.example.org:10001"])
    """The cluster: `ray://host:port` from a machine outside of it, `host:port` or `auto` from one
    of its own machines."""

    max_retries: int = Field(default=3, ge=0, strict=True, examples=[3])
    """How often a slice is tried again after the worker process that ran it died: killed, out of
    memory, or with its machine. An error that the candidate raises is not tried again by this."""

    ray_init_options: dict[str, Any] = Field(
        default_factory=dict, examples=[{"runtime_env": {"pip": ["lightgbm"]}}]
    )
    """Further arguments of `ray.init`, as dagster-ray's resources take them. Ray shows them to
    whoever sees its dashboard, so they are no place for secrets."""

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Host and port to call; None where Ray finds its cluster itself."""
        match = _ADDRESS.fullmatch(self.address)
        if match is None or match["host"] is None:
            return None
        return match["host"].strip("[]"), int(match["port"])

    @field_validator("address")
    @classmethod
    def _address_can_be_called(cls, address: str) -> str:
        match = _ADDRESS.fullmatch(address)
        port = match and match["port"]
        if match is None or (port and not 0 < int(port) <= _HIGHEST_PORT):
            raise problem(
                "address",
                f"{address!r} is no address of a Ray cluster",
                "write ray://host:port, host:port or auto",
            )
        return address


ExecutionSpec = Annotated[
    Annotated[LocalExecution, Tag("kind: local")] | Annotated[RayExecution, Tag("kind: ray")],
    kind_discriminator(ExecutionBase, _DEFAULT_KIND),
    SchemaByKind(_DEFAULT_KIND),
]
"""Where an audit's candidates are run."""


class AutomationSpec(SpecModel):
    """What happens by itself while the Dagster daemon runs."""

    nightly: str | None = Field(default="0 2 * * *", examples=["0 2 * * *"])
    """A cron line (UTC) for the scheduled backfill of all slices; `null` switches it off."""

    refresh: Literal["daily", "weekly", "on_demand"] = Field(default="daily", examples=["weekly"])
    """When newly accepted days go into the evaluation set: as they come, each Monday (UTC), or
    only when a person materialises `evaluation_set` or calls `evaluator run --refresh`. Until then
    it stays frozen as it is."""

    faulty_days: Literal["wait", "leave_out"] = Field(default="wait", examples=["leave_out"])
    """What becomes of the evaluation set while a day could not be taken in by a fault of the
    machine or of the program, such as a full disk: it waits for the day, which the next run tries
    again, or is frozen without it. A day that is refused by its own fault is left out anyway."""

    @field_validator("nightly")
    @classmethod
    def _nightly_is_a_cron_line(cls, nightly: str | None) -> str | None:
        if nightly is not None and not _is_cron_line(nightly):
            raise problem(
                "nightly",
                f"{nightly!r} is no cron line",
                "write minute, hour, day, month and weekday, such as 0 2 * * * for 02:00 each day",
            )
        return nightly


def _is_cron_line(line: str) -> bool:
    """Tell whether a line has the five fields of cron, each within its range."""
    fields = line.lower().split()
    if len(fields) != len(_CRON_RANGES):
        return False
    fields[3:] = [_numbered(fields[3], *_MONTHS), _numbered(fields[4], *_WEEKDAYS)]
    values = [
        [_values_of(item, low, high) for item in field.split(",")]
        for field, (low, high) in zip(fields, _CRON_RANGES, strict=True)
    ]
    if not all(map(all, values)):
        return False
    # A day that none of its months has never comes.
    days, months = (chain.from_iterable(found) for found in values[2:4])
    return any(day <= _LONGEST[month - 1] for day, month in product(days, months))


def _numbered(field: str, names: str, first: int) -> str:
    """Write numbers for the names of months or weekdays."""
    for number, name in enumerate(names.split(), start=first):
        field = re.sub(rf"\b{name}\b", str(number), field)
    return field


def _values_of(item: str, low: int, high: int) -> range:
    """Return what `*`, a number or a range stands for, with or without a step; else nothing."""
    match = re.fullmatch(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?", item, re.ASCII)
    if match is None:
        return range(0)
    first, last, step = (None if number is None else int(number) for number in match.groups())
    start = low if first is None else first
    end = (start if first is not None and step is None else high) if last is None else last
    return range(start, end + 1, step or 1) if low <= start and end <= high else range(0)
