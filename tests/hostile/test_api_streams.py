"""Clients that come and go by the hundred: the hub keeps nothing of those that have left."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ironclaw.api.app import create_app
from ironclaw.api.sse import Streams
from ironclaw.config.settings import ApiSettings, Settings
from ironclaw.core.clock import ManualClock
from ironclaw.core.errors import PolicyError
from ironclaw.core.ids import ChatId, PrincipalId
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import Role
from ironclaw.domain.tokens import Scope
from ironclaw.services.house import ChatPlace
from ironclaw.services.hub import Hub
from ironclaw.testing.fake_house import FakeHouse
from ironclaw.testing.fake_tokens import FakeTokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.api.gate import Gate
    from ironclaw.services.hub import LoggedEvent, Watch

pytestmark = pytest.mark.hostile

STREAMS = 3


class Silent:
    """A history without events."""

    async def chat_events(
        self, _chat: ChatId, *, after: int, limit: int = 200
    ) -> list[LoggedEvent]:
        assert after >= 0
        assert limit > 0
        return []

    async def last_event(self, _chat: ChatId) -> int:
        return 0


class Watched(FakeHouse):
    """The fake house with the real hub: what a stream holds is a `Watch`."""

    def __init__(self, tasks: Tasks, demo: str) -> None:
        super().__init__(tasks)
        self.demo = self.add_agent(demo)
        self.hub = Hub(Silent())

    async def place_of(self, _chat: ChatId) -> ChatPlace:
        """Every chat is ours."""
        return ChatPlace(self.demo.id, PrincipalId("api:one"))

    def watch(self, chat: ChatId, *, after: int | None) -> Watch:
        return self.hub.watch(chat, after=after)


class Edge:
    """An API over that house, spoken to without a socket."""

    def __init__(self, house: Watched, app: Gate, secret: str) -> None:
        self.house = house
        self.app = app
        self.headers = {"authorization": f"Bearer {secret}"}

    async def follow(self) -> tuple[int, asyncio.Task[None], asyncio.Event]:
        """Open a stream; return its status, its task and what ends the client."""
        leave, answered = asyncio.Event(), asyncio.Event()
        status = 0

        async def receive() -> dict[str, Any]:
            await leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered.set()

        headers = [(b"host", b"localhost")]
        headers += [(name.encode(), value.encode()) for name, value in self.headers.items()]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/v1/chats/cht_a/events",
            "raw_path": b"/v1/chats/cht_a/events",
            "query_string": b"",
            "headers": headers,
            "client": None,
        }
        playing = asyncio.ensure_future(self.app(scope, receive, send))  # type: ignore[arg-type]
        async with asyncio.timeout(5):
            await answered.wait()
        return status, playing, leave


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    clock = ManualClock()
    tokens = FakeTokens(clock)
    minted = await tokens.mint(name="one", scopes=[Scope.CHAT], ttl_s=None)
    settings = Settings(api=ApiSettings(max_streams=STREAMS))
    async with Tasks("house", on_failure=lambda _name, _error: None) as tasks:
        house = Watched(tasks, "demo")
        house.give("api:one", Role.MEMBER, house.demo)
        yield Edge(house, create_app(house, tokens, settings, clock=clock), minted.secret)
    assert house.hub.watching == 0, "a watch was left open"


async def test_streams_that_end_leave_no_watch(edge: Edge) -> None:
    for _ in range(3):
        opened = [await edge.follow() for _ in range(STREAMS)]
        assert [status for status, _, _ in opened] == [200] * STREAMS
        assert edge.house.hub.watching == STREAMS
        for _, playing, leave in opened:
            leave.set()
            await playing
        assert edge.house.hub.watching == 0


async def test_a_stream_over_the_limit_leaves_no_watch(edge: Edge) -> None:
    opened = [await edge.follow() for _ in range(STREAMS)]
    for _ in range(5):
        status, playing, _ = await edge.follow()
        await playing
        assert status == 429
    assert edge.house.hub.watching == STREAMS
    for _, playing, leave in opened:
        leave.set()
        await playing


async def test_waiting_for_a_reply_leaves_no_watch(edge: Edge) -> None:
    transport = httpx2.ASGITransport(edge.app)
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://localhost", headers=edge.headers
    ) as client:
        for _ in range(5):
            target = "/v1/agents/demo/chats/main/messages?wait=0.05"
            await client.post(target, json={"text": "hello"})
            assert edge.house.hub.watching == 0


def test_whoever_holds_many_streams_leaves_some_to_others() -> None:
    streams = Streams(8)
    greedy, ann = PrincipalId("api:greedy"), PrincipalId("api:ann")
    with contextlib.ExitStack() as held:
        for _ in range(6):
            held.enter_context(streams.slot(greedy))
        with pytest.raises(PolicyError):
            held.enter_context(streams.slot(greedy))
        held.enter_context(streams.slot(ann))
        with pytest.raises(PolicyError):
            held.enter_context(streams.slot(ann))
        held.enter_context(streams.slot(PrincipalId("api:bob")))
        with pytest.raises(PolicyError):
            held.enter_context(streams.slot(PrincipalId("api:cid")))
    assert streams.open == 0
    with streams.slot(greedy):
        assert streams.open == 1
