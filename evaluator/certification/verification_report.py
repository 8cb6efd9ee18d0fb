"""What checking a certificate found, in words."""

from dataclasses import dataclass
from typing import Any, Literal

from evaluator.certification.certificate_state import CertificateState
from evaluator.certification.findings import Problem
from evaluator.certification.statement import LedgerHead, Statement

SignatureWord = Literal["valid", "invalid", "unsigned", "not checked"]


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
        ``valid``: made with the given key; ``invalid``; ``unsigned``; ``not checked``: no key.
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
    """

    certificate: str
    statement: Statement | None
    signature: SignatureWord
    state: CertificateState | None
    ledger: LedgerHead | None
    files: int
    entries: int
    problems: tuple[Problem, ...]
    cautions: tuple[str, ...]

    @property
    def is_intact(self) -> bool:
        """Whether everything is as the certificate says; it says nothing about who issued it."""
        return not self.problems and self.statement is not None

    @property
    def is_verified(self) -> bool:
        """Whether it is intact, signed with the given key, and stands: the only full success."""
        stands = self.state is not None and self.state.stands
        return self.is_intact and self.signature == "valid" and stands

    @property
    def result(self) -> str:
        """The result in a few words."""
        if not self.is_intact:
            return "FAILED"
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
            "signature": self.signature,
            "state": self.state and self.state.state,
            "state_reason": self.state and self.state.reason,
            "ledger": self.ledger and self.ledger.model_dump(),
            "files": self.files,
            "entries": self.entries,
            "problems": [problem._asdict() for problem in self.problems],
            "cautions": list(self.cautions),
        }

    def told(self) -> list[str]:
        """Tell it in lines of text."""
        lines = [f"{self.result}: certificate {self.certificate}"]
        if self.statement is not None:
            predicate = self.statement.predicate
            judged = predicate.candidate
            lines += [
                f"  audit       {predicate.audit}",
                f"  candidate   {judged.name}: {judged.outcome} ({judged.reason})",
                f"  asked for   by {predicate.requested_by}, {predicate.created_at.isoformat()}",
            ]
        lines.append(f"  signature   {self.signature}")
        if self.state is not None:
            lines.append(f"  state       {self.state.state}: {self.state.reason}")
            for signed in self.state.sign_offs:
                lines.append(f"  sign-off    {signed.author}: {signed.reason}")
        if self.ledger is not None:
            lines.append(f"  ledger      {self.ledger.sequence} {self.ledger.digest}")
        lines.append(f"  checked     {self.files} files, {self.entries} ledger entries")
        lines += [f"  CAUTION     {caution}" for caution in self.cautions]
        lines += [f"  PROBLEM     {problem}" for problem in self.problems]
        return lines
