"""The scripted model: same request, same answer, and nothing remembered but what it was sent."""

from __future__ import annotations

import pytest
from msgspec import structs

from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Agent
from ironclaw.models.script import MAX_CHARS
from ironclaw.models.scripted import Scripted
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Entry, Returned, Said, Thought
from ironclaw_contract.frames import decode_tell, pack
from ironclaw_contract.records import Say, TurnEnd, decode_outbound, encode_body
from ironclaw_contract.rpc import Delta, Failed, Generate, Generated, ModelTell, Purpose, Stop

AGENT = Agent(id=AgentId("agt_1"), name="tester")
SESSION = SessionId("ses_1")


def said(text: str, number: int = 1) -> Said:
    return Said(message=f"msg_{number}", sender="Ann", text=text, at_ms=0)


def request(*entries: Entry, call: int = 7) -> Generate:
    return Generate(
        call=call, turn="msg_1", system="", entries=entries, tools=(), max_output_tokens=100
    )


async def events(*entries: Entry, model: Scripted | None = None) -> list[ModelTell]:
    stream = (model or Scripted()).generate(AGENT, SESSION, request(*entries))
    return [event async for event in stream]


async def answer(*entries: Entry) -> str:
    last = (await events(*entries))[-1]
    assert isinstance(last, Generated)
    assert isinstance(last.entries[0], Answered)
    return last.entries[0].text


async def test_the_first_message_is_the_first_it_remembers():
    assert await answer(said("hi")) == 'tester heard "hi". This is the first message I remember.'


async def test_it_says_how_many_messages_it_remembers_and_which():
    text = await answer(said("one"), Answered(text="ok"), said("two", 2), said("three", 3))
    assert text.endswith('I remember 2 earlier messages: the first was "one", the last was "two".')


async def test_recall_lists_every_message_in_the_request():
    text = await answer(said("one"), Answered(text="ok"), said("two", 2), said("!recall", 3))
    assert text == '1. "one"\n2. "two"'


async def test_the_pieces_are_the_answer():
    got = await events(said("!stream 3\n!say abcdefg"))
    assert [event.text for event in got if isinstance(event, Delta)] == ["abc", "def", "g"]
    assert got[-1].call == 7


async def test_tool_rounds_come_one_after_the_other_and_then_words():
    message = said('!tool a {"x":1}\n!and b\n!tool c')
    first = (await events(message))[-1]
    assert isinstance(first, Generated)
    assert [entry.name for entry in first.entries if isinstance(entry, Called)] == ["a", "b"]
    assert first.stop is Stop.TOOL
    back = [Returned(call=entry.call, text="r") for entry in first.entries]
    second = (await events(message, *first.entries, *back))[-1]
    assert [entry.name for entry in second.entries] == ["c"]
    end = Returned(call=second.entries[0].call, text="nope", is_error=True)
    text = await answer(message, *first.entries, *back, *second.entries, end)
    assert 'The tool returned "r". The tool returned "r". The tool failed "nope".' in text


async def test_results_are_told_word_for_word():
    message = said("!results")
    back = [Called("c", "a", "{}"), Returned("c", "x" * 200), Returned("d", "one\ntwo")]
    assert await answer(message, *back) == "x" * 200 + "\none\ntwo"
    assert await answer(message) == "No tool has run."


async def test_questions_of_a_research_fail_each_by_its_own_count():
    model = Scripted()
    codes = []
    for text in ("!fail 1\na", "!fail 1\nb", "!fail 1\na"):
        asked = structs.replace(request(said(text)), purpose=Purpose.RESEARCH)
        events = [event async for event in model.generate(AGENT, SESSION, asked)]
        codes.append(isinstance(events[-1], Failed))
    assert codes == [True, True, False]


async def test_it_thinks_once_before_its_first_answer():
    message = said("!think let me see\n!tool clock\n!say noon")
    thought, first = await events(message)
    assert (thought.text, thought.is_thought) == ("let me see", True)
    assert [type(entry) for entry in first.entries] == [Thought, Called]
    back = Returned(call=first.entries[1].call, text="12:00")
    spoken, last = await events(message, *first.entries, back)
    assert (spoken.text, spoken.is_thought, last.entries) == ("noon", False, (Answered("noon"),))


async def test_a_loop_never_ends():
    message = said("!loop clock {round}")
    turn: list[Entry] = []
    for number in range(5):
        last = (await events(message, *turn))[-1]
        assert [(one.name, one.arguments) for one in last.entries] == [("clock", f"{number}")]
        turn += [*last.entries, Returned(call=last.entries[0].call, text="x")]


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("temporary", WireCode.MODEL_UNAVAILABLE),
        ("permanent", WireCode.MODEL_REFUSED),
        ("context", WireCode.CONTEXT_TOO_LONG),
    ],
)
async def test_it_fails_when_told_to(word: str, code: WireCode):
    last = (await events(said(f"!fail {word}")))[-1]
    assert isinstance(last, Failed)
    assert last.code is code


async def test_a_counted_failure_ends_after_that_many_attempts():
    model = Scripted()
    kinds = [type((await events(said("!fail 2"), model=model))[-1]) for _ in range(3)]
    assert kinds == [Failed, Failed, Generated]


async def test_a_long_answer_has_exactly_that_length():
    assert len(await answer(said("!long 12345"))) == 12345


async def test_an_empty_answer_has_no_words():
    assert await answer(said("!empty")) == ""


async def test_a_mistake_is_told_back():
    assert "!nonsense" in await answer(said("!nonsense"))


async def test_the_longest_answer_that_can_be_asked_for_passes_the_wall():
    """As an answer of the model, and as what the box then records and says."""
    text = await answer(said(f"!long {MAX_CHARS}"))
    told = Generated(call=1, entries=(Answered(text),), stop=Stop.END)
    end = TurnEnd(
        turn="msg_1", index=0, entries=(Answered(text),), says=(Say(text=text, reply_to="msg_1"),)
    )

    assert len(text) == MAX_CHARS
    assert decode_tell(pack(told)[4:]) == told
    assert decode_outbound(encode_body(end)) == end


async def test_setup_tells_the_model_the_tools_and_the_persona_of_the_request():
    assert await answer(said("!setup")) == "model: scripted\ntools: none\npersona: "
