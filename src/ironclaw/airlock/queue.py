"""The two queue directories, by open descriptor: `in/` is ours to write, `out/` is hostile.

`InQueue` seals and publishes, and removes what the box has taken. `OutQueue` copies a file into
private memory before anything looks at its content, and believes nothing that the chain does not
confirm.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw_contract.chain import Chain, Refusal, SegmentError
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import MAX_SEGMENT_BYTES, OUT_DIR_INODES
from ironclaw_contract.queue_dir import (
    list_segments,
    parse_segment_name,
    publish,
    segment_name,
)
from ironclaw_contract.records import InboundBody, Message, OutboundBody, Step, TurnEnd
from ironclaw_contract.segment import read_inbound, read_outbound, read_records, seal_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_READ_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NOT_A_FILE: Final = frozenset({errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV})
_IN_FILE_MODE: Final = 0o440


class InQueue:
    """Segments for the box. The directory is ours; the box only reads it."""

    def __init__(self, dir_fd: int, session: str, epoch: int, key: bytes) -> None:
        """Take up the chain where the files in the directory leave it.

        Raises:
            SegmentError: A file of ours is not what we wrote: the host's own fault.
        """
        self._dir = dir_fd
        self._keys = derive(key, Direction.IN)
        self._files: dict[int, int] = {}
        self._turns: dict[str, int] = {}
        self._chain = Chain(self._keys.record, session=session, direction=Direction.IN, epoch=epoch)
        for name in os.listdir(dir_fd):
            if name.startswith("."):
                os.unlink(name, dir_fd=dir_fd)
        for first, name in list_segments(dir_fd):
            data = _copy(dir_fd, name, owner=None)
            if not self._files and first > 1:
                # Older ones are gone because the box has taken them; this one says where it stood.
                head = read_records(self._keys.page, data)[0]
                self._chain = Chain(
                    self._keys.record,
                    session=session,
                    direction=Direction.IN,
                    epoch=epoch,
                    seq=head.seq - 1,
                    last=head.previous,
                )
            self._note(first, read_inbound(self._keys, self._chain, data))

    @property
    def seq(self) -> int:
        """Last record published."""
        return self._chain.seq

    def publish(self, bodies: Sequence[InboundBody]) -> None:
        """Seal and publish records. Raises OSError, ContractError."""
        sealed = seal_all(self._keys, self._chain, bodies)
        start = sealed[0].first_seq
        for segment in sealed:
            publish(self._dir, segment.name, segment.data, fsync=False, mode=_IN_FILE_MODE)
            count = segment.last_seq - segment.first_seq + 1
            offset = segment.first_seq - start
            self._note(segment.first_seq, bodies[offset : offset + count])

    def taken(self, seq: int) -> None:
        """The box has consumed records up to `seq`: drop what it no longer needs.

        The newest segment stays: it holds the chain's position for the next airlock.
        """
        newest = max(self._files, default=0)
        for first, last in list(self._files.items()):
            if last <= seq and first != newest:
                del self._files[first]
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(segment_name(first), dir_fd=self._dir)

    def answered(self, bodies: Iterable[OutboundBody]) -> None:
        """Learn from verified outbound records what the box must have consumed."""
        for body in bodies:
            if not isinstance(body, Step | TurnEnd):
                continue
            if seq := self._turns.get(body.turn):
                self.taken(seq)
            over = (*body.heard, body.turn) if isinstance(body, TurnEnd) else body.heard
            for message in over:
                self.taken(self._turns.pop(message, 0))

    def _note(self, first: int, bodies: Sequence[InboundBody]) -> None:
        self._files[first] = first + len(bodies) - 1
        for seq, body in enumerate(bodies, first):
            if isinstance(body, Message) and body.engage:
                self._turns[body.message] = seq


class Taken(NamedTuple):
    """The verified records of one outbound segment."""

    first_seq: int
    bodies: tuple[OutboundBody, ...]
    last_hash: bytes


class OutQueue:
    """Segments from the box.

    Trust:
        Every name, file and byte in the directory is hostile.
    """

    def __init__(
        self,
        dir_fd: int,
        session: str,
        epoch: int,
        key: bytes,
        *,
        out_seq: int,
        out_hash: bytes,
        box_uid: int,
    ) -> None:
        self._dir = dir_fd
        self._keys = derive(key, Direction.OUT)
        self._owner = box_uid
        self._unacked: dict[int, int] = {}
        self._chain = Chain(
            self._keys.record,
            session=session,
            direction=Direction.OUT,
            epoch=epoch,
            seq=out_seq,
            last=out_hash,
        )

    @property
    def seq(self) -> int:
        """Last record verified."""
        return self._chain.seq

    @property
    def unacked(self) -> int:
        """Segments handed over and not yet committed."""
        return len(self._unacked)

    def take(self) -> Taken | None:
        """Copy, verify and return the next segment, or None when it is not there.

        Raises:
            SegmentError: The box broke the rules.
        """
        first = self._chain.seq + 1
        try:
            data = _copy(self._dir, segment_name(first), owner=self._owner)
        except FileNotFoundError:
            return None
        bodies = read_outbound(self._keys, self._chain, data)
        self._unacked[first] = self._chain.seq
        return Taken(first, bodies, self._chain.last)

    def acked(self, seq: int) -> None:
        """Records up to `seq` are committed: remove their segments."""
        for first, last in list(self._unacked.items()):
            if last <= seq:
                del self._unacked[first]
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(segment_name(first), dir_fd=self._dir)

    def tidy(self) -> None:
        """Remove what is no segment or is committed already, unread.

        Raises:
            SegmentError: There are too many files, a directory that is not empty, or a segment
                that leaves a gap before it.
        """
        newest = 0
        with os.scandir(self._dir) as entries:
            for count, entry in enumerate(entries):
                if count >= OUT_DIR_INODES:
                    raise SegmentError(Refusal.SIZE, "too many files")
                # A temporary name of the pattern is a segment in the making.
                temporary = entry.name.startswith(".")
                try:
                    first = parse_segment_name(entry.name[temporary:])
                except SegmentError:
                    self._remove(entry.name)
                    continue
                if temporary:
                    continue
                if first <= self._chain.seq and first not in self._unacked:
                    self._remove(entry.name)
                newest = max(newest, first)
        # The box publishes in order, so one that is newer than the next means the next is there.
        if newest > self._chain.seq + 1 and not self._is_next_there():
            raise SegmentError(Refusal.GAP, f"segment {newest} cannot follow {self._chain.seq}")

    def _is_next_there(self) -> bool:
        try:
            os.stat(segment_name(self._chain.seq + 1), dir_fd=self._dir, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _remove(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._dir)
        except FileNotFoundError:
            return
        except OSError:
            try:
                os.rmdir(name, dir_fd=self._dir)
            except OSError as error:
                raise SegmentError(Refusal.FILE, "a foreign file does not go") from error


def _copy(dir_fd: int, name: str, *, owner: int | None) -> bytes:
    """Copy one file into memory, if it is a plain file of `owner` and not too large.

    Raises:
        FileNotFoundError: There is no such name.
        SegmentError: It is anything else: link, FIFO, directory, socket, foreign, unreadable.
    """
    try:
        fd = os.open(name, _READ_FLAGS, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in _NOT_A_FILE:
            raise SegmentError(Refusal.FILE, "not a plain file") from error
        raise
    try:
        found = os.fstat(fd)
        if (
            not stat.S_ISREG(found.st_mode)
            or found.st_nlink != 1
            or (owner is not None and found.st_uid != owner)
        ):
            raise SegmentError(Refusal.FILE, "not a plain file of the box")
        if found.st_size > MAX_SEGMENT_BYTES:
            raise SegmentError(Refusal.SIZE, f"the file has {found.st_size} bytes")
        parts = []
        left = found.st_size
        while left and (part := os.read(fd, left)):
            parts.append(part)
            left -= len(part)
    finally:
        os.close(fd)
    return b"".join(parts)
