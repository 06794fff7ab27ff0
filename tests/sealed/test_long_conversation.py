"""More turns than `out/` has inodes: what the ledger has is gone from the queue, and stays gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw_contract.limits import OUT_DIR_INODES

if TYPE_CHECKING:
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

    assert f"I remember {turns - 1} earlier messages" in said["reply"]
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
