"""OpenAI's own library as the client of agents that are sealed in gVisor."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import openai
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]


@contextmanager
def library(house: House) -> Iterator[openai.OpenAI]:
    """The library on the house's socket, with its first token."""
    transport = httpx2.HTTPTransport(uds=str(house.runtime / "api.sock"))
    with openai.OpenAI(
        api_key=(house.state / "api-token").read_text().strip(),
        base_url="http://ironclaw/v1",
        http_client=httpx2.Client(transport=transport),
        _strict_response_validation=True,
    ) as client:
        yield client


def test_the_official_library_talks_to_a_sealed_agent(house: House, agent: str) -> None:
    """Three turns of a client that sends everything again are one session, in one real box."""
    history: list[Any] = []
    with library(house) as client:
        assert agent in [model.id for model in client.models.list()]
        for text in ("the first is 17", "the second is 23", "!recall"):
            history.append({"role": "user", "content": text})
            answer = client.chat.completions.create(model=agent, messages=history)
            reply = answer.choices[0].message.content
            history.append({"role": "assistant", "content": reply})

    assert reply == '1. "the first is 17"\n2. "the second is 23"'
    with house.api() as api:
        (view,) = api.get(f"/v1/sessions?agent={agent}").body["sessions"]
        session = view["session"]["id"]
        receipt = api.get(f"/v1/sessions/{session}/receipt").body
    assert (receipt["runtime"], receipt["inside"]["interfaces"]) == ("runsc", ["lo"])


def test_pieces_of_the_answer_are_streamed_to_both_interfaces(house: House, agent: str) -> None:
    text = "!say one two three four\n!stream 4 20"
    with library(house) as client:
        chunks = list(
            client.chat.completions.create(
                model=agent, messages=[{"role": "user", "content": text}], stream=True
            )
        )
        events = list(client.responses.create(model=agent, input=text, stream=True))

    told = [chunk.choices[0].delta.content for chunk in chunks]
    assert "".join(piece or "" for piece in told) == "one two three four"
    assert len([piece for piece in told if piece]) == 4
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len([one for one in events if one.type == "response.output_text.delta"]) == 4
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "one two three four"


def test_a_response_goes_on_from_the_one_before(house: House, agent: str) -> None:
    with library(house) as client:
        first = client.responses.create(model=agent, input="the first is 17")
        again = client.responses.create(model=agent, input="!recall", previous_response_id=first.id)

    assert again.output_text == '1. "the first is 17"'


def test_what_fails_inside_is_told_as_an_error_and_said_once(house: House, agent: str) -> None:
    with library(house) as client, pytest.raises(openai.InternalServerError) as failed:
        client.chat.completions.create(
            model=agent, messages=[{"role": "user", "content": "!fail permanent"}]
        )

    assert failed.value.code == "model_failed"
    with house.api() as api:
        (view,) = api.get(f"/v1/sessions?agent={agent}").body["sessions"]
        target = f"/v1/sessions/{view['session']['id']}/transcript"
        kinds = [event["kind"] for event in api.get(target).body["events"]]
    assert kinds == ["message", "error"]
