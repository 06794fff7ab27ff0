"""Slots: warm and cold, kept ready, ended when stale or dead; nothing is left of a failed start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec import structs
from tests.support.cores import Core, until

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PeerError
from ironclaw.domain.wall import Durable
from ironclaw.services import hello
from ironclaw.services.enclosing import airlocks_weaker

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.domain.model import Agent
    from ironclaw.testing.fakes_store import CoreStore


@pytest.fixture
async def agent(store: CoreStore) -> Agent:
    return await store.registry.create_agent(name="helper", pool_size=2)


def workspaces(core: Core) -> list[str]:
    parent: Path = core.isolator._root / Durable.WORKSPACE
    return sorted(path.name for path in parent.iterdir()) if parent.exists() else []


async def kept(core: Core, agent: Agent) -> None:
    core.slots.keep(agent)
    await until(lambda: core.slots.blank == agent.pool_size)


async def test_a_new_session_gets_a_warm_slot_and_the_pool_is_filled_again(
    core: Core, agent: Agent
):
    await kept(core, agent)
    ready = {spec.dir.slot for spec in core.isolator.launches}

    slot = await core.slots.take(agent, workspace="")

    assert slot.id in ready
    assert slot.workspace == slot.id
    assert slot.receipt is not None
    await until(lambda: core.slots.blank == 2)
    await core.slots.release(slot)


async def test_a_session_with_a_workspace_gets_a_cold_slot_on_it(core: Core, agent: Agent):
    await kept(core, agent)
    slot = await core.slots.take(agent, workspace="mine")
    assert core.isolator.launches[-1].workspace.name == "mine"
    assert core.slots.blank == 2
    await core.slots.release(slot)
    assert "mine" in workspaces(core)


async def test_no_slot_is_handed_out_twice(core: Core, agent: Agent):
    await kept(core, agent)
    taken = [await core.slots.take(agent, workspace="") for _ in range(6)]
    assert len({slot.id for slot in taken}) == 6
    for slot in taken:
        await core.slots.release(slot)


async def test_a_blank_box_that_dies_is_replaced_and_leaves_nothing(core: Core, agent: Agent):
    await kept(core, agent)
    dead = core.slot(0)
    core.isolator.crash(dead)

    await until(lambda: len(core.isolator.launches) == 3 and core.slots.blank == 2)

    assert dead in core.isolator.discarded
    assert dead not in workspaces(core)


async def test_a_stale_slot_is_never_handed_out(core: Core, agent: Agent):
    await kept(core, agent)
    old = {core.slot(0), core.slot(1)}
    core.image = "b"

    slot = await core.slots.take(agent, workspace="")

    assert slot.id not in old
    assert slot.receipt is not None
    assert slot.receipt.image_digest == "sha256:" + "b" * 64
    await until(lambda: old <= set(core.isolator.discarded))
    await until(lambda: not old & set(workspaces(core)))
    await core.slots.release(slot)


async def test_a_slot_of_other_limits_is_stale_too(core: Core, agent: Agent):
    await kept(core, agent)
    old = {core.slot(0), core.slot(1)}
    limits = msgspec.structs.replace(agent.limits, memory_bytes=agent.limits.memory_bytes // 2)

    slot = await core.slots.take(msgspec.structs.replace(agent, limits=limits), workspace="")

    assert slot.id not in old
    await core.slots.release(slot)


async def test_dropping_an_agent_ends_its_blank_slots_and_their_empty_workspaces(
    core: Core, agent: Agent
):
    await kept(core, agent)
    used = core.isolator.launches[0]
    (used.workspace / "file").write_text("a box wrote this while it was blank")

    await core.slots.drop(agent.id)

    assert core.slots.blank == 0
    assert await core.isolator.survivors() == []
    assert workspaces(core) == [used.dir.slot], "what holds something is nobody's to remove"
    assert all(link.is_dead for link in core.airlocks.links)


async def test_dropping_while_a_slot_is_made_ends_that_one_too(core: Core, agent: Agent):
    core.airlocks.are_silent = True
    core.slots.keep(agent)
    await until(lambda: core.isolator.launches)
    await core.slots.drop(agent.id)
    core.link().arrive()

    await until(lambda: core.isolator.discarded == [core.slot()])

    assert core.slots.blank == 0
    assert workspaces(core) == []


async def test_closing_while_a_slot_is_made_leaves_nothing(core: Core, agent: Agent):
    core.airlocks.are_silent = True
    core.slots.keep(agent)
    await until(lambda: core.isolator.launches)

    await core.__aexit__()

    assert await core.isolator.survivors() == []
    assert workspaces(core) == []
    assert core.link().is_dead


# --- starts that fail -----------------------------------------------------------------------------


async def failed(core: Core, agent: Agent, *, workspace: str = "") -> Exception:
    with pytest.raises((HostError, PeerError)) as caught:
        await core.slots.take(agent, workspace=workspace)
    assert await core.isolator.survivors() == []
    assert workspaces(core) == ([workspace] if workspace else [])
    assert all(link.is_dead for link in core.airlocks.links)
    return caught.value


async def test_a_launch_that_fails_leaves_nothing(core: Core, agent: Agent):
    core.isolator.launch_error = HostError(Code.RUNTIME_FAILED, "runsc said no", hint="Look.")
    error = await failed(core, agent)
    assert error is core.isolator.launch_error
    await failed(core, agent, workspace="mine")
    assert core.announced.launches == [Code.RUNTIME_FAILED] * 2


async def test_a_box_that_says_nothing_in_time_is_given_up(
    core: Core, agent: Agent, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hello, "HELLO_TIMEOUT_S", 0.01)
    core.airlocks.are_silent = True
    error = await failed(core, agent)
    assert isinstance(error, HostError)
    assert error.code is Code.LAUNCH_TIMEOUT


async def test_a_box_that_ends_before_its_hello_is_not_waited_for(core: Core, agent: Agent):
    core.airlocks.are_silent = True
    async with asyncio.timeout(2), asyncio.TaskGroup() as group:
        task = group.create_task(failed(core, agent))
        await until(lambda: core.isolator.launches)
        core.isolator.crash(core.slot())
    assert "ended before it said hello (exit)" in str(task.result())


async def test_an_airlock_that_ends_before_the_hello_is_an_error(core: Core, agent: Agent):
    core.airlocks.are_silent = True
    async with asyncio.timeout(2), asyncio.TaskGroup() as group:
        task = group.create_task(failed(core, agent))
        await until(lambda: core.isolator.launches)
        core.link().die()
    error = task.result()
    assert isinstance(error, HostError)
    assert error.code is Code.AIRLOCK_FAILED


async def test_a_blank_box_that_does_more_than_say_hello_is_not_believed(core: Core, agent: Agent):
    core.airlocks.are_silent = True
    async with asyncio.timeout(2), asyncio.TaskGroup() as group:
        task = group.create_task(failed(core, agent))
        await until(lambda: core.isolator.launches)
        core.link().tamper("frame")
    error = task.result()
    assert isinstance(error, PeerError)
    assert error.code is Code.TAMPER


async def test_a_pool_whose_refill_failed_is_filled_once_a_start_works(core: Core, agent: Agent):
    core.isolator.launch_error = HostError(Code.RUNTIME_FAILED, "runsc said no", hint="Look.")
    core.slots.keep(agent)
    await until(lambda: core.announced.launches)
    core.isolator.launch_error = None

    slot = await core.slots.take(agent, workspace="mine")

    await until(lambda: core.slots.blank == 2)
    await core.slots.release(slot)


async def test_a_person_does_not_wait_for_the_pool(core: Core, store: CoreStore):
    """Many agents' pools are being filled, and all of their boxes are slow."""
    agents = [await store.registry.create_agent(name=f"a{n}", pool_size=3) for n in range(3)]
    core.airlocks.are_silent = True
    for one in agents:
        core.slots.keep(one)
    await until(lambda: core.isolator.launches)
    core.airlocks.are_silent = False

    async with asyncio.timeout(2):
        slot = await core.slots.take(agents[2], workspace="mine")

    assert core.slots.blank == 0
    await core.slots.release(slot)


