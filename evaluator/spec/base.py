"""What every part of an audit's YAML has in common."""

from pydantic import BaseModel, ConfigDict


class SpecModel(BaseModel):
    """A part of the YAML: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
