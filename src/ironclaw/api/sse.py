"""Server-sent events: what happens in a chat or to changes, live, resumable, and bounded.

Source: HTML standard, "Server-sent events". Every data line is one JSON object, so no text of an
agent can forge a field or an event.
"""

from __future__ import annotations

import asyncio
import collections
from contextlib import contextmanager
from typing import (
    TYPE_CHECKING,
    Final,
    Generic,
    NamedTuple,
    Protocol,
    TypeVar,
    cast,
    runtime_checkable,
)

import msgspec

from ironclaw.api.problems import bug, problem_of
from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, PolicyError, UserError
from ironclaw.core.log import get_logger
from ironclaw.core.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from ironclaw.api.endpoint import Call
    from ironclaw.core.ids import PrincipalId

SEND_TIMEOUT_S: Final = 20.0
"""A client that takes nothing for so long is cut off; it resumes with Last-Event-ID."""
MAX_STREAM_S: Final = 3600.0
"""A stream ends after an hour: one that nothing happens in is not kept for ever."""
_PROBE_S: Final = 0.02
"""How long a stream is watched for an early refusal before it is answered with 200."""
_RETRY: Final = b"retry: 1000\n\n"

_T = TypeVar("_T")

_log = get_logger("api.sse")
_encoder = msgspec.json.Encoder()


class Happening(Protocol):
    """Something that a stream tells of."""

    @property
    def id(self) -> int: ...  # noqa: D102 - 0 when it is not kept
    @property
    def kind(self) -> str: ...  # noqa: D102 - a word