# --- airlocks of slots ----------------------------------------------------------------------------


async def test_releasing_ends_box_and_airlock_even_when_the_box_does_not_go(
    core: Core, agent: Agent, monkeypatch: pytest.MonkeyPatch
):
    slot = await core.slots.take(agent, workspace="mine")

    async def failing(_slot: object) -> None:
        raise HostError(Code.RUNTIME_FAILED, "runsc took too long", hint="Look.")

    with monkeypatch.context() as patch:
        patch.setattr(core.isolator, "discard", failing)
        with pytest.raises(HostError):
            await core.slots.release(slot)
    (link,) = core.airlocks.links
    assert link.is_dead
    await core.slots.release(slot)


async def test_the_next_blank_slot_is_made_while_nobody_waits_for_the_last(
    core: Core, agent: Agent, monkeypatch: pytest.MonkeyPatch
):
    warm = structs.replace(agent, pool_size=1)
    core.slots.keep(warm)
    await until(lambda: core.slots.blank == 1)
    monkeypatch.setattr("ironclaw.services.slots.REFILL_AFTER_S", 0.1)
    slot = await core.slots.take(warm, workspace="")
    await asyncio.sleep(0.03)
    assert len(core.isolator.launches) == 1
    await until(lambda: core.slots.blank == 1)
    await core.slots.release(slot)


