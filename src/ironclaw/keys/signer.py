"""The signers: Ed25519 keys of the ring, one for each purpose, and their public halves as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ironclaw.domain.receipts import key_id
from ironclaw.keys.master import sync_directory, write_failed, write_new

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.keys.ring import Ring

_READABLE: Final = 0o644


class _Signer:
    """Implements `receipts.Signer`. The private key never leaves this process."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._key_id = key_id(self._key.public_key())

    @property
    def key_id(self) -> str:
        """The name of the public key."""
        return self._key_id

    @property
    def public_key(self) -> Ed25519PublicKey:
        """What its signatures are verified with."""
        return self._key.public_key()

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`, 64 bytes."""
        return self._key.sign(message)

    def publish(self, path: Path) -> None:
        """Put the public key where people and tools find it, in PEM form, mode 0644.

        Raises:
            HostError: It cannot be written.
        """
        pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        draft = path.with_name(f".{path.name}")
        try:
            draft.unlink(missing_ok=True)
            write_new(draft, pem)
            draft.chmod(_READABLE)
            draft.replace(path)
            sync_directory(path.parent)
        except OSError as error:
            raise write_failed(path, error) from error


class ReceiptSigner(_Signer):
    """Signs receipts, and nothing else."""

    def __init__(self, ring: Ring) -> None:
        super().__init__(ring.signing_seed)


class AuditSigner(_Signer):
    """Signs checkpoints of the audit, and nothing else. Implements `audit_chain.AuditSigner`."""

    def __init__(self, ring: Ring) -> None:
        super().__init__(ring.audit_seed)
