"""HTTP clients for providers: no redirects, nothing compressed, answers with an end.

A key goes to the configured place and to no other. A megabyte that unpacks to gigabytes would take
this process, and the machine, with it: what is compressed all the same is not read.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import httpx
import httpx2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ironclaw.config.providers import ProviderSettings

MOST_BYTES: Final = 128 * 1024 * 1024
"""Of an answer: a stream has hundreds of bytes around each token."""
MOST_ERROR_BYTES: Final = 1024 * 1024
_IDENTITY: Final = {"Accept-Encoding": "identity"}
_ERRORS: Final = 400
_opened: ContextVar[list[_Bounded] | None] = ContextVar("opened", default=None)
"""Bodies of the call that is going on."""


@contextlib.asynccontextmanager
async def none_left_open() -> AsyncIterator[None]:
    """Close every answer that is begun within, whatever the libraries make of a cancelled call.

    One of them closes what it reads from at the same moment, which fails, and with it the provider
    would go on with an answer that nobody waits for and somebody pays.
    """
    bodies: list[_Bounded] = []
    token = _opened.set(bodies)
    try:
        yield
    finally:
        _opened.reset(token)
        for body in bodies:
            with contextlib.suppress(Exception):
                await body.aclose()


def http_client(settings: ProviderSettings) -> httpx2.AsyncClient:
    """A client of most libraries."""
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(settings.read_s, connect=settings.connect_s),
        headers={**_IDENTITY, **settings.headers},
        follow_redirects=False,
        event_hooks={"response": [_bound]},
    )


def older_http_client(settings: ProviderSettings) -> httpx.AsyncClient:
    """The same for libraries that are built on the older one."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(settings.read_s, connect=settings.connect_s),
        headers={**_IDENTITY, **settings.headers},
        follow_redirects=False,
        event_hooks={"response": [_bound]},
    )


async def _bound(response: Any) -> None:
    """Look at an answer before its body is read. Raises a transport error of either library."""
    error = httpx2 if isinstance(response, httpx2.Response) else httpx
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise error.RemoteProtocolError("the answer is compressed", request=response.request)
    most = MOST_ERROR_BYTES if response.status_code >= _ERRORS else MOST_BYTES
    too_long = error.RemoteProtocolError("the answer does not end", request=response.request)
    response.stream = body = _Bounded(response.stream, most, too_long)
    if (bodies := _opened.get()) is not None:
        bodies.append(body)


class _Bounded(httpx2.AsyncByteStream, httpx.AsyncByteStream):
    """A body that raises when it is longer than it may be."""

    def __init__(self, body: Any, most: int, too_long: Exception) -> None:
        self._body = body
        self._left = most
        self._too_long = too_long

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            self._left -= len(part)
            if self._left < 0:
                raise self._too_long
            yield part

    async def aclose(self) -> None:
        """Close the connection."""
        await self._body.aclose()
