"""Rules over rows and over a whole day, and when its content counts as drifted."""

from typing import Literal

from pydantic import Field

from evaluator.spec.base import SpecModel
from evaluator.spec.data_columns import Severity


class RowRule(SpecModel):
    """A rule across the columns of one row."""

    name: str = Field(min_length=1, examples=["arrives after departure"])
    """What the rule is called in reports and in quarantine."""

    expression: str = Field(examples=["arrival_time > departure_time"])
    """What must be true; a row where something that it reads is missing keeps the rule."""

    severity: Severity = Field(default="refuse", examples=["warn"])
    """`refuse` puts a row that breaks the rule into quarantine; `warn` counts it."""


class FreshnessRule(SpecModel):
    """How old a day's newest row may be."""

    column: str = Field(examples=["departure"])
    """A declared date or timestamp column."""

    within_days: int = Field(default=1, ge=0, examples=[1])
    """How many days before the file's day the newest value may lie."""


class DatasetRules(SpecModel):
    """Rules over all rows of a day."""

    minimum_rows: int | None = Field(default=None, ge=0, examples=[100])
    """The fewest rows that a day's file may have."""

    maximum_rows: int | None = Field(default=None, ge=0, examples=[100_000])
    """The most rows that a day's file may have."""

    freshness: FreshnessRule | None = Field(
        default=None, examples=[{"column": "departure", "within_days": 1}]
    )
    """How old a day's newest row may be."""

    severity: Severity = Field(default="refuse", examples=["warn"])
    """`refuse` fails a day that breaks one of these rules, `warn` reports it."""


class DriftSpec(SpecModel):
    """When the content of a day counts as drifted. Limits are on effects, never on p-values."""

    reference_days: int = Field(default=7, ge=1, examples=[7])
    """The first so many accepted days are the reference, when no file is named."""

    reference_file: str | None = Field(default=None, examples=["reference/flights-2013-10.parquet"])
    """A file of typed rows that is the reference instead."""

    stability_index: float = Field(default=0.2, gt=0, examples=[0.2])
    """A population stability index above this is drift; 0.1 to 0.25 are usual."""

    jensen_shannon: float = Field(default=0.2, gt=0, le=1, examples=[0.2])
    """A Jensen-Shannon distance (base 2, from 0 to 1) above this is drift."""

    wasserstein: float = Field(default=0.25, gt=0, examples=[0.25])
    """A Wasserstein distance above this many spreads of the reference is drift."""

    missing_share: float = Field(default=0.05, gt=0, le=1, examples=[0.05])
    """A change of the share of missing values above this is drift."""

    minimum_rows: int = Field(default=200, ge=1, examples=[200])
    """With fewer rows on either side nothing is called drift; the report says so."""

    test: Literal["none", "holm", "benjamini_hochberg"] = Field(default="none", examples=["holm"])
    """Whether p-values are shown too, and how they are corrected for many columns."""

    per_slice: bool = Field(default=True, examples=[False])
    """Whether drift is looked for in each slice too."""
