"""How a call is asked: what thinking adds to it, and when it is left out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.model_house import generate, provider

from ironclaw.domain.model import Thinking
from ironclaw.domain.thinking import ROOM
from ironclaw.models.host import kept
from ironclaw.models.host.messages import Ask
from ironclaw.models.host.table import make
from ironclaw.models.host.thinking import lacks_thoughts, settings
from ironclaw_contract.entries import Answered, Called, Entry, Returned, Said, Thought

SAID = Said(message="msg_1", sender="Ann", text="hi", at_ms=0)
CALL, RESULT = Called(call="c1", name="look", arguments="{}"), Returned(call="c1", text="x")
THOUGHT = Thought(text="Hm.", opaque=kept._text(kept.Kept(of="thought", signature="s")))
OF_CALL = Thought(opaque=kept._text(kept.Kept(of="call", id="s")))


def asked(kind: str, model: str, thinking: Thinking | None, *entries: Entry) -> dict[str, Any]:
    ask = Ask(
        call=1,
        provider="p",
        model=model,
        temperature=0.5,
        max_output_tokens=100,
        thinking=thinking,
        request=generate(*entries),
    )
    made = make(provider(kind, "http://127.0.0.1:9", api="responses"), "k", model)
    return dict(settings(ask, made))


def test_a_model_that_cannot_think_is_asked_as_ever() -> None:
    for thinking in (None, *Thinking):
        found = asked("groq", "some-model", thinking)
        assert found == {"max_tokens": 100, "max_retries": 0, "cache": True, "temperature": 0.5}


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("anthropic", "claude-sonnet-4-5"),
        ("openai", "gpt-5.1"),
        ("google", "gemini-2.5-flash"),
        ("openai-compatible", "anything-of-mine"),
    ],
)
def test_a_model_that_can_has_room_for_it(kind: str, model: str) -> None:
    assert "thinking" not in asked(kind, model, None)
    assert asked(kind, model, Thinking.OFF)["thinking"] is False
    for thinking in (Thinking.LOW, Thinking.MEDIUM, Thinking.HIGH):
        found = asked(kind, model, thinking)
        assert found["thinking"] == thinking.value
        assert found["max_tokens"] == 100 + ROOM[thinking]
        assert ("temperature" in found) is (kind != "anthropic"), "Claude refuses it then"


def test_nothing_of_a_conversation_is_left_at_openai() -> None:
    assert asked("openai", "gpt-5.1", None)["openai_store"] is False


def test_a_turn_whose_thoughts_are_lost_goes_on_without() -> None:
    lost = (SAID, CALL, RESULT)
    whole = (SAID, THOUGHT, OF_CALL, CALL, RESULT)
    assert asked("anthropic", "claude-sonnet-4-5", Thinking.LOW, *lost)["thinking"] is False
    assert asked("anthropic", "claude-sonnet-4-5", Thinking.LOW, *whole)["thinking"] == "low"
    # A model that thinks when it sees fit takes a turn without.
    assert asked("anthropic", "claude-opus-4-8", Thinking.LOW, *lost)["thinking"] == "low"
    assert asked("google", "gemini-2.5-flash", Thinking.LOW, *lost)["thinking"] == "low"


def test_only_the_turn_that_goes_on_counts() -> None:
    assert not lacks_thoughts(())
    assert not lacks_thoughts((SAID, CALL, RESULT, Answered(text="So."), SAID))
    assert lacks_thoughts((SAID, THOUGHT, CALL, RESULT, CALL, RESULT))
    assert not lacks_thoughts((SAID, THOUGHT, CALL, CALL, RESULT, RESULT, THOUGHT, CALL))
    assert lacks_thoughts((SAID, OF_CALL, CALL))
