"""The bell: one connection, a hello, then single bytes. An open bell is the box's liveness.

While a connection is open nobody else is accepted: others wait in the kernel's short backlog, so a
thousand of them cost nothing. A watchdog ping finds a program that hangs; its answer is also the
moment for the slow rescan of `out/`, so that an idle box is woken for one thing only.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.airlock.sockets import Connection
from ironclaw_contract.chain import Refusal, SegmentError
from ironclaw_contract.frames import decode_hello
from ironclaw_contract.limits import CONTRACT_VERSION, MAX_HELLO_BYTES
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import Bell as Byte

if TYPE_CHECKING:
    import socket

    from ironclaw.core.clock import Clock
    from ironclaw_contract.rpc import Hello

_HELLO_S: Final = 10.0
"""Seconds a fresh connection has for its hello."""
_MAX_BELL_UNSENT: Final = 64
"""Bytes; a box that reads none of them is hung anyway."""


class BellOwner(Protocol):
    """What the bell tells."""

    def on_hello(self, hello: Hello) -> None:
        """The box is there."""
        ...

    def on_look(self) -> None:
        """`out/` may have something."""
        ...

    def on_key_read(self) -> None:
        """The key file may go."""
        ...

    def on_gone(self) -> None:
        """The connection closed, after a hello."""
        ...

    def on_hung(self) -> None:
        """The watchdog was not answered."""
        ...


class BellSocket:
    """Serves `bell.sock`.

    Trust:
        Everything received is hostile; `SegmentError` (`FRAME`) says it was not the contract.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        owner: BellOwner,
        clock: Clock,
        *,
        ping_s: float,
        pong_s: float,
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._owner = owner
        self._clock = clock
        self._ping_s = ping_s
        self._pong_s = pong_s
        self._connection: Connection | None = None
        self._is_greeted = False
        self._is_pinged = False
        self.deadline: float | None = None
        """When `tick` wants to be called, on the monotonic clock."""
        self._is_paused = False
        self._is_reading = True
        self._is_listening = False
        self._is_expected = True
        self._watch()

    def expect(self, expected: bool) -> None:  # noqa: FBT001 - one word, one meaning
        """Ask the box from time to time whether it is there, or, as it is frozen, do not."""
        self._is_expected = expected
        self._is_pinged = False
        if self._connection is not None:
            self._after(self._ping_s if self._is_greeted else _HELLO_S)

    def ring(self) -> None:
        """Tell the box to look. One unread byte is as good as many."""
        if self._connection is not None and self._is_greeted and not self._connection.unsent:
            self._send(Byte.LOOK)

    def tick(self) -> None:
        """Act on a deadline that has passed."""
        if self.deadline is None or self._clock.monotonic_s() < self.deadline:
            return
        if not self._is_greeted:
            self._drop()
        elif self._is_pinged:
            self.deadline = None
            self._owner.on_hung()
        else:
            self._is_pinged = True
            self._after(self._pong_s)
            self._send(Byte.PING)

    def close(self) -> None:
        """Stop for good."""
        if self._connection is not None:
            self._hang_up(self._connection)
            self._connection = None
        if self._is_listening:
            self._selector.unregister(self._listener)
        self._listener.close()
        self.deadline = None

    def pause(self, paused: bool, *, reading: bool = True) -> None:  # noqa: FBT001 - one word, one meaning
        """Stop or go on.

        Args:
            paused: Accept nobody: each hello is told to the core, which has to take it.
            reading: Listen to who is there. Not for long: a ping waits to be answered.
        """
        if paused != self._is_paused:
            self._is_paused = paused
            self._watch()
        if reading != self._is_reading:
            self._is_reading = reading
            if self._connection is not None:
                self._listen_to(self._connection)

    def _watch(self) -> None:
        wants = self._connection is None and not self._is_paused
        if wants and not self._is_listening:
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        elif self._is_listening and not wants:
            self._selector.unregister(self._listener)
        self._is_listening = wants

    def _accept(self, _events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        self._connection = Connection(
            sock, frame_bytes=MAX_HELLO_BYTES, unsent_bytes=_MAX_BELL_UNSENT
        )
        self._watch()
        self._is_greeted = self._is_pinged = False
        self._after(_HELLO_S)
        self._listen_to(self._connection)

    def _listen_to(self, connection: Connection) -> None:
        is_heard = connection.sock in self._selector.get_map()
        if self._is_reading and not is_heard:
            self._selector.register(connection.sock, selectors.EVENT_READ, self._read)
        elif is_heard and not self._is_reading:
            self._selector.unregister(connection.sock)

    def _read(self, _events: int) -> None:
        connection = self._connection
        if connection is None:
            return
        data = connection.receive()
        if data is None:
            self._drop()
            return
        if not self._is_greeted:
            self._greet(connection, data)
            return
        for value in set(data):
            self._heard(bytes((value,)))

    def _greet(self, connection: Connection, data: bytes) -> None:
        try:
            body = next(iter(connection.frames(data)), None)
            if body is None:
                return
            hello = decode_hello(body)
        except ContractError as error:
            raise SegmentError(Refusal.FRAME, "not a hello") from error
        if hello.version != CONTRACT_VERSION or connection.has_pending:
            raise SegmentError(Refusal.FRAME, "a hello of another version, or more than one")
        self._is_greeted = True
        self._after(self._ping_s)
        self._owner.on_hello(hello)

    def _heard(self, byte: bytes) -> None:
        if byte == Byte.LOOK.value:
            self._owner.on_look()
        elif byte == Byte.KEY_READ.value:
            self._owner.on_key_read()
        elif byte == Byte.PONG.value:
            self._is_pinged = False
            self._after(self._ping_s)
            self._owner.on_look()
        else:
            raise SegmentError(Refusal.FRAME, "a byte the bell does not know")

    def _send(self, byte: Byte) -> None:
        if self._connection is not None and not self._connection.send(byte.value):
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._hang_up(connection)
        self.deadline = None
        self._watch()
        if self._is_greeted:
            self._is_greeted = False
            self._owner.on_gone()

    def _hang_up(self, connection: Connection) -> None:
        if connection.sock in self._selector.get_map():
            self._selector.unregister(connection.sock)
        connection.close()

    def _after(self, seconds: float) -> None:
        self.deadline = self._clock.monotonic_s() + seconds if self._is_expected else None
