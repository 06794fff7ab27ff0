"""Sending a message and following a chat.

`send_message` -> `House.chat_for` -> `House.hear` -> 202, or with `?wait=` the reply. Who speaks is
the token's principal; nothing a client writes can change that.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from ironclaw.api.access import may_follow
from ironclaw.api.bodies import SendMessage, Sent
from ironclaw.api.endpoint import FILES_BODY_BYTES, Call, Endpoint, Query, encode
from ironclaw.api.sse import close, follow, resume_point
from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, UserError
from ironclaw.core.ids import ChatId, new_id
from ironclaw.core.log import get_logger
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import Event, Upload
from ironclaw.domain.questions import QuestionStatus
from ironclaw.domain.rights import Right
from ironclaw.services.house import ChatEvent
from ironclaw_contract.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.responses import Response

    from ironclaw.api.sse import EventStream, Happening
    from ironclaw.core.ids import MessageId
    from ironclaw.services.house import House, Routed

MAX_WAIT_S: Final = 300.0
_REPLAY: Final = 200
"""Events of a session searched for the reply to a message that was sent before."""
OUTCOMES: Final = frozenset({"reply", "question", "error"})
"""Kinds of events that whoever waits for an answer waits for."""
_STATUS: Final[dict[str, Literal["asked", "failed"]]] = {"question": "asked", "error": "failed"}
_OVER: Final = frozenset({"answered", "asked", "failed", "handled"})
"""When nothing more is to come of a message by itself."""
_NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}\Z")

_log = get_logger("api.messages")


async def send_message(call: Call) -> Response:
    """Take a message in; with `?wait=` stay for the reply."""
    body: SendMessage = call.body
    wait_s = call.number("wait", default=0, least=0, most=MAX_WAIT_S)
    name = call.path("name")
    check_name(name)
    check_size(body.text)
    house = call.parts.house
    principal = call.actor.principal
    handle = principal.partition(":")[2]
    chat = await house.chat_for(call.path("agent"), name, principal=principal)
    event = Event(
        channel=chat.channel,
        platform_id=chat.platform_id,
        handle=handle,
        sender=handle,
        text=body.text,
        external_id=external_id(call, body.external_id),
        thread=body.thread,
        mentioned=True,
        files=tuple(Upload(name=one.name, data=one.data) for one in body.files),
    )
    if wait_s:
        routed, outcome = await _hear_and_wait(call, chat.id, event, wait_s)
        if outcome is not None and not await _may_still_hear(call, chat.id):
            outcome = None
    else:
        routed, outcome = first_of(await house.hear(event, actor=call.actor)), None
    call.parts.metrics.message(routed.reason if routed else "not_wired")
    sent = _sent(chat.id, routed, outcome)
    return encode(sent, status=200 if sent.status in _OVER else 202)


async def _may_still_hear(call: Call, chat: ChatId) -> bool:
    """Whether the caller may be told after the wait too, as one who follows a chat."""
    house = call.parts.house
    return call.is_valid() and await may_follow(house, call.actor, await house.place_of(chat))


def check_name(name: str) -> None:
    """Raises UserError (`INVALID`) for what is no name of a chat."""
    if not _NAME.match(name):
        raise UserError(
            Code.INVALID,
            "A chat's name has 1 to 64 of A-Z, a-z, 0-9, '_', '.', '-'.",
            hint="For example `main`.",
        )


def check_size(text: str) -> None:
    """Raises UserError (`TOO_LARGE`) for a text that is no message."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        raise UserError(
            Code.TOO_LARGE,
            f"The text has {size} bytes; a message has at most {MAX_TEXT_BYTES}.",
            hint="Send it in parts.",
        )


def external_id(call: Call, named: str | None = None) -> str:
    """The message's id for dedup, in a name space of the token's own.

    Args:
        call: The request; its header `Idempotency-Key` comes first.
        named: What the body names it.

    Raises:
        UserError: `INVALID`.
    """
    given = call.request.headers.get("idempotency-key") or named
    if given is None:
        return new_id("ext")
    if len(given) > 200 or not given.isprintable():  # noqa: PLR2004 - as ExternalId says
        raise UserError(
            Code.INVALID,
            "Idempotency-Key has 1 to 200 printable characters.",
            hint="A UUID is a good one.",
        )
    return f"{call.holder.name}/{given}"


