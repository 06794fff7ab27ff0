"""Summaries in the ledger: what a fresh box is told of them, and what no box can claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.store.test_ledger import LIMIT, commit, end

from ironclaw.core.codes import Code
from ironclaw.core.errors import PeerError
from ironclaw.services.briefing import first_records
from ironclaw.services.parts import SessionLimits
from ironclaw.store.forgetting import forget
from ironclaw.store.summary_rows import MAX_SUMMARY_BYTES
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Returned
from ironclaw_contract.records import History, Step, Summary, TurnEnd

if TYPE_CHECKING:
    from ironclaw.domain.ports import Resume
    from ironclaw.testing.fakes_store import Conversation, CoreStore


async def turns(talk: Conversation, *texts: str, first: int = 1) -> list[str]:
    ids = []
    for number, text in enumerate(texts, start=first):
        heard = await talk.hear(text)
        await commit(talk, number, end(heard.message.id, f"to {text}"))
        ids.append(heard.message.id)
    return ids


async def resumed(talk: Conversation, limit: int = LIMIT) -> Resume:
    return await talk.core.ledger.resume(talk.session, limit_bytes=limit)


async def test_a_fresh_box_is_told_the_summary_and_the_turns_behind_it(talk: Conversation):
    ids = await turns(talk, "one", "two", "three")
    assert await commit(talk, 4, Summary(turn=ids[1], text="Ann counts.")) == ((), ())
    past = await resumed(talk)
    assert past.summary == "Ann counts."
    assert [entry.text for entry in past.entries] == ["three", "to three"]
    first = first_records(talk.agent, past, SessionLimits())
    assert first[1] == History(entries=(), summary="Ann counts.")
    (next_id,) = await turns(talk, "four", first=5)
    await commit(talk, 6, Summary(turn=next_id, text="Ann counts to four."))
    past = await resumed(talk)
    assert (past.summary, past.entries) == ("Ann counts to four.", ())


@pytest.mark.parametrize("is_failure", [False, True])
async def test_what_joined_a_turn_behind_what_was_summed_up_is_told(
    talk: Conversation, is_failure: bool
):
    """To a box a turn that somebody joined is two pieces, and a summary may end between them."""
    one = (await talk.hear("one", thread="t")).message.id
    two = (await talk.hear("two", thread="t")).message.id
    await commit(
        talk,
        1,
        Step(turn=one, index=0, entries=(Called("c", "clock", "{}"), Returned("c", "noon"))),
        TurnEnd(
            turn=one,
            index=1,
            entries=() if is_failure else (Answered("to both"),),
            heard=(two,),
            failed=WireCode.MODEL_REFUSED if is_failure else None,
        ),
    )
    await turns(talk, "three", first=3)
    await commit(talk, 4, Summary(turn=one, text="s"))
    told = [getattr(entry, "text", "") for entry in (await resumed(talk)).entries]
    assert told == ["two", *([] if is_failure else ["to both"]), "three", "to three"]
    # One that ends with what joined it leaves nothing of the turn.
    await commit(talk, 5, Summary(turn=two, text="s"))
    assert [entry.text for entry in (await resumed(talk)).entries] == ["three", "to three"]


async def test_the_ledger_keeps_what_was_summed_up(talk: Conversation):
    ids = await turns(talk, "one", "two")
    await commit(talk, 3, Summary(turn=ids[1], text="s"))
    said = await talk.core.chatlog.transcript(talk.session, limit=9)
    assert [event.text for event in said] == ["one", "to one", "two", "to two"]


async def test_a_summary_leaves_less_room_for_turns(talk: Conversation):
    ids = await turns(talk, "one", "x" * 3000, "y" * 100)
    await commit(talk, 4, Summary(turn=ids[0], text="z" * 3000))
    past = await resumed(talk, 7000)
    assert [entry.text for entry in past.entries] == ["y" * 100, "to " + "y" * 100]


async def test_an_open_turn_is_told_beside_a_summary(talk: Conversation):
    ids = await turns(talk, "one")
    await commit(talk, 2, Summary(turn=ids[0], text="s"))
    heard = await talk.hear("two")
    await commit(talk, 3, Step(turn=heard.message.id, index=0, entries=()))
    past = await resumed(talk)
    assert (past.summary, past.entries, past.turn) == ("s", (), heard.message.id)


async def test_no_box_can_claim_what_cannot_be(talk: Conversation, core: CoreStore):
    other = await core.begin(name="other", place="elsewhere")
    await core.ledger.begin_epoch(other.session, workspace="w")
    (foreign,) = await turns(other, "theirs")
    one, two = await turns(talk, "one", "two")
    context = (await talk.hear("aside", engage=False)).message.id
    pending = (await talk.hear("three")).message.id
    await commit(talk, 3, Summary(turn=one, text="good"), Summary(turn=two, text="good too"))
    claims = {
        "somebody else's turn": Summary(turn=foreign, text="s"),
        "a made-up turn": Summary(turn="msg_nobody", text="s"),
        "context": Summary(turn=context, text="s"),
        "a turn that has not ended": Summary(turn=pending, text="s"),
        "an older turn": Summary(turn=one, text="s"),
        "the same turn": Summary(turn=two, text="s"),
    }
    for name, claim in claims.items():
        with pytest.raises(PeerError) as caught:
            await commit(talk, 5, claim)
        assert caught.value.code is Code.TAMPER, name
    assert (await resumed(talk)).summary == "good too"


@pytest.mark.parametrize("text", ["", " \n", "\0", "x" * (MAX_SUMMARY_BYTES + 1)])
async def test_a_summary_says_something_and_is_bounded(talk: Conversation, text: str):
    ids = await turns(talk, "one")
    with pytest.raises(PeerError):
        await commit(talk, 2, Summary(turn=ids[0], text=text))


async def test_a_turn_that_is_open_is_not_summed_up(talk: Conversation):
    heard = await talk.hear("one")
    step = Step(turn=heard.message.id, index=0, entries=())
    with pytest.raises(PeerError):
        await commit(talk, 1, step, Summary(turn=heard.message.id, text="s"))


async def test_it_is_sealed_and_goes_with_its_conversation(talk: Conversation):
    ids = await turns(talk, "one")
    await commit(talk, 2, Summary(turn=ids[0], text="canary-of-summary"))
    rows = await talk.core.store.read(lambda db: list(db.execute("SELECT sealed FROM summary")))
    assert b"canary" not in rows[0][0]
    await talk.core.store.write(lambda db: forget(db, talk.session))
    assert await talk.core.store.read(lambda db: list(db.execute("SELECT * FROM summary"))) == []
