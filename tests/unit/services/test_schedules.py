"""Tasks are told when they are due, once, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
from tests.support.past_gateway import archive_agent, delete_wiring

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError
from ironclaw.core.ids import SessionId, TaskId
from ironclaw.domain.model import Agent, Message, Task
from ironclaw.domain.schedules import Run
from ironclaw.services import schedules as schedules_module
from ironclaw.services.commands import LateCommands
from ironclaw.services.hub import Hub
from ironclaw.services.router import Router
from ironclaw.services.schedules import RETRY_MS, Schedules
from ironclaw.store.task_rows import TaskRows, drop_task, put_task
from ironclaw.testing.fakes_store import Conversation, CoreStore, open_core_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.core.ids import AgentId
    from ironclaw.domain.model import Event
    from ironclaw.services.house import Routed

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BEGIN = 1_800_000_000_000  # 2027-01-15T08:00Z, as ManualClock has it


class Killed(BaseException):
    """Where the core ends in a test."""


class Desk(NamedTuple):
    """One durable house, for one core after the other."""

    core: CoreStore
    clock: ManualClock
    talk: Conversation
    woken: list[SessionId]

    @property
    def book(self) -> TaskRows:
        return TaskRows(self.core.store)

    @property
    def router(self) -> Router:
        return Router(
            directory=self.core.registry,
            intake=self.core.ledger,
            refusals=self.core.chatlog,
            keys=self.core.custodian,
            hub=Hub(self.core.chatlog),
            wake=lambda session, _: self.woken.append(session),
            commands=LateCommands(),
        )

    def schedules(self, teller: object = None, book: object = None) -> Schedules:
        return Schedules(
            book=book or self.book,  # type: ignore[arg-type]
            teller=teller or self.router,  # type: ignore[arg-type]
            clock=self.clock,
        )

    async def keep(
        self, name: str = "report", agent: Agent | None = None, **fields: object
    ) -> Task:
        task = Task(
            id=TaskId(f"tsk_{name}"),
            agent=(agent or self.talk.agent).id,
            name=name,
            channel="api",
            platform_id=self.talk.chat.platform_id,
            prompt=f"do {name}",
            **fields,  # type: ignore[arg-type]
        )
        await self.core.store.write(lambda db: put_task(db, task))
        return task

    async def drop(self, task: Task) -> None:
        await self.core.store.write(lambda db: drop_task(db, task.id))

    async def told(self) -> list[Message]:
        return await self.core.ledger.backlog(self.talk.session)

    async def next_ms(self, task: Task) -> int | None:
        (kept,) = [one for one in await self.book.tasks() if one.task == task]
        return kept.next_ms


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = ManualClock(BEGIN)
    async with open_core_store(tmp_path, clock=clock) as core:
        yield Desk(core, clock, await core.begin(), [])


async def test_a_task_is_told_in_its_chat_in_its_own_name_and_its_agent_wakes(desk: Desk):
    task = await desk.keep(cron="0 * * * *")
    schedules = desk.schedules()
    assert await schedules._look() == 300
    assert await desk.next_ms(task) == BEGIN + HOUR
    assert await desk.told() == []

    desk.clock.advance(3600)
    await schedules._look()
    (message,) = await desk.told()
    assert (message.sender, message.text, message.engage) == ("report", "do report", True)
    assert message.chat == desk.talk.chat.id
    assert desk.woken == [desk.talk.session]
    assert await desk.next_ms(task) == BEGIN + 2 * HOUR
    assert await desk.book.runs(task.id) == [Run(BEGIN + HOUR, message.id)]


async def test_the_first_task_of_a_chat_begins_its_session(desk: Desk):
    agent = await desk.core.registry.create_agent(name="other")
    await desk.core.registry.create_wiring(chat=desk.talk.chat.id, agent=agent.id)
    task = await desk.keep("tidy", agent, at_ms=BEGIN)
    await desk.schedules()._look()
    (session,) = desk.woken
    assert session != desk.talk.session
    (message,) = await desk.core.ledger.backlog(session)
    assert message.text == "do tidy"
    assert await desk.next_ms(task) is None


async def test_it_sleeps_until_the_first_and_a_new_one_wakes_it(desk: Desk):
    schedules = desk.schedules()
    running = asyncio.get_running_loop().create_task(schedules.run())
    try:
        await asyncio.sleep(0.05)
        await desk.keep(at_ms=BEGIN)
        await schedules.rearm()
        async with asyncio.timeout(5):
            while not await desk.told():  # noqa: ASYNC110 - the store has no bell for tests
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert len(await desk.told()) == 1


async def test_how_long_it_sleeps_is_until_the_next_one(desk: Desk):
    await desk.keep("soon", at_ms=BEGIN + 90_000)
    await desk.keep("later", at_ms=BEGIN + HOUR)
    assert await desk.schedules()._look() == 90


async def test_what_happens_once_stays_and_is_never_told_again(desk: Desk):
    task = await desk.keep(at_ms=BEGIN + MINUTE)
    schedules = desk.schedules()
    for _ in range(4):
        await schedules._look()
        desk.clock.advance(3600)
    assert len(await desk.told()) == 1
    (kept,) = await desk.book.tasks()
    assert (kept.task, kept.next_ms, kept.ran_ms) == (task, None, BEGIN + HOUR)


# --- while nobody looked --------------------------------------------------------------------------


async def test_what_was_missed_is_told_once_and_late(desk: Desk):
    task = await desk.keep(cron="0 * * * *")
    await desk.schedules()._look()
    desk.clock.advance(10 * 3600 + 5)
    await desk.schedules()._look()
    assert len(await desk.told()) == 1
    assert [run.due_ms for run in await desk.book.runs(task.id)] == [BEGIN + 10 * HOUR]
    assert await desk.next_ms(task) == BEGIN + 11 * HOUR


async def test_what_is_a_day_late_is_left_out(desk: Desk):
    once = await desk.keep("once", at_ms=BEGIN + HOUR)
    weekly = await desk.keep("weekly", cron="0 9 * * FRI")
    await desk.schedules()._look()
    desk.clock.advance(2 * 86_400)
    await desk.schedules()._look()
    assert await desk.told() == []
    assert await desk.next_ms(once) is None
    assert await desk.next_ms(weekly) == BEGIN + HOUR + 7 * DAY
    for task in (once, weekly):
        assert await desk.book.runs(task.id) == [Run(BEGIN + HOUR, None, "too_late")]


async def test_what_was_approved_just_before_its_time_is_told_late(desk: Desk):
    await desk.keep(at_ms=BEGIN + 1)
    desk.clock.advance(60)
    await desk.schedules()._look()
    assert len(await desk.told()) == 1


# --- the core ends at each step -------------------------------------------------------------------


class DiesBefore:
    """A book or teller whose core ends before one of its steps, or right after."""

    def __init__(self, real: object, step: str, *, after: bool) -> None:
        self._real = real
        self._step = step
        self._after = after

    def __getattr__(self, name: str) -> object:
        method = getattr(self._real, name)
        if name != self._step:
            return method

        async def dying(*args: object, **fields: object) -> None:
            if self._after:
                await method(*args, **fields)
            raise Killed

        return dying


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["plan", "due", "tell", "settle"])
@pytest.mark.parametrize("schedule", [{"cron": "0 * * * *"}, {"at_ms": BEGIN + HOUR}])
async def test_a_core_that_ends_at_any_step_tells_it_exactly_once(
    desk: Desk, step: str, after: bool, schedule: dict[str, object]
):
    task = await desk.keep(**schedule)
    for _ in range(2):
        # Ends when it is made, and when it is due; the third core lives.
        doomed = desk.schedules(
            teller=DiesBefore(desk.router, step, after=after),
            book=DiesBefore(desk.book, step, after=after),
        )
        with contextlib.suppress(Killed):
            await doomed._look()
        await desk.schedules()._plan_new(desk.clock.now_ms())
        desk.clock.advance(3600 + 1)
    desk.clock.advance(-3600)
    await desk.schedules()._look()
    await desk.schedules()._look()
    assert len(await desk.told()) == 1
    (run,) = await desk.book.runs(task.id)
    assert run.due_ms == BEGIN + HOUR
    assert desk.woken


async def test_without_the_id_of_task_and_time_it_would_be_told_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    """So that the test above tests what it says."""
    real, numbers = schedules_module._event, itertools.count()

    def careless(task: Task, fire_ms: int) -> Event:
        event = real(task, fire_ms)
        return msgspec.structs.replace(event, external_id=f"{next(numbers)}")

    monkeypatch.setattr(schedules_module, "_event", careless)
    await desk.keep(at_ms=BEGIN)
    with pytest.raises(Killed):
        await desk.schedules(teller=DiesBefore(desk.router, "tell", after=True))._look()
    await desk.schedules()._look()
    assert len(await desk.told()) == 2


async def test_nobody_outside_can_say_first_what_the_host_is_about_to_say(desk: Desk):
    task = await desk.keep(at_ms=BEGIN)
    await desk.talk.hear("instead", external_id=f"task:{task.id}:{BEGIN}")
    await desk.schedules()._look()
    assert [message.text for message in await desk.told()] == ["instead", "do report"]


# --- whose task is not told -----------------------------------------------------------------------


async def test_tasks_of_an_archived_agent_are_not_told_and_not_made_up_for(desk: Desk):
    task = await desk.keep(cron="0 * * * *")
    await desk.schedules()._look()
    await archive_agent(desk.core.registry, "helper")
    desk.clock.advance(3600)
    await desk.schedules()._look()
    assert await desk.told() == []
    assert await desk.next_ms(task) == BEGIN + 2 * HOUR
    assert await desk.book.runs(task.id) == [Run(BEGIN + HOUR, None, "archived")]


async def test_a_task_for_a_chat_that_leads_elsewhere_is_refused_and_that_is_recorded(desk: Desk):
    task = await desk.keep(cron="0 * * * *")
    await desk.schedules()._look()
    for wiring, _, _ in await desk.core.registry.wirings():
        await delete_wiring(desk.core.registry, wiring.id)
    desk.clock.advance(3600)
    await desk.schedules()._look()
    assert await desk.told() == []
    assert await desk.book.runs(task.id) == [Run(BEGIN + HOUR, None, "not_wired")]
    (refusal,) = await desk.core.chatlog.refusals()
    assert (refusal.handle, refusal.reason) == (f"task:{task.id}", "not_wired")


async def test_a_task_that_was_taken_away_is_not_told(desk: Desk):
    task = await desk.keep(at_ms=BEGIN + MINUTE)
    schedules = desk.schedules()
    await schedules._look()
    await desk.drop(task)
    await schedules.rearm()
    desk.clock.advance(60)
    await schedules._look()
    assert await desk.told() == []


class Gate:
    """Holds a telling up."""

    def __init__(self, real: Router) -> None:
        self.real = real
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def tell(self, event: Event, agent: AgentId, *, hops: int = 0) -> Routed:
        self.entered.set()
        await self.open.wait()
        return await self.real.tell(event, agent, hops=hops)


async def test_rearming_waits_for_a_telling_that_began_before(desk: Desk):
    await desk.keep(at_ms=BEGIN)
    gate = Gate(desk.router)
    schedules = desk.schedules(teller=gate)
    async with asyncio.TaskGroup() as group:
        group.create_task(schedules._look())
        await gate.entered.wait()
        rearming = group.create_task(schedules.rearm())
        await asyncio.sleep(0)
        assert not rearming.done()
        gate.open.set()
    assert len(await desk.told()) == 1


# --- what fails -----------------------------------------------------------------------------------


class Refusing:
    """Refuses the task of one name."""

    def __init__(self, real: Router) -> None:
        self.real = real
        self.refuses: str | None = "bad"

    async def tell(self, event: Event, agent: AgentId, *, hops: int = 0) -> Routed:
        if event.sender == self.refuses:
            raise PolicyError(Code.RATE_LIMITED, "Too many.", hint="Wait.")
        return await self.real.tell(event, agent, hops=hops)


async def test_one_that_cannot_be_told_holds_up_no_other_and_is_tried_again(desk: Desk):
    await desk.keep("bad", at_ms=BEGIN)
    await desk.keep("good", at_ms=BEGIN)
    teller = Refusing(desk.router)
    schedules = desk.schedules(teller=teller)
    assert await schedules._look() == RETRY_MS / 1000
    assert [message.sender for message in await desk.told()] == ["good"]
    teller.refuses = None
    await schedules._look()
    assert len(await desk.told()) == 1
    desk.clock.advance(RETRY_MS / 1000)
    await schedules._look()
    assert [message.sender for message in await desk.told()] == ["good", "bad"]


async def test_a_zone_that_is_gone_from_the_system_stops_its_task_alone(desk: Desk):
    lost = await desk.keep("lost", cron="0 * * * *", zone="Nowhere/Land")
    await desk.keep("good", at_ms=BEGIN)
    await desk.schedules()._look()
    assert [message.sender for message in await desk.told()] == ["good"]
    assert await desk.next_ms(lost) is None


async def test_a_failing_store_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    schedules = desk.schedules()
    looks = 0
    done = asyncio.Event()

    async def look() -> float:
        nonlocal looks
        looks += 1
        if looks == 1:
            await schedules.rearm()
            raise HostError(Code.STORE_FAILED, "No.", hint="Wait.")
        done.set()
        return 300

    monkeypatch.setattr(schedules, "_look", look)
    running = asyncio.get_running_loop().create_task(schedules.run())
    async with asyncio.timeout(5):
        await done.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
