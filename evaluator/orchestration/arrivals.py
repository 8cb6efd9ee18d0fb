"""Sensors for what arrives from outside: daily files and new artifacts.

A file counts once it is stable: it has the same size and time of change at two looks that are
half a minute apart. So a file that is still being written is left alone.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from evaluator.candidates import artifact_path
from evaluator.evidence import digest_of_bytes
from evaluator.orchestration import partitions
from evaluator.orchestration.home import Home
from evaluator.orchestration.specs import key_of
from evaluator.orchestration.state import AuditState
from evaluator.spec import Audit

SECONDS_BETWEEN_LOOKS = 30


class Look(NamedTuple):
    """What was seen of a file: its size in bytes and its time of change in nanoseconds."""

    size: int
    changed_at: int


def landing_sensor(audit: Audit) -> dg.SensorDefinition:
    """Materialise a day's `raw_data` when its file arrives, and again when its content changes."""
    key = key_of(audit, "raw_data")

    @dg.sensor(
        name=f"{audit.name}_landing",
        asset_selection=[key],
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        description="Takes in a day's file when it has arrived, and again when it has changed.",
    )
    def landing(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        state = AuditState(audit, Home.from_environment())
        days = partitions.daily(audit.spec).get_partition_keys()
        folder = state.home.landing(audit.name)
        present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        names = {day: audit.spec.data.file_name(date.fromisoformat(day)) for day in days}
        files = {day: folder / name for day, name in names.items() if name in present}

        def request(day: str, content: str, run_key: str) -> dg.RunRequest | None:
            known = state.current("raw_data", day)
            if known is not None and known.content_version == content:
                return None
            return dg.RunRequest(run_key, partition_key=day, asset_selection=[key])

        return _look(context.cursor, files, request)

    return landing


def artifact_sensor(audit: Audit) -> dg.SensorDefinition:
    """Observe a candidate's model when its artifact arrives or changes."""
    keys = {c.name: key_of(audit, f"{c.name}_model") for c in audit.spec.candidates}

    @dg.sensor(
        name=f"{audit.name}_artifacts",
        asset_selection=list(keys.values()),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
        description="Observes a candidate's model when its artifact is new.",
    )
    def artifacts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        state = AuditState(audit, Home.from_environment())
        paths = {c.name: artifact_path(c, state.home.root) for c in audit.spec.candidates}
        files = {name: path for name, path in paths.items() if path.is_file()}

        def request(name: str, content: str, run_key: str) -> dg.RunRequest | None:
            known = state.current(f"{name}_model")
            if known is not None and known.content_version == content:
                return None
            return dg.RunRequest(run_key, asset_selection=[keys[name]])

        return _look(context.cursor, files, request)

    return artifacts


def _look(
    cursor: str | None,
    files: Mapping[str, Path],
    request: Callable[[str, str, str], dg.RunRequest | None],
) -> dg.SensorResult:
    """Ask for the files that are stable since the last look and were not asked for yet.

    The cursor holds for each name what was seen, and whether it was dealt with.
    """
    before = json.loads(cursor) if cursor else {}
    after = {}
    requests = []
    for name, path, look in _looks(files):
        seen = before.get(name, {})
        stable = seen.get("look") == list(look)
        if stable and not seen["handled"]:
            run_key = f"{name}:{look.size}:{look.changed_at}"
            asked = request(name, digest_of_bytes(path.read_bytes()), run_key)
            requests += [asked] if asked is not None else []
        after[name] = {"look": list(look), "handled": stable}
    return dg.SensorResult(
        run_requests=requests, cursor=json.dumps(after, sort_keys=True, separators=(",", ":"))
    )


def _looks(files: Mapping[str, Path]) -> Iterator[tuple[str, Path, Look]]:
    for name, path in sorted(files.items()):
        try:
            status = path.stat()
        except FileNotFoundError:
            # It was renamed or removed between the two looks of this tick.
            continue
        yield name, path, Look(status.st_size, status.st_mtime_ns)
