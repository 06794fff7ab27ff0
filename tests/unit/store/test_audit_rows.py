"""The audit in the store: one chain, with what it records or not at all, signed, rotated, told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.past_gateway import archive_agent, delete_wiring, set_unknown_sender

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import DeliveryId, PrincipalId
from ironclaw.domain.acting import act_as
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent, By, Via
from ironclaw.domain.audit_check import Break, Fault, Walked
from ironclaw.domain.model import Role, UnknownSender
from ironclaw.keys.signer import AuditSigner
from ironclaw.store.audit_migration import chain_the_audit
from ironclaw.store.audit_walk import walk_store
from ironclaw.store.migrations import MIGRATIONS
from ironclaw.testing.audits import entry
from ironclaw.testing.fakes_store import open_core_store, outbound
from ironclaw_contract.records import Say, TurnEnd

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

    from ironclaw.domain.audit_chain import Checkpoint
    from ironclaw.testing.fakes_store import Conversation, CoreStore

ANN = By("api:ann", Via.CLI)
SWAP = """
    UPDATE audit SET n = CASE n WHEN 5 THEN -6 WHEN 6 THEN -5 ELSE n END;
    UPDATE audit SET n = -n WHERE n < 0;
"""
DIGEST = "sha256:" + "0" * 64


async def walk(core: CoreStore, *, newest: Checkpoint | None = None) -> Walked | Break:
    key = AuditSigner(core.ring).public_key
    return await core.store.read(
        lambda db: walk_store(db, key, known=() if newest is None else (newest,))
    )


async def fill(core: CoreStore, records: int, *, every: int = 4) -> None:
    for number in range(1, records + 1):
        await core.audit.append(entry(number))
        if number % every == 0:
            await core.audit.checkpoint(AuditSigner(core.ring))


def untie(db: apsw.Connection) -> None:
    """Take the triggers away, as somebody with the store's key could."""
    for (name,) in list(db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
        db.execute(f"DROP TRIGGER {name}")


# --- who and what ---------------------------------------------------------------------------------


async def test_what_people_set_up_is_recorded_with_who_did_it(core: CoreStore):
    with act_as(ANN):
        agent = await core.registry.create_agent(name="helper")
        chat = await core.registry.ensure_chat(channel="api", platform_id="desk")
        wiring = await core.registry.create_wiring(chat=chat.id, agent=agent.id)
        await set_unknown_sender(core.registry, chat.id, UnknownSender.PUBLIC)
        await core.registry.give(PrincipalId("api:bob"), Role.ADMIN, agent.id)
        await core.registry.give(PrincipalId("api:bob"), Role.ADMIN, agent.id)
        await core.registry.take(PrincipalId("api:bob"), Role.ADMIN, agent.id)
        await delete_wiring(core.registry, wiring.id)
        await archive_agent(core.registry, "helper")
        await archive_agent(core.registry, agent.id)

    records = await core.audit.tail(limit=100)

    assert [record.event for record in records] == [
        "agent.created", "wiring.made", "chat.policy", "role.given", "role.taken",
        "wiring.removed", "agent.archived",
    ]  # fmt: skip
    assert {(record.actor, record.via) for record in records} == {("api:ann", Via.CLI)}
    assert records[5].chat == chat.id
    assert records[3].principal == "api:bob"


async def test_what_is_refused_is_not_recorded(core: CoreStore):
    await core.registry.create_agent(name="helper")
    with pytest.raises(UserError):
        await core.registry.create_agent(name="helper")
    with pytest.raises(UserError):
        await core.registry.take(PrincipalId("api:bob"), Role.ADMIN, None)

    assert [record.event for record in await core.audit.tail(limit=9)] == ["agent.created"]
    assert isinstance(await walk(core), Walked)


async def test_a_dead_letter_is_recorded_without_what_the_channel_said(
    core: CoreStore, talk: Conversation
):
    heard = await talk.hear("a secret")
    say = Say(text="a reply", reply_to=heard.message.id)
    end = TurnEnd(turn=heard.message.id, index=0, entries=(), says=(say,))
    done = await core.ledger.commit(talk.session, 1, outbound(1, end))
    id_ = DeliveryId(done.deliveries[0].id)
    await core.ledger.postpone(id_, next_ms=5, error="later: a secret")
    await core.ledger.postpone(id_, next_ms=None, error="never: a secret")

    record = (await core.audit.tail(limit=1))[0]

    assert record.event is AuditEvent.DELIVERY_DEAD
    assert (record.delivery, record.message, record.count) == (id_, heard.message.id, 2)
    assert record.session == talk.session
    assert "secret" not in repr(record)


async def test_a_message_on_its_way_adds_nothing_to_the_audit(core: CoreStore, talk: Conversation):
    """So it costs no row, no hash and no sync more than before there was an audit."""
    told = await core.audit.tail(limit=10)
    heard = await talk.hear("a question")
    say = Say(text="a reply", reply_to=heard.message.id)
    end = TurnEnd(turn=heard.message.id, index=0, entries=(), says=(say,))
    done = await core.ledger.commit(talk.session, 1, outbound(1, end))
    await core.ledger.delivered(done.deliveries[0].id, platform_id="p")

    assert await core.audit.tail(limit=10) == told


async def test_an_entry_that_does_not_fit_undoes_what_it_would_have_recorded(core: CoreStore):
    with pytest.raises(ValueError, match="no field"):
        await core.audit.append(AuditEntry(event=AuditEvent.DAEMON_STOPPED, session="ses_a"))
    with pytest.raises(ValueError, match="matching"):
        await core.audit.append(
            AuditEntry(event=AuditEvent.DAEMON_STARTED, version="what a person said")
        )

    assert await core.audit.tail(limit=1) == []


# --- the chain ------------------------------------------------------------------------------------


async def test_the_chain_goes_on_over_restarts_and_is_signed(tmp_path: Path):
    async with open_core_store(tmp_path) as core:
        await fill(core, 6)
    async with open_core_store(tmp_path) as core:
        await fill(core, 3, every=3)
        assert await core.audit.checkpoint(AuditSigner(core.ring)) is None
        newest = await core.audit.newest_checkpoint()

        found = await walk(core, newest=newest)

    assert isinstance(found, Walked)
    assert (found.first, found.last, found.signed_through, found.checkpoints) == (1, 9, 9, 2)


@pytest.mark.parametrize(
    ("attack", "fault", "number"),
    [
        ("UPDATE audit SET line = replace(line, 'slt_5', 'slt_6') WHERE n = 5", Fault.EDITED, 5),
        ("UPDATE audit SET line = 'x' WHERE n = 5", Fault.EDITED, 5),
        ("DELETE FROM audit WHERE n = 5", Fault.CUT, 5),
        ("DELETE FROM audit WHERE n > 5", Fault.CUT, 6),
        ("DELETE FROM audit WHERE n < 5", Fault.CUT, 1),
        (SWAP, Fault.SWAPPED, 5),
        ("DELETE FROM audit_checkpoint WHERE idx = 1", Fault.CHECKPOINT_MISSING, 8),
        ("DELETE FROM audit_checkpoint WHERE idx = 2", Fault.ROLLED_BACK, 5),
        ("DELETE FROM audit WHERE n > 4; DELETE FROM audit_checkpoint WHERE idx = 2",
         Fault.ROLLED_BACK, 5),
        ("DELETE FROM audit; DELETE FROM audit_checkpoint", Fault.ROLLED_BACK, 1),
    ],
)  # fmt: skip
async def test_an_attack_on_the_tables_is_located(
    core: CoreStore, attack: str, fault: Fault, number: int
):
    await fill(core, 8)
    newest = await core.audit.newest_checkpoint()
    await core.store.write(untie)
    await core.store.write(lambda db: db.execute(attack))

    found = await walk(core, newest=newest)

    assert isinstance(found, Break)
    assert (found.fault, found.number) == (fault, number)


async def test_a_chain_that_does_not_hold_is_not_signed(core: CoreStore):
    await fill(core, 6)
    await core.store.write(untie)
    await core.store.write(
        lambda db: db.execute("UPDATE audit SET line = replace(line, 'slt_5', 'slt_6')")
    )

    found = await core.audit.checkpoint(AuditSigner(core.ring))

    assert isinstance(found, Break)
    assert found.number == 5
    newest = await core.audit.newest_checkpoint()
    assert newest is not None
    assert newest.number == 4


async def test_nothing_follows_a_record_that_cannot_be_read(core: CoreStore):
    await fill(core, 2)
    await core.store.write(untie)
    await core.store.write(lambda db: db.execute("UPDATE audit SET line = 'x' WHERE n = 2"))

    with pytest.raises(PolicyError) as caught:
        await core.registry.create_agent(name="helper")

    assert caught.value.code is Code.AUDIT_INVALID
    assert await core.registry.agents() == []


async def test_records_of_before_the_chain_are_chained_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert MIGRATIONS[3] is chain_the_audit
    with monkeypatch.context() as patch:
        patch.setattr("ironclaw.store.migrations.MIGRATIONS", MIGRATIONS[:3])
        async with open_core_store(tmp_path) as core:
            await core.store.write(
                lambda db: db.execute(
                    "INSERT INTO audit (n, at_ms, event, agent, session, slot, epoch, code, words)"
                    " VALUES (1, 7, 'launch.refused', 'agt_a', NULL, 'slt_a', NULL, 'x',"
                    " '[\"inside.seccomp\"]'),"
                    " (3, 8, 'launch.proven', 'agt_a', 'ses_a', 'slt_b', 1, '', '[]')"
                )
            )
    async with open_core_store(tmp_path) as core:
        records = await core.audit.tail(limit=10)
        await core.audit.append(entry(1))
        found = await walk(core)

    assert [(one.number, one.at_ms, one.event) for one in records] == [
        (1, 7, "launch.refused"), (2, 8, "launch.proven"),
    ]  # fmt: skip
    assert records[0].words == ("inside.seccomp",)
    assert isinstance(found, Walked)
    assert found.last == 3


# --- rotation -------------------------------------------------------------------------------------


async def test_what_was_exported_is_removed_and_the_chain_holds(core: CoreStore):
    await fill(core, 9)

    record = await core.audit.rotate(through=4, digest=DIGEST, by=ANN)

    assert (record.number, record.event, record.actor) == (10, "audit.rotated", "api:ann")
    assert [one.number for one in await core.audit.tail(limit=99)] == [5, 6, 7, 8, 9, 10]
    newest = await core.audit.checkpoint(AuditSigner(core.ring))
    assert not isinstance(newest, Break)
    found = await walk(core, newest=newest)
    assert isinstance(found, Walked)
    assert (found.first, found.last) == (5, 10)
    await core.audit.rotate(through=10, digest=DIGEST, by=ANN)
    assert isinstance(await walk(core), Walked)
    assert [one.number for one in await core.audit.tail(limit=99)] == [11]


@pytest.mark.parametrize("through", [3, 5, 9, 99, 0])
async def test_only_what_a_checkpoint_is_over_is_removed(core: CoreStore, through: int):
    await fill(core, 9)

    with pytest.raises(UserError):
        await core.audit.rotate(through=through, digest=DIGEST, by=CORE)

    assert len(await core.audit.tail(limit=99)) == 9


# --- stories --------------------------------------------------------------------------------------


async def test_a_message_is_told_with_its_session_and_how_it_came_to_it(
    core: CoreStore, talk: Conversation
):
    heard = await talk.hear("one")
    other = await core.registry.create_agent(name="other")
    await core.ledger.quarantine(talk.session, reason="mac")

    message = await core.audit.story(heard.message.id, limit=10)
    session = await core.audit.story(talk.session, limit=10)
    agent = await core.audit.story("other", limit=10)
    nobody = await core.audit.story("ses_nobody", limit=10)

    told = ["agent.created", "wiring.made", "session.quarantined"]
    assert (message.kind, [one.event for one in message.records]) == ("message", told)
    assert (session.kind, [one.event for one in session.records]) == ("session", told)
    assert (agent.kind, [one.agent for one in agent.records]) == ("agent", [other.id])
    assert (nobody.kind, nobody.records) == ("other", [])


async def test_a_story_is_of_the_newest_records(core: CoreStore):
    for _ in range(5):
        await core.audit.append(entry(7))
    await core.audit.append(entry(8))

    found = await core.audit.story("slt_7", limit=2)

    assert [one.number for one in found.records] == [4, 5]


async def test_pages_go_back_to_the_first_record(core: CoreStore):
    await fill(core, 7)

    assert [one.number for one in await core.audit.tail(limit=3, before=5)] == [2, 3, 4]
    assert await core.audit.tail(limit=3, before=1) == []
    assert (await core.audit.record(3)).number == 3
    with pytest.raises(UserError):
        await core.audit.record(8)
