"""What binds each case, so that single cases can be shown later, and none be made up by then.

What is known of a case is bound by a salted digest, a leaf; all leaves stand under one Merkle root
in the certificate. Whoever demands some cases is shown them with their salts and their paths to the
root. That proves that exactly this was bound when the certificate was issued. It does not prove
that it is true: for that, hold the case against another source.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import pyarrow as pa

from evaluator.certification._merkle import leaf_of, root_by_path, tree_paths, tree_root
from evaluator.certification._recomputation import narrowed_to, read_declared
from evaluator.certification._redaction import (
    SECRET_FILE,
    Salts,
    in_order,
    plain,
    redact_cases,
)
from evaluator.certification._signatures import parse_envelope
from evaluator.certification._statement import (
    Commitment,
    Discrepancy,
    Predicate,
    Sha256,
    Statement,
    StrictModel,
    parse_statement,
)
from evaluator.certification._stored_evidence import StoredEvidence
from evaluator.errors import EvidenceError, UsageError
from evaluator.evidence import canonical_json, digest_of_bytes
from evaluator.scorecard import CASES, DATA_PREFIX, PREDICTIONS, Asset, predictions_of

_WIDTH: Final = hashlib.sha256().digest_size


class BoundCase(NamedTuple):
    """What is bound of a case."""

    case: dict[str, Any]
    """Each column of the evaluation set, with salted digests for what is not let out."""
    predictions: dict[str, dict[str, Any]]
    """By candidate, its score and prediction: of the certificate's candidate and the baseline."""

    def to_bytes(self) -> bytes:
        """Spell it: two lines of canonical JSON."""
        return canonical_json(self.case) + canonical_json(self.predictions)


class Bound(NamedTuple):
    """All cases of a certificate, in the order of the tree."""

    cases: Sequence[BoundCase]
    salts: Sequence[bytes]
    leaves: Sequence[bytes]

    def commitment(self) -> Commitment:
        """Give what the certificate says of them."""
        return Commitment(root=tree_root(self.leaves).hex(), cases=len(self.leaves))


def bind(evidence: StoredEvidence, secret: bytes) -> Bound:
    """Bind all cases of a certificate.

    Parameters
    ----------
    evidence
        What it rests on, whole.
    secret
        See `secret_in`.

    Raises
    ------
    EvidenceError
        Where evidence is not what the certificate says.
    """
    spec, predicate = read_declared(evidence), evidence.predicate
    salts = Salts(secret, predicate.audit, predicate.evaluation_set.digest)
    stored = in_order(_cases(evidence))
    said = _predictions(evidence)
    ids = stored["id"].to_pylist()
    cases = [
        BoundCase(row, {name: by_id[of] for name, by_id in said.items() if of in by_id})
        for row, of in zip(_rows(redact_cases(stored, spec, salts)), ids, strict=True)
    ]
    of_cases = [salts.salt("case", predicate.candidate.name, str(of)) for of in ids]
    leaves = [leaf_of(salt + case.to_bytes()) for salt, case in zip(of_cases, cases, strict=True)]
    return Bound(cases, of_cases, leaves)


def bound_statement(statement: Statement, evidence_url: str, secret: bytes) -> Statement:
    """Let a statement bind all of its cases; see `bind`."""
    evidence = StoredEvidence(evidence_url, statement.predicate)
    commitment = bind(evidence, secret).commitment()
    predicate = statement.predicate.model_copy(update={"commitment": commitment})
    return statement.model_copy(update={"predicate": predicate})


def bind_as_issued(evidence: StoredEvidence, secret: bytes) -> Bound:
    """Bind all cases of a certificate once more, and make sure that this gives what it says.

    Raises
    ------
    EvidenceError
        Where the certificate binds no cases, or was issued with another secret.
    """
    if evidence.predicate.commitment is None:
        raise EvidenceError(
            "it binds no single cases, as those of format 1 do not",
            culprit="certificate",
            fix="issue a new one with `evaluator run`",
        )
    bound = bind(evidence, secret)
    if bound.commitment() != evidence.predicate.commitment:
        raise EvidenceError(
            "the certificate's cases were bound with another secret",
            culprit=SECRET_FILE,
            fix="do it where the certificate was issued, or restore the secret from a copy",
        )
    return bound


