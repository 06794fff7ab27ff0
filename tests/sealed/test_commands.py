"""Commands against real boxes: a stop within a second, whatever the agent does; a fresh start."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.house import wait_for, wait_for_end

if TYPE_CHECKING:
    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]


@pytest.mark.parametrize("directive", ["!hang", '!slow 300\n!loop list_files {"path": "{round}"}'])
def test_stop_ends_a_turn_within_a_second_and_the_conversation_goes_on(
    house: House, agent: str, directive: str
) -> None:
    session = house.ask(agent, "hello")["session"]
    with house.api() as api:
        # A tool loop is slowed down: it ends by itself after sixteen steps.
        running = api.say(agent, directive, wait=0)
        wait_for(lambda: _view(api, session)["box"] == "busy", "the box to be busy")
        sentry = house.box_of(session).sentry
        waiting = api.say(agent, "still there?", wait=0)
        began = time.monotonic()
        stopped = api.say(agent, "/stop", wait=0)
        took = time.monotonic() - began
        wait_for_end(sentry)
        assert took < 1.0
        assert (stopped["status"], stopped["session"]) == ("handled", session)
        assert stopped["reply"].startswith("The agent has stopped. The message that waited")
        wait_for(lambda: _view(api, session)["pending"] == 0, "what waited to be answered")
        events = api.get(f"/v1/sessions/{session}/transcript").body["events"]
        assert _told(events, running) == [("ironclaw", "reply", "Stopped.")]
        ((sender, kind, text),) = _told(events, waiting)
        assert (sender, kind) == (agent, "reply")
        assert text.startswith(f'{agent} heard "still there?".')
        assert api.say(agent, "/stop", wait=0)["reply"] == "Nothing is running."


def test_new_begins_afresh_and_forgets_nothing_of_the_old(house: House, agent: str) -> None:
    old = house.ask(agent, "the word is plum")
    with house.api() as api:
        said = api.say(agent, "/new", wait=0)
        assert (said["status"], said["session"]) == ("handled", old["session"])
        fresh = house.ask(agent, "!recall")
        assert fresh["session"] != old["session"]
        assert "plum" not in fresh["reply"]
        kept = api.get(f"/v1/sessions/{old['session']}/transcript").body["events"]
    assert [one["text"] for one in kept] == [
        "the word is plum",
        old["reply"],
        "/new",
        said["reply"],
    ]


def test_the_command_line_passes_a_command_on(house: House, agent: str) -> None:
    said = house.cli("chat", agent, "/status")
    assert said.status == 0, said
    assert said.out.splitlines()[0] == f"Agent: {agent}, model scripted"
    assert "box none, nothing waits" in said.out


def _view(api: Any, session: str) -> Any:
    return api.get(f"/v1/sessions/{session}").body


def _told(events: Any, sent: Any) -> list[tuple[str, str, str]]:
    """What was said to a message: sender, kind, text."""
    return [
        (one["sender"], one["kind"], one["text"])
        for one in events
        if one["message"] == sent["message"] and one["kind"] != "message"
    ]


def test_the_first_agent_stays_away_once_it_was_archived(houses_of: Houses) -> None:
    with houses_of.open(SANDBOX_POOL_SIZE="0") as house:
        with house.api() as api:
            api.be_solo()
            api.change(kind="agent.archive", agent="demo")
        house.down()
        house.up()
        assert house.cli("agent", "list", "--json").told["agents"] == []
