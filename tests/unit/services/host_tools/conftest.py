"""A house with one agent that holds every host tool, and a gateway that says what it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec
import pytest
from tests.support.usage import usage_desk

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChangeId
from ironclaw.domain.change import Asker, Change, Row, Status, hash_of
from ironclaw.domain.model import Agent, Delivery, Destination
from ironclaw.domain.tools import HOST_TOOLS
from ironclaw.services.commands import LateCommands
from ironclaw.services.host_tools.service import HostToolService, Parts
from ironclaw.services.hub import Hub
from ironclaw.services.router import Router
from ironclaw.services.schedules import Schedules
from ironclaw.services.taints import TaintDesk
from ironclaw.store.task_rows import TaskRows
from ironclaw.testing.fakes_running import kept_skill
from ironclaw.testing.fakes_store import Conversation, CoreStore, open_core_store, searching_of
from ironclaw_contract.rpc import Use, Used

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from ironclaw.core.errors import IronClawError
    from ironclaw.core.ids import AgentId, PrincipalId
    from ironclaw.domain.changes.base import Spec
    from ironclaw.domain.skills import KeptSkill
    from ironclaw.services.gateway.port import ChangeView

OPS = Destination(name="ops", channel="api", platform_id="ops-room")


class Gateway:
    """Takes every request in, as the real one does for the same wish: once."""

    def __init__(self) -> None:
        self.asked: list[Change] = []
        self.withdrawn: list[ChangeId] = []
        self.status = Status.PENDING
        self.fails: IronClawError | None = None

    async def submit(
        self, spec: Spec, *, asker: Asker, actor: None, reason: str, grant_s: int | None = None
    ) -> ChangeView:
        assert actor is None
        if self.fails is not None:
            raise self.fails
        twin = [one for one in self.asked if (one.spec, one.asker) == (spec, asker)]
        if not twin:
            change = Change(
                id=ChangeId(f"chg_{len(self.asked)}"),
                spec=spec,  # type: ignore[arg-type]
                asker=asker,
                reason=reason,
                created_ms=0,
                expires_ms=1,
                grant_s=grant_s,
            )
            self.asked.append(change)
            twin = [change]
        return self._view(twin[0])

    async def withdraw(self, change: ChangeId, *, actor: None, asker: Asker) -> ChangeView:
        assert actor is None
        if self.fails is not None:
            raise self.fails
        found = [one for one in self.asked if one.id == change and one.asker == asker]
        if not found:
            raise UserError(Code.NOT_FOUND, f"There is no change {change!r}.", hint="Look.")
        self.withdrawn.append(change)
        return self._view(found[0])

    async def rows(
        self,
        *,
        agents: frozenset[AgentId] | None,
        statuses: frozenset[Status] | None,
        asker: PrincipalId | None = None,
        limit: int,
    ) -> list[Row]:
        assert agents == frozenset()
        return [
            self._row(one)
            for one in self.asked
            if one.asker.principal == asker and (statuses is None or self.status in statuses)
        ][:limit]

    def _row(self, change: Change) -> Row:
        return Row(change=change, hash=hash_of(change), status=self.status, updated_ms=0)

    def _view(self, change: Change) -> ChangeView:
        # The tools look at nothing but the row.
        return cast("ChangeView", _View(self._row(change)))


class _View(NamedTuple):
    row: Row


class Hands:
    """Notes what is to be delivered."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        self.deliveries += deliveries


class Desk(NamedTuple):
    core: CoreStore
    clock: ManualClock
    talk: Conversation
    gateway: Gateway
    hands: Hands
    tools: HostToolService
    turn: str
    taints: TaintDesk

    @property
    def agent(self) -> Agent:
        return self.talk.agent

    async def use(
        self, tool: str, arguments: object, *, key: str = "k1", turn: str | None = None
    ) -> Used:
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
        use = Use(call=3, turn=turn or self.turn, key=key, tool=tool, arguments=text)
        return await self.tools.use(self.agent.id, self.talk.session, use)

    async def become(self, **fields: object) -> None:
        """Change the agent, as an applied change does."""
        now = msgspec.structs.replace(await self.core.registry.agent(self.agent.id), **fields)
        await self.core.registry._change(
            lambda db: db.execute(
                "UPDATE agent SET body = ? WHERE id = ?", (msgspec.msgpack.encode(now), now.id)
            )
        )

    def again(self) -> Desk:
        """The same house with another core: nothing is remembered but what is durable."""
        taints = TaintDesk(self.core.ledger)
        tools = _service(self.core, self.clock, self.gateway, self.hands, taints)
        return self._replace(tools=tools, taints=taints)


def schedules_of(core: CoreStore, clock: ManualClock) -> Schedules:
    """Who tells tasks, of a core whose sessions are never woken."""
    router = Router(
        directory=core.registry,
        intake=core.ledger,
        refusals=core.chatlog,
        keys=core.custodian,
        hub=Hub(core.chatlog),
        wake=lambda *_: None,
        commands=LateCommands(),
    )
    return Schedules(book=TaskRows(core.store), teller=router, clock=clock)


async def _skills() -> tuple[KeptSkill, ...]:
    return (kept_skill(),)


def _service(
    core: CoreStore, clock: ManualClock, gateway: Gateway, hands: Hands, taints: TaintDesk
) -> HostToolService:
    return HostToolService(
        Parts(
            agents=core.registry,
            gateway=gateway,
            requests=gateway,
            letters=core.ledger,
            hands=hands,
            tasks=TaskRows(core.store),
            runs=schedules_of(core, clock),
            usages=usage_desk(core),
            finds=searching_of(core),
            taints=taints,
            clock=clock,
            skills=_skills,
        )
    )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = ManualClock()
    gateway, hands = Gateway(), Hands()
    async with open_core_store(tmp_path, clock=clock) as core:
        talk = await core.begin()
        turn = await talk.hear("please")
        taints = TaintDesk(core.ledger)
        tools = _service(core, clock, gateway, hands, taints)
        found = Desk(core, clock, talk, gateway, hands, tools, turn.message.id, taints)
        await found.become(tools=tuple(sorted(HOST_TOOLS)), destinations=(OPS,))
        yield found
