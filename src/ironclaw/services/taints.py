"""What foreign content a turn has before it: asked before anything is done on an agent's own word.

WatchedModels: each model call of a turn -> what the model is shown of it -> TaintDesk
TaintDesk.taint_of: what the ledger has of the session and the turn, and what its model was shown

The model calls come first: a box asks for something with what its model has just read, and the
record that tells of that may reach the ledger a moment later.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.domain.taint import NONE, Taints, of_entries, part_of
from ironclaw_contract.rpc import Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.services.parts import Models
    from ironclaw_contract.rpc import Generate, ModelTell

REMEMBERED: Final = 4096
"""Sessions whose newest turn is remembered; the ledger has the others."""


class Book(Protocol):
    """Where it is kept: `ironclaw.store.ledger.Ledger`."""

    async def taint_of(self, session: SessionId, turn: str = "") -> Taints:
        """What a turn of a session has before it, as far as records tell. Raises HostError."""
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
        self._shown: collections.OrderedDict[SessionId, tuple[str, Taints]] = (
            collections.OrderedDict()
        )

    def saw(self, agent: Agent, session: SessionId, ask: Generate) -> None:
        """The model of an agent is about to be shown this.

        Trust:
            `ask` is a box's word; what it says of the turn only adds.
        """
        if ask.purpose is Purpose.SUMMARY:
            return
        turn, before = self._shown.pop(session, ("", NONE))
        found = of_entries(
            part_of(ask.entries, ask.turn), has_shared=bool(agent.mounts or agent.skills)
        )
        self._shown[session] = (ask.turn, found | before if turn == ask.turn else found)
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
        shown = self._shown.get(session, ("", NONE))[1]
        return shown | await self._book.taint_of(session, turn)


class WatchedModels:
    """Implements `parts.Models`: the desk sees what each call shows.

    Args:
        models: Who answers.
        desk: Who looks.
    """

    def __init__(self, models: Models, desk: TaintDesk) -> None:
        self._models = models
        self._desk = desk

    def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        """As `parts.Models.generate`."""
        self._desk.saw(agent, session, request)
        return self._models.generate(agent, session, request)
