"""The live state of a spec: what it asks for, and nothing that it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.changing import ANN, BOB, HOUSE, NOW_MS
from tests.support.past_gateway import archive_agent

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import AgentId, PrincipalId, SessionId, TaskId, WiringId
from ironclaw.domain.changes.base import HostDir, Live, Needs, PutPerson, PutTask
from ironclaw.domain.model import Role, Standing, Task
from ironclaw.domain.policy import DEFAULT
from ironclaw.domain.tokens import Scope
from ironclaw.store import live
from ironclaw.store.change_ops import Cause, execute
from ironclaw.store.token_rows import TokenRows

if TYPE_CHECKING:
    from ironclaw.domain.changes.base import Op
    from ironclaw.testing.fakes_store import Conversation, CoreStore

DIRECTORY = HostDir(real="/srv/papers", is_dir=True, device=1, inode=2, is_readable=True)


async def load(core: CoreStore, **needs: object) -> Live:
    wanted = Needs(**needs)  # type: ignore[arg-type]
    return await core.store.read(lambda db: live.load(db, wanted, house=HOUSE, directory=DIRECTORY))


async def write(core: CoreStore, op: Op) -> None:
    await core.store.write(lambda db: execute(db, op, Cause(NOW_MS)))


async def test_who_asks_for_nothing_is_told_of_the_house_alone(core: CoreStore, talk: Conversation):
    await core.registry.give(ANN, Role.OWNER, None)

    found = await load(core)

    assert found == Live(house=HOUSE, policy=DEFAULT, owners=(ANN,), owner_persons=(ANN,), agents=1)
    assert talk.agent is not None


async def test_an_agent_by_id_and_by_name(core: CoreStore):
    agent = await core.registry.create_agent(name="helper")
    other = await core.registry.create_agent(name="other")

    found = await load(core, agent=agent.id, agent_name="other")

    assert (found.agent, found.named, found.agents) == (agent, other, 2)
    nobody = await load(core, agent=AgentId("agt_none"), agent_name="nobody")
    assert (nobody.agent, nobody.named) == (None, None)


async def test_an_ended_agent_is_there_by_id_and_its_name_is_who_has_it_now(core: CoreStore):
    agent = await core.registry.create_agent(name="helper")
    await archive_agent(core.registry, agent.id)
    assert (await load(core, agent_name="helper")).named is None
    heir = await core.registry.create_agent(name="helper")

    found = await load(core, agent=agent.id)

    assert found.agent is not None
    assert found.agent.archived
    assert (found.named, found.agents) == (heir, 1)


async def test_a_chat_with_all_of_its_wirings(core: CoreStore, talk: Conversation):
    found = await load(core, place=("api", "desk"))

    assert found.chat == talk.chat
    assert [one.agent for one in found.wirings] == [talk.agent.id]
    nowhere = await load(core, place=("api", "nowhere"))
    assert (nowhere.chat, nowhere.wirings) == (None, ())


async def test_a_wiring_with_its_chat(core: CoreStore, talk: Conversation):
    wirings = (await load(core, place=("api", "desk"))).wirings

    found = await load(core, wiring=wirings[0].id)

    assert (found.chat, found.wirings) == (talk.chat, wirings)
    gone = await load(core, wiring=WiringId("wir_none"))
    assert (gone.chat, gone.wirings) == (None, ())


async def test_what_a_principal_holds_and_who_they_are(core: CoreStore):
    mail = PrincipalId("mail:ann")
    await core.registry.give(mail, Role.VIEWER, None)
    await core.registry.give(ANN, Role.ADMIN, None)
    await write(core, PutPerson(mail, ANN))

    found = await load(core, principal=mail, other=BOB)

    assert found.standings == (Standing(principal=mail, role=Role.VIEWER),)
    assert (found.person, found.other_person, found.joined) == (ANN, BOB, ())
    assert (await load(core, principal=ANN)).joined == (mail,)


async def test_two_principals_of_one_owner_are_one_owner(core: CoreStore):
    mail = PrincipalId("mail:ann")
    for one in (ANN, mail, BOB):
        await core.registry.give(one, Role.OWNER, None)
    await write(core, PutPerson(mail, ANN))

    found = await load(core)

    assert found.owners == (ANN, BOB, mail)
    assert found.owner_persons == (ANN, BOB)


async def test_a_session(core: CoreStore, talk: Conversation):
    assert (await load(core, session=talk.session)).session == await core.registry.session(
        talk.session
    )
    assert (await load(core, session=SessionId("ses_none"))).session is None


async def test_a_task_and_how_many_there_are(core: CoreStore):
    agent = await core.registry.create_agent(name="helper")
    task = Task(
        id=TaskId("tsk_a"), agent=agent.id, name="x", channel="api", platform_id="r", prompt="p"
    )
    await write(core, PutTask(task))

    found = await load(core, task=(agent.id, "x"))

    assert (found.task, found.tasks) == (task, 1)
    assert (await load(core, task=(agent.id, "y"))).task is None
    assert (await load(core, agent=agent.id)).tasks == 1


async def test_a_directory_is_told_of_to_who_asked_for_one(core: CoreStore):
    assert (await load(core, path="/srv/papers")).directory == DIRECTORY
    assert (await load(core)).directory is None


@pytest.mark.parametrize("body", ["", "7", '{"solo":true,"more":1}', "[" * 3000])
async def test_a_broken_policy_is_an_error_for_everybody(core: CoreStore, body: str):
    await core.store.write(lambda db: db.execute("INSERT INTO policy VALUES (1, ?)", (body,)))

    with pytest.raises(HostError) as caught:
        await load(core)

    assert caught.value.code is Code.STORE_CORRUPT


async def test_the_active_tokens_of_a_principal_are_counted(core: CoreStore):
    tokens = await TokenRows.open(core.store, core.clock)
    for name, ttl_s in (("ann", None), ("ann-2", 3600), ("ann-3", 3600), ("bob", None)):
        whose = None if name in {"ann", "bob"} else ANN
        await tokens.mint(name=name, scopes=[Scope.READ], ttl_s=ttl_s, principal=whose)
    await tokens.revoke("ann-3")
    now_ms = core.clock.now_ms()

    async def counted(at_ms: int) -> int:
        house, needs = HOUSE._replace(now_ms=at_ms), Needs(principal=ANN)
        return (await core.store.read(lambda db: live.load(db, needs, house=house))).tokens

    assert await counted(now_ms) == 2
    assert await counted(now_ms + 3_600_000) == 1
