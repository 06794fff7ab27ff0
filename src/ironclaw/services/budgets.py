"""Budgets: what agents may use of their models, counted before a call is sent, kept over restarts.

generate: the agent as it is now -> for each attempt: begin -> the provider -> end | cut

    begin  a budget holds: the worst case is reserved, durably, or the attempt is not made
    end    corrected to what the provider counted; people are told when a budget is nearly used up
    cut    nobody will say what it used: what was reserved stays

Without a budget everything is counted too, and nobody waits for that. A call counts once, however
many attempts it takes; one that is asked again in another way, without its pictures, counts twice.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from ironclaw.core.errors import HostError, IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.spending import (
    DAY_MS,
    Amounts,
    Counted,
    Grant,
    Of,
    Per,
    Refusal,
    Row,
    Spent,
    Used,
    budgets_of,
    cost,
    grant,
    nearly_spent,
    refusal,
    warning,
)
from ironclaw.services.flights import Flight
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Said
from ironclaw_contract.rpc import Failed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.model import Agent, Delivery
    from ironclaw.domain.spending import Budget, Meter, Rates
    from ironclaw.services.raising import Proposal
    from ironclaw_contract.rpc import Generate, ModelTell

GUESSED_BYTES: Final = 3
"""Bytes of a call in a token, for what is reserved: more tokens than most texts have."""
WORST_BYTES: Final = 1
"""The same of a text that was made to have as many as it can. See `flights`."""
TOKEN_BYTES: Final = 4
"""The same for what a provider never counted: about as many as they have."""
IMAGE_TOKENS: Final = 2000
"""Of an image: its bytes are not in what a box sends."""
SPENT: Final = "What the agent may use of its model is used up."
UNCOUNTED: Final = "The call could not be counted on the host."
UNPRICED: Final = "The agent's model cannot be used within its budget."
"""What the box is told."""

_TOLD: Final = 4096

_log = get_logger("budgets")


class Agents(Protocol):
    """Agents as they are now: `ironclaw.store.registry.Registry`."""

    async def agent(self, ref: str) -> Agent:
        """One agent, from memory where nothing has changed. Raises UserError, HostError."""
        ...


class Models(Protocol):
    """The model service."""

    def generate(
        self, agent: Agent, session: SessionId, request: Generate, meter: Meter
    ) -> AsyncGenerator[ModelTell, None]:
        """As `parts.Models.generate`; the meter is asked before each attempt."""
        ...


class Prices(Protocol):
    """What models cost: `ironclaw.models.pricing.Pricing`."""

    async def rates(self, model: str) -> Rates | None:
        """The prices of `provider/model`; None when nobody knows them. Never raises."""
        ...

    def remembered(self, model: str) -> Rates | None:
        """The same without asking anybody: None also when nobody was asked yet."""
        ...


class Book(Protocol):
    """Where it is counted: `ironclaw.store.spent_rows.SpentRows`. Methods raise HostError."""

    def note(self, key: Row, amounts: Amounts) -> None:
        """Count it; durable soon."""
        ...

    async def reserve(self, key: Row, decide: Callable[[Used], Grant | Spent]) -> Grant | Spent:
        """Decide over what was used, and count what is granted, in one step."""
        ...

    async def add(self, key: Row, amounts: Amounts) -> Used:
        """Add to what was counted, or take from it; what is used by then."""
        ...

    async def warn(
        self, key: Row, turn: str, *, budget: str, window: str, most: int, text: str
    ) -> Delivery | None:
        """Tell people once."""
        ...


class Raises(Protocol):
    """Who proposes a higher limit: `ironclaw.services.raising.Raising`."""

    async def propose(self, agent: Agent, session: SessionId, spent: Spent) -> Proposal:
        """Ask for one, unless that is done. Never raises."""
        ...


class Announce(Protocol):
    """Who hands over what people are told: `ironclaw.services.delivery.DeliveryService`."""

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        """These are new in the ledger."""
        ...


class Counters(Protocol):
    """Where usage is counted for Prometheus: `ironclaw.api.metrics.Metrics`."""

    def model_used(self, agent: str, model: str, amounts: Amounts) -> None:
        """An attempt used so much."""
        ...

    def budget_spent(self, agent: str) -> None:
        """A call was not sent."""
        ...


class Desk(NamedTuple):
    """What budgets work with."""

    models: Models
    agents: Agents
    book: Book
    prices: Prices
    raises: Raises
    announce: Announce
    counters: Counters
    clock: Clock
    currency: str


class Budgets:
    """Implements `parts.Models` in front of the model service."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: dict[tuple[str, str, str, int], None] = {}
        self._flights: dict[AgentId, Flight] = {}

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        """As the model service's; `Failed` with `BUDGET_SPENT` where nothing may be sent.

        The agent is looked up again, so that a budget or a model that was changed holds at once. A
        book that cannot be written is a call that is not made.
        """
        try:
            agent = await self._desk.agents.agent(agent.id)
        except IronClawError as error:
            _log.error("budget_unknown", agent=agent.id, code=error.code, detail=error.detail)
            yield Failed(request.call, WireCode.MODEL_UNAVAILABLE, UNCOUNTED)
            return
        flight = self._flights.setdefault(agent.id, Flight())
        meter = _CallMeter(self._desk, agent, session, request, told=self._told, flight=flight)
        flight.calls += 1
        try:
            stream = self._desk.models.generate(agent, session, request, meter)
            async with contextlib.aclosing(stream) as events:
                async for event in events:
                    yield event
        finally:
            meter.land()
            flight.calls -= 1
            if not flight.calls:
                del self._flights[agent.id]


