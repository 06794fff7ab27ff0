"""How an agent hears what became of its request: one line in the conversation it asked in.

Durable first, then shown to those who watch the chat, then handed to the box that runs. It starts
no turn: the agent has it as context of the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.log import get_logger
from ironclaw.services.hub import message_shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.change import Row
    from ironclaw.domain.model import Message
    from ironclaw.domain.routing import Accepted
    from ironclaw.services.hub import Hub

_log = get_logger("telling")


class Informs(Protocol):
    """Where it becomes durable: `ironclaw.store.ledger.Ledger`."""

    async def inform(self, session: SessionId, *, text: str, key: str) -> Accepted | None:
        """Say it once for each key; None when there is nobody to tell."""
        ...


class Telling:
    """Implements `services.gateway.rows.Tell`.

    Args:
        ledger: Keeps what is said.
        hub: Shows it.
        wake: Hands it to the session's box, if one runs.
    """

    def __init__(
        self,
        *,
        ledger: Informs,
        hub: Hub,
        wake: Callable[[SessionId, Message | None], None],
    ) -> None:
        self._ledger = ledger
        self._hub = hub
        self._wake = wake

    async def tell_asker(self, row: Row, text: str) -> None:
        """Say something in the conversation that a change was asked for in; durable, once.

        Nothing for a change that a person, or the house, asked for. Raises HostError.
        """
        asker = row.change.asker
        session = asker.session
        # The house names the session that used a budget up: no agent asked there.
        if asker.is_agent and session is not None:
            await self.say(session, text, key=_key(row))

    async def say(self, session: SessionId, text: str, *, key: str) -> None:
        """Say something in a conversation, in the host's own words; durable, once for each key.

        Nothing for one that was forgotten. Raises HostError.
        """
        try:
            told = await self._ledger.inform(session, text=text, key=key)
        except HostError as error:
            if error.code is not Code.KEY_UNUSABLE:
                raise
            # The conversation was forgotten this moment.
            _log.info("asker_gone", session=session, about=key)
            return
        if told is None or not told.new:
            return
        message = told.message
        self._hub.publish(message_shown(message, told.event))
        self._wake(session, message)


def _key(row: Row) -> str:
    """One for each thing that happens to a change, the same when it is told again after a crash."""
    ended_ms = None if row.grant is None else row.grant.ended_ms
    return f"change/{row.change.id}/{row.status}/{row.updated_ms}/{ended_ms or 0}"
