"""The same gateway on the real store: what tables in memory promise, the store keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tests.support.real_house import open_world

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.change import Asker, Seen, Status
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.model import Role
from ironclaw.testing.desk import person

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.real_house import World

    from ironclaw.domain.changes.base import Spec
    from ironclaw.services.gateway.port import ChangeView
    from ironclaw.services.gateway.service import GatewayService
    from ironclaw.testing.fakes_running import MemoryReach


async def through(world: World, spec: Spec) -> ChangeView:
    """Let Ann ask and Bob approve."""
    await world.give(PrincipalId("api:ann"), Role.OWNER, None)
    await world.give(PrincipalId("api:bob"), Role.APPROVER, world.own)
    gateway = world.house.gateway
    asker = Asker(principal=PrincipalId("api:ann"))
    asked = await gateway.submit(spec, asker=asker, actor=person("ann"), reason="")
    change = asked.row.change.id
    card = (await gateway.show(change, actor=person("bob"))).card
    seen = Seen(card.hash, card.state, card.version)
    return await gateway.decide(change, actor=person("bob"), approve=True, seen=seen)


async def test_it_is_approved_applied_shown_and_taken_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        gateway = world.house.gateway
        watch = gateway.watch(actor=person("ann"), after=None)
        before = world.own.tools
        view = await through(world, SetTools(agent=world.own.id, add=("list_files",)))

        assert view.row.status is Status.DONE
        assert "list_files" in (await world.house.agent("helper")).tools
        kinds = [(await anext(watch)).kind for _ in range(4)]
        assert kinds == ["requested", "decided", "applied", "done"]
        await watch.aclose()  # type: ignore[attr-defined]
        (given,) = await gateway.grants(actor=person("bob"), agent="helper")
        await gateway.revoke(given.grant.id, actor=person("bob"))
        assert (await world.house.agent("helper")).tools == before
        assert await gateway.grants(actor=person("bob")) == []


async def test_what_is_not_in_force_everywhere_is_said_by_health_until_it_is(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        reach = running(world)
        reach.broken = HostError(Code.AIRLOCK_FAILED, "No airlock.")
        view = await through(world, SetPersona(agent=world.own.id, persona="Be kind."))
        assert (view.row.status, view.row.code) == (Status.APPLIED, "airlock_failed")
        said = [one for one in (await world.house.health()).degraded if one.startswith("gateway:")]
        assert view.row.change.id in said[0]

        reach.broken = None
        view = await world.house.gateway.retry(view.row.change.id, actor=person("bob"))
        assert (view.row.status, view.row.code) == (Status.DONE, "")
        assert world.house.gateway.degraded == ()


def running(world: World) -> MemoryReach:
    """The running system of a house."""
    gateway = cast("GatewayService", world.house.gateway)
    return cast("MemoryReach", gateway._applier._reach)


async def test_what_a_later_change_leaves_nothing_of_has_ended_with_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        gateway = world.house.gateway
        first = await through(world, SetPersona(agent=world.own.id, persona="Be kind."))
        second = await through(world, SetPersona(agent=world.own.id, persona="Be brief."))

        assert second.row.status is Status.DONE
        active = [one.grant.change for one in await gateway.grants(actor=person("bob"))]
        assert active == [second.row.change.id]
        shown = await gateway.show(first.row.change.id, actor=person("bob"))
        assert shown.row.grant is not None
        assert shown.row.grant.ended_why == "replaced"
        watch = gateway.watch(actor=person("ann"), after=0)
        seen = [await anext(watch) for _ in range(9)]
        assert [one.kind for one in seen if one.change == first.row.change.id][-1] == "replaced"
        await watch.aclose()  # type: ignore[attr-defined]
