"""How each audit stands by what is stored of it: days, slices, certificates, and what to do."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from os.path import relpath
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import quote

from evaluator.certification import (
    PAGE,
    Ledger,
    qualified_outcome,
    require_certificate,
    state_of,
    trusted_by_environment,
)
from evaluator.errors import EvaluatorError
from evaluator.orchestration._documents import reports_are_current
from evaluator.orchestration._evaluation_set import needs_refresh
from evaluator.orchestration._findings import to_json
from evaluator.orchestration._home import Home
from evaluator.orchestration._state import AuditState
from evaluator.reporting import ListedAudit, ListedCertificate, aligned, index_page, printable
from evaluator.scorecard import Asset
from evaluator.spec import load_audit

_STANDS: Final = ("valid", "waived")


class CertificateStatus(NamedTuple):
    """The newest certificate for the artifact of a candidate that was seen last.

    Attributes
    ----------
    candidate
        Whose.
    outcome
        With what qualifies it; None where it has no certificate.
    state
        Whether it stands, as `evaluator.certification.CertificateState` says; with the reason.
    valid_until
        Its end; None without one.
    """

    candidate: str
    outcome: str | None
    state: str
    reason: str
    valid_until: datetime | None


class AuditStatus(NamedTuple):
    """How an audit stands.

    Attributes
    ----------
    audit
        Its name.
    last_day
        The last day that was accepted; None where none was.
    refused, waiting
        The days that are so.
    slices
        How many slices of all candidates are current, outdated, missing, or have failed.
    certificates
        One a candidate.
    page
        Where its page lies; None where there is none.
    to_do
        What helps, in a sentence; empty where nothing is to be done.
    problem
        Why nothing more is known; empty where all is.
    """

    audit: str
    last_day: str | None = None
    refused: Sequence[str] = ()
    waiting: Sequence[str] = ()
    slices: Mapping[str, int] = MappingProxyType({})
    certificates: Sequence[CertificateStatus] = ()
    page: str | None = None
    to_do: str = ""
    problem: str = ""


def read_statuses(
    names: Sequence[str], folder: Path, home: Home, now: datetime
) -> list[AuditStatus]:
    """Tell how audits stand; what is wrong with one is said in its place.

    Parameters
    ----------
    names
        The audits.
    folder
        Where they lie.
    home
        Where their state is; it is only read.
    now
        The moment at which certificates stand or do not, with its time zone.
    """
    found = []
    for name in names:
        try:
            found.append(_read(AuditState(load_audit(name, folder), home), now))
        except EvaluatorError as error:
            found.append(AuditStatus(name, problem=str(error)))
    return found


def format_statuses(statuses: Sequence[AuditStatus]) -> Iterator[str]:
    """Yield a table of audits, and below each what is refused, and its certificates.

    Yields
    ------
    str
        A line, without its end and without control characters.
    """
    table = [
        ("audit", "last day", "slices", "to do"),
        *(
            (
                one.audit,
                one.last_day or "none",
                _count(one.slices) or "none",
                one.to_do or ("see below" if one.problem else "nothing"),
            )
            for one in statuses
        ),
    ]
    head, *lines = aligned(table)
    yield printable(head)
    for line, one in zip(lines, statuses, strict=True):
        yield printable(line)
        yield from (printable(f"  {below}") for below in _below(one))


def statuses_to_json(statuses: Sequence[AuditStatus]) -> str:
    """Write down how audits stand as JSON: an array of objects, times in ISO 8601."""
    return to_json(
        [
            {
                **one._asdict(),
                "certificates": [
                    {
                        **certificate._asdict(),
                        "valid_until": certificate.valid_until
                        and certificate.valid_until.isoformat(),
                    }
                    for certificate in one.certificates
                ],
            }
            for one in statuses
        ]
    )


def list_audits(statuses: Sequence[AuditStatus], target: Path, now: datetime) -> str:
    """Make the page that lists audits, with links to their own pages.

    Parameters
    ----------
    statuses
        As `read_statuses` gave them.
    target
        The file that it will be; links are relative to its folder.
    now
        The moment of which this is said.
    """
    listed = [
        ListedAudit(
            name=one.audit,
            # What lies in an object store no browser could open.
            page=quote(relpath(one.page, target.absolute().parent))
            if one.page is not None and Path(one.page).is_absolute()
            else None,
            last_day=one.last_day or "",
            slices=_count(one.slices),
            to_do=one.to_do,
            problem=one.problem,
            certificates=[
                ListedCertificate(
                    candidate=certificate.candidate,
                    outcome=certificate.outcome or "",
                    stands=certificate.state in _STANDS,
                    state=certificate.state,
                    valid_until=certificate.valid_until,
                )
                for certificate in one.certificates
            ],
        )
        for one in statuses
    ]
    return index_page(listed, now)


def _below(status: AuditStatus) -> Iterator[str]:
    if status.problem:
        yield f"problem: {status.problem}"
    for word, days in (("refused", status.refused), ("waiting", status.waiting)):
        if days:
            yield f"{word}: {', '.join(days)}"
    for one in status.certificates:
        if one.outcome is None:
            yield f"{one.candidate}: no certificate"
        elif one.state in _STANDS:
            yield f"{one.candidate}: {one.outcome}; valid until {one.valid_until:%Y-%m-%d}"
        else:
            yield f"{one.candidate}: {one.state.upper()} ({one.reason}); it said: {one.outcome}"


def _count(slices: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in slices.items())


def _read(state: AuditState, now: datetime) -> AuditStatus:
    days = [day for stream in state.streams for day in state.day_states(stream)]
    accepted = [day.day for day in state.day_states() if day.state == "accepted"]
    frozen = state.current(Asset.EVALUATION_SET) if state.spec.candidates else None
    slices: Counter[str] = Counter()
    if frozen is not None:
        for candidate in state.spec.candidates:
            for one in state.slice_states(candidate, frozen, state.observed_model(candidate)):
                is_failed = one.state != "current" and one.error is not None
                slices["failed" if is_failed else one.state] += 1
    page = state.current(Asset.DASHBOARD)
    status = AuditStatus(
        state.audit.name,
        max(accepted, default=None),
        [day.day for day in days if day.state == "refused"],
        [day.day for day in days if day.state == "waiting"],
        dict(slices),
        [] if frozen is None else list(_certificates(state, now)),
        None if page is None else state.store.location(page, PAGE),
    )
    return status._replace(to_do=next(_what_to_do(state, status, now), ""))


def _certificates(state: AuditState, now: datetime) -> Iterator[CertificateStatus]:
    entries = Ledger(state.store.url, state.audit.name).entries(trusted_by_environment(os.environ))
    for candidate in state.spec.candidates:
        artifact = state.observed_model(candidate)
        found = artifact and require_certificate(entries, candidate.name, artifact, now).certificate
        if not found:
            yield CertificateStatus(candidate.name, None, "unknown", "there is none", None)
            continue
        stands = state_of(entries, found.subject, now)
        yield CertificateStatus(
            candidate.name,
            qualified_outcome(state.store.files, entries, found, now),
            stands.state,
            stands.reason,
            found.body.valid_until,
        )


def _what_to_do(state: AuditState, status: AuditStatus, now: datetime) -> Iterator[str]:
    """Say what helps, the first thing first."""
    name = state.audit.name
    run, show = f"`evaluator run {name}`", f"`evaluator show {name}`"
    if status.last_day is None and not status.refused:
        yield f"{run}: nothing was taken in yet"
    if status.waiting:
        yield f"{run}: days wait"
    if status.refused:
        yield f"mend what is refused: {show} names the reports"
    if not state.spec.candidates:
        yield "name what is judged, in `candidates:` of the YAML"
    elif status.last_day is not None:
        yield from _what_to_evaluate(state, status, now)


def _what_to_evaluate(state: AuditState, status: AuditStatus, now: datetime) -> Iterator[str]:
    name, frozen = state.audit.name, state.current(Asset.EVALUATION_SET)
    run, show = f"`evaluator run {name}`", f"`evaluator show {name}`"
    if frozen is None or needs_refresh(state, frozen, now):
        yield f"{run}: there are days that are not evaluated"
    if status.slices.get("failed"):
        yield f"mend what fails: {show} says why; then {run}"
    if set(status.slices) - {"current", "failed"}:
        yield f"{run}: slices are not current"
    if frozen is not None and not reports_are_current(state, now):
        yield f"{run}: scorecard, certificates or page are not current"
    if not all(map(_is_certified, status.certificates)):
        yield f"{show} says what is not certified, and why"


def _is_certified(one: CertificateStatus) -> bool:
    return one.state in _STANDS and (one.outcome or "").startswith("certified")
