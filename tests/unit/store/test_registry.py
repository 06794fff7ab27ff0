"""The registry: names, lanes, wirings, standings, sessions and receipts survive a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.past_gateway import archive_agent, delete_wiring, set_unknown_sender

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChatId, PrincipalId, SessionId, SlotId, new_id
from ironclaw.domain.model import Partition, Role, UnknownSender
from ironclaw.domain.routing import Seat
from ironclaw.store.chatlog import REFUSALS_KEPT
from ironclaw.testing.fakes_store import open_core_store
from ironclaw.testing.receipts import sealed

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.testing.fakes_store import CoreStore


async def test_lanes_are_never_given_twice_and_names_are_free_after_archiving(core: CoreStore):
    first = await core.registry.create_agent(name="bob")
    with pytest.raises(UserError) as caught:
        await core.registry.create_agent(name="bob")
    assert caught.value.code is Code.CONFLICT
    await archive_agent(core.registry, "bob")
    second = await core.registry.create_agent(name="bob")
    assert second.lane > first.lane
    assert (await core.registry.agent("bob")).id == second.id
    assert (await core.registry.agent(first.id)).archived
    assert [agent.id for agent in await core.registry.agents()] == [second.id]


@pytest.mark.parametrize("name", ["", "Bob", "-a", "a-", "a b", "a\n", "x" * 64, "../a"])
async def test_a_bad_name_is_refused(core: CoreStore, name: str):
    with pytest.raises(UserError) as caught:
        await core.registry.create_agent(name=name)
    assert caught.value.code is Code.INVALID
    assert caught.value.hint


async def test_changes_are_seen_at_once_by_the_hot_path(core: CoreStore):
    talk = await core.begin()
    place = await core.registry.place("api", "desk")
    assert place is not None
    assert len(place.wirings) == 1
    await set_unknown_sender(core.registry, talk.chat.id, UnknownSender.ASK)
    place = await core.registry.place("api", "desk")
    assert place is not None
    assert place.chat.unknown_sender is UnknownSender.ASK
    ann = PrincipalId("api:ann")
    assert len(await core.registry.standings_of(ann)) == 1
    await core.registry.take(ann, Role.MEMBER, talk.agent.id)
    assert await core.registry.standings_of(ann) == ()
    await archive_agent(core.registry, talk.agent.id)
    place = await core.registry.place("api", "desk")
    assert place is not None
    assert place.wirings == ()


async def test_wirings_are_ordered_checked_and_removed(core: CoreStore):
    talk = await core.begin()
    high = await core.registry.create_wiring(
        chat=talk.chat.id, agent=talk.agent.id, priority=5, pattern="^hey"
    )
    place = await core.registry.place("api", "desk")
    assert place is not None
    assert place.wirings[0] == high
    assert len(await core.registry.wirings()) == 2
    assert await delete_wiring(core.registry, high.id)
    assert not await delete_wiring(core.registry, high.id)
    with pytest.raises(UserError) as caught:
        await core.registry.create_wiring(
            chat=talk.chat.id, agent=talk.agent.id, pattern="(?=look)"
        )
    assert caught.value.code is Code.INVALID
    with pytest.raises(UserError) as caught:
        await core.registry.create_wiring(chat=ChatId("cht_x"), agent=talk.agent.id)
    assert caught.value.code is Code.NOT_FOUND


async def test_an_owner_is_global_and_a_principal_has_two_parts(core: CoreStore):
    talk = await core.begin()
    for principal, role, agent in (
        ("api:a", Role.OWNER, talk.agent.id),
        ("nobody", Role.MEMBER, None),
        (":x", Role.MEMBER, None),
    ):
        with pytest.raises(UserError) as caught:
            await core.registry.give(PrincipalId(principal), role, agent)
        assert caught.value.code is Code.INVALID
    with pytest.raises(UserError) as caught:
        await core.registry.take(PrincipalId("api:a"), Role.OWNER, None)
    assert caught.value.code is Code.NOT_FOUND


async def test_a_seat_has_one_session_until_it_is_freed(core: CoreStore):
    talk = await core.begin()
    seat = Seat(talk.agent.id, Partition.SHARED, talk.chat.id, None)
    assert await core.registry.seated(seat) == talk.session
    assert not await core.registry.add_session(SessionId("ses_2"), seat)
    await core.registry.unseat(talk.session)
    assert await core.registry.seated(seat) is None
    assert await core.registry.add_session(SessionId("ses_2"), seat)


async def test_the_newest_receipt_says_which_session_has_a_slot(core: CoreStore):
    talk = await core.begin()
    for number in range(15):
        await core.registry.save_receipt(
            sealed(talk.session, slot=f"slt_{number}", epoch=number + 1)
        )
    assert (await core.registry.receipt(talk.session)).slot == "slt_14"
    found = await core.registry.session_of_slot(SlotId("slt_14"))
    assert found is not None
    assert found.id == talk.session
    assert await core.registry.session_of_slot(SlotId("slt_13")) is None
    with pytest.raises(UserError):
        await core.registry.receipt(SessionId("ses_none"))


async def test_refusals_are_counted_and_bounded(core: CoreStore):
    for _ in range(3):
        await core.chatlog.refuse(
            channel="api", platform_id="p", handle="h", reason="unknown_sender"
        )
    (one,) = await core.chatlog.refusals()
    assert one.times == 3
    await core.store.write(
        lambda db: db.executemany(
            "INSERT INTO refusal VALUES ('c', 'p', ?, 'r', 1, 0, 0)",
            [(str(number),) for number in range(REFUSALS_KEPT + 50)],
        )
    )
    await core.chatlog.refuse(channel="x" * 9999, platform_id="p", handle="h", reason="r")
    rows = await core.chatlog.refusals(limit=REFUSALS_KEPT * 2)
    assert len(rows) == REFUSALS_KEPT
    assert max(len(row.channel) for row in rows) <= 200


async def test_everything_is_there_after_a_restart(tmp_path: Path):
    async with open_core_store(tmp_path) as core:
        talk = await core.begin()
        heard = await talk.hear("remember me")
        key = core.custodian.key(talk.session)
        await core.registry.save_receipt(sealed(talk.session, slot="slt_1"))
    async with open_core_store(tmp_path) as core:
        assert core.custodian.key(talk.session) == key
        assert await core.ledger.backlog(talk.session) == [heard.message]
        assert (await core.registry.agent("helper")) == talk.agent
        assert (await core.registry.receipt(talk.session)).slot == "slt_1"
        assert len(await core.registry.standings()) == 1
        (pending,) = await core.registry.sessions(agent=talk.agent.id)
        assert pending.place == ("api", "desk")
        assert pending.pending == 1


async def test_keys_without_a_session_are_swept_at_start(tmp_path: Path):
    orphan = SessionId(new_id("ses"))
    async with open_core_store(tmp_path) as core:
        await core.custodian.create(orphan)
    async with open_core_store(tmp_path) as core:
        assert await core.store.read(
            lambda db: db.execute("SELECT count(*) FROM session_key").fetchone()
        ) == (0,)
