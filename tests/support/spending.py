"""What budgets work with, told beforehand what to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChangeId, SessionId
from ironclaw.domain.model import Agent
from ironclaw.domain.spending import raised
from ironclaw.services.raising import Proposal
from ironclaw_contract.rpc import Generate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ironclaw.domain.model import Delivery
    from ironclaw.domain.spending import Amounts, Counted, Rates, Spent
    from ironclaw.models.trouble import ModelTrouble
    from ironclaw_contract.rpc import ModelTell

SESSION = SessionId("ses_a")
BEGIN_DAY = 20_000
ASK = Generate(call=7, turn="msg_a", system="s" * 400, entries=(), tools=(), max_output_tokens=10)


class Provider:
    """Answers with what it was told to."""

    def __init__(self, script: Sequence[ModelTell | Counted]) -> None:
        self.script = script
        self.asked: list[Agent] = []
        self.closed = 0
        self.trouble: ModelTrouble | None = None
        """Raised in place of an answer."""
        self._open = asyncio.Event()
        self._open.set()
        self._held = asyncio.Condition()

    def hold(self) -> None:
        """Answer nothing until `go_on`."""
        self._open.clear()

    def go_on(self) -> None:
        """Answer."""
        self._open.set()

    async def until_held(self, count: int) -> None:
        """Wait until so many calls wait."""
        async with self._held:
            await self._held.wait_for(lambda: len(self.asked) >= count)

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell | Counted, None]:
        """Do what it was told."""
        del session, request
        self.asked.append(agent)
        async with self._held:
            self._held.notify_all()
        try:
            await self._open.wait()
            if self.trouble is not None:
                raise self.trouble
            for event in self.script:
                yield event
        finally:
            self.closed += 1


class Agents:
    """One agent, as it is now."""

    def __init__(self) -> None:
        self.now = Agent(id=AgentId("agt_a"), name="helper", model="some/big")
        self._first = self.now

    def limit(self, **limits: int) -> None:
        """Give it these budgets and no others."""
        bare = dict.fromkeys(
            f"{of}_per_{per}" for of in ("calls", "tokens", "money") for per in ("day", "session")
        )
        self.now = msgspec.structs.replace(self.now, **{**bare, **limits})

    def become(self, **fields: Any) -> None:
        """Change it."""
        self.now = msgspec.structs.replace(self.now, **fields)

    async def agent(self, ref: str) -> Agent:
        """It."""
        if ref != self.now.id:
            raise UserError(Code.NOT_FOUND, "No.", hint="Look.")
        return self.now


class Prices:
    """Prices that are known."""

    def __init__(self) -> None:
        self.known: dict[str, Rates] = {}

    async def rates(self, model: str) -> Rates | None:
        """The prices of a model."""
        return self.known.get(model)

    def remembered(self, model: str) -> Rates | None:
        """The same."""
        return self.known.get(model)


class Raises:
    """Proposes twice as much, always in the same change."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def propose(self, agent: Agent, session: SessionId, spent: Spent) -> Proposal:
        """Note it."""
        del agent, session
        self.asked.append((spent.budget.name, spent.budget.most))
        return Proposal(ChangeId("chg_raise"), raised(spent.budget))


class Told:
    """What people are told."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        """Keep them."""
        self.deliveries += deliveries


class Counters:
    """What is counted for Prometheus."""

    def __init__(self) -> None:
        self.amounts: list[tuple[str, str, Amounts]] = []
        self.refused: list[str] = []

    def model_used(self, agent: str, model: str, amounts: Amounts) -> None:
        """Keep it."""
        self.amounts.append((agent, model, amounts))

    def budget_spent(self, agent: str) -> None:
        """Keep it."""
        self.refused.append(agent)