def first_of(routed: list[Routed]) -> Routed | None:
    """The answer that counts for a client: an agent that engaged, else whatever there is."""
    return next((one for one in routed if one.engaged), routed[0] if routed else None)


def _sent(chat: ChatId, routed: Routed | None, outcome: ChatEvent | None) -> Sent:
    status: Literal["pending", "answered", "asked", "failed", "ignored", "handled"] = "ignored"
    reply = outcome.text if outcome else None
    if routed is not None and routed.answer is not None:
        status, reply = "handled", routed.answer
    elif outcome is not None:
        status = _STATUS.get(outcome.kind, "answered")
    elif routed is not None and routed.engaged:
        status = "pending"
    return Sent(
        chat=chat,
        session=routed.session if routed else None,
        message=routed.message if routed else None,
        status=status,
        reason=routed.reason if routed else "not_wired",
        duplicate=routed.duplicate if routed else False,
        event=routed.event if routed else 0,
        reply=reply,
        code=outcome.code or None if outcome else None,
        question=outcome.question if outcome else None,
        options=outcome.options if outcome else (),
    )


async def _hear_and_wait(
    call: Call, chat: ChatId, event: Event, wait_s: float
) -> tuple[Routed | None, ChatEvent | None]:
    """Subscribe first, then speak, so that no reply can be too fast to be seen."""
    house = call.parts.house
    events = house.watch(chat, after=None)
    outcome: ChatEvent | None = None
    try:
        async with Tasks("api-wait", on_failure=_note) as tasks:
            early = tasks.start(_next(events), name="watch")
            # One round of the loop: the subscription stands before the message is in.
            await asyncio.sleep(0)
            routed = first_of(await house.hear(event, actor=call.actor))
            if routed is None or not routed.engaged or routed.message is None:
                return routed, None
            if routed.duplicate:
                outcome = await outcome_of(house, routed)
            if outcome is None:
                try:
                    async with asyncio.timeout(wait_s):
                        outcome = await _reply_to(routed.message, early, events)
                except TimeoutError:
                    outcome = await outcome_of(house, routed)
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
        if event.is_of(message) and event.kind in OUTCOMES:
            return event
        event = await anext(events, None)
    return None


async def outcome_of(house: House, routed: Routed) -> ChatEvent | None:
    """What became of a message that was taken in before; None while nothing has."""
    if routed.session is None:
        return None
    asked = None
    for event in await house.transcript(routed.session, limit=_REPLAY):
        if event.kind == "message" and event.id == routed.event:
            # An answer to a question is of the turn that asked: what came before it is no news.
            asked = None
        if routed.message is None or not event.is_of(routed.message):
            continue
        if event.kind in {"reply", "error"}:
            return event
        if event.kind == "question":
            asked = event
    return asked if asked is not None and await _is_open(house, asked) else None


async def _is_open(house: House, asked: ChatEvent) -> bool:
    """Whether a question still waits for its answer; else more comes of its turn by itself."""
    if asked.question is None:
        return False
    return (await house.questions.find(asked.question)).status is QuestionStatus.OPEN


async def _next(events: AsyncIterator[ChatEvent]) -> ChatEvent | None:
    return await anext(events, None)


def _note(name: str, error: BaseException) -> None:
    if not isinstance(error, IronClawError):
        _log.warning("waiting for a reply failed", task=name, error=type(error).__name__)


async def follow_chat(call: Call) -> EventStream[Happening]:
    """Events of a chat as a stream."""
    after = resume_point(call)
    # The door has looked whether there is such a chat and whether the caller may follow it.
    chat = ChatId(call.path("chat"))
    house = call.parts.house
    place = await house.place_of(chat)
    may = partial(may_follow, house, call.actor, place)
    return await follow(call, house.watch(chat, after=after), may=may)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/agents/{agent}/chats/{name}/messages",
        Right.TALK,
        "agent",
        "Send a message to an agent",
        send_message,
        body=SendMessage,
        most_bytes=FILES_BODY_BYTES,
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
        Right.TALK,
        "chat",
        "Follow a chat: messages, replies, errors, what is being done (server-sent events)",
        follow_chat,
        reply=ChatEvent,
        query=(Query("after", "Begin after the event of this number; same as Last-Event-ID."),),
        media_type="text/event-stream",
    ),
)
