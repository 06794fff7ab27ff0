"""Tasks from the wish to the pause, and two agents that ask each other, in real boxes."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.support.house import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.api import Api
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]


class Desk(NamedTuple):
    """A person at one agent."""

    house: House
    api: Api
    agent: str
    session: str

    def tell(self, *lines: str) -> str:
        """Say something and wait for the reply."""
        return str(self.house.ask(self.agent, "\n".join(lines))["reply"])

    def use(self, tool: str, **arguments: object) -> str:
        """Have the agent use a tool; what came of it."""
        reply = self.tell(f"!tool {tool} {json.dumps(arguments)}")
        return reply.split("I remember", maxsplit=1)[0]

    def told(self, session: str | None = None) -> list[Any]:
        """All that happened in a conversation."""
        found = self.api.get(f"/v1/sessions/{session or self.session}/transcript?limit=200")
        return list(found.body["events"])

    def task(self) -> Any:
        """The agent's one task."""
        (found,) = self.api.get(f"/v1/tasks?agent={self.agent}").body["tasks"]
        return found

    def approve_what_is_asked(self) -> Any:
        """Say yes to the one change that the agent has asked for."""
        (view,) = self.api.get(f"/v1/changes?agent={self.agent}").body["changes"]
        assert self.api.decide(view).status == 200
        return view

    def wait_for(self, sender: str, text: str, kind: str = "reply") -> None:
        """Wait until it was said in the person's chat."""

        def is_there() -> bool:
            return any(
                (one["sender"], one["kind"]) == (sender, kind) and text in one["text"]
                for one in self.told()
            )

        wait_for(is_there, f"{sender} to say {text!r}")


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    with house.api() as api:
        name = f"busy-{secrets.token_hex(3)}"
        tools = ["request_change", "run_task", "send_message", "tasks"]
        api.make_agent(name, tools=tools)
        yield Desk(house, api, name, house.ask(name, "hello")["session"])


def test_a_task_from_the_wish_to_the_pause(desk: Desk) -> None:
    """Asked for, approved, told at its time, done now, changed, quiet, failing, and resumed."""
    chat = next(
        one["chat"]
        for one in desk.api.get("/v1/wirings").body["wirings"]
        if one["agent"] == desk.agent
    )
    wish = {
        "kind": "task.add", "name": "report", "channel": "api",
        "platform_id": chat["platform_id"], "prompt": "the report, please",
        "at_ms": int(time.time() * 1000) + 2500,
    }  # fmt: skip
    assert "asked: chg_" in desk.use("request_change", change=wish, reason="To be of use.")
    card = desk.approve_what_is_asked()["card"]
    assert any(one["text"].startswith("the report") for one in card["diff"]), card["diff"]
    desk.wait_for(desk.agent, 'heard "the report, please"')
    assert (desk.task()["last"], desk.task()["next_ms"]) == ("answered", None)
    (shown,) = json.loads(desk.use("tasks").partition('returned "')[2].rpartition('"')[0])
    assert (shown["name"], shown["when"], shown["last"]) == ("report", "once", "answered")

    # Now: by its agent, by people; then again and again, and with nothing to say.
    desk.api.change(
        kind="task.update", agent=desk.agent, name="report", every_s=3600, prompt="another one"
    )
    assert "told: report comes to you" in desk.use("run_task", name="report")
    desk.wait_for(desk.agent, 'heard "another one"')
    said = desk.house.cli(
        "task", "update", desk.agent, "report", "--quiet",
        "--prompt", "!say NOTHING TO REPORT", "--yes", "--json",
    )  # fmt: skip
    assert said.status == 0, said
    before = [one for one in desk.told() if one["kind"] == "reply"]
    run_now(desk)
    assert [one for one in desk.told() if one["kind"] == "reply"] == before

    # It fails for good: paused, and people are told where it answers and in the status.
    desk.api.change(kind="task.update", agent=desk.agent, name="report", prompt="!fail permanent")
    for _ in range(5):
        run_now(desk)
    desk.wait_for("ironclaw", "has failed 5 times in a row, so it is paused")
    task = desk.task()
    assert (task["task"]["paused"], task["failures"], task["next_ms"]) == (True, 5, None)
    assert any("task report of agent" in one for one in desk.api.get("/v1/status").body["degraded"])
    assert "report (paused)" in desk.api.say(desk.agent, "/status", wait=0)["reply"]
    desk.api.change(kind="task.update", agent=desk.agent, name="report", prompt="well again")
    # Also while it is paused, to see whether it works again.
    assert desk.house.cli("task", "run", desk.agent, "report").status == 0
    desk.wait_for(desk.agent, 'heard "well again')
    desk.api.change(kind="task.resume", agent=desk.agent, name="report")
    wait_for(lambda: desk.task()["next_ms"], "its next time")
    assert desk.task()["failures"] == 0
    assert desk.house.cli("task", "pause", desk.agent, "report", "--yes").status == 0
    assert desk.task()["next_ms"] is None


def run_now(desk: Desk) -> None:
    """Have the task done now, and wait until it is over."""
    said = desk.api.call("POST", f"/v1/agents/{desk.agent}/tasks/report/run")
    assert said.status == 202, said
    wait_for(lambda: desk.task()["last"] in {"answered", "failed"}, "the task to be done")


def test_an_agent_asks_another_one_and_the_answer_comes_back(desk: Desk) -> None:
    other = f"clerk-{secrets.token_hex(3)}"
    desk.api.make_agent(other)
    question = {"destination": "clerk", "text": "What is six times seven?\n!say It is 42."}
    assert "you have no destination of that name" in desk.use("send_message", **question)
    wish = {"kind": "destination.add", "name": "clerk", "channel": "agent", "platform_id": other}
    desk.use("request_change", change=wish, reason="It can reckon.")
    card = desk.approve_what_is_asked()["card"]
    assert any("foreign content" in one for one in card["notices"]), card["notices"]

    assert "sent: it is on its way to clerk" in desk.use("send_message", **question)
    desk.wait_for(f"agent {other}", "It is 42.", kind="message")
    desk.wait_for(desk.agent, f'{desk.agent} heard "It is 42."')

    # The other one has a conversation of its own, which those who may look at it can see.
    (session,) = desk.api.get(f"/v1/sessions?agent={other}").body["sessions"]
    assert session["session"]["thread"] == desk.session
    pair = desk.told(session["session"]["id"])
    assert [(one["sender"], one["text"].splitlines()[0]) for one in pair] == [
        (f"agent {desk.agent}", "What is six times seven?"),
        (other, "It is 42."),
    ]
    assert desk.house.box_of(desk.session).slot != desk.house.box_of(session["session"]["id"]).slot

    # It may not begin anything itself, and what has ended is not asked.
    desk.api.change(kind="agent.archive", agent=other)
    again = desk.use("send_message", destination="clerk", text="And seven times eight?")
    assert "That agent is there no more" in again
