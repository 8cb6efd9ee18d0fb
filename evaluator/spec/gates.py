"""What a certificate needs: the gates of an audit."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from evaluator.metrics import METRICS
from evaluator.spec.base import SpecModel, problem

GateLevel = Literal["overall", "geography", "segment", "slice"]


class GateSpec(SpecModel):
    """A rule that a candidate must keep, or else it is not certified."""

    metric: str = Field(examples=["recall"])
    """The metric that the gate looks at; it must be among the audit's `metrics`."""

    level: GateLevel = Field(default="overall", examples=["slice"])
    """Where the limits must be kept: `overall`, or in each `geography`, in each `segment`, or in
    each `slice` (one geography x one segment)."""

    minimum: float | None = Field(default=None, strict=True, allow_inf_nan=False, examples=[0.6])
    """The lowest value that passes. A gate has a minimum, a maximum, or both."""

    maximum: float | None = Field(default=None, strict=True, allow_inf_nan=False, examples=[0.35])
    """The highest value that passes. A gate has a minimum, a maximum, or both."""

    candidate: str | None = Field(default=None, examples=["gradient_boosting"])
    """The one candidate that the gate is for; without it the gate is for every candidate."""

    required: bool = Field(default=True, strict=True, examples=[False])
    """Whether a certificate needs this gate. One that is not required is judged and shown, and
    decides nothing."""

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, metric: str) -> str:
        check_metric_names([metric])
        return metric

    @model_validator(mode="after")
    def _limits_make_sense(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise problem(
                "minimum",
                f"the gate on {self.metric} has no limit",
                "give it a `minimum`, a `maximum`, or both",
            )
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise problem(
                "minimum",
                f"the gate on {self.metric} can never pass, since its minimum {self.minimum:g} is "
                f"above its maximum {self.maximum:g}",
                "exchange the two, or take one out",
            )
        return self


def check_metric_names(names: Iterable[str], *, key: str = "metric") -> None:
    """Refuse a name that is not in the list of metrics.

    Parameters
    ----------
    names
        Names of metrics, as they stand in the YAML.
    key
        The YAML's key that they stand under.

    Raises
    ------
    ValueError
        At the first name that is unknown, with the names that come close.
    """
    for name in names:
        if name not in METRICS:
            close = get_close_matches(name, METRICS, n=3) or list(METRICS)
            raise problem(key, f"there is no metric {name!r}", f"use one of {', '.join(close)}")
