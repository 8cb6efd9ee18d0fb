"""What an issuer shows of its certificates: the page and the documents, as the ledger names them.

They quote the certificates, so that no certificate can name them; an entry of the issuer's does.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from evaluator.certification._entries import LedgerEntry, PublicationBody
from evaluator.certification._statement import Discrepancy
from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.scorecard import Asset

PAGE: Final = "dashboard.html"
TECHNICAL_FILE: Final = "technical_file"
"""What the technical file's files are called, without their endings."""
REPORT: Final = "report.html"
DOCUMENTS: Final = "documents"
"""What page and documents are called in a bundle."""
DOCUMENT_ENDINGS: Final = ("md", "html")


def model_card_name(candidate: str) -> str:
    """Name the files of a candidate's model card, without their endings."""
    return f"{candidate}_model_card"


def newest_publications(
    entries: Iterable[LedgerEntry], issues: Collection[str]
) -> dict[str, PublicationBody]:
    """Find what was shown last of the certificates of an issue, by asset.

    Parameters
    ----------
    entries
        Those of the ledger that count, in its order.
    issues
        The folder of the certificates' version, below the evidence store's address.
    """
    bodies = (entry.publication_body() for entry in entries if entry.kind == "publication")
    return {body.asset: body for body in bodies if body.issue in issues}


def check_published(
    evidence: StoredEvidence, published: Mapping[str, PublicationBody]
) -> Iterator[Discrepancy]:
    """Hold page and documents against what was entered of them.

    One that is gone is no problem: nothing rests on it, and a run makes it again.
    """
    for body in published.values():
        for path, sha256 in body.files.items():
            found = evidence.digest(path)
            if found is not None and found.sha256 != sha256:
                what = f"its SHA-256 is {found.sha256}, and was entered as {sha256}"
                yield Discrepancy("evidence", path, what)
        for folder in {path.rpartition("/")[0] for path in body.files}:
            for name in evidence.files.names(folder):
                # A note of an earlier failure to make it may lie here too.
                if f"{folder}/{name}" not in body.files and not name.startswith("failure."):
                    what = "nothing names it: it was added"
                    yield Discrepancy("evidence", f"{folder}/{name}", what)


class ShownFile(NamedTuple):
    """A file that a bundle shows beside the certificate."""

    path: str
    """Where it lies, below the evidence store's address."""
    sha256: str


def shown_files(published: Mapping[str, PublicationBody], candidate: str) -> dict[str, ShownFile]:
    """Name what a candidate's bundle shows: the page, the model card and the technical file."""
    stems = (model_card_name(candidate), TECHNICAL_FILE)
    documents = [f"{stem}.{ending}" for stem in stems for ending in DOCUMENT_ENDINGS]
    names = {
        Asset.DASHBOARD: {PAGE: REPORT},
        Asset.DOCUMENTS: {name: f"{DOCUMENTS}/{name}" for name in documents},
    }
    return {
        names[asset][name]: ShownFile(path, sha256)
        for asset, body in published.items()
        for path, sha256 in body.files.items()
        if (name := path.rpartition("/")[2]) in names.get(asset, {})
    }