class _CallMeter:
    """Implements `domain.spending.Meter` for one call."""

    def __init__(
        self,
        desk: Desk,
        agent: Agent,
        session: SessionId,
        request: Generate,
        *,
        told: dict[tuple[str, str, str, int], None],
        flight: Flight,
    ) -> None:
        self._flight = flight
        self._is_up = False
        self._desk = desk
        self._agent = agent
        self._session = session
        self._request = request
        self._told = told
        self._budgets = budgets_of(agent)
        self._has_money = any(budget.of is Of.MONEY for budget in self._budgets)
        self._day = desk.clock.now_ms() // DAY_MS
        self._calls = 1
        self._reserved: Amounts | None = None
        self._row = Row(agent.id, self._day, session, "")
        self._began_s = 0.0

    async def begin(self, model: str, output: int) -> int | Refusal:
        """Reserve an attempt, or say why it is not made."""
        self._row = Row(self._agent.id, self._day, self._session, model)
        self._reserved = None
        if self._budgets:
            try:
                output_or_refusal = await self._reserve(model, output)
            except HostError as error:
                _log.error(
                    "budget_unknown", agent=self._agent.id, code=error.code, detail=error.detail
                )
                return Refusal(WireCode.MODEL_UNAVAILABLE, UNCOUNTED, "")
            if isinstance(output_or_refusal, Refusal):
                return output_or_refusal
            output = output_or_refusal
        self._began_s = self._desk.clock.monotonic_s()
        return output

    async def _reserve(self, model: str, output: int) -> int | Refusal:
        prices = self._desk.prices
        rates = await prices.rates(model) if self._has_money else prices.remembered(model)
        if self._has_money and rates is None:
            _log.warning("price_unknown", agent=self._agent.id, model=model)
            return Refusal(WireCode.MODEL_REFUSED, UNPRICED, no_price(model))
        while True:
            is_alone = self._take_off()
            tokens = self._guess(GUESSED_BYTES if is_alone else WORST_BYTES)
            decided = await self._decided(tokens, output, rates)
            if isinstance(decided, Grant):
                self._reserved = decided.reserved
                return decided.output
            self.land(is_over=False)
            may_wait = not is_alone and decided.budget.of is not Of.CALLS
            if not may_wait or not await self._flight.one_less():
                return await self._refused(decided)

    async def _decided(self, tokens: int, output: int, rates: Rates | None) -> Grant | Spent:
        return await self._desk.book.reserve(
            self._row,
            lambda used: grant(
                self._budgets,
                used,
                tokens=tokens,
                output=output,
                rates=rates,
                is_first=self._calls > 0,
            ),
        )

    def _take_off(self) -> bool:
        """Count this attempt among those of its agent; whether it is the only one."""
        self.land()
        self._is_up = True
        return self._flight.enter()

    def land(self, *, is_over: bool = True) -> None:
        """The attempt is over, or not made. Idempotent."""
        if self._is_up:
            self._is_up = False
            self._flight.leave(is_over=is_over)

    async def _refused(self, spent: Spent) -> Refusal:
        _log.info("budget_spent", agent=self._agent.id, budget=spent.budget.name)
        self._desk.counters.budget_spent(self._agent.name)
        proposal = await self._desk.raises.propose(self._agent, self._session, spent)
        word = refusal(spent, self._desk.currency, change=proposal.change, wanted=proposal.wanted)
        return Refusal(WireCode.BUDGET_SPENT, SPENT, word)

    async def end(self, counted: Counted | None, said_bytes: int) -> None:
        """Count what the attempt used."""
        if counted is None and said_bytes:
            counted = Counted(self._guess(TOKEN_BYTES), said_bytes // TOKEN_BYTES)
        rates = await self._desk.prices.rates(self._row.model)
        amounts = self._amounts(counted or Counted(0, 0), rates)
        if not self._budgets:
            self._desk.book.note(self._row, amounts)
            return
        try:
            used = await self._desk.book.add(self._row, amounts.minus(self._reserved or Amounts()))
            self._reserved = None
            self.land()
            await self._warn(used)
        except HostError as error:
            # What was reserved stays; the answer is there, and the next call sees how the store is.
            _log.error(
                "budget_not_settled", agent=self._agent.id, code=error.code, detail=error.detail
            )

    def cut(self, said_bytes: int) -> None:
        """Leave what was reserved; without a budget, count what is thought to have been used."""
        if self._budgets:
            self._counted(self._reserved or Amounts())
            self._calls = 0
            return
        used = Counted(self._guess(TOKEN_BYTES), said_bytes // TOKEN_BYTES)
        rates = self._desk.prices.remembered(self._row.model)
        self._desk.book.note(self._row, self._amounts(used, rates))

    def another(self) -> None:
        """Count the next attempt as a call of its own."""
        self._calls = 1

    def _amounts(self, used: Counted, rates: Rates | None) -> Amounts:
        used = used.believable()
        calls, self._calls = self._calls, 0
        waited_s = self._desk.clock.monotonic_s() - self._began_s
        amounts = Amounts(
            calls=calls,
            input_tokens=used.input,
            cached_tokens=used.cached,
            written_tokens=used.written,
            output_tokens=used.output,
            micros=0 if rates is None else cost(rates, used),
            unpriced=calls if rates is None else 0,
            model_ms=max(0, round(waited_s * 1000)),
        )
        self._counted(amounts)
        return amounts

    def _counted(self, amounts: Amounts) -> None:
        self._desk.counters.model_used(self._agent.name, self._row.model, amounts)

    def _guess(self, bytes_of_token: int) -> int:
        """How long the input is thought to be, in tokens."""
        said = (entry for entry in self._request.entries if isinstance(entry, Said))
        images = sum(one.media_type.startswith("image/") for entry in said for one in entry.files)
        size = len(msgspec.msgpack.encode(self._request))
        return -(-size // bytes_of_token) + images * IMAGE_TOKENS

    async def _warn(self, used: Used) -> None:
        for spent in nearly_spent(self._budgets, used):
            mark = self._mark(spent.budget)
            if mark in self._told:
                continue
            told = await self._desk.book.warn(
                self._row,
                self._request.turn,
                budget=spent.budget.name,
                window=mark[2],
                most=spent.budget.most,
                text=warning(spent, self._desk.currency),
            )
            self._told[mark] = None
            if len(self._told) > _TOLD:
                del self._told[next(iter(self._told))]
            if told is not None:
                _log.info("budget_warned", agent=self._agent.id, budget=spent.budget.name)
                self._desk.announce.committed([told])

    def _mark(self, budget: Budget) -> tuple[str, str, str, int]:
        window = str(self._day) if budget.per is Per.DAY else self._session
        return (self._agent.id, budget.name, window, budget.most)


def no_price(model: str) -> str:
    """What people are told of a model that no budget of money can be kept with."""
    provider, _, name = model.partition("/")
    return (
        f"The agent has a budget of money, and nobody knows what its model {model} costs. Set "
        f'its price in the configuration: [models.providers.{provider}.prices."{name}"] with '
        "`input` and `output` for a million tokens, or `free = true`; then restart."
    )
