"""Answers of the front door: the whole reply at once, or lines of a stream.

Both watch whether the client is still there: one that has left ends the watching.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import msgspec
from starlette.responses import Response

from ironclaw.api.openai_errors import NO_RETRY, fault_of, refuse
from ironclaw.api.sse import EventStream, Wire, disconnected
from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, UserError
from ironclaw.core.log import get_logger
from ironclaw.core.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from starlette.types import Receive, Scope, Send

    from ironclaw.api.endpoint import Call
    from ironclaw.api.openai_turn import Turn

_log = get_logger("api.front_door")
_encoder = msgspec.json.Encoder()


class Whole:
    """An ASGI application that waits for the reply and answers with all of it."""

    def __init__(self, call: Call, turn: Turn, make: Callable[[str], msgspec.Struct]) -> None:
        self._parts = call.parts
        self._who = call.actor.principal
        self._turn = turn
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the client leaves before."""
        try:
            response = await self._response(scope["ironclaw.request_id"], receive)
        finally:
            await self._turn.aclose()
        for name, value in self._turn.headers:
            response.headers[name.decode()] = value.decode()
        await response(scope, receive, send)

    async def _response(self, request_id: str, receive: Receive) -> Response:
        with self._parts.streams.slot(self._who):
            async with Tasks("front-door", on_failure=_note) as tasks:
                gone = tasks.start(disconnected(receive), name="disconnect")
                waiting = tasks.start(self._turn.whole(), name="reply")
                await asyncio.wait({gone, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    raise UserError(Code.INVALID, "The client left.", hint="The agent goes on.")
        try:
            answer = self._make(waiting.result())
        except IronClawError as error:
            self._parts.metrics.error(error.code)
            return refuse(error, request_id, NO_RETRY)
        return Response(_encoder.encode(answer), media_type="application/json")


class Lines:
    """Lines of a stream with the turn that they tell of: closing one closes the other."""

    def __init__(self, turn: Turn, lines: AsyncGenerator[bytes, None]) -> None:
        self._turn = turn
        self._lines = lines

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._lines)

    async def aclose(self) -> None:
        """End both. Idempotent."""
        await self._lines.aclose()
        await self._turn.aclose()


def stream(call: Call, turn: Turn, lines: AsyncGenerator[bytes, None]) -> EventStream[bytes]:
    """Play lines to the caller, with a comment now and then while there are none."""
    return EventStream(
        Lines(turn, lines),
        call.parts.streams,
        who=call.actor.principal,
        wire=Wire(bytes, _broken, headers=turn.headers),
        heartbeat_s=call.parts.settings.api.heartbeat_s,
        request_id=call.request.scope["ironclaw.request_id"],
    )


def data(value: msgspec.Struct, *, event: str = "") -> bytes:
    """One event on the wire: JSON has no line break, so no text can forge another."""
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + _encoder.encode(value) + b"\n\n"


def _broken(error: IronClawError, request_id: str) -> bytes:
    return data(fault_of(error, request_id))


def _note(name: str, error: BaseException) -> None:
    if not isinstance(error, IronClawError):
        _log.warning("waiting for a reply failed", task=name, error=type(error).__name__)
