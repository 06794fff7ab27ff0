"""The two queues of a claimed box: take inbound segments in order, publish outbound ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ironclaw_contract.chain import Chain, Refusal, SegmentError
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import MAX_SEGMENT_BYTES
from ironclaw_contract.queue_dir import list_segments, publish, segment_name
from ironclaw_contract.segment import Sealed, read_inbound, seal_segment

if TYPE_CHECKING:
    from ironclaw_contract.records import InboundBody, OutboundBody
    from ironclaw_contract.rpc import ClaimFile

_CHUNK: Final = 64 * 1024


class Segments:
    """The queues of one epoch of one session.

    Args:
        claim: Session, epoch and key.
        queue_in: Directory the host publishes into.
        queue_out: Directory the box publishes into.

    Raises:
        OSError: A directory is not there.
    """

    def __init__(self, claim: ClaimFile, *, queue_in: str, queue_out: str) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._in_dir = os.open(queue_in, flags)
        self._out_dir = os.open(queue_out, flags)
        self._in_keys = derive(claim.key, Direction.IN)
        self._out_keys = derive(claim.key, Direction.OUT)
        self._in = Chain(
            self._in_keys.record, session=claim.session, direction=Direction.IN, epoch=claim.epoch
        )
        self._out = Chain(
            self._out_keys.record, session=claim.session, direction=Direction.OUT, epoch=claim.epoch
        )
        self._outbox: list[Sealed] = []
        self._published = 0

    @property
    def in_seq(self) -> int:
        """Last inbound record taken."""
        return self._in.seq

    @property
    def out_seq(self) -> int:
        """Last outbound record published."""
        return self._published

    @property
    def has_unpublished(self) -> bool:
        """A sealed segment waits for room in the directory."""
        return bool(self._outbox)

    def take(self) -> tuple[InboundBody, ...]:
        """The records of the next segment; empty when it has not come.

        It can only have one name, so no directory is listed.

        Raises:
            SegmentError: The segment is not exactly what follows.
            OSError: The directory cannot be read.
        """
        data = self._read(segment_name(self._in.seq + 1))
        return () if data is None else read_inbound(self._in_keys, self._in, data)

    def check_gap(self) -> None:
        """Raise SegmentError (`GAP`) when later segments are there but the next one is not."""
        later = [seq for seq, _ in list_segments(self._in_dir) if seq > self._in.seq]
        if later and later[0] != self._in.seq + 1:
            raise SegmentError(Refusal.GAP, f"segment {self._in.seq + 1} is missing")

    def put(self, body: OutboundBody) -> bool:
        """Seal a record and publish it durably.

        Returns:
            False when there is no room now: `flush` tries again, in order.

        Raises:
            ContractError: The record is over its limit; nothing was sealed.
        """
        self._outbox.append(seal_segment(self._out_keys, self._out, (body,)))
        return self.flush()

    def flush(self) -> bool:
        """Publish what waits. Returns False when there is still no room."""
        while self._outbox:
            sealed = self._outbox[0]
            try:
                publish(self._out_dir, sealed.name, sealed.data, fsync=True)
            except OSError:
                # Full: the host removes segments it has committed.
                return False
            del self._outbox[0]
            self._published = sealed.last_seq
        return True

    def close(self) -> None:
        """Close the directories."""
        os.close(self._in_dir)
        os.close(self._out_dir)

    def _read(self, name: str) -> bytes | None:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._in_dir)
        except FileNotFoundError:
            return None
        try:
            data = os.read(fd, _CHUNK)
            if len(data) < _CHUNK:
                return data
            parts = [data]
            while len(parts) * _CHUNK <= MAX_SEGMENT_BYTES and (data := os.read(fd, _CHUNK)):
                parts.append(data)
            return b"".join(parts)
        finally:
            os.close(fd)