class Streams:
    """Counts open streams against their limit; the last quarter is for those who have none yet.

    So nobody, however many streams they hold, keeps another from following what they decide on.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = 0
        self._held: collections.Counter[PrincipalId] = collections.Counter()

    @property
    def open(self) -> int:
        """Streams open now."""
        return self._open

    @contextmanager
    def slot(self, who: PrincipalId) -> Iterator[None]:
        """Hold one place. Raises PolicyError (`RATE_LIMITED`) when there is none."""
        kept = self._limit // 4 if self._held[who] else 0
        if self._open >= self._limit - kept:
            raise PolicyError(
                Code.RATE_LIMITED,
                f"{self._open} event streams are open already.",
                hint="Close one, or raise api.max_streams.",
            )
        self._open += 1
        self._held[who] += 1
        try:
            yield
        finally:
            self._open -= 1
            self._held[who] -= 1
            if not self._held[who]:
                del self._held[who]


def resume_point(call: Call) -> int | None:
    """After which event a stream begins. Raises UserError (`INVALID`)."""
    raw = call.request.headers.get("last-event-id") or call.request.query_params.get("after")
    if raw is None:
        return None
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 18):  # noqa: PLR2004 - fits 63 bits
        raise UserError(
            Code.INVALID,
            "Last-Event-ID and `after` are the number of an event.",
            hint="Use 0 for everything from the beginning, or leave it out for live events only.",
        )
    return int(raw)


async def follow(
    call: Call, events: AsyncIterator[Happening], *, may: Callable[[], Awaitable[bool]]
) -> EventStream[Happening]:
    """Play events to the caller; what they raise at once is an answer, not a stream that breaks.

    Args:
        call: Whose token is looked at before each event: one that was revoked hears nothing more.
        events: What happens.
        may: Whether the caller may still be told; asked before each event.
    """

    async def check() -> None:
        if not call.is_valid():
            raise UserError(
                Code.UNAUTHENTICATED, "The token is not valid any more.", hint="Use another one."
            )
        if not await may():
            raise PolicyError(
                Code.FORBIDDEN, "The right to follow this is gone.", hint="`ironclaw me` says more."
            )

    started = _started(events, check)
    first = await anext(started)
    if first is not None:
        raise AssertionError("the probe comes first")
    return EventStream(
        # The only None was the probe.
        cast("AsyncIterator[Happening]", started),
        call.parts.streams,
        wire=Wire(frame, _problem, _RETRY),
        who=call.actor.principal,
        heartbeat_s=call.parts.settings.api.heartbeat_s,
        request_id=call.request.scope["ironclaw.request_id"],
    )


async def _started(
    events: AsyncIterator[Happening], check: Callable[[], Awaitable[None]]
) -> AsyncIterator[Happening | None]:
    """`events`, with None in front once they had time to refuse. Raises what they and it raise."""
    try:
        async with Tasks("sse-probe", on_failure=_note) as tasks:
            first = tasks.start(_next(events), name="first")
            await asyncio.wait({first}, timeout=_PROBE_S)
            if first.done() and first.exception() is not None:
                first.result()
            yield None
            event = await first
        while event is not None:
            await check()
            yield event
            event = await anext(events, None)
    finally:
        await close(events)


def frame(event: Happening) -> bytes:
    """One event on the wire; those that are not kept have no id, so resuming skips none."""
    data = _encoder.encode(event)
    head = f"id: {event.id}\n" if event.id else ""
    return f"{head}event: {event.kind}\ndata: ".encode() + data + b"\n\n"


def _problem(error: IronClawError, request_id: str) -> bytes:
    return b"event: problem\ndata: " + _encoder.encode(problem_of(error, request_id)) + b"\n\n"


class Wire(NamedTuple, Generic[_T]):
    """How a stream looks on the wire."""

    frame: Callable[[_T], bytes]
    """One event."""
    problem: Callable[[IronClawError, str], bytes]
    """Why it breaks off, with the request's id."""
    head: bytes = b""
    """What it begins with."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """More headers of the answer."""


class EventStream(Generic[_T]):
    """An ASGI application that plays one iterator of events to one client."""

    def __init__(
        self,
        events: AsyncIterator[_T],
        streams: Streams,
        *,
        wire: Wire[_T],
        who: PrincipalId,
        heartbeat_s: float,
        request_id: str,
    ) -> None:
        self._events = events
        self._streams = streams
        self._who = who
        self._wire = wire
        self._heartbeat_s = heartbeat_s
        self._request_id = request_id

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves, takes nothing more, or the hour is over."""
        try:
            with self._streams.slot(self._who):
                async with Tasks("sse", on_failure=_note) as tasks:
                    gone = tasks.start(disconnected(receive), name="disconnect")
                    await self._head(send)
                    await self._play(send, tasks, gone)
        finally:
            # Only now: closing an iterator while a task is inside it is an error.
            await close(self._events)

    async def _head(self, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"x-accel-buffering", b"no"),
            *self._wire.headers,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send(send, self._wire.head)

    async def _play(self, send: Send, tasks: Tasks, gone: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + MAX_STREAM_S
        following = tasks.start(_next(self._events), name="next")
        try:
            while not gone.done() and loop.time() < end:
                await asyncio.wait(
                    {following, gone},
                    timeout=self._heartbeat_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not following.done():
                    if not gone.done():
                        await _send(send, b": beat\n\n")
                    continue
                event = following.result()
                if event is None:
                    break
                await _send(send, self._wire.frame(event))
                following = tasks.start(_next(self._events), name="next")
            await _send(send, b"", more=False)
        except (TimeoutError, OSError):
            _log.info("event stream cut off: its client takes nothing")
        except IronClawError as error:
            await self._fail(send, error)
        except Exception:  # noqa: BLE001 - the API edge
            # Whatever it was, the client gets no inside of it.
            _log.exception("event stream failed", request=self._request_id)
            await self._fail(send, bug())

    async def _fail(self, send: Send, error: IronClawError) -> None:
        try:
            await _send(send, self._wire.problem(error, self._request_id), more=False)
        except (TimeoutError, OSError):
            _log.info("event stream ended before its error was read")


@runtime_checkable
class Closing(Protocol):
    """A subscription: a generator, or a watch of the hub."""

    async def aclose(self) -> None:
        """End it."""
        ...


async def close(events: AsyncIterator[object]) -> None:
    """End a subscription whose iterator nobody is inside of."""
    if isinstance(events, Closing):
        await events.aclose()


async def _next(events: AsyncIterator[_T]) -> _T | None:
    return await anext(events, None)


async def _send(send: Send, data: bytes, *, more: bool = True) -> None:
    async with asyncio.timeout(SEND_TIMEOUT_S):
        await send({"type": "http.response.body", "body": data, "more_body": more})


async def disconnected(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _note(name: str, error: BaseException) -> None:
    if not isinstance(error, IronClawError):
        _log.warning("event stream task ended", task=name, error=type(error).__name__)
