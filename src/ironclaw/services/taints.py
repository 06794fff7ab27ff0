"""What foreign content a turn has before it: asked before anything is done on an agent's own word.

WatchedModels: each model call of a turn -> what the model is shown of it -> TaintDesk
TaintDesk.taint_of: what the ledger has of the session and the turn, and what its model was shown

The model calls come first: a box asks for something with what its model has just read, and the
record that tells of that may reach the ledger a moment later. What a call shows counts for the turn
that the box names and for the one that is under way as the ledger has it, so no name takes it away.
"""

from __future__ import annotations

import collections
import contextlib
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.errors import HostError
from ironclaw.core.log import get_logger
from ironclaw.domain.taint import NONE, Taints, of_entries, part_of
from ironclaw_contract.codes import WireCode
from ironclaw_contract.rpc import Failed, Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.services.parts import Models
    from ironclaw_contract.rpc import Generate, ModelTell

REMEMBERED: Final = 4096
"""Sessions whose newest turns are remembered; the ledger has the others."""
TURNS: Final = 8
"""Of one session. What is under way is always among them, however many a box makes up."""
UNSEEN: Final = "The call could not be looked at on the host."
"""What the box is told."""

_log = get_logger("taints")

_Turns = collections.OrderedDict[str, Taints]


class Book(Protocol):
    """Where it is kept: `ironclaw.store.ledger.Ledger`."""

    async def taint_of(self, session: SessionId, turn: str = "") -> Taints:
        """What a turn of a session has before it, as far as records tell. Raises HostError."""
        ...

    async def under_way(self, session: SessionId) -> str:
        """The turn that a session works on, or will next; empty: none. Raises HostError."""
        ...


class TaintDesk:
    """Knows what turns have before them.

    Everything asks it that an agent may do by itself only with nothing foreign before it; what goes
    out to a network asks it as well.

    Args:
        book: Where it is kept.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._shown: collections.OrderedDict[SessionId, _Turns] = collections.OrderedDict()
        """By turn, the one last that was under way with the newest call."""

    async def saw(self, agent: Agent, session: SessionId, ask: Generate) -> None:
        """The model of an agent is about to be shown this.

        Raises:
            HostError: From the store: nobody can say which turn it is of.

        Trust:
            `ask` is a box's word; what it says of the turn only adds.
        """
        if ask.purpose is Purpose.SUMMARY:
            return
        found = of_entries(
            part_of(ask.entries, ask.turn), has_shared=bool(agent.mounts or agent.skills)
        )
        under_way = await self._book.under_way(session)
        turns = self._shown.setdefault(session, _Turns())
        for turn in (ask.turn, under_way):
            turns[turn] = found | turns.pop(turn, NONE)
        while len(turns) > TURNS:
            turns.popitem(last=False)
        self._shown.move_to_end(session)
        if len(self._shown) > REMEMBERED:
            self._shown.popitem(last=False)

    async def taint_of(self, session: SessionId, turn: str) -> Taints:
        """What foreign content a turn has before it; empty when it is clean.

        Args:
            session: Whose turn.
            turn: As the box says. The one that is under way counts whatever it says.

        Raises:
            HostError: From the store.
        """
        kept = await self._book.taint_of(session, turn)
        under_way = await self._book.under_way(session)
        turns = self._shown.get(session, _Turns())
        newest = next(reversed(turns), "")
        return kept.union(*(turns.get(one, NONE) for one in (turn, under_way, newest)))


class WatchedModels:
    """Implements `parts.Models`: the desk sees what each call shows.

    Args:
        models: Who answers.
        desk: Who looks.
    """

    def __init__(self, models: Models, desk: TaintDesk) -> None:
        self._models = models
        self._desk = desk

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        """As `parts.Models.generate`. What the desk cannot see is not shown to the model."""
        try:
            await self._desk.saw(agent, session, request)
        except HostError as error:
            _log.error("call_not_seen", session=session, code=error.code, detail=error.detail)
            yield Failed(request.call, WireCode.MODEL_UNAVAILABLE, UNSEEN)
            return
        stream = self._models.generate(agent, session, request)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                yield event
