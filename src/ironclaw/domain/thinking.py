"""What thinking takes beside an answer: for whoever asks a model, and for whoever counts before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from ironclaw.domain.model import Thinking
from ironclaw.domain.spending import LEAST_OUTPUT

if TYPE_CHECKING:
    from ironclaw.domain.model import Agent

ROOM: Final = {Thinking.LOW: 2_048, Thinking.MEDIUM: 10_000, Thinking.HIGH: 16_384}
"""Tokens of thinking, beside those of the answer: providers count both against one limit."""


def thinking_room(agent: Agent) -> int:
    """Tokens that an agent's model may write in one call beside its answer."""
    return 0 if agent.thinking is None else ROOM.get(agent.thinking, 0)


def within(agent: Agent, most: int, granted: int) -> Agent:
    """The agent, asked for no more than its budget pays for: thinking is what it does without.

    Args:
        agent: As it is.
        most: Tokens of its answer without a budget.
        granted: Tokens that it may write, thinking among them.
    """
    room = thinking_room(agent)
    if granted >= most + room:
        return agent
    if room and granted < room + min(most, LEAST_OUTPUT):
        output = max(1, min(granted, most))
        return structs.replace(agent, thinking=Thinking.OFF, max_output_tokens=output)
    return structs.replace(agent, max_output_tokens=max(1, granted - room))
