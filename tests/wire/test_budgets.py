"""Budgets before a real provider's protocol: what is refused never reaches the server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
from tests.support.model_answers import INPUT_TOKENS, OUTPUT_TOKENS, openai
from tests.support.model_house import generate, hosting, provider
from tests.support.model_servers import ModelServer, Reply
from tests.support.spending import BEGIN_DAY, SESSION, Agents, Counters, Raises, Told

from ironclaw.core.clock import ManualClock
from ironclaw.domain.spending import DAY_MS, Amounts, Used
from ironclaw.models.host.provider import HostedProvider
from ironclaw.models.pricing import Pricing
from ironclaw.models.provider import Registry
from ironclaw.models.service import ModelService
from ironclaw.services.budgets import Budgets, Desk
from ironclaw.store.spent_rows import SpentRows
from ironclaw.testing.fakes_store import open_core_store
from ironclaw_contract.codes import WireCode
from ironclaw_contract.rpc import Failed, Generated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.config.providers import ProviderSettings
    from ironclaw_contract.rpc import ModelTell

pytestmark = pytest.mark.wire

PRICE = {"input": 3, "output": 15, "cached_input": 0.3}


class House(NamedTuple):
    agents: Agents
    pricing: Pricing
    book: SpentRows
    budgets: Budgets

    async def ask(self) -> ModelTell:
        """One call; how it ended."""
        request = generate()
        stream = self.budgets.generate(self.agents.now, SESSION, request)
        return [event async for event in stream][-1]

    async def used(self) -> Used:
        return await self.book.used(self.agents.now.id, BEGIN_DAY, SESSION)


@asynccontextmanager
async def opened(place: Path, settings: ProviderSettings) -> AsyncIterator[House]:
    clock = ManualClock(BEGIN_DAY * DAY_MS)
    async with open_core_store(place, clock=clock) as core, hosting(some=settings) as host:
        pricing = Pricing({"some": settings}, host, currency="USD", clock=clock)
        book = SpentRows(core.store, core.custodian, clock)
        agents = Agents()
        models = ModelService(Registry({"some": HostedProvider("some", host)}))
        desk = Desk(models, agents, book, pricing, Raises(), Told(), Counters(), clock, "USD")
        yield House(agents, pricing, book, Budgets(desk))


async def test_the_eleventh_call_is_not_sent(tmp_path: Path):
    async with ModelServer(openai()) as server:
        settings = provider("openai", f"{server.url}/v1")
        async with opened(tmp_path, settings) as house:
            house.agents.limit(calls_per_day=10)
            ends = [await house.ask() for _ in range(11)]
            assert all(isinstance(end, Generated) for end in ends[:10])
            assert isinstance(ends[10], Failed)
            assert ends[10].code is WireCode.BUDGET_SPENT
            assert len(server.asked) == 10
            house.agents.limit(calls_per_day=11)
            assert isinstance(await house.ask(), Generated)
            assert len(server.asked) == 11


async def test_money_runs_out_before_a_call_that_could_cost_more(tmp_path: Path):
    async with ModelServer(openai()) as server:
        settings = provider("openai", f"{server.url}/v1", prices={"big": PRICE})
        async with opened(tmp_path, settings) as house:
            each = INPUT_TOKENS * 3 + OUTPUT_TOKENS * 15
            house.agents.limit(money_per_day=10**6)
            await house.ask()
            assert (await house.used()).day == Amounts(
                calls=1, input_tokens=INPUT_TOKENS, output_tokens=OUTPUT_TOKENS, micros=each
            )
            house.agents.limit(money_per_day=2 * each)
            end = await house.ask()
            assert isinstance(end, Failed)
            assert end.code is WireCode.BUDGET_SPENT
            assert len(server.asked) == 1


async def test_an_answer_that_is_held_back_is_paid_for(tmp_path: Path):
    """A box knows how to trip a filter: calls that come to nothing would be free, without end."""
    async with ModelServer(openai(finish="content_filter")) as server:
        settings = provider("openai", f"{server.url}/v1", prices={"*": PRICE})
        async with opened(tmp_path, settings) as house:
            house.agents.limit(tokens_per_day=10**6)
            end = await house.ask()
            assert isinstance(end, Failed)
            assert end.code is WireCode.MODEL_REFUSED
            each = INPUT_TOKENS * 3 + OUTPUT_TOKENS * 15
            assert (await house.used()).day == Amounts(
                calls=1, input_tokens=INPUT_TOKENS, output_tokens=OUTPUT_TOKENS, micros=each
            )
            house.agents.limit(tokens_per_day=INPUT_TOKENS + OUTPUT_TOKENS)
            end = await house.ask()
            assert isinstance(end, Failed)
            assert end.code is WireCode.BUDGET_SPENT
            assert len(server.asked) == 1


async def test_what_the_provider_had_kept_is_counted_apart(tmp_path: Path):
    whole = openai()
    usage = b'"prompt_tokens": %d, ' % INPUT_TOKENS
    more = usage + b'"prompt_tokens_details": {"cached_tokens": 20}, '
    pieces = tuple(piece.replace(usage, more) for piece in whole.pieces)
    assert pieces != whole.pieces
    async with ModelServer(Reply(pieces)) as server:
        settings = provider("openai", f"{server.url}/v1", prices={"*": PRICE})
        async with opened(tmp_path, settings) as house:
            await house.ask()
            day = (await house.used()).day
            assert (day.input_tokens, day.cached_tokens) == (INPUT_TOKENS, 20)
            micros = (INPUT_TOKENS - 20) * 3 + 20 * 0.3 + OUTPUT_TOKENS * 15
            assert day.micros == micros


async def test_the_answer_is_bounded_by_what_is_left(tmp_path: Path):
    async with ModelServer(openai()) as server:
        settings = provider("openai", f"{server.url}/v1")
        async with opened(tmp_path, settings) as house:
            size = -(-len(msgspec.msgpack.encode(generate())) // 3)
            house.agents.become(max_output_tokens=4000)
            house.agents.limit(tokens_per_day=size + 300)
            assert isinstance(await house.ask(), Generated)
            (asked,) = server.asked
            assert asked.json["max_completion_tokens"] == 300


async def test_the_library_is_asked_in_its_own_process(tmp_path: Path):
    async with opened(tmp_path, provider("anthropic", "http://127.0.0.1:1")) as house:
        known = await house.pricing.rates("some/claude-sonnet-4-5")
        assert known is not None
        assert (known[0].input, known[0].output) == (3000, 15_000)
        assert await house.pricing.rates("some/nobody-knows-it") is None
