"""What binds each case, so that single cases can be shown later, and none be made up by then.

What is known of a case is bound by a salted digest, a leaf; all leaves stand under one Merkle root
in the certificate. Whoever demands some cases is shown them with their salts and their paths to the
root. That proves that exactly this was bound when the certificate was issued. It does not prove
that it is true: for that, hold the case against another source.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.certification._declaration import narrowed_to, read_declared
from evaluator.certification._merkle import leaf_of, root_by_path, tree_paths, tree_root
from evaluator.certification._phrases import format_list
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
    EvidenceItem,
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


class Bound(NamedTuple):
    """All cases of a certificate, in the order of the tree."""

    cases: Sequence[str]
    """Of each two lines of canonical JSON: its columns in the evaluation set, with salted digests
    for what is not let out; and by candidate, the certificate's and the baseline, its score and
    prediction."""
    salts: Sequence[bytes]
    leaves: Sequence[bytes]

    def commitment(self) -> Commitment:
        """Give what the certificate says of them."""
        return Commitment(root=tree_root(self.leaves).hex(), cases=len(self.leaves))


class Binder:
    """Binds the cases of certificates, and spells once what several of them share.

    Parameters
    ----------
    secret
        See `secret_in`.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._cases: dict[tuple[str, ...], tuple[list[Any], list[str]]] = {}
        self._said: dict[tuple[str, ...], dict[Any, str]] = {}

    def bind(self, evidence: StoredEvidence) -> Bound:
        """Bind all cases of a certificate.

        Raises
        ------
        EvidenceError
            Where evidence, which must be whole, is not what the certificate says.
        """
        spec, predicate = read_declared(evidence), evidence.predicate
        salts = Salts(self._secret, predicate.audit, predicate.evaluation_set.digest)
        items = _items(evidence, Asset.EVALUATION_SET)
        version = tuple(item.folder for item in items)
        if version not in self._cases:
            stored = in_order(_table(evidence, items, CASES))
            lines = spell_rows(redact_cases(stored, spec, salts))
            self._cases[version] = stored["id"].to_pylist(), lines
        ids, lines = self._cases[version]
        said = {}
        for name in sorted(narrowed_to(spec, predicate.candidate.name)):
            items = _items(evidence, predictions_of(name))
            version = tuple(item.folder for item in items)
            if version not in self._said:
                self._said[version] = _said_by_id(evidence, items)
            said[name] = self._said[version]
        cases = [line + _spell_said(said, of) for line, of in zip(lines, ids, strict=True)]
        of_cases = salts.of_cases(predicate.candidate.name, map(str, ids))
        leaves = [leaf_of(salt + case.encode()) for salt, case in zip(of_cases, cases, strict=True)]
        return Bound(cases, of_cases, leaves)

    def bound(self, statement: Statement, evidence_url: str) -> Statement:
        """Let a statement bind all of its cases."""
        evidence = StoredEvidence(evidence_url, statement.predicate)
        commitment = self.bind(evidence).commitment()
        predicate = statement.predicate.model_copy(update={"commitment": commitment})
        return statement.model_copy(update={"predicate": predicate})


def bind_as_issued(evidence: StoredEvidence, secret: bytes, redact: Collection[str]) -> Bound:
    """Bind all cases of a certificate once more, and make sure that this gives what it says.

    Raises
    ------
    EvidenceError
        Where the certificate binds no cases, was issued with another secret, or lets out one of the
        columns that its audit does not let out by now.
    """
    let_out = sorted({*redact} - {*read_declared(evidence).certificate.redact})
    if let_out:
        raise EvidenceError(
            f"it was issued before its audit kept back {format_list(let_out)}, and lets that out",
            culprit="certificate",
            fix="issue a new one with `evaluator run`",
        )
    if evidence.predicate.commitment is None:
        raise EvidenceError(
            "it binds no single cases, as those of format 1 do not",
            culprit="certificate",
            fix="issue a new one with `evaluator run`",
        )
    bound = Binder(secret).bind(evidence)
    if bound.commitment() != evidence.predicate.commitment:
        raise EvidenceError(
            "the certificate's cases were bound with another secret",
            culprit=SECRET_FILE,
            fix="do it where the certificate was issued, or restore the secret from a copy",
        )
    return bound


def _items(evidence: StoredEvidence, asset: str) -> tuple[EvidenceItem, ...]:
    return tuple(evidence.upstream_of(evidence.root(Asset.SCORECARD), asset))


def _table(evidence: StoredEvidence, items: Sequence[EvidenceItem], name: str) -> pa.Table:
    tables = [evidence.table(item, name) for item in items]
    # Of no rows the types are unknown.
    return pa.concat_tables(tables, promote_options="default")


def _cases(evidence: StoredEvidence) -> pa.Table:
    return _table(evidence, _items(evidence, Asset.EVALUATION_SET), CASES)


