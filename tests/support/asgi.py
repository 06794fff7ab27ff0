"""One request to an ASGI application, event streams included: they are left once they began."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message


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
    path, _, query = target.partition("?")
    headers = [(b"host", b"localhost")]
    if secret is not None:
        headers.append((b"authorization", f"Bearer {secret}".encode()))
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
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
