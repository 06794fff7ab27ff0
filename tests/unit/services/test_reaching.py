"""What a change of an agent does to boxes that run, are made, or wait; what forgetting leaves."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.support.cores import Core, OpenCore, until

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import SlotId, TaskId
from ironclaw.core.tasks import Tasks
from ironclaw.domain.changes.base import (
    DropTask,
    ForgetNotes,
    ForgetSession,
    NewAgent,
    PutAgent,
    PutTask,
    SetArchived,
)
from ironclaw.domain.model import BoxLimits, SessionState, SharedMount, Task
from ironclaw.services.memory import Purged
from ironclaw.services.parts import SessionLimits
from ironclaw.services.reaching import Reaching
from ironclaw.store.change_ops import Cause, execute
from ironclaw.testing.fakes_sandbox import FakeIsolator
from ironclaw.testing.fakes_store import open_core_store
from ironclaw.testing.fakes_wall import FakeAirlocks
from ironclaw_contract.rpc import Use, Used

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.changes.base import Op
    from ironclaw.domain.model import Agent
    from ironclaw.testing.fakes_store import Conversation

SMALL = BoxLimits(memory_bytes=100 * 1024 * 1024)


class Rearmed:
    """Counts."""

    def __init__(self) -> None:
        self.times = 0

    async def rearm(self) -> None:
        self.times += 1


class Notes:
    """Keeps in mind whose notes were taken away."""

    def __init__(self) -> None:
        self.purged: list[tuple[str, str]] = []

    async def purge(self, agent: str, session: SessionId) -> Purged:
        self.purged.append((agent, session))
        return Purged(1, is_whole=True)


def reaching(core: Core, schedules: Rearmed | None = None, notes: Notes | None = None) -> Reaching:
    return Reaching(
        boxes=core.sessions,
        agents=core.store.registry,
        schedules=schedules or Rearmed(),
        notes=notes or Notes(),
    )


async def write(core: Core, op: Op) -> None:
    """What the transaction of a change does."""
    await core.store.registry._change(lambda db: execute(db, op, Cause(1)))


async def change(core: Core, agent: Agent, **fields: Any) -> Agent:
    """Write a change of an agent, and reach what runs."""
    op = PutAgent(structs.replace(agent, **fields))
    await write(core, op)
    reach = reaching(core)
    async with asyncio.timeout(5):
        await reach.reach([op])
    assert await reach.holds([op])
    return await core.store.registry.agent(agent.id)


async def talking(core: Core, **place: str) -> Conversation:
    """A conversation of an agent without blank slots: every box is of a session."""
    talk = await core.store.begin(**place)
    agent = structs.replace(talk.agent, pool_size=0)
    await write(core, PutAgent(agent))
    return talk._replace(agent=agent)


async def begun(core: Core) -> Conversation:
    """One whose box has answered once."""
    talk = await talking(core)
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await until(lambda: core.sessions.box_state(talk.session) == "ready")
    return talk


async def busy(core: Core, talk: Conversation) -> None:
    """The box is in the middle of a turn."""
    await core.hear(talk, "!hang")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")
    await until(lambda: core.box().todo)


def docs(place: Path) -> SharedMount:
    path = place / "docs"
    path.mkdir(exist_ok=True)
    found = path.stat()
    return SharedMount(name="docs", path=str(path), device=found.st_dev, inode=found.st_ino)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh boxes after milliseconds, not seconds, however often they die."""
    monkeypatch.setattr("ironclaw.domain.lifecycle.BASE_DELAY_S", 0.001)
    monkeypatch.setattr("ironclaw.domain.lifecycle.PARK_AFTER", 1000)


# --- a running box --------------------------------------------------------------------------------


async def test_a_running_box_is_told_who_its_agent_is_now(core: Core):
    talk = await begun(core)

    await change(core, talk.agent, persona="be brief", tools=("clock",), max_steps=3)

    told = core.box().setups[-1]
    assert (told.persona, told.tools, told.max_steps) == ("be brief", ("clock",), 3)
    assert len(core.isolator.launches) == 1
    await core.hear(talk, "two")
    assert "I remember 1 earlier message" in (await core.answered(talk, 2))[1]


async def test_telling_the_same_again_tells_nothing(core: Core):
    talk = await begun(core)
    agent = await change(core, talk.agent, persona="be brief")
    count = len(core.box().setups)

    await change(core, agent)

    assert len(core.box().setups) == count


