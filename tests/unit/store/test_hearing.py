"""Messages that joined a turn: looked up, kept in their places, and answered with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import PeerError
from ironclaw.core.ids import MessageId
from ironclaw.domain.commands import Effect, Heard, stop_words
from ironclaw.domain.model import Event, MessageStatus
from ironclaw.domain.ports import Worked
from ironclaw.testing.fakes_store import outbound
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Returned, Said
from ironclaw_contract.records import Say, Step, TurnEnd

if TYPE_CHECKING:
    from ironclaw.domain.model import Delivery
    from ironclaw.domain.ports import Committed
    from ironclaw.testing.fakes_store import Conversation, CoreStore
    from ironclaw_contract.records import OutboundBody

LIMIT = 512 * 1024


async def hear(talk: Conversation, text: str, **more: object) -> MessageId:
    return (await talk.hear(text, **more)).message.id  # type: ignore[arg-type]


async def commit(
    talk: Conversation, first: int, *bodies: OutboundBody, epoch: int = 1
) -> Committed:
    return await talk.core.ledger.commit(talk.session, epoch, outbound(first, *bodies))


def step(turn: str, index: int, *heard: str) -> Step:
    call = f"c{index}"
    return Step(turn, index, (Called(call, "clock", "{}"), Returned(call, "noon")), heard=heard)


def end(turn: str, index: int, *heard: str, text: str = "so") -> TurnEnd:
    return TurnEnd(turn, index, (Answered(text),), (Say(text, turn),), heard)


async def statuses(talk: Conversation) -> dict[str, str]:
    rows = await talk.core.store.read(lambda db: list(db.execute("SELECT id, status FROM message")))
    return {str(id_): str(status) for id_, status in rows}


async def test_one_reply_answers_all_that_joined(talk: Conversation):
    one, two, context, three = [
        await hear(talk, "one"),
        await hear(talk, "two"),
        await hear(talk, "by the way", engage=False),
        await hear(talk, "three"),
    ]
    done = await commit(talk, 1, step(one, 0), step(one, 1, two), end(one, 2, context, three))
    (reply,) = done.deliveries
    assert (reply.message, reply.answers) == (one, (two, three))
    assert done.answered == (one, two, three)
    assert await talk.core.ledger.backlog(talk.session) == []
    found = await statuses(talk)
    assert {found[id_] for id_ in (one, two, three)} == {MessageStatus.ANSWERED}
    assert found[context] == MessageStatus.CONTEXT
    # As it is read again, from either side.
    assert await talk.core.ledger.due(now_ms=reply.at_ms, limit=9) == [reply]
    events = await talk.core.chatlog.chat_events(talk.chat.id, after=0)
    assert [event.answers for event in events] == [(), (), (), (), (two, three)]


async def test_a_turn_is_told_again_with_every_message_in_its_place(talk: Conversation):
    one, two, three = [await hear(talk, text) for text in ("one", "two", "three")]
    steps = [step(one, 0), step(one, 1, two), step(one, 2, three)]
    await commit(talk, 1, *steps)
    past = await talk.core.ledger.resume(talk.session, limit_bytes=LIMIT)
    told = [e.message if isinstance(e, Said) else e for e in past.turn_entries]
    assert (past.turn, past.turn_index) == (one, 3)
    assert told == [
        one, *steps[0].entries, two, *steps[1].entries, three, *steps[2].entries,
    ]  # fmt: skip
    await commit(talk, 4, end(one, 3))
    ended = await talk.core.ledger.resume(talk.session, limit_bytes=LIMIT)
    assert ended.entries == (*past.turn_entries, Answered("so"))


async def test_what_people_answered_stands_before_what_joined_then(talk: Conversation):
    one, two = await hear(talk, "one"), await hear(talk, "two")
    asked = Step(one, 0, (Called("q", "ask_user", "{}"),))
    answered = Returned("q", "yes")
    await commit(
        talk, 1, asked, TurnEnd(one, 1, (answered, Answered("so")), (Say("so", one),), (two,))
    )
    past = await talk.core.ledger.resume(talk.session, limit_bytes=LIMIT)
    assert [type(entry) for entry in past.entries] == [Said, Called, Returned, Said, Answered]


async def test_a_message_that_no_record_told_of_waits_on(talk: Conversation):
    one, two = await hear(talk, "one"), await hear(talk, "two")
    await commit(talk, 1, step(one, 0))
    assert [m.id for m in await talk.core.ledger.backlog(talk.session)] == [one, two]
    await commit(talk, 2, step(one, 1, two))
    assert [m.id for m in await talk.core.ledger.backlog(talk.session)] == [one]


async def test_words_within_a_turn_answer_what_was_heard_by_then(talk: Conversation):
    one, two = await hear(talk, "one"), await hear(talk, "two")
    said = Step(one, 0, (Answered("first"),), (Say("first", one),))
    done = await commit(talk, 1, said, end(one, 1, two))
    assert [delivery.answers for delivery in done.deliveries] == [(), (two,)]


@pytest.mark.parametrize("how", ["in the box", "by the host", "by /stop"])
async def test_a_failure_is_one_of_all_that_joined(talk: Conversation, how: str):
    one, two = await hear(talk, "one"), await hear(talk, "two")
    await commit(talk, 1, step(one, 0, two))
    if how == "in the box":
        body = TurnEnd(one, 1, (), failed=WireCode.INTERNAL)
        (told,) = (await commit(talk, 2, body)).deliveries
    elif how == "by the host":
        failed = await talk.core.ledger.fail_message(one, text="No.", code=Code.BOX_HUNG)
        (told,) = failed.deliveries
    else:
        told = await stopped(talk)
    assert told.answers == (two,)
    found = await statuses(talk)
    assert (found[one], found[two]) == (MessageStatus.FAILED, MessageStatus.FAILED)
    assert await talk.core.ledger.waits(talk.session) == 0


async def stopped(talk: Conversation) -> Delivery:
    event = Event(
        channel="api", platform_id=talk.chat.platform_id, handle="ann", sender="Ann",
        text="/stop", external_id="stop",
    )  # fmt: skip
    heard = Heard(event=event, chat=talk.chat.id, agent=talk.agent.id)
    done = await talk.core.ledger.handle(
        heard, session=talk.session, effect=Effect.STOP, words=stop_words
    )
    assert not done.outcome.waiting
    return done.deliveries[0]


async def test_what_a_box_says_joined_is_looked_up(talk: Conversation, core: CoreStore):
    other = await core.begin(name="other", place="elsewhere")
    foreign = await hear(other, "secret")
    one = await hear(talk, "one")
    away = await hear(talk, "elsewhere", thread="t9")
    two = await hear(talk, "two")
    breaches = {
        "foreign": (foreign,),
        "made up": ("msg_nobody",),
        "another thread": (away,),
        "the turn itself": (one,),
        "twice": (two, two),
    }
    for name, heard in breaches.items():
        with pytest.raises(PeerError) as caught:
            await commit(talk, 1, step(one, 0, *heard))
        assert caught.value.code is Code.TAMPER, name
    await commit(talk, 1, step(one, 0, two))
    for name, first, bodies in (
        ("joined before", 2, [step(one, 1, two)]),
        ("begins a turn while one is open", 2, [end(two, 0)]),
    ):
        with pytest.raises(PeerError) as caught:
            await commit(talk, first, *bodies)
        assert caught.value.code is Code.TAMPER, name
    await commit(talk, 2, end(one, 1))
    three = await hear(talk, "three")
    for turn, joined in ((three, one), (three, two)):
        with pytest.raises(PeerError) as caught:
            await commit(talk, 3, step(turn, 0, joined))
        assert caught.value.code is Code.TAMPER
    with pytest.raises(PeerError):
        await commit(talk, 3, end(two, 2))
    assert [m.id for m in await core.ledger.backlog(talk.session)] == [away, three]


async def test_context_that_was_given_up_meanwhile_is_no_breach(talk: Conversation):
    one = await hear(talk, "one")
    context = await hear(talk, "by the way", engage=False)
    await talk.core.store.write(
        lambda db: db.execute("UPDATE message SET open = 0 WHERE id = ?", (context,))
    )
    await commit(talk, 1, end(one, 0, context))
    past = await talk.core.ledger.resume(talk.session, limit_bytes=LIMIT)
    assert [e.text for e in past.entries] == ["one", "by the way", "so"]


async def test_the_time_of_a_turn_goes_on_in_a_fresh_box(talk: Conversation):
    one = await hear(talk, "one")
    out = outbound(1, step(one, 0))
    await talk.core.ledger.commit(talk.session, 1, out, worked=Worked(one, 4200))
    assert (await talk.core.ledger.resume(talk.session, limit_bytes=LIMIT)).worked_ms == 4200
