"""The record chain: why nothing in a queue can be dropped, repeated, moved or rewritten unseen.

Page encryption alone does not notice that an old page was put over a new one. So every record
names its predecessor's hash and carries a MAC; the first one follows a genesis hash that binds
session, direction and epoch. Pure: no I/O, no clock.

`Chain.seal` makes the next record, `Chain.check` verifies one, `Chain.advance` steps over it.
"""

from __future__ import annotations

import enum
from _operator import _compare_digest
from typing import TYPE_CHECKING, NamedTuple

from ironclaw_contract.codes import WireCode
from ironclaw_contract.hashing import hmac_sha256, sha256
from ironclaw_contract.limits import CONTRACT_VERSION
from ironclaw_contract.records import ContractError

if TYPE_CHECKING:
    from ironclaw_contract.keys import Direction


class Refusal(enum.StrEnum):
    """Why a segment was refused: the closed set of words that reach audit and quarantine."""

    FILE = "file"
    """Not a plain file of the expected owner, with one link."""
    NAME = "name"
    """A name that is no segment's."""
    SIZE = "size"
    """Over a limit, or not whole pages."""
    FORMAT = "format"
    """Not a database under this key, or one that SQLite calls damaged."""
    SCHEMA = "schema"
    """Not exactly the one table."""
    GAP = "gap"
    """A sequence number that does not follow."""
    ORDER = "order"
    """A record that does not name its predecessor."""
    MAC = "mac"
    """A MAC that does not match: another session, direction, key or content."""
    BODY = "body"
    """A body that is not of the contract."""
    FRAME = "frame"
    """On a socket instead: a frame or a bell byte that is not of the contract."""


class SegmentError(ContractError):
    """A segment that must not be believed."""

    def __init__(self, reason: Refusal, message: str) -> None:
        code = WireCode.TOO_LARGE if reason is Refusal.SIZE else WireCode.MALFORMED
        super().__init__(code, message)
        self.reason = reason


class Record(NamedTuple):
    """One row of a segment."""

    seq: int
    kind: str
    body: bytes
    previous: bytes
    mac: bytes


def canonical(*fields: bytes) -> bytes:
    """Join fields so that no two different lists give the same bytes: each length goes first."""
    return b"".join(len(field).to_bytes(8, "big") + field for field in fields)


def record_hash(record: Record) -> bytes:
    """The hash by which the next record names this one."""
    return sha256(b"ironclaw record" + record.mac + record.previous)


class Chain:
    """One direction of one epoch of one session, at its present position.

    Args:
        key: MAC key of the direction (`QueueKeys.record`), 32 bytes.
        session: The session's id.
        direction: Who writes.
        epoch: Which life of the session's box, from 1.
        seq: Last record already taken, 0 for none.
        last: Its hash; empty means genesis and is only right at 0.

    Raises:
        ValueError: `seq` and `last` do not fit each other.
    """

    __slots__ = ("_key", "_prefix", "direction", "last", "seq")

    def __init__(
        self,
        key: bytes,
        *,
        session: str,
        direction: Direction,
        epoch: int,
        seq: int = 0,
        last: bytes = b"",
    ) -> None:
        if (seq == 0) != (last == b"") or seq < 0:
            raise ValueError("a chain position is a sequence number and its hash")
        self._key = key
        self.direction = direction
        place = (b"%d" % CONTRACT_VERSION, session.encode(), str(direction).encode())
        self._prefix = canonical(*place)
        self.seq = seq
        """Last record taken."""
        self.last = last or sha256(canonical(b"ironclaw genesis", *place, b"%d" % epoch))
        """Its hash, or the genesis hash."""

    def seal(self, kind: str, body: bytes, *, after: Record | None = None) -> Record:
        """Make the record that follows `after`, or the chain's position. Does not advance."""
        seq, previous = (self.seq, self.last) if after is None else (after.seq, record_hash(after))
        return Record(seq + 1, kind, body, previous, self._mac(seq + 1, kind, body, previous))

    def check(self, record: Record, *, after: Record | None = None) -> None:
        """Verify that `record` follows `after`, or the chain's position. Does not advance.

        Raises:
            SegmentError: `GAP`, `ORDER` or `MAC`.

        Trust:
            `record` is hostile; its types and sizes have been checked.
        """
        seq, previous = (self.seq, self.last) if after is None else (after.seq, record_hash(after))
        if record.seq != seq + 1:
            raise SegmentError(Refusal.GAP, f"record {record.seq} cannot follow {seq}")
        if not _compare_digest(record.previous, previous):
            raise SegmentError(Refusal.ORDER, f"record {seq + 1} follows another record")
        if not _compare_digest(
            record.mac, self._mac(record.seq, record.kind, record.body, previous)
        ):
            raise SegmentError(Refusal.MAC, f"record {seq + 1} was not made with this key for here")

    def advance(self, record: Record) -> None:
        """Take `record`, which `seal` made or `check` passed, as the last one."""
        self.seq = record.seq
        self.last = record_hash(record)

    def _mac(self, seq: int, kind: str, body: bytes, previous: bytes) -> bytes:
        fields = canonical(b"%d" % seq, kind.encode(), body, previous)
        return hmac_sha256(self._key, self._prefix + fields)