async def test_the_next_model_call_is_the_new_model_s(core: Core):
    talk = await begun(core)
    await change(core, talk.agent, model="nobody:nothing")

    await core.hear(talk, "two")

    assert (await core.answered(talk, 2))[1] != ""
    assert (await core.codes(talk.chat.id))[1] != ""
    assert len(core.isolator.launches) == 1


async def test_a_turn_may_take_what_the_agent_says(open_core: OpenCore):
    core = await open_core(SessionLimits(turn_s=60))
    talk = await begun(core)
    await busy(core, talk)

    await change(core, talk.agent, turn_s=1)

    await until(lambda: len(core.isolator.launches) == 2)


@pytest.mark.parametrize("is_busy", [True, False])
async def test_a_box_that_would_be_launched_otherwise_is_replaced(core: Core, is_busy: bool):
    """What it was working on goes on in the fresh one, and nobody is told anything."""
    talk = await begun(core)
    if is_busy:
        await busy(core, talk)
    former = core.slot()

    agent = await change(core, talk.agent, limits=SMALL)

    assert former in core.isolator.discarded
    if is_busy:
        await until(lambda: len(core.isolator.launches) == 2 and core.box().todo)
        core.link().answer(core.box().todo[0], "done")
    else:
        await core.hear(talk, "two")
    said = await core.answered(talk, 2)
    assert await core.codes(talk.chat.id) == ["", ""]
    assert core.isolator.launches[-1].limits == agent.limits
    assert core.isolator.launches[-1].workspace == core.isolator.launches[0].workspace
    assert is_busy or "I remember 1 earlier message" in said[1]


async def test_a_shared_directory_comes_and_goes(core: Core, tmp_path: Path):
    talk = await begun(core)
    mount = docs(tmp_path)
    agent = await change(core, talk.agent, mounts=(mount,))
    await core.hear(talk, "two")
    await core.answered(talk, 2)
    assert core.isolator.launches[-1].mounts == (mount,)

    await change(core, agent, mounts=())
    await core.hear(talk, "three")
    await core.answered(talk, 3)

    assert core.isolator.launches[-1].mounts == ()
    assert len(core.isolator.launches) == 3


async def test_a_shared_directory_that_is_another_one_by_now_starts_no_box(
    core: Core, tmp_path: Path
):
    """People are told which, and with the mount taken away the agent answers again."""
    talk = await begun(core)
    mount = docs(tmp_path)
    agent = await change(core, talk.agent, mounts=(mount,))
    (tmp_path / "docs").rename(tmp_path / "former")
    docs(tmp_path)

    await core.hear(talk, "two")

    said = await core.answered(talk, 2)
    assert "The shared directory docs is not the one that was approved" in said[1]
    assert (await core.codes(talk.chat.id))[1] == Code.HOST_UNSUITED
    await change(core, agent, mounts=())
    await core.hear(talk, "three")
    assert "three" in (await core.answered(talk, 3))[2]


async def test_a_change_while_a_box_is_being_made_is_not_missed(core: Core):
    talk = await talking(core)
    core.airlocks.are_silent = True
    await core.hear(talk, "one")
    await until(lambda: core.isolator.launches)

    await change(core, talk.agent, limits=SMALL, persona="be brief")
    core.airlocks.are_silent = False
    core.link().arrive()

    await core.answered(talk, 1)
    assert core.isolator.launches[-1].limits == SMALL
    assert core.box().setups[-1].persona == "be brief"
    assert core.airlocks.links[0].box.setups == []


async def test_a_change_while_the_airlock_is_replaced_reaches_the_box(core: Core):
    talk = await begun(core)
    core.airlocks.are_silent = True
    core.link().die()
    await until(lambda: len(core.airlocks.links) == 2)
    op = PutAgent(structs.replace(talk.agent, persona="be brief"))
    await write(core, op)

    reached = asyncio.get_running_loop().create_task(reaching(core).reach([op]))
    await asyncio.sleep(0.02)
    assert not reached.done()
    core.link().arrive()
    async with asyncio.timeout(5):
        await reached

    assert core.box().setups[-1].persona == "be brief"


async def test_boxes_of_other_agents_are_left_alone(core: Core):
    talk = await begun(core)
    other = await talking(core, name="other", place="other")
    await core.hear(other, "one")
    await core.answered(other, 1)
    count = len(core.box().setups)

    await change(core, talk.agent, limits=SMALL, persona="x")

    assert len(core.box().setups) == count
    assert core.slot() not in core.isolator.discarded


