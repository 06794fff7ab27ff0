"""Sessions: who gets a box, who waits for one, what a restart takes over, what stopping does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.cores import Core, OpenCore, until
from tests.support.past_gateway import archive_agent

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import SessionState
from ironclaw.services.delivery import DeliveryService
from ironclaw.services.hub import Hub
from ironclaw.services.parts import SessionLimits
from ironclaw.testing.fake_channel import FakeChannel
from ironclaw.testing.fakes_sandbox import FakeIsolator
from ironclaw.testing.fakes_store import open_core_store
from ironclaw.testing.fakes_wall import FakeAirlocks, FakeLink

if TYPE_CHECKING:
    from ironclaw.testing.fakes_store import CoreStore

HEARD = 'helper heard "one". This is the first message I remember.'


async def test_a_message_is_answered_and_the_next_one_remembers_it(core: Core, store: CoreStore):
    talk = await store.begin()
    assert core.sessions.box_state(talk.session) == "none"
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await until(lambda: core.sessions.box_state(talk.session) == "ready")
    await core.hear(talk, "two")

    first, second = await core.answered(talk, 2)

    assert first == HEARD
    assert "I remember 1 earlier message" in second
    assert len(core.isolator.launches) == 1
    assert core.announced.launches == ["ok"]


async def test_wakes_at_once_join_one_box(core: Core, store: CoreStore):
    talk = await store.begin()
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(core.hear(talk, f"m{number}"))

    said = await core.answered(talk, 20)

    assert len(said) == len(set(said)) == 20
    assert len(core.isolator.launches) == 1
    assert core.sessions.boxes == 1


async def test_context_alone_starts_no_box(core: Core, store: CoreStore):
    talk = await store.begin()
    message = (await talk.hear("by the way", engage=False)).message
    core.sessions.wake(talk.session, message)
    assert core.sessions.box_state(talk.session) == "none"


async def test_an_idle_box_is_let_go_and_the_next_message_gets_a_fresh_one(open_core: OpenCore):
    core = await open_core(SessionLimits(idle_stop_s=0.02))
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await until(lambda: core.sessions.box_state(talk.session) == "none")
    assert await core.isolator.survivors() == []

    await core.hear(talk, "two")
    said = await core.answered(talk, 2)

    assert 'the last was "one"' in said[1]
    assert len(core.isolator.launches) == 2
    assert core.isolator.launches[0].workspace == core.isolator.launches[1].workspace


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(pauses=st.lists(st.integers(0, 30), min_size=3, max_size=8), idle_ms=st.integers(0, 10))
async def test_a_wake_at_any_moment_is_not_lost(
    pauses: list[int], idle_ms: int, tmp_path_factory: pytest.TempPathFactory
):
    """Boxes that leave at once, and messages that come at every step of their leaving."""
    place = tmp_path_factory.mktemp("house")
    async with open_core_store(place / "state") as store:
        limits = SessionLimits(idle_stop_s=idle_ms / 1000)
        isolator = FakeIsolator(place / "house")
        async with Core(store, isolator, FakeAirlocks(), limits) as core:
            talk = await store.begin()
            for number, pause in enumerate(pauses):
                await core.hear(talk, f"m{number}")
                for _ in range(pause):
                    await asyncio.sleep(0)
            said = await core.answered(talk, len(pauses))
        assert [text.split('"')[1] for text in said] == [f"m{n}" for n in range(len(pauses))]
        assert await isolator.survivors() == []


# --- room -----------------------------------------------------------------------------------------


async def test_the_longest_idle_box_makes_room(open_core: OpenCore):
    core = await open_core(SessionLimits(max_boxes=2))
    talks = [await core.store.begin(name=f"a{n}", place=f"p{n}") for n in range(3)]
    for talk in talks:
        await core.hear(talk, "one")
        await core.answered(talk, 1)

    assert core.sessions.boxes == 2
    assert core.sessions.box_state(talks[0].session) == "none"
    assert core.slot(0) in core.isolator.discarded


async def test_two_boxes_fit_where_two_may_run(open_core: OpenCore):
    core = await open_core(SessionLimits(max_boxes=2))
    talks = [await core.store.begin(name=f"a{n}", place=f"p{n}") for n in range(2)]
    for talk in talks:
        await core.hear(talk, "one")
        await core.answered(talk, 1)
    assert core.sessions.boxes == 2
    assert core.isolator.discarded == []


async def test_who_finds_no_room_waits_until_somebody_is_done(open_core: OpenCore):
    core = await open_core(SessionLimits(max_boxes=1))
    talks = [await core.store.begin(name=f"a{n}", place=f"p{n}") for n in range(4)]
    await core.hear(talks[0], "!slow 300\none")
    await until(lambda: core.sessions.box_state(talks[0].session) == "busy")
    most = 0
    for talk in talks[1:]:
        await core.hear(talk, "one")
    await until(lambda: core.sessions.box_state(talks[1].session) == "starting")
    assert core.sessions.box_state(talks[0].session) == "busy"

    for talk in talks:
        await core.answered(talk, 1)
        most = max(most, len(await core.isolator.survivors()))
    assert most == 1


async def test_who_waits_for_room_can_be_stopped(open_core: OpenCore):
    core = await open_core(SessionLimits(max_boxes=1))
    busy, waiting = [await core.store.begin(name=f"a{n}", place=f"p{n}") for n in range(2)]
    await core.hear(busy, "!hang")
    await until(lambda: core.sessions.box_state(busy.session) == "busy")
    await core.hear(waiting, "one")
    await until(lambda: core.sessions.box_state(waiting.session) == "starting")

    async with asyncio.timeout(1):
        await core.sessions.stop(waiting.session)

    assert await core.replies(waiting.chat.id) == ["Stopped on request."]


# --- stop -----------------------------------------------------------------------------------------


async def test_stop_kills_the_box_within_a_second_and_says_so(core: Core, store: CoreStore):
    talk = await store.begin()
    await core.hear(talk, "!hang")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")

    async with asyncio.timeout(1):
        await core.sessions.stop(talk.session)

    assert await core.replies(talk.chat.id) == ["Stopped on request."]
    assert await core.isolator.survivors() == []
    await core.hear(talk, "two")
    assert len(await core.answered(talk, 2)) == 2


async def test_stop_while_the_box_is_starting_undoes_the_start(core: Core, store: CoreStore):
    talk = await store.begin()
    core.airlocks.are_silent = True
    await core.hear(talk, "one")
    await until(lambda: core.isolator.launches)

    async with asyncio.timeout(1):
        await core.sessions.stop(talk.session)

    assert await core.replies(talk.chat.id) == ["Stopped on request."]
    assert await core.isolator.survivors() == []
    assert core.link().is_dead


async def test_stopping_what_has_no_box_changes_nothing(core: Core, store: CoreStore):
    talk = await store.begin()
    await core.sessions.stop(talk.session)
    assert await core.replies(talk.chat.id) == []


async def test_archiving_an_agent_stops_its_boxes_and_answers_what_comes_later(
    core: Core, store: CoreStore
):
    talk = await store.begin()
    await core.hear(talk, "!hang")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")
    agent = await archive_agent(store.registry, talk.agent.id)

    await core.sessions.refresh(agent)
    await core.hear(talk, "two")

    said = await core.answered(talk, 2)
    assert said == ["The agent helper is archived."] * 2
    assert len(core.isolator.launches) == 1


async def test_close_while_boxes_start_and_work_is_quick_and_loses_nothing(
    open_core: OpenCore, store: CoreStore
):
    core = await open_core()
    busy, starting = [await store.begin(name=f"a{n}", place=f"p{n}") for n in range(2)]
    await core.hear(busy, "!hang")
    await until(lambda: core.sessions.box_state(busy.session) == "busy")
    core.airlocks.are_silent = True
    await core.hear(starting, "one")
    await until(lambda: len(core.isolator.launches) == 2)

    async with asyncio.timeout(1):
        await core.__aexit__()

    assert await core.isolator.survivors() == []
    assert len(await store.ledger.backlog(busy.session)) == 1
    assert len(await store.ledger.backlog(starting.session)) == 1


# --- after a restart ------------------------------------------------------------------------------


async def restarted(open_core: OpenCore, core: Core) -> Core:
    """The next core, as `ironclaw.daemon` begins it."""
    await core.die()
    after = await open_core()
    await after.sessions.adopt(await after.isolator.survivors())
    for session in await after.store.registry.waiting():
        after.sessions.wake(session)
    return after


async def test_a_running_box_is_adopted_and_remembers(open_core: OpenCore):
    core = await open_core()
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)

    after = await restarted(open_core, core)
    await after.hear(talk, "two")

    said = await after.answered(talk, 2)
    assert 'I remember 1 earlier message: the first was "one"' in said[1]
    assert len(after.isolator.launches) == 1
    assert len(after.box().setups) == 2


async def test_an_answer_that_was_not_committed_is_taken_in_after_the_restart(open_core: OpenCore):
    core = await open_core()
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await core.hear(talk, "!hang")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")
    await core.die()
    box = core.box()
    core.link().answer(box.messages[-1], "done while you were away")

    after = await restarted(open_core, core)

    assert (await after.answered(talk, 2))[1] == "done while you were away"
    await until(lambda: not box.published)
    assert len(after.isolator.launches) == 1


async def test_a_message_accepted_before_the_kill_and_never_published_is_answered(
    open_core: OpenCore,
):
    core = await open_core()
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await talk.hear("two")  # accepted, and killed before the wake

    after = await restarted(open_core, core)

    assert len(await after.answered(talk, 2)) == 2
    assert [message.text for message in after.box().messages] == ["one", "two"]


async def test_a_kill_between_commit_and_acknowledgement_says_nothing_twice(
    open_core: OpenCore, monkeypatch: pytest.MonkeyPatch
):
    core = await open_core()
    talk = await core.store.begin()

    async def never(_link: object, _seq: int) -> None:
        await asyncio.Future()

    with monkeypatch.context() as patch:
        patch.setattr(FakeLink, "ack", never)
        await core.hear(talk, "one")
        await core.answered(talk, 1)
        assert core.box().published
        await core.die()

    after = await restarted(open_core, core)
    await after.hear(talk, "two")

    said = await after.answered(talk, 2)
    assert said[0] == HEARD
    assert 'I remember 1 earlier message: the first was "one"' in said[1]
    await until(lambda: not after.box().published)
    assert len(after.isolator.launches) == 1


async def test_a_kill_between_acknowledgement_and_delivery_delivers_afterwards(
    open_core: OpenCore,
):
    core = await open_core()
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await until(lambda: core.link().acked == 1)
    await core.die()  # nobody has delivered: this core has no delivery service

    channel = FakeChannel()
    hub = Hub(core.store.chatlog)
    delivery = DeliveryService(
        outbox=core.store.ledger, channels={"api": channel}, hub=hub, clock=core.store.clock
    )
    async with Tasks("after", on_failure=print) as tasks:
        tasks.start(delivery.run(), name="delivery")
        await until(lambda: channel.shown)
        delivery.due()
        await until(lambda: not delivery._busy)

    assert channel.texts == [HEARD]
    assert await core.store.ledger.due(now_ms=core.store.clock.now_ms(), limit=9) == []


async def test_a_box_that_never_got_its_key_is_briefed_by_the_next_core(open_core: OpenCore):
    core = await open_core()
    talk = await core.store.begin()
    core.airlocks.keep_keys = True
    await core.hear(talk, "one")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")
    await core.die()
    core.airlocks.keep_keys = False

    after = await restarted(open_core, core)

    assert await after.answered(talk, 1) == [HEARD]
    assert len(after.isolator.launches) == 1


async def test_a_box_lost_between_key_and_briefing_is_replaced(open_core: OpenCore):
    core = await open_core()
    talk = await core.store.begin()
    core.airlocks.lose_records = True
    await core.hear(talk, "one")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")
    await core.die()
    core.airlocks.lose_records = False

    after = await restarted(open_core, core)

    assert await after.answered(talk, 1) == [HEARD]
    assert len(after.isolator.launches) == 2


async def test_a_kill_between_epoch_and_receipt_leaves_a_box_that_nobody_adopts(
    open_core: OpenCore, monkeypatch: pytest.MonkeyPatch
):
    core = await open_core()
    talk = await core.store.begin()
    asked = asyncio.Event()

    async def never(*_args: object) -> None:
        asked.set()
        await asyncio.Future()

    monkeypatch.setattr(core.store.registry, "save_receipt", never)
    await core.hear(talk, "one")
    await asked.wait()
    monkeypatch.undo()

    after = await restarted(open_core, core)

    assert await after.answered(talk, 1) == [HEARD]
    assert after.slot(0) in after.isolator.discarded
    assert (await core.store.registry.session(talk.session)).epoch == 2


async def test_boxes_of_nobody_and_of_closed_sessions_are_ended(open_core: OpenCore):
    core = await open_core()
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    core.slots.keep(await core.store.registry.create_agent(name="spare"))
    await until(lambda: core.slots.blank == 1)
    await core.store.ledger.quarantine(talk.session, reason="mac")

    after = await restarted(open_core, core)

    assert await after.isolator.survivors() == []
    session = await core.store.registry.session(talk.session)
    assert session.state is SessionState.QUARANTINED


async def test_a_box_that_cannot_be_taken_over_is_replaced_and_not_left(
    open_core: OpenCore, monkeypatch: pytest.MonkeyPatch
):
    core = await open_core()
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await core.hear(talk, "!say two\n!slow 10")
    core.isolator._lanes.clear()  # its directories are gone
    monkeypatch.setattr("ironclaw.domain.lifecycle.BASE_DELAY_S", 0.01)

    after = await restarted(open_core, core)

    assert (await after.answered(talk, 2))[1] == "two"
    assert [box.slot for box in await after.isolator.survivors()] == [after.slot(-1)]
    assert after.slot(0) in after.isolator.discarded


# --- what goes wrong ------------------------------------------------------------------------------


async def test_a_store_that_fails_for_a_while_loses_no_message(
    core: Core, store: CoreStore, monkeypatch: pytest.MonkeyPatch
):
    talk = await store.begin()
    backlog, failures = store.ledger.backlog, [1, 2]

    async def failing(session: object) -> object:
        if failures:
            failures.pop()
            raise HostError(Code.DISK_FULL, "The disk is full.", hint="Free some space.")
        return await backlog(session)

    monkeypatch.setattr(store.ledger, "backlog", failing)
    monkeypatch.setattr("ironclaw.services.owner.STORE_RETRY_S", 0.01)
    await core.hear(talk, "one")

    assert await core.answered(talk, 1) == [HEARD]
    assert core.failed == []


async def test_a_closed_session_answers_with_the_reason(core: Core, store: CoreStore):
    talk = await store.begin()
    await store.ledger.quarantine(talk.session, reason="it was bad")
    await core.hear(talk, "one")
    assert await core.answered(talk, 1) == ["This conversation is closed: it was bad."]
