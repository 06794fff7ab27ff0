"""How a model is asked: the library's settings of one call, thinking among them. Pure.

The library translates `thinking` into each provider's own parameter, and leaves it out where a
model cannot think. What it leaves to the caller is done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from ironclaw.domain.model import Thinking
from ironclaw.domain.thinking import ROOM
from ironclaw.models.host import kept
from ironclaw_contract.entries import Called, Returned, Said, Thought

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

    from ironclaw.models.host.messages import Ask
    from ironclaw_contract.entries import Entry

_WANTS_THOUGHTS_BACK: Final = frozenset({"anthropic", "bedrock"})
"""Where a call that thinks is refused when the turn's earlier thoughts are not with it."""
_OPENAI: Final = frozenset({"openai", "azure"})
_ADAPTIVE: Final = ("anthropic_supports_adaptive_thinking", "bedrock_supports_adaptive_thinking")


def settings(ask: Ask, model: Model[Any]) -> ModelSettings:
    """The settings of one attempt."""
    found: dict[str, Any] = {
        "max_tokens": ask.max_output_tokens,
        # Retries are the core's: they count, they wait with jitter, they can be cancelled.
        "max_retries": 0,
        # Marks for those that want them; the others cache by themselves.
        "cache": True,
    }
    if ask.temperature is not None:
        found["temperature"] = ask.temperature
    if model.system in _OPENAI:
        # Nothing of a conversation stays there, and no id of an item means anything there.
        found["openai_store"] = False
    if (level := _level(ask, model)) is None:
        return cast("ModelSettings", found)
    found["thinking"] = level.value if level in ROOM else False
    if level in ROOM:
        found["max_tokens"] = ask.max_output_tokens + ROOM[level]
        if model.system in _OPENAI:
            found["openai_reasoning_summary"] = "auto"
        if _is_claude(model):
            found.pop("temperature", None)  # refused while it thinks
    return cast("ModelSettings", found)


def _level(ask: Ask, model: Model[Any]) -> Thinking | None:
    """How long it is to think in this call."""
    if not _can_think(model):
        return None
    if ask.thinking not in ROOM or not _is_claude(model):
        return ask.thinking
    adapts = any(model.profile.get(name) for name in _ADAPTIVE)
    # As after a restart, or where another model did the first part of the turn.
    is_lost = not adapts and lacks_thoughts(ask.request.entries)
    return Thinking.OFF if is_lost else ask.thinking


def lacks_thoughts(entries: Sequence[Entry]) -> bool:
    """Whether the turn that goes on has a tool call without a thought before it."""
    has_thought = False
    lacks = False
    for entry in entries:
        match entry:
            case Said():
                has_thought = lacks = False
            case Returned():
                has_thought = False
            case Thought():
                found = kept.read(entry)
                has_thought = has_thought or (found is not None and found.of == "thought")
            case Called():
                lacks = lacks or not has_thought
    return lacks


def _can_think(model: Model[Any]) -> bool:
    profile = model.profile
    return bool(profile.get("supports_thinking") or profile.get("thinking_always_enabled"))


def _is_claude(model: Model[Any]) -> bool:
    return model.system in _WANTS_THOUGHTS_BACK