async def test_archiving_ends_every_box_and_restoring_makes_blank_ones(core: Core):
    talk = await begun(core)
    await change(core, talk.agent, pool_size=1)
    await until(lambda: core.slots.blank == 1)
    reach = reaching(core)
    op = SetArchived(talk.agent.id, archived=True)
    await write(core, op)
    assert not await reach.holds([op])

    await reach.reach([op])

    assert await reach.holds([op])
    assert await core.isolator.survivors() == []
    back = SetArchived(talk.agent.id, archived=False)
    await write(core, back)
    await reach.reach([back])
    await until(lambda: core.slots.blank == 1)


async def test_whoever_waits_for_an_archived_agent_is_told(core: Core):
    talk = await begun(core)
    await busy(core, talk)
    op = SetArchived(talk.agent.id, archived=True)
    await write(core, op)

    await reaching(core).reach([op])

    assert (await core.answered(talk, 2))[1] == "The agent helper is archived."
    assert await core.isolator.survivors() == []


async def test_an_old_change_that_is_finished_late_sets_nothing_back(core: Core):
    talk = await begun(core)
    old = PutAgent(structs.replace(talk.agent, persona="old"))
    await write(core, old)
    await change(core, talk.agent, persona="new")

    await reaching(core).reach([old])

    assert core.box().setups[-1].persona == "new"


# --- blank slots ----------------------------------------------------------------------------------


async def test_stale_blank_slots_are_ended_and_new_ones_made(core: Core):
    agent = await core.store.registry.create_agent(name="helper", pool_size=2)
    await reaching(core).reach([NewAgent(agent)])
    await until(lambda: core.slots.blank == 2)
    former = {core.slot(0), core.slot(1)}

    await change(core, agent, limits=SMALL, pool_size=1)

    assert former <= set(core.isolator.discarded)
    await until(lambda: core.slots.blank == 1)
    assert core.isolator.launches[-1].limits == SMALL


async def test_fewer_blank_slots_are_kept_when_fewer_are_wanted(core: Core):
    agent = await core.store.registry.create_agent(name="helper", pool_size=2)
    core.slots.keep(agent)
    await until(lambda: core.slots.blank == 2)

    await change(core, agent, pool_size=1)

    assert core.slots.blank == 1
    assert len(core.isolator.launches) == 2


# --- host tools -----------------------------------------------------------------------------------


