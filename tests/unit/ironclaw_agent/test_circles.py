"""Circles: what counts as doing the same thing again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_agent.circles import END_AT, MAX_PERIOD, WARN_AT, WARNING, judge
from ironclaw_contract.entries import Called, Entry, Returned


def turn(*done: tuple[str, str]) -> list[Entry]:
    """Calls by name, each with its result."""
    entries: list[Entry] = []
    for number, (name, result) in enumerate(done):
        entries += [Called(f"c{number}", name, "{}"), Returned(f"c{number}", result)]
    return entries


def call(name: str, arguments: str = "{}") -> Called:
    return Called("new", name, arguments)


def play(wanted: list[str], *, changing: bool = False) -> list[str]:
    """Call one tool after the other, as a loop would; what became of each call."""
    entries: list[Entry] = []
    came: list[str] = []
    for number, name in enumerate(wanted):
        one = Called(f"c{number}", name, "{}")
        warned, ends = judge(entries, [one])
        if ends:
            return [*came, "ends"]
        came.append("warned" if warned else "run")
        entries += [one, warned.get(0) or Returned(one.call, str(number) if changing else "same")]
    return came


@pytest.mark.parametrize("circle", ["a", "ab", "abc"])
def test_a_circle_runs_twice_is_warned_of_twice_and_ends_the_turn(circle: str):
    each = len(circle)
    came = play(list(circle * 9))
    assert came == ["run"] * (2 * each) + ["warned"] * (2 * each) + ["ends"]


def test_results_that_change_are_progress():
    came = play(["a"] * 30, changing=True)
    assert came == ["run"] * 30


def test_other_arguments_are_another_call():
    entries: list[Entry] = []
    for number in range(30):
        one = Called(f"c{number}", "a", f'{{"n":{number}}}')
        assert judge(entries, [one]) == ({}, False)
        entries += [one, Returned(one.call, "same")]


def test_something_else_in_between_ends_the_circle():
    assert play(list("aabaabaab"))[:5] == ["run"] * 5
    assert play(list("axayazawa")) == ["run"] * 9
    done = turn(("a", "1"), ("a", "1"), ("b", "2"))
    assert judge(done, [call("a")]) == ({}, False)


def test_a_warned_call_that_was_left_is_run_again():
    done = turn(("a", "1"), ("a", "1"), ("a", WARNING), ("b", "2"))
    assert judge(done, [call("a")]) == ({}, False)


def test_parallel_calls_of_one_answer_count_as_well():
    warned, ends = judge([], [call("a")] * 4)
    assert (sorted(warned), ends) == ([2, 3], False)
    assert judge([], [call("a")] * END_AT).ends


def test_a_pair_asked_for_at_once_goes_in_circles_as_one_after_the_other():
    done = turn(*[("a", "1"), ("b", "2")] * (WARN_AT - 1))
    warned, _ = judge(done, [call("a"), call("b"), call("z")])
    assert sorted(warned) == [0, 1]


def test_a_model_may_use_one_call_id_twice():
    done = [Called("c", "a", "{}"), Returned("c", "1")] * 2
    assert judge(done, [Called("c", "a", "{}")]).warned


names = st.sampled_from("abcd")


@given(st.lists(names, max_size=24))
def test_only_what_was_called_before_is_warned_of(wanted: list[str]):
    came = play(wanted)
    for place, fate in enumerate(came):
        if fate != "run":
            assert wanted[:place].count(wanted[place]) >= WARN_AT - 1
        if fate == "ends":
            assert wanted[:place].count(wanted[place]) >= END_AT - 1


@given(st.lists(names, max_size=12), st.lists(names, min_size=1, max_size=MAX_PERIOD))
def test_every_circle_ends_whatever_came_before_it(before: list[str], circle: list[str]):
    came = play(before + circle * (END_AT + MAX_PERIOD))
    assert came[-1] == "ends"


@given(st.lists(st.tuples(names, st.sampled_from("123")), max_size=12), st.lists(names, max_size=4))
def test_the_same_turn_is_always_judged_the_same(done: list[tuple[str, str]], wanted: list[str]):
    """A fresh box that runs a step again decides as the one that was killed."""
    calls = [call(name) for name in wanted]
    assert judge(turn(*done), calls) == judge(turn(*done), calls)
