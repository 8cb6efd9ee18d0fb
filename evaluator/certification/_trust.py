"""Whose signature counts for what: public keys by role, as somebody outside of an audit gives them.

An audit's own folder never says whom to trust: whoever can change it could change that too.
With them an entry of the ledger counts if one of them signed it and its owner may say such a thing.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from evaluator.certification._entries import KINDS, ChainedEntry, LedgerEntry, Role
from evaluator.certification._signatures import (
    Envelope,
    PublicKey,
    SigningKeyError,
    load_public_key,
    public_key,
    read_key_file,
    signing_key_from_environment,
)
from evaluator.certification._statement import LedgerHead, first_fault

TRUSTED_KEYS_VARIABLE: Final = "EVALUATOR_TRUSTED_KEYS"
"""The environment variable that may name a file of trusted keys, or a single public key's file."""

FALSE_SIGNATURE: Final = "its signature is not of the key that it names"
"""Why an entry is void that is no entry of its signer's."""

_Name = Annotated[str, Field(min_length=1, pattern=r"\S")]
_FILE = TypeAdapter(
    dict[Role, dict[_Name, _Name]], config=ConfigDict(strict=True, title="trusted keys")
)
_EXAMPLE = '[issuer]\naudit = "audit.public.pem"\n\n[reviewer]\n"Ada Lovelace" = "ada.public.pem"'


@dataclass(frozen=True, kw_only=True)
class TrustedKey:
    """A public key, and what its owner may sign.

    Attributes
    ----------
    key
        The public key.
    roles
        What its owner may do.
    name
        Whose it is: what they decide counts under that name alone. None where any name does.
    """

    key: PublicKey
    roles: frozenset[Role]
    name: str | None = None


