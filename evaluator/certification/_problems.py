"""What a check of evidence can find."""

from typing import NamedTuple


class Discrepancy(NamedTuple):
    """Something that is not as the certificate says."""

    check: str
    """Which check found it: `signature`, `statement`, `evidence`, `lineage`, `ledger`, `figures`,
    `verdicts` or `bundle`."""
    file: str
    """The file that it is about, by its path below the evidence folder or the bundle."""
    what: str
    """What differs, as a sentence without its full stop."""

    def __str__(self) -> str:
        return f"{self.check}: {self.file}: {self.what}"
