"""The house asks for more of a budget that is used up: one change, and people decide on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.support.authorised import ASKER, OWNER
from tests.support.real_house import open_world

from ironclaw.core.clock import ManualClock
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import AgentId, PrincipalId, SessionId
from ironclaw.domain.change import Asker, Seen
from ironclaw.domain.changes.limits import SetLimits, raising
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.policy import Proof
from ironclaw.domain.principals import check_principal, house_principal
from ironclaw.domain.rights import Actor
from ironclaw.domain.spending import Budget, Of, Per, Spent
from ironclaw.services.raising import KEPT_S, Raising

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.authorised import World

    from ironclaw.domain.model import Agent
    from ironclaw.services.gateway.port import ChangeView

CALLS = Spent(Budget(Of.CALLS, Per.DAY, 20), 20)
MONEY = Spent(Budget(Of.MONEY, Per.SESSION, 2_500_000), 2_500_000)


class Desk(NamedTuple):
    world: World
    clock: ManualClock
    raising: Raising
    agent: Agent
    session: SessionId

    async def propose(self, spent: Spent = CALLS) -> Any:
        return await self.raising.propose(self.agent, self.session, spent)

    async def pending(self) -> list[ChangeView]:
        return await self.world.house.gateway.changes(actor=Actor(OWNER, proof=Proof.TOKEN))

    async def decide(self, view: ChangeView, *, approve: bool) -> None:
        await self.world.house.gateway.decide(
            view.row.change.id,
            actor=Actor(OWNER, proof=Proof.TOKEN),
            approve=approve,
            seen=Seen(view.card.hash, view.card.state, view.card.version),
        )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_world(tmp_path) as world:
        await world.people()
        clock = ManualClock()
        raises = Raising(clock)
        raises.gateway = world.house.gateway
        talk = await world.talk(world.own, ASKER)
        yield Desk(world, clock, raises, world.own, talk.session)


async def test_it_is_asked_for_once_and_people_raise_it_in_one_step(desk: Desk):
    first = await desk.propose()
    desk.clock.advance(KEPT_S + 1)
    again = await desk.propose()
    assert (first, first.wanted) == (again, 40)
    (view,) = await desk.pending()
    assert view.row.change.id == first.change
    assert view.row.change.asker.principal == f"house:{desk.agent.id}"
    assert any("The house asks for it by itself" in one for one in view.card.notices)
    await desk.decide(view, approve=True)
    assert (await desk.world.house.agent(desk.agent.name)).calls_per_day == 40


async def test_a_card_says_money_as_money(desk: Desk):
    await desk.propose(MONEY)
    (view,) = await desk.pending()
    (line,) = [one for one in view.card.fields if one.label.startswith("money")]
    assert line.text == "5000000 (5.00 of the currency of this house)"


async def test_a_fast_box_does_not_ask_the_gateway_each_time(desk: Desk):
    first = await desk.propose()
    desk.raising.gateway = None
    assert await desk.propose() == first
    # Nobody is asked, where there is no gateway yet.
    desk.clock.advance(KEPT_S + 1)
    assert (await desk.propose()).change is None


async def test_a_no_is_remembered(desk: Desk):
    await desk.propose()
    (view,) = await desk.pending()
    await desk.decide(view, approve=False)
    desk.clock.advance(KEPT_S + 1)
    assert (await desk.propose()).change is None
    assert await desk.pending() == []


async def test_the_house_may_ask_for_nothing_else(desk: Desk):
    agent = desk.agent.id
    asker = Asker(principal=house_principal(agent))
    other = raising(desk.world.other.id, "calls_per_day", 9)
    for spec in (
        SetPersona(agent=agent, persona="x"),
        SetLimits(agent=agent, calls_per_day=9, memory_bytes=2**29),
        SetLimits(agent=agent, unlimited=("calls_per_day",)),
        other,
    ):
        with pytest.raises(PolicyError):
            await desk.world.house.gateway.submit(spec, asker=asker, actor=None, reason="")


def test_nobody_can_be_the_house():
    with pytest.raises(UserError, match="nobody"):
        check_principal(PrincipalId(house_principal(AgentId("agt_1"))))
