"""Senders whom nobody let in, where people are asked about them: knock, see, decide, come in."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tests.support.authorised import OWNER
from tests.support.real_house import open_world

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError
from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.change import Asker, Seen
from ironclaw.domain.changes.access import GiveRole, SetStrangers
from ironclaw.domain.changes.wiring import AddWiring
from ironclaw.domain.model import Event, Role, UnknownSender
from ironclaw.domain.policy import Proof
from ironclaw.domain.rights import Actor
from ironclaw.services.guests import AGAIN_S, MOST, GuestBook

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.authorised import World

    from ironclaw.domain.changes.base import Spec
    from ironclaw.services.gateway.port import ChangeView

EVE = PrincipalId("api:eve")
_numbers = itertools.count()


def says(text: str = "let me in") -> Event:
    return Event(
        channel="api",
        platform_id="room",
        handle="eve",
        sender="Eve",
        text=text,
        external_id=f"e{next(_numbers)}",
    )


async def decide(world: World, view: ChangeView, *, approve: bool = True) -> None:
    actor = Actor(OWNER, proof=Proof.TOKEN)
    seen = Seen(view.card.hash, view.card.state, view.card.version)
    await world.house.gateway.decide(view.row.change.id, actor=actor, approve=approve, seen=seen)


async def apply(world: World, spec: Spec) -> None:
    """Have an operator ask and the owner approve."""
    asker = PrincipalId("api:asker")
    view = await world.house.gateway.submit(
        spec, asker=Asker(principal=asker), actor=Actor(asker, proof=Proof.TOKEN), reason=""
    )
    await decide(world, view)


async def a_room(world: World) -> None:
    """A chat of the agent whose unknown senders people are asked about."""
    await world.people()
    agent = world.own.id
    await apply(world, AddWiring(agent=agent, channel="api", platform_id="room"))
    await apply(world, SetStrangers(channel="api", platform_id="room", policy=UnknownSender.ASK))


async def pending(world: World) -> list[ChangeView]:
    return await world.house.gateway.changes(actor=Actor(OWNER, proof=Proof.TOKEN))


async def test_a_stranger_knocks_once_and_is_let_in_by_a_person(tmp_path: Path):
    async with open_world(tmp_path) as world:
        await a_room(world)
        for _ in range(3):
            (routed,) = await world.house.hear(says())
            assert (routed.session, routed.reason) == (None, "pairing_needed")

        (view,) = await pending(world)
        spec = view.row.change.spec
        assert spec == GiveRole(principal=EVE, role=Role.MEMBER, agent=world.own.id)
        assert view.row.change.asker.principal == EVE
        shown = "\n".join([*view.card.notices, *(line.text for line in view.card.fields)])
        assert "unknown senders are asked about" in shown
        assert "let me in" not in shown, "what a stranger writes reaches nobody"

        await decide(world, view)
        (routed,) = await world.house.hear(says("hello"))
        assert routed.engaged


async def test_a_no_is_remembered(tmp_path: Path):
    async with open_world(tmp_path) as world:
        await a_room(world)
        await world.house.hear(says())
        (view,) = await pending(world)
        await decide(world, view, approve=False)

        (routed,) = await world.house.hear(says())
        assert routed.reason == "pairing_needed"
        assert await pending(world) == []


class Desk:
    """Takes requests, or refuses them."""

    def __init__(self) -> None:
        self.asked: list[Spec] = []
        self.refuses = False

    async def submit(self, spec: Spec, *, asker: Asker, actor: Actor | None, reason: str) -> object:
        assert (actor, reason) == (None, "")
        assert asker.is_at_the_door(spec)
        self.asked.append(spec)
        if self.refuses:
            raise PolicyError(Code.DENIED, "no", hint="no")
        return None


async def test_a_flood_of_strangers_is_a_few_requests():
    clock, desk = ManualClock(), Desk()
    book = GuestBook(desk, clock)
    for number in range(3 * MOST):
        for _ in range(2):
            await book.knock(PrincipalId(f"telegram:{number}"), AgentId("agt_a"))
    assert len(desk.asked) == MOST

    clock.advance(AGAIN_S)
    await book.knock(PrincipalId("telegram:late"), AgentId("agt_a"))
    assert len(desk.asked) == MOST + 1


async def test_a_refused_knock_is_no_error_of_the_message():
    desk = Desk()
    desk.refuses = True
    book = GuestBook(desk, ManualClock())
    await book.knock(EVE, AgentId("agt_a"))
    await book.knock(EVE, AgentId("agt_a"))
    assert len(desk.asked) == 1
