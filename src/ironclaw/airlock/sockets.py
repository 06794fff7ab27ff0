"""Unix sockets of a slot: bound by a short name, and read in frames without ever blocking."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Final

from ironclaw_contract.frames import FrameReader

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK: Final = 64 * 1024
_BACKLOG: Final = 4


def listen(run_fd: int, name: str, *, mode: int) -> socket.socket:
    """Bind `name` in an open directory and listen.

    A socket's address holds 108 bytes, so the name is bound relative to the directory.

    Raises:
        OSError: The directory cannot be written.
    """
    remove(run_fd, name)
    os.fchdir(run_fd)
    return bind_spare(spare(), run_fd, name, mode=mode)


def spare() -> socket.socket:
    """A socket that can be bound once, later."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)


def bind_spare(listener: socket.socket, run_fd: int, name: str, *, mode: int) -> socket.socket:
    """Bind `name` in the working directory, which is the open one as well, and listen.

    A confined airlock can do this.

    Raises:
        OSError: The directory cannot be written, or the name is taken.
    """
    listener.bind(name)
    os.chmod(name, mode, dir_fd=run_fd)
    listener.listen(_BACKLOG)
    return listener


def remove(run_fd: int, name: str) -> None:
    """Remove a name, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=run_fd)


class Connection:
    """One accepted stream: frames in, bytes out, both bounded."""

    def __init__(self, sock: socket.socket, *, frame_bytes: int, unsent_bytes: int) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._reader = FrameReader(limit=frame_bytes)
        self._unsent = bytearray()
        self._most_unsent = unsent_bytes

    @property
    def unsent(self) -> int:
        """Bytes that wait for the other side to read."""
        return len(self._unsent)

    @property
    def has_pending(self) -> bool:
        """Whether part of a frame, or more than was asked for, has been received."""
        return self._reader.pending > 0

    def receive(self) -> bytes | None:
        """Read what is there; b"" when nothing is, None when the other side is gone."""
        try:
            return self.sock.recv(_CHUNK) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def frames(self, data: bytes) -> Iterator[bytes]:
        """Cut frames out of what was received. Raises ContractError (`TOO_LARGE`)."""
        return self._reader.feed(data)

    def send(self, data: bytes) -> bool:
        """Send, or keep what does not fit; False when the other side is gone or never reads."""
        self._unsent += data
        return self.flush() and len(self._unsent) <= self._most_unsent

    def flush(self) -> bool:
        """Send what waits; False when the other side is gone."""
        try:
            while self._unsent:
                del self._unsent[: self.sock.send(self._unsent)]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()
