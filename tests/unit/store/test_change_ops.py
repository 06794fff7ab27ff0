"""What a change writes: each op once, in the audit with the change, and never half."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.changing import ANN, BOB, NOW_MS, migrated
from tests.support.past_gateway import archive_agent

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import AgentId, ChangeId, ChatId, PrincipalId, SessionId, TaskId, WiringId
from ironclaw.domain.audit import AuditEvent, By, Via
from ironclaw.domain.changes.base import (
    DropStanding,
    DropTask,
    DropWiring,
    ForgetNotes,
    ForgetSession,
    NewAgent,
    Op,
    PutAgent,
    PutChat,
    PutPerson,
    PutPolicy,
    PutStanding,
    PutTask,
    PutWiring,
    SetArchived,
)
from ironclaw.domain.model import (
    Agent,
    MessageStatus,
    Role,
    SessionState,
    Standing,
    Task,
    UnknownSender,
    Wiring,
)
from ironclaw.domain.policy import DEFAULT, Policy
from ironclaw.domain.routing import Seat
from ironclaw.store import person_links
from ironclaw.store.change_ops import Cause, execute
from ironclaw.store.op_codec import pack_ops, unpack_ops
from ironclaw.testing.fakes_store import outbound
from ironclaw_contract.records import Say, TurnEnd

if TYPE_CHECKING:
    from ironclaw.domain.audit import AuditRecord
    from ironclaw.testing.fakes_store import Conversation, CoreStore

CAUSE = Cause(NOW_MS, By("api:bob", Via.API), ChangeId("chg_a"), "tools")


async def write(core: CoreStore, *ops: Op, cause: Cause = CAUSE) -> list[bool]:
    """Execute ops; what each one said of itself."""
    return await core.registry._change(lambda db: [execute(db, op, cause) for op in ops])


async def told(core: CoreStore) -> AuditRecord:
    """The newest record."""
    return (await core.audit.tail(limit=1))[0]


async def rows(core: CoreStore, query: str) -> list[object]:
    return await core.store.read(lambda db: [tuple(row) for row in db.execute(query)])


async def twice(core: CoreStore, op: Op) -> AuditRecord:
    """Write an op two times: the second alters nothing and leaves no record. The first's record."""
    before = len(await core.audit.tail(limit=1000))
    assert await write(core, op) == [True]
    assert await write(core, op) == [False]
    records = await core.audit.tail(limit=1000)
    assert len(records) == before + 1
    record = records[-1]
    assert (record.actor, record.via, record.change) == ("api:bob", Via.API, "chg_a")
    return record


# --- agents ---------------------------------------------------------------------------------------


async def test_a_new_agent_gets_a_lane_of_its_own(core: CoreStore):
    first = await core.registry.create_agent(name="first")
    agent = Agent(id=AgentId("agt_new"), name="second", lane=first.lane, tools=("read_file",))

    record = await twice(core, NewAgent(agent))

    made = await core.registry.agent("second")
    assert made.lane > first.lane
    assert made == msgspec.structs.replace(agent, lane=made.lane)
    assert (record.event, record.agent) == (AuditEvent.AGENT_CREATED, "agt_new")


async def test_a_name_that_is_taken_is_a_conflict(core: CoreStore):
    await core.registry.create_agent(name="taken")

    with pytest.raises(UserError) as caught:
        await write(core, NewAgent(Agent(id=AgentId("agt_x"), name="taken")))

    assert caught.value.code is Code.CONFLICT


async def test_an_agent_changes_and_keeps_its_lane_and_its_end(core: CoreStore):
    agent = await core.registry.create_agent(name="helper")
    await archive_agent(core.registry, agent.id)
    wanted = msgspec.structs.replace(agent, tools=("write_file",), lane=99, archived=False)

    record = await twice(core, PutAgent(wanted))

    found = await core.registry.agent(agent.id)
    assert (found.tools, found.lane, found.archived) == (("write_file",), agent.lane, True)
    assert (record.event, record.name, record.kind) == (
        AuditEvent.AGENT_CHANGED, "helper", "tools",
    )  # fmt: skip


async def test_an_agent_that_is_not_there_does_not_change(core: CoreStore):
    with pytest.raises(UserError) as caught:
        await write(core, PutAgent(Agent(id=AgentId("agt_none"), name="none")))

    assert caught.value.code is Code.NOT_FOUND


