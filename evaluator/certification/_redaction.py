"""What of the evidence is not let out, and the salted digests that stand for it.

Whole files are withheld (as they came, typed, refused, and the reports of days), and so are the
columns that the audit names. What figures are computed from stays, in stand-ins of the same tables.

Source: RFC 2104 (HMAC, by which salts are made).
"""

import hashlib
import hmac
import io
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.certification._declaration import narrowed_to, read_declared
from evaluator.certification._phrases import format_list
from evaluator.certification._statement import Discrepancy, EvidenceItem, Sha256, StrictModel
from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.errors import EvidenceError
from evaluator.evidence import canonical_json, temporary_beside
from evaluator.scorecard import (
    ADDITIONAL_MEASUREMENTS,
    CASES,
    DATA_PREFIX,
    FAIRNESS,
    INTAKES,
    PREDICTIONS,
    WEAK_SLICES,
    Asset,
    predictions_of,
)
from evaluator.spec import AuditSpec

SECRET_FILE: Final = "redaction.secret"  # noqa: S105 - a file's name
_SECRET_BYTES: Final = 32
_ROWS: Final = (*(asset for names in INTAKES for asset in names), Asset.EVALUATION_SET)
"""Assets of which only the provenance leaves, and stand-ins for cases and refused rows."""
_REFUSED: Final = tuple(names.quarantined for names in INTAKES)


class Redaction(StrictModel):
    """What a bundle withholds."""

    format: Literal["evaluator/redaction/1"] = "evaluator/redaction/1"
    certificate: Sha256
    """SHA-256 of the certificate's file."""
    withheld: dict[str, Sha256]
    """By its path below the evidence, a salted digest of each file that is not there."""


def secret_in(folder: Path) -> bytes:
    """Read the secret that salts are made with, and make it where there is none.

    Parameters
    ----------
    folder
        Where the platform keeps its state. No evidence and no export holds the secret.

    Returns
    -------
    bytes
        32 of them, random. Of processes that make it at once, all get the same.
    """
    path = folder / SECRET_FILE
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = temporary_beside(path)
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            # Who finds it there already has lost a race, and takes the other one's.
            with suppress(FileExistsError):
                os.link(made, path)
        finally:
            made.unlink()
    content = path.read_bytes()
    if len(content) != _SECRET_BYTES:
        raise EvidenceError(
            f"it has {len(content)} bytes, and a secret has {_SECRET_BYTES}",
            culprit=str(path),
            fix="restore it from a copy; without it, certificates issued before cannot be redacted"
            " or opened",
        )
    return content


class Salts:
    """What salted digests of an evaluation set are made with.

    Parameters
    ----------
    secret
        See `secret_in`.
    audit, evaluation_set
        What it is of: the audit's name, and the set's content version.
    """

    def __init__(self, secret: bytes, audit: str, evaluation_set: str) -> None:
        self._secret = secret
        self._of = [audit, evaluation_set]

    def of_cases(self, candidate: str, ids: Iterable[str]) -> list[bytes]:
        """Make the salts of cases; whoever sees one learns nothing of any other."""
        return [*self._salts(["case", candidate], ids)]

    def digests(self, kind: Sequence[str], contents: Iterable[tuple[str, bytes]]) -> list[str]:
        """Digest what is withheld, so that nobody can try out what it might be.

        Parameters
        ----------
        kind
            What it is.
        contents
            Of each thing its name among those of its kind, and its bytes.
        """
        names, values = zip(*contents, strict=True) if (contents := [*contents]) else ((), ())
        return [
            hashlib.sha256(salt + value).hexdigest()
            for salt, value in zip(self._salts(kind, names), values, strict=True)
        ]

    def _salts(self, kind: Sequence[str], names: Iterable[str]) -> Iterator[bytes]:
        # A line that ends, so that no other kind and name are spelt alike.
        about = canonical_json([*self._of, *kind])
        for name in names:
            yield hmac.digest(self._secret, about + name.encode(), "sha256")


def files_with_rows(evidence: StoredEvidence) -> dict[str, tuple[EvidenceItem, str]]:
    """List by path what may be withheld: figures are computed without it, or by what stands for it.

    Notes of failures are among them, since they quote what failed.
    """
    candidate = evidence.predicate.candidate.name
    narrowed = narrowed_to(read_declared(evidence), candidate)
    tables = {predictions_of(one): PREDICTIONS for one in narrowed}
    return {
        f"{item.folder}/{name}": (item, name)
        for item in evidence.items
        for name in (*item.files, *item.notes)
        if item.asset in _ROWS or name in item.notes or tables.get(item.asset) == name
    }


