"""The custodian: makes, seals, holds and destroys the keys of sessions.

A session has two keys: one for its queue, which its own box learns, and one for its content in the
ledger, which never leaves the core. They are made, sealed and destroyed together.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
from typing import TYPE_CHECKING, Final, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ironclaw.keys.master import unusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.core.ids import SessionId
    from ironclaw.keys.ring import Ring

_NONCE: Final = 12
_KEY: Final = 32
_OPEN: Final = 512
"""Sessions whose keys are open at once: one at rest costs its sealed row only."""

Row = tuple[int, bytes]
"""Version of the sealing key, and the sealed bytes."""


class SealedKeys(Protocol):
    """Where sealed keys are kept: `ironclaw.store.key_rows.KeyRows`."""

    async def load(self) -> dict[SessionId, Row]:
        """Every sealed key."""
        ...

    async def add(self, session: SessionId, row: Row) -> None:
        """Keep a new one; never replaces."""
        ...

    async def remove(self, session: SessionId) -> None:
        """Destroy one. Idempotent."""
        ...

    async def reseal(self, convert: Callable[[SessionId, Row], Row]) -> dict[SessionId, Row]:
        """Replace all or none."""
        ...


class Custodian:
    """Implements `ports.Custodian` and the store's `ContentKeys`."""

    def __init__(self, ring: Ring, rows: SealedKeys, sealed: dict[SessionId, Row]) -> None:
        self._ring = ring
        self._rows = rows
        self._sealed = sealed
        # The store's threads ask too, and this one needs no lock of ours. A key that changes has
        # another row, so what is remembered is never an older one.
        self._opened = functools.lru_cache(maxsize=_OPEN)(self._unseal)
        # A key made while a rotation reads the rows would be left under a destroyed sealing key.
        self._changing = asyncio.Lock()

    @classmethod
    async def start(cls, ring: Ring, rows: SealedKeys) -> Self:
        """Load the sealed keys; finish a rotation that was cut short. Raises HostError."""
        custodian = cls(ring, rows, await rows.load())
        if any(version != ring.current for version, _ in custodian._sealed.values()):
            await custodian._reseal()
        await asyncio.to_thread(ring.drop_old_sealing_keys)
        return custodian

    async def create(self, session: SessionId) -> None:
        """Make and seal the keys of a new session, durable on return.

        Raises:
            HostError: `KEY_UNUSABLE` when it has keys already; store errors.
        """
        pair = secrets.token_bytes(2 * _KEY)
        async with self._changing:
            row = self._seal(session, pair)
            await self._rows.add(session, row)
            self._sealed[session] = row

    def key(self, session: SessionId) -> bytes:
        """The session's 32-byte queue key. Raises HostError (`KEY_UNUSABLE`)."""
        return self._pair(session)[:_KEY]

    def content_key(self, session: SessionId) -> bytes:
        """The session's 32-byte content key. Raises HostError (`KEY_UNUSABLE`)."""
        return self._pair(session)[_KEY:]

    async def forget(self, session: SessionId) -> None:
        """Destroy the session's keys: its content can never be read again. Idempotent."""
        async with self._changing:
            await self._rows.remove(session)
            self._sealed.pop(session, None)
            self._opened.cache_clear()

    async def rotate(self, master: bytes | None = None) -> None:
        """Seal every session key anew, under a fresh sealing key, and the ring under `master`.

        A crash at any point is finished by the next start; no key is unreadable in between.

        Args:
            master: 32 bytes; None keeps the master.

        Raises:
            HostError: `KEY_UNUSABLE`, `DISK_FULL` or another store error.
        """
        async with self._changing:
            if master is not None:
                await asyncio.to_thread(self._ring.change_master, master)
            await asyncio.to_thread(self._ring.add_sealing_key)
            await self._reseal()

    async def _reseal(self) -> None:
        fresh = await self._rows.reseal(
            lambda session, row: self._seal(session, self._unseal(session, row))
        )
        self._sealed = fresh
        await asyncio.to_thread(self._ring.drop_old_sealing_keys)

    def _pair(self, session: SessionId) -> bytes:
        row = self._sealed.get(session)
        if row is None:
            raise unusable(
                f"Session {session} has no key.",
                "It was forgotten on purpose, or the store is older than the session.",
            )
        return self._opened(session, row)

    def _seal(self, session: SessionId, pair: bytes) -> Row:
        version = self._ring.current
        cipher = AESGCM(self._sealing_key(session, version))
        nonce = secrets.token_bytes(_NONCE)
        return version, nonce + cipher.encrypt(nonce, pair, _context(session, version))

    def _unseal(self, session: SessionId, row: Row) -> bytes:
        version, sealed = row
        cipher = AESGCM(self._sealing_key(session, version))
        try:
            pair = cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _context(session, version))
        except (InvalidTag, ValueError) as error:
            raise unusable(
                f"The key of session {session} cannot be unsealed.",
                "The store and the keys directory do not belong together: put back a backup.",
            ) from error
        return pair

    def _sealing_key(self, session: SessionId, version: int) -> bytes:
        key = self._ring.sealing_key(version)
        if key is None:
            raise unusable(
                f"The key of session {session} is sealed with a sealing key that is gone.",
                "The keys directory is older than the store: put back one that belongs to it.",
                detail=f"version {version}",
            )
        return key


def _context(session: SessionId, version: int) -> bytes:
    return f"ironclaw session keys\0{version}\0{session}".encode()
