"""From an agent's wish to its effect: the tools, the real gateway and the real store together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
from tests.support.usage import usage_desk
from tests.unit.services.host_tools.conftest import Hands, schedules_of

from ironclaw.core.clock import ManualClock
from ironclaw.core.ids import ChangeId, PrincipalId
from ironclaw.core.tasks import Tasks
from ironclaw.domain.audit import AuditEvent, Via
from ironclaw.domain.change import Seen
from ironclaw.domain.model import Destination, Message, Role
from ironclaw.domain.policy import Proof
from ironclaw.domain.rights import Actor
from ironclaw.domain.tools import HOST_TOOLS
from ironclaw.services.commands import LateCommands
from ironclaw.services.gateway import service as gateway
from ironclaw.services.host_tools.service import HostToolService, Parts
from ironclaw.services.host_tools.standing import Rights
from ironclaw.services.hub import Hub
from ironclaw.services.router import Router
from ironclaw.services.schedules import Schedules
from ironclaw.services.taints import TaintDesk
from ironclaw.store.task_rows import TaskRows
from ironclaw.testing.fakes_running import MemoryLooks, MemoryReach, MemoryTell
from ironclaw.testing.fakes_store import Conversation, CoreStore, open_core_store, searching_of
from ironclaw_contract.rpc import Use, Used

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OPS = Destination(name="ops", channel="api", platform_id="ops-room")
ANN = Actor(PrincipalId("api:boss"), proof=Proof.TOKEN)


class House(NamedTuple):
    core: CoreStore
    clock: ManualClock
    talk: Conversation
    gateway: gateway.GatewayService
    tools: HostToolService
    hands: Hands

    async def use(
        self,
        tool: str,
        *,
        key: str = "k1",
        who: Conversation | None = None,
        **arguments: object,
    ) -> Used:
        talk = who or self.talk
        turn = await talk.hear("please", external_id="ask")
        text = msgspec.json.encode(arguments).decode()
        use = Use(call=1, turn=turn.message.id, key=key, tool=tool, arguments=text)
        return await self.tools.use(talk.agent.id, talk.session, use)

    async def ask(self, key: str = "k1", **change: object) -> ChangeId:
        used = await self.use("request_change", key=key, change=change, reason="it helps")
        assert not used.is_error, used.text
        return change_of(used)

    async def decide(self, change: ChangeId, *, approve: bool) -> None:
        view = await self.gateway.show(change, actor=ANN)
        seen = Seen(view.card.hash, view.card.state, view.card.version)
        await self.gateway.decide(change, actor=ANN, approve=approve, seen=seen, words="no need")

    async def rights(self) -> Rights:
        used = await self.use("my_rights")
        return msgspec.json.decode(used.text, type=Rights)

    async def told(self) -> list[Message]:
        waiting = await self.core.ledger.backlog(self.talk.session)
        return [message for message in waiting if message.text != "please"]


def change_of(used: Used) -> ChangeId:
    (found,) = {word.strip(".,:") for word in used.text.split() if word.startswith("chg_")}
    return ChangeId(found)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock, hands = ManualClock(), Hands()
    failures: list[BaseException] = []
    async with (
        open_core_store(tmp_path, clock=clock) as core,
        Tasks("house", on_failure=lambda _, error: failures.append(error)) as tasks,
    ):
        talk = await core.begin()
        await core.registry.give(ANN.principal, Role.OWNER, None)
        await equip(core, talk)

        async def record(*_: object) -> None: ...

        asked = gateway.GatewayService(
            gateway.Parts(
                store=core.registry,
                reach=MemoryReach(),
                tell=MemoryTell(),
                looks=MemoryLooks(clock),
                names=core.registry,
                record=record,
                clock=clock,
                tasks=tasks,
            )
        )
        tools = HostToolService(
            Parts(
                agents=core.registry,
                gateway=asked,
                requests=core.registry,
                letters=core.ledger,
                hands=hands,
                tasks=TaskRows(core.store),
                runs=schedules_of(core, clock),
                usages=usage_desk(core),
                finds=searching_of(core),
                taints=TaintDesk(core.ledger),
                clock=clock,
            )
        )
        yield House(core, clock, talk, asked, tools, hands)
    assert failures == []


async def equip(core: CoreStore, talk: Conversation) -> None:
    agent = await core.registry.agent(talk.agent.id)
    agent = msgspec.structs.replace(agent, tools=tuple(sorted(HOST_TOOLS)))
    await core.registry._change(
        lambda db: db.execute(
            "UPDATE agent SET body = ? WHERE id = ?", (msgspec.msgpack.encode(agent), agent.id)
        )
    )


async def test_a_tool_is_the_agents_when_a_person_has_agreed_and_not_before(house: House):
    change = await house.ask(kind="tools", add=["write_file"])
    assert "write_file" not in (await house.rights()).tools
    await house.decide(change, approve=True)
    told = await house.rights()
    assert "write_file" in told.tools
    assert [(one.change, one.status) for one in told.requests] == [(change, "done")]


async def test_what_was_denied_is_not_asked_for_again(house: House):
    change = await house.ask(kind="tools", add=["write_file"])
    await house.decide(change, approve=False)
    wish = {"kind": "tools", "add": ["read_file", "write_file"]}
    used = await house.use("request_change", key="k2", change=wish, reason="please")
    assert used.is_error
    assert used.text.startswith("denied:")
    assert change in used.text
    (told,) = (await house.rights()).requests
    assert (told.status, told.words) == ("denied", "no need")


async def test_the_same_wish_under_another_key_is_the_same_change(house: House):
    first = await house.ask(kind="persona", persona="Be kind.")
    assert await house.ask("k2", kind="persona", persona="Be kind.") == first


async def test_the_audit_has_the_agent_as_who_asked(house: House):
    change = await house.ask(kind="persona", persona="Be kind.")
    (record,) = [
        one
        for one in await house.core.audit.tail(limit=20)
        if one.event == AuditEvent.CHANGE_REQUESTED
    ]
    assert (record.change, record.via) == (change, Via.AGENT)
    assert record.actor == f"agent:{house.talk.agent.id}"


async def test_a_request_is_taken_back_by_the_agent_that_made_it_alone(house: House):
    change = await house.ask(kind="persona", persona="Be kind.")
    other = await house.core.begin(name="other", place="elsewhere")
    await equip(house.core, other)
    used = await house.use("withdraw_change", who=other, change=change)
    assert used.is_error
    assert used.text.startswith("not_found:")
    assert not (await house.use("withdraw_change", key="k2", change=change)).is_error
    assert [one.status for one in (await house.rights()).requests] == ["withdrawn"]


async def test_a_destination_works_from_approval_to_revocation(house: House):
    letter = {"destination": "ops", "text": "hello"}
    assert (await house.use("send_message", **letter)).is_error
    change = await house.ask(
        kind="destination.add", name="ops", channel="api", platform_id="ops-room"
    )
    await house.decide(change, approve=True)
    assert not (await house.use("send_message", key="k2", **letter)).is_error
    assert [one.platform_id for one in house.hands.deliveries] == ["ops-room"]
    (view,) = await house.gateway.grants(actor=ANN)
    await house.gateway.revoke(view.grant.id, actor=ANN)
    assert (await house.use("send_message", key="k3", **letter)).is_error
    assert len(house.hands.deliveries) == 1


async def test_a_task_is_told_from_approval_to_revocation(house: House):
    router = Router(
        directory=house.core.registry,
        intake=house.core.ledger,
        refusals=house.core.chatlog,
        keys=house.core.custodian,
        hub=Hub(house.core.chatlog),
        wake=lambda *_: None,
        commands=LateCommands(),
    )
    book = TaskRows(house.core.store)
    schedules = Schedules(book=book, teller=router, clock=house.clock)
    change = await house.ask(
        kind="task.add", name="report", channel="api", platform_id="desk", prompt="report!",
        cron="0 * * * *", zone="Europe/Vienna",
    )  # fmt: skip
    await house.decide(change, approve=True)
    await schedules._look()
    (task,) = (await house.rights()).tasks
    assert (task.name, task.when) == ("report", "0 * * * * Europe/Vienna")
    house.clock.advance(3600)
    await schedules._look()
    assert [message.text for message in await house.told()] == ["report!"]
    (view,) = await house.gateway.grants(actor=ANN)
    await house.gateway.revoke(view.grant.id, actor=ANN)
    house.clock.advance(3600)
    await schedules._look()
    assert len(await house.told()) == 1


async def test_a_directory_that_may_not_be_shared_says_nothing_of_the_host(house: House):
    for number, path in enumerate(["/etc", "/nowhere", "/srv/none", "relative"]):
        used = await house.use(
            "request_change", key=f"k{number}", reason="r",
            change={"kind": "mount.add", "name": "x", "path": path},
        )  # fmt: skip
        assert used.is_error
        assert path not in used.text
