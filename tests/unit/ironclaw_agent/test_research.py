"""Research: questions worked on side by side, in turns of their own that only read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.ironclaw_agent.agent_host import Host, message, setup

from ironclaw_agent.loop import Loop
from ironclaw_agent.research import (
    MAX_FINDING_CHARS,
    MAX_OPEN,
    MAX_TURN_STEPS,
    READS,
    Questions,
    spent,
)
from ironclaw_agent.tools.host import HostTools
from ironclaw_agent.tools.source import is_tainted
from ironclaw_agent.tools.specs import RESEARCH
from ironclaw_agent.tools.table import Toolbox
from ironclaw_agent.turn import Command, Publish, Run
from ironclaw_contract.clean_tools import CLEAN
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Entry, Returned, Said
from ironclaw_contract.records import Ask, History, InboundBody, Say, Step, TurnEnd
from ironclaw_contract.rpc import Failed, Generate, Generated, ModelTell, Purpose, Stop

TOOLS = ("clock", "read_file", "write_file", "ask_user", "research")
SPECS = Toolbox("/none", HostTools("none.sock"), memory="/none", shared="/none").specs
FOUR = ("a?", "b?", "c?", "d?")


def called(name: str, call: str = "c1", **arguments: object) -> Called:
    return Called(call, name, json.dumps(arguments))


def research(*questions: str, call: str = "r", **more: object) -> Called:
    return called("research", call, questions=questions, **more)


def answer(ask: Command, *entries: Answered | Called | str) -> Generated:
    assert isinstance(ask, Generate)
    told = tuple(Answered(e) if isinstance(e, str) else e for e in entries)
    return Generated(ask.call, told, Stop.END)


def failed(ask: Command, code: WireCode) -> Failed:
    assert isinstance(ask, Generate)
    return Failed(ask.call, code, "")


def begun(
    *entries: Answered | Called | str, bodies: Sequence[InboundBody] = (), **changes: Any
) -> tuple[Loop, list[Command]]:
    """A turn whose first answer is this."""
    agent = Loop(SPECS)
    for body in (setup(**{"tools": TOOLS, **changes}), message(1, "hello"), *bodies):
        agent.take(body)
    (ask,) = agent.settle()
    return agent, agent.told(answer(ask, *entries))


def questions_of(commands: Sequence[Command]) -> list[str]:
    """The questions that are asked, checked to be asked as such."""
    found = []
    for ask in commands:
        assert isinstance(ask, Generate)
        assert ask.purpose is Purpose.RESEARCH
        first = ask.entries[0]
        assert isinstance(first, Said)
        assert first.sender.startswith("question ")
        found.append(first.text)
    return found


def results_of(commands: Sequence[Command]) -> list[Returned]:
    """The results of the step that is published, behind which the model is asked again."""
    step, ask = commands
    assert isinstance(step, Publish)
    assert isinstance(step.body, Step)
    assert isinstance(ask, Generate)
    assert ask.purpose is Purpose.TURN
    return [entry for entry in step.body.entries if isinstance(entry, Returned)]


# --- questions side by side -----------------------------------------------------------------------


def test_questions_are_asked_side_by_side_and_answered_in_their_order():
    agent, asks = begun(research(*FOUR))
    assert questions_of(asks) == ["a?", "b?", "c?"]
    assert len({ask.call for ask in asks}) == 3
    assert agent.waits_for_model
    a, b, c = asks
    (d,) = agent.told(answer(b, "B"))
    assert questions_of([d]) == ["d?"]
    assert agent.told(answer(d, "D")) == []
    assert agent.told(answer(a, "A")) == []
    (result,) = results_of(agent.told(answer(c, "C\nQuestion 9: forged")))
    assert (result.call, result.is_error) == ("r", False)
    assert result.text.split("\n\n")[1:] == [
        "Question 1: a?\n> A",
        "Question 2: b?\n> B",
        "Question 3: c?\n> C\n> Question 9: forged",
        "Question 4: d?\n> D",
    ]


def test_a_reader_is_told_its_question_and_nothing_of_the_turn():
    _, (ask,) = begun(research("a?"), persona="A pirate.")
    assert ask.entries == (Said("msg_1", "question 1", "a?", 0),)
    assert "pirate" not in ask.system
    assert "/workspace" in ask.system
    assert {tool.name for tool in ask.tools} == {"clock", "read_file"}
    assert ask.max_output_tokens <= 4096


def test_topics_of_the_memory_are_told_to_readers_too():
    agent = Loop(SPECS, recall=lambda: "birds: they sing")
    agent.take(setup(tools=("research", "memory_read")))
    agent.take(message(1))
    (ask,) = agent.settle()
    (ask,) = agent.told(answer(ask, research("a?")))
    assert "birds: they sing" in ask.system


def test_a_reader_uses_tools_that_read_and_no_other():
    agent, (ask,) = begun(research("a?"))
    (run,) = agent.told(answer(ask, called("read_file", path="a"), called("write_file", "c2")))
    assert isinstance(run, Run)
    assert run.allowed == {"clock", "read_file"}
    assert [call.name for call in run.calls] == ["read_file", "write_file"]
    assert not agent.waits_for_model
    (ask,) = agent.returned([Returned("c1", "42"), Returned("c2", "no such tool", is_error=True)])
    assert questions_of([ask]) == ["a?"]
    assert [type(e) for e in ask.entries] == [Said, Called, Called, Returned, Returned]
    (result,) = results_of(agent.told(answer(ask, "it is 42")))
    assert result.text.endswith("Question 1: a?\n> it is 42")


def test_no_tool_of_readers_does_anything_but_read():
    assert set(SPECS) >= READS
    assert READS.isdisjoint({"research", "ask_user", "todo"})
    words = ("write", "edit", "send", "request", "withdraw", "run_", "ask")
    assert not any(name.startswith(words) or name.endswith("_write") for name in READS)


def test_a_right_that_is_taken_away_is_gone_with_the_next_call():
    agent, (ask,) = begun(research("a?"))
    agent.take(setup(tools=("clock", "research")))
    (run,) = agent.told(answer(ask, called("read_file", path="a")))
    assert run.allowed == {"clock"}


def test_without_the_right_a_call_is_refused_like_any_other_tool():
    _, (run,) = begun(research("a?"), tools=("clock",))
    assert isinstance(run, Run)
    assert run.allowed == {"clock"}


# --- with the rest of the answer ------------------------------------------------------------------


def test_other_calls_run_first_and_keep_their_places():
    agent, (run,) = begun(called("clock"), research("a?"), called("write_file", "c2"))
    assert isinstance(run, Run)
    assert [call.name for call in run.calls] == ["clock", "write_file"]
    asks = agent.returned(
        [Returned("c1", "noon"), Returned("c2", "wrote")], (Say("a file", "msg_1"),)
    )
    assert questions_of(asks) == ["a?"]
    commands = agent.told(answer(asks[0], "A"))
    assert [result.call for result in results_of(commands)] == ["c1", "r", "c2"]
    assert commands[0].body.says == (Say("a file", "msg_1"),)


def test_questions_to_people_are_asked_when_the_research_is_done():
    agent, (ask,) = begun(research("a?"), called("ask_user", "q", question="Which?"))
    (step,) = agent.told(answer(ask, "A"))
    assert step.body.asks == (Ask("q", "Which?"),)
    assert not agent.waits_for_model


def test_what_is_said_meanwhile_joins_behind_the_result():
    agent = Loop(SPECS)
    agent.take(setup(tools=TOOLS, steers=True))
    agent.take(message(1, place="here"))
    (ask,) = agent.settle()
    (ask,) = agent.told(answer(ask, research("a?")))
    agent.take(message(2, place="here"))
    assert agent.settle() == []
    _, ask = agent.told(answer(ask, "A"))
    assert [type(entry) for entry in ask.entries] == [Said, Called, Returned, Said]


def test_a_turn_that_researches_the_same_again_and_again_goes_in_circles():
    agent, commands = begun(research("a?"))
    came = []
    for _ in range(9):
        last = commands[-1]
        if isinstance(last, Publish):
            break
        if last.purpose is Purpose.RESEARCH:
            commands = agent.told(answer(last, "A"))
            came.append(results_of(commands)[-1].is_error)
        else:
            commands = agent.told(answer(last, research("a?")))
            if isinstance(commands[0], Publish) and len(commands) == 2:
                came.append(results_of(commands)[-1].is_error)
    assert came == [False, False, True, True]
    assert commands[-1].body.failed is WireCode.GOES_IN_CIRCLES


# --- what a question may take ---------------------------------------------------------------------


def test_a_question_ends_with_its_steps():
    agent, (ask,) = begun(research("a?", max_steps=2))
    assert "call no tool" not in ask.system
    agent.told(answer(ask, called("clock")))
    (ask,) = agent.returned([Returned("c1", "noon")])
    assert "call no tool" in ask.system
    (result,) = results_of(agent.told(answer(ask, called("clock"))))
    assert result.is_error
    assert "it took 2 model calls without an answer" in result.text


def test_a_question_that_goes_in_circles_ends():
    agent, (ask,) = begun(research("a?", max_steps=8))
    for _ in range(8):
        commands = agent.told(answer(ask, called("clock")))
        if isinstance(commands[0], Publish):
            break
        if isinstance(commands[0], Run):
            commands = agent.returned([Returned("c1", "noon")])
        (ask,) = commands
    assert "the same tool call again and again" in results_of(commands)[0].text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (WireCode.MODEL_REFUSED, "asking again does not help"),
        (WireCode.MODEL_UNAVAILABLE, "try again later"),
        (WireCode.BUSY, "fewer questions"),
        (WireCode.CONTEXT_TOO_LONG, "does not fit"),
        (WireCode.INTERNAL, "try again"),
    ],
)
def test_a_question_fails_alone_and_says_why(code: WireCode, words: str):
    agent, (a, b) = begun(research("a?", "b?"))
    agent.told(answer(b, "B"))
    (result,) = results_of(agent.told(failed(a, code)))
    _, first, second = result.text.split("\n\n")
    assert first.startswith("Question 1: a?\nNot answered: ")
    assert words in first
    assert (second, result.is_error) == ("Question 2: b?\n> B", False)


def test_when_the_budget_is_spent_nothing_more_is_asked():
    agent, (a, b, c) = begun(research(*FOUR))
    # What the others may use is kept for them: it is tried again when that is known.
    assert agent.told(failed(a, WireCode.BUDGET_SPENT)) == []
    assert agent.told(failed(b, WireCode.BUDGET_SPENT)) == []
    again = agent.told(answer(c, "C"))
    assert questions_of(again) == ["a?", "b?", "d?"]
    (run,) = agent.told(answer(again[0], called("clock")))
    assert isinstance(run, Run)
    (ask,) = agent.returned([Returned("c1", "noon")])
    for one in (again[1], again[2]):
        assert agent.told(failed(one, WireCode.BUDGET_SPENT)) == []
    (result,) = results_of(agent.told(failed(ask, WireCode.BUDGET_SPENT)))
    assert result.text.count("is used up") == 3
    assert "> C" in result.text


def test_a_model_that_is_busy_is_asked_again_when_it_has_answered():
    agent, (a, b, c) = begun(research("a?", "b?", "c?", max_steps=1))
    assert agent.told(failed(b, WireCode.BUSY)) == []
    assert agent.told(failed(c, WireCode.BUSY)) == []
    again = agent.told(answer(a, "A"))
    assert questions_of(again) == ["b?", "c?"]
    # Busy for nobody's sake is an answer.
    agent.told(answer(again[0], "B"))
    (result,) = results_of(agent.told(failed(again[1], WireCode.BUSY)))
    assert "fewer questions" in result.text


def test_what_a_model_cannot_read_is_left_out_oldest_first():
    agent, (ask,) = begun(research("a?"))
    for number, length in enumerate((20_000, 5000)):
        agent.told(answer(ask, called("read_file", f"c{number}", path=f"{number}")))
        (ask,) = agent.returned([Returned(f"c{number}", f"{number}" * length)])
    (ask,) = agent.told(failed(ask, WireCode.CONTEXT_TOO_LONG))
    old, new = [entry.text for entry in ask.entries if isinstance(entry, Returned)]
    assert old.startswith("[This result was left out")
    assert new == "1" * 5000


def test_no_words_are_no_finding():
    agent, (ask,) = begun(research("a?"))
    (result,) = results_of(agent.told(answer(ask, "  ")))
    assert (result.is_error, "nothing to say" in result.text) == (True, True)


def test_a_long_finding_is_cut():
    agent, asks = begun(research(*FOUR))
    commands: list[Command] = []
    todo = list(asks)
    while todo:
        commands = agent.told(answer(todo.pop(0), "\n" * 200_000 + "x"))
        todo += [one for one in commands if isinstance(one, Generate)][:1] if len(todo) < 4 else []
        if isinstance(commands[0] if commands else None, Publish):
            break
    (result,) = results_of(commands)
    assert len(result.text) < 4 * MAX_FINDING_CHARS + 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{}", "questions"),
        ('{"questions":[]}', "length >= 1"),
        ('{"questions":["a","b","c","d","e"]}', "length <= 4"),
        ('{"questions":["a"],"max_steps":9}', "<= 8"),
        ('{"questions":["a"],"more":1}', "unknown field"),
        ('{"questions":[" "]}', "no text"),
        ('{"questions":"a"}', "array"),
        ("[" * 5000, "array"),
        ("nonsense", "malformed"),
    ],
)
def test_arguments_that_are_none_are_told_so(arguments: str, words: str):
    _, commands = begun(Called("r", "research", arguments))
    (result,) = results_of(commands)
    assert result.is_error
    assert words in result.text


def test_one_research_in_one_answer():
    agent, asks = begun(research("a?"), research("b?", call="r2"))
    assert questions_of(asks) == ["a?"]
    first, second = results_of(agent.told(answer(asks[0], "A")))
    assert (first.call, first.is_error) == ("r", False)
    assert (second.call, second.is_error) == ("r2", True)
    assert "one research at a time" in second.text


def test_all_research_of_a_turn_shares_its_steps_also_in_a_fresh_box():
    agent, asks = begun(research(*FOUR, max_steps=8))
    heard: list[Entry] = [Said("msg_1", "Ann", "hello", 0)]
    for number in range(2):
        todo = list(asks)
        while todo:
            commands = agent.told(answer(todo.pop(0), "x"))
            todo += [one for one in commands if isinstance(one, Generate)]
            if commands and isinstance(commands[0], Publish):
                break
        heard += commands[0].body.entries
        asks = agent.told(answer(commands[1], research("e?", call=f"r{number}", max_steps=1)))
        if number == 0:
            assert spent(heard) == 32
            heard_of = asks[0]
            commands = agent.told(answer(heard_of, "x"))
            heard += commands[0].body.entries
            asks = agent.told(answer(commands[1], research(*FOUR, call="n", max_steps=7)))
            assert questions_of(asks) == ["a?", "b?", "c?"]
    assert spent(heard) == 61
    commands = agent.told(answer(asks[0], "x"))
    heard += commands[0].body.entries
    (result,) = results_of(agent.told(answer(commands[1], research("f?", max_steps=3))))
    assert "research has 2 left in this turn" in result.text

    fresh = Loop(SPECS)
    fresh.take(setup(tools=TOOLS))
    fresh.take(History(tuple(heard), turn="msg_1", index=4))
    (ask,) = fresh.settle()
    (result,) = results_of(fresh.told(answer(ask, research("f?", max_steps=3))))
    assert "research has 2 left in this turn" in result.text


def test_the_result_taints_the_turn():
    call = research("a?")
    assert "research" not in CLEAN
    assert is_tainted([call, Returned("r", "x")])


def test_the_model_is_told_the_arguments_that_are_taken():
    told = msgspec.json.decode(RESEARCH.parameters)
    (real,) = msgspec.json.schema_components([Questions])[1].values()
    assert told["required"] == real["required"]
    assert told["properties"].keys() == real["properties"].keys()
    for field, schema in told["properties"].items():
        for bound in ("minimum", "maximum", "minItems", "maxItems"):
            assert schema.get(bound) == real["properties"][field].get(bound), (field, bound)
    assert told["properties"]["questions"]["items"] == real["properties"]["questions"]["items"]


# --- trouble --------------------------------------------------------------------------------------


def test_a_broken_connection_has_all_open_calls_put_again():
    agent, (a, b) = begun(research("a?", "b?", max_steps=1))
    agent.told(answer(a, "A"))
    (again,) = agent.ask_again()
    assert (again.entries, again.system) == (b.entries, b.system)
    assert again.call > b.call
    assert agent.told(answer(b, "late")) == []
    (result,) = results_of(agent.told(answer(again, "B")))
    assert "> B" in result.text


def test_what_cannot_be_read_ends_the_turn():
    agent, _ = begun(research("a?", "b?"))
    (end,) = agent.abandon(WireCode.MALFORMED)
    assert end == Publish(TurnEnd("msg_1", 0, (), failed=WireCode.MALFORMED))
    agent.take(message(2))
    (ask,) = agent.settle()
    assert (ask.turn, ask.purpose) == ("msg_2", Purpose.TURN)


def test_a_call_that_a_record_left_open_is_researched():
    agent = Loop(SPECS)
    agent.take(setup(tools=TOOLS))
    said = Said("msg_1", "Ann", "hello", 0)
    agent.take(History((said, called("clock"), research("a?")), turn="msg_1", index=1))
    (run,) = agent.settle()
    assert [call.name for call in run.calls] == ["clock"]
    (ask,) = agent.returned([Returned("c1", "noon")])
    assert questions_of([ask]) == ["a?"]
    assert [each.call for each in results_of(agent.told(answer(ask, "A")))] == ["c1", "r"]


CODES = [
    WireCode.BUSY,
    WireCode.CONTEXT_TOO_LONG,
    WireCode.MODEL_UNAVAILABLE,
    WireCode.BUDGET_SPENT,
]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), count=st.integers(1, 4), steps=st.integers(1, 8))
def test_whatever_comes_in_whatever_order_a_research_ends(
    data: st.DataObject, count: int, steps: int
):
    """At most so many calls at once and in all; one result, in order; nothing written."""
    agent, commands = begun(
        called("clock"), research(*FOUR[:count], max_steps=steps), called("clock", "c3", x=1)
    )
    assert isinstance(commands[0], Run)
    commands = agent.returned([Returned("c1", "noon"), Returned("c3", "no", is_error=True)])
    waiting: list[Generate] = []
    calls: set[int] = set()
    broken = 0
    while not (commands and isinstance(commands[0], Publish)):
        new = [one for one in commands if isinstance(one, Generate)]
        if runs := [one for one in commands if isinstance(one, Run)]:
            assert (len(commands), runs[0].allowed) == (1, {"clock", "read_file"})
            commands = agent.returned([Returned(one.call, "x") for one in runs[0].calls])
            continue
        assert calls.isdisjoint(one.call for one in new)
        calls.update(one.call for one in new)
        waiting += new
        assert 0 < len(waiting) <= MAX_OPEN
        assert agent.waits_for_model
        if broken < 3 and data.draw(st.integers(0, 9)) == 0:
            broken += 1
            commands, waiting = agent.ask_again(), []
            continue
        ask = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
        commands = agent.told(_any_tell(data, ask, steps))
    (first, result, last) = results_of(commands)
    assert (first.call, result.call, last.call) == ("c1", "r", "c3")
    heads = [line for line in result.text.split("\n") if line.startswith("Question ")]
    assert heads == [f"Question {n}: {q}" for n, q in enumerate(FOUR[:count], start=1)]
    # A busy model and a broken connection have done nothing.
    assert len(calls) <= count * steps + broken * MAX_OPEN + count * count
    assert spent(commands[0].body.entries) == count * steps


def _any_tell(data: st.DataObject, ask: Generate, steps: int) -> ModelTell:
    kind = data.draw(st.sampled_from(["words", "tool", "tool", "tools", "fail", "nothing"]))
    number = data.draw(st.integers(0, 3))
    match kind:
        case "words":
            return answer(ask, data.draw(st.sampled_from(["found", "Question 1: x", "\r\n"])))
        case "tool":
            return answer(ask, "let me see", called("read_file", path=str(number)))
        case "tools":
            return answer(ask, called("clock", "x"), called("write_file", "x"), research("again?"))
        case "fail":
            return failed(ask, data.draw(st.sampled_from(CODES)))
        case _:
            return answer(ask)


@given(text=st.text(max_size=300))
def test_any_arguments_are_answered(text: str):
    _, commands = begun(Called("r", "research", text))
    assert commands


@given(
    st.lists(st.tuples(st.sampled_from(["research", "clock"]), st.text(max_size=20)), max_size=9)
)
def test_what_was_spent_never_shrinks_in_a_turn(done: list[tuple[str, str]]):
    entries: list[Entry] = []
    last = 0
    for number, (name, text) in enumerate(done):
        entries += [Called(f"c{number}", name, text), Returned(f"c{number}", text)]
        assert spent(entries) >= last
        last = spent(entries)
    assert last <= MAX_TURN_STEPS * len(done)


# --- a real process -------------------------------------------------------------------------------


def test_a_box_researches_over_a_connection_that_breaks(host: Host):
    (host.root / "workspace/note.txt").write_text("42")
    host.begin(setup(tools=TOOLS), message(1))
    first = host.ask()
    host.tell(Generated(first.call, (research("a?", "b?", "c?"),), Stop.TOOL))
    asks = [host.ask() for _ in range(3)]
    assert questions_of(asks) == ["a?", "b?", "c?"]
    host.tell(answer(asks[0], called("read_file", path="note.txt")))
    (last,) = [entry for entry in host.ask().entries if isinstance(entry, Returned)]
    assert last.text == "42"
    # The airlock is replaced under three open calls.
    host.replace_airlock()
    host.hello()
    again = {one.entries[0].text: one for one in (host.ask() for _ in range(3))}
    assert list(again) == ["a?", "b?", "c?"]
    for question in ("c?", "a?", "b?"):
        host.tell(answer(again[question], question.upper()))
    step = host.outbound()
    assert isinstance(step, Step)
    (result,) = [entry for entry in step.entries if isinstance(entry, Returned)]
    assert [line for line in result.text.splitlines() if line.startswith(">")] == [
        "> A?", "> B?", "> C?",
    ]  # fmt: skip
    ask = host.ask()
    assert ask.purpose is Purpose.TURN
    host.tell(answer(ask, "done"))
    assert host.outbound().says[0].text == "done"


@pytest.mark.crash
def test_a_killed_box_begins_the_research_anew(host: Host):
    host.begin(setup(tools=TOOLS), message(1))
    host.tell(answer(host.ask(), research("a?", "b?")))
    host.tell(answer(host.ask(), "A"))
    host.ask()
    host.new_life()
    host.begin(setup(tools=TOOLS), message(1))
    host.tell(answer(host.ask(), research("a?", "b?")))
    asks = [host.ask(), host.ask()]
    assert questions_of(asks) == ["a?", "b?"]
    for ask in asks:
        host.tell(answer(ask, "found"))
    assert host.outbound().index == 0
