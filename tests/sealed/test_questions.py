"""Questions from inside real boxes: asked, waited with through kills, answered in every way."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.house import wait_for, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.api import Api
    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]

ASK = "!tool ask_user " + json.dumps({"question": "Which colour?", "options": ["red", "blue"]})
STRICT = "!tool ask_user " + json.dumps(
    {"question": "Which colour?", "options": ["red", "blue"], "free_text": False}
)


@pytest.fixture(scope="module")
def house(houses_of: Houses) -> Iterator[House]:
    """A house whose boxes rest soon."""
    with houses_of.open(SANDBOX_IDLE_STOP_S="1") as found:
        with found.api() as api:
            api.make_agent("asker", tools=["ask_user", "clock"])
        yield found


def asked(api: Api, text: str = ASK, *, chat: str = "main") -> Any:
    """A message whose turn asks people something."""
    sent = api.say("asker", text, chat=chat)
    assert (sent["status"], sent["reply"]) == ("asked", "Which colour?"), sent
    assert sent["options"] == ["red", "blue"]
    return sent


def view(api: Api, session: str) -> Any:
    return api.get(f"/v1/sessions/{session}").body


def outcome(api: Api, sent: Any) -> str:
    """The reply to a message, once it is there."""

    def replies() -> list[str]:
        events = api.get(f"/v1/sessions/{sent['session']}/transcript").body["events"]
        return [
            one["text"]
            for one in events
            if one["message"] == sent["message"] and one["kind"] == "reply"
        ]

    wait_for(replies, "the reply")
    return replies()[0]


def test_a_turn_waits_without_a_box_and_goes_on_with_what_is_written(house: House) -> None:
    with house.api() as api:
        sent = asked(api)
        told = view(api, sent["session"])
        assert (told["questions"], told["pending"]) == (1, 1)
        # It costs nothing while it waits: the box is let go, and nobody brings another.
        wait_for(lambda: view(api, sent["session"])["box"] == "none", "the box to rest")
        assert "It waits for an answer" in api.say("asker", "/status", wait=0)["reply"]
        answered = api.say("asker", "2")
        assert (answered["status"], answered["message"]) == ("answered", sent["message"])
        assert '"blue (answered by' in answered["reply"]


def test_a_killed_box_and_a_killed_core_lose_no_question(house: House) -> None:
    with house.api() as api:
        sent = asked(api, chat="killed")
        sentry = house.box_of(sent["session"]).sentry
        os.kill(sentry, signal.SIGKILL)
        wait_for_end(sentry)
    core = house.core()
    assert core is not None
    os.kill(core, signal.SIGKILL)
    wait_for_end(core)
    wait_for(lambda: house.cli("status").status == 0, "the next core")
    with house.api() as api:
        assert view(api, sent["session"])["box"] == "none"
        said = house.cli("question", "list")
        assert f"{sent['question']} asker, until" in said.out
        assert "2. blue" in said.out
        said = house.cli("question", "answer", sent["question"], "BLUE", "--json")
        assert said.told["message"] == sent["message"]
        assert '"blue (answered by cli)' in outcome(api, sent)
        twice = house.cli("question", "answer", sent["question"], "red")
        assert twice.status != 0
        assert "answered before" in twice.err


def test_something_else_goes_on_as_a_message_and_stop_asks_nobody_any_more(house: House) -> None:
    with house.api() as api:
        sent = asked(api, STRICT, chat="other")
        other = api.say("asker", "what time is it?", chat="other")
        assert other["status"] == "answered"
        assert 'heard "what time is it?"' in other["reply"]
        assert "they wrote something else" in outcome(api, sent)

        sent = asked(api, STRICT, chat="other")
        began = time.monotonic()
        assert "stopped" in api.say("asker", "/stop", chat="other", wait=0)["reply"]
        assert time.monotonic() - began < 1.0
        assert outcome(api, sent) == "Stopped."
        refused = api.call("POST", f"/v1/questions/{sent['question']}/answer", {"text": "red"})
        assert refused.status == 409
        assert api.get("/v1/questions").body["questions"] == []


def test_the_command_line_shows_a_question_and_its_next_message_answers(house: House) -> None:
    said = house.cli("chat", "asker", ASK, "--chat", "cli")
    assert "1. red\n2. blue" in said.out
    said = house.cli("chat", "asker", "--chat", "talk", stdin=f"{ASK}\n1\n/quit\n")
    assert '"red (answered by cli)' in said.out
    said = house.cli("chat", "asker", "of my own", "--chat", "cli", "--json")
    assert said.told["kind"] == "reply"
    assert '"of my own (answered by cli)' in said.told["text"]


def test_the_front_door_asks_in_the_reply_and_the_next_message_answers(house: House) -> None:
    with house.api() as api:
        first = {"role": "user", "content": ASK}
        reply = _complete(api, [first])
        assert reply.startswith("Which colour?\n\n1. red\n2. blue\n\nAnswer with")
        said = [first, {"role": "assistant", "content": reply}, {"role": "user", "content": "1"}]
        assert '"red (answered by' in _complete(api, said)


def _complete(api: Api, messages: list[dict[str, str]]) -> str:
    answer = api.call("POST", "/v1/chat/completions", {"model": "asker", "messages": messages})
    assert answer.status == 200, answer.body
    text: str = answer.body["choices"][0]["message"]["content"]
    return text


def test_the_audit_tells_the_story_of_a_question(house: House) -> None:
    with house.api() as api:
        sent = asked(api, chat="story")
        api.call("POST", f"/v1/questions/{sent['question']}/answer", {"text": "red"})
        story = api.get(f"/v1/why?id={sent['question']}").body["words"]
    assert any("kept the question" in words for words in story)
    assert any("answered the question" in words for words in story)
