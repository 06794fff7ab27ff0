"""Budgets: how many model calls and tokens of a UTC day an agent has, kept over restarts.

generate: the agent as it is now -> reserve (call and guessed input) -> the real call -> settle

A call counts once it is sent, whatever comes of it; one that is cut off costs what it is thought to
have cost, so an agent gains nothing by cutting calls off. Without a budget nothing is written.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from ironclaw.core.errors import HostError, IronClawError
from ironclaw.core.log import get_logger
from ironclaw_contract.codes import WireCode
from ironclaw_contract.rpc import Delta, Failed, Generated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.services.parts import Models
    from ironclaw_contract.rpc import Generate, ModelTell

DAY_MS: Final = 24 * 60 * 60 * 1000
TOKEN_BYTES: Final = 4
"""Bytes of text in a token, about: for what has to be known before, or cannot be known any more."""
SPENT: Final = "The agent has used up its model calls or tokens of today (UTC)."
UNCOUNTED: Final = "The call could not be counted on the host."
"""What the box is told."""

_log = get_logger("budgets")


class Agents(Protocol):
    """Agents as they are now: `ironclaw.store.registry.Registry`."""

    async def agent(self, ref: str) -> Agent:
        """One agent, from memory where nothing has changed. Raises UserError, HostError."""
        ...


class Book(Protocol):
    """Where usage is counted: `ironclaw.store.usage_rows.UsageRows`. Methods raise HostError."""

    async def reserve(
        self,
        agent: AgentId,
        day: int,
        *,
        tokens: int,
        calls_most: int | None,
        tokens_most: int | None,
    ) -> bool:
        """Count a call and its tokens; False, and nothing counted, when the budget is spent."""
        ...

    async def settle(self, agent: AgentId, day: int, *, tokens: int) -> None:
        """Add to what was counted, or take from it."""
        ...


class Budgets:
    """Implements `parts.Models` in front of the model service."""

    def __init__(self, *, models: Models, agents: Agents, book: Book, clock: Clock) -> None:
        self._models = models
        self._agents = agents
        self._book = book
        self._clock = clock

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        """As the model service's, or one `Failed` with `BUDGET_SPENT` and nothing sent.

        The agent is looked up again, so that a budget or a model that was changed holds at once. A
        book that cannot be written is a call that is not made.
        """
        try:
            agent = await self._agents.agent(agent.id)
            account = await self._reserve(agent, request)
        except IronClawError as error:
            _log.error("budget_unknown", agent=agent.id, code=error.code, detail=error.detail)
            yield Failed(request.call, WireCode.MODEL_UNAVAILABLE, UNCOUNTED)
            return
        if account is None:
            _log.info("budget_spent", agent=agent.id)
            yield Failed(request.call, WireCode.BUDGET_SPENT, SPENT)
            return
        try:
            stream = self._models.generate(agent, session, request)
            async with contextlib.aclosing(stream) as events:
                async for event in events:
                    account.saw(event)
                    yield event
        finally:
            if difference := account.difference:
                await self._settle(agent, account.day, difference)

    async def _reserve(self, agent: Agent, request: Generate) -> _Account | None:
        """Count the call; None when the budget is spent."""
        day = self._clock.now_ms() // DAY_MS
        if agent.calls_per_day is None and agent.tokens_per_day is None:
            return _Account(day, 0, counts_tokens=False)
        counts_tokens = agent.tokens_per_day is not None
        guess = len(msgspec.msgpack.encode(request)) // TOKEN_BYTES if counts_tokens else 0
        is_open = await self._book.reserve(
            agent.id,
            day,
            tokens=guess,
            calls_most=agent.calls_per_day,
            tokens_most=agent.tokens_per_day,
        )
        return _Account(day, guess, counts_tokens=counts_tokens) if is_open else None

    async def _settle(self, agent: Agent, day: int, difference: int) -> None:
        try:
            await self._book.settle(agent.id, day, tokens=difference)
        except HostError as error:
            # The guess stays; the answer is there, and the next call will see the store's state.
            _log.error("budget_not_settled", agent=agent.id, code=error.code, detail=error.detail)


class _Account:
    """What one call costs, as far as it is known."""

    def __init__(self, day: int, guess: int, *, counts_tokens: bool) -> None:
        self.day = day
        self._guess = guess
        self._counts = counts_tokens
        self._said_bytes = 0
        self._real: int | None = None

    def saw(self, event: ModelTell) -> None:
        """Take in what came of it."""
        match event:
            case Delta():
                self._said_bytes += len(event.text.encode(errors="replace"))
            case Generated():
                self._real = event.input_tokens + event.output_tokens
                if not self._real:
                    # A provider that does not count: what was read and what was made is known.
                    made = len(msgspec.msgpack.encode(event.entries))
                    self._real = self._guess + made // TOKEN_BYTES
            case Failed():
                # Whatever a provider made of it before it failed was not seen by anybody.
                self._real = self._guess if self._said_bytes else 0

    @property
    def difference(self) -> int:
        """Tokens to be added to what was reserved."""
        if not self._counts:
            return 0
        if self._real is None:
            return self._said_bytes // TOKEN_BYTES
        return self._real - self._guess
