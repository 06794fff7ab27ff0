"""Keys of one session's queue, derived from its session key with HKDF-SHA256 (RFC 5869).

Each direction has its own page key and its own record key, so nothing written for one direction
can be replayed in the other.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from ironclaw_contract.hashing import hmac_sha256
from ironclaw_contract.limits import KEY_BYTES


class Direction(enum.StrEnum):
    """Who wrote a segment."""

    IN = "in"
    """Host to box."""
    OUT = "out"
    """Box to host."""


class QueueKeys(NamedTuple):
    """The two keys of one direction."""

    page: bytes
    """Raw SQLCipher key, 32 bytes."""
    record: bytes
    """MAC key of the record chain, 32 bytes."""


def derive(session_key: bytes, direction: Direction) -> QueueKeys:
    """Derive the keys of one direction.

    Raises:
        ValueError: The session key does not have 32 bytes.

    Source:
        RFC 5869 with an all-zero salt; one output block suffices for 32 bytes.
    """
    if len(session_key) != KEY_BYTES:
        raise ValueError("a session key has 32 bytes")
    prk = hmac_sha256(bytes(32), session_key)

    def expand(purpose: str) -> bytes:
        info = f"ironclaw/1/{direction}/{purpose}".encode()
        return hmac_sha256(prk, info + b"\x01")

    return QueueKeys(page=expand("page"), record=expand("record"))
