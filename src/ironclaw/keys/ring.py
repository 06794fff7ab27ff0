"""The ring: store key, keys that seal session keys, keys that sign receipts and the audit.

Sealed under the master.

One file, replaced by rename, so a change of the master or of a sealing key happens or does not.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import structs

from ironclaw.keys.master import (
    MASTER_BYTES,
    make_directory,
    read_private,
    sync_directory,
    unusable,
    write_failed,
    write_new,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.keys.master import MasterSource

_MAGIC: Final = b"ironclaw ring 1\n"
_NONCE: Final = 12
_RESTORE: Final = (
    "Nothing was changed. Put back the keys directory that belongs to this store from your backup; "
    "without it nobody can read the store."
)


class RingBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the ring file holds, unsealed."""

    store: bytes
    """Page key of the store."""
    seals: dict[int, bytes]
    """Sealing keys by version; more than one only in the middle of a rotation."""
    current: int
    signing: bytes = b""
    """Seed of the key that signs receipts; empty in a ring of before there was one."""
    audit: bytes = b""
    """Seed of the key that signs checkpoints of the audit; empty in a ring of before."""


class Ring:
    """The unsealed ring. It never leaves the core's memory."""

    def __init__(self, path: Path, master: bytes, source: MasterSource, body: RingBody) -> None:
        self._path = path
        self._master = master
        self._source = source
        self._body = body

    @classmethod
    def open(cls, directory: Path, source: MasterSource, *, store_exists: bool) -> Self:
        """Unseal the ring, or make master and ring at the very first start.

        Args:
            directory: The keys directory, 0700; made when it is not there.
            source: Where the master comes from.
            store_exists: Whether there is a store that needs the ring of before.

        Raises:
            HostError: `KEY_UNUSABLE`: missing, readable by others, damaged, or of another
                installation. Nothing is made or overwritten then.
        """
        make_directory(directory)
        path = directory / "ring.sealed"
        sealed = read_private(path)
        masters = source.load()
        if sealed is None:
            if store_exists:
                raise unusable(f"The store is there but its key ring {path} is missing.", _RESTORE)
            master = masters[0] if masters else source.make()
            body = RingBody(
                store=secrets.token_bytes(32),
                seals={1: secrets.token_bytes(32)},
                current=1,
                signing=secrets.token_bytes(32),
                audit=secrets.token_bytes(32),
            )
            ring = cls(path, master, source, body)
            ring._write(body, master)
            return ring
        if not masters:
            raise unusable("The master key is missing, but a key ring is there.", _RESTORE)
        for master in masters:
            found = _unseal(sealed, master)
            if found is not None:
                source.settle(master)
                ring = cls(path, master, source, found)
                if not found.signing or not found.audit:
                    ring._replace(
                        structs.replace(
                            found,
                            signing=found.signing or secrets.token_bytes(32),
                            audit=found.audit or secrets.token_bytes(32),
                        )
                    )
                return ring
        raise unusable("The master key does not open the key ring: one of them is wrong.", _RESTORE)

    @classmethod
    def peek(cls, directory: Path, source: MasterSource) -> Self:
        """Unseal the ring to read with: nothing is made, settled or written.

        Raises:
            HostError: `KEY_UNUSABLE`: missing, readable by others, damaged or of another house.
        """
        path = directory / "ring.sealed"
        sealed = read_private(path)
        if sealed is None:
            raise unusable(f"There is no key ring {path}.", "Name the state directory of a house.")
        for master in source.load():
            found = _unseal(sealed, master)
            if found is not None:
                return cls(path, master, source, found)
        raise unusable("The master key does not open the key ring: one of them is wrong.", _RESTORE)

    @property
    def store_key(self) -> bytes:
        """The page key of the store, 32 bytes."""
        return self._body.store

    @property
    def signing_seed(self) -> bytes:
        """The seed of the key that signs receipts, 32 bytes."""
        return self._body.signing

    @property
    def audit_seed(self) -> bytes:
        """The seed of the key that signs checkpoints of the audit, 32 bytes."""
        return self._body.audit

    @property
    def current(self) -> int:
        """Version of the sealing key for what is sealed now."""
        return self._body.current

    def sealing_key(self, version: int) -> bytes | None:
        """The sealing key of that version, if it is still there."""
        return self._body.seals.get(version)

    def add_sealing_key(self) -> int:
        """Make the next sealing key current, keeping the ones before. Raises HostError."""
        version = max(self._body.seals) + 1
        seals = {**self._body.seals, version: secrets.token_bytes(32)}
        self._replace(structs.replace(self._body, seals=seals, current=version))
        return version

    def drop_old_sealing_keys(self) -> None:
        """Destroy all sealing keys but the current one. Raises HostError."""
        current = self._body.current
        if len(self._body.seals) == 1:
            return
        seals = {current: self._body.seals[current]}
        self._replace(structs.replace(self._body, seals=seals))

    def change_master(self, master: bytes) -> None:
        """Seal the ring under another master. A crash leaves the old one or the new one in force.

        Raises:
            HostError: `KEY_UNUSABLE` or `DISK_FULL`; the old master is in force then.
        """
        if len(master) != MASTER_BYTES:
            raise unusable("A master key has 32 bytes.", "Give 32 random bytes.")
        self._source.stage(master)
        self._write(self._body, master)
        self._master = master
        self._source.settle(master)

    def _replace(self, body: RingBody) -> None:
        self._write(body, self._master)
        self._body = body

    def _write(self, body: RingBody, master: bytes) -> None:
        nonce = secrets.token_bytes(_NONCE)
        plain = msgspec.msgpack.encode(body)
        sealed = _MAGIC + nonce + AESGCM(master).encrypt(nonce, plain, _MAGIC)
        temporary = self._path.with_name(".ring.next")
        try:
            temporary.unlink(missing_ok=True)
            write_new(temporary, sealed)
            temporary.replace(self._path)
            sync_directory(self._path.parent)
        except OSError as error:
            raise write_failed(self._path, error) from error


def _unseal(sealed: bytes, master: bytes) -> RingBody | None:
    if not sealed.startswith(_MAGIC):
        return None
    rest = sealed[len(_MAGIC) :]
    if len(rest) <= _NONCE:
        return None
    try:
        plain = AESGCM(master).decrypt(rest[:_NONCE], rest[_NONCE:], _MAGIC)
        return msgspec.msgpack.decode(plain, type=RingBody)
    except (InvalidTag, ValueError):
        return None
