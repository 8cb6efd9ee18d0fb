"""Which gates people waived, read out of the ledger."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from evaluator.certification.ledger_chain import ChainedEntry
from evaluator.certification.outcomes import Waiver


class EnteredWaiver(NamedTuple):
    """A waiver, and the digest of the ledger's entry that it comes from."""

    waiver: Waiver
    entry: str


def waivers_in_force(
    entries: Sequence[ChainedEntry], artifacts: Mapping[str, str | None], now: datetime
) -> list[EnteredWaiver]:
    """Find the waivers that count for these artifacts at some moment.

    A waiver is entered about one certificate. It counts for every later one of the same candidate
    with the same artifact, so that a new day's data does not take it back; another artifact needs
    another decision.

    Parameters
    ----------
    entries
        The ledger, up to where it shall count.
    artifacts
        By candidate the digest of its artifact; None where it could not be read.
    now
        The moment that is asked about, with its time zone.

    Returns
    -------
    list[EnteredWaiver]
        In the ledger's order, without those that ended or that a correction took back.
    """
    every = [chained.entry for chained in entries]
    corrected = {entry.correction_body().corrects for entry in every if entry.kind == "correction"}
    certificates = {e.subject: e.certificate_body() for e in every if e.kind == "certificate"}
    found = []
    for chained in entries:
        entry = chained.entry
        if entry.kind != "waiver" or entry.sequence in corrected:
            continue
        about, body = certificates.get(entry.subject), entry.waiver_body()
        if about is None or about.artifact_digest is None or now >= body.until:
            continue
        if artifacts.get(about.candidate) == about.artifact_digest:
            waiver = Waiver(
                candidate=about.candidate,
                gate=body.gate,
                waived_by=entry.author,
                reason=entry.reason,
                until=body.until,
            )
            found.append(EnteredWaiver(waiver, chained.digest))
    return found