class Tools:
    """Answers with the tool's name, when it may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.error: Exception | None = None
        self.used: list[tuple[AgentId, SessionId, str]] = []

    async def use(self, agent: AgentId, session: SessionId, use: Use) -> Used:
        self.used.append((agent, session, use.tool))
        await self.may.wait()
        if self.error is not None:
            raise self.error
        return Used(use.call, f"did {use.tool}")


def use(call: int, tool: str = "my_rights") -> Use:
    return Use(call, "msg_1", f"key{call}", tool, "{}")


@pytest.fixture
def tools(core: Core) -> Tools:
    found = Tools()
    core.sessions._parts = core.sessions._parts._replace(tools=found)
    return found


async def test_the_socket_of_host_tools_comes_and_goes_with_them(core: Core, tools: Tools):
    talk = await begun(core)
    assert core.link().offers == []

    agent = await change(core, talk.agent, tools=("clock", "my_rights"))
    assert core.link().has_tools
    tools.may.set()
    core.link().use(use(1))
    await until(lambda: core.link().used)
    assert core.link().used == [Used(1, "did my_rights")]
    assert tools.used == [(talk.agent.id, talk.session, "my_rights")]

    core.link().die()
    await until(lambda: len(core.airlocks.links) == 2)
    await until(lambda: core.link().has_tools)
    await change(core, agent, tools=("clock",))
    assert not core.link().has_tools


@pytest.mark.parametrize("tool", ["request_change", "clock", "no_such"])
async def test_a_tool_that_the_agent_does_not_hold_is_an_error_of_the_box(
    core: Core, tools: Tools, tool: str
):
    talk = await begun(core)
    await change(core, talk.agent, tools=("my_rights", "clock"))

    core.link().use(use(7, tool))

    await until(lambda: core.link().used)
    assert core.link().used == [Used(7, "you do not have this tool", is_error=True)]
    assert tools.used == []
    assert core.sessions.box_state(talk.session) == "ready"


@pytest.mark.parametrize("error", [HostError(Code.STORE_FAILED, "x"), ValueError("a secret")])
async def test_a_tool_that_fails_takes_nothing_with_it(core: Core, tools: Tools, error: Exception):
    talk = await begun(core)
    await change(core, talk.agent, tools=("my_rights",))
    tools.error = error
    tools.may.set()

    core.link().use(use(1))

    await until(lambda: core.link().used)
    assert core.link().used[0].is_error
    assert "secret" not in core.link().used[0].text
    await core.hear(talk, "two")
    await core.answered(talk, 2)
    assert len(core.isolator.launches) == 1


async def test_a_box_uses_four_tools_at_once(core: Core, tools: Tools):
    talk = await begun(core)
    await change(core, talk.agent, tools=("my_rights",))
    for call in range(1, 6):
        core.link().use(use(call))

    await until(lambda: core.link().used)
    assert [(used.call, used.is_error) for used in core.link().used] == [(5, True)]
    tools.may.set()
    await until(lambda: len(core.link().used) == 5)
    core.link().use(use(6))
    await until(lambda: core.link().used[-1] == Used(6, "did my_rights"))


# --- after a restart ------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"limits": SMALL}, {"persona": "be brief"}])
async def test_what_changed_while_no_core_ran_reaches_the_box_that_ran_on(
    open_core: OpenCore, fields: dict[str, Any]
):
    core = await open_core()
    talk = await begun(core)
    await core.die()
    await write(core, PutAgent(structs.replace(talk.agent, **fields)))

    after = await open_core()
    await after.sessions.adopt(await after.isolator.survivors())
    await after.hear(talk, "two")

    assert "I remember 1 earlier message" in (await after.answered(talk, 2))[1]
    is_replaced = "limits" in fields
    assert len(after.isolator.launches) == 1 + is_replaced
    assert after.isolator.launches[-1].limits == fields.get("limits", BoxLimits())
    assert after.box().setups[-1].persona == fields.get("persona", "")


async def test_a_turn_of_a_stale_box_goes_on_after_a_restart(open_core: OpenCore):
    core = await open_core()
    talk = await begun(core)
    await busy(core, talk)
    await core.die()
    await write(core, PutAgent(structs.replace(talk.agent, limits=SMALL)))

    after = await open_core()
    await after.sessions.adopt(await after.isolator.survivors())
    for session in await after.store.registry.waiting():
        after.sessions.wake(session)

    await until(lambda: len(after.isolator.launches) == 2 and after.box().todo)
    after.link().answer(after.box().todo[0], "done")
    assert (await after.answered(talk, 2))[1] == "done"


# --- forgetting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_busy", [True, False])
async def test_a_forgotten_conversation_leaves_no_box_no_key_and_no_files(
    core: Core, is_busy: bool
):
    talk = await begun(core)
    if is_busy:
        await busy(core, talk)
    workspace = core.isolator.launches[-1].workspace
    (workspace / "note").write_text("secret")
    op = ForgetSession(talk.session, talk.agent.id)
    await write(core, op)
    reach = reaching(core)
    assert not await reach.holds([op])

    for _ in range(2):
        async with asyncio.timeout(5):
            await reach.reach([op])

    assert await reach.holds([op])
    assert await core.isolator.survivors() == []
    assert not workspace.exists()
    assert workspace in core.airlocks.swept
    with pytest.raises(HostError) as caught:
        core.store.custodian.key(talk.session)
    assert caught.value.code is Code.KEY_UNUSABLE
    row = await core.store.registry.session(talk.session)
    assert row.state is SessionState.FORGOTTEN
    assert core.failed == []


async def test_what_was_noted_in_it_goes_when_its_box_is_gone(core: Core):
    talk = await begun(core)
    ops = [ForgetNotes(talk.session, talk.agent.id), ForgetSession(talk.session, talk.agent.id)]
    for op in ops:
        await write(core, op)
    notes = Notes()

    async def purge(agent: str, session: SessionId) -> Purged:
        assert await core.isolator.survivors() == []
        return await Notes.purge(notes, agent, session)

    notes.purge = purge  # type: ignore[method-assign]
    await reaching(core, notes=notes).reach(ops)
    assert notes.purged == [(talk.agent.id, talk.session)]
    # Those of another conversation, which is not forgotten, stay.
    await reaching(core, notes=notes).reach([ForgetSession(talk.session, talk.agent.id)])
    assert len(notes.purged) == 1


@pytest.mark.parametrize("step", ["key", "files", "nothing"])
async def test_forgetting_goes_on_wherever_a_killed_core_left_it(open_core: OpenCore, step: str):
    core = await open_core()
    talk = await begun(core)
    workspace = core.isolator.launches[-1].workspace
    op = ForgetSession(talk.session, talk.agent.id)
    await write(core, op)
    await core.die()
    if step != "nothing":
        await core.store.custodian.forget(talk.session)
    if step == "files":
        await asyncio.to_thread(shutil.rmtree, workspace)

    after = await open_core()
    await after.sessions.adopt(await after.isolator.survivors())
    after.sessions.wake(talk.session)
    await until(lambda: after.sessions.box_state(talk.session) == "none")
    await reaching(after).reach([op])

    assert await reaching(after).holds([op])
    assert not workspace.exists()
    assert await after.isolator.survivors() == []
    assert after.failed == []


# --- anything at any time -------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hear", "persona", "limits", "tools", "airlock", "box"]),
        st.integers(0, 40),
    ),
    min_size=3,
    max_size=10,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
async def test_whatever_happens_when_every_message_is_answered_and_the_box_knows(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
):
    """Changes, messages and deaths at every step of each other."""
    place = tmp_path_factory.mktemp("house")
    async with open_core_store(place / "state") as store:
        core = Core(store, FakeIsolator(place / "house"), FakeAirlocks(), SessionLimits())
        async with core, Tasks("changes", on_failure=core._note) as changes:
            talk = await begun(core)
            agent, heard = talk.agent, 1
            reach = reaching(core)
            for number, (step, pauses) in enumerate(steps):
                match step:
                    case "hear":
                        heard += 1
                        await core.hear(talk, f"m{number}")
                    case "airlock":
                        core.link().die()
                    case "box":
                        for box in await core.isolator.survivors():
                            core.isolator.crash(box.slot)
                    case _:
                        agent = structs.replace(agent, **_changed(step, number))
                        await write(core, PutAgent(agent))
                        changes.start(reach.reach([PutAgent(agent)]), name=f"{number}")
                for _ in range(pauses):
                    await asyncio.sleep(0)
            heard += 1
            await core.hear(talk, "last")
            async with asyncio.timeout(20):
                await reach.reach([PutAgent(agent)])
            said = await core.answered(talk, heard)
            assert len(said) == heard
            assert set(await core.codes(talk.chat.id)) == {""}
            await until(lambda: core.sessions.box_state(talk.session) == "ready")
            assert await reach.holds([PutAgent(agent)])
            told = core.box().setups[-1]
            assert (told.persona, told.tools) == (agent.persona, agent.tools)
            assert core.isolator.launches[-1].limits == agent.limits
            assert core.link().has_tools == ("my_rights" in agent.tools)
        assert core.failed == []


def _changed(step: str, number: int) -> dict[str, Any]:
    """What a step of that name changes; each time something else."""
    match step:
        case "persona":
            return {"persona": f"p{number}"}
        case "tools":
            return {"tools": ("clock", "my_rights") if number % 2 else ("clock",)}
        case _:
            return {"limits": BoxLimits(memory_bytes=(100 + number) << 20)}


# --- the rest -------------------------------------------------------------------------------------


async def test_tasks_are_armed_again_and_nothing_else_is_touched(core: Core):
    talk = await begun(core)
    schedules = Rearmed()
    task = Task(
        id=TaskId("tsk_1"),
        agent=talk.agent.id,
        name="t",
        channel="api",
        platform_id="desk",
        prompt="x",
        at_ms=1,
    )
    reach = reaching(core, schedules)

    await reach.reach([PutTask(task), DropTask(task.id, talk.agent.id)])
    assert schedules.times == 1
    await reach.reach([PutAgent(talk.agent)])

    assert schedules.times == 1
    assert len(core.box().setups) == 1
    assert await reach.holds([PutTask(task)])


async def test_a_box_that_cannot_be_ended_is_an_error_that_can_be_tried_again(
    core: Core, monkeypatch: pytest.MonkeyPatch
):
    agent = await core.store.registry.create_agent(name="helper", pool_size=1)
    core.slots.keep(agent)
    await until(lambda: core.slots.blank == 1)
    op = PutAgent(structs.replace(agent, limits=SMALL))
    await write(core, op)
    discard = core.isolator.discard

    async def fails(_slot: SlotId) -> None:
        raise HostError(Code.RUNTIME_FAILED, "x")

    monkeypatch.setattr(core.isolator, "discard", fails)
    with pytest.raises(HostError):
        await reaching(core).reach([op])
    monkeypatch.setattr(core.isolator, "discard", discard)
    await reaching(core).reach([op])
    assert await reaching(core).holds([op])
