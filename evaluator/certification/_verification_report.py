"""What checking a certificate found, and how it is told."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evaluator.certification._certificate_state import CertificateState
from evaluator.certification._entries import PublicationBody
from evaluator.certification._statement import Discrepancy, LedgerHead, Statement
from evaluator.errors import EvidenceError

SignatureWord = Literal["valid", "invalid", "unsigned", "not checked"]

# What is computed again, and so may come out otherwise where the calculation has changed since.
_COMPUTED = {"figures", "verdicts"}


@dataclass(frozen=True, kw_only=True)
class VerificationReport:
    """What checking a certificate found.

    Attributes
    ----------
    certificate
        SHA-256 of the certificate's file.
    statement
        What it says; None where that cannot be read.
    signature
        ``valid``: made by a trusted issuer; ``invalid``; ``unsigned``; ``not checked``: no key.
    key_id
        Of the issuer's key that signed it; None where no trusted one did.
    state
        What the ledger says of it now; None where there was nothing to ask.
    ledger
        The ledger's head now. Keep it: a later check against it finds a ledger that was cut.
    files, entries
        How many files and ledger entries were held against their digests.
    problems
        Everything that is not as the certificate says.
    cautions
        What is not wrong, and what a reader must know.
    other_calculation
        Whether its figures came from another version of the calculation than the one that
        computed them again.
    revoked_keys
        The ids of the trusted keys that the ledger revokes.
    published
        What the ledger says of the page and the documents that show it, by asset.
    not_checked
        What of the evidence this check left to others, or could not see.
    opened
        How many cases were shown, and what that is worth; None where none were asked for.
    """

    certificate: str
    statement: Statement | None
    signature: SignatureWord
    key_id: str | None = None
    state: CertificateState | None
    ledger: LedgerHead | None
    files: int
    entries: int
    problems: tuple[Discrepancy, ...]
    cautions: tuple[str, ...]
    other_calculation: bool = False
    revoked_keys: frozenset[str] = frozenset()
    published: Mapping[str, PublicationBody] = field(default_factory=dict)
    not_checked: tuple[str, ...] = ()
    opened: str | None = None

    @property
    def is_intact(self) -> bool:
        """Whether everything is as the certificate says; it says nothing about who issued it."""
        return not self.problems and self.statement is not None

    @property
    def is_verified(self) -> bool:
        """Whether it is intact, signed by a trusted issuer, and stands: the only full success."""
        stands = self.state is not None and self.state.stands
        return self.is_intact and self.signature == "valid" and stands

    @property
    def result(self) -> str:
        """The result in a few words."""
        if not self.is_intact:
            only_figures = all(problem.check in _COMPUTED for problem in self.problems)
            is_explained = self.other_calculation and only_figures and self.statement is not None
            return "NOT REPRODUCED" if is_explained else "FAILED"
        if self.state is None or not self.state.stands:
            return f"DOES NOT STAND ({self.state.state if self.state else 'unknown'})"
        if self.signature == "valid":
            return "VERIFIED"
        return f"INTACT, BUT {'UNSIGNED' if self.signature == 'unsigned' else 'NOT PROVEN'}"

    def as_record(self) -> dict[str, Any]:
        """Give the report as plain JSON values, without the statement itself."""
        return {
            "result": self.result,
            "is_verified": self.is_verified,
            "certificate": self.certificate,
            "candidate": self.statement and self.statement.predicate.candidate.name,
            "outcome": self.statement and self.statement.predicate.candidate.outcome,
            "qualified_by": self.statement
            and self.statement.predicate.candidate.model_dump(mode="json")["qualified_by"],
            "signature": self.signature,
            "key_id": self.key_id,
            "state": self.state and self.state.state,
            "state_reason": self.state and self.state.reason,
            "ledger": self.ledger and self.ledger.model_dump(),
            "files": self.files,
            "entries": self.entries,
            "problems": [problem._asdict() for problem in self.problems],
            "cautions": list(self.cautions),
            "not_checked": list(self.not_checked),
            "opened": self.opened,
        }

    def to_lines(self) -> list[str]:
        """Write it as lines of text."""
        lines = [f"{self.result}: certificate {self.certificate}"]
        if self.statement is not None:
            predicate = self.statement.predicate
            judged = predicate.candidate
            lines += [
                f"  audit       {predicate.audit}",
                f"  candidate   {judged.name}: {judged.in_words} ({judged.reason})",
                *(f"  with        {words}" for words in judged.named),
                f"  asked for   by {predicate.requested_by}, {predicate.created_at.isoformat()}",
                *(f"  assumes     {words}" for words in predicate.assumptions),
                *([f"  training    it {predicate.training.says}"] if predicate.training else []),
            ]
        by = "" if self.key_id is None else f", of the key {self.key_id}"
        lines.append(f"  signature   {self.signature}{by}")
        if self.state is not None:
            lines.append(f"  state       {self.state.state}: {self.state.reason}")
            lines += [f"  sign-off    {e.author}: {e.reason}" for e in self.state.sign_offs]
        if self.ledger is not None:
            lines.append(f"  ledger      {self.ledger.sequence} {self.ledger.digest}")
        lines.append(f"  checked     {self.files} files, {self.entries} ledger entries")
        lines += [] if self.opened is None else [f"  opened      {self.opened}"]
        lines += [f"  not checked {words}" for words in self.not_checked]
        lines += [f"  CAUTION     {caution}" for caution in self.cautions]
        lines += [f"  PROBLEM     {problem}" for problem in self.problems]
        return lines


def all_found(found: Iterator[Discrepancy]) -> list[Discrepancy]:
    """List what a check finds; a link or a path that leads out ends it, and is a finding."""
    problems = []
    try:
        for problem in found:
            problems.append(problem)  # noqa: PERF402 - a list made at once would be lost
    except EvidenceError as error:
        problems.append(Discrepancy("evidence", str(error.culprit), error.what))
    return problems


def caught(found: Iterable[Discrepancy]) -> list[Discrepancy]:
    """List what computing again finds; that it cannot be done is a finding too."""
    problems = []
    try:
        # One by one, so that what was found before a fault is reported too.
        for problem in found:
            problems.append(problem)  # noqa: PERF402 - a list made at once would be lost
    except Exception as error:  # noqa: BLE001 - whatever odd evidence makes it raise is a finding, never a pass
        what = f"figures and verdicts cannot be recomputed: {type(error).__name__}: {error}"
        problems.append(Discrepancy("figures", "evidence", what))
    return problems
