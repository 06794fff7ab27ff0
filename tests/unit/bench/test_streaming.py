"""The first word is timed from the provider's socket to the watcher, through the real host."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.model_house import generate, hosting

from ironclaw.bench.streaming import MODEL, NAME, WordServer, first_words
from ironclaw.config.settings import Settings
from ironclaw.core.ids import ChatId
from ironclaw.services.house import ChatEvent
from ironclaw.services.hub import Hub
from ironclaw_contract.rpc import Delta, Generated

if TYPE_CHECKING:
    from collections.abc import Sequence

CHAT = ChatId("cht_words")


class NoHistory:
    async def chat_events(self, *_: object, **__: object) -> Sequence[ChatEvent]:
        return ()

    async def last_event(self, *_: object) -> int:
        return 0


async def test_first_words_are_timed() -> None:
    server, hub = WordServer(), Hub(NoHistory())
    async with server.serving():
        settings = server.added_to(Settings())
        assert NAME in settings.models.providers
        async with hosting(**settings.models.providers) as host:

            async def ask() -> None:
                name, _, model = MODEL.partition("/")
                stream = host.generate(
                    provider=name,
                    model=model,
                    temperature=None,
                    max_output_tokens=9,
                    request=generate(),
                )
                async for event in stream:
                    if isinstance(event, Delta):
                        hub.publish(
                            ChatEvent(
                                id=0,
                                kind="progress",
                                chat=CHAT,
                                thread=None,
                                session="ses_1",  # type: ignore[arg-type]
                                message="msg_1",  # type: ignore[arg-type]
                                sender="",
                                text=event.text,
                                at_ms=0,
                            )
                        )
                    else:
                        assert isinstance(event, Generated)

            async with asyncio.timeout(30):
                taken = await first_words(server, hub, CHAT, ask=ask, count=3)

    assert len(taken) == 3
    assert all(0 < seconds < 5 for seconds in taken)
    assert hub.watching == 0
