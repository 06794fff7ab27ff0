"""Every kind of change on the real store: what was shown is what is written, and it leads back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.domain.changes.samples import SAMPLES, Sample
from tests.unit.domain.changes.world import CHANGE, NOW_MS, World

from ironclaw.core.ids import ChangeId
from ironclaw.domain.changes.base import (
    NewAgent,
    PutChat,
    PutPerson,
    PutPolicy,
    PutStanding,
    PutTask,
    PutWiring,
    SetArchived,
)
from ironclaw.domain.changes.wiring import RemoveWiring
from ironclaw.store import live
from ironclaw.store.change_ops import Cause, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    import apsw

    from ironclaw.domain.changes.base import Live, Op, Spec
    from ironclaw.testing.fakes_store import CoreStore

# A session is no op's to make: what forgets one is tested beside that op.
KEPT = [one for one in SAMPLES if one.spec.__struct_config__.tag != "session.forget"]


def making(world: World) -> Iterator[Op]:
    """A world in memory, as ops that make it."""
    for agent in world.agents.values():
        yield NewAgent(agent)
        yield SetArchived(agent.id, agent.archived)
    for (channel, platform_id), chat in world.chats.items():
        yield PutChat(chat.id, channel, platform_id, chat.unknown_sender)
    for wiring in world.wirings.values():
        (place,) = [place for place, chat in world.chats.items() if chat.id == wiring.chat]
        yield PutWiring(wiring, *place)
    for standing in world.standings:
        yield PutStanding(standing)
    for principal, person in world.persons.items():
        yield PutPerson(principal, person)
    for task in world.tasks.values():
        yield PutTask(task)
    yield PutPolicy(world.policy)


async def do(core: CoreStore, ops: tuple[Op, ...]) -> list[bool]:
    def work(db: apsw.Connection) -> list[bool]:
        return [execute(db, op, Cause(NOW_MS)) for op in ops]

    return await core.store.write(work)


async def of(core: CoreStore, world: World, spec: Spec) -> Live:
    needs = spec.needs()
    directory = world.disk.get(needs.path) if needs.path else None
    return await core.store.read(
        lambda db: live.load(db, needs, house=world.house, directory=directory)
    )


@pytest.mark.parametrize("sample", KEPT, ids=lambda one: one.name)
async def test_the_store_writes_what_was_shown_and_back(core: CoreStore, sample: Sample) -> None:
    world, spec = sample.world(), sample.spec
    await do(core, tuple(making(world)))
    found = await of(core, world, spec)
    assert spec.before(found) == spec.before(world.of(spec))
    spec.check(found)
    before, promised = spec.before(found), spec.after(found)
    inverse = spec.inverse(found, CHANGE)
    ops = spec.ops(found, CHANGE)

    assert any(await do(core, ops))
    assert spec.before(await of(core, world, spec)) == promised
    assert not any(await do(core, ops)), "a repeat changes nothing"

    assert inverse is not None
    way = await of(core, world, inverse)
    inverse.check(way)
    await do(core, inverse.ops(way, ChangeId("chg_two")))
    if not isinstance(spec, RemoveWiring):
        assert spec.before(await of(core, world, spec)) == before
