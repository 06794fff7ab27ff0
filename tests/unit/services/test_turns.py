"""A turn as its host sees it: what joins it, what people are shown of it, how long it may take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.cores import Core, OpenCore, until

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.ids import MessageId
from ironclaw.domain.changes.base import PutAgent
from ironclaw.domain.model import Message
from ironclaw.domain.ports import Worked
from ironclaw.domain.wall import Asked
from ironclaw.services import doing
from ironclaw.services.briefing import place_of
from ironclaw.services.inbox import Inbox
from ironclaw.services.parts import SessionLimits
from ironclaw.services.turn_clock import TurnClock
from ironclaw.store.change_ops import Cause, execute
from ironclaw.store.file_rows import Most
from ironclaw_contract import records
from ironclaw_contract.entries import Answered, Called, File, Returned, Said
from ironclaw_contract.records import Part, Say, Step, TurnEnd
from ironclaw_contract.rpc import Generate, Generated, Purpose, Stop

if TYPE_CHECKING:
    from ironclaw.testing.fakes_store import Conversation, CoreStore


async def begun(core: Core, text: str = "!hang") -> tuple[Conversation, Message, records.Message]:
    """A conversation whose box works on a message; that message, and what the box has of it."""
    talk = await core.store.begin()
    message = await core.hear(talk, text)
    await until(lambda: core.airlocks.links and core.box().todo)
    return talk, message, core.box().todo[0]


def step(turn: str, index: int, *heard: str) -> Step:
    return Step(turn, index, (Called("c", "clock", "{}"), Returned("c", "noon")), heard=heard)


def end(turn: str, index: int, *heard: str) -> TurnEnd:
    return TurnEnd(turn, index, (Answered("so"),), (Say("so", turn),), heard)


# --- joining --------------------------------------------------------------------------------------


@pytest.mark.parametrize("steers", [True, False])
async def test_the_setting_reaches_the_box(open_core: OpenCore, steers: bool):
    core = await open_core(SessionLimits(steers=steers))
    await begun(core)
    assert core.box().setups[0].steers is steers


async def test_a_box_can_tell_places_apart_and_not_which_they_are(core: Core):
    talk, _, told = await begun(core)
    for thread in (None, "t1", "t1"):
        message = (await talk.hear("more", thread=thread)).message
        core.sessions.wake(talk.session, message)
    await until(lambda: len(core.box().messages) == 4)
    places = [message.place for message in core.box().messages]
    assert places[0] == places[1] == told.place
    assert places[2] == places[3] != told.place
    assert all(len(place) == 24 and talk.chat.id not in place for place in places)
    other = await core.store.begin(name="other", place="elsewhere")
    key = core.store.custodian.key(other.session)
    assert place_of((await talk.hear("x")).message, key) != told.place


async def test_all_that_joined_is_over_with_the_turn(open_core: OpenCore):
    core = await open_core(SessionLimits(steers=True))
    talk, one, told = await begun(core)
    two = await core.hear(talk, "two")
    await until(lambda: len(core.box().messages) == 2)
    core.link().emit(step(one.id, 0, two.id))
    core.link().emit(end(one.id, 1))
    core.box().todo.clear()

    assert await core.answered(talk, 1) == ["so"]
    await until(lambda: core.sessions.box_state(talk.session) == "ready")
    assert core.announced.deliveries[0].answers == (two.id,)
    assert told.message == one.id


async def test_a_fresh_box_is_told_a_turn_with_what_joined_it(core: Core):
    talk, one, _ = await begun(core)
    two = await core.hear(talk, "two")
    await until(lambda: len(core.box().messages) == 2)
    core.link().emit(step(one.id, 0), step(one.id, 1, two.id))
    await until(lambda: core.link().acked == 2)
    core.airlocks.deaf = True
    core.isolator.crash(core.slot(), "gone")
    await until(lambda: len(core.airlocks.links) == 2 and core.box().history)

    (history,) = core.box().history
    assert [e.message for e in history.entries if isinstance(e, Said)] == [one.id, two.id]
    assert (history.turn, history.index) == (one.id, 2)
    assert [message.message for message in core.box().messages] == []


async def test_an_inbox_knows_the_turn_and_what_joined_it(core: Core):
    talk = await core.store.begin()
    messages = [
        (await talk.hear(text, engage=text != "context")).message
        for text in ("context", "one", "two")
    ]
    context, one, two = (message.id for message in messages)
    inbox = Inbox(core.store.ledger, talk.session)
    assert inbox.turn is None
    inbox.mark(messages, [])
    inbox.join(one, [context, MessageId("msg_foreign"), two])
    assert (inbox.turn, inbox.joined(one)) == (one, (two,))
    assert [message.id for message in inbox.settle([one, two])] == [one, two]
    assert (inbox.turn, inbox.joined(one), inbox.is_owed) == (None, (), False)


# --- what people are shown ------------------------------------------------------------------------


async def test_people_see_what_an_agent_does(core: Core):
    _, one, told = await begun(core)
    said = Said(told.message, "Ann", "!tool search_files {}\n!and clock {}", 0)
    core.link()._events.put_nowait(Asked(Generate(77, one.id, "", (said,), (), 1024)))
    await until(lambda: len(core.announced.live_events) > 1)
    assert core.announced.live_events == [
        ("doing", "asks the model again", ()),
        ("doing", "uses search_files, clock", ()),
    ]


async def test_people_see_what_a_model_thinks_apart_from_what_it_says(
    core: Core, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ironclaw.services.calls.MAX_THOUGHT_CHARS", 8)
    talk = await core.store.begin()
    await core.hear(talk, "!think \x1bhm, what is it\n!say noon")
    assert await core.answered(talk, 1) == ["noon"]
    (thinking, words) = core.announced.live_events
    assert thinking[0] == "thinking"
    assert "\x1b" not in thinking[1]
    assert "what" not in thinking[1]
    assert words == ("progress", "noon", ())


@pytest.mark.parametrize("purpose", [Purpose.SUMMARY, Purpose.RESEARCH])
async def test_words_that_are_no_answer_are_not_shown_as_one(core: Core, purpose: Purpose):
    _, one, told = await begun(core)
    said = Said(told.message, "Ann", "!stream 3\n!say not for people", 0)
    ask = Generate(77, one.id, "", (said,), (), 1024, purpose)
    core.link()._events.put_nowait(Asked(ask))
    await until(lambda: any(isinstance(event, Generated) for event in core.link().told))
    # Nobody was answered by this box yet, so a summary of it has no place to be shown in.
    shown = {Purpose.SUMMARY: [], Purpose.RESEARCH: [("doing", "researches", ())]}
    assert core.announced.live_events == shown[purpose]


async def test_a_summary_is_shown_where_the_last_turn_was(core: Core):
    talk = await core.store.begin()
    one = await core.hear(talk, "one")
    await core.answered(talk, 1)
    await until(lambda: core.sessions.box_state(talk.session) == "ready")
    core.announced.live_events.clear()
    ask = Generate(77, one.id, "", (Said(one.id, "Ann", "x", 0),), (), 1024, Purpose.SUMMARY)
    core.link()._events.put_nowait(Asked(ask))
    await until(lambda: core.announced.live_events)
    assert core.announced.live_events == [("doing", "sums up the conversation", ())]


async def test_nothing_is_shown_of_a_turn_that_is_not_the_boxs(core: Core):
    await begun(core)
    ask = Generate(77, "msg_made_up", "", (Said("m", "Ann", "!stream 3\nhello", 0),), (), 1024)
    core.link()._events.put_nowait(Asked(ask))
    await until(lambda: any(isinstance(event, Generated) for event in core.link().told))
    assert core.announced.live_events == []


async def test_words_belong_to_all_that_joined(open_core: OpenCore):
    core = await open_core(SessionLimits(steers=True))
    talk, one, told = await begun(core)
    two = await core.hear(talk, "two")
    await until(lambda: len(core.box().messages) == 2)
    core.link().emit(step(one.id, 0, two.id))
    await until(lambda: core.link().acked == 1)
    core.link().ask(77, msgspec.structs.replace(told, text="!stream 2\nhello"))
    await until(lambda: any(kind == "progress" for kind, _, _ in core.announced.live_events))
    assert {joined for kind, _, joined in core.announced.live_events} == {(two.id,)}


def test_what_is_done_is_a_few_words_with_nothing_of_the_arguments():
    names = [f"tool_{number}" for number in range(6)]
    calls = tuple(Called("c", name, '{"secret":1}') for name in (*names, "tool_0"))
    ask = Generate(1, "msg_1", "", (Said("msg_1", "question 1", "what?", 0),), (), 1024)
    told = doing.uses(ask, Generated(1, (Answered("words"), *calls), Stop.TOOL))
    assert told == "uses tool_0, tool_1, tool_2, tool_3 and 2 more"
    assert doing.uses(ask, Generated(1, (Answered("words"),), Stop.END)) == ""
    assert doing.asks(ask, again=False) == ""


@pytest.mark.parametrize(
    "sender", ["question 3", "question 33", "question 0", "Ann", "question 1\n"]
)
def test_of_a_research_only_the_number_of_its_question_is_shown(sender: str):
    ask = Generate(1, "msg_1", "", (Said("msg_1", sender, "what?", 0),), (), 1024, Purpose.RESEARCH)
    answer = Generated(1, (Called("c", "read_file", "{}"),), Stop.TOOL)
    later = msgspec.structs.replace(ask, entries=(*ask.entries, *answer.entries))
    shown = [doing.asks(ask, again=True), doing.uses(ask, answer), doing.asks(later, again=True)]
    if sender == "question 3":
        assert shown == ["researches question 3", "uses read_file for question 3", ""]
    else:
        assert shown == ["researches", "uses read_file", ""]


async def test_a_box_that_researches_is_not_hung_as_long_as_it_gets_answers(
    open_core: OpenCore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ironclaw.services.pace.MAX_RESEARCHED", 5)
    core = await open_core(SessionLimits(turn_s=0.3))
    _, one, told = await begun(core)
    link = core.link()
    began_s = asyncio.get_running_loop().time()
    for number in range(50):
        if len(core.airlocks.links) > 1:
            break
        said = Said(told.message, "question 1", f"question {number}", 0)
        ask = Generate(100 + number, one.id, "", (said,), (), 1024, Purpose.RESEARCH)
        link._events.put_nowait(Asked(ask))
        await asyncio.sleep(0.1)
    took_s = asyncio.get_running_loop().time() - began_s
    # Five answers hold the time up, and no more: what never ends in a record is hung.
    assert 0.6 < took_s < 2.0


# --- files ----------------------------------------------------------------------------------------


async def test_a_box_hears_of_files_that_were_left_out(core: Core, monkeypatch: pytest.MonkeyPatch):
    _, one, _ = await begun(core)
    monkeypatch.setattr(core.store.ledger.files, "most", Most(session=0))
    said = (Say(text="here", reply_to=one.id, files=("f",)),)
    entries = (Called("c", "send_file", "{}"), Returned("c", "sent"))
    small = File(id="f", name="out.txt", media_type="text/plain", size=1)
    core.link().emit(Part("f", 0, b"x", small), Step(one.id, 0, entries, said))
    await until(lambda: len(core.box().messages) == 2, "the host's words")
    told = core.box().messages[-1]
    assert (told.sender, told.engage) == ("IronClaw", False)
    assert told.text.startswith("Files that you sent here and that did not arrive: 1.")


# --- time -----------------------------------------------------------------------------------------


async def change(core: Core, talk: Conversation, **fields: object) -> None:
    agent = msgspec.structs.replace(await core.store.registry.agent(talk.agent.id), **fields)
    await core.store.registry._change(lambda db: execute(db, PutAgent(agent), Cause(1)))
    await core.sessions.refresh(agent)


async def test_a_turn_that_takes_too_long_in_all_is_ended_and_what_waits_goes_on(core: Core):
    talk, one, _ = await begun(core)
    await core.hear(talk, "two")
    # Committing something does not make it shorter.
    core.link().emit(step(one.id, 0))
    await change(core, talk, turn_total_s=1)

    said = await core.answered(talk, 2)

    assert said[0].startswith("The agent took longer than the 1 seconds that it may take")
    assert 'heard "two"' in said[1]
    assert await core.codes(talk.chat.id) == [Code.TURN_TOO_LONG, ""]
    assert not core.failed


async def test_time_goes_on_in_a_box_that_the_next_core_adopts(open_core: OpenCore):
    core = await open_core()
    talk, _one, _ = await begun(core)
    # It works on the second of two; only its records say so.
    two = await core.hear(talk, "two")
    await until(lambda: len(core.box().messages) == 2)
    core.link().emit(step(two.id, 0))
    await until(lambda: core.link().acked == 1)
    await core.store.ledger.note_worked(talk.session, Worked(two.id, 60_000))
    await core.die()

    core = await open_core()
    await core.sessions.adopt(await core.isolator.survivors())
    await until(lambda: core.sessions.box_state(talk.session) == "busy", "an adopted box")
    core.link().emit(step(two.id, 1))
    await until(lambda: core.link().acked == 2)
    assert await core.store.ledger.worked(talk.session) >= Worked(two.id, 60_000)
    assert len(core.isolator.launches) == 1
    await change(core, talk, turn_total_s=1)
    said = await core.answered(talk, 1)
    assert said[0].startswith("The agent took longer than the 1 seconds that it may take")


async def test_time_is_counted_over_boxes_and_not_between_them(store: CoreStore):
    clock = ManualClock()
    turn, other = MessageId("msg_1"), MessageId("msg_2")
    over: list[MessageId] = []
    first = TurnClock(clock, over.append)
    assert first.worked is None
    first.follow(turn, most_s=60)
    clock.advance(2)
    assert first.worked == Worked(turn, 2000)
    first.follow(None, most_s=60)
    clock.advance(50)
    first.follow(turn, most_s=60)
    clock.advance(1)
    first.stop()
    assert first.worked == Worked(turn, 3000)

    second = TurnClock(clock, over.append)
    second.resume(Worked(turn, 3000))
    second.follow(turn, most_s=3)
    await asyncio.sleep(0.01)
    assert over == [turn]
    second.follow(other, most_s=60)
    assert second.worked == Worked(other, 0)
    second.follow(other, most_s=None)
    second.stop()
