"""Answers are closed with their calls, also by libraries that do not manage to."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.model_servers import ModelServer, Reply

from ironclaw.config.providers import ProviderSettings
from ironclaw.models.host.clients import http_client, none_left_open, older_http_client

if TYPE_CHECKING:
    from collections.abc import Callable

ENDLESS = Reply(pieces=(b"data: a\n\n",), hangs=True)
PROVIDER = ProviderSettings(kind="openai-compatible")


@pytest.mark.parametrize("made_by", [http_client, older_http_client])
@pytest.mark.parametrize("guard", [none_left_open, contextlib.nullcontext])
async def test_a_body_that_its_reader_forgets_is_closed_with_the_call(
    made_by: Callable[[ProviderSettings], Any],
    guard: Callable[[], contextlib.AbstractAsyncContextManager[None]],
) -> None:
    kept: list[Any] = []
    has_read = asyncio.Event()

    async def careless(url: str) -> None:
        async with guard():
            response = await client.send(client.build_request("GET", url), stream=True)
            kept.append(response)
            parts = response.aiter_raw()
            kept.append(parts)
            assert await anext(parts) == b"data: a\n\n"
            has_read.set()
            await asyncio.sleep(60)

    async with ModelServer(ENDLESS) as server:
        client = made_by(PROVIDER)
        task = asyncio.create_task(careless(server.url))
        async with asyncio.timeout(10):
            await has_read.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        closed_s = 10 if guard is none_left_open else 0.3
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(closed_s):
                await server.left.wait()
        # The twin without the guard shows that the reader does forget it.
        assert server.left.is_set() is (guard is none_left_open)
        await kept[1].aclose()
        await kept[0].aclose()
        await client.aclose()