def _said_by_id(
    evidence: StoredEvidence, items: Sequence[EvidenceItem], ids: pa.Array | None = None
) -> dict[Any, str]:
    """Spell by id what a candidate said of all cases, or of some."""
    if not items:
        return {}
    table = _table(evidence, items, PREDICTIONS)
    if ids is not None:
        table = table.filter(pc.is_in(table["id"], value_set=ids))
    said = [name for name in table.column_names if name not in ("id", "label")]
    lines = spell_rows(table.select(said))
    return dict(zip(table["id"].to_pylist(), lines, strict=True))


def _spell_said(said: Mapping[str, Mapping[Any, str]], of: Any) -> str:
    """Spell what candidates, in order of their names, said of a case."""
    words = (f'"{name}":{by_id[of][:-1]}' for name, by_id in said.items() if of in by_id)
    return "{" + ",".join(words) + "}\n"


def spell_rows(table: pa.Table) -> list[str]:
    """Spell each row as a line of canonical JSON, as `canonical_json` would."""
    names = sorted(table.column_names)
    columns = []
    for name in names:
        column = table[name].combine_chunks().dictionary_encode()
        values = [*column.dictionary.to_pylist(), None]
        words = [canonical_json(plain(value)).decode()[:-1] for value in values]
        places = column.indices.fill_null(len(values) - 1).to_numpy()
        columns.append(np.array(words, dtype=object)[places])
    keys = [canonical_json(name).decode()[:-1].replace("%", "%%") for name in names]
    template = "{" + ",".join(f"{key}:%s" for key in keys) + "}\n"
    return [template % row for row in zip(*columns, strict=True)]


def check_leaves(leaves: bytes, source: str, evidence: StoredEvidence) -> Iterator[Discrepancy]:
    """Hold the leaves of a redacted bundle against the certificate's root and number of cases."""
    said = evidence.predicate.commitment
    size = len(leaves) // _WIDTH
    split = [leaves[at * _WIDTH : (at + 1) * _WIDTH] for at in range(size)]
    if said is None or len(leaves) % _WIDTH or said.root != tree_root(split).hex():
        yield Discrepancy("cases", source, "its leaves do not give the certificate's root")
    elif said.cases != size:
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

    def root(self, size: int) -> str | None:
        """Give the root of a tree of so many leaves that it leads to, or None where to none."""
        content = canonical_json(self.case) + canonical_json(self.predictions)
        leaf = leaf_of(bytes.fromhex(self.salt) + content)
        root = root_by_path(leaf, self.place, size, [bytes.fromhex(node) for node in self.path])
        return None if root is None else root.hex()


class Openings(StrictModel):
    """The cases of a certificate that somebody demanded."""

    format: Literal["evaluator/openings/1"] = "evaluator/openings/1"
    certificate: Sha256
    challenge: str
    openings: tuple[Opening, ...]


def open_cases(
    certificate: bytes,
    evidence_url: str,
    secret: bytes,
    *,
    challenge: str,
    count: int,
    redact: Collection[str] = (),
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
    redact
        The columns that the audit does not let out by now.

    Raises
    ------
    EvidenceError
        As `bind_as_issued`.
    """
    envelope = parse_envelope(certificate, "certificate")
    statement = parse_statement(envelope.payload, "certificate")
    evidence = StoredEvidence(evidence_url, statement.predicate)
    bound = bind_as_issued(evidence, secret, redact)
    places = challenged(bound.commitment(), challenge, count)
    paths = tree_paths(bound.leaves, places)
    return Openings(
        certificate=digest_of_bytes(certificate),
        challenge=challenge,
        openings=tuple(
            Opening(
                place=place,
                case=json.loads(case),
                predictions=json.loads(predictions),
                salt=bound.salts[place].hex(),
                path=tuple(node.hex() for node in paths[place]),
            )
            for place in places
            for case, predictions, _ in [bound.cases[place].split("\n")]
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
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"it holds no openings of cases: {why}",
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
    cases = _cases(evidence)
    redacted = set()
    if evidence.withheld is None:
        cases = in_order(cases)
        redacted = {DATA_PREFIX + column for column in spec.certificate.redact}
        redacted |= {"id"} if spec.redacts_ids else set()
    bound = []
    for one in openings.openings:
        # A place that is bound is one of the rows, whose number is held against the certificate's.
        if one.root(said.cases) == said.root and one.place < cases.num_rows:
            bound.append(one)
        else:
            what = f"the case at {one.place} is not what the certificate binds there"
            yield Discrepancy("cases", source, what)
    rows = cases.take(pa.array([one.place for one in bound], pa.int64()))
    by_candidate = {
        name: _said_by_id(evidence, _items(evidence, predictions_of(name)), rows["id"])
        for name in sorted(narrowed_to(spec, evidence.predicate.candidate.name))
    }
    for one, line, of in zip(bound, spell_rows(rows), rows["id"].to_pylist(), strict=True):
        row = json.loads(line)
        if any(one.case.get(name) != row[name] for name in row.keys() - redacted):
            what = f"the case at {one.place} is another than figures rest on"
            yield Discrepancy("cases", source, what)
        if one.predictions != json.loads(_spell_said(by_candidate, of)):
            what = f"the case at {one.place} has other predictions than figures rest on"
            yield Discrepancy("cases", source, what)