class TrustedKeys:
    """The keys that whoever checks something trusts.

    Parameters
    ----------
    keys
        One key may be given several times, for several roles or names.
    """

    def __init__(self, keys: Iterable[TrustedKey]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def of(cls, *keys: PublicKey) -> "TrustedKeys":
        """Trust some keys in every role, whatever name their owners give."""
        roles = frozenset(get_args(Role))
        return cls(TrustedKey(key=key, roles=roles) for key in keys)

    @classmethod
    def read(cls, path: Path) -> "TrustedKeys":
        """Read a file of trusted keys, or a single public key, which is trusted in every role.

        Parameters
        ----------
        path
            A public key in PEM, or TOML with the tables `issuer` and `reviewer`: by name the files
            of public keys, beside it or by absolute paths.

        Raises
        ------
        SigningKeyError
            Where it is not there, or neither of the two.
        """
        content = read_key_file(path, "the trusted keys")
        if b"-----BEGIN" in content:
            return cls.of(public_key(content, str(path)))
        try:
            named = _FILE.validate_python(tomllib.loads(content.decode()))
        except (ValueError, RecursionError) as error:
            what = first_fault(error) if isinstance(error, ValidationError) else str(error)
            raise SigningKeyError(
                f"it is neither a public key in PEM nor a list of trusted keys: {what}",
                culprit=str(path),
                fix=f"write it as\n{_EXAMPLE}",
            ) from error
        return cls(
            TrustedKey(key=load_public_key(path.parent / file), roles=frozenset({role}), name=name)
            for role, keys in named.items()
            for name, file in keys.items()
        )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "TrustedKeys | None":
        """Read the keys that `EVALUATOR_TRUSTED_KEYS` names; None where it is not set."""
        path = environment.get(TRUSTED_KEYS_VARIABLE)
        return cls.read(Path(path)) if path else None

    def __add__(self, others: "TrustedKeys") -> "TrustedKeys":
        return TrustedKeys((*self._keys, *others._keys))

    def __iter__(self) -> Iterator[TrustedKey]:
        return iter(self._keys)

    def issuers(self) -> list[str]:
        """Return the ids of the keys that may sign certificates, each once."""
        ids = (known.key.key_id for known in self._keys if "issuer" in known.roles)
        return list(dict.fromkeys(ids))

    def of_id(self, key_id: str) -> list[TrustedKey]:
        """Return what is known of a key; nothing where it is not trusted."""
        return [known for known in self._keys if known.key.key_id == key_id]

    def issuer_of(self, envelope: Envelope) -> PublicKey | None:
        """Return the trusted issuer's key that signed an envelope; None where none did."""
        # The hint of its key id decides nothing, so every key is tried.
        issuers = (known.key for known in self._keys if "issuer" in known.roles)
        return next((key for key in issuers if envelope.is_signed_by(key)), None)


def trusted_by_environment(environment: Mapping[str, str]) -> TrustedKeys | None:
    """Trust the key that this machine signs with, in every role, and the keys that it names.

    Parameters
    ----------
    environment
        Usually `os.environ`.

    Returns
    -------
    TrustedKeys or None
        None where it has no key and names none: then nothing can be told apart.
    """
    own = signing_key_from_environment(environment)
    named = TrustedKeys.from_environment(environment)
    if own is None:
        return named
    trusted = TrustedKeys.of(own.public)
    return trusted if named is None else trusted + named


def why_void(
    entry: LedgerEntry,
    trusted: TrustedKeys,
    revoked: Mapping[str, int],
    known_head: LedgerHead | None,
) -> str:
    """Say why an entry does not count with these keys; empty where it does."""
    if entry.signature is None:
        return "it is not signed"
    if not trusted.of_id(entry.signature.keyid):
        return f"the key {entry.signature.keyid[:12]}… that signed it is not trusted"
    signers = _signers(entry, trusted)
    if not signers:
        return FALSE_SIGNATURE
    void = _not_theirs(entry, signers, trusted)
    # What it says of other keys a key may have said before it was lost.
    if void or entry.kind == "key_revocation":
        return void
    return _by_revoked_key(entry, revoked.get(signers[0].key.key_id), known_head)


def revoked_keys(entries: Sequence[ChainedEntry], trusted: TrustedKeys) -> dict[str, int]:
    """Return which keys are revoked, each with the number of the entry that says so first."""
    revoked: dict[str, int] = {}
    for chained in entries:
        entry = chained.entry
        signers = _signers(entry, trusted) if entry.kind == "key_revocation" else []
        if signers and signers[0].key.key_id not in revoked:
            revoked.setdefault(entry.subject, entry.sequence)
    return revoked


def _signers(entry: LedgerEntry, trusted: TrustedKeys) -> list[TrustedKey]:
    """Return what is known of the key that signed an entry; nothing where no trusted one did."""
    if entry.signature is None:
        return []
    known = trusted.of_id(entry.signature.keyid)
    return known if known and entry.is_signed_by(known[0].key) else []


def _not_theirs(entry: LedgerEntry, signers: Sequence[TrustedKey], trusted: TrustedKeys) -> str:
    """Say why an entry is not what its signer may say; empty where it is."""
    kind = KINDS[entry.kind]
    needed = kind.said_by
    if not needed:
        return ""
    able = [known for known in signers if known.roles & needed]
    if not able:
        return f"its key is no {' and no '.join(sorted(needed))}'s"
    if kind.about == "itself":
        return ""
    key_id = signers[0].key.key_id
    theirs = [known for known in trusted if known.name == entry.author and known.roles & needed]
    if theirs and all(known.key.key_id != key_id for known in theirs):
        return f"{entry.author} has a key, and another one signed it"
    if all(known.name not in (None, entry.author) for known in able):
        return f"it says {entry.author}, and the key is {able[0].name}'s"
    return ""


def _by_revoked_key(
    entry: LedgerEntry, revoked_by: int | None, known_head: LedgerHead | None
) -> str:
    """Say why the revocation of its key makes an entry void; empty where it does not."""
    if revoked_by is None:
        return ""
    if entry.sequence > revoked_by:
        return f"entry {revoked_by} revoked its key"
    # Whoever had the key could have written everything before its revocation anew.
    if known_head is None or known_head.sequence < entry.sequence:
        return (
            f"entry {revoked_by} revoked its key, and no head that was kept shows that it is older"
        )
    return ""
