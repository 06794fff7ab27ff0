"""Turns in real boxes: joined by what is said meanwhile, seen, stopped, ended when they should."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.house import wait_for, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]

TOOLS = ["clock", "read_file", "write_file", "list_files", "request_change", "ask_user"]


@pytest.fixture(scope="module")
def steering(houses_of: Houses) -> Iterator[House]:
    """A house in which messages join the turn that runs, with an agent."""
    with houses_of.open(CONVERSATION_NEW_MESSAGES="steer") as house:
        with house.api() as api:
            api.make_agent("guide", tools=TOOLS)
            api.change(kind="limits", agent="guide", max_steps=64)
        yield house


def test_a_message_joins_the_turn_that_runs_and_is_answered_with_it(steering: House) -> None:
    house = steering
    with house.api() as api, house.api() as other:
        hello = api.say("guide", "hello", chat="join")
        box = house.box_of(hello["session"])
        with api.follow(hello["chat"], after=hello["event"] + 1) as events:
            one = other.say("guide", "!slow 1500\n!tool clock\nfirst", chat="join", wait=0)
            # It is answered while its sender waits, with the reply to the other one.
            two = other.say("guide", "!slow 100\n!tool list_files\n!say both", chat="join")
            seen = _until(events, "reply")
        assert (two["status"], two["reply"]) == ("answered", "both")
        reply = seen[-1]
        assert (reply["message"], reply["answers"]) == (one["message"], [two["message"]])
        doing = [event["text"] for event in seen if event["kind"] == "doing"]
        assert doing == [
            "uses clock", "asks the model again", "uses list_files", "asks the model again",
        ]  # fmt: skip
        # Nothing of it waits any more, and what people said is remembered in order.
        wait_for(lambda: _view(api, hello["session"])["pending"] == 0, "nothing to wait")
        assert "3 earlier messages" in other.say("guide", "and now?", chat="join")["reply"]
        assert house.box_of(hello["session"]).sentry == box.sentry


def test_a_killed_box_resumes_a_turn_with_all_that_joined_it(steering: House) -> None:
    house = steering
    with house.api() as api:
        hello = api.say("guide", "hello", chat="kill")
        with api.follow(hello["chat"], after=hello["event"] + 1) as events, house.api() as other:
            one = other.say("guide", "!slow 1500\n!tool clock\none", chat="kill", wait=0)
            two = "!slow 500\n!tool clock\n!tool list_files\n!say all of it"
            two = other.say("guide", two, chat="kill", wait=0)
            # Once before a record tells of the second message, and once after.
            for marked in ("asks the model again", "uses clock"):
                _until(events, marked)
                if marked == "uses clock":
                    _until(events, "asks the model again")
                sentry = house.box_of(hello["session"]).sentry
                os.kill(sentry, signal.SIGKILL)
                wait_for_end(sentry)
            reply = _until(events, "reply")[-1]
    assert (reply["text"], reply["message"]) == ("all of it", one["message"])
    assert reply["answers"] == [two["message"]]


def test_a_turn_that_goes_in_circles_or_takes_too_long_is_ended(steering: House) -> None:
    with steering.api() as api:
        began = time.monotonic()
        circle = api.say("guide", "!loop list_files", chat="circle")
        assert (circle["status"], circle["code"]) == ("failed", "too_many_steps")
        assert "again and again" in circle["reply"]
        assert time.monotonic() - began < 5

        api.change(kind="limits", agent="guide", turn_total_s=10)
        said = steering.cli("chat", "guide", "!slow 300\n!tool clock\nhello", "--json")
        assert said.told["doing"] == ["uses clock", "asks the model again"]


STATES = {
    "asks the model": "!hang",
    "streams": "!long 20000\n!stream 2000 20",
    "runs tools": '!loop list_files {"path": "{round}"}',
    "waits for the host": '!loop request_change {"change": {"kind": "{round}"}, "reason": "x"}',
    "waits for people": '!tool ask_user {"question": "Which one?", "options": ["this", "that"]}',
}


@pytest.mark.parametrize("state", STATES)
def test_a_stop_ends_a_turn_within_a_second_whatever_it_does(steering: House, state: str) -> None:
    house = steering
    with house.api() as api:
        chat = state.replace(" ", "-")
        session = api.say("guide", "hello", chat=chat)["session"]
        running = api.say("guide", STATES[state], chat=chat, wait=0)
        time.sleep(0.15)
        began = time.monotonic()
        stopped = api.say("guide", "/stop", chat=chat, wait=0)
        took = time.monotonic() - began
        assert took < 1.0
        assert stopped["reply"].startswith("The agent has stopped.")
        events = api.get(f"/v1/sessions/{session}/transcript").body["events"]
        assert [one["text"] for one in _replies(events, running)][-1] == "Stopped."
        assert "heard" in api.say("guide", "go on", chat=chat)["reply"]


def _view(api: Any, session: str) -> Any:
    return api.get(f"/v1/sessions/{session}").body


def _replies(events: Any, sent: Any) -> list[Any]:
    return [
        one
        for one in events
        if one["message"] == sent["message"] and one["kind"] in {"reply", "error"}
    ]


def _until(events: Iterator[dict[str, Any]], what: str) -> list[Any]:
    """Events up to the next one of that kind, or with that text."""
    seen = []
    for event in events:
        seen.append(event["data"])
        if what in {event["data"]["kind"], event["data"]["text"]}:
            return seen
    raise AssertionError(f"the stream ended before {what}")
