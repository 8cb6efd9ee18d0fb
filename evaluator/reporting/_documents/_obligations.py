"""Where laws and frameworks find their evidence in an audit, as `obligations.yaml` maps it."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Literal, Self

import yaml
from pydantic import Field, model_validator

from evaluator.scorecard import DATA_INTAKE, Asset, metrics_of, model_of, predictions_of
from evaluator.spec import SpecModel, problem

ASSETS = (
    *DATA_INTAKE,
    Asset.EVALUATION_SET,
    *(of("<candidate>") for of in (model_of, predictions_of, metrics_of)),
    Asset.SCORECARD,
    Asset.MLFLOW_RUNS,
    Asset.CERTIFICATE,
    Asset.DASHBOARD,
    Asset.DOCUMENTS,
)
"""The assets of an audit's lineage graph that evidence may be found in."""

SECTIONS = {
    "model_card": {
        "details": "Model details",
        "intended-use": "Intended use",
        "factors": "Factors",
        "metrics": "Metrics",
        "evaluation-data": "Evaluation data",
        "training-data": "Training data",
        "analyses": "Quantitative analyses",
        "ethics": "Ethical considerations",
        "caveats": "Caveats and recommendations",
    },
    "technical_file": {
        "general": "1. General description",
        "elements": "2. Elements and development",
        "monitoring": "3. Monitoring, functioning and control",
        "performance-metrics": "4. Appropriateness of the performance metrics",
        "risk-management": "5. Risk management system",
        "changes": "6. Changes through the lifecycle",
        "standards": "7. Harmonised standards",
        "declaration": "8. EU declaration of conformity",
        "post-market": "9. Evaluation after release",
        "evidence": "Evidence",
        "eu-ai-act": "Map: EU AI Act",
        "nist-ai-rmf": "Map: NIST AI RMF",
    },
}
"""The sections of each document, by id, with their titles."""

DOCUMENT_NAMES = {"model_card": "model card", "technical_file": "technical file"}
"""What each document is called."""

FindingName = Literal["comparisons", "fairness", "weak_slices"]


class EvidenceReference(SpecModel):
    """Where evidence is."""

    asset: str | None = None
    """An asset of the lineage graph; one of `ASSETS`."""
    section: str | None = None
    """A section of a document: the document's name, `/` and the section's id."""
    finding: FindingName | None = None
    """The evidence is there only where the audit has this finding."""
    gives: str = Field(min_length=1)
    """What is found there."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.asset is None) == (self.section is None):
            raise problem("asset", "evidence has one place", "name an asset or a section")
        if self.asset is not None and self.asset not in ASSETS:
            raise problem("asset", f"there is no asset {self.asset!r}", "name one of the graph")
        if self.section is not None:
            document, _, section = self.section.partition("/")
            if section not in SECTIONS.get(document, {}):
                raise problem(
                    "section", f"there is no section {self.section!r}", "name one that exists"
                )
        return self

    def describe(self) -> str:
        """Name the place in words: an asset's name, or a document and its section."""
        if self.section is None:
            return f"asset {self.asset}"
        document, _, section = self.section.partition("/")
        return f"{DOCUMENT_NAMES[document]}, {SECTIONS[document][section]}"


class Point(SpecModel):
    """One paragraph, annex point or subcategory."""

    number: str = Field(min_length=1)
    """As the source numbers it."""
    subject: str = Field(min_length=1)
    """What it is about, in our words."""
    evidence: tuple[EvidenceReference, ...] = ()
    """Where evidence is; empty where there is none."""
    not_covered: str = Field(min_length=1)
    """What is left, which is never nothing."""


class Group(SpecModel):
    """An article, an annex or a function."""

    number: str = Field(min_length=1)
    title: str = Field(min_length=1)
    """The source's own title."""
    points: tuple[Point, ...] = Field(min_length=1)


class Framework(SpecModel):
    """A law or a framework."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    citation: str = Field(min_length=1)
    source: str = Field(pattern=r"^https?://\S+$")
    """A lasting address of the text that counts."""
    groups: tuple[Group, ...] = Field(min_length=1)

    def points(self) -> Iterator[Point]:
        """Go through all points."""
        for group in self.groups:
            yield from group.points


class Obligations(SpecModel):
    """The whole map."""

    version: Literal[1]
    statement: str = Field(min_length=1)
    """What the map is, and what it is not."""
    frameworks: tuple[Framework, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _numbers_are_distinct(self) -> Self:
        for framework in self.frameworks:
            numbers = [point.number for point in framework.points()]
            repeated = sorted({number for number in numbers if numbers.count(number) > 1})
            if repeated:
                raise problem("number", f"{repeated[0]} stands there twice", "keep one of them")
        return self

    def framework(self, name: str) -> Framework:
        """Return the framework of this name."""
        return {framework.name: framework for framework in self.frameworks}[name]


@cache
def load_obligations() -> Obligations:
    """Read the map that comes with this package."""
    text = files("evaluator.reporting").joinpath("obligations.yaml").read_text(encoding="utf-8")
    return Obligations.model_validate(yaml.safe_load(text))
