"""Blocks of the YAML whose `kind` decides which keys there are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


def kind_of(base: type[BaseModel], default: str) -> Callable[[Any], str | None]:
    """Make the function that tells a block's kind, as the tag `kind: <kind>`.

    Parameters
    ----------
    base
        What the models of all kinds are.
    default
        The kind of a block that does not say it.
    """

    def tell(told: Any) -> str | None:
        if isinstance(told, base):
            kind: Any = getattr(told, "kind", None)
        else:
            # What is no mapping is told so by the default kind's model.
            kind = told.get("kind", default) if isinstance(told, Mapping) else default
        # What is no text is of no kind. Errors name the tag among the keys, so that it must be
        # none that a block could have.
        return f"kind: {kind}" if isinstance(kind, str) else None

    return tell


@dataclass(frozen=True)
class SchemaByKind:
    """Writes the union's JSON schema with if and then.

    Of alternatives `dg check yaml` can tell only that none fits; of this it tells which key is
    wrong.
    """

    default: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Turn `oneOf` into one condition for each kind."""
        models = handler(schema)["oneOf"]
        kinds = {handler.resolve_ref_schema(m)["properties"]["kind"]["const"]: m for m in models}
        conditions = []
        for kind, model in kinds.items():
            says: JsonSchemaValue = {"properties": {"kind": {"const": kind}}}
            if kind != self.default:
                says["required"] = ["kind"]
            conditions.append({"if": says, "then": model})
        return {"properties": {"kind": {"enum": list(kinds)}}, "allOf": conditions}
