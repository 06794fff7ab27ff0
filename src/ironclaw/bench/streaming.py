"""Streamed answers: round trips with a watcher, and the way of a provider's first word to it.

The provider is a server of ours that speaks chat completions. It notes when the first word leaves
its socket; whoever watches the chat notes when it comes: through the model host's library, the link
to the core, the model service and the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Final

from msgspec import structs

from ironclaw.config.providers import ProviderSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ironclaw.config.settings import Settings
    from ironclaw.core.ids import ChatId
    from ironclaw.services.house import ChatEvent
    from ironclaw.services.hub import Hub

NAME: Final = "bench"
MODEL: Final = f"{NAME}/words"
_WORDS: Final = ("One", " two", " three", " four", " five")
_BETWEEN_S: Final = 0.02
"""Between two words, and before the first one: nothing of the request is still being done then."""
_MAX_BODY: Final = 16 * 1024 * 1024
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class WordServer:
    """Answers each request with the same few words."""

    def __init__(self) -> None:
        self.left = 0.0
        """When the first word of the last answer left."""
        self.url = ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve on a port of the loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        async with server:
            yield

    def added_to(self, settings: Settings) -> Settings:
        """Settings of a house that can ask this server, as the provider `bench`."""
        own = ProviderSettings(kind="openai-compatible", base_url=f"{self.url}/v1")
        providers = {**settings.models.providers, NAME: own}
        models = structs.replace(settings.models, providers=providers)
        return structs.replace(settings, models=models)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            size = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
            await reader.readexactly(min(size, _MAX_BODY))
            if not head.startswith("post /v1/chat/completions "):
                writer.write(_NOT_FOUND)
                return
            writer.write(_HEAD + _chunk({"role": "assistant", "content": ""}))
            for number, word in enumerate(_WORDS):
                await asyncio.sleep(_BETWEEN_S)
                if number == 0:
                    self.left = time.perf_counter()
                writer.write(_chunk({"content": word}))
            writer.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
            await writer.drain()


async def watched(
    hub: Hub, chat: ChatId, *, ask: Callable[[], Awaitable[float]], count: int
) -> list[float]:
    """Seconds of round trips while somebody watches their chat."""
    watch = hub.watch(chat, after=None)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_all(watch))
            taken = [await ask() for _ in range(count)]
            await watch.aclose()
    finally:
        await watch.aclose()
    return taken


async def first_words(
    server: WordServer, hub: Hub, chat: ChatId, *, ask: Callable[[], Awaitable[object]], count: int
) -> list[float]:
    """Seconds from each answer's first word to the watcher of its chat.

    Args:
        server: Whom the chat's agent asks.
        hub: Where the chat is watched.
        chat: Which chat.
        ask: Says something in it, and waits for the reply.
        count: How often.
    """
    taken = []
    for _ in range(count):
        server.left = 0.0
        watch = hub.watch(chat, after=None)
        try:
            async with asyncio.TaskGroup() as group:
                seen = group.create_task(_first(watch, server))
                await ask()
            taken.append(seen.result() - server.left)
        finally:
            await watch.aclose()
    return taken


async def _all(events: AsyncIterator[object]) -> None:
    async for _ in events:
        pass


async def _first(events: AsyncIterator[ChatEvent], server: WordServer) -> float:
    async for event in events:
        # Before anything has left, it is of the answer before.
        if event.kind == "progress" and server.left:
            return time.perf_counter()
    raise RuntimeError("the chat showed no word")


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "words"}
    return f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n".encode()
