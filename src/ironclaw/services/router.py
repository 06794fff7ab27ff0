"""The router: from what a channel heard to a durable message of a session.

hear: check -> place (chat, wirings) -> decide each wiring -> session -> accept -> wake
                                     └> a command: the host answers it
tell: place -> the agent's own wiring -> session -> accept -> wake

Durable on return. A refusal is recorded with its reason; a chat that nobody wired leaves no more
than one row of a bounded table.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.ids import PrincipalId, SessionId, new_id
from ironclaw.core.log import get_logger
from ironclaw.domain.access import AccessReason
from ironclaw.domain.commands import Heard, parse
from ironclaw.domain.events import checked
from ironclaw.domain.model import Engage
from ironclaw.domain.questions import MAX_OPTION_CHARS, no_question
from ironclaw.domain.rights import Actor
from ironclaw.domain.routing import DIRECTLY, Action, Came, decide, is_stranger, may_talk, seat_of
from ironclaw.domain.taint import of_message
from ironclaw.services.commands import Given
from ironclaw.services.house import Routed
from ironclaw.services.hub import message_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw.core.ids import AgentId, ChatId, MessageId, QuestionId, WiringId
    from ironclaw.domain.model import Event, Message, Standing, Wiring
    from ironclaw.domain.routing import Accepted, Place, Seat
    from ironclaw.services.commands import CommandDesk
    from ironclaw.services.hub import Hub
    from ironclaw.services.questions import Questions

MAX_ASIDE_CHARS: Final = 4 * MAX_OPTION_CHARS
"""Characters of words that name an option; what is longer does not."""
ANSWERED: Final = "answered_question"
"""The router's word for a message that answered what an agent had asked."""

_log = get_logger("router")


class Directory(Protocol):
    """Who is wired to whom: `ironclaw.store.registry.Registry`."""

    async def place(self, channel: str, platform_id: str) -> Place | None:
        """The chat with its wirings, if anybody wired it."""
        ...

    async def standings_of(self, principal: PrincipalId) -> Sequence[Standing]:
        """What the sender holds."""
        ...

    async def seated(self, seat: Seat) -> SessionId | None:
        """The session of that seat."""
        ...

    async def add_session(self, session: SessionId, seat: Seat) -> bool:
        """Begin a session; False when the seat is taken."""
        ...


class Intake(Protocol):
    """Where messages become durable: `ironclaw.store.ledger.Ledger`."""

    async def accept(
        self,
        event: Event,
        *,
        session: SessionId,
        chat: ChatId,
        engage: bool,
        sticky: WiringId | None = None,
        came: Came = DIRECTLY,
    ) -> Accepted:
        """Take a message in, once."""
        ...

    async def is_stuck(self, wiring: WiringId, thread: str | None) -> bool:
        """Whether a sticky wiring has engaged here before."""
        ...


class Refusals(Protocol):
    """Where refusals are recorded: `ironclaw.store.chatlog.ChatLog`."""

    async def refuse(self, *, channel: str, platform_id: str, handle: str, reason: str) -> None:
        """Record who was not let in and why."""
        ...


class Keys(Protocol):
    """The part of the custodian that beginning a session needs."""

    async def create(self, session: SessionId) -> None:
        """Make the keys of a new session."""
        ...

    async def forget(self, session: SessionId) -> None:
        """Destroy them."""
        ...


class Guests(Protocol):
    """Who asks people about senders whom nobody let in: `services.guests.GuestBook`."""

    async def knock(self, principal: PrincipalId, agent: AgentId) -> None:
        """Somebody wrote to an agent where people are asked about such. Never raises."""
        ...


class NoGuests:
    """Asks nobody."""

    async def knock(self, principal: PrincipalId, agent: AgentId) -> None:
        """Pass over it."""


