"""Raising a budget that is used up: the house asks people for a higher limit, through the gateway.

One change at a time for each limit: a second request of the same is the first one. What people
denied is not asked for again; they can still raise it themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.change import Asker
from ironclaw.domain.changes.limits import raising
from ironclaw.domain.principals import house_principal
from ironclaw.domain.spending import raised

if TYPE_CHECKING:
    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import ChangeId, SessionId
    from ironclaw.domain.changes.base import Spec
    from ironclaw.domain.model import Agent
    from ironclaw.domain.rights import Actor
    from ironclaw.domain.spending import Spent
    from ironclaw.services.gateway.port import ChangeView

KEPT_S: Final = 10.0
"""For so long the gateway is not asked about the same limit again: a box can call fast."""
_MOST: Final = 1024
REASON: Final = "The budget is used up: the agent's next call was not sent."

_log = get_logger("budgets")


class Proposal(NamedTuple):
    """A higher limit that people are asked for."""

    change: ChangeId | None
    """None when nobody is asked."""
    wanted: int


class Asks(Protocol):
    """Who takes requests: `services.gateway.service.GatewayService`."""

    async def submit(
        self, spec: Spec, *, asker: Asker, actor: Actor | None, reason: str
    ) -> ChangeView:
        """Ask for a change. Raises IronClawError."""
        ...


class Raising:
    """Implements `services.budgets.Raises`. `gateway` is filled in when it is there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str, int], tuple[float, Proposal]] = {}
        self.gateway: Asks | None = None

    async def propose(self, agent: Agent, session: SessionId, spent: Spent) -> Proposal:
        """Ask for a higher limit, unless that is done. Never raises."""
        now = self._clock.monotonic_s()
        place = (agent.id, spent.budget.name, spent.budget.most)
        known = self._known.get(place)
        if known is not None and now - known[0] < KEPT_S:
            return known[1]
        proposal = await self._ask(agent, session, spent)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[place] = (now, proposal)
        return proposal

    async def _ask(self, agent: Agent, session: SessionId, spent: Spent) -> Proposal:
        wanted = raised(spent.budget)
        if self.gateway is None:
            return Proposal(None, wanted)
        asker = Asker(principal=house_principal(agent.id), session=session)
        try:
            view = await self.gateway.submit(
                raising(agent.id, spent.budget.name, wanted),
                asker=asker,
                actor=None,
                reason=REASON,
            )
        except IronClawError as error:
            # Denied before, or too many wait: people are told how to do it themselves.
            _log.info("budget_not_raised", agent=agent.id, code=error.code)
            return Proposal(None, wanted)
        return Proposal(view.row.change.id, wanted)
