"""Stand-ins for model providers: HTTP servers that say what each provider's protocol says.

`ModelServer` takes any number of requests, keeps them, and answers each with the next reply of its
script. The shapes are those of `model_answers`; tests ask the official SDKs whether they are right.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from types import TracebackType


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Reply(NamedTuple):
    """One answer."""

    pieces: tuple[bytes, ...]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = "text/event-stream"
    hangs: bool = False
    """Stay silent behind the last piece, until the client is gone."""
    breaks: bool = False
    """Close the connection behind the last piece, in the middle of the body."""


class ModelServer:
    """A server of one script; the last reply repeats. Use it as an async context."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = replies
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.asked: list[Asked] = []
        self.busy = asyncio.Event()
        """A request came."""
        self.left = asyncio.Event()
        """A client closed its connection during an answer."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        if self._open:
            await asyncio.wait(self._open)

    @property
    def url(self) -> str:
        """Where it is."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def reply_to(self, asked: Asked) -> Reply:
        """What is answered: the next of the script, whatever was asked."""
        del asked
        return self._replies[min(len(self.asked), len(self._replies) - 1)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while (asked := await _request(reader)) is not None:
                reply = self.reply_to(asked)
                self.asked.append(asked)
                self.busy.set()
                await self._answer(reply, reader, writer)
                if reply.breaks:
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(
        self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        lines = [f"HTTP/1.1 {reply.status} Said", f"Content-Type: {reply.media_type}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        lines += ["Transfer-Encoding: chunked", "", ""]
        writer.write("\r\n".join(lines).encode())
        for piece in reply.pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        if reply.hangs:
            # One that has not read everything leaves with a reset.
            with contextlib.suppress(ConnectionError):
                assert await reader.read(1) == b""
            self.left.set()
        elif not reply.breaks:
            writer.write(b"0\r\n\r\n")
            await writer.drain()


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head[0].split(" ")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body)


def sse(*events: object, named: bool = False, done: bool = False) -> tuple[bytes, ...]:
    """Server-sent events of JSON objects; `named` writes each one's `type` as the event's name."""
    pieces = []
    for event in events:
        assert isinstance(event, dict)
        name = f"event: {event['type']}\n" if named else ""
        pieces.append(f"{name}data: {json.dumps(event)}\n\n".encode())
    return (*pieces, *((b"data: [DONE]\n\n",) if done else ()))


def failed(status: int, body: object, *headers: tuple[str, str]) -> Reply:
    """A provider's no."""
    return Reply((json.dumps(body).encode(),), status, headers, "application/json")


def amazon(*events: tuple[str, object]) -> tuple[bytes, ...]:
    """Amazon's event stream: prelude, headers, payload, each with its checksum."""
    return tuple(_amazon(kind, json.dumps(body).encode()) for kind, body in events)


def _amazon(kind: str, payload: bytes) -> bytes:
    pairs = {":message-type": "event", ":event-type": kind, ":content-type": "application/json"}
    headers = b"".join(
        struct.pack(">B", len(name))
        + name.encode()
        + b"\x07"
        + struct.pack(">H", len(value))
        + value.encode()
        for name, value in pairs.items()
    )
    prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    prelude += struct.pack(">I", binascii.crc32(prelude))
    whole = prelude + headers + payload
    return whole + struct.pack(">I", binascii.crc32(whole))
