"""One request of the front door on its way: the message goes in, pieces of the answer come out.

begin: agent -> chat -> subscribe -> hear -> Turn;  Turn.pieces: progress -> the rest of the reply

Ending a turn of this module ends the watching. The agent goes on, and its reply is kept.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.api.access import may_follow, talked_agent
from ironclaw.api.messages import OUTCOMES, check_size, external_id, first_of, outcome_of
from ironclaw.api.openai_chats import HEADER, Whose, Wish, words_of
from ironclaw.api.openai_files import note
from ironclaw.api.sse import close
from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import HostError, PolicyError, UserError
from ironclaw.core.ids import MessageId, new_id
from ironclaw.domain.model import Event
from ironclaw.services.house import ChatPlace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from ironclaw.api.endpoint import Call
    from ironclaw.api.openai_bodies import ChatRequest, ResponsesRequest
    from ironclaw.api.openai_said import Said
    from ironclaw.core.errors import IronClawError
    from ironclaw.core.ids import ChatId
    from ironclaw.domain.model import Agent, Chat
    from ironclaw.services.house import ChatEvent, Routed
    from ironclaw_contract.entries import Files

IGNORED_HEADER: Final = b"x-ironclaw-ignored"
_PARAGRAPH: Final = "\n\n"


class Asked(NamedTuple):
    """What a request asks."""

    said: Said
    names: tuple[str | None, ...] = ()
    """Names of the conversation in the body; the header comes before them."""
    previous: str | None = None
    """The id of a response to go on from."""


class Turn:
    """A message that was taken in, and what comes of it."""

    def __init__(
        self,
        call: Call,
        place: Place,
        routed: Routed,
        message: MessageId,
        events: AsyncIterator[ChatEvent],
    ) -> None:
        self.place = place
        self.message = message
        self.created = call.parts.clock.now_ms() // 1000
        self.reply = ""
        """The reply, once there are no more pieces."""
        self._call = call
        self._routed = routed
        self._events = events
        self._wait_s = call.parts.settings.api.reply_s
        self._until = asyncio.get_running_loop().time() + self._wait_s

    async def pieces(self) -> AsyncGenerator[str, None]:
        """Text as it is made; together it ends with the reply.

        Raises:
            IronClawError: The turn failed, did not end in time, or the caller may not be told.
        """
        if self._routed.answer is not None:
            # A command: the host has answered it already.
            self.reply = self._routed.answer
            yield self.reply
            return
        shown = _Shown()
        files: Files = ()
        outcome = None
        if self._routed.duplicate:
            outcome = await outcome_of(self._call.parts.house, self._routed)
        while outcome is None:
            event = await self._next()
            if not event.is_of(self.message):
                continue
            await self._check()
            if event.kind == "progress":
                yield shown.piece(event.text)
            elif event.kind == "said":
                files += event.files
                yield shown.said(event.text)
            elif event.kind in OUTCOMES:
                outcome = event
        if outcome.kind == "error":
            raise _failure(outcome)
        told = note((*files, *outcome.files))
        words = words_of(outcome)
        self.reply = words + told
        rest = shown.rest(words) + told
        if rest:
            yield rest

    async def whole(self) -> str:
        """The reply. Raises as `pieces` does."""
        async for _ in self.pieces():
            pass
        return self.reply

    async def aclose(self) -> None:
        """Watch no longer. Idempotent."""
        await close(self._events)

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the answer says beside its body."""
        found = [(HEADER.encode(), self.place.name.encode())]
        if self.place.ignores_rules:
            found.append((IGNORED_HEADER, b"system"))
        return tuple(found)

    async def _next(self) -> ChatEvent:
        try:
            async with asyncio.timeout_at(self._until):
                event = await anext(self._events, None)
        except TimeoutError as error:
            raise HostError(
                Code.UNAVAILABLE,
                f"The agent has not answered within {self._wait_s:g} s. It goes on, and its reply "
                "is kept in the chat.",
                hint="Raise api.reply_s for longer turns.",
            ) from error
        if event is None:
            raise HostError(
                Code.UNAVAILABLE, "IronClaw is stopping.", hint="The reply is kept in the chat."
            )
        return event

    async def _check(self) -> None:
        call, place = self._call, self.place
        if not call.is_valid():
            raise UserError(
                Code.UNAUTHENTICATED, "The token is not valid any more.", hint="Use another one."
            )
        whose = ChatPlace(place.agent.id, call.actor.principal)
        if not await may_follow(call.parts.house, call.actor, whose):
            raise PolicyError(
                Code.FORBIDDEN, "The right to follow this is gone.", hint="`ironclaw me` says more."
            )