async def test_an_agent_ends_and_comes_back(core: CoreStore):
    agent = await core.registry.create_agent(name="helper")

    ended = await twice(core, SetArchived(agent.id, archived=True))
    back = await twice(core, SetArchived(agent.id, archived=False))

    assert (ended.event, back.event) == (AuditEvent.AGENT_ARCHIVED, AuditEvent.AGENT_RESTORED)
    assert not (await core.registry.agent(agent.id)).archived


async def test_an_agent_whose_name_is_another_ones_does_not_come_back(core: CoreStore):
    agent = await core.registry.create_agent(name="helper")
    await archive_agent(core.registry, agent.id)
    await core.registry.create_agent(name="helper")

    with pytest.raises(UserError) as caught:
        await write(core, SetArchived(agent.id, archived=False))

    assert caught.value.code is Code.CONFLICT


# --- chats and wirings ----------------------------------------------------------------------------


async def test_a_chat_is_made_once_and_its_strangers_are_set(core: CoreStore):
    quiet = PutChat(ChatId("cht_a"), "api", "room", None)
    assert await write(core, quiet, quiet) == [True, False]

    record = await twice(core, PutChat(ChatId("cht_b"), "api", "room", UnknownSender.ASK))

    place = await core.registry.place("api", "room")
    assert place is not None
    assert (place.chat.id, place.chat.unknown_sender) == ("cht_a", UnknownSender.ASK)
    assert (record.event, record.chat, record.reason) == (AuditEvent.CHAT_POLICY, "cht_a", "ask")


async def test_a_wiring_finds_its_chat_by_place(core: CoreStore):
    agent = await core.registry.create_agent(name="helper")
    chat = await core.registry.ensure_chat(channel="api", platform_id="room")
    wiring = Wiring(id=WiringId("wir_a"), chat=ChatId("cht_guess"), agent=agent.id, priority=7)

    record = await twice(core, PutWiring(wiring, "api", "room"))

    place = await core.registry.place("api", "room")
    assert place is not None
    assert place.wirings == (msgspec.structs.replace(wiring, chat=chat.id),)
    assert (record.event, record.wiring, record.chat) == (
        AuditEvent.WIRING_MADE, "wir_a", chat.id,
    )  # fmt: skip


@pytest.mark.parametrize("place", ["room", "nowhere"])
async def test_a_wiring_needs_its_chat_and_its_agent(core: CoreStore, place: str):
    await core.registry.ensure_chat(channel="api", platform_id="room")
    wiring = Wiring(id=WiringId("wir_a"), chat=ChatId(""), agent=AgentId("agt_none"))

    with pytest.raises(UserError) as caught:
        await write(core, PutWiring(wiring, "api", place))

    assert caught.value.code is Code.NOT_FOUND


async def test_a_wiring_goes_with_what_it_remembers(core: CoreStore, talk: Conversation):
    ((wiring,),) = await rows(core, "SELECT id FROM wiring")  # type: ignore[misc]
    await core.store.write(lambda db: db.execute("INSERT INTO sticky VALUES (?, '')", (wiring,)))

    record = await twice(core, DropWiring(wiring))

    assert await rows(core, "SELECT * FROM wiring") == []
    assert await rows(core, "SELECT * FROM sticky") == []
    assert (record.event, record.agent) == (AuditEvent.WIRING_REMOVED, talk.agent.id)


# --- people ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", [None, AgentId("agt_a")])
async def test_a_role_is_given_and_taken(core: CoreStore, agent: AgentId | None):
    standing = Standing(principal=BOB, role=Role.APPROVER, agent=agent)

    given_ = await twice(core, PutStanding(standing))
    assert await core.registry.standings_of(BOB) == (standing,)
    taken = await twice(core, DropStanding(standing))

    assert await core.registry.standings_of(BOB) == ()
    assert (given_.event, taken.event) == (AuditEvent.ROLE_GIVEN, AuditEvent.ROLE_TAKEN)
    assert (given_.principal, given_.role, given_.agent) == (BOB, "approver", agent)


