"""Whose signature counts for what: public keys by role, as somebody outside of an audit gives them.

An audit's own folder never says whom to trust: whoever can change it could change that too.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from evaluator.certification._signatures import (
    Envelope,
    PublicKey,
    SigningKeyError,
    load_public_key,
    signing_key_from_environment,
)
from evaluator.certification._statement import first_fault

TRUSTED_KEYS_VARIABLE: Final = "EVALUATOR_TRUSTED_KEYS"
"""The environment variable that may name a file of trusted keys, or a single public key's file."""

Role = Literal["issuer", "reviewer"]
"""Issuers sign certificates; reviewers sign off, waive, revoke and correct."""

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
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SigningKeyError(
                f"the trusted keys cannot be read ({error.strerror})",
                culprit=str(path),
                fix="check the path",
            ) from error
        if b"-----BEGIN" in content:
            return cls.of(load_public_key(path))
        try:
            named = _FILE.validate_python(tomllib.loads(content.decode()))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
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
    own, named = (
        signing_key_from_environment(environment),
        TrustedKeys.from_environment(environment),
    )
    if own is None:
        return named
    trusted = TrustedKeys.of(own.public)
    return trusted if named is None else trusted + named