class _Shown:
    """What those who read along were shown of a turn."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        """Of the answer as it is made."""
        self._gap = ""
        """What stands before the next words, behind those said before the answer."""

    def piece(self, text: str) -> str:
        """A piece of the answer, as it is shown."""
        gap, self._gap = self._gap, ""
        self._pieces.append(text)
        return gap + text

    def said(self, text: str) -> str:
        """Words of a turn that goes on: they stand above the answer, which begins behind them."""
        if not text:
            return ""
        before = _PARAGRAPH if self._gap or self._pieces else ""
        self._pieces, self._gap = [], _PARAGRAPH
        return before + text

    def rest(self, reply: str) -> str:
        """What is still to be shown, so that all of it ends with the reply."""
        rest = rest_of("".join(self._pieces), reply)
        return self._gap + rest if rest else ""


class Place(NamedTuple):
    """Where a turn takes place."""

    agent: Agent
    chat: ChatId
    name: str
    """Of the chat, as its principal calls it."""
    ignores_rules: bool


async def agent_of(call: Call) -> Agent:
    """The agent that a body names as its model. Raises UserError, PolicyError."""
    body: ChatRequest | ResponsesRequest = call.body
    return await talked_agent(call.parts.house, call.actor, body.model)


async def begin(call: Call, agent: Agent, asked: Asked) -> Turn:
    """Take the newest words in, watching what comes of them.

    Raises:
        IronClawError: Nothing was taken in.
    """
    check_size(asked.said.text)
    with call.parts.streams.slot(call.actor.principal):
        pass  # Refused now, not when the message is in.
    house, headers = call.parts.house, call.request.headers
    body: ChatRequest | ResponsesRequest = call.body
    metadata = body.metadata or {}
    wish = Wish(
        said=asked.said,
        names=(headers.get(HEADER), *asked.names, metadata.get("chat")),
        previous=asked.previous,
        end_user=body.user or body.safety_identifier or "",
        key=headers.get("idempotency-key"),
        is_repeat=headers.get("x-stainless-retry-count", "0") != "0",
    )
    external = external_id(call)
    whose = Whose(agent.id, call.actor.principal)
    async with call.parts.openings.lock(whose):
        name = await call.parts.openings.chat(house, whose, wish)
        chat = await house.chat_for(agent.id, name, principal=whose.principal)
        place = Place(agent, chat.id, name, asked.said.ignores_rules)
        # The turn holds on to the call for as long as it takes, and not to the files in its body.
        rest = call._replace(body=None)
        return await _hear(rest, place, _event(call, chat, asked.said, external))


async def _hear(call: Call, place: Place, event: Event) -> Turn:
    house = call.parts.house
    events = house.watch(place.chat, after=None)
    try:
        routed = first_of(await house.hear(event, actor=call.actor))
        call.parts.metrics.message(routed.reason if routed else "not_wired")
    except BaseException:
        await close(events)
        raise
    if routed is not None and routed.answer is not None:
        return Turn(call, place, routed, MessageId(new_id("msg")), events)
    if routed is None or not routed.engaged or routed.message is None:
        await close(events)
        raise _not_taken(place.agent.name, routed)
    return Turn(call, place, routed, routed.message, events)


def _event(call: Call, chat: Chat, said: Said, external: str) -> Event:
    handle = call.actor.principal.partition(":")[2]
    return Event(
        channel=chat.channel,
        platform_id=chat.platform_id,
        handle=handle,
        sender=handle,
        text=said.text,
        external_id=external,
        mentioned=True,
        files=said.files,
    )


def _not_taken(agent: str, routed: Routed | None) -> IronClawError:
    reason = "not_wired" if routed is None else routed.reason
    return PolicyError(
        Code.FORBIDDEN,
        f"{agent} does not take messages from this chat ({reason}).",
        hint="`ironclaw wiring list` shows what the chat is wired to.",
    )


def _failure(event: ChatEvent) -> IronClawError:
    """An error event as an error: the host's own words."""
    code = Code(event.code) if event.code in CODES else Code.UNAVAILABLE
    return HostError(code, event.text, hint="The agent's next message starts afresh.")


def rest_of(shown: str, reply: str) -> str:
    """What is still to be shown so that all of it ends with the reply.

    What was shown has more than the reply when the agent spoke between its steps, and less when
    pieces were dropped.
    """
    if shown.endswith(reply):
        return ""
    if reply.startswith(shown):
        return reply[len(shown) :]
    return _PARAGRAPH + reply
