"""How much of a conversation goes into one model call: what the models of an agent can read.

    saw, read (from the models) -> context_bytes (into the setup of a box)

A model says its window in tokens; a box counts bytes. How many bytes a token takes is measured from
what providers count of real calls, apart for each agent and model: a box chooses what it sends, so
it can make any measure, and only of its own agent. Of a model that nobody knows anything of, the
house's own limit holds: a call that is too long then teaches the box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw_contract.entries import Called, Thought

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ironclaw.core.ids import AgentId
    from ironclaw.domain.model import Agent
    from ironclaw_contract.entries import Entry
    from ironclaw_contract.rpc import Generate

_BYTES_PER_TOKEN: Final = 3.0
"""Before anything was measured; most languages and most models take more."""
_LEAST_RATIO: Final = 1.0
_MOST_RATIO: Final = 5.0
_STEP: Final = 0.25
"""A box is told of a measure only when it differs by so much."""
_NEW_WEIGHT: Final = 0.3
_LEAST_TOKENS: Final = 200
"""Shorter calls say little: most of them is what stands around the text."""
_SPARE: Final = 0.9
_OUTPUT_TOKENS: Final = 4096
_OUTPUT_PART: Final = 4
"""No more than this part of a window is kept for the answer."""
_LEAST_BYTES: Final = 4096
_MOST_MODELS: Final = 1024
_MOST_RATIOS: Final = 4096
"""Measures that are kept; the oldest goes first."""

_FRAMING_BYTES: Final = 2600
_TOOL_BYTES: Final = 450
_ASKING_BYTES: Final = 3000
_MEMORY_BYTES: Final = 4000
"""What stands before a conversation: the instructions, and what a model is told of its tools."""


class Rooms:
    """Knows how much fits.

    Args:
        most_bytes: The house's own limit.
        told: Tokens that each model of a provider reads at least, where the settings say so.
    """

    def __init__(self, *, most_bytes: int, told: Mapping[str, int] | None = None) -> None:
        self._most_bytes = most_bytes
        self._told = dict(told or {})
        self._windows: dict[str, int] = {}
        self._ratios: dict[tuple[AgentId, str], float] = {}
        self._watcher: Callable[[], None] = _nobody

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have this called whenever something else fits than before."""
        self._watcher = watcher

    def saw(self, model: str, tokens: int) -> None:
        """A model, with its provider, reads so many tokens at once."""
        if self._windows.get(model) == tokens or len(self._windows) >= _MOST_MODELS:
            return
        self._windows[model] = tokens
        self._watcher()

    def read(self, agent: AgentId, model: str, request: Generate, tokens: int) -> None:
        """A provider counted a call of an agent.

        Trust:
            The call is a box's word, and so is the measure.
        """
        if tokens < _LEAST_TOKENS or not _is_text(request):
            return
        now = min(max(_size(request) / tokens, _LEAST_RATIO), _MOST_RATIO)
        before = self._ratios.get((agent, model))
        after = now if before is None else before + _NEW_WEIGHT * (now - before)
        self._ratios[agent, model] = after
        if len(self._ratios) > _MOST_RATIOS:
            del self._ratios[next(iter(self._ratios))]
        if _stepped(after) != _stepped(_BYTES_PER_TOKEN if before is None else before):
            self._watcher()

    def context_bytes(self, agent: Agent) -> int:
        """Bytes of conversation that all models of an agent can read, and the house allows."""
        fits = [
            self._fits(agent, model, tokens)
            for model in (agent.model, *agent.fallbacks)
            if (tokens := self._windows.get(model) or self._told.get(model.partition("/")[0]))
        ]
        return min(self._most_bytes, *fits) if fits else self._most_bytes

    def _fits(self, agent: Agent, model: str, tokens: int) -> int:
        output = min(agent.max_output_tokens or _OUTPUT_TOKENS, tokens // _OUTPUT_PART)
        ratio = _stepped(self._ratios.get((agent.id, model), _BYTES_PER_TOKEN))
        return max(_LEAST_BYTES, int((tokens - output) * ratio * _SPARE) - _before(agent))


def _nobody() -> None:
    """Nobody wants to know."""


def _stepped(ratio: float) -> float:
    return ratio // _STEP * _STEP


def _before(agent: Agent) -> int:
    """Bytes of what stands before the conversation, about."""
    size = _FRAMING_BYTES + len(agent.persona.encode()) + _TOOL_BYTES * len(agent.tools)
    size += _ASKING_BYTES if "request_change" in agent.tools else 0
    size += _MEMORY_BYTES if any(name.startswith("memory_") for name in agent.tools) else 0
    return size + sum(len(one.description.encode()) + 100 for one in agent.skills)


def _is_text(request: Generate) -> bool:
    """Whether all of it is text: how many tokens an image takes, no size of it says."""
    return not any(
        isinstance(entry, Thought) or getattr(entry, "files", ()) for entry in request.entries
    )


def _size(request: Generate) -> int:
    tools = sum(len(tool.description) + len(tool.parameters) for tool in request.tools)
    return len(request.system.encode()) + tools + sum(map(_text_bytes, request.entries))


def _text_bytes(entry: Entry) -> int:
    text = entry.arguments if isinstance(entry, Called) else entry.text
    return len(text.encode("utf-8", "replace"))
