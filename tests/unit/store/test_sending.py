"""What an agent sends to a destination: kept once, if it may, in the chat of that place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.past_gateway import archive_agent

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.letters import Letter
from ironclaw.domain.model import Destination
from ironclaw.services.house import SentTo
from ironclaw.store.chatlog import FORGOTTEN

if TYPE_CHECKING:
    from ironclaw.core.ids import ChatId
    from ironclaw.testing.fakes_store import Conversation, CoreStore

OPS = Destination(name="ops", channel="api", platform_id="ops-room")


async def grant(
    talk: Conversation,
    *destinations: Destination,
    tools: tuple[str, ...] = ("send_message",),
) -> None:
    """Give the agent its destinations, as an applied change does."""
    agent = msgspec.structs.replace(talk.agent, destinations=destinations, tools=tools)
    await talk.core.store.write(
        lambda db: db.execute(
            "UPDATE agent SET body = ? WHERE id = ?", (msgspec.msgpack.encode(agent), agent.id)
        )
    )


async def letter(talk: Conversation, text: str = "disk is full", key: str = "k1") -> Letter:
    turn = await talk.hear("watch the disk", external_id="watch", thread="t1")
    return Letter(talk.agent.id, talk.session, turn.message.id, key, "ops", text)


async def test_it_becomes_a_delivery_in_the_chat_of_that_place(core: CoreStore, talk: Conversation):
    await grant(talk, OPS)
    sent = await core.ledger.send(await letter(talk))
    assert sent is not None
    assert (sent.channel, sent.platform_id, sent.thread) == ("api", "ops-room", None)
    assert (sent.said_by, sent.text, sent.is_error) == ("helper", "disk is full", False)
    assert [sent] == await core.ledger.due(now_ms=core.clock.now_ms(), limit=10)
    (event,) = await core.chatlog.chat_events(sent.chat, after=0)
    assert (event.kind, event.sender, event.text, event.thread) == (
        "reply", "helper", "disk is full", None,
    )  # fmt: skip


async def test_a_transcript_says_where_it_went(core: CoreStore, talk: Conversation):
    await grant(talk, OPS)
    assert await core.ledger.send(await letter(talk)) is not None

    async def went() -> dict[str, tuple[str, SentTo | None]]:
        events = await core.chatlog.transcript(talk.session, limit=9)
        return {one.kind: (one.text, one.sent_to) for one in events}

    ops = SentTo(name="ops", channel="api", platform_id="ops-room")
    assert await went() == {"message": ("watch the disk", None), "reply": ("disk is full", ops)}
    await grant(talk)
    assert (await went())["reply"][1] == msgspec.structs.replace(ops, name="")
    await core.custodian.forget(talk.session)
    assert await went() == {"message": (FORGOTTEN, None), "reply": (FORGOTTEN, None)}


async def test_a_chat_that_is_known_is_used(core: CoreStore, talk: Conversation):
    await grant(talk, OPS)
    chat = await core.registry.ensure_chat(channel="api", platform_id="ops-room")
    sent = await core.ledger.send(await letter(talk))
    assert sent is not None
    assert sent.chat == chat.id


async def test_the_same_one_is_kept_once(core: CoreStore, talk: Conversation):
    await grant(talk, OPS)
    one = await letter(talk)
    assert not await core.ledger.is_sent(one)
    assert await core.ledger.send(one) is not None
    assert await core.ledger.is_sent(one)
    assert await core.ledger.send(one) is None
    assert await core.ledger.send(one._replace(text="other words")) is None
    assert await core.ledger.send(one._replace(key="k2")) is not None
    assert len(await core.chatlog.chat_events((await _chat(core)), after=0)) == 2


async def _chat(core: CoreStore) -> ChatId:
    place = await core.registry.place("api", "ops-room")
    assert place is not None
    return place.chat.id


async def test_turn_and_key_are_not_read_as_one_another(core: CoreStore, talk: Conversation):
    await grant(talk, OPS)
    one = await letter(talk, key="a/b")
    assert await core.ledger.send(one) is not None
    assert not await core.ledger.is_sent(one._replace(turn=f"{one.turn}/a", key="b"))


@pytest.mark.parametrize(
    ("destinations", "tools"),
    [
        ((), ("send_message",)),
        ((OPS,), ()),
        ((msgspec.structs.replace(OPS, name="other"),), ("send_message",)),
    ],
)
async def test_what_it_may_not_do_now_leaves_nothing(
    core: CoreStore,
    talk: Conversation,
    destinations: tuple[Destination, ...],
    tools: tuple[str, ...],
):
    await grant(talk, *destinations, tools=tools)
    with pytest.raises(PolicyError) as caught:
        await core.ledger.send(await letter(talk))
    assert caught.value.code is Code.FORBIDDEN
    assert await core.ledger.due(now_ms=core.clock.now_ms(), limit=10) == []
    assert await core.registry.place("api", "ops-room") is None


async def test_an_archived_agent_sends_nothing(core: CoreStore, talk: Conversation):
    await grant(talk, OPS)
    await archive_agent(core.registry, "helper")
    with pytest.raises(PolicyError):
        await core.ledger.send(await letter(talk))


async def test_a_quarantined_session_sends_nothing(core: CoreStore, talk: Conversation):
    await grant(talk, OPS)
    one = await letter(talk)
    await core.ledger.quarantine(talk.session, reason="gap")
    with pytest.raises(PolicyError):
        await core.ledger.send(one)


async def test_nobody_sends_in_the_name_of_another_agent_or_session(
    core: CoreStore, talk: Conversation
):
    await grant(talk, OPS)
    other = await core.begin(name="other", place="elsewhere")
    one = await letter(talk)
    with pytest.raises(PolicyError):
        await core.ledger.send(one._replace(session=other.session))
    with pytest.raises(PolicyError):
        await core.ledger.send(one._replace(agent=other.agent.id))


async def test_a_turn_of_another_session_is_none(core: CoreStore, talk: Conversation):
    await grant(talk, OPS)
    other = await core.begin(name="other", place="elsewhere")
    foreign = await other.hear("hello")
    one = await letter(talk)
    for turn in (foreign.message.id, "msg_none"):
        with pytest.raises(UserError) as caught:
            await core.ledger.send(one._replace(turn=turn))
        assert caught.value.code is Code.NOT_FOUND


async def test_one_that_is_dead_is_told_of_where_it_was_to_be_said(
    core: CoreStore, talk: Conversation
):
    await grant(talk, OPS)
    sent = await core.ledger.send(await letter(talk))
    assert sent is not None
    await core.ledger.postpone(sent.id, next_ms=None, error="no such room")
    kinds = [event.kind for event in await core.chatlog.chat_events(sent.chat, after=0)]
    assert kinds == ["reply", "error"]
    own = await core.chatlog.chat_events(talk.chat.id, after=0)
    assert [event.kind for event in own] == ["message"]
    dead = [one for one in await core.audit.tail(limit=5) if one.event == AuditEvent.DELIVERY_DEAD]
    assert [record.chat for record in dead] == [sent.chat]
