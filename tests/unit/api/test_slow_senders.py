"""Members who send large bodies slowly, to the real server: the others send theirs meanwhile."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from ironclaw.api.app import create_app
from ironclaw.api.server import Listening, serve
from ironclaw.config.settings import ApiSettings, PathSettings, Settings
from ironclaw.core.clock import SystemClock
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import Role
from ironclaw.domain.tokens import Scope
from ironclaw.testing.fake_house import open_fake_house
from ironclaw.testing.fake_tokens import FakeTokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

USUAL: Final = 1024
BODY: Final = json.dumps({"text": "look", "files": [{"name": "a", "data": "QUJD" * 1024}]}).encode()
GOES_ON, TAKEN, REFUSED = b"100", b"202", b"429"


class Served(NamedTuple):
    """A server on a unix socket, and the tokens of three members."""

    path: Path
    secrets: dict[str, str]

    @asynccontextmanager
    async def sender(self, who: str) -> AsyncIterator[Sender]:
        """Somebody who announces a large body, and has sent none of it."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        head = (
            "POST /v1/agents/demo/chats/main/messages HTTP/1.1\r\nhost: localhost\r\n"
            f"authorization: Bearer {self.secrets[who]}\r\ncontent-length: {len(BODY)}\r\n"
            "expect: 100-continue\r\n\r\n"
        )
        writer.write(head.encode())
        try:
            yield Sender(reader, writer)
        finally:
            writer.close()


class Sender(NamedTuple):
    """A connection over which a large body is sent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def status(self) -> bytes:
        """The next answer. That it may go on says that it holds a place."""
        async with asyncio.timeout(10):
            return (await self.reader.readuntil(b"\r\n\r\n")).split()[1]

    async def sends_all(self) -> bytes:
        """Send the body, and see what comes of it."""
        self.writer.write(BODY)
        return await self.status()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    # Not tmp_path: the names of sockets must be short.
    runtime = Path(tempfile.mkdtemp(prefix="icl-"))
    config = Settings(
        api=ApiSettings(tcp=False, max_body_bytes=USUAL), paths=PathSettings(runtime_dir=runtime)
    )
    started: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
    tokens = FakeTokens(SystemClock())
    async with (
        open_fake_house() as house,
        Tasks("test", on_failure=lambda _name, error: started.set_exception(error)) as tasks,
    ):
        agent = house.add_agent("demo")
        secrets = {}
        for name in ("eve", "mal", "ann"):
            minted = await tokens.mint(name=name, scopes=[Scope.CHAT], ttl_s=None)
            house.give(minted.token.principal, Role.MEMBER, agent)
            secrets[name] = minted.secret
        app = create_app(house, tokens, config)
        tasks.start(serve(app, config, ready=started.set_result), name="serve")
        yield Served((await started).socket, secrets)
    shutil.rmtree(runtime)


async def test_two_slow_members_leave_a_place_to_a_third(served: Served):
    async with AsyncExitStack() as slow:
        for who, answer in (
            ("eve", GOES_ON),
            ("eve", GOES_ON),
            ("eve", REFUSED),
            ("mal", GOES_ON),
            ("mal", REFUSED),
        ):
            sender = await slow.enter_async_context(served.sender(who))
            assert await sender.status() == answer

        # The place is Ann's, again and again.
        for _ in range(3):
            async with served.sender("ann") as ann:
                assert await ann.status() == GOES_ON
                assert await ann.sends_all() == TAKEN


async def test_places_of_those_who_leave_are_free_at_once(served: Served):
    for _ in range(3):
        async with AsyncExitStack() as slow:
            for _place in range(2):
                sender = await slow.enter_async_context(served.sender("eve"))
                assert await sender.status() == GOES_ON
                sender.writer.write(BODY[:USUAL])
        for _turn in range(20):  # of the loop, in which the server sees that they left
            await asyncio.sleep(0.005)
    async with served.sender("eve") as one, served.sender("eve") as other:
        assert (await one.status(), await other.status()) == (GOES_ON, GOES_ON)
        assert (await one.sends_all(), await other.sends_all()) == (TAKEN, TAKEN)
