"""A conversation that changes its provider is taken by the next one, with the calls it has."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelRequest, ModelResponse, ToolCallPart, ToolReturnPart
from tests.unit.models.host.test_kept import SAID, generate

from ironclaw.models.host.call_ids import with_id_for
from ironclaw.models.host.translate import messages
from ironclaw_contract.entries import Answered, Called, Returned

STRICT = {
    "mistral": r"[A-Za-z0-9]{9}",
    "anthropic": r"[A-Za-z0-9_-]{1,40}",
    "bedrock": r"[A-Za-z0-9_-]{1,40}",
    "openai": r"[A-Za-z0-9_-]{1,40}",
    "azure": r"[A-Za-z0-9_-]{1,40}",
}
idents = st.from_regex(r"\A[A-Za-z0-9_\-:.]{1,64}\Z")


@given(idents, st.sampled_from(sorted(STRICT)))
def test_any_id_becomes_one_that_the_provider_takes(ident: str, system: str) -> None:
    entry = with_id_for(system, Called(call=ident, name="look", arguments="{}"))

    assert isinstance(entry, Called)
    assert re.fullmatch(STRICT[system], entry.call)
    assert with_id_for(system, entry) == entry
    if re.fullmatch(STRICT[system], ident):
        assert entry.call == ident


@pytest.mark.parametrize("system", ["groq", "google", "openrouter", "openai-compatible", ""])
def test_the_others_get_what_they_made(system: str) -> None:
    entry = Called(call="functions.look:0", name="look", arguments="{}")

    assert with_id_for(system, entry) is entry


def test_call_and_result_stay_together_and_two_calls_apart() -> None:
    entries = [
        Called(call="toolu_01A", name="look", arguments="{}"),
        Called(call="toolu_01B", name="look", arguments="{}"),
        Returned(call="toolu_01B", text="b"),
        Returned(call="toolu_01A", text="a"),
        Answered(text="done"),
    ]

    found = messages(generate(SAID, *entries), "mistral")

    calls = [
        part.tool_call_id
        for message in found
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, ToolCallPart)
    ]
    results = [
        part.tool_call_id
        for message in found
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    assert len(set(calls)) == 2
    assert results == calls[::-1]
