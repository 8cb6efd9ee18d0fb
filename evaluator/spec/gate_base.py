"""What gates have in common, whatever kind they are of."""

from typing import Literal, Self

from pydantic import Field, model_validator

from evaluator.spec.base import SpecModel, problem

GateLevel = Literal["overall", "geography", "segment", "slice"]
DecideOn = Literal["bound", "value"]


class GateBase(SpecModel):
    """A rule that a candidate must keep, or else it is not certified.

    Its `kind` says what it looks at.
    """

    candidate: str | None = Field(default=None, examples=["gradient_boosting"])
    """The one candidate that the gate is for; without it the gate is for every candidate."""

    required: bool = Field(default=True, strict=True, examples=[False])
    """Whether a certificate needs this gate. One that is not required is judged and shown, and
    decides nothing."""

    says: str = Field(default="", examples=["Late flights are found in every region"])
    """What the gate is for, in words of your own; they stand beside its verdict in the report."""


class EstimateGate(GateBase):
    """A gate on something that is estimated from cases, and so has an interval."""

    decide_on: DecideOn = Field(default="bound", examples=["value"])
    """What is held against the limit. `bound`: the interval; PASS where all of it is on the good
    side, FAIL where all of it is on the bad side, otherwise INSUFFICIENT EVIDENCE. `value`: the
    value alone, as if it were known exactly; the report says so."""


class PlacedGate(EstimateGate):
    """A gate on figures at places: overall, at margins or in slices."""

    level: GateLevel = Field(default="overall", examples=["slice"])
    """Where the limits must be kept: `overall`, or in each `geography`, in each `segment`, or in
    each `slice` (one geography x one segment). The gate passes where it passes at every place."""

    geography: str | None = Field(default=None, examples=["pacific"])
    """The one geography that the gate is for, instead of a `level`; with `segment`, one slice."""

    segment: str | None = Field(default=None, examples=["regional"])
    """The one segment that the gate is for, instead of a `level`; with `geography`, one slice."""

    @model_validator(mode="after")
    def _place_or_level(self) -> Self:
        if "level" in self.model_fields_set and self.is_named:
            raise problem(
                "level",
                "the gate names a place, and a level as well",
                "take `level` out, or take `geography` and `segment` out",
            )
        return self

    @property
    def is_named(self) -> bool:
        """Whether the gate is for one place that it names."""
        return self.geography is not None or self.segment is not None

    @property
    def places(self) -> GateLevel:
        """The level of the figures that the gate looks at."""
        if not self.is_named:
            return self.level
        if self.geography is None:
            return "segment"
        return "geography" if self.segment is None else "slice"
