"""What people say while a turn runs: it joins the turn where the setup says so, else it waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ironclaw_agent.agent_host import Host, message, setup
from tests.unit.ironclaw_agent.test_loop import (
    called,
    entries_of,
    generated,
    loop,
    returned,
    said,
    words,
)

from ironclaw_agent.circles import WARNING
from ironclaw_agent.loop import Loop
from ironclaw_agent.turn import Command, Publish
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Returned, Said
from ironclaw_contract.records import History, InboundBody, Message, Say, Step, TurnEnd
from ironclaw_contract.rpc import Generate, Generated, Stop

HERE = "chat-and-thread"


def here(number: int, *, engage: bool = True) -> Message:
    return message(number, place=HERE, engage=engage)


def steering(*bodies: InboundBody, **settings: object) -> tuple[Loop, list[Command]]:
    return loop(*bodies, steers=True, **settings)


def called_once(agent: Loop, ask: Command) -> list[Command]:
    """The turn makes one tool call; what follows its result."""
    agent.told(generated(ask, called()))
    return agent.returned([returned()])


def test_a_message_joins_the_turn_behind_the_results_of_its_step():
    agent, (ask,) = steering(here(1))
    agent.take(here(2))
    step, ask = called_once(agent, ask)
    assert step.body.heard == ()
    assert entries_of(ask) == [said(1), called(), returned(), said(2)]
    assert agent.told(words(ask, "both")) == [
        Publish(
            TurnEnd(
                turn="msg_1",
                index=1,
                entries=(Answered("both"),),
                says=(Say("both", "msg_1"),),
                heard=("msg_2",),
            )
        )
    ]
    assert agent.settle() == []


def test_each_message_is_told_of_in_the_record_behind_it():
    agent, (ask,) = steering(here(1))
    agent.take(here(2))
    _, ask = called_once(agent, ask)
    agent.take(here(3))
    agent.told(generated(ask, called("c2", arguments='{"a":1}')))
    step, ask = agent.returned([returned("c2")])
    assert step.body.heard == ("msg_2",)
    (end,) = agent.told(words(ask, "all"))
    assert end.body.heard == ("msg_3",)


def test_where_nothing_steers_every_message_has_its_own_turn():
    agent, (ask,) = loop(here(1))
    agent.take(here(2))
    step, ask = called_once(agent, ask)
    assert entries_of(ask) == [said(1), called(), returned()]
    end, ask = agent.told(words(ask, "one"))
    assert (step.body.heard, end.body.heard, ask.turn) == ((), (), "msg_2")


@pytest.mark.parametrize("place", ["elsewhere", ""])
def test_what_is_said_elsewhere_waits(place: str):
    agent, (ask,) = steering(here(1))
    agent.take(message(2, place=place))
    _, ask = called_once(agent, ask)
    end, ask = agent.told(words(ask, "one"))
    assert (end.body.heard, ask.turn) == ((), "msg_2")


def test_a_turn_whose_place_nobody_told_is_never_joined():
    agent, (ask,) = steering(message(1))
    agent.take(message(2))
    _, ask = called_once(agent, ask)
    assert Said not in {type(entry) for entry in entries_of(ask)[1:]}


def test_context_joins_with_the_message_behind_it_and_not_without():
    agent, (ask,) = steering(here(1))
    agent.take(here(2, engage=False))
    _, ask = called_once(agent, ask)
    assert entries_of(ask)[-1] == returned()
    agent.take(here(3))
    agent.take(here(4, engage=False))
    agent.told(generated(ask, called("c2", arguments='{"a":1}')))
    _, ask = agent.returned([returned("c2")])
    assert entries_of(ask)[-2:] == [said(2), said(3)]
    (end,) = agent.told(words(ask, "done"))
    assert end.body.heard == ("msg_2", "msg_3")


def test_an_answer_that_a_message_crossed_is_said_and_the_turn_goes_on():
    agent, (ask,) = steering(here(1))
    agent.take(here(2))
    step, ask = agent.told(words(ask, "one"))
    assert step == Publish(
        Step(turn="msg_1", index=0, entries=(Answered("one"),), says=(Say("one", "msg_1"),))
    )
    assert entries_of(ask) == [said(1), Answered("one"), said(2)]
    (end,) = agent.told(words(ask, "two"))
    assert (end.body.heard, end.body.says) == (("msg_2",), (Say("two", "msg_1"),))


def test_the_last_call_of_a_turn_ends_it_whoever_waits():
    agent, (ask,) = steering(here(1), max_steps=1)
    agent.take(here(2))
    end, ask = agent.told(words(ask, "one"))
    assert (type(end.body), end.body.heard, ask.turn) == (TurnEnd, (), "msg_2")


def test_the_first_call_is_of_one_message():
    _, (ask,) = steering(here(1), here(2))
    assert entries_of(ask) == [said(1)]


def test_a_failure_is_one_of_all_messages_that_joined():
    agent, (ask,) = steering(here(1))
    agent.take(here(2))
    _, ask = called_once(agent, ask)
    (end,) = agent.abandon(WireCode.MODEL_UNAVAILABLE)
    assert (end.body.heard, end.body.failed) == (("msg_2",), WireCode.MODEL_UNAVAILABLE)


def test_what_would_not_fit_beside_the_turn_waits():
    agent, (ask,) = steering(here(1), context_bytes=4000)
    agent.take(message(2, "x" * 4000, place=HERE))
    agent.take(here(3))
    _, ask = called_once(agent, ask)
    assert entries_of(ask)[-1] == returned()


def test_one_record_tells_of_no_more_than_it_may():
    agent, (ask,) = steering(here(1))
    for number in range(2, 80):
        agent.take(here(number))
    _, ask = called_once(agent, ask)
    (end, *_) = agent.told(words(ask, "many"))
    assert (len(end.body.heard), type(end.body)) == (64, Step)


def test_a_message_that_comes_twice_joins_once():
    agent, (ask,) = steering(here(1))
    for body in (here(2), here(2), here(1)):
        agent.take(body)
    _, ask = called_once(agent, ask)
    assert entries_of(ask)[3:] == [said(2)]
    agent.take(here(2))
    (end,) = agent.told(words(ask, "done"))
    assert end.body.heard == ("msg_2",)


@pytest.mark.crash
def test_a_fresh_box_resumes_a_joined_turn_and_hears_what_no_record_told_of():
    done = (said(1), called(), returned(), said(2), called("c2", arguments="[]"), returned("c2"))
    agent, (ask,) = steering(
        History(entries=done, turn="msg_1", index=2), here(1), here(2), here(3), message(4)
    )
    assert entries_of(ask) == [*done, said(3)]
    end, ask = agent.told(words(ask, "done"))
    assert (end.body.heard, ask.turn) == (("msg_3",), "msg_4")


@pytest.mark.crash
def test_a_fresh_box_goes_on_behind_an_answer_that_was_said():
    agent, (ask,) = steering(
        History(entries=(said(1), Answered("one")), turn="msg_1", index=1), here(1), here(2)
    )
    assert entries_of(ask) == [said(1), Answered("one"), said(2)]
    (end,) = agent.told(words(ask, "two"))
    assert (end.body.index, end.body.heard) == (1, ("msg_2",))


@given(st.lists(st.sampled_from(["say", "context", "elsewhere", "call", "words"]), max_size=30))
def test_whatever_happens_every_message_is_told_of_exactly_once(moves: list[str]):
    agent, commands = steering(here(0), max_steps=100)
    bodies, engaging, number = [], {"msg_0"}, 0

    def note(new: list[Command]) -> Generate | None:
        bodies.extend(command.body for command in new if isinstance(command, Publish))
        return next((command for command in new if isinstance(command, Generate)), None)

    ask = note(commands)
    for move in [*moves, *["words"] * 40]:
        if move in {"say", "context", "elsewhere"}:
            number += 1
            place = "other" if move == "elsewhere" else HERE
            agent.take(message(number, place=place, engage=move != "context"))
            engaging |= {f"msg_{number}"} if move != "context" else set()
            ask = ask or note(agent.settle())
        elif ask is not None and move == "call":
            note(agent.told(generated(ask, called(arguments=f"[{number},{len(bodies)}]"))))
            ask = note(agent.returned([returned()]))
        elif ask is not None:
            ask = note(agent.told(words(ask, "so")))
    turns = [body.turn for body in bodies if isinstance(body, TurnEnd)]
    heard = [one for body in bodies for one in body.heard if one in engaging]
    assert sorted(turns + heard) == sorted(engaging)
    assert len({*turns, *heard}) == len(turns) + len(heard)


def test_a_call_that_goes_in_circles_is_warned_of_and_then_ends_the_turn():
    agent, (ask,) = loop(message(1))
    for _ in range(2):
        agent.told(generated(ask, called()))
        _, ask = agent.returned([returned()])
    for _ in range(2):
        step, ask = agent.told(generated(ask, called()))
        assert step.body.entries[1] == Returned("c1", WARNING, is_error=True)
    (end,) = agent.told(generated(ask, called()))
    assert end.body.failed is WireCode.GOES_IN_CIRCLES


def test_a_warning_stands_in_its_place_among_the_results():
    agent, (ask,) = loop(message(1), tools=("clock", "look"))
    for _ in range(2):
        agent.told(generated(ask, called()))
        _, ask = agent.returned([returned()])
    answer = Generated(
        ask.call, (called("a"), called("b", "look"), called("c", "look", "[]")), Stop.TOOL
    )
    (run,) = agent.told(answer)
    assert [call.call for call in run.calls] == ["b", "c"]
    step, _ = agent.returned([returned("b"), returned("c")])
    results = [entry for entry in step.body.entries if isinstance(entry, Returned)]
    assert [(one.call, one.is_error) for one in results] == [
        ("a", True), ("b", False), ("c", False),
    ]  # fmt: skip


def test_the_program_hears_what_is_said_while_the_model_is_asked(host: Host):
    host.begin(setup(steers=True), here(1))
    ask = host.ask()
    host.publish(here(2), ring=False)
    host.publish(here(3))
    # Both records are taken with one ring, before the answer is dealt with.
    host.tell(Generated(ask.call, (Called("c1", "clock", "{}"),), Stop.TOOL))
    host.outbound()
    ask = host.ask()
    heard = [entry.message for entry in ask.entries if isinstance(entry, Said)]
    assert heard == ["msg_1", "msg_2", "msg_3"]
    host.publish(here(4))
    host.tell(Generated(ask.call, (Answered("so"),), Stop.END))
    step = host.outbound()
    assert (type(step), step.heard) == (Step, ("msg_2", "msg_3"))
    host.tell(Generated(host.ask().call, (Answered("and so"),), Stop.END))
    end = host.outbound()
    assert (type(end), end.heard, end.says[0].text) == (TurnEnd, ("msg_4",), "and so")
