"""The page that lists audits: how each stands, its certificates, and where its own page is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from evaluator.reporting._formatting import template_environment


@dataclass(frozen=True, kw_only=True)
class ListedCertificate:
    """A candidate's certificate; `outcome` is empty where there is none.

    Attributes
    ----------
    stands, state
        Whether it stands, and the same in a word.
    """

    candidate: str
    outcome: str
    stands: bool
    state: str
    valid_until: datetime | None


@dataclass(frozen=True, kw_only=True)
class ListedAudit:
    """How one audit stands.

    Attributes
    ----------
    page
        Its page's address, relative to the list's; None where there is none on this machine.
    last_day, slices, to_do, problem
        In words; empty where there is nothing to say.
    """

    name: str
    page: str | None
    last_day: str
    slices: str
    to_do: str
    problem: str
    certificates: Sequence[ListedCertificate]


def index_page(audits: Sequence[ListedAudit], created_at: datetime) -> str:
    """List audits on one HTML page: styles inside, no script, no request to anywhere.

    Parameters
    ----------
    audits
        In the order in which they are listed.
    created_at
        The moment of which this is said.
    """
    template = template_environment().get_template("index.html.jinja")
    return template.render(audits=audits, created_at=created_at)
