"""Long conversations: summed up, searched, forgotten; and more turns than `out/` has inodes."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from ironclaw_contract.limits import OUT_DIR_INODES

if TYPE_CHECKING:
    from tests.support.api import Api
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(180)]


def test_a_conversation_outlives_the_inodes_of_its_queue(house: House, agent: str) -> None:
    """A deleted segment that something in the wall still holds open would count for ever."""
    turns = OUT_DIR_INODES + 40
    with house.api() as api:
        first = api.say(agent, "turn 0")
        for number in range(1, turns):
            said = api.say(agent, f"turn {number}")
            assert said["status"] == "answered", (number, said)
            assert said["session"] == first["session"]

    # The oldest were summed up meanwhile: no call of the model is longer than its window.
    assert "I remember " in said["reply"]
    # One box did it all: nothing was replaced on the way.
    assert house.box_of(first["session"]).sentry > 0


def test_a_history_too_long_for_a_box_holds_nobody_up(house: House, agent: str) -> None:
    """What no longer fits is left out, however often a box is replaced, and others are answered."""
    long = "q" * 100_000
    with house.api() as api:
        session = api.say(agent, "first")["session"]
        for _ in range(10):
            assert api.say(agent, long)["status"] == "answered"
        for number in range(4):
            api.call("POST", f"/v1/sessions/{session}/stop")
            said = api.say(agent, f"again {number}", wait=20)
            sibling = api.say(agent, f"and {number}", chat="sibling", wait=20)
            assert said["status"] == sibling["status"] == "answered", (number, said, sibling)


_LONG = "x" * 90_000
_FACT = "Fact: the code of the garage is 4711."


def _tool(name: str, **arguments: object) -> str:
    return f"!tool {name} {json.dumps(arguments)}"


def _summary(api: Api, agent: str) -> str:
    """What the agent is told of what has left its window; it is made when nobody speaks."""
    deadline = time.monotonic() + 10
    while True:
        time.sleep(0.3)
        said = api.say(agent, "!summary")["reply"]
        if said != "I have no summary." or time.monotonic() > deadline:
            return str(said)


def test_what_was_said_first_is_summed_up_found_and_forgotten(house: House) -> None:
    agent = f"long-{os.urandom(4).hex()}"
    with house.api() as api:
        api.make_agent(agent, tools=["conversation_search", "memory_write"])
        first = api.say(agent, _FACT)["session"]
        api.say(agent, _tool("memory_write", topic="garage", text="Ann has a garage."))
        for number in range(5):
            assert api.say(agent, f"{number} {_LONG}", wait=30)["status"] == "answered"

        # It left the window for a summary, which a fresh box is told as well.
        assert _FACT in _summary(api, agent)
        api.call("POST", f"/v1/sessions/{first}/stop")
        assert _FACT in api.say(agent, "!summary")["reply"]
        assert '1. "0 xxx' not in api.say(agent, "!recall")["reply"]

        # The agent finds it, and so do people; after `/new` too, and in no other chat.
        search = _tool("conversation_search", query="garage code")
        assert "Found in what was said here" in api.say(agent, search)["reply"]
        assert "Found in what was said here" not in api.say(agent, search, chat="other")["reply"]
        api.say(agent, "/new")
        second = api.say(agent, search)
        assert second["session"] != first
        assert "Found in what was said here" in second["reply"]
        shown = house.cli("session", "search", second["session"], "garage", "code").out
        assert _FACT in shown

        # Forgotten, it is nowhere: not in searches, not in summaries, not in the memory.
        assert "Ann has a garage" in house.cli("memory", "show", agent, "garage").out
        forgotten = house.cli("session", "forget", first, "--yes")
        assert forgotten.status == 0, forgotten
        assert house.cli("memory", "show", agent, "garage").status != 0
        assert "4711" not in house.cli("session", "search", second["session"], "4711").out
        search = _tool("conversation_search", query="4711")
        assert "[nothing found]" in api.say(agent, search)["reply"]
