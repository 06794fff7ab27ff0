"""Budgets: counted before a call is sent, settled after it, kept over restarts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Agent, Usage
from ironclaw.services.budgets import DAY_MS, TOKEN_BYTES, Budgets
from ironclaw.store.usage_rows import KEPT_DAYS, UsageRows
from ironclaw.testing.fakes_store import CoreStore, open_core_store
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered
from ironclaw_contract.rpc import Delta, Failed, Generate, Generated, ModelTell, Stop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

SESSION = SessionId("ses_a")
BEGIN_DAY = 20_000
ASK = Generate(call=7, turn="msg_a", system="s" * 400, entries=(), tools=(), max_output_tokens=10)
GUESS = len(msgspec.msgpack.encode(ASK)) // TOKEN_BYTES
ANSWER = Generated(7, (Answered("hi"),), Stop.END, input_tokens=100, output_tokens=20)


class Models:
    """Answers with what it was told to."""

    def __init__(self) -> None:
        self.script: list[ModelTell] = [Delta(7, "hi"), ANSWER]
        self.asked: list[Agent] = []
        self.closed = 0

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        del session, request
        self.asked.append(agent)
        try:
            for event in self.script:
                yield event
        finally:
            self.closed += 1


class Agents:
    """One agent, as it is now."""

    def __init__(self) -> None:
        self.now = Agent(id=AgentId("agt_a"), name="helper")

    def limit(self, *, calls: int | None = None, tokens: int | None = None) -> None:
        self.now = msgspec.structs.replace(self.now, calls_per_day=calls, tokens_per_day=tokens)

    async def agent(self, ref: str) -> Agent:
        if ref != self.now.id:
            raise UserError(Code.NOT_FOUND, "No.", hint="Look.")
        return self.now


class Desk(NamedTuple):
    core: CoreStore
    clock: ManualClock
    agents: Agents
    models: Models
    old: Agent
    """The agent as a session may still have it in hand."""

    @property
    def book(self) -> UsageRows:
        return UsageRows(self.core.store)

    @property
    def budgets(self) -> Budgets:
        return Budgets(models=self.models, agents=self.agents, book=self.book, clock=self.clock)

    async def ask(self) -> list[ModelTell]:
        return [event async for event in self.budgets.generate(self.old, SESSION, ASK)]

    async def used(self) -> Usage:
        return await self.book.usage(self.old.id, self.clock.now_ms() // DAY_MS)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = ManualClock(BEGIN_DAY * DAY_MS + 1000)
    async with open_core_store(tmp_path, clock=clock) as core:
        agents = Agents()
        yield Desk(core, clock, agents, Models(), agents.now)


def is_spent(events: list[ModelTell]) -> bool:
    match events:
        case [Failed(call=7, code=WireCode.BUDGET_SPENT)]:
            return True
        case _:
            return False


async def test_without_a_budget_everything_goes_through_and_nothing_is_written(desk: Desk):
    assert await desk.ask() == [Delta(7, "hi"), ANSWER]
    assert await desk.used() == Usage()


async def test_calls_are_counted_and_the_one_over_is_not_sent(desk: Desk):
    desk.agents.limit(calls=2)
    assert [is_spent(await desk.ask()) for _ in range(4)] == [False, False, True, True]
    assert len(desk.models.asked) == 2
    assert (await desk.used()).calls == 2


async def test_a_budget_of_nothing_lets_nothing_through(desk: Desk):
    desk.agents.limit(calls=0)
    assert is_spent(await desk.ask())
    desk.agents.limit(tokens=0)
    assert is_spent(await desk.ask())
    assert desk.models.asked == []
    assert await desk.used() == Usage()


async def test_of_many_calls_at_once_no_more_go_through_than_there_are(desk: Desk):
    desk.agents.limit(calls=3)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(desk.ask()) for _ in range(10)]
    assert sum(not is_spent(task.result()) for task in tasks) == 3
    assert len(desk.models.asked) == 3


async def test_a_raise_takes_effect_with_the_next_call(desk: Desk):
    desk.agents.limit(calls=1)
    await desk.ask()
    assert is_spent(await desk.ask())
    desk.agents.limit(calls=2)
    assert not is_spent(await desk.ask())
    assert desk.models.asked[-1].calls_per_day == 2


async def test_a_new_day_in_utc_begins_at_nothing(desk: Desk):
    desk.agents.limit(calls=1)
    await desk.ask()
    assert is_spent(await desk.ask())
    desk.clock.advance(86_400)
    assert not is_spent(await desk.ask())


async def test_the_count_survives_a_restart(tmp_path: Path):
    clock = ManualClock(BEGIN_DAY * DAY_MS)
    agents = Agents()
    agents.limit(calls=1)
    for expected in (False, True):
        async with open_core_store(tmp_path, clock=clock) as core:
            desk = Desk(core, clock, agents, Models(), agents.now)
            assert is_spent(await desk.ask()) is expected


async def test_tokens_are_settled_to_what_the_provider_counted(desk: Desk):
    desk.agents.limit(tokens=200)
    await desk.ask()
    assert await desk.used() == Usage(calls=1, tokens=120)
    await desk.ask()
    assert await desk.used() == Usage(calls=2, tokens=240)
    assert is_spent(await desk.ask())


async def test_a_provider_that_does_not_count_is_counted_for(desk: Desk):
    desk.agents.limit(tokens=10_000)
    text = "word " * 100
    desk.models.script = [Generated(7, (Answered(text),), Stop.END)]
    await desk.ask()
    assert (await desk.used()).tokens >= GUESS + len(text) // TOKEN_BYTES


async def test_a_call_that_failed_costs_no_tokens_but_is_a_call(desk: Desk):
    desk.agents.limit(tokens=10_000)
    desk.models.script = [Failed(7, WireCode.MODEL_UNAVAILABLE, "no")]
    await desk.ask()
    assert await desk.used() == Usage(calls=1, tokens=0)


async def test_an_agent_that_cuts_its_calls_off_pays_for_them(desk: Desk):
    desk.agents.limit(tokens=10_000)
    desk.models.script = [Delta(7, "x" * 400), ANSWER]
    async with contextlib.aclosing(desk.budgets.generate(desk.old, SESSION, ASK)) as events:
        assert await anext(events) == Delta(7, "x" * 400)
    assert desk.models.closed == 1
    assert await desk.used() == Usage(calls=1, tokens=GUESS + 100)


async def test_tokens_are_held_back_while_a_call_is_under_way(desk: Desk):
    desk.agents.limit(tokens=GUESS)
    async with contextlib.aclosing(desk.budgets.generate(desk.old, SESSION, ASK)) as events:
        await anext(events)
        assert is_spent(await desk.ask())


async def test_a_call_over_midnight_is_settled_in_the_day_that_it_began_in(desk: Desk):
    desk.agents.limit(tokens=10_000)
    async with contextlib.aclosing(desk.budgets.generate(desk.old, SESSION, ASK)) as events:
        await anext(events)
        desk.clock.advance(86_400)
        assert [event async for event in events] == [ANSWER]
    assert await desk.used() == Usage()
    assert await desk.book.usage(desk.old.id, BEGIN_DAY) == Usage(calls=1, tokens=120)


class Broken:
    """A book that cannot be written."""

    async def reserve(self, *_: object, **__: object) -> bool:
        raise HostError(Code.STORE_FAILED, "No.", hint="Wait.")

    settle = reserve


async def test_a_call_that_cannot_be_counted_is_not_made(desk: Desk):
    desk.agents.limit(calls=5)
    budgets = Budgets(
        models=desk.models,
        agents=desk.agents,
        book=Broken(),  # type: ignore[arg-type]
        clock=desk.clock,
    )
    (event,) = [event async for event in budgets.generate(desk.old, SESSION, ASK)]
    assert isinstance(event, Failed)
    assert event.code is WireCode.MODEL_UNAVAILABLE
    assert desk.models.asked == []


async def test_an_agent_that_is_not_there_any_more_asks_nothing(desk: Desk):
    gone = msgspec.structs.replace(desk.old, id=AgentId("agt_gone"))
    (event,) = [event async for event in desk.budgets.generate(gone, SESSION, ASK)]
    assert isinstance(event, Failed)
    assert desk.models.asked == []


async def test_old_days_are_forgotten(desk: Desk):
    for day in range(KEPT_DAYS + 5):
        assert await desk.book.reserve(
            desk.old.id, day, tokens=1, calls_most=None, tokens_most=None
        )
    kept = await desk.core.store.read(
        lambda db: [row[0] for row in db.execute("SELECT day FROM usage ORDER BY day")]
    )
    assert kept == list(range(5, KEPT_DAYS + 5))
