"""What thinking takes beside an answer, and what is left of it within a budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import AgentId
from ironclaw.domain.model import Agent, Thinking
from ironclaw.domain.spending import LEAST_OUTPUT
from ironclaw.domain.thinking import ROOM, thinking_room, within


def agent(thinking: Thinking | None) -> Agent:
    return Agent(id=AgentId("agt_1"), name="helper", thinking=thinking)


def test_only_an_agent_that_thinks_needs_room() -> None:
    assert [thinking_room(agent(each)) for each in (None, Thinking.OFF)] == [0, 0]
    assert thinking_room(agent(Thinking.LOW)) < thinking_room(agent(Thinking.HIGH))


@given(
    st.sampled_from([None, *Thinking]),
    st.integers(1, 100_000),
    st.integers(0, 200_000),
)
def test_no_call_writes_more_than_was_granted(
    thinking: Thinking | None, most: int, granted: int
) -> None:
    before = agent(thinking)
    after = within(before, most, granted)
    written = (after.max_output_tokens or most) + thinking_room(after)

    assert written <= max(1, granted)
    assert written <= most + thinking_room(before)
    if granted >= most + thinking_room(before):
        assert after == before


def test_thinking_goes_before_the_answer_does() -> None:
    room = ROOM[Thinking.HIGH]
    some = within(agent(Thinking.HIGH), 4096, room + LEAST_OUTPUT)
    assert (some.thinking, some.max_output_tokens) == (Thinking.HIGH, LEAST_OUTPUT)
    few = within(agent(Thinking.HIGH), 4096, room + LEAST_OUTPUT - 1)
    assert (few.thinking, few.max_output_tokens) == (Thinking.OFF, 4096)
    assert within(agent(None), 4096, 300).max_output_tokens == 300
