"""What an audit's certificates say of themselves, and what follows from one."""

from pydantic import Field

from evaluator.spec.base import SpecModel


class CertificateSpec(SpecModel):
    """Who asks for the audit's certificates, how long they are valid, and what they open."""

    requested_by: str = Field(default="not stated", min_length=1, examples=["Ada Bell, model risk"])
    """Who asked for the audit; it stands in each certificate."""

    valid_days: int = Field(default=90, ge=1, le=3660, strict=True, examples=[90])
    """How many days a certificate is valid. Whatever is stated here, one is void when the artifact
    or the evaluation set is another one, or the ledger revokes it."""

    promote_alias: str | None = Field(
        default=None, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", examples=["released"]
    )
    """The alias that a certified model of an MLflow registry is given, beside a tag with its
    certificate's digest. Both are taken away when the certificate no longer stands. A candidate
    is promoted by nothing else."""
