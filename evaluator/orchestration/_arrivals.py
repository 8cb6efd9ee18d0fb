"""Sensors for what arrives from outside: daily files and new artifacts.

A file counts once it is stable: it has the same size and time of change at looks that are as far
apart as the audit says, an artifact at two looks. So what is still being written is left alone.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import dagster as dg

from evaluator.candidates import artifact_stamp
from evaluator.orchestration._asset_specs import key_of
from evaluator.orchestration._home import Home
from evaluator.orchestration._state import AuditState
from evaluator.orchestration._streams import Stream
from evaluator.scorecard import model_of
from evaluator.spec import Audit, CandidateSpec

POLL_SECONDS = 10
_SECONDS_TO_ANOTHER_TRY = 600
_SECONDS_TO_ANOTHER_QUESTION = 3600
_TRIED_AGAIN, _ASKED = " tried again", " asked"
"""In the cursor beside the days, none of which is called so: when it was last looked for them."""


class Arrival(NamedTuple):
    """Something that may arrive, and the run that it asks for."""

    stamp: Callable[[], list[Any]]
    """Tells sizes and times of change; is empty, or an OSError, where nothing has arrived."""
    is_new: Callable[[], bool]
    """Tells whether its content is another one than the evidence has."""
    request: Mapping[str, Any]
    """What is asked for, as arguments of a run request."""


def landing_sensor(
    audit: Audit, stream: Stream, open_home: Callable[[], Home] = Home.from_environment
) -> dg.SensorDefinition:
    """Take a day in when its file arrives, and again when its content changes, in one run.

    What could not be taken in by no fault of the file is tried again after a while.
    """
    keys = [key_of(audit, name) for name in stream.assets]

    @dg.sensor(
        name=f"{audit.name}_{'' if stream.is_data else f'{stream.name}_'}landing",
        asset_selection=keys,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=POLL_SECONDS,
        description="Takes in a day's file when it has arrived, and again when it has changed.",
    )
    def landing(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        state = AuditState(audit, open_home())

        source = state.source(stream)

        def arrival(day: str) -> Arrival:
            return Arrival(
                lambda: source.stamp(day),
                lambda: source.is_new(day, state.current(stream.assets.raw, day)),
                {"partition_key": day, "asset_selection": keys},
            )

        days = state.days(stream)
        cursor = json.loads(context.cursor) if context.cursor else {}
        now = int(time.time())
        still = stream.spec.still_seconds
        requests, after = _poll(cursor, {day: arrival(day) for day in days}, now, still)
        if stream.spec.table is not None:
            # Nothing shows that a database has other rows; so it is asked from time to time.
            after[_ASKED] = cursor.get(_ASKED)
            if after[_ASKED] is None or now - after[_ASKED] >= _SECONDS_TO_ANOTHER_QUESTION:
                after[_ASKED] = now
                requests += [
                    dg.RunRequest(f"{day}:asked:{now}", partition_key=day, asset_selection=keys)
                    for day in state.arrived_days(stream, source)
                ]
        after[_TRIED_AGAIN] = cursor.get(_TRIED_AGAIN, now)
        if now - after[_TRIED_AGAIN] >= _SECONDS_TO_ANOTHER_TRY:
            after[_TRIED_AGAIN] = now
            requests += [
                dg.RunRequest(f"{day}:again:{now}", partition_key=day, asset_selection=keys)
                for day in state.faulty_days(stream)
            ]
        return _result(requests, after)

    return landing


def artifact_sensor(
    audit: Audit, open_home: Callable[[], Home] = Home.from_environment
) -> dg.SensorDefinition:
    """Observe a candidate's model when its artifact arrives or changes."""
    keys = {c.name: key_of(audit, model_of(c.name)) for c in audit.spec.candidates}

    @dg.sensor(
        name=f"{audit.name}_artifacts",
        asset_selection=list(keys.values()),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=POLL_SECONDS,
        description="Observes a candidate's model when its artifact is new.",
    )
    def artifacts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        state = AuditState(audit, open_home())

        def arrival(candidate: CandidateSpec) -> Arrival:
            home = state.home
            asset = model_of(candidate.name)
            return Arrival(
                lambda: artifact_stamp(candidate, home.root, tracking_uri=home.tracking_uri),
                lambda: state.is_new(asset, None, state.model_digest(candidate)),
                {"asset_selection": [keys[candidate.name]]},
            )

        cursor = json.loads(context.cursor) if context.cursor else {}
        arrivals = {c.name: arrival(c) for c in audit.spec.candidates}
        return _result(*_poll(cursor, arrivals, int(time.time())))

    return artifacts


def _poll(
    before: Mapping[str, Any], arrivals: Mapping[str, Arrival], now: int, still_seconds: int = 0
) -> tuple[list[dg.RunRequest], dict[str, Any]]:
    """Ask for what has been stable for so long and was not dealt with yet.

    The cursor, before and after, holds for each name its stamp, since when it is seen, and whether
    it was dealt with.
    """
    after: dict[str, Any] = {}
    requests = []
    for name, arrival in arrivals.items():
        try:
            stamp = arrival.stamp()
        except OSError:
            # It has not arrived, or was taken away between two looks.
            continue
        if not stamp:
            continue
        seen = before.get(name, {})
        is_same = seen.get("stamp") == stamp
        # What an earlier version noted has no time.
        since = seen.get("since", 0) if is_same else now
        stable = is_same and now - since >= still_seconds
        if stable and not seen["handled"] and _is_new(arrival):
            run_key = ":".join([name, *map(str, stamp)])
            requests.append(dg.RunRequest(run_key, **arrival.request))
        after[name] = {"stamp": stamp, "since": since, "handled": stable}
    return requests, after


def _is_new(arrival: Arrival) -> bool:
    try:
        return arrival.is_new()
    except OSError:
        # The attempt to take it in says why it cannot be read.
        return True


def _result(requests: list[dg.RunRequest], after: Mapping[str, Any]) -> dg.SensorResult:
    return dg.SensorResult(
        run_requests=requests, cursor=json.dumps(after, sort_keys=True, separators=(",", ":"))
    )