def _cases(evidence: StoredEvidence) -> pa.Table:
    scorecard = evidence.root(Asset.SCORECARD)
    found = evidence.upstream_of(scorecard, Asset.EVALUATION_SET)
    return pa.concat_tables(evidence.table(item, CASES) for item in found)


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    columns = [map(plain, column.to_pylist()) for column in table.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(table.column_names, row, strict=True))


def _predictions(evidence: StoredEvidence) -> dict[str, dict[Any, dict[str, Any]]]:
    """Read by candidate and id what a certificate's candidate, and the baseline, said."""
    spec, scorecard = read_declared(evidence), evidence.root(Asset.SCORECARD)
    return {
        name: {
            row.pop("id"): row
            for item in evidence.upstream_of(scorecard, predictions_of(name))
            for row in _rows(
                evidence.table(item, PREDICTIONS).select(["id", "score", "prediction"])
            )
        }
        for name in narrowed_to(spec, evidence.predicate.candidate.name)
    }


def check_leaves(leaves: bytes, source: str, evidence: StoredEvidence) -> Iterator[Discrepancy]:
    """Hold the leaves of a redacted bundle against the certificate's root, and count its rows."""
    said = evidence.predicate.commitment
    size = len(leaves) // _WIDTH
    split = [leaves[at * _WIDTH : (at + 1) * _WIDTH] for at in range(size)]
    if said is None or len(leaves) % _WIDTH or said.root != tree_root(split).hex():
        yield Discrepancy("cases", source, "its leaves do not give the certificate's root")
    elif said.cases != size or _cases(evidence).num_rows != size:
        yield Discrepancy("cases", source, "the certificate binds another number of cases")


def challenged(commitment: Commitment, challenge: str, count: int) -> list[int]:
    """Choose cases at random, as whoever demands them and whoever shows them do alike.

    Parameters
    ----------
    commitment
        What the certificate says of its cases.
    challenge
        Any text that its issuer did not know when the certificate was issued.
    count
        How many to choose; all, where there are fewer.

    Returns
    -------
    list[int]
        Their places in the tree, in order. Every choice is equally likely over the challenges.
    """
    begin = canonical_json([commitment.root, challenge])
    order = sorted(
        range(commitment.cases), key=lambda at: hashlib.sha256(begin + b"%d" % at).digest()
    )
    return sorted(order[:count])


class Opening(StrictModel):
    """One case, and what ties it to the root."""

    place: int
    """Its place among the leaves, counted from 0."""
    case: dict[str, Any]
    predictions: dict[str, dict[str, Any]]
    salt: Sha256
    path: tuple[Sha256, ...]
    """The nodes beside its way to the root, from below."""

    @property
    def bound(self) -> BoundCase:
        """What was bound of it."""
        return BoundCase(self.case, self.predictions)


class Openings(StrictModel):
    """The cases of a certificate that somebody demanded."""

    format: Literal["evaluator/openings/1"] = "evaluator/openings/1"
    certificate: Sha256
    challenge: str
    openings: tuple[Opening, ...]


def open_cases(
    certificate: bytes, evidence_url: str, secret: bytes, *, challenge: str, count: int
) -> Openings:
    """Show the cases that a challenge chooses.

    Parameters
    ----------
    certificate
        The bytes of its file.
    evidence_url
        Where all lies that it rests on: a path or any fsspec URL.
    secret
        See `secret_in`.
    challenge, count
        See `challenged`.

    Raises
    ------
    EvidenceError
        Where the certificate binds no cases, or was issued with another secret.
    """
    envelope = parse_envelope(certificate, "certificate")
    statement = parse_statement(envelope.payload, "certificate")
    bound = bind_as_issued(StoredEvidence(evidence_url, statement.predicate), secret)
    places = challenged(bound.commitment(), challenge, count)
    paths = tree_paths(bound.leaves, places)
    return Openings(
        certificate=digest_of_bytes(certificate),
        challenge=challenge,
        openings=tuple(
            Opening(
                place=place,
                case=bound.cases[place].case,
                predictions=bound.cases[place].predictions,
                salt=bound.salts[place].hex(),
                path=tuple(node.hex() for node in paths[place]),
            )
            for place in places
        ),
    )


