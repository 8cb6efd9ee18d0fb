"""The waivers that count for a scorecard's candidates."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from evaluator.certification import Waiver
from evaluator.certification.ledger import Ledger
from evaluator.certification.ledger_chain import BEGINNING
from evaluator.certification.statement import LedgerHead
from evaluator.certification.waivers import waivers_in_force
from evaluator.evidence import Record
from evaluator.orchestration.state import AuditState


class Waived(NamedTuple):
    """The waivers in force, and how far the ledger was read for them."""

    waivers: Sequence[Waiver]
    entries: Sequence[str]
    """The digests of the ledger's entries that they come from."""
    ledger: LedgerHead


def read_waivers(state: AuditState, scorecard: Record, now: datetime) -> Waived:
    """Read the ledger for waivers about the artifacts that a scorecard is about.

    Parameters
    ----------
    state
        The audit's state.
    scorecard
        The scorecard.
    now
        The moment at which they have to be in force.

    Raises
    ------
    EvidenceError
        Where the ledger is damaged.
    """
    entries = Ledger(state.store.url, state.audit.name).entries()
    found = waivers_in_force(entries, scorecard.facts["models"], now)
    return Waived(
        [one.waiver for one in found],
        [one.entry for one in found],
        entries[-1].head if entries else BEGINNING,
    )
