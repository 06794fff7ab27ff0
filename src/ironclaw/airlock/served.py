"""One socket of a box: a listener with a few connections, read in frames when the core can take it.

What a frame means, and whose answer goes where, is for who owns it: `model` and `tools`.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Final

from ironclaw.airlock.sockets import Connection
from ironclaw_contract.chain import Refusal, SegmentError
from ironclaw_contract.records import ContractError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_MAX_CONNECTIONS: Final = 4


class Served:
    """Serves one listener.

    Args:
        listener: Ours from now on.
        selector: What the airlock waits with.
        heard: Takes the body of each frame. Raises ContractError when it is none.
        dropped: Told of a connection that is gone, unless `close` ended it.
        frame_bytes: The longest frame that is read.
        unsent_bytes: What may wait for a box that does not read before it loses its connection.

    Trust:
        Everything received is hostile; `SegmentError` (`FRAME`) says it was not the contract.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        *,
        heard: Callable[[Connection, bytes], None],
        dropped: Callable[[Connection], None],
        frame_bytes: int,
        unsent_bytes: int,
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._heard = heard
        self._dropped = dropped
        self._frame_bytes = frame_bytes
        self._unsent_bytes = unsent_bytes
        self._connections: list[Connection] = []
        self._is_paused = False
        self._is_listening = False
        self._watch()

    def send(self, connection: Connection, data: bytes) -> None:
        """Send to a connection; one that is gone, or never reads, is dropped."""
        if connection in self._connections:
            if connection.send(data):
                self._interest(connection)
            else:
                self._drop(connection)

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - one word, one meaning
        """Stop or go on reading, as the core can take it."""
        if paused != self._is_paused:
            self._is_paused = paused
            self._watch()

    def close(self) -> None:
        """Stop for good."""
        for connection in self._connections:
            # One that is paused and has nothing to send is not watched.
            if connection.sock in self._selector.get_map():
                self._selector.unregister(connection.sock)
            connection.close()
        self._connections.clear()
        if self._is_listening:
            self._selector.unregister(self._listener)
        self._listener.close()

    def _watch(self) -> None:
        wants = not self._is_paused and len(self._connections) < _MAX_CONNECTIONS
        if wants and not self._is_listening:
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        elif self._is_listening and not wants:
            self._selector.unregister(self._listener)
        self._is_listening = wants
        for connection in self._connections:
            self._interest(connection)

    def _interest(self, connection: Connection) -> None:
        read = 0 if self._is_paused else selectors.EVENT_READ
        write = selectors.EVENT_WRITE if connection.unsent else 0
        key = self._selector.get_map().get(connection.sock)
        if key is None and read | write:
            self._selector.register(connection.sock, read | write, self._serve(connection))
        elif key is not None and not read | write:
            self._selector.unregister(connection.sock)
        elif key is not None and key.events != read | write:
            self._selector.modify(connection.sock, read | write, key.data)

    def _serve(self, connection: Connection) -> Callable[[int], None]:
        def ready(events: int) -> None:
            if events & selectors.EVENT_WRITE and not connection.flush():
                self._drop(connection)
                return
            if events & selectors.EVENT_READ:
                self._read(connection)
            if connection in self._connections:
                self._interest(connection)

        return ready

    def _accept(self, _events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        self._connections.append(
            Connection(sock, frame_bytes=self._frame_bytes, unsent_bytes=self._unsent_bytes)
        )
        self._watch()

    def _read(self, connection: Connection) -> None:
        data = connection.receive()
        if data is None:
            self._drop(connection)
            return
        try:
            for body in connection.frames(data):
                self._heard(connection, body)
        except ContractError as error:
            raise SegmentError(Refusal.FRAME, "not a frame of this socket") from error

    def _drop(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        if connection.sock in self._selector.get_map():
            self._selector.unregister(connection.sock)
        connection.close()
        self._dropped(connection)
        self._watch()
