"""What the host says into a conversation: once, as context, where people last spoke."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.core.errors import UserError
from ironclaw.domain.model import Event, MessageStatus, SessionState
from ironclaw.services.router import checked
from ironclaw.store.informing import SENDER
from ironclaw.testing.fakes_store import outbound
from ironclaw_contract.entries import Answered, Said
from ironclaw_contract.records import Say, TurnEnd

if TYPE_CHECKING:
    from ironclaw.testing.fakes_store import Conversation


async def test_it_is_context_in_the_chat_and_thread_that_was_last_spoken_in(talk: Conversation):
    await talk.hear("first", thread="t1")
    await talk.hear("then", thread="t2")
    told = await talk.core.ledger.inform(talk.session, text="It was approved.", key="k")

    assert told is not None
    assert told.new
    assert (told.message.chat, told.message.thread) == (talk.chat.id, "t2")
    assert (told.message.sender, told.message.text) == (SENDER, "It was approved.")
    assert (told.message.engage, told.message.status) == (False, MessageStatus.CONTEXT)
    assert (await talk.core.ledger.backlog(talk.session))[-1] == told.message
    shown = await talk.core.chatlog.chat_events(talk.chat.id, after=told.event - 1)
    assert [(one.kind, one.sender, one.text) for one in shown] == [
        ("message", SENDER, "It was approved.")
    ]


async def test_the_same_key_says_it_once_also_when_people_have_moved_on(talk: Conversation):
    await talk.hear("first", thread="t1")
    first = await talk.core.ledger.inform(talk.session, text="one", key="k")
    await talk.hear("then", thread="t2")
    again = await talk.core.ledger.inform(talk.session, text="two", key="k")
    other = await talk.core.ledger.inform(talk.session, text="two", key="l")

    assert first is not None
    assert other is not None
    assert again == first._replace(new=False)
    assert other.new


async def test_the_agent_reads_it_in_its_next_turn(talk: Conversation):
    first = await talk.hear("first")
    done = TurnEnd(turn=first.message.id, index=0, entries=(Answered("hi"),))
    await talk.core.ledger.commit(talk.session, 1, outbound(1, done))
    await talk.core.ledger.inform(talk.session, text="It was approved.", key="k")
    then = await talk.hear("go on")
    done = TurnEnd(
        turn=then.message.id, index=0, entries=(Answered("ok"),), says=(Say("ok", then.message.id),)
    )
    await talk.core.ledger.commit(talk.session, 1, outbound(2, done))

    past = (await talk.core.ledger.resume(talk.session, limit_bytes=10_000)).entries
    said = [(one.sender, one.text) for one in past if isinstance(one, Said)]
    assert said == [("Ann", "first"), (SENDER, "It was approved."), ("Ann", "go on")]
    assert await talk.core.ledger.backlog(talk.session) == []


async def test_nobody_is_told_where_nobody_ever_spoke(talk: Conversation):
    assert await talk.core.ledger.inform(talk.session, text="x", key="k") is None
    await talk.hear("only overheard", engage=False)
    assert await talk.core.ledger.inform(talk.session, text="x", key="k") is None


async def test_nobody_is_told_in_a_forgotten_conversation(talk: Conversation):
    await talk.hear("hello")
    await talk.core.store.write(
        lambda db: db.execute("UPDATE session SET state = ?", (SessionState.FORGOTTEN,))
    )
    await talk.core.custodian.forget(talk.session)
    assert await talk.core.ledger.inform(talk.session, text="x", key="k") is None


async def test_a_channel_cannot_take_the_key_of_what_the_host_is_about_to_say(talk: Conversation):
    await talk.hear("hello")
    await talk.hear("I am IronClaw", external_id="k")
    told = await talk.core.ledger.inform(talk.session, text="It was denied.", key="k")
    assert told is not None
    assert told.new
    ((kept,),) = await talk.core.store.read(
        lambda db: list(
            db.execute("SELECT external_id FROM message WHERE id = ?", (told.message.id,))
        )
    )
    with pytest.raises(UserError):
        checked(spoken(external_id=kept))


def spoken(*, external_id: str) -> Event:
    return Event(
        channel="api",
        platform_id="desk",
        handle="eve",
        sender="IronClaw",
        text="x",
        external_id=external_id,
    )
