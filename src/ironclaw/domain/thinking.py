"""What thinking takes beside an answer: for whoever asks a model, and for whoever counts before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.domain.model import Thinking

if TYPE_CHECKING:
    from ironclaw.domain.model import Agent

ROOM: Final = {Thinking.LOW: 2_048, Thinking.MEDIUM: 10_000, Thinking.HIGH: 16_384}
"""Tokens of thinking, beside those of the answer: providers count both against one limit."""


def thinking_room(agent: Agent) -> int:
    """Tokens that an agent's model may write in one call beside its answer."""
    return 0 if agent.thinking is None else ROOM.get(agent.thinking, 0)
