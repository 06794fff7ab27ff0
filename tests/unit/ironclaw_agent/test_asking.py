"""Questions to people: what is asked, how a turn waits, how it goes on. No sockets, no files."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ironclaw_agent.agent_host import message, setup

from ironclaw_agent.asking import ASK_USER, AskUser, apart, split
from ironclaw_agent.loop import Loop
from ironclaw_agent.tools.specs import ASK
from ironclaw_agent.turn import Command, Publish, Run
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Entry, Returned, Said
from ironclaw_contract.records import (
    Answer,
    Ask,
    History,
    InboundBody,
    Say,
    Step,
    TurnEnd,
    decode_outbound,
    encode_body,
)
from ironclaw_contract.rpc import Generate, Generated, Stop, ToolSpec

SPECS = {name: ToolSpec(name=name, description="", parameters="{}") for name in ("clock", ASK_USER)}


def asks(call: str = "c1", question: str = "Red or blue?", **more: object) -> Called:
    return Called(call=call, name=ASK_USER, arguments=json.dumps({"question": question} | more))


def clock(call: str = "c2") -> Called:
    return Called(call=call, name="clock", arguments="{}")


def started(*bodies: InboundBody, **settings: object) -> tuple[Loop, list[Command]]:
    loop = Loop(SPECS)
    for body in (setup(**{"tools": ("clock", ASK_USER), **settings}), *bodies):
        loop.take(body)
    return loop, loop.settle()


def told(loop: Loop, ask: Command, *entries: Answered | Called) -> list[Command]:
    assert isinstance(ask, Generate)
    return loop.told(Generated(call=ask.call, entries=entries, stop=Stop.END))


def answered(loop: Loop, call: str = "c1", text: str = "blue", **more: bool) -> list[Command]:
    loop.take(Answer(turn="msg_1", call=call, text=text, **more))
    return loop.settle()


def test_a_question_is_published_and_the_turn_goes_on_with_its_answer():
    loop, (ask,) = started(message(1))
    call = asks(options=["red", "blue"])
    question = Ask(call="c1", question="Red or blue?", options=("red", "blue"))
    (published,) = told(loop, ask, Answered("Let me ask."), call)
    assert published == Publish(
        Step(turn="msg_1", index=0, entries=(Answered("Let me ask."), call), asks=(question,))
    )
    assert loop.settle() == []
    (ask,) = answered(loop)
    assert isinstance(ask, Generate)
    assert ask.entries[-2:] == (call, Returned(call="c1", text="blue"))
    assert told(loop, ask, Answered("Blue it is.")) == [
        Publish(
            TurnEnd(
                turn="msg_1",
                index=1,
                entries=(Returned(call="c1", text="blue"), Answered("Blue it is.")),
                says=(Say(text="Blue it is.", reply_to="msg_1"),),
            )
        )
    ]


def test_other_calls_of_the_same_answer_run_as_usual():
    loop, (ask,) = started(message(1))
    (run,) = told(loop, ask, asks(), clock())
    assert isinstance(run, Run)
    assert run.calls == (clock(),)
    (published,) = loop.returned([Returned(call="c2", text="noon")])
    assert isinstance(published, Publish)
    assert isinstance(published.body, Step)
    assert [one.call for one in published.body.asks] == ["c1"]
    assert published.body.entries[-1] == Returned(call="c2", text="noon")


def test_nobody_else_is_answered_while_a_turn_waits():
    loop, (ask,) = started(message(1))
    told(loop, ask, asks())
    loop.take(message(2))
    assert loop.settle() == []
    (ask,) = answered(loop)
    _, ask = told(loop, ask, Answered("done"))
    assert isinstance(ask, Generate)
    assert ask.turn == "msg_2"


def test_a_turn_goes_on_when_all_its_questions_are_answered():
    loop, (ask,) = started(message(1))
    told(loop, ask, asks("c1"), asks("c2", "How many?"))
    assert answered(loop, "c2", "three") == []
    (ask,) = answered(loop, "c1", "nobody answered in time", is_error=True)
    assert isinstance(ask, Generate)
    assert ask.entries[-2:] == (
        Returned(call="c1", text="nobody answered in time", is_error=True),
        Returned(call="c2", text="three"),
    )


def test_what_people_answered_is_in_the_next_step():
    loop, (ask,) = started(message(1))
    told(loop, ask, asks())
    (ask,) = answered(loop)
    told(loop, ask, clock())
    published, ask = loop.returned([Returned(call="c2", text="noon")])
    assert isinstance(published, Publish)
    assert isinstance(published.body, Step)
    assert published.body.index == 1
    assert published.body.entries == (
        Returned(call="c1", text="blue"),
        clock(),
        Returned(call="c2", text="noon"),
    )
    assert isinstance(ask, Generate)
    assert ask.entries[1:] == (asks(), *published.body.entries)


@pytest.mark.parametrize("is_answered", [False, True])
def test_a_fresh_box_waits_on_and_asks_nobody_twice(is_answered: bool):
    open_turn = History(
        entries=(Said(message="msg_1", sender="Ann", text="go", at_ms=0), asks()),
        turn="msg_1",
        index=1,
    )
    answer = Answer(turn="msg_1", call="c1", text="blue")
    loop, commands = started(open_turn, *([answer] if is_answered else []))
    if not is_answered:
        assert commands == []
        commands = answered(loop)
    (ask,) = commands
    assert isinstance(ask, Generate)
    assert ask.entries[-1] == Returned(call="c1", text="blue")
    (end,) = told(loop, ask, Answered("done"))
    assert isinstance(end, Publish)
    assert isinstance(end.body, TurnEnd)
    assert end.body.index == 1


def test_an_answer_that_nothing_waits_for_is_passed_over():
    loop, (ask,) = started(message(1))
    loop.take(Answer(turn="msg_1", call="c9", text="what?"))
    loop.take(Answer(turn="msg_9", call="c1", text="who?"))
    assert loop.settle() == []
    assert len(told(loop, ask, Answered("hi"))) == 1


def test_an_agent_without_the_tool_asks_nobody():
    loop, (ask,) = started(message(1), tools=("clock",))
    (run,) = told(loop, ask, asks())
    assert isinstance(run, Run)
    assert run.calls == (asks(),)


def test_a_question_at_the_last_step_is_not_asked():
    loop, (ask,) = started(message(1), max_steps=1)
    (end,) = told(loop, ask, asks())
    assert isinstance(end, Publish)
    assert isinstance(end.body, TurnEnd)
    assert end.body.failed is WireCode.TOO_MANY_STEPS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{}", "these are not the arguments of ask_user"),
        ("no JSON", "these are not the arguments of ask_user"),
        ('{"question":" \\u0000 "}', "the question has no text"),
        ('{"question":"a","options":[" "]}', "an option has no text"),
        ('{"question":"a","options":["Yes","yes "]}', "two options are the same"),
        ('{"question":"a","wait_s":59}', "these are not the arguments of ask_user"),
        ('{"question":"a","who":"Ann"}', "these are not the arguments of ask_user"),
        ("[" * 5000, "these are not the arguments of ask_user"),
    ],
)
def test_what_cannot_be_asked_is_told_to_the_model_at_once(arguments: str, words: str):
    call = Called(call="c1", name=ASK_USER, arguments=arguments)
    loop, (ask,) = started(message(1))
    published, ask = told(loop, ask, call)
    assert isinstance(published, Publish)
    assert isinstance(published.body, Step)
    assert published.body.asks == ()
    assert isinstance(ask, Generate)
    returned = ask.entries[-1]
    assert isinstance(returned, Returned)
    assert returned.is_error
    assert returned.text.startswith(words)


def test_more_questions_than_may_be_asked_at_once_are_told_to_come_again():
    parts = split([asks(f"c{number}") for number in range(6)], may_ask=True)
    assert [ask.call for ask in parts.asks] == ["c0", "c1", "c2", "c3"]
    assert [one.call for one in parts.refused] == ["c4", "c5"]


def test_a_question_without_options_takes_free_text():
    (ask,) = split([asks(free_text=False)], may_ask=True).asks
    assert ask.free_text


def test_ids_that_a_model_uses_twice_are_told_apart_where_something_is_asked():
    before = [asks("x"), Returned(call="x", text="blue")]
    assert apart((clock("x"), asks("x"), asks("y")), before) == (
        clock("x-2"), asks("x-3"), asks("y"),
    )  # fmt: skip
    assert apart((clock("x"), clock("x")), []) == (clock("x"), clock("x"))


_CALLS = st.lists(
    st.builds(
        Called,
        call=st.sampled_from(["a", "b", "c", "d" * 64]),
        name=st.sampled_from(["clock", ASK_USER]),
        arguments=st.sampled_from(["{}", '{"question":"who?"}', "[", '{"question":""}'])
        | st.text(max_size=40),
    ),
    max_size=8,
)


@given(_CALLS, _CALLS)
def test_whatever_a_model_calls_each_is_dealt_with_once_and_is_of_the_contract(
    before: list[Called], calls: list[Called]
):
    entries: tuple[Entry, ...] = apart(tuple(calls), apart(tuple(before), []))
    new = [entry for entry in entries if isinstance(entry, Called)]
    assert [(one.name, one.arguments) for one in new] == [
        (one.name, one.arguments) for one in calls
    ]
    parts = split(new, may_ask=True)
    dealt = [*parts.run, *parts.asks, *parts.refused]
    assert sorted(one.call for one in dealt) == sorted(one.call for one in new)
    asked = {ask.call for ask in parts.asks}
    assert len(asked) == len(parts.asks)
    body = Step(turn="msg_1", index=0, entries=entries, asks=parts.asks)
    assert decode_outbound(encode_body(body)) == body


def test_the_model_is_told_the_arguments_that_are_taken():
    told = json.loads(ASK.parameters)
    (real,) = msgspec.json.schema_components([AskUser])[1].values()
    assert told["properties"].keys() == real["properties"].keys()
    assert told["required"] == real["required"]
    for name, schema in told["properties"].items():
        taken = real["properties"][name]
        for bound in ("type", "minLength", "maxLength", "minimum", "maximum", "maxItems"):
            assert schema.get(bound) == taken.get(bound), (name, bound)
