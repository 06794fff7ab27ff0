"""One request to an ASGI application, event streams included: they are left once they began."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Scope


class Answer(NamedTuple):
    """What came of it."""

    status: int
    raw: bytes

    @property
    def body(self) -> Any:
        """Decoded."""
        return json.loads(self.raw)


async def ask(
    app: ASGIApp, method: str, target: str, *, secret: str | None = None, body: object = None
) -> Answer:
    """Ask once; the client leaves when a stream has sent its first piece."""
    scope = _scope(method, target, secret, {})
    raw = b"" if body is None else json.dumps(body).encode()
    requests = [{"type": "http.request", "body": raw, "more_body": False}]
    answered = asyncio.Event()
    status = 0
    pieces: list[bytes] = []

    async def receive() -> Message:
        if requests and body is not None:
            return requests.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        if message["type"] == "http.response.body":
            pieces.append(message.get("body", b""))
            answered.set()

    async with asyncio.timeout(10):
        await app(scope, receive, send)
    return Answer(status, b"".join(pieces))


class Listener:
    """A client of an event stream, whose speed the test decides."""

    def __init__(
        self,
        app: ASGIApp,
        target: str,
        *,
        secret: str | None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> None:
        self._app = app
        self._scope = _scope("GET" if body is None else "POST", target, secret, headers or {})
        self._body = None if body is None else json.dumps(body).encode()
        self.status = 0
        self.text = b""
        self.taking = asyncio.Event()
        """Whether it takes what is sent."""
        self.taking.set()
        self.left = asyncio.Event()
        """Whether it has gone."""
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Listen until the stream ends."""
        await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.taking.wait()
        self.status = message.get("status", self.status)
        self.text += message.get("body", b"")
        self._changed.set()

    async def until(self, needle: bytes) -> None:
        """Wait until that was sent."""
        async with asyncio.timeout(5):
            while needle not in self.text:
                self._changed.clear()
                await self._changed.wait()

    def events(self) -> list[dict[str, Any]]:
        """What was sent, decoded."""
        lines = self.text.decode().split("\n")
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def _scope(method: str, target: str, secret: str | None, extra: Mapping[str, str]) -> Scope:
    path, _, query = target.partition("?")
    headers = {"host": "localhost"} | dict(extra)
    if secret is not None:
        headers["authorization"] = f"Bearer {secret}"
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
