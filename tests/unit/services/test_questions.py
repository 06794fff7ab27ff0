"""Questions and the services around them: boxes rest, cores die, the right people answer, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import pytest
from msgspec import msgpack, structs
from tests.support.cores import Core, OpenCore, until

from ironclaw.core.clock import ManualClock, SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import PrincipalId, QuestionId, SessionId
from ironclaw.core.tasks import Tasks
from ironclaw.domain.audit import AuditEvent, Via
from ironclaw.domain.model import Engage, Event, Role
from ironclaw.domain.questions import EXPIRED, TOOL
from ironclaw.services.commands import LateCommands
from ironclaw.services.delivery import DeliveryService
from ironclaw.services.hub import Hub
from ironclaw.services.parts import SessionLimits
from ironclaw.services.questions import Questions
from ironclaw.services.router import Router
from ironclaw.store.forgetting import forget
from ironclaw.testing.fake_channel import ButtonChannel, FakeChannel, NarrowChannel
from ironclaw.testing.fakes_store import CoreStore, open_core_store, outbound
from ironclaw_contract.entries import Called
from ironclaw_contract.records import Ask, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.core.ids import MessageId
    from ironclaw.domain.model import Agent, Delivery, Message
    from ironclaw.testing.fakes_store import Conversation

OPTIONS = ("red", "blue")


def step(turn: MessageId, **more: object) -> Step:
    ask = Ask(**{"call": "c1", "question": "Which?", "options": OPTIONS} | more)
    call = Called(call="c1", name=TOOL, arguments="{}")
    return Step(turn=turn, index=0, entries=(call,), asks=(ask,))


async def let_ask(core: CoreStore, agent: Agent) -> None:
    body = msgpack.encode(structs.replace(agent, tools=(TOOL,)))
    await core.store.write(
        lambda db: db.execute("UPDATE agent SET body = ? WHERE id = ?", (body, agent.id))
    )


# --- sessions -------------------------------------------------------------------------------------


async def waits(core: Core, talk: Conversation | None = None) -> tuple[Conversation, Message]:
    """A conversation whose turn waits for people."""
    core.airlocks.deaf = True
    if talk is None:
        talk = await core.store.begin()
        await let_ask(core.store, talk.agent)
    message = await core.hear(talk, "go")
    await until(lambda: core.airlocks.links and core.box().todo, "the box to be told")
    core.link().emit(step(message.id))
    async with asyncio.timeout(10):
        while not await core.store.ledger.questions():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.001)
    return talk, message


async def answer(core: Core, talk: Conversation, text: str = "blue") -> None:
    assert (await talk.hear(text)).turn is not None
    core.sessions.wake(talk.session)


async def test_a_box_whose_turn_waits_is_let_go_and_brought_back_for_the_answer(
    open_core: OpenCore,
):
    core = await open_core(SessionLimits(idle_stop_s=0.05))
    talk, message = await waits(core)
    await until(lambda: core.sessions.box_state(talk.session) == "none", "the box to rest")
    core.sessions.wake(talk.session)
    await asyncio.sleep(0.05)
    assert len(core.isolator.launches) == 1
    await answer(core, talk)
    await until(lambda: len(core.airlocks.links) == 2 and core.box().answers, "a fresh box")
    (told,) = core.box().answers
    assert (told.turn, told.call, told.text) == (message.id, "c1", "blue\n(answered by Ann)")
    assert core.box().history[-1].turn == message.id
    assert core.sessions.box_state(talk.session) == "busy"


async def test_a_running_box_is_told_the_answer_and_is_busy_again(core: Core):
    talk, _ = await waits(core)
    await until(lambda: core.sessions.box_state(talk.session) == "ready", "a box that waits")
    await answer(core, talk)
    await until(lambda: core.box().answers, "the answer")
    await until(lambda: core.sessions.box_state(talk.session) == "busy", "a busy box")
    assert len(core.isolator.launches) == 1
    # Told once, whatever else wakes it.
    core.sessions.wake(talk.session)
    await asyncio.sleep(0.02)
    assert len(core.box().answers) == 1


async def test_a_turn_that_waits_is_not_hung(open_core: OpenCore):
    core = await open_core(SessionLimits(turn_s=0.2))
    talk, _ = await waits(core)
    await asyncio.sleep(0.4)
    assert core.sessions.box_state(talk.session) == "ready"
    assert await core.replies(talk.chat.id) == []


async def test_a_box_that_dies_while_its_turn_waits_is_not_replaced(core: Core):
    talk, _ = await waits(core)
    await until(lambda: core.sessions.box_state(talk.session) == "ready", "a box that waits")
    core.isolator.crash(core.slot())
    await until(lambda: core.sessions.box_state(talk.session) == "none", "the end of the box")
    await asyncio.sleep(0.05)
    assert len(core.isolator.launches) == 1
    assert len(await core.store.ledger.questions()) == 1


async def test_a_core_that_dies_behind_an_answer_tells_it_in_its_next_life(open_core: OpenCore):
    core = await open_core()
    talk, _ = await waits(core)
    await core.die()
    assert await core.store.registry.waiting() == []
    # Kept, and then nobody was told.
    assert (await talk.hear("red")).turn is not None
    assert await core.store.registry.waiting() == [talk.session]
    core = await open_core()
    core.sessions.wake(talk.session)
    await until(lambda: core.box().answers, "the answer")
    assert core.box().answers[0].text.startswith("red\n")


async def test_an_adopted_box_waits_on(open_core: OpenCore):
    core = await open_core()
    talk, _ = await waits(core)
    await core.die()
    core = await open_core()
    await core.sessions.adopt(await core.isolator.survivors())
    await until(lambda: core.sessions.box_state(talk.session) == "ready", "an adopted box")
    await answer(core, talk)
    await until(lambda: core.box().answers, "the answer")
    assert len(core.isolator.launches) == 1


async def test_a_stop_fails_a_turn_that_waits(core: Core):
    talk, _ = await waits(core)
    await core.sessions.stop(talk.session)
    (told,) = await core.replies(talk.chat.id)
    assert told == "Stopped on request."
    assert await core.store.ledger.questions() == []


# --- who may answer -------------------------------------------------------------------------------


class Room(NamedTuple):
    """A chat of a platform, in which an agent has asked something."""

    core: CoreStore
    router: Router
    questions: Questions
    woken: list[SessionId]
    question: QuestionId
    turn: MessageId
    session: SessionId

    async def say(self, text: str, handle: str = "ann", **more: object):
        event = heard(text, handle, external_id=f"{handle}/{text}")
        (routed,) = await self.router.hear(structs.replace(event, **more))
        return routed

    async def answered(self) -> list[str]:
        return [one.text for one in await self.core.ledger.answers(self.session)]


def heard(text: str, handle: str, *, external_id: str = "1", mentioned: bool = False) -> Event:
    return Event(
        channel="fake", platform_id="room", handle=handle, sender=handle.title(), text=text,
        external_id=external_id, mentioned=mentioned,
    )  # fmt: skip


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """Its agent hears what mentions it; Ann and Bob may talk to it, Eve may not."""
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        woken: list[SessionId] = []
        hub = Hub(core.chatlog)

        def wake(session: SessionId, message: Message | None) -> None:
            if message is None or message.engage:
                woken.append(session)

        questions = Questions(book=core.ledger, hub=hub, wake=wake, clock=core.clock)
        router = Router(
            directory=core.registry,
            intake=core.ledger,
            refusals=core.chatlog,
            keys=core.custodian,
            hub=hub,
            wake=wake,
            commands=LateCommands(),
            questions=questions,
        )
        agent = await core.registry.create_agent(name="helper", tools=(TOOL,))
        chat = await core.registry.ensure_chat(channel="fake", platform_id="room")
        await core.registry.create_wiring(chat=chat.id, agent=agent.id, engage=Engage.MENTION)
        for handle in ("ann", "bob"):
            await core.registry.give(PrincipalId(f"fake:{handle}"), Role.MEMBER, agent.id)
        (routed,) = await router.hear(heard("go", "ann", mentioned=True))
        assert routed.message is not None
        assert routed.session is not None
        row = await core.ledger.begin_epoch(routed.session, workspace="w")
        out = outbound(1, step(routed.message))
        (told,) = (await core.ledger.commit(routed.session, row.epoch, out)).deliveries
        assert told.question is not None
        woken.clear()
        yield Room(core, router, questions, woken, told.question, routed.message, routed.session)


async def test_an_option_needs_no_mention_and_the_answer_belongs_to_the_turn(room: Room):
    said = await room.say("Blue", "bob")
    assert (said.reason, said.engaged, said.message) == ("answered_question", True, room.turn)
    assert await room.answered() == ["blue\n(answered by Bob)"]
    assert room.woken == [room.session]
    again = await room.say("Blue", "bob")
    assert again.duplicate is False
    assert again.reason == "not_engaged"


async def test_other_words_that_mention_nobody_answer_nothing_and_close_nothing(room: Room):
    said = await room.say("lovely weather", "bob")
    assert said.reason == "not_engaged"
    assert await room.answered() == []
    assert len(await room.core.ledger.questions()) == 1


async def test_words_of_ones_own_answer_where_the_agent_is_mentioned(room: Room):
    said = await room.say("rather green", mentioned=True)
    assert said.message == room.turn
    assert await room.answered() == ["rather green\n(answered by Ann)"]
    again = await room.say("rather green", mentioned=True)
    assert (again.duplicate, again.message) == (True, room.turn)


async def test_whoever_may_not_talk_to_the_agent_may_not_answer_it(room: Room):
    assert (await room.say("blue", "eve")).reason == "not_engaged"
    assert (await room.say("blue", "eve", mentioned=True)).session is None
    refused = await room.say("blue", "eve", question=room.question)
    assert (refused.session, refused.reason) == (None, "not_a_member")
    assert await room.answered() == []


async def test_a_button_answers_and_a_late_one_is_told_so(room: Room):
    said = await room.say("red", question=room.question)
    assert (said.reason, said.message) == ("answered_question", room.turn)
    with pytest.raises(UserError) as caught:
        await room.say("blue", "bob", question=room.question)
    assert caught.value.code is Code.CONFLICT
    assert await room.answered() == ["red\n(answered by Ann)"]
    (record,) = [
        one
        for one in await room.core.audit.tail(limit=9)
        if one.event is AuditEvent.QUESTION_ANSWERED
    ]
    assert (record.actor, record.via) == ("fake:ann", Via.CHAT)


async def test_a_button_of_another_chat_is_none(room: Room):
    chat = await room.core.registry.ensure_chat(channel="fake", platform_id="elsewhere")
    agent = await room.core.registry.agent("helper")
    await room.core.registry.create_wiring(chat=chat.id, agent=agent.id)
    for fields in ({"platform_id": "elsewhere"}, {"question": QuestionId("qst_none")}):
        with pytest.raises(UserError) as caught:
            await room.say("red", **({"question": room.question} | fields))
        assert caught.value.code is Code.NOT_FOUND


async def test_whoever_lost_the_role_may_not_answer_any_more(room: Room):
    agent = await room.core.registry.agent("helper")
    await room.core.registry.take(PrincipalId("fake:ann"), Role.MEMBER, agent.id)
    refused = await room.say("red", question=room.question)
    assert (refused.session, refused.reason) == (None, "not_a_member")
    assert (await room.say("red", mentioned=True)).session is None
    assert (await room.say("red ")).session is None
    assert await room.answered() == []


async def test_only_the_thread_that_was_asked_answers_and_another_closes_nothing(room: Room):
    for text in ("red", "1", "something else"):
        said = await room.say(text, thread="aside", mentioned=True)
        assert said.reason == "engaged"
        assert said.message != room.turn
    assert await room.answered() == []
    assert len(await room.core.ledger.questions()) == 1


async def test_a_button_of_a_conversation_that_was_forgotten_is_none(room: Room):
    await room.core.store.write(lambda db: forget(db, room.session))
    await room.core.custodian.forget(room.session)
    with pytest.raises(UserError) as caught:
        await room.say("red", question=room.question)
    # A fault of the host would have the channel give the same event again, for ever.
    assert caught.value.code is Code.NOT_FOUND


async def test_many_answers_at_once_are_one(room: Room):
    said = [
        room.say("red", "bob", question=room.question, external_id=f"bob/{n}") for n in range(8)
    ]
    ids = [
        room.questions.answer(room.question, "2", principal=PrincipalId("api:ann"))
        for _ in range(8)
    ]
    done = await asyncio.gather(*said, *ids, return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) == 1
    assert len(await room.answered()) == 1


async def test_an_answer_by_id_is_shown_where_it_was_asked(room: Room):
    before = await room.core.chatlog.chat_events(
        (await room.questions.find(room.question)).chat, after=0
    )
    done = await room.questions.answer(room.question, "2", principal=PrincipalId("api:ann"))
    assert done.turn == room.turn
    assert room.woken == [room.session]
    events = await room.core.chatlog.chat_events(done.message.chat, after=before[-1].id)
    assert [(one.kind, one.sender, one.text) for one in events] == [("message", "ann", "2")]
    with pytest.raises(UserError, match="answered before"):
        await room.questions.answer(room.question, "2", principal=PrincipalId("api:ann"))


# --- time -----------------------------------------------------------------------------------------


class Deadlines:
    """A book in which one question expires, at a time that a test sets."""

    def __init__(self) -> None:
        self.at_ms: int | None = None
        self.looks = 0
        self.is_broken = False

    async def next_expiry_ms(self) -> int | None:
        self.looks += 1
        if self.is_broken:
            self.is_broken = False
            raise HostError(Code.UNAVAILABLE, "busy", hint="")
        return self.at_ms

    async def expire(self) -> list[SessionId]:
        self.at_ms = None
        return [SessionId("ses_1")]


async def test_a_question_expires_by_itself_and_nobody_polls(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ironclaw.services.questions.RETRY_S", 0.01)
    book, clock, woken = Deadlines(), SystemClock(), []
    book.is_broken = True
    questions = Questions(
        book=book,  # type: ignore[arg-type]  # what the others do does not matter here
        hub=Hub(None),  # type: ignore[arg-type]
        wake=lambda session, _message: woken.append(session),
        clock=clock,
    )
    async with Tasks("test", on_failure=lambda _name, _error: None) as tasks:
        tasks.start(questions.run(), name="run")
        await until(lambda: book.looks == 2, "a look after the store failed")
        await asyncio.sleep(0.05)
        assert (book.looks, woken) == (2, [])
        book.at_ms = clock.now_ms() + 50
        questions.look_again()
        await until(lambda: woken, "the end of the question")
        await asyncio.sleep(0.05)
        assert woken == ["ses_1"]
        await tasks.cancel()


async def test_the_ledger_rings_when_people_are_asked(core: Core):
    rings: list[bool] = []
    core.store.ledger.asked = lambda: rings.append(True)
    await waits(core)
    # What is asked can be read before whoever commits it goes on to ring, and then to acknowledge.
    await until(lambda: core.link().acked == 1, "the commit to be over")
    assert rings == [True]


async def test_what_expired_while_nobody_ran_is_told_by_the_next_core(room: Room):
    clock = room.core.clock
    assert isinstance(clock, ManualClock)
    clock.advance(2 * 86_400)
    async with Tasks("test", on_failure=lambda _name, _error: None) as tasks:
        tasks.start(room.questions.run(), name="run")
        await until(lambda: room.woken, "the session to be woken")
        await tasks.cancel()
    assert await room.answered() == [EXPIRED]


# --- channels -------------------------------------------------------------------------------------


async def shown(room: Room, channel: FakeChannel) -> list[Delivery]:
    service = DeliveryService(
        outbox=room.core.ledger,
        channels={"fake": channel},
        hub=Hub(room.core.chatlog),
        clock=room.core.clock,
    )
    async with Tasks("test", on_failure=lambda _name, _error: None) as tasks:
        tasks.start(service.run(), name="delivery")
        await until(lambda: channel.shown, "the question")
        await until(lambda: not service._busy, "all of it")
        await tasks.cancel()
    return list(channel.shown.values())


async def test_a_channel_with_buttons_gets_the_options_and_has_one_pressed(room: Room):
    channel = ButtonChannel()
    (told,) = await shown(room, channel)
    assert (told.text, told.options, told.question) == ("Which?", OPTIONS, room.question)
    press = channel.press(told, "red", handle="bob")
    (first,) = await room.router.hear(press)
    (again,) = await room.router.hear(press)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert await room.answered() == ["red\n(answered by Bob)"]


async def test_a_channel_without_buttons_gets_them_as_text(room: Room):
    (told,) = await shown(room, FakeChannel())
    assert told.text.startswith("Which?\n\n1. red\n2. blue\n\nAnswer with a number")


async def test_what_people_may_answer_stands_below_the_last_part(room: Room):
    class Narrow(ButtonChannel, NarrowChannel):
        def __init__(self) -> None:
            NarrowChannel.__init__(self, max_chars=4)

    parts = await shown(room, Narrow())
    assert len(parts) > 1
    assert [bool(part.options) for part in parts] == [False] * (len(parts) - 1) + [True]
