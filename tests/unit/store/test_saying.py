"""Words within a turn: kept as said, not as the answer, also where they are delivered later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.services.searching import Searching
from ironclaw.store.migrations import MIGRATIONS
from ironclaw.store.searching import Passages
from ironclaw.testing.fakes_store import open_core_store, outbound
from ironclaw_contract.entries import Answered, Called, Returned, Thought
from ironclaw_contract.records import Say, Step, TurnEnd

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.testing.fakes_store import Conversation
    from ironclaw_contract.entries import Entry

USES = (Answered("I tell them."), Called("c", "tell", "{}"), Returned("c", "said to the chat"))


async def commit(talk: Conversation, *bodies: Step | TurnEnd):
    first = (await talk.core.registry.session(talk.session)).out_seq + 1
    return (await talk.core.ledger.commit(talk.session, 1, outbound(first, *bodies))).deliveries


def step(turn: str, text: str, *entries: Entry, index: int = 0) -> Step:
    return Step(turn=turn, index=index, entries=entries, says=(Say(text=text, reply_to=turn),))


def end(turn: str, index: int) -> TurnEnd:
    said = (Say(text="done", reply_to=turn),)
    return TurnEnd(turn=turn, index=index, entries=(Answered("done"),), says=said)


async def kinds(talk: Conversation) -> list[tuple[str, str]]:
    kept = await talk.core.chatlog.chat_events(talk.chat.id, after=0)
    return [(event.kind, event.text) for event in kept]


async def test_words_beside_tools_go_on_and_words_alone_are_an_answer(talk: Conversation):
    turn = (await talk.hear("go")).message.id
    deliveries = await commit(
        talk,
        step(turn, "still at it", *USES),
        step(turn, "an answer", Answered("an answer"), Thought("sealed"), index=1),
        end(turn, 2),
    )
    assert [one.goes_on for one in deliveries] == [True, False, False]
    assert await kinds(talk) == [
        ("message", "go"),
        ("said", "still at it"),
        ("reply", "an answer"),
        ("reply", "done"),
    ]
    # The answers of people to a question may stand before what was said at once.
    asked = (await talk.hear("and")).message.id
    before = (*USES, Answered("an answer"))
    assert not (await commit(talk, step(asked, "an answer", *before)))[0].goes_on


async def test_it_is_the_same_when_it_is_delivered_after_a_restart(tmp_path: Path):
    async with open_core_store(tmp_path) as core:
        talk = await core.begin()
        await core.ledger.begin_epoch(talk.session, workspace="w")
        turn = (await talk.hear("go")).message.id
        said = await commit(talk, step(turn, "still at it", *USES))
    async with open_core_store(tmp_path) as core:
        now = said[0].at_ms
        (due,) = await core.ledger.due(now_ms=now, limit=9)
        assert (due, due.goes_on) == (said[0], True)


async def test_what_was_kept_as_files_is_kept_as_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr("ironclaw.store.migrations.MIGRATIONS", MIGRATIONS[:7])
        async with open_core_store(tmp_path) as core:
            talk = await core.begin()
            await core.ledger.begin_epoch(talk.session, workspace="w")
            turn = (await talk.hear("go")).message.id
            await commit(talk, step(turn, "a file", *USES), end(turn, 1))
            await core.store.write(
                lambda db: db.execute("UPDATE event SET kind = 'file' WHERE kind = 'said'")
            )
    async with open_core_store(tmp_path) as core:
        assert [kind for kind, _ in await kinds(talk._replace(core=core))] == [
            "message",
            "said",
            "reply",
        ]


async def test_it_is_found_with_the_rest_of_the_conversation(talk: Conversation):
    turn = (await talk.hear("go")).message.id
    await commit(talk, step(turn, "the herons have come", *USES), end(turn, 1))
    search = Searching(Passages(talk.core.store, talk.core.custodian), talk.core.clock)
    done = await search.search(talk.session, "herons", limit=5)
    assert [one.kind for one in done.found] == ["reply"]
