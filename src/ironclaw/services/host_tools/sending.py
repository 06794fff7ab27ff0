"""`send_message`: an agent sends to a chat that people have given it as a destination.

The message is durable when this returns, and delivered as replies are: with retries, in order,
visible when it cannot be delivered. The store looks once more whether it may be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Protocol

import msgspec

from ironclaw.domain.changes.base import NAME_RULE
from ironclaw.domain.letters import Letter
from ironclaw.domain.relaying import Limits
from ironclaw.services.host_tools.tool import Arguments, NotDoneError, read
from ironclaw_contract.limits import MAX_FILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Delivery
    from ironclaw.services.host_tools.pace import Pace
    from ironclaw.services.host_tools.tool import Call, Taints


DEFAULT: Final = Limits()


class Message(Arguments, frozen=True, kw_only=True):
    """Arguments of `send_message`."""

    destination: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=16_000)]


class Sent(Arguments, frozen=True, kw_only=True):
    """The same as the box may say it: `send_file` sends files along."""

    destination: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    text: Annotated[str, msgspec.Meta(max_length=16_000)]
    files: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_]{1,64}\Z")], ...],
        msgspec.Meta(max_length=MAX_FILES),
    ] = ()
    """Ids that the box gave to files whose parts it has sent."""


class Arrivals(Protocol):
    """Who knows of the parts: `ironclaw.services.files.Files`."""

    async def arrived(self, session: SessionId, ids: Sequence[str]) -> bool:
        """Whether files that a box says it has sent are there, now or a little later."""
        ...


class NoArrivals:
    """Of a house without files."""

    async def arrived(self, session: SessionId, ids: Sequence[str]) -> bool:
        """None ever do."""
        del session
        return not ids


class Letters(Protocol):
    """Where it becomes durable: `ironclaw.store.ledger.Ledger`. All raise HostError."""

    async def is_sent(self, letter: Letter) -> bool:
        """Whether it is kept already."""
        ...

    async def hops(self, session: SessionId, turn: str) -> int:
        """Agents that what a turn works on has come through."""
        ...

    async def chat_of(self, session: SessionId, turn: str) -> tuple[str, str]:
        """Channel and place of the chat in which a turn is. Raises UserError."""
        ...

    async def send(self, letter: Letter) -> Delivery | None:
        """Keep it; None when it is kept already. Raises PolicyError, UserError."""
        ...


class Hands(Protocol):
    """Who hands deliveries over: `parts.Announce`."""

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        """These are new in the ledger, and due at once."""
        ...


class Sending:
    """The tool.

    Args:
        letters: Keeps what is sent.
        hands: Delivers it.
        pace: How often an agent may send.
        limits: How far agents may go with each other.
        taints: What its turn has read: people elsewhere are told when that was foreign.
        files: Waits for files that are sent along.
    """

    def __init__(
        self,
        letters: Letters,
        hands: Hands,
        pace: Pace,
        limits: Limits = DEFAULT,
        *,
        taints: Taints,
        files: Arrivals | None = None,
    ) -> None:
        self._taints = taints
        self._files = files or NoArrivals()
        self._letters = letters
        self._hands = hands
        self._pace = pace
        self._limits = limits

    async def send(self, call: Call) -> str:
        """Send one message, once."""
        message = read(call.arguments, Sent)
        text = message.text.replace("\0", "")
        if not text.strip() and not message.files:
            raise NotDoneError("invalid: `text` says nothing")
        names = [one.name for one in call.agent.destinations]
        if message.destination not in names:
            known = f"They are: {', '.join(names)}" if names else "You have none"
            raise NotDoneError(f"forbidden: you have no destination of that name. {known}")
        letter = Letter(
            agent=call.agent.id,
            session=call.session,
            turn=call.turn,
            key=call.key,
            destination=message.destination,
            text=text,
            files=message.files,
            limits=self._limits,
        )
        if not await self._letters.is_sent(letter):
            self._pace.take(call.agent.id)
            if message.files and not await self._files.arrived(call.session, message.files):
                raise NotDoneError("unavailable: the file did not arrive. Try again later")
            taint = await self._taints.taint_of(call.session, call.turn)
            delivery = await self._letters.send(letter._replace(taint=taint))
            if delivery is not None:
                self._hands.committed((delivery,))
        return f"sent: it is on its way to {message.destination}"
