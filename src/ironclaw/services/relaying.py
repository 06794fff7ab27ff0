"""Relay: brings what one agent says to another, and the answer back. Durable, once, in order.

carry: where does it go? -> forward: a conversation of the pair, which begins a turn of the other
                         -> back: the conversation that it was asked from, which begins one there
                         -> refused for good: the asker hears of it

It is a step of delivery, so what was cut off is done again, and a repeat is known by the id that
the message has of its delivery. People see both sides: the pair has a chat, the asker's people
theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError, UserError
from ironclaw.domain.model import Event, Partition
from ironclaw.domain.relaying import (
    AGENT_CHANNEL,
    TAINT,
    Back,
    Forward,
    forwarded_as,
    returned_as,
    sender,
)
from ironclaw.domain.routing import Came, Seat
from ironclaw_contract.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from ironclaw.core.ids import ChatId, SessionId
    from ironclaw.domain.model import Agent, Delivery
    from ironclaw.domain.relaying import Leg
    from ironclaw.domain.routing import Accepted
    from ironclaw.services.hub import Hub

_ROOM_BYTES: Final = 256
"""What is left for words of our own beside an answer that is as long as any."""
_CUT: Final = "\n(The rest is left out: it is too long for one message.)"
_FAILED: Final = "(No answer. {text})"
_UNDELIVERED: Final = "Your message to the agent {name} did not reach it: {why}"


class Book(Protocol):
    """Where what goes: `ironclaw.store.ledger.Ledger`."""

    async def leg(self, delivery: Delivery) -> Leg | None:
        """Where a delivery of the agents' channel goes. Raises HostError."""
        ...


class Agents(Protocol):
    """Agents as they are now: `ironclaw.store.registry.Registry`."""

    async def agent(self, ref: str) -> Agent:
        """One agent by id. Raises UserError (`NOT_FOUND`), HostError."""
        ...


class Ways(Protocol):
    """How it becomes a message: `ironclaw.services.router.Router`. Both take one in once."""

    async def pass_on(self, event: Event, *, seat: Seat, chat: ChatId, came: Came) -> Accepted:
        """Give it to another agent."""
        ...

    async def bring_back(
        self, event: Event, *, session: SessionId, chat: ChatId, came: Came
    ) -> Accepted:
        """Give it to the conversation that asked."""
        ...


class Tells(Protocol):
    """How an agent hears of something that begins no turn: `ironclaw.services.telling.Telling`."""

    async def say(self, session: SessionId, text: str, *, key: str) -> None:
        """Say it in a conversation; durable, once for each key. Raises HostError."""
        ...


class Relay:
    """Carries what agents say to each other.

    Args:
        book: Where what goes.
        agents: Who is there.
        ways: Makes messages of it.
        tells: Says what did not arrive.
        hub: Shows it to those who watch the chat of the pair.
    """

    def __init__(self, *, book: Book, agents: Agents, ways: Ways, tells: Tells, hub: Hub) -> None:
        self._book = book
        self._agents = agents
        self._ways = ways
        self._tells = tells
        self._hub = hub

    async def carry(self, delivery: Delivery) -> None:
        """Bring it where it goes; a second time changes nothing.

        Raises:
            UserError: The other agent, or the conversation that asked, is there no more.
            PolicyError: Too much waits for the other agent.
            HostError: The store failed; it may be carried again.
        """
        leg = await self._book.leg(delivery)
        match leg:
            case Forward():
                try:
                    await self._forward(delivery, leg)
                except (UserError, PolicyError) as error:
                    await self._undelivered(delivery, leg, error)
                    raise
            case Back():
                await self._back(delivery, leg)
                self._hub.show(delivery)
            case None:
                # The conversation that asked was forgotten: nobody waits for it.
                self._hub.show(delivery)

    async def _forward(self, delivery: Delivery, leg: Forward) -> None:
        peer = await self._agents.agent(leg.pair.to)
        if peer.archived:
            raise UserError(
                Code.NOT_FOUND, f"The agent {peer.name} has ended.", hint="Ask another one."
            )
        event = Event(
            channel=AGENT_CHANNEL,
            platform_id=delivery.platform_id,
            handle=leg.pair.by,
            sender=sender(leg.speaker),
            text=_words(delivery),
            external_id=forwarded_as(delivery.id),
            thread=delivery.thread,
        )
        seat = Seat(peer.id, Partition.PER_THREAD, delivery.chat, delivery.thread)
        await self._ways.pass_on(event, seat=seat, chat=delivery.chat, came=Came(leg.hops, TAINT))

    async def _back(self, delivery: Delivery, leg: Back) -> None:
        words = _FAILED.format(text=delivery.text) if delivery.is_error else _words(delivery)
        event = Event(
            channel=leg.channel,
            platform_id=leg.platform_id,
            handle=leg.speaker_id,
            sender=sender(leg.speaker),
            text=words,
            external_id=returned_as(delivery.id),
            thread=leg.thread,
        )
        await self._ways.bring_back(
            event, session=leg.session, chat=leg.chat, came=Came(leg.hops, TAINT)
        )

    async def _undelivered(
        self, delivery: Delivery, leg: Forward, error: UserError | PolicyError
    ) -> None:
        try:
            name = (await self._agents.agent(leg.pair.to)).name
        except UserError:
            name = "(gone)"
        text = _UNDELIVERED.format(name=name, why=error.message)
        await self._tells.say(delivery.session, text, key=f"undelivered/{delivery.id}")


def _words(delivery: Delivery) -> str:
    """What is said, as a message can have it. Files stay in the conversation that they are of."""
    text = delivery.text
    if len(said := text.encode()) > MAX_TEXT_BYTES - _ROOM_BYTES:
        text = said[: MAX_TEXT_BYTES - _ROOM_BYTES].decode(errors="ignore") + _CUT
    if delivery.files:
        text = f"{text}\n(Files that are not passed on: {len(delivery.files)}.)".strip()
    return text


class LateRelay:
    """The relay for a delivery service that is there before the router is."""

    def __init__(self) -> None:
        self.real: Relay | None = None

    async def carry(self, delivery: Delivery) -> None:
        """As `Relay.carry`. Raises HostError (`UNAVAILABLE`) until somebody is there."""
        if self.real is None:
            raise HostError(Code.UNAVAILABLE, "The core is starting.", hint="It is tried again.")
        await self.real.carry(delivery)
