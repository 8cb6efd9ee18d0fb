"""What the intake's tests share: a small declaration, and a way to take in bytes."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evaluator.intake import IntakeResult, ingest
from evaluator.spec import DataSpec


def declare(columns: dict[str, Any] | None = None, **keys: Any) -> DataSpec:
    """Declare a file; without columns, one with an id, a whole number and a text."""
    return DataSpec.model_validate(
        {
            "files": "day-{date}.csv",
            "first_day": date(2013, 11, 1),
            "id": "id",
            "max_refused_share": 1.0,
            "columns": columns
            or {"id": {"type": "string"}, "n": {"type": "integer"}, "t": {"type": "string"}},
            **keys,
        }
    )


class Taken:
    """A result with its rows at hand."""

    def __init__(self, result: IntakeResult) -> None:
        self.result = result
        self.broken = result.broken
        self.profile = result.profile
        self.typed = pq.read_table(result.typed_path).to_pylist()
        self.quarantine = pq.read_table(result.quarantine_path).to_pylist()

    @property
    def rules(self) -> dict[int, list[str]]:
        """The rules that each quarantined line breaks."""
        return {
            row["line_number"]: [reason["rule"] for reason in row["reasons"]]
            for row in self.quarantine
        }


Take = Callable[..., Taken]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """Take in bytes as a day's file."""

    def run(
        content: bytes, data: DataSpec | None = None, *, name: str = "day.csv", **more: Any
    ) -> Taken:
        source = tmp_path / name
        source.write_bytes(content)
        data = declare() if data is None else data
        return Taken(ingest(source, data, into=tmp_path / "out", **more))

    return run
