"""Strangers who take every connection: the owner still gets in, by TCP and by the unix socket."""

from __future__ import annotations

import asyncio
import resource
import selectors
import socket
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ironclaw.api import connections
from ironclaw.api.app import create_app
from ironclaw.api.server import Listening, serve
from ironclaw.config.settings import ApiSettings, PathSettings, Settings
from ironclaw.core.clock import SystemClock
from ironclaw.domain.model import Role
from ironclaw.domain.tokens import Scope
from ironclaw.testing.fake_house import open_fake_house
from ironclaw.testing.fake_tokens import FakeTokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.hostile

PLACES = 20


class Served(NamedTuple):
    """A real server and a good token."""

    path: Path
    port: int
    secret: str

    def request(self, *, by_tcp: bool) -> bytes:
        """Ask for the agents on a fresh connection; return the status line."""
        family = socket.AF_INET if by_tcp else socket.AF_UNIX
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            sock.connect(("127.0.0.1", self.port) if by_tcp else str(self.path))
            sock.sendall(self.head())
            return sock.recv(4096).partition(b"\r\n")[0]

    def head(self, secret: str | None = None) -> bytes:
        token = self.secret if secret is None else secret
        return (
            f"GET /v1/agents HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
        ).encode()


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(connections, "MAX_TCP", PLACES)
    monkeypatch.setattr("ironclaw.api.server.MAX_CONNECTIONS", 2 * PLACES)
    with TemporaryDirectory(prefix="icl-") as name:
        place = Path(name)
        tokens = FakeTokens(SystemClock())
        minted = await tokens.mint(name="one", scopes=[Scope.READ], ttl_s=None)
        settings = Settings(
            paths=PathSettings(state_dir=place, runtime_dir=place, image_dir=place),
            api=ApiSettings(port=0),
        )
        where: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
        async with open_fake_house() as house:
            house.give(minted.token.principal, Role.VIEWER)
            app = create_app(house, tokens, settings)
            serving = asyncio.ensure_future(serve(app, settings, ready=where.set_result))
            listening = await where
            assert listening.port is not None
            yield Served(listening.socket, listening.port, minted.secret)
            serving.cancel()
            await asyncio.wait({serving})


def crowd(served: Served, stack: ExitStack, *, first: bytes) -> list[socket.socket]:
    """Open many more connections than there are places, and say `first` on each."""
    found = []
    for _ in range(4 * PLACES):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 5))
        sock.sendall(first)
        found.append(sock)
    return found


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET / HTTP/1.1\r\nx-slow: ",
        b"POST /v1/tokens HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\nx",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ],
    ids=["silent", "half a head", "half a body", "public"],
)
async def test_strangers_cannot_keep_the_owner_out(served: Served, first: bytes) -> None:
    with ExitStack() as stack:
        socks = await asyncio.to_thread(crowd, served, stack, first=first)
        for by_tcp in (False, True, True, False):
            answer = await asyncio.to_thread(served.request, by_tcp=by_tcp)
            assert answer == b"HTTP/1.1 200 OK"
        await asyncio.to_thread(_wait_for_refusals, socks)


def _wait_for_refusals(socks: list[socket.socket]) -> None:
    """Wait until all but as many as there are places have been closed."""
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ)
        while len(selector.get_map()) > PLACES:
            ready = selector.select(10)
            assert ready, "strangers keep more places than there are"
            for key, _ in ready:
                if _is_closed(key.fileobj):
                    selector.unregister(key.fileobj)


def _is_closed(sock: object) -> bool:
    assert isinstance(sock, socket.socket)
    try:
        return not sock.recv(65536)
    except ConnectionResetError:
        return True


async def test_a_connection_that_is_served_keeps_its_place(served: Served) -> None:
    with ExitStack() as stack:
        mine = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 5))
        mine.settimeout(5)
        for _ in range(3):
            await asyncio.to_thread(crowd_once, served, stack)
            mine.sendall(served.head())
            answer = await asyncio.to_thread(_read_agents, mine)
            assert answer.startswith(b"HTTP/1.1 200 OK")


def _read_agents(sock: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(b'{"agents":[]}'):
        piece = sock.recv(65536)
        assert piece, answer
        answer += piece
    return answer


def crowd_once(served: Served, stack: ExitStack) -> None:
    """As many strangers as there are places beside ours."""
    for _ in range(PLACES - 1):
        stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 5))


def test_connections_cannot_use_up_the_files_that_boxes_need() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        connections.allow_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 4 * connections.MAX_CONNECTIONS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
