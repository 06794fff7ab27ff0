"""`model.sock`: the box's questions to the model, checked, and the answers on their way back.

A few connections at a time, a few open calls in all. A call belongs to the connection that asked;
when that closes, the core is told to cancel, and late answers fall on the floor.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Final

from ironclaw.airlock.sockets import Connection
from ironclaw_contract.chain import Refusal, SegmentError
from ironclaw_contract.codes import WireCode
from ironclaw_contract.frames import decode_ask, pack
from ironclaw_contract.limits import MAX_FRAME_BYTES
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import Cancel, Delta, Failed, Generate, ModelAsk, ModelTell

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_MAX_CONNECTIONS: Final = 4
_MAX_CALLS: Final = 4
"""As many as the core takes: what is too much is refused here, at the box's own expense."""
_MAX_UNSENT: Final = 8 * 1024 * 1024


class ModelSocket:
    """Serves `model.sock`.

    Trust:
        Everything received is hostile; `SegmentError` (`FRAME`) says it was not the contract.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        ask: Callable[[ModelAsk], None],
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._ask = ask
        self._connections: list[Connection] = []
        self._calls: dict[int, Connection | None] = {}
        self._cancelled: set[int] = set()
        """Open calls whose end the core has been asked for: once is enough."""
        self._is_paused = False
        self._is_listening = False
        self._watch()

    def tell(self, event: ModelTell) -> None:
        """Send an event of a call to whoever asked; drop it when they are gone."""
        connection = self._calls.get(event.call)
        if not isinstance(event, Delta):
            self._calls.pop(event.call, None)
            self._cancelled.discard(event.call)
        if connection is not None:
            self._send(connection, event)

    def forget(self) -> None:
        """Give up every open call: the core drops them, without a word, when the bell closes."""
        self._calls.clear()
        self._cancelled.clear()

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
            Connection(sock, frame_bytes=MAX_FRAME_BYTES, unsent_bytes=_MAX_UNSENT)
        )
        self._watch()

    def _read(self, connection: Connection) -> None:
        data = connection.receive()
        if data is None:
            self._drop(connection)
            return
        try:
            for body in connection.frames(data):
                self._asked(connection, decode_ask(body))
        except ContractError as error:
            raise SegmentError(Refusal.FRAME, "not a model frame") from error

    def _asked(self, connection: Connection, ask: ModelAsk) -> None:
        match ask:
            case Generate(call=call):
                if call in self._calls or len(self._calls) >= _MAX_CALLS:
                    busy = Failed(call=call, code=WireCode.BUSY, text="too many open calls")
                    self._send(connection, busy)
                    return
                self._calls[call] = connection
            case Cancel(call=call):
                if self._calls.get(call) is not connection or call in self._cancelled:
                    return
                self._cancelled.add(call)
        self._ask(ask)

    def _send(self, connection: Connection, event: ModelTell) -> None:
        if connection in self._connections:
            if connection.send(pack(event)):
                self._interest(connection)
            else:
                self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        if connection.sock in self._selector.get_map():
            self._selector.unregister(connection.sock)
        connection.close()
        for call, owner in self._calls.items():
            if owner is connection:
                self._calls[call] = None
                if call not in self._cancelled:
                    self._cancelled.add(call)
                    self._ask(Cancel(call=call))
        self._watch()
