"""Where an audit's candidates are run: on this machine, or on a cluster."""

import re
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from evaluator.spec.base import SpecModel, problem
from evaluator.spec.kinds import SchemaByKind, kind_of

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
_ADDRESS = re.compile(rf"auto|(?:ray://)?(?P<host>{_HOST}):(?P<port>[0-9]{{1,5}})")
_HIGHEST_PORT = 65535

DEFAULT_KIND = "local"


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

    @field_validator("address")
    @classmethod
    def _address_can_be_called(cls, address: str) -> str:
        found = _ADDRESS.fullmatch(address)
        port = found and found["port"]
        if found is None or (port and not 0 < int(port) <= _HIGHEST_PORT):
            raise problem(
                "address",
                f"{address!r} is no address of a Ray cluster",
                "write ray://host:port, host:port or auto",
            )
        return address

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Host and port to call; None where Ray finds its cluster itself."""
        found = _ADDRESS.fullmatch(self.address)
        if found is None or found["host"] is None:
            return None
        return found["host"].strip("[]"), int(found["port"])


ExecutionSpec = Annotated[
    Annotated[LocalExecution, Tag("kind: local")] | Annotated[RayExecution, Tag("kind: ray")],
    Discriminator(kind_of(ExecutionBase, DEFAULT_KIND)),
    SchemaByKind(DEFAULT_KIND),
]
"""Where an audit's candidates are run."""