async def test_a_principal_is_linked_and_parted(core: CoreStore):
    linked = await twice(core, PutPerson(BOB, ANN))
    assert await core.registry.person_of(BOB) == ANN
    parted = await twice(core, PutPerson(BOB, BOB))

    assert await core.registry.person_of(BOB) == BOB
    assert (linked.event, linked.principal, linked.person) == (
        AuditEvent.PERSON_LINKED, BOB, ANN,
    )  # fmt: skip
    assert parted.event is AuditEvent.PERSON_UNLINKED


async def test_who_stands_for_a_person_can_be_parted_and_the_others_stay_one(core: CoreStore):
    mail, chat = PrincipalId("mail:ann"), PrincipalId("telegram:1")
    await write(core, PutPerson(mail, ANN), PutPerson(chat, ANN))

    await write(core, PutPerson(ANN, ANN))

    assert await core.registry.person_of(ANN) == ANN
    assert await core.registry.person_of(mail) == await core.registry.person_of(chat) != ANN


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_joining_never_makes_one_person_two(pairs: list[tuple[int, int]]):
    """Whoever was one stays one, in whatever order and direction people are joined."""
    db = migrated()
    groups: list[set[int]] = [{number} for number in range(8)]
    for left, right in pairs:
        person_links.join(db, PrincipalId(f"api:{left}"), PrincipalId(f"api:{right}"))
        merged = {one for group in groups if {left, right} & group for one in group}
        groups = [group for group in groups if not group & merged] + [merged]
    persons = [
        {person_links.person_of(db, PrincipalId(f"api:{one}")) for one in group} for group in groups
    ]
    assert all(len(person) == 1 for person in persons)
    assert len(set.union(*persons)) == len(groups)
    db.close()


# --- tasks, sessions, policy ----------------------------------------------------------------------


async def test_a_task_comes_unplanned_and_goes_with_its_runs(core: CoreStore):
    agent = await core.registry.create_agent(name="helper")
    task = Task(
        id=TaskId("tsk_a"), agent=agent.id, name="morning", channel="api", platform_id="room",
        prompt="Say hello", cron="0 7 * * *",
    )  # fmt: skip

    made = await twice(core, PutTask(task))
    assert await rows(core, "SELECT id, agent, name, next_ms, planned FROM task") == [
        ("tsk_a", agent.id, "morning", None, 0)
    ]
    await core.store.write(
        lambda db: db.execute("INSERT INTO task_run VALUES ('tsk_a', 1, 2, NULL, '')")
    )
    gone = await twice(core, DropTask(task.id, agent.id))

    assert await rows(core, "SELECT * FROM task") == []
    assert await rows(core, "SELECT * FROM task_run") == []
    assert (made.event, gone.event) == (AuditEvent.TASK_MADE, AuditEvent.TASK_REMOVED)
    assert (gone.task, gone.agent, gone.name) == ("tsk_a", agent.id, "morning")


async def test_a_second_task_of_that_name_is_a_conflict(core: CoreStore):
    agent = await core.registry.create_agent(name="helper")
    task = Task(
        id=TaskId("tsk_a"), agent=agent.id, name="x", channel="api", platform_id="r", prompt="p"
    )
    await write(core, PutTask(task))

    with pytest.raises(UserError) as caught:
        await write(core, PutTask(msgspec.structs.replace(task, id=TaskId("tsk_b"))))

    assert caught.value.code is Code.CONFLICT


async def test_a_session_is_forgotten_with_its_key_and_what_waits(
    core: CoreStore, talk: Conversation
):
    await talk.hear("my secret")

    record = await twice(core, ForgetSession(talk.session, talk.agent.id))

    assert (await core.registry.session(talk.session)).state is SessionState.FORGOTTEN
    assert await core.ledger.backlog(talk.session) == []
    assert await core.registry.waiting() == []
    assert await rows(core, "SELECT status, open FROM message") == [(MessageStatus.FAILED, 0)]
    assert await rows(core, "SELECT * FROM session_key") == []
    assert await rows(core, "SELECT place FROM session") == [(None,)]
    assert (record.event, record.session) == (AuditEvent.SESSION_FORGOTTEN, talk.session)
    await core.custodian.forget(talk.session)
    with pytest.raises(HostError):
        core.custodian.content_key(talk.session)
    shown = await core.chatlog.chat_events(talk.chat.id, after=0)
    assert all("secret" not in event.text for event in shown)