class Shown(NamedTuple):
    """Cases that were handed over on demand."""

    openings: Openings
    source: str
    """What the file is called."""
    challenge: str
    """By which they were demanded."""
    asked: int
    """How many."""

    def in_words(self, predicate: Predicate) -> str:
        """Say what was demanded, and what it is worth where it holds."""
        cases = 0 if predicate.commitment is None else predicate.commitment.cases
        return (
            f"{min(self.asked, cases)} of {cases} cases, as the challenge chose: had 5 % of all"
            f" been made up afterwards, nobody would have noticed with {0.95**self.asked:.1%}"
        )


def read_openings(path: Path, *, challenge: str, asked: int) -> Shown:
    """Read the cases that somebody was asked for.

    Parameters
    ----------
    path
        The file that was handed over.
    challenge, asked
        By which the cases were demanded, and how many; see `challenged`.

    Raises
    ------
    UsageError
        Where it is no such file.
    """
    try:
        return Shown(Openings.parse(path.read_bytes()), path.name, challenge, asked)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"it holds no openings of cases: {error}",
            culprit=str(path),
            fix="name the file that `evaluator open` made",
        ) from error


def check_openings(
    shown: Shown, evidence: StoredEvidence, certificate: str
) -> Iterator[Discrepancy]:
    """Hold shown cases against the root, and against the rows that figures were computed from.

    Parameters
    ----------
    shown
        What was demanded and handed over.
    evidence
        What the certificate rests on, whole or redacted.
    certificate
        The SHA-256 of its file.
    """
    said, source, openings = evidence.predicate.commitment, shown.source, shown.openings
    if said is None or openings.certificate != certificate:
        yield Discrepancy("cases", source, "it shows cases of another certificate")
        return
    places = [one.place for one in openings.openings]
    expected = challenged(said, shown.challenge, shown.asked)
    if places != expected or openings.challenge != shown.challenge:
        what = f"it does not show the {len(expected)} cases that the challenge chooses"
        yield Discrepancy("cases", source, what)
    spec = read_declared(evidence)
    cases = _cases(evidence) if evidence.withheld is not None else in_order(_cases(evidence))
    predictions = _predictions(evidence)
    redacted = {DATA_PREFIX + column for column in spec.certificate.redact}
    redacted |= {"id"} if spec.data.id in spec.certificate.redact else set()
    if evidence.withheld is not None:
        redacted = set()  # digests stand for them here too
    compared = [name for name in cases.column_names if name not in redacted]
    for one in openings.openings:
        root = root_by_path(
            leaf_of(bytes.fromhex(one.salt) + one.bound.to_bytes()),
            one.place,
            said.cases,
            [bytes.fromhex(node) for node in one.path],
        )
        row = next(_rows(cases.slice(one.place, 1)), None) if root is not None else None
        if root is None or root.hex() != said.root:
            what = f"the case at {one.place} is not what the certificate binds there"
            yield Discrepancy("cases", source, what)
        elif row is None or any(one.case.get(name) != row[name] for name in compared):
            what = f"the case at {one.place} is another than figures rest on"
            yield Discrepancy("cases", source, what)
        elif one.predictions != {
            name: by_id[row["id"]] for name, by_id in predictions.items() if row["id"] in by_id
        }:
            what = f"the case at {one.place} has other predictions than figures rest on"
            yield Discrepancy("cases", source, what)