def check_withheld(evidence: StoredEvidence) -> Iterator[Discrepancy]:
    """Find what is withheld and may not be."""
    if not evidence.withheld:
        return
    for path in sorted({*evidence.withheld} - files_with_rows(evidence).keys()):
        what = "it is withheld, and holds no rows that might have to be"
        yield Discrepancy("evidence", path, what)


def unseen_tables(evidence: StoredEvidence, spec: AuditSpec) -> set[str]:
    """Name the scorecard's tables that need columns which are not let out."""
    if evidence.withheld is None:
        return set()
    fairness, weak = spec.fairness, spec.weak_slices
    needed: dict[str, set[str | None]] = {
        FAIRNESS: set() if fairness is None else {*fairness.attributes, *fairness.control},
        # Which half of the clusters is searched follows from their names.
        WEAK_SLICES: set() if weak is None else {*weak.features, spec.data.cluster},
        ADDITIONAL_MEASUREMENTS: {name for names in spec.additional_slices for name in names},
    }
    return {name for name, columns in needed.items() if columns & {*spec.certificate.redact}}


def unseen_of(evidence: StoredEvidence) -> list[str]:
    """Say what nobody can see of redacted evidence."""
    if not evidence.withheld:
        return []
    words = (
        f"{len(evidence.withheld)} files with rows are withheld, and a salted digest stands for"
        " each: files as they came, typed and refused rows, reports of days. Figures were computed"
        " from redacted tables; that these are the rows that were judged, cases show that you"
        " choose (`--openings`)"
    )
    found = [words]
    spec = read_declared(evidence)
    if spec.certificate.redact:
        unseen = sorted(unseen_tables(evidence, spec))
        found.append(
            f"the columns {format_list(list(spec.certificate.redact))} are withheld"
            + (f"; taken as the scorecard has it: {format_list(unseen)}" if unseen else "")
        )
    return found


def redacted_bytes(
    evidence: StoredEvidence, spec: AuditSpec, salts: Salts, item: EvidenceItem, name: str
) -> bytes | None:
    """Make what stands for a file that is withheld, or None where only its digest does."""
    if item.asset in _REFUSED and name in item.files:
        table = _redact_refused(evidence.table(item, name), salts, item.folder)
    elif name == CASES:
        table = redact_cases(evidence.table(item, name), spec, salts)
    elif name == PREDICTIONS:
        table = _redact_ids(evidence.table(item, name), spec, salts)
    else:
        return None
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()


def in_order(cases: pa.Table) -> pa.Table:
    """Put cases in the order in which they are bound."""
    return cases.sort_by([(name, "ascending") for name in ("geography", "segment", "id")])


def redact_cases(cases: pa.Table, spec: AuditSpec, salts: Salts) -> pa.Table:
    """Let salted digests stand for the columns that an audit does not let out.

    Parameters
    ----------
    cases
        All cases, in any order.
    spec
        The audit. Where it names the column of ids or of clusters, equal values get equal digests,
        so that cases can still be joined and bundled; elsewhere each case's is its own.
    salts
        What the digests are made with.

    Returns
    -------
    pyarrow.Table
        The same columns, and the rows in the order in which they are bound.
    """
    cases = in_order(cases)
    ids = cases["id"].to_pylist()
    for column in spec.certificate.redact:
        name = DATA_PREFIX + column
        if name in cases.column_names:
            is_shared = column in {spec.data.id_column, spec.data.cluster}
            values = map(_spelled, cases[name].to_pylist())
            of = (("" if is_shared else str(one)) for one in ids)
            digests = salts.digests(["column", column], zip(of, values, strict=True))
            cases = _with_column(cases, name, digests)
    return _redact_ids(cases, spec, salts)


def _redact_ids(table: pa.Table, spec: AuditSpec, salts: Salts) -> pa.Table:
    if not spec.redacts_ids:
        return table
    ids = (("", _spelled(one)) for one in table["id"].to_pylist())
    return _with_column(table, "id", salts.digests(["id"], ids))


def _redact_refused(rows: pa.Table, salts: Salts, folder: str) -> pa.Table:
    """Let salted digests stand for all of refused rows but their numbers."""
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if not pa.types.is_integer(column.type):
            values = ((str(n), repr(one).encode()) for n, one in enumerate(column.to_pylist()))
            rows = _with_column(rows, name, salts.digests(["refused", folder, name], values))
    return rows


def _spelled(value: Any) -> bytes:
    return canonical_json(plain(value))


def _with_column(table: pa.Table, name: str, texts: Sequence[str]) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(texts, pa.string()))


def plain(value: Any) -> Any:
    """Spell a value so that JSON has a word for it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else str(value)  # zero has two signs
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
