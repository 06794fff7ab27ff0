"""Receipts for tests: a sealed launch, signed with a key that is only a test's."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Partition, Session
from ironclaw.domain.receipts import key_id, seal
from ironclaw.domain.statement import CGROUP_CHECKS, Receipt, Sealed, state
from ironclaw.testing.sealed_facts import SEALED

AT_MS = 1_800_000_000_123


class TestSigner:
    """Implements `domain.receipts.Signer`. Another number is another key."""

    __test__ = False

    def __init__(self, number: int = 0) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)

    @property
    def public_key(self) -> Ed25519PublicKey:
        """What verifies."""
        return self._key.public_key()

    @property
    def pem(self) -> bytes:
        """The public key as a file has it."""
        return self.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """The name of the public key."""
        return key_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Sign anything."""
        return self._key.sign(message)


def launch(slot: str = "slt_fake") -> Receipt:
    """A launch as a full host proves it."""
    return Receipt(
        slot=slot,
        at_ms=AT_MS,
        runtime="runsc",
        runtime_version="fake",
        platform="systrap",
        network="none",
        uid=65532,
        rootless=False,
        image_digest="sha256:" + "0" * 64,
        spec_digest="0" * 64,
        inside=SEALED,
        outside={"uid": "65534"},
        weaker=(),
        flags=("--network=none",),
        checks={"inside.uid": True, "outside.sentry.uid": True}
        | dict.fromkeys(CGROUP_CHECKS, True),
        airlock_held=("seccomp",),
    )


def sealed(
    session: str = "ses_fake",
    *,
    slot: str = "slt_fake",
    epoch: int = 1,
    signer: TestSigner | None = None,
    receipt: Receipt | None = None,
) -> Sealed:
    """A signed receipt."""
    owner = Session(
        id=SessionId(session),
        agent=AgentId("agt_fake"),
        chat=None,
        thread=None,
        partition=Partition.SHARED,
        created_ms=AT_MS,
        epoch=epoch,
    )
    statement = state(receipt or launch(slot), owner, bound_ms=AT_MS + 1)
    return seal(statement, signer or TestSigner())
