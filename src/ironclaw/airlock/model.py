"""`model.sock`: the box's questions to the model, checked, and the answers on their way back.

A few open calls in all. A call belongs to the connection that asked; when that closes, the core is
told to cancel, and late answers fall on the floor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.airlock.served import Served
from ironclaw_contract.codes import WireCode
from ironclaw_contract.frames import decode_ask, pack
from ironclaw_contract.limits import MAX_FRAME_BYTES
from ironclaw_contract.rpc import Cancel, Delta, Failed, Generate, ModelAsk, ModelTell

if TYPE_CHECKING:
    import selectors
    import socket
    from collections.abc import Callable

    from ironclaw.airlock.sockets import Connection

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
        self._ask = ask
        self._calls: dict[int, Connection | None] = {}
        self._cancelled: set[int] = set()
        """Open calls whose end the core has been asked for: once is enough."""
        self._served = Served(
            listener,
            selector,
            heard=self._heard,
            dropped=self._dropped,
            frame_bytes=MAX_FRAME_BYTES,
            unsent_bytes=_MAX_UNSENT,
        )

    def tell(self, event: ModelTell) -> None:
        """Send an event of a call to whoever asked; drop it when they are gone."""
        connection = self._calls.get(event.call)
        if not isinstance(event, Delta):
            self._calls.pop(event.call, None)
            self._cancelled.discard(event.call)
        if connection is not None:
            self._served.send(connection, pack(event))

    def forget(self) -> None:
        """Give up every open call: the core drops them, without a word, when the bell closes."""
        self._calls.clear()
        self._cancelled.clear()

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - one word, one meaning
        """Stop or go on reading, as the core can take it."""
        self._served.pause(paused)

    def close(self) -> None:
        """Stop for good."""
        self._served.close()

    def _heard(self, connection: Connection, body: bytes) -> None:
        self._asked(connection, decode_ask(body))

    def _asked(self, connection: Connection, ask: ModelAsk) -> None:
        match ask:
            case Generate(call=call):
                if call in self._calls or len(self._calls) >= _MAX_CALLS:
                    busy = Failed(call=call, code=WireCode.BUSY, text="too many open calls")
                    self._served.send(connection, pack(busy))
                    return
                self._calls[call] = connection
            case Cancel(call=call):
                if self._calls.get(call) is not connection or call in self._cancelled:
                    return
                self._cancelled.add(call)
        self._ask(ask)

    def _dropped(self, connection: Connection) -> None:
        for call, owner in self._calls.items():
            if owner is connection:
                self._calls[call] = None
                if call not in self._cancelled:
                    self._cancelled.add(call)
                    self._ask(Cancel(call=call))