async def test_nothing_is_added_to_a_forgotten_session(core: CoreStore, talk: Conversation):
    """Its box may still speak while it is being ended, and its key is in memory until then."""
    heard = await talk.hear("hello")
    await write(core, ForgetSession(talk.session, talk.agent.id))

    with pytest.raises(UserError) as caught:
        await talk.hear("are you there?")
    late = TurnEnd(
        turn=heard.message.id,
        index=0,
        entries=(),
        says=(Say(text="late", reply_to=heard.message.id),),
    )
    said = await core.ledger.commit(talk.session, 1, outbound(1, late))
    await core.ledger.quarantine(talk.session, reason="mac")

    assert caught.value.code is Code.CONFLICT
    assert (said.deliveries, said.answered) == ((), ())
    assert (await core.registry.session(talk.session)).state is SessionState.FORGOTTEN
    assert await rows(core, "SELECT count(*) FROM message") == [(1,)]


async def test_the_seat_of_a_forgotten_session_is_free(core: CoreStore, talk: Conversation):
    session = await core.registry.session(talk.session)
    seat = Seat(session.agent, session.partition, session.chat, session.thread)
    assert await core.registry.seated(seat) == talk.session

    await write(core, ForgetSession(talk.session, talk.agent.id))

    await core.custodian.create(SessionId("ses_next"))
    assert await core.registry.add_session(SessionId("ses_next"), seat)


async def test_the_policy_is_one_row(core: CoreStore):
    assert await core.registry.policy() == DEFAULT

    record = await twice(core, PutPolicy(Policy(solo=True)))
    await write(core, PutPolicy(Policy(solo=True, max_pending=3)))

    assert await core.registry.policy() == Policy(solo=True, max_pending=3)
    assert len(await rows(core, "SELECT * FROM policy")) == 1
    assert record.event is AuditEvent.POLICY_CHANGED


async def test_a_policy_that_cannot_be_read_is_never_the_default(core: CoreStore):
    await core.store.write(lambda db: db.execute("INSERT INTO policy VALUES (1, '{\"solo\":7}')"))

    with pytest.raises(HostError) as caught:
        await core.registry.policy()

    assert caught.value.code is Code.STORE_CORRUPT


# --- kept for the running system ------------------------------------------------------------------

EVERY: tuple[Op, ...] = (
    NewAgent(Agent(id=AgentId("agt_a"), name="a", tools=("read_file",))),
    PutAgent(Agent(id=AgentId("agt_a"), name="a", persona="é\0")),
    SetArchived(AgentId("agt_a"), archived=True),
    PutChat(ChatId("cht_a"), "api", "room", None),
    PutChat(ChatId("cht_a"), "api", "room", UnknownSender.PUBLIC),
    PutWiring(Wiring(id=WiringId("wir_a"), chat=ChatId("c"), agent=AgentId("a")), "api", "room"),
    DropWiring(WiringId("wir_a")),
    PutStanding(Standing(principal=ANN, role=Role.OWNER)),
    DropStanding(Standing(principal=ANN, role=Role.VIEWER, agent=AgentId("agt_a"))),
    PutPerson(BOB, ANN),
    PutTask(
        Task(
            id=TaskId("tsk_a"), agent=AgentId("a"), name="n", channel="api", platform_id="r",
            prompt="p", at_ms=5,
        )
    ),
    DropTask(TaskId("tsk_a"), AgentId("agt_a")),
    ForgetSession(SessionId("ses_a"), AgentId("agt_a")),
    ForgetNotes(SessionId("ses_a"), AgentId("agt_a")),
    PutPolicy(Policy(solo=True)),
)  # fmt: skip


def test_every_op_comes_back_as_it_was():
    assert {type(op) for op in EVERY} == set(get_args(Op))
    assert unpack_ops(pack_ops(EVERY)) == EVERY


@given(st.binary(max_size=200))
def test_anything_else_is_a_corrupt_store(raw: bytes):
    try:
        found = unpack_ops(raw)
    except HostError as error:
        code = error.code
    else:
        assert found == unpack_ops(pack_ops(found))
        return
    assert code is Code.STORE_CORRUPT