class Router:
    """Routes events; one for the whole core."""

    def __init__(
        self,
        *,
        directory: Directory,
        intake: Intake,
        refusals: Refusals,
        keys: Keys,
        hub: Hub,
        wake: Callable[[SessionId, Message | None], None],
        commands: CommandDesk,
        guests: Guests | None = None,
        questions: Questions | None = None,
    ) -> None:
        self._directory = directory
        self._intake = intake
        self._refusals = refusals
        self._keys = keys
        self._hub = hub
        self._wake = wake
        self._commands = commands
        self._guests = guests or NoGuests()
        self._questions = questions

    async def hear(self, event: Event, *, actor: Actor | None = None) -> list[Routed]:
        """Take in one event; durable on return. Empty list: nobody is wired.

        Args:
            event: What was heard.
            actor: Who says it, where a token limits what they may do; else the sender as such.

        Raises:
            UserError: `TOO_LARGE` or `INVALID`; nothing of it was kept. Of a button also
                `NOT_FOUND`, and `CONFLICT` when somebody was first.
            HostError: The store failed; the same event may be given again.

        Trust:
            All of `event` is foreign but its channel's name.
        """
        event = checked(event)
        place = await self._directory.place(event.channel, event.platform_id)
        if place is None or not place.wirings:
            await self._refuse(event, "not_wired")
            return []
        principal = _principal(event)
        standings = await self._directory.standings_of(principal)
        if event.question is not None:
            return [await self._press(event, event.question, place, standings)]
        command = parse(event.text, mentioned=event.mentioned)
        if command is None:
            return [await self._route(event, place, wiring, standings) for wiring in place.wirings]
        actor = actor or Actor(principal)
        return [
            await self._commands.answer(
                Given(
                    command=command,
                    heard=Heard(event, wiring.agent, place.chat.id),
                    actor=actor,
                    seat=partial(self._session, seat_of(wiring, event)),
                )
            )
            if may_talk(wiring, place.chat, standings)
            else await self._route(event, place, wiring, standings)
            for wiring in place.wirings
        ]

    async def _route(
        self, event: Event, place: Place, wiring: Wiring, standings: Sequence[Standing]
    ) -> Routed:
        sticky = wiring.engage is Engage.MENTION_STICKY
        stuck = (
            sticky and not event.mentioned and await self._intake.is_stuck(wiring.id, event.thread)
        )
        verdict = decide(wiring, place.chat, event, standings, stuck=stuck)
        if verdict.action is Action.DROP:
            if verdict.refused:
                await self._refuse(event, verdict.reason)
            if verdict.reason == AccessReason.PAIRING_NEEDED:
                await self._guests.knock(_principal(event), wiring.agent)
            if not verdict.refused and (
                aside := await self._aside(event, place, wiring, standings)
            ):
                return aside
            return Routed(wiring.agent, None, None, False, False, verdict.reason)
        engaged = verdict.action is Action.ENGAGE
        session = await self._session(seat_of(wiring, event))
        accepted = await self._take(
            event,
            session,
            place.chat.id,
            engage=engaged,
            sticky=wiring.id if sticky and engaged and not stuck else None,
            came=_came(event, wiring, standings),
        )
        if accepted.turn is not None:
            return _answered(wiring.agent, accepted, accepted.turn)
        message = accepted.message
        return Routed(
            agent=wiring.agent,
            session=message.session,
            message=message.id,
            engaged=message.engage,
            duplicate=not accepted.new,
            reason=verdict.reason,
            event=accepted.event,
        )

    async def _aside(
        self, event: Event, place: Place, wiring: Wiring, standings: Sequence[Standing]
    ) -> Routed | None:
        """An answer of somebody who said it without saying it to the agent; None: it is none."""
        if self._questions is None or len(event.text) > MAX_ASIDE_CHARS:
            return None
        if not may_talk(wiring, place.chat, standings):
            return None
        session = await self._directory.seated(seat_of(wiring, event))
        if session is None:
            return None
        taint = _came(event, wiring, standings).taint
        accepted = await self._questions.aside(
            event, session=session, chat=place.chat.id, taint=taint
        )
        if accepted is None or accepted.turn is None:
            return None
        return _answered(wiring.agent, accepted, accepted.turn)

    async def _press(
        self, event: Event, id_: QuestionId, place: Place, standings: Sequence[Standing]
    ) -> Routed:
        """A button was pressed: only where the question was asked, by who may talk to its agent."""
        if self._questions is None:
            raise no_question()
        question = await self._questions.find(id_)
        wiring = next((one for one in place.wirings if one.agent == question.agent), None)
        if wiring is None or question.chat != place.chat.id:
            raise no_question()
        if not may_talk(wiring, place.chat, standings):
            await self._refuse(event, AccessReason.NOT_A_MEMBER)
            return Routed(wiring.agent, None, None, False, False, AccessReason.NOT_A_MEMBER)
        accepted = await self._questions.press(
            id_, event, taint=_came(event, wiring, standings).taint
        )
        return _answered(wiring.agent, accepted, question.turn)

    async def tell(self, event: Event, agent: AgentId, *, hops: int = 0) -> Routed:
        """Have an agent act in one of its chats, in the host's name; durable on return, once.

        Args:
            event: The core's own. Its external id begins with a newline, which nobody outside can
                send, so nobody can say first what the host is about to say.
            agent: Who is told. Rules of engagement are for people and do not matter here.
            hops: Agents that what makes the host tell it has come through.

        Returns:
            With no session, and the reason `not_wired`, when the chat does not lead to that agent.

        Raises:
            PolicyError: `RATE_LIMITED`; nothing of it was kept.
            HostError: The store failed; the same event may be given again.
        """
        place = await self._directory.place(event.channel, event.platform_id)
        wirings = () if place is None else place.wirings
        wiring = next((one for one in wirings if one.agent == agent), None)
        if place is None or wiring is None:
            await self._refuse(event, "not_wired")
            return Routed(agent, None, None, False, False, "not_wired")
        session = await self._session(seat_of(wiring, event))
        came = Came(hops=hops)
        accepted = await self._take(
            event, session, place.chat.id, engage=True, sticky=None, came=came
        )
        message = accepted.message
        return Routed(agent, message.session, message.id, True, not accepted.new, "engaged")

    async def pass_on(self, event: Event, *, seat: Seat, chat: ChatId, came: Came) -> Accepted:
        """Give an agent what another one says to it, in a conversation of their own; once.

        Args:
            event: The core's own but for its text; its external id begins with a newline.
            seat: Whose conversation; begun where there is none.
            chat: That of the pair.
            came: How far it has come.

        Raises:
            PolicyError: `RATE_LIMITED`; nothing of it was kept.
            HostError: The store failed; the same may be given again.
        """
        session = await self._session(seat)
        return await self._take(event, session, chat, engage=True, sticky=None, came=came)

    async def bring_back(
        self, event: Event, *, session: SessionId, chat: ChatId, came: Came
    ) -> Accepted:
        """Give an agent what another one answers, in the conversation that it asked from; once.

        Raises:
            UserError: `CONFLICT`: that conversation was forgotten.
            PolicyError: `RATE_LIMITED`; nothing of it was kept.
            HostError: The store failed; the same may be given again.
        """
        return await self._take(event, session, chat, engage=True, sticky=None, came=came)

    async def _take(
        self,
        event: Event,
        session: SessionId,
        chat: ChatId,
        *,
        engage: bool,
        sticky: WiringId | None,
        came: Came = DIRECTLY,
    ) -> Accepted:
        accepted = await self._intake.accept(
            event, session=session, chat=chat, engage=engage, sticky=sticky, came=came
        )
        message = accepted.message
        if accepted.new:
            self._hub.publish(message_shown(message, accepted.event))
        # A repeat wakes too: the first time may have been cut off before the wake.
        is_news = accepted.new and not accepted.has_closed
        self._wake(message.session, message if is_news else None)
        return accepted

    async def _session(self, seat: Seat) -> SessionId:
        known = await self._directory.seated(seat)
        if known is not None:
            return known
        # Keys first: a session never exists without them. A key of nobody is swept at start.
        session = SessionId(new_id("ses"))
        await self._keys.create(session)
        if await self._directory.add_session(session, seat):
            _log.info("session_begun", session=session, agent=seat.agent)
            return session
        await self._keys.forget(session)
        known = await self._directory.seated(seat)
        if known is None:
            return await self._session(seat)
        return known

    async def _refuse(self, event: Event, reason: str) -> None:
        _log.info("event_refused", channel=event.channel, reason=reason)
        await self._refusals.refuse(
            channel=event.channel,
            platform_id=event.platform_id,
            handle=event.handle,
            reason=reason,
        )


def _answered(agent: AgentId, accepted: Accepted, turn: MessageId) -> Routed:
    """An answer belongs to the turn that asked: what comes of it comes to that turn's message."""
    return Routed(
        agent=agent,
        session=accepted.message.session,
        message=turn,
        engaged=True,
        duplicate=not accepted.new,
        reason=ANSWERED,
        event=accepted.event,
    )


def _came(event: Event, wiring: Wiring, standings: Sequence[Standing]) -> Came:
    """What is known of what somebody says to the agent of a wiring."""
    taint = of_message(is_stranger=is_stranger(wiring, standings), has_files=bool(event.files))
    return Came(taint=taint)


def _principal(event: Event) -> PrincipalId:
    """Who speaks: the channel vouches for the handle."""
    return PrincipalId(f"{event.channel}:{event.handle}")
