"""Sending a message and following a chat.

`send_message` -> `House.chat_for` -> `House.hear` -> 202, or with `?wait=` the reply. Who speaks is
the token's name; nothing a client writes can change that.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final, Literal, cast

from ironclaw.api.bodies import SendMessage, Sent
from ironclaw.api.endpoint import Call, Endpoint, Query, encode
from ironclaw.api.scopes import Scope, allows
from ironclaw.api.sse import EventStream, close
from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, UserError
from ironclaw.core.ids import ChatId, new_id
from ironclaw.core.log import get_logger
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import Event
from ironclaw.services.house import ChatEvent
from ironclaw_contract.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response

    from ironclaw.core.ids import MessageId
    from ironclaw.services.house import House, Routed

MAX_WAIT_S: Final = 300.0
_PROBE_S: Final = 0.02
"""How long a stream is watched for an early refusal before it is answered with 200."""
_REPLAY: Final = 200
"""Events of a session searched for the reply to a message that was sent before."""
_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}\Z")

_log = get_logger("api.messages")


async def send_message(call: Call) -> Response:
    """Take a message in; with `?wait=` stay for the reply."""
    body: SendMessage = call.body
    wait_s = call.number("wait", default=0, least=0, most=MAX_WAIT_S)
    name = call.path("name")
    if not _NAME.match(name):
        raise UserError(
            Code.INVALID,
            "A chat's name has 1 to 64 of A-Z, a-z, 0-9, '_', '.', '-'.",
            hint="For example `main`.",
        )
    size = len(body.text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        raise UserError(
            Code.TOO_LARGE,
            f"The text has {size} bytes; a message has at most {MAX_TEXT_BYTES}.",
            hint="Send it in parts.",
        )
    holder = call.holder
    house = call.parts.house
    chat = await house.chat_for(call.path("agent"), name, principal=holder.principal)
    event = Event(
        channel=chat.channel,
        platform_id=chat.platform_id,
        handle=holder.name,
        sender=holder.name,
        text=body.text,
        external_id=_external_id(call, body),
        thread=body.thread,
        mentioned=True,
    )
    if wait_s:
        routed, outcome = await _hear_and_wait(house, chat.id, event, wait_s)
    else:
        routed, outcome = _first(await house.hear(event)), None
    call.parts.metrics.message(routed.reason if routed else "not_wired")
    sent = _sent(chat.id, routed, outcome)
    return encode(sent, status=200 if sent.status in {"answered", "failed"} else 202)


def _external_id(call: Call, body: SendMessage) -> str:
    """The message's id for dedup, in a name space of the token's own."""
    given = call.request.headers.get("idempotency-key") or body.external_id
    if given is None:
        return new_id("ext")
    if len(given) > 200 or not given.isprintable():  # noqa: PLR2004 - as ExternalId says
        raise UserError(
            Code.INVALID,
            "Idempotency-Key has 1 to 200 printable characters.",
            hint="A UUID is a good one.",
        )
    return f"{call.holder.name}/{given}"


def _first(routed: list[Routed]) -> Routed | None:
    """The answer that counts for a client: an agent that engaged, else whatever there is."""
    return next((one for one in routed if one.engaged), routed[0] if routed else None)


def _sent(chat: ChatId, routed: Routed | None, outcome: ChatEvent | None) -> Sent:
    status: Literal["pending", "answered", "failed", "ignored"] = "ignored"
    if outcome is not None:
        status = "failed" if outcome.kind == "error" else "answered"
    elif routed is not None and routed.engaged:
        status = "pending"
    return Sent(
        chat=chat,
        session=routed.session if routed else None,
        message=routed.message if routed else None,
        status=status,
        reason=routed.reason if routed else "not_wired",
        duplicate=routed.duplicate if routed else False,
        reply=outcome.text if outcome else None,
        code=outcome.code or None if outcome else None,
    )


async def _hear_and_wait(
    house: House, chat: ChatId, event: Event, wait_s: float
) -> tuple[Routed | None, ChatEvent | None]:
    """Subscribe first, then speak, so that no reply can be too fast to be seen."""
    events = house.watch(chat, after=None)
    outcome: ChatEvent | None = None
    try:
        async with Tasks("api-wait", on_failure=_note) as tasks:
            early = tasks.start(_next(events), name="watch")
            # One round of the loop: the subscription stands before the message is in.
            await asyncio.sleep(0)
            routed = _first(await house.hear(event))
            if routed is None or not routed.engaged or routed.message is None:
                return routed, None
            if routed.duplicate:
                outcome = await _already(house, routed)
            if outcome is None:
                try:
                    async with asyncio.timeout(wait_s):
                        outcome = await _reply_to(routed.message, early, events)
                except TimeoutError:
                    outcome = await _already(house, routed)
            return routed, outcome
    finally:
        await close(events)


async def _reply_to(
    message: MessageId,
    early: asyncio.Task[ChatEvent | None],
    events: AsyncIterator[ChatEvent],
) -> ChatEvent | None:
    event = await early
    while event is not None:
        if event.message == message and event.kind in {"reply", "error"}:
            return event
        event = await anext(events, None)
    return None


async def _already(house: House, routed: Routed) -> ChatEvent | None:
    if routed.session is None:
        return None
    for event in await house.transcript(routed.session, limit=_REPLAY):
        if event.message == routed.message and event.kind in {"reply", "error"}:
            return event
    return None


async def _next(events: AsyncIterator[ChatEvent]) -> ChatEvent | None:
    return await anext(events, None)


def _note(name: str, error: BaseException) -> None:
    if not isinstance(error, IronClawError):
        _log.warning("waiting for a reply failed", task=name, error=type(error).__name__)


async def follow_chat(call: Call) -> EventStream:
    """Events of a chat as a stream."""
    after = _resume_point(call)
    settings = call.parts.settings
    # An unknown chat is an error of its own, not a stream that breaks: look before answering. Who
    # may only chat follows chats of their own.
    chat = ChatId(call.path("chat"))
    reads_all = allows(call.holder.scopes, frozenset({Scope.READ}))
    principal = None if reads_all else call.holder.principal
    await call.parts.house.check_follow(chat, principal=principal)
    events = _started(call.parts.house.watch(chat, after=after))
    first = await anext(events)
    if first is not None:
        raise AssertionError("the probe comes first")
    return EventStream(
        # The only None was the probe.
        cast("AsyncIterator[ChatEvent]", events),
        call.parts.streams,
        heartbeat_s=settings.api.heartbeat_s,
        request_id=call.request.scope["ironclaw.request_id"],
    )


def _resume_point(call: Call) -> int | None:
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


async def _started(events: AsyncIterator[ChatEvent]) -> AsyncIterator[ChatEvent | None]:
    """`events`, with None in front once they had time to refuse. Raises what they raise."""
    try:
        async with Tasks("sse-probe", on_failure=_note) as tasks:
            first = tasks.start(_next(events), name="first")
            await asyncio.wait({first}, timeout=_PROBE_S)
            if first.done() and first.exception() is not None:
                first.result()
            yield None
            event = await first
        while event is not None:
            yield event
            event = await anext(events, None)
    finally:
        await close(events)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/agents/{agent}/chats/{name}/messages",
        frozenset({Scope.CHAT}),
        "Send a message to an agent",
        send_message,
        body=SendMessage,
        reply=Sent,
        status=202,
        query=(
            Query(
                "wait",
                f"Seconds to wait for the reply, at most {MAX_WAIT_S:g}; 0 or none: do not wait.",
            ),
        ),
    ),
    Endpoint(
        "GET",
        "/v1/chats/{chat}/events",
        frozenset({Scope.CHAT, Scope.READ}),
        "Follow a chat: messages, progress, replies, errors (server-sent events)",
        follow_chat,
        reply=ChatEvent,
        query=(Query("after", "Begin after the event of this number; same as Last-Event-ID."),),
        media_type="text/event-stream",
    ),
)
