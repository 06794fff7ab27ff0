"""Who vouches for a skill: Ed25519 signatures over the manifest of all its files.

keygen  a private key as PEM, and the public one as the settings name it (base64)
sign    a manifest and a key -> the signature, as it lies in a packed skill
signer  a manifest and a signature -> whose it is, if it is over exactly that
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain.skills import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.domain.skills import SkillFile

MAX_SIGNATURE_BYTES: Final = 1024
MAX_KEY_BYTES: Final = 16 * 1024
_CONTEXT: Final = b"ironclaw skill signature 1\n"

_Base64 = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9+/]+={0,2}\Z", max_length=128)]


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A detached signature."""

    key: _Base64
    """The public key that made it, raw, in base64."""
    signature: _Base64


def keygen() -> tuple[bytes, str]:
    """A new private key in PEM form, and its public one in base64."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, public_of(key)


def public_of(key: Ed25519PrivateKey) -> str:
    """The public key in base64, as `skills.trusted_keys` has it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def read_key(pem: bytes) -> Ed25519PrivateKey:
    """The private key of a PEM file. Raises UserError (`INVALID`)."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(
            Code.INVALID,
            "That is no Ed25519 private key without a password.",
            hint="`ironclaw skill keygen FILE` makes one.",
        )
    return key


def sign(files: Sequence[SkillFile], key: Ed25519PrivateKey) -> bytes:
    """Sign a manifest."""
    made = base64.b64encode(key.sign(_CONTEXT + canonical(files))).decode()
    return msgspec.json.encode(Signature(public_of(key), made), order="sorted")


def signer(files: Sequence[SkillFile], raw: bytes) -> str:
    """Whose signature it is: the public key in base64; empty when there is no signature.

    Raises:
        PolicyError: `FORBIDDEN`: it is none, or over other files.

    Trust:
        `raw` is foreign; its size is checked first.
    """
    if not raw:
        return ""
    try:
        if len(raw) > MAX_SIGNATURE_BYTES:
            raise ValueError("too long")  # noqa: TRY301 - as any other that is none
        found = msgspec.json.decode(raw, type=Signature)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(found.key, validate=True))
        key.verify(base64.b64decode(found.signature, validate=True), _CONTEXT + canonical(files))
    except (InvalidSignature, ValueError, RecursionError) as error:
        raise PolicyError(
            Code.FORBIDDEN,
            "The skill's signature is not one over exactly these files.",
            hint="Something was altered since it was signed: get it again from whoever made it.",
        ) from error
    return base64.b64encode(key.public_bytes_raw()).decode()
