"""Thoughts in the box: part of the turn that goes on, and of no other."""

from __future__ import annotations

from tests.unit.ironclaw_agent.agent_host import message
from tests.unit.ironclaw_agent.test_loop import (
    called,
    entries_of,
    generated,
    loop,
    returned,
    said,
    words,
)

from ironclaw_agent.context import Past, total, window
from ironclaw_agent.thinking import with_meaning
from ironclaw_agent.turn import Publish, Run
from ironclaw_contract.entries import Answered, Thought
from ironclaw_contract.records import History, Say, Step, TurnEnd

THOUGHT = Thought(text="I should look.", opaque="sealed")


def test_a_thought_stays_with_its_turn_and_goes_with_it():
    made, [ask] = loop(message(1))

    [run] = made.told(generated(ask, THOUGHT, called()))
    assert isinstance(run, Run)
    [step, ask] = made.returned([returned()])
    assert step == Publish(Step(turn="msg_1", index=0, entries=(THOUGHT, called(), returned())))
    assert entries_of(ask) == [said(1), THOUGHT, called(), returned()]

    [end] = made.told(generated(ask, THOUGHT, Answered(text="It is noon.")))
    assert isinstance(end, Publish)
    assert isinstance(end.body, TurnEnd)
    assert end.body.entries == (THOUGHT, Answered(text="It is noon."))
    assert end.body.says == (Say(text="It is noon.", reply_to="msg_1"),), "no thought is said"

    made.take(message(2))
    [ask] = made.settle()
    assert entries_of(ask) == [
        said(1), called(), returned(), Answered(text="It is noon."), said(2)
    ]  # fmt: skip


def test_a_fresh_box_goes_on_with_the_thoughts_of_the_open_turn_only():
    ended = (said(1), THOUGHT, Answered(text="Yes."))
    going = (said(2), THOUGHT, called(), returned())
    _, [ask] = loop(History(entries=ended), History(entries=going, turn="msg_2", index=1))

    assert entries_of(ask) == [said(1), Answered(text="Yes."), *going]


def test_words_around_a_thought_are_all_said():
    made, [ask] = loop(message(1))

    [end] = made.told(generated(ask, Answered(text="So."), THOUGHT, Answered(text="And so.")))

    assert isinstance(end, Publish)
    assert isinstance(end.body, TurnEnd)
    assert end.body.says == (Say(text="So.\n\nAnd so.", reply_to="msg_1"),)


def test_a_model_that_only_thinks_says_nothing():
    made, [ask] = loop(message(1))

    [end] = made.told(generated(ask, THOUGHT))

    assert isinstance(end, Publish)
    assert isinstance(end.body, TurnEnd)
    assert end.body.failed is not None
    assert made.settle() == []
    made.take(message(2))
    [ask] = made.settle()
    made.told(words(ask, "Hello."))


def test_no_turn_grows_by_thoughts_without_end():
    long = Thought(text="x" * 100_000, opaque="sealed")
    turn = [said(1)]
    for _ in range(20):
        turn += with_meaning((long, Thought(), Answered(text=" "), called()), turn)

    assert sum(isinstance(entry, Thought) for entry in turn) == 2
    assert sum(entry == called() for entry in turn) == 20


def test_thoughts_are_the_first_to_go_when_a_turn_is_too_long():
    turn = [said(1), THOUGHT, called(), returned()]

    assert window(Past(), turn, room=total(turn)) == tuple(turn)
    assert window(Past(), turn, room=total(turn) - 1) == (said(1), called(), returned())
