"""Provenance: what is stored beside every output, and is our audit trail.

Dagster's event log could not be: deleting a run deletes its events, and its input pointers are not
exact to the partition.
"""

import builtins
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, model_validator

from evaluator.errors import Fault


class Address(NamedTuple):
    """Where the versions of one asset's partition are kept."""

    audit: str
    asset: str
    partition: str | None = None
    """The day, or the slice as geography, `|`, segment; None where the asset has no partitions."""

    def __str__(self) -> str:
        name = f"{self.audit}/{self.asset}"
        return name if self.partition is None else f"{name}[{self.partition}]"


class _Stored(BaseModel):
    """What is stored as JSON; nothing else may stand in it."""

    # A number that JSON has no word for is refused when it is stored, not turned into null.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class Upstream(_Stored):
    """One output that another rests on."""

    asset: str
    partition: str | None
    identity: str
    """The identity of the version that was used."""
    content_version: str
    """What that version held."""


class StoredFile(_Stored):
    """A file of a version, with its digest and its size in bytes."""

    sha256: str
    """64 hexadecimal digits."""
    size: int


class Record(_Stored):
    """The provenance of one version of one asset's partition."""

    format: str = "evaluator/record/1"
    audit: str
    asset: str
    partition: str | None
    identity: str
    """What it was made of and by which code; names the version's folder."""
    content_version: str
    """What came out: the digest of the data, not of the files."""
    files: dict[str, StoredFile]
    """By name, below the version's folder."""
    upstream: tuple[Upstream, ...]
    """What was used to make it; nothing where it came from outside."""
    facts: dict[str, Any]
    """Counts and other small findings that readers need without opening the files."""
    code_version: str
    run_id: str
    created_at: datetime

    @property
    def address(self) -> Address:
        """Where it is kept."""
        return Address(self.audit, self.asset, self.partition)

    def as_upstream(self) -> Upstream:
        """Name this version as something that another output rests on."""
        return Upstream(
            asset=self.asset,
            partition=self.partition,
            identity=self.identity,
            content_version=self.content_version,
        )


class FailureRecord(_Stored):
    """Why a version was not computed."""

    format: str = "evaluator/failure/1"
    audit: str
    asset: str
    partition: str | None
    identity: str
    error: str
    """The error's class."""
    fault: Fault = "input"
    """What is not of the input is tried again by the next run."""
    message: str
    trace: str
    run_id: str
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, stored: Any) -> Any:
        """Tell whose fault it was where nobody noted it: all were remembered as the input's."""
        if isinstance(stored, dict) and "fault" not in stored:
            kind = getattr(builtins, str(stored.get("error")), None)
            if isinstance(kind, type) and issubclass(kind, OSError | MemoryError):
                return {**stored, "fault": "machine"}
        return stored

    def __str__(self) -> str:
        return f"{self.error}: {self.message}" if self.message else self.error


class FreshStarts(_Stored):
    """How often an audit, or a part of it, was begun afresh.

    A fresh start ignores what is stored and removes nothing: the identities of what follows take
    the number of fresh starts in, so that nothing that was computed before is found again.
    """

    format: str = "evaluator/fresh_starts/1"
    audit: int = 0
    """Of the whole audit, from its intake on."""
    parts: dict[str, int] = {}
    """Of single parts, by name, besides."""

    def count(self, part: str | None = None) -> int:
        """Count the fresh starts that an output has behind it.

        Parameters
        ----------
        part
            The part that the output belongs to; None where it belongs to the whole audit.
        """
        return self.audit + (0 if part is None else self.parts.get(part, 0))

    def again(self, part: str | None = None) -> "FreshStarts":
        """Count one more fresh start, of a part or (None) of the whole audit."""
        if part is None:
            return self.model_copy(update={"audit": self.audit + 1})
        return self.model_copy(update={"parts": {**self.parts, part: self.parts.get(part, 0) + 1}})


class Pointer(_Stored):
    """Which version is the current one, and which run said so."""

    identity: str
    run_id: str
    pointed_at: datetime
