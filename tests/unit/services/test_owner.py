"""The owner: what it does when a box cannot start, and how often it tries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.support.cores import Core, until

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.services.owner import Owner

if TYPE_CHECKING:
    from ironclaw.domain.model import Session
    from ironclaw.services.slots import Slot
    from ironclaw.testing.fakes_store import CoreStore


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that owners would have waited; they wait for nothing."""
    found: list[float] = []

    async def noted(_owner: object, delay_s: float) -> None:
        found.append(delay_s)

    monkeypatch.setattr("ironclaw.services.owner.Owner._wait", noted)
    return found


def broken(code: Code) -> HostError:
    return HostError(code, "runsc is not here.", hint="Install it.")


async def test_what_trying_again_cannot_help_is_told_at_once(core: Core, store: CoreStore):
    talk = await store.begin()
    core.isolator.launch_error = broken(Code.RUNTIME_MISSING)
    await core.hear(talk, "one")

    said = await core.answered(talk, 1)

    assert said == ["The agent cannot start: runsc is not here. (runtime_missing)."]
    await until(lambda: core.sessions.box_state(talk.session) == "none")
    core.isolator.launch_error = None
    await core.hear(talk, "two")
    assert "I remember 1 earlier message" in (await core.answered(talk, 2))[1]


async def test_what_the_agent_was_given_is_told_with_how_to_take_it_back(
    core: Core, store: CoreStore
):
    talk = await store.begin()
    core.isolator.launch_error = HostError(
        Code.HOST_UNSUITED, "The shared directory docs is gone", hint="`ironclaw agent unshare`."
    )
    await core.hear(talk, "one")

    (said,) = await core.answered(talk, 1)

    assert said.startswith("The agent cannot start: The shared directory docs is gone (host_uns")
    assert said.endswith(" `ironclaw agent unshare`.")


async def test_a_start_that_fails_is_tried_again_ever_later_then_parked_with_a_word(
    core: Core, store: CoreStore, waits: list[float]
):
    talk = await store.begin()
    core.isolator.launch_error = broken(Code.RUNTIME_FAILED)
    await core.hear(talk, "one")

    said = await core.answered(talk, 1)

    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert said[0].startswith("The agent's sandbox failed 5 times in a row (gone).")
    core.isolator.launch_error = None
    await core.hear(talk, "two")
    assert len(await core.answered(talk, 2)) == 2


async def test_boxes_that_die_at_once_are_parked_and_ones_that_work_start_from_nothing(
    core: Core, store: CoreStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ironclaw.domain.lifecycle.BASE_DELAY_S", 0.001)
    talk = await store.begin()
    await core.hear(talk, "!hang")
    for count in range(1, 4):
        await until(lambda count=count: len(core.isolator.launches) == count and core.box().todo)
        core.isolator.crash(core.slot())
    await until(lambda: len(core.isolator.launches) == 4 and core.box().todo)
    core.link().answer(core.box().todo[0], "at last")
    assert await core.answered(talk, 1) == ["at last"]
    core.isolator.crash(core.slot())

    await core.hear(talk, "!hang")
    for count in range(5, 10):
        await until(lambda count=count: len(core.isolator.launches) == count and core.box().todo)
        core.isolator.crash(core.slot())

    assert "failed 5 times in a row (ended)" in (await core.answered(talk, 2))[1]


async def test_while_it_waits_it_can_be_stopped(core: Core, store: CoreStore):
    talk = await store.begin()
    core.isolator.launch_error = broken(Code.RUNTIME_FAILED)
    await core.hear(talk, "one")
    await until(lambda: core.announced.launches)

    async with asyncio.timeout(0.8):
        await core.sessions.stop(talk.session)

    assert await core.replies(talk.chat.id) == ["Stopped on request."]


async def test_a_key_that_cannot_be_had_is_final(
    core: Core, store: CoreStore, waits: list[float], monkeypatch: pytest.MonkeyPatch
):
    talk = await store.begin()
    await core.hear(talk, "!hang")
    await until(lambda: core.airlocks.links and core.box().todo)

    def no_key(_session: object) -> bytes:
        raise HostError(Code.KEY_UNUSABLE, "The key is sealed.", hint="Bring the master key.")

    monkeypatch.setattr(store.custodian, "key", no_key)
    core.isolator.crash(core.slot())

    said = await core.answered(talk, 1)

    assert said == ["The agent cannot start: The key is sealed. (key_unusable)."]
    assert await core.codes(talk.chat.id) == [Code.KEY_UNUSABLE]
    await until(lambda: core.sessions.box_state(talk.session) == "none")
    assert await core.isolator.survivors() == []
    assert waits == [1.0]


async def test_the_ledger_is_tried_again_ever_later(
    core: Core, store: CoreStore, waits: list[float], monkeypatch: pytest.MonkeyPatch
):
    talk = await store.begin()
    session, left = store.registry.session, [1] * 4

    async def failing(name: object) -> object:
        if left:
            left.pop()
            raise HostError(Code.DISK_FULL, "The disk is full.", hint="Free some space.")
        return await session(name)

    monkeypatch.setattr(store.registry, "session", failing)
    await core.hear(talk, "one")
    await core.answered(talk, 1)

    assert waits[:4] == [1.0, 2.0, 4.0, 8.0]
    assert core.failed == []


async def test_a_box_that_is_ended_after_its_reply_is_not_ended_without_a_word(
    core: Core, store: CoreStore
):
    """The person is told though nothing of theirs failed, and the session goes on."""
    talk = await store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)

    core.isolator.crash(core.slot(), "oom")

    said = await core.answered(talk, 2)
    assert said[1].startswith("After its last reply: The agent took more memory than it may")
    assert await core.codes(talk.chat.id) == ["", Code.BOX_OUT_OF_MEMORY]
    await core.hear(talk, "two")
    assert "I remember 1 earlier message" in (await core.answered(talk, 3))[2]


async def test_a_box_that_is_let_go_as_its_making_ends_is_let_go(
    core: Core, store: CoreStore, monkeypatch: pytest.MonkeyPatch
):
    """The timeout that would end its making comes one step of the loop too late."""
    made = asyncio.Event()
    bind = Owner._bind

    async def last_step(owner: Owner, session: Session, slot: Slot) -> Session:
        found = await bind(owner, session, slot)
        if not made.is_set():
            made.set()
            leaving.append(asyncio.create_task(owner.retire(), name="leaving"))
            await asyncio.sleep(0)
        return found

    leaving: list[asyncio.Task[None]] = []
    monkeypatch.setattr(Owner, "_bind", last_step)
    talk = await store.begin()
    await core.hear(talk, "one")
    async with asyncio.timeout(10):
        await made.wait()
        await leaving[0]
    assert (await core.answered(talk, 1))[0].startswith('helper heard "one".')
    assert len(core.isolator.launches) == 2
