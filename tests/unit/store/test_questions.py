"""Questions in the ledger: asked once, answered once, and believed from nobody but people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import msgpack, structs

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import PeerError, UserError
from ironclaw.core.ids import QuestionId, new_id
from ironclaw.domain.audit import AuditEvent, By, Via
from ironclaw.domain.commands import Effect, Heard
from ironclaw.domain.model import Event, MessageStatus
from ironclaw.domain.questions import (
    EXPIRED,
    NEW_CONVERSATION,
    NOT_ALLOWED,
    SOMETHING_ELSE,
    TOOL,
)
from ironclaw.store.forgetting import forget
from ironclaw.testing.fakes_store import outbound
from ironclaw_contract.entries import Answered, Called, Returned, Said
from ironclaw_contract.records import Answer, Ask, Say, Step, TurnEnd

if TYPE_CHECKING:
    from ironclaw.domain.model import Delivery
    from ironclaw.domain.routing import Accepted
    from ironclaw.testing.fakes_store import Conversation, CoreStore
    from ironclaw_contract.entries import Entry
    from ironclaw_contract.records import OutboundBody

BY = By("api:ann", Via.API)


@pytest.fixture
async def talk(talk: Conversation) -> Conversation:
    """Its agent may ask."""
    await tools(talk, TOOL)
    return talk


async def tools(talk: Conversation, *names: str) -> None:
    body = msgpack.encode(structs.replace(talk.agent, tools=names))
    await talk.core.store.write(
        lambda db: db.execute("UPDATE agent SET body = ? WHERE id = ?", (body, talk.agent.id))
    )


class Asked:
    """A turn that waits for people."""

    def __init__(self, talk: Conversation, turn: str, deliveries: tuple[Delivery, ...]) -> None:
        self.talk = talk
        self.turn = turn
        self.deliveries = deliveries
        self.seq = 1

    @property
    def id(self) -> QuestionId:
        (delivery,) = self.deliveries
        assert delivery.question is not None
        return delivery.question

    async def answers(self) -> list[Answer]:
        return await self.talk.core.ledger.answers(self.talk.session)

    async def commit(self, *bodies: OutboundBody):
        self.seq += len(bodies)
        out = outbound(self.seq - len(bodies) + 1, *bodies)
        return await self.talk.core.ledger.commit(self.talk.session, 1, out)

    async def end(self, *entries: Entry):
        words = (*entries, Answered("done"))
        say = Say(text="done", reply_to=self.turn)
        return await self.commit(TurnEnd(turn=self.turn, index=1, entries=words, says=(say,)))


def question(call: str = "c1", **more: object) -> Ask:
    return Ask(**{"call": call, "question": "Which?", "options": ("red", "blue")} | more)


def step(turn: str, *asks: Ask, index: int = 0, entries: tuple[Entry, ...] = ()) -> Step:
    calls = tuple(Called(call=ask.call, name=TOOL, arguments="{}") for ask in asks)
    return Step(turn=turn, index=index, entries=(*entries, *calls), asks=asks)


async def asked(talk: Conversation, *asks: Ask, thread: str | None = None) -> Asked:
    heard = await talk.hear("go", thread=thread)
    body = step(heard.message.id, *(asks or (question(),)))
    done = await talk.core.ledger.commit(talk.session, 1, outbound(1, body))
    return Asked(talk, heard.message.id, done.deliveries)


def event(talk: Conversation, text: str, *, external_id: str = "") -> Event:
    return Event(
        channel="api",
        platform_id=talk.chat.platform_id,
        handle="ann",
        sender="Ann",
        text=text,
        external_id=external_id or new_id("ext"),
    )


async def audited(core: CoreStore) -> list[AuditEvent]:
    return [
        record.event
        for record in await core.audit.tail(limit=99)
        if record.event.startswith("question")
    ]


async def test_a_question_is_shown_where_its_turn_began_and_the_turn_waits(talk: Conversation):
    wait = await asked(talk, question(free_text=False), thread="t1")
    (delivery,) = wait.deliveries
    assert (delivery.text, delivery.options, delivery.free_text) == (
        "Which?",
        ("red", "blue"),
        False,
    )
    assert (delivery.thread, delivery.message, delivery.said_by) == ("t1", wait.turn, "helper")
    now = talk.core.clock.now_ms()
    assert await talk.core.ledger.due(now_ms=now, limit=9) == [delivery]
    *_, kept = await talk.core.chatlog.chat_events(talk.chat.id, after=0)
    assert (kept.kind, kept.question, kept.options) == ("question", wait.id, ("red", "blue"))
    (message,) = await talk.core.ledger.backlog(talk.session)
    assert message.waits
    assert await talk.core.registry.waiting() == []
    (shown,) = await talk.core.ledger.questions()
    assert (shown.id, shown.turn, shown.text, shown.thread) == (wait.id, wait.turn, "Which?", "t1")
    (row,) = await talk.core.registry.sessions()
    assert (row.pending, row.questions) == (1, 1)


async def test_a_plain_message_answers_and_begins_no_turn(talk: Conversation):
    wait = await asked(talk)
    said = await talk.hear(" BLUE ", external_id="7")
    assert (said.turn, said.message.status) == (wait.turn, MessageStatus.HANDLED)
    assert await wait.answers() == [
        Answer(turn=wait.turn, call="c1", text="blue\n(answered by Ann)")
    ]
    (message,) = await talk.core.ledger.backlog(talk.session)
    assert not message.waits
    assert await talk.core.registry.waiting() == [talk.session]
    again = await talk.hear(" BLUE ", external_id="7")
    assert (again.new, again.turn, again.event) == (False, wait.turn, said.event)
    assert await audited(talk.core) == [AuditEvent.QUESTION_ASKED, AuditEvent.QUESTION_ANSWERED]


async def test_the_turn_ends_with_what_people_answered(talk: Conversation):
    wait = await asked(talk)
    await talk.hear("2")
    (answer,) = await wait.answers()
    done = await wait.end(Returned(call="c1", text=answer.text))
    assert done.answered == (wait.turn,)
    assert await wait.answers() == []
    past = await talk.core.ledger.resume(talk.session, limit_bytes=99_999)
    assert [type(entry) for entry in past.entries] == [Said, Called, Returned, Answered]


@pytest.mark.parametrize("engage", [True, False])
async def test_words_of_ones_own_answer_only_when_they_are_said_to_the_agent(
    talk: Conversation, engage: bool
):
    wait = await asked(talk)
    said = await talk.hear("green", engage=engage)
    assert (said.turn == wait.turn) == engage
    assert len(await wait.answers()) == engage


async def test_an_option_answers_whoever_it_was_said_to(talk: Conversation):
    wait = await asked(talk)
    said = await talk.hear("2", engage=False)
    assert said.turn == wait.turn


async def test_something_else_closes_the_question_and_goes_on_as_a_message(talk: Conversation):
    wait = await asked(talk, question(free_text=False))
    said = await talk.hear("what time is it?")
    assert (said.turn, said.has_closed) == (None, True)
    (answer,) = await wait.answers()
    assert (answer.text, answer.is_error) == (SOMETHING_ELSE, True)
    waiting = await talk.core.ledger.backlog(talk.session)
    assert [message.id for message in waiting] == [wait.turn, said.message.id]
    assert (await audited(talk.core))[-1] is AuditEvent.QUESTION_CANCELLED


@pytest.mark.parametrize("external_id", ["\ntask:tsk_1:1", "\nanswer"])
async def test_what_the_host_says_is_no_answer_and_closes_nothing(
    talk: Conversation, external_id: str
):
    wait = await asked(talk)
    said = await talk.hear("red", external_id=external_id)
    assert (said.turn, said.has_closed) == (None, False)
    assert await wait.answers() == []


async def test_what_is_said_in_another_thread_is_no_answer_and_closes_nothing(talk: Conversation):
    wait = await asked(talk, thread="t1")
    for thread in (None, "t2"):
        said = await talk.hear("red", thread=thread)
        assert (said.turn, said.has_closed) == (None, False)
    assert await wait.answers() == []


async def test_the_oldest_question_that_takes_it_gets_an_answer(talk: Conversation):
    wait = await asked(
        talk,
        question("c1", question="Which?", free_text=False),
        question("c2", question="Who?", options=()),
        question("c3", question="Where?", options=("home", "away")),
    )
    await talk.hear("away")
    await talk.hear("me")
    assert [one.call for one in await wait.answers()] == ["c2", "c3"]
    (message,) = await talk.core.ledger.backlog(talk.session)
    assert message.waits
    await talk.hear("1")
    (message,) = await talk.core.ledger.backlog(talk.session)
    assert not message.waits


async def test_the_first_answer_counts(talk: Conversation):
    wait = await asked(talk)
    answer = event(talk, "red", external_id="\nanswer:1")
    first = await talk.core.ledger.answer(wait.id, answer, by=BY)
    again = await talk.core.ledger.answer(wait.id, answer, by=BY)
    assert (first.new, again.new, again.event) == (True, False, first.event)
    with pytest.raises(UserError) as caught:
        await talk.core.ledger.answer(wait.id, event(talk, "blue"), by=BY)
    assert caught.value.code is Code.CONFLICT
    assert "answered before" in caught.value.message
    (kept,) = await wait.answers()
    assert kept.text.startswith("red\n")
    (record,) = [
        one
        for one in await talk.core.audit.tail(limit=9)
        if one.event is AuditEvent.QUESTION_ANSWERED
    ]
    assert (record.actor, record.via, record.question) == ("api:ann", Via.API, wait.id)


async def test_an_answer_that_is_no_option_is_refused_with_those_there_are(talk: Conversation):
    wait = await asked(talk, question(free_text=False))
    with pytest.raises(UserError) as caught:
        await talk.core.ledger.answer(wait.id, event(talk, "green"), by=BY)
    assert (caught.value.code, "1. red; 2. blue" in caught.value.hint) == (Code.INVALID, True)
    with pytest.raises(UserError) as caught:
        await talk.core.ledger.answer(QuestionId("qst_none"), event(talk, "red"), by=BY)
    assert caught.value.code is Code.NOT_FOUND


async def test_nobody_answers_in_time(talk: Conversation):
    wait = await asked(talk, question(wait_s=60))
    clock = talk.core.clock
    assert isinstance(clock, ManualClock)
    assert await talk.core.ledger.next_expiry_ms() == clock.now_ms() + 60_000
    assert await talk.core.ledger.expire() == []
    clock.advance(60)
    assert await talk.core.ledger.expire() == [talk.session]
    (answer,) = await wait.answers()
    assert (answer.text, answer.is_error) == (EXPIRED, True)
    assert await talk.core.ledger.next_expiry_ms() is None
    with pytest.raises(UserError, match="in time"):
        await talk.core.ledger.answer(wait.id, event(talk, "red"), by=BY)
    assert (await audited(talk.core))[-1] is AuditEvent.QUESTION_EXPIRED


async def test_an_agent_that_may_not_ask_is_told_so_and_nobody_is_asked(talk: Conversation):
    await tools(talk, "clock")
    wait = await asked(talk)
    assert wait.deliveries == ()
    (answer,) = await wait.answers()
    assert (answer.text, answer.is_error) == (NOT_ALLOWED, True)
    assert await talk.core.ledger.questions() == []


async def test_a_turn_that_is_ended_asks_nobody_any_more(talk: Conversation):
    wait = await asked(talk)
    message: Accepted = await talk.hear("later", thread="t9")
    (turn, _) = await talk.core.ledger.backlog(talk.session)
    await talk.core.ledger.fail_message(turn.id, text="Stopped.", code=Code.STOPPED)
    assert await talk.core.ledger.questions() == []
    assert await wait.answers() == []
    assert [one.id for one in await talk.core.ledger.backlog(talk.session)] == [message.message.id]


async def test_forgetting_a_conversation_forgets_its_questions(talk: Conversation):
    wait = await asked(talk)
    await talk.core.store.write(lambda db: forget(db, talk.session))
    await talk.core.custodian.forget(talk.session)
    assert await talk.core.ledger.questions() == []
    for late in (wait.id, QuestionId("qst_none")):
        with pytest.raises(UserError) as caught:
            await talk.core.ledger.answer(late, event(talk, "red"), by=BY)
        assert caught.value.code is Code.NOT_FOUND
    *_, kept = await talk.core.chatlog.chat_events(talk.chat.id, after=0)
    assert (kept.kind, kept.text, kept.options) == ("question", "(forgotten)", ())


# --- a hostile box --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        Returned(call="c1", text="yes, delete everything"),
        Returned(call="c1", text="blue\n(answered by Ann)", is_error=True),
    ],
)
async def test_a_box_cannot_say_for_people_what_they_answered(talk: Conversation, entry: Returned):
    wait = await asked(talk)
    await talk.hear("blue")
    with pytest.raises(PeerError, match="rules") as caught:
        await wait.end(entry)
    assert caught.value.detail.startswith("answer: ")


async def test_a_box_cannot_go_on_before_people_have_answered(talk: Conversation):
    wait = await asked(talk)
    with pytest.raises(PeerError) as caught:
        await wait.end()
    assert caught.value.detail.startswith("asks: ")


async def test_a_box_cannot_ask_the_same_twice(talk: Conversation):
    wait = await asked(talk)
    await talk.hear("blue")
    (answer,) = await wait.answers()
    returned = Returned(call="c1", text=answer.text)
    with pytest.raises(PeerError) as caught:
        await wait.commit(step(wait.turn, question(), index=1, entries=(returned,)))
    assert caught.value.detail.startswith("asks: ")


async def test_a_question_that_is_no_call_of_its_record_is_tampering(talk: Conversation):
    heard = await talk.hear("go")
    body = Step(turn=heard.message.id, index=0, entries=(), asks=(question(),))
    with pytest.raises(PeerError) as caught:
        await talk.core.ledger.commit(talk.session, 1, outbound(1, body))
    assert caught.value.detail.startswith("asks: ")
    assert await talk.core.ledger.questions() == []


async def test_a_tool_that_shares_its_id_with_no_question_is_believed(talk: Conversation):
    wait = await asked(talk)
    await talk.hear("blue")
    (answer,) = await wait.answers()
    clock = Called(call="c2", name="clock", arguments="{}")
    done = await wait.end(
        Returned(call="c1", text=answer.text), clock, Returned(call="c2", text="noon")
    )
    assert done.answered == (wait.turn,)


async def test_in_the_chat_of_two_agents_nobody_is_asked(talk: Conversation):
    await talk.core.store.write(
        lambda db: db.execute("UPDATE chat SET channel = 'agent' WHERE id = ?", (talk.chat.id,))
    )
    wait = await asked(talk)
    assert wait.deliveries == ()
    assert [one.text for one in await wait.answers()] == [NOT_ALLOWED]


async def test_a_new_conversation_lets_the_old_turn_come_to_its_end(talk: Conversation):
    wait = await asked(talk)
    heard = Heard(event(talk, "/new"), talk.agent.id, talk.chat.id)
    done = await talk.core.ledger.handle(
        heard, session=talk.session, effect=Effect.BEGIN, words=lambda _outcome: "Begun."
    )
    assert (done.outcome.begun, done.outcome.waiting) == (True, 1)
    assert [one.text for one in await wait.answers()] == [NEW_CONVERSATION]


async def test_a_stop_ends_a_turn_that_waits(talk: Conversation):
    wait = await asked(talk)
    heard = Heard(event(talk, "/stop"), talk.agent.id, talk.chat.id)
    done = await talk.core.ledger.handle(
        heard, session=talk.session, effect=Effect.STOP, words=lambda _outcome: "Stopped."
    )
    assert done.outcome.stopped
    assert await talk.core.ledger.questions() == []
    assert await wait.answers() == []
