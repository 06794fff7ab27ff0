"""Commands in the store: row, effect and answer together, once; and who said what before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.commands import Effect, Heard, new_words, stop_words
from ironclaw.domain.model import Event, MessageStatus, Partition
from ironclaw.domain.routing import Seat
from ironclaw.store.migrations import MIGRATIONS
from ironclaw.testing.fakes_store import open_core_store, outbound
from ironclaw_contract.entries import Answered
from ironclaw_contract.records import Say, Step, TurnEnd

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.testing.fakes_store import Conversation, CoreStore

LIMIT = 512 * 1024
_OLD = (
    "INSERT INTO delivery (id, session, message, chat, sealed, at_ms, is_error, next_ms, event)"
    " VALUES (?, ?, ?, ?, ?, 0, ?, 0, ?)"
)


def heard(talk: Conversation, text: str, *, external_id: str = "7") -> Heard:
    event = Event(
        channel="api", platform_id="desk", handle="ann", sender="Ann", text=text,
        external_id=external_id,
    )  # fmt: skip
    return Heard(event, talk.agent.id, talk.chat.id)


async def test_a_command_waits_for_nobody_and_is_of_no_turn(core: CoreStore, talk: Conversation):
    done = await core.ledger.handle(
        heard(talk, "/stop"), session=talk.session, effect=Effect.NOTHING, words=stop_words
    )
    assert (done.message.status, done.message.engage) == (MessageStatus.HANDLED, False)
    assert await core.ledger.backlog(talk.session) == []
    asked = (await talk.hear("hello")).message
    end = TurnEnd(
        turn=asked.id, index=0, entries=(Answered("hi"),), says=(Say(text="hi", reply_to=asked.id),)
    )
    await core.ledger.commit(talk.session, 1, outbound(1, end))
    past = await core.ledger.resume(talk.session, limit_bytes=LIMIT)
    assert [entry.text for entry in past.entries] == ["hello", "hi"]  # type: ignore[union-attr]


async def test_a_stop_closes_the_turn_under_way_and_loses_nothing_else(
    core: CoreStore, talk: Conversation
):
    one = (await talk.hear("one")).message
    context = await talk.hear("by the way", engage=False)
    two = (await talk.hear("two")).message
    step = Step(turn=one.id, index=0, entries=(Answered("half"),), says=())
    await core.ledger.commit(talk.session, 1, outbound(1, step))
    done = await core.ledger.handle(
        heard(talk, "/stop"), session=talk.session, effect=Effect.STOP, words=stop_words
    )
    assert done.outcome == (True, 1, False)
    assert [(told.message, told.is_error) for told in done.deliveries] == [
        (one.id, False), (done.message.id, False),
    ]  # fmt: skip
    left = await core.ledger.backlog(talk.session)
    assert left == [context.message, two]
    past = await core.ledger.resume(talk.session, limit_bytes=LIMIT)
    assert past.turn is None
    assert [entry.text for entry in past.entries] == ["one"]  # type: ignore[union-attr]


async def test_a_stop_with_nothing_to_stop_changes_nothing(core: CoreStore, talk: Conversation):
    done = await core.ledger.handle(
        heard(talk, "/stop"), session=talk.session, effect=Effect.STOP, words=stop_words
    )
    assert (done.answer, len(done.deliveries)) == ("Nothing is running.", 1)


async def test_a_repeat_gives_what_was_answered_first_and_does_nothing(
    core: CoreStore, talk: Conversation
):
    await talk.hear("one")
    first = await core.ledger.handle(
        heard(talk, "/new"), session=talk.session, effect=Effect.BEGIN, words=new_words
    )
    core.registry.look_again()
    seat = Seat(talk.agent.id, Partition.SHARED, talk.chat.id, None)
    assert await core.registry.seated(seat) is None
    again = await core.ledger.handle(
        heard(talk, "/new"), session=talk.session, effect=Effect.STOP, words=stop_words
    )
    assert (again.new, again.deliveries) == (False, ())
    assert (again.message, again.answer, again.event) == (first.message, first.answer, first.event)
    assert await core.ledger.handled(heard(talk, "/new")) == again
    assert len(await core.ledger.backlog(talk.session)) == 1


async def test_nothing_is_kept_in_a_conversation_that_was_forgotten(
    core: CoreStore, talk: Conversation
):
    await core.store.write(lambda db: db.execute("UPDATE session SET state = 'forgotten'"))
    with pytest.raises(UserError) as failed:
        await core.ledger.handle(
            heard(talk, "/new"), session=talk.session, effect=Effect.BEGIN, words=new_words
        )
    assert failed.value.code is Code.CONFLICT
    assert await core.chatlog.chat_events(talk.chat.id, after=0) == []


async def test_what_was_said_before_there_were_commands_is_said_by_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr("ironclaw.store.migrations.MIGRATIONS", MIGRATIONS[:5])
        async with open_core_store(tmp_path) as core:
            talk = await core.begin()
            one, two = [await talk.heard_before(text) for text in ("a", "b")]
            content = core.ledger._content
            for number, (message, is_error) in enumerate([(one, 0), (two, 1)]):
                id_ = f"dlv_{number}"
                sealed = content.seal(talk.session, f"delivery/{id_}", b"x")
                row = (id_, talk.session, message.id, talk.chat.id, sealed, is_error, number + 3)
                await core.store.write(lambda db, row=row: db.execute(_OLD, row))
    async with open_core_store(tmp_path) as core:
        first, *_ = await core.ledger.due(now_ms=1, limit=9)
        assert first.said_by == "helper"
        await core.ledger.delivered(first.id, platform_id="1")
        (second,) = await core.ledger.due(now_ms=1, limit=9)
        assert (second.said_by, second.is_error) == ("ironclaw", True)
