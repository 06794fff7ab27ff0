"""What was used in the house for tests of edges: of each agent the same, on the last two days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.domain.spending import Amounts, Used
from ironclaw.services.usage import UsageLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.model import Agent

_EACH = Amounts(
    calls=3,
    input_tokens=1200,
    cached_tokens=200,
    output_tokens=300,
    micros=1_250_000,
    unpriced=1,
    model_ms=2500,
)


class FakeBook:
    """Implements `services.usage.Book`."""

    def __init__(self, agents: Mapping[AgentId, Agent]) -> None:
        self._agents = agents

    async def used(self, agent: AgentId, day: int, session: SessionId) -> Used:
        """The same in a day as in a session."""
        del agent, day, session
        return Used(_EACH, _EACH)

    async def report(
        self,
        *,
        by: Iterable[str],
        first: int,
        last: int,
        agent: AgentId | None = None,
        session: SessionId | None = None,
    ) -> list[UsageLine]:
        """One line for each agent and day."""
        del session
        named = set(by)
        days = [day for day in (last, last - 1) if day >= first]
        return [
            UsageLine(one, day if "day" in named else 0, "", "scripted", _EACH)
            for day in days[: 2 if "day" in named else 1]
            for one in self._agents
            if agent in {None, one}
        ]