async def test_nothing_is_made_for_an_agent_that_was_dropped_meanwhile(
    core: Core, agent: Agent, monkeypatch: pytest.MonkeyPatch
):
    warm = structs.replace(agent, pool_size=1)
    core.slots.keep(warm)
    await until(lambda: core.slots.blank == 1)
    monkeypatch.setattr("ironclaw.services.slots.REFILL_AFTER_S", 0.02)
    slot = await core.slots.take(warm, workspace="")
    await core.slots.drop(warm.id)
    await asyncio.sleep(0.05)
    assert len(core.isolator.launches) == 1
    await core.slots.release(slot)


async def test_a_new_airlock_finds_the_same_box(core: Core, agent: Agent):
    slot = await core.slots.take(agent, workspace="mine")
    await core.slots.relink(slot)
    former, link = core.airlocks.links
    assert former.is_dead
    assert link.pid == slot.link.pid
    assert link.box is former.box
    await core.slots.release(slot)


async def test_every_airlock_is_limited_and_a_host_that_cannot_is_said(core: Core, agent: Agent):
    slot = await core.slots.take(agent, workspace="mine")
    assert core.isolator.enclosed == [(slot.id, slot.link.pid)]
    assert slot.receipt is not None
    assert "cgroup" in slot.receipt.airlock_held
    await core.slots.relink(slot)
    assert core.isolator.enclosed[1] == (slot.id, slot.link.pid)
    await core.slots.release(slot)

    core.isolator.can_enclose = False
    weaker = await core.slots.take(agent, workspace="mine")
    assert weaker.receipt is not None
    assert weaker.receipt.airlock_missing == ("cgroup",)
    assert "airlocks run without cgroup" in weaker.receipt.weaker
    assert core.slots.weaker == ("airlocks run without cgroup",)
    await core.slots.release(weaker)


async def test_what_airlocks_go_without_is_the_same_list_for_whoever_asks(core: Core, agent: Agent):
    """The proof asks with an airlock of its own; receipts and `status` with those that work."""
    core.isolator.can_enclose = False
    asked = await airlocks_weaker(core.isolator, core.airlocks)
    assert core.link().is_dead
    assert core.isolator.discarded

    slot = await core.slots.take(agent, workspace="mine")

    assert slot.receipt is not None
    assert asked == core.slots.weaker == ("airlocks run without cgroup",)
    assert set(asked) <= set(slot.receipt.weaker)
    await core.slots.release(slot)


async def test_an_airlock_that_cannot_be_looked_after_is_ended(
    core: Core, agent: Agent, monkeypatch: pytest.MonkeyPatch
):
    async def stuck(*_: object) -> bool:
        raise HostError(Code.HOST_UNSUITED, "no threads")

    monkeypatch.setattr(core.isolator, "enclose", stuck)
    with pytest.raises(HostError):
        await core.slots.take(agent, workspace="mine")
    assert core.link().is_dead
