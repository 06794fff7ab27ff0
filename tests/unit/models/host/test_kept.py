"""What a provider wants back of an answer's parts: there and back through the contract."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart, ToolCallPart
from tests.support.model_house import generate

from ironclaw.models.host import kept
from ironclaw.models.host.translate import answer, messages
from ironclaw_contract.entries import Answered, Entry, Said, Thought
from ironclaw_contract.frames import decode_tell, pack
from ironclaw_contract.limits import MAX_OPAQUE_CHARS, MAX_TEXT_BYTES

SAID = Said(message="msg_1", sender="Ann", text="hi", at_ms=0)


def back(*entries: Entry) -> list[object]:
    """The parts of the model's answer as they go to the provider again."""
    _, response, *_ = messages(generate(SAID, *entries), "some-system")
    assert isinstance(response, ModelResponse)
    return list(response.parts)


def test_a_thought_its_words_and_its_calls_come_back_as_they_were() -> None:
    parts = [
        ThinkingPart("Hm.", id="rs_1", signature="sig", provider_name="some-system"),
        TextPart("I look.", id="msg_1", provider_name="some-system"),
        ToolCallPart(
            "look",
            {"a": 1},
            "c1",
            id="fc_1",
            provider_name="some-system",
            provider_details={"thought_signature": "c2ln"},
        ),
    ]

    whole = answer(generate(), ModelResponse(parts=list(parts)), is_cut=False)

    assert decode_tell(pack(whole)[4:]) == whole
    assert back(*whole.entries) == parts
    _, response = messages(generate(SAID, Answered(text="Hi")), "some-system")
    assert response == ModelResponse(parts=[TextPart("Hi")], timestamp=response.timestamp)


def test_words_and_calls_of_a_model_that_did_not_think_need_nothing() -> None:
    parts = [TextPart("I look.", id="msg_1"), ToolCallPart("look", "{}", "c1", id="fc_1")]

    entries = answer(generate(), ModelResponse(parts=list(parts)), is_cut=False).entries

    assert not any(isinstance(entry, Thought) for entry in entries)


def test_what_is_too_long_to_come_back_whole_does_not_come_back() -> None:
    long = ThinkingPart("x" * (MAX_TEXT_BYTES + 1), signature="sig")
    assert kept.keep(long) == Thought(text="x" * MAX_TEXT_BYTES)
    much = ThinkingPart("Hm.", signature="s" * MAX_OPAQUE_CHARS)
    assert kept.keep(much) == Thought(text="Hm.")
    odd = TextPart("Hi", provider_details={"when": object()})
    assert kept.read(kept.keep(odd)) == kept.Kept(of="word")


@given(st.lists(st.builds(Thought, text=st.text(max_size=9), opaque=st.text(max_size=40))))
def test_thoughts_that_are_not_ours_are_left_out(thoughts: list[Thought]) -> None:
    _, response = messages(generate(SAID, *thoughts, Answered(text="Hi")), "some-system")

    assert response.parts == [TextPart("Hi")]


@given(
    st.sampled_from(["thought", "word", "call"]),
    st.text(max_size=20) | st.sampled_from(["[1]", "{", "null", '{"a":NaN}']),
)
def test_details_of_any_shape_are_details_or_nothing(of: str, details: str) -> None:
    raw = kept.Kept(of=of, id="i", details=details)  # type: ignore[arg-type]
    thought = kept.Thought(text="Hm.", opaque=kept._text(raw))

    for part in back(thought, Answered(text="Hi"), thought)[:1]:
        assert isinstance(part, TextPart | ThinkingPart)
        assert part.provider_details is None or isinstance(part.provider_details, dict)
