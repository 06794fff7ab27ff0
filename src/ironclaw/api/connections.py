"""Connections: how many may be open at once, and who goes when there are too many.

Anybody on this machine can connect to the TCP port and then say nothing, for ever. So TCP has fewer
places than there are, and the connection that has been idle longest gives its place up for a new
one. The unix socket, which only its owner can reach, keeps the rest.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.h11_impl import RequestResponseCycle

MAX_CONNECTIONS: Final = 1024
"""Of both kinds; over it requests are answered with 503."""
MAX_TCP: Final = 512
MAX_FILES: Final = 65_536


class Connection(H11Protocol):
    """One HTTP connection."""

    idle_since = 0.0
    """When it was opened or last answered, in seconds of the loop's clock."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place; over TCP it may have to be somebody's."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        if self.client is not None and len(self.connections) > MAX_TCP:
            self._make_room()

    def on_response_complete(self) -> None:
        """Be idle from now on."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered."""
        # There is none before the first request, whatever the library's annotation says.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _make_room(self) -> None:
        others = [
            one
            for one in self.connections
            if isinstance(one, Connection)
            and one is not self
            and one.client is not None
            and not one.transport.is_closing()
        ]
        if len(others) < MAX_TCP:
            return
        idle = [one for one in others if one.is_idle]
        leaving = min(idle, key=lambda one: one.idle_since, default=self)
        leaving.transport.abort()


def allow_files() -> None:
    """Let this process open as many files as it may, up to `MAX_FILES`.

    The usual limit of 1024 is a default for programs of another time: connections alone could use
    it up, and then no box could be started.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
