"""A stream socket that never blocks the loop: connect to a path, queue bytes, take what came."""

from __future__ import annotations

import _socket  # `socket` would import a dozen modules more
import os
from typing import Final

_CHUNK: Final = 64 * 1024
FIRST_DELAY_S: Final = 0.02
LONGEST_DELAY_S: Final = 1.0


class Pipe:
    """One connection to one path, made again after it broke.

    `retry_at` says when to try next, in seconds of the monotonic clock; the delay doubles from
    `FIRST_DELAY_S` to `LONGEST_DELAY_S` and starts over once bytes have come in.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: _socket.socket | None = None
        self._out = bytearray()
        self._delay_s = FIRST_DELAY_S
        self.retry_at = 0.0

    @property
    def is_open(self) -> bool:
        """There is a connection, as far as is known."""
        return self._socket is not None

    @property
    def is_full(self) -> bool:
        """Bytes wait until the other side reads."""
        return bool(self._out)

    def fileno(self) -> int:
        """Descriptor to wait on; -1 without a connection."""
        return -1 if self._socket is None else self._socket.fileno()

    def connect(self, now: float) -> bool:
        """Try to connect once.

        Args:
            now: Seconds of the monotonic clock.
        """
        self.close()
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.connect(self._path)
            connection.setblocking(False)
        except OSError:
            connection.close()
            self.drop(now)
            return False
        self._socket = connection
        return True

    def send(self, data: bytes) -> bool:
        """Send, or keep what does not go now. Returns False when the connection is gone."""
        self._out += data
        return self.flush()

    def flush(self) -> bool:
        """Send what is kept. Returns False when the connection is gone."""
        if self._socket is None:
            return False
        while self._out:
            try:
                sent = self._socket.send(memoryview(self._out)[:_CHUNK])
            except BlockingIOError:
                return True
            except OSError:
                return False
            del self._out[:sent]
        return True

    def receive(self) -> bytes | None:
        """Bytes that are there now, empty when none are; None when the other side closed."""
        if self._socket is None:
            return None
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            return None
        if data:
            self._delay_s = FIRST_DELAY_S
        return data or None

    def drop(self, now: float) -> None:
        """The connection broke: close it and wait before the next try.

        Args:
            now: Seconds of the monotonic clock.
        """
        self.close()
        self.retry_at = now + self._delay_s
        self._delay_s = min(self._delay_s * 2, LONGEST_DELAY_S)

    def close(self) -> None:
        """Drop the connection and what was not sent. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._out.clear()


def read_small(path: str, limit: int) -> bytes | None:
    """The content of a file of at most `limit` bytes; None when it is not there.

    Raises:
        OSError: It cannot be read.
        ValueError: It is longer.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        data = os.read(fd, limit + 1)
    finally:
        os.close(fd)
    if len(data) > limit:
        raise ValueError("the file is over its limit")
    return data
