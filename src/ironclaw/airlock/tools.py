"""`tools.sock`: there while the core offers it, and gone from the box's view when it does not.

    offer(True) -> bind, listen -> uses to the core, answers back -> offer(False) -> unlink, close

A few open calls in all. One stays open until the core has answered it, whoever is still there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.airlock.served import Served
from ironclaw.airlock.sockets import bind_spare, remove
from ironclaw_contract.frames import decode_use, pack
from ironclaw_contract.limits import MAX_TOOL_FRAME_BYTES
from ironclaw_contract.rpc import Used

if TYPE_CHECKING:
    import selectors
    import socket
    from collections.abc import Callable

    from ironclaw.airlock.sockets import Connection
    from ironclaw_contract.rpc import Use

NAME: Final = "tools.sock"
SPARES: Final = 4
"""Sockets made before the airlock is shut in: as many times it can be offered. A bound socket
cannot be bound again, and a confined airlock can make none. When they are used up it ends, and the
core's next one goes on."""
_MAX_CALLS: Final = 4
_MAX_UNSENT: Final = 2 * 1024 * 1024


class ToolSocket:
    """Offers and serves `tools.sock`.

    Args:
        spares: Sockets that are not bound yet.
        run_fd: `run/`, open; it is the working directory too.
        mode: Of the socket's file.
        selector: What the airlock waits with.
        use: Takes each use of a host tool.

    Trust:
        Everything received is hostile; `SegmentError` (`FRAME`) says it was not the contract.
    """

    def __init__(
        self,
        spares: list[socket.socket],
        run_fd: int,
        mode: int,
        selector: selectors.BaseSelector,
        use: Callable[[Use], None],
    ) -> None:
        self._spares = spares
        self._run_fd = run_fd
        self._mode = mode
        self._selector = selector
        self._use = use
        self._served: Served | None = None
        self._is_paused = False
        self._calls: dict[int, Connection | None] = {}

    def offer(self, offered: bool) -> None:  # noqa: FBT001 - one word, one meaning
        """Let the box have the socket, or have it no more; nothing changes the second time.

        Raises:
            OSError: No socket is left to bind, or the directory cannot be written.
        """
        if not offered:
            self._withdraw()
        elif self._served is None:
            if not self._spares:
                raise OSError("no socket is left to offer tools on")
            self._served = Served(
                bind_spare(self._spares.pop(), self._run_fd, NAME, mode=self._mode),
                self._selector,
                heard=self._heard,
                dropped=self._dropped,
                frame_bytes=MAX_TOOL_FRAME_BYTES,
                unsent_bytes=_MAX_UNSENT,
            )
            self._served.pause(self._is_paused)

    def tell(self, used: Used) -> None:
        """Send the answer to whoever asked; drop it when they are gone."""
        connection = self._calls.pop(used.call, None)
        if connection is not None and self._served is not None:
            self._served.send(connection, pack(used, limit=MAX_TOOL_FRAME_BYTES))

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - one word, one meaning
        """Stop or go on reading, as the core can take it."""
        self._is_paused = paused
        if self._served is not None:
            self._served.pause(paused)

    def close(self) -> None:
        """Stop for good."""
        self._withdraw()
        for spare in self._spares:
            spare.close()
        self._spares.clear()

    def _withdraw(self) -> None:
        # The name first: nobody connects to what is about to be closed.
        remove(self._run_fd, NAME)
        if self._served is not None:
            self._served.close()
            self._served = None
        self._calls = dict.fromkeys(self._calls)

    def _heard(self, connection: Connection, body: bytes) -> None:
        use = decode_use(body)
        if use.call in self._calls or len(self._calls) >= _MAX_CALLS:
            busy = Used(call=use.call, text="too many open calls; try again", is_error=True)
            if self._served is not None:
                self._served.send(connection, pack(busy, limit=MAX_TOOL_FRAME_BYTES))
            return
        self._use(use)
        self._calls[use.call] = connection

    def _dropped(self, connection: Connection) -> None:
        for call, owner in self._calls.items():
            if owner is connection:
                self._calls[call] = None
