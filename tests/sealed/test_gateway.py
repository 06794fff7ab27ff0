"""Changes on a real house: what an agent asks for, what people see and say, what its box then does.

One house of each kind of user, with one owner and one approver; each test has an agent of its own.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.support.api import Api
from tests.support.house import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]

SOON_S = 1.0
"""Within which a revoked right is gone from a running box."""


class Gate(NamedTuple):
    """A house in which nobody approves what they asked for themselves."""

    house: House
    approver: str
    """The secret of a token whose principal may decide."""
    shared: Path
    """A directory below which agents may be shown something."""

    @contextmanager
    def deciding(self) -> Iterator[Api]:
        """A client that acts as the approver."""
        with closing(Api(self.house.runtime / "api.sock", self.approver)) as client:
            yield client

    def approve(self, view: Any) -> Any:
        """Have the approver look at a change and say yes; it is in force then."""
        with self.deciding() as approver:
            seen = approver.get(f"/v1/changes/{view['row']['change']['id']}").body
            answer = approver.decide(seen)
        assert answer.status == 200, answer
        assert answer.body["row"]["status"] == "done", answer.body["row"]
        return answer.body

    def change(self, **spec: object) -> Any:
        """Ask as the owner, approve as the approver."""
        with self.house.api() as owner:
            return self.approve(owner.ask_for(**spec))

    def revoke(self, view: Any) -> float:
        """Take back what a change gave; return the seconds it took."""
        grant = view["row"]["grant"]["id"]
        began = time.monotonic()
        with self.deciding() as approver:
            answer = approver.call("POST", f"/v1/grants/{grant}/revoke", {"words": "not now"})
        assert answer.status == 200, answer
        return time.monotonic() - began

    def agent(self, **settings: object) -> str:
        """An agent of this test's own."""
        name = f"gate-{secrets.token_hex(4)}"
        self.change(kind="agent.create", name=name, pool_size=0, **settings)
        return name

    def tell(self, agent: str, *lines: str) -> Any:
        """Say something and wait for the reply."""
        return self.house.ask(agent, "\n".join(lines))["reply"]

    def setup(self, agent: str) -> dict[str, str]:
        """What the running box was told: `model`, `tools`, `persona`."""
        said = self.tell(agent, "!setup").splitlines()
        return dict(line.split(": ", 1) if ": " in line else (line[:-1], "") for line in said[:3])


@pytest.fixture(scope="module")
def gate(houses_of: Houses) -> Iterator[Gate]:
    with houses_of.open() as house:
        shared = house.place / "given"
        shared.mkdir(mode=0o755)
        house.place.chmod(0o711)
        house.down()
        house.up(GATEWAY_MOUNT_ROOTS=str(shared))
        with house.api() as owner:
            policy = owner.get("/v1/policy").body
            # The one thing that the only owner may decide on alone, there and back.
            owner.be_solo()
            minted = owner.call("POST", "/v1/tokens", {"name": "ann", "scopes": ["approve"]}).body
            owner.change(kind="role.give", principal="api:ann", role="admin", agent=None)
            owner.change(kind="policy", policy=policy)
        yield Gate(house, minted["secret"], shared)


def _asks(**spec: object) -> str:
    asked = {"change": spec, "reason": "I would like to help better."}
    return f"!tool request_change {json.dumps(asked)}"


def _words(reply: str) -> str:
    """What the tool said, without the conversation that a reply quotes as well."""
    return reply.split("I remember", maxsplit=1)[0]


def _open(gate: Gate, agent: str) -> list[Any]:
    """What waits about one agent: the house asks by itself for budgets of others."""
    with gate.deciding() as approver:
        return list(approver.get(f"/v1/changes?agent={agent}").body["changes"])


# --- the walk through -----------------------------------------------------------------------------


def test_an_agent_asks_a_person_sees_approves_and_revokes(gate: Gate) -> None:
    """The whole of it: asked, shown, approved, used in the next turn, revoked, refused at once."""
    agent = gate.agent(tools=["request_change"])
    session = gate.house.ask(agent, "hello")["session"]
    slot = gate.house.box_of(session).slot
    write = '!tool write_file {"path": "a.txt", "text": "42"}'

    assert "there is no tool of that name" in gate.tell(agent, write)
    told = gate.tell(agent, _asks(kind="tools", add=["write_file"]))
    (view,) = _open(gate, agent)

    # What a person sees is the whole of it, and whose words are whose.
    assert view["row"]["change"]["id"] in told
    assert view["row"]["change"]["asker"]["session"] == session
    assert "I would like to help better." in "".join(view["card"]["reason"])
    assert any("write_file" in line["text"] for line in view["card"]["diff"])
    assert view["buttons"]
    assert view["link"]

    # The owner's own words do not count as a yes where somebody else may say it; ann's do.
    approved = gate.approve(view)
    assert approved["row"]["decisions"][0]["principal"] == "api:ann"
    assert "failed" not in gate.tell(agent, write)
    assert gate.house.box_of(session).slot == slot, "the box runs on"

    assert gate.revoke(approved) < SOON_S
    assert "there is no tool of that name" in gate.tell(agent, write)
    assert gate.house.box_of(session).slot == slot, "refused inside the very box"
    with gate.house.api() as owner:
        story = owner.get(f"/v1/why?id={view['row']['change']['id']}").body["words"]
    assert len(story) >= 4, story


def test_what_was_denied_is_not_asked_again_by_another_route(gate: Gate) -> None:
    agent = gate.agent(tools=["request_change"])
    gate.tell(agent, _asks(kind="tools", add=["write_file"]))
    (view,) = _open(gate, agent)
    with gate.deciding() as approver:
        assert approver.decide(view, approve=False).body["row"]["status"] == "denied"

    again = gate.tell(agent, _asks(kind="tools", add=["clock", "write_file"]))

    assert view["row"]["change"]["id"] in again
    assert not _open(gate, agent)


def test_what_was_seen_is_what_is_approved(gate: Gate) -> None:
    agent = gate.agent()
    with gate.house.api() as owner:
        first = owner.ask_for(kind="persona", agent=agent, persona="One.")
        second = owner.ask_for(kind="persona", agent=agent, persona="Two.")
    gate.approve(second)
    with gate.deciding() as approver:
        stale = approver.decide(first)
        assert stale.status == 409, stale
        again = approver.get(f"/v1/changes/{first['row']['change']['id']}").body
        assert approver.decide(again).status == 200
        assert approver.decide(again).status == 409, "a decision is used once"
    assert gate.setup(agent)["persona"] == "One."


def test_nobody_approves_their_own_request(gate: Gate) -> None:
    with gate.house.api() as owner:
        view = owner.ask_for(kind="agent.create", name=f"own-{secrets.token_hex(3)}")
        assert view["may_decide"] is False
        assert owner.decide(view).status == 403
        name = view["row"]["change"]["id"]
        assert owner.call("POST", f"/v1/changes/{name}/withdraw").status == 200


# --- one for each kind ----------------------------------------------------------------------------


def test_persona(gate: Gate) -> None:
    agent = gate.agent(persona="You are the first.")
    assert gate.setup(agent)["persona"] == "You are the first."
    view = gate.change(kind="persona", agent=agent, persona="You are the second.")
    assert gate.setup(agent)["persona"] == "You are the second."
    assert gate.revoke(view) < SOON_S
    assert gate.setup(agent)["persona"] == "You are the first."


def test_model(gate: Gate) -> None:
    agent = gate.agent()
    view = gate.change(kind="model", agent=agent, model="scripted/other")
    assert gate.setup(agent)["model"] == "scripted/other"
    gate.revoke(view)
    assert gate.setup(agent)["model"] == "scripted"


def test_limits_reach_a_fresh_box_and_the_conversation_goes_on(gate: Gate) -> None:
    agent = gate.agent()
    session = gate.house.ask(agent, "remember the 17")["session"]
    before = gate.house.box_of(session)
    view = gate.change(kind="limits", agent=agent, memory_bytes=512 * 1024**2)
    assert "remember the 17" in gate.tell(agent, "!recall")
    after = gate.house.box_of(session)
    assert after.slot != before.slot
    assert after.spec["linux"]["resources"]["memory"]["limit"] == 512 * 1024**2
    gate.revoke(view)
    assert "remember the 17" in gate.tell(agent, "!recall")
    limits = gate.house.box_of(session).spec["linux"]["resources"]["memory"]
    assert limits == before.spec["linux"]["resources"]["memory"]


def test_a_budget_stops_the_call_after_the_last(gate: Gate) -> None:
    agent = gate.agent()
    gate.change(kind="limits", agent=agent, calls_per_day=2)
    gate.tell(agent, "one")
    gate.tell(agent, "two")
    with gate.house.api() as owner:
        assert owner.say(agent, "three")["status"] == "failed"
        raised = gate.change(kind="limits", agent=agent, calls_per_day=20)
        gate.tell(agent, "four")
        gate.revoke(raised)
        assert owner.say(agent, "five")["status"] == "failed"


def test_shared_mounts(gate: Gate) -> None:
    """A directory is there for the agent's own tools while it is granted, and no longer."""
    agent = gate.agent(tools=["list_files", "read_file"])
    given = gate.shared / f"d{secrets.token_hex(3)}"
    listing, reading = (
        f'!tool {tool} {{"path": "/shared/{path}"}}'
        for tool, path in (("list_files", ""), ("read_file", "notes/note.txt"))
    )
    given.mkdir(mode=0o755)
    (given / "note.txt").write_text("what people share")
    (given / "note.txt").chmod(0o644)
    session = gate.house.ask(agent, "remember the 23")["session"]
    assert "no such thing is shared" in _words(gate.tell(agent, reading))
    view = gate.change(kind="mount.add", agent=agent, name="notes", path=str(given))
    assert "remember the 23" in gate.tell(agent, "!recall")
    (mount,) = [
        one
        for one in gate.house.box_of(session).spec["mounts"]
        if one["destination"] == "/shared/notes"
    ]
    assert "ro" in mount["options"]
    assert "notes/" in _words(gate.tell(agent, listing))
    assert "what people share" in _words(gate.tell(agent, reading))
    gate.revoke(view)
    assert "remember the 23" in gate.tell(agent, "!recall")
    assert "notes/" not in _words(gate.tell(agent, listing))
    assert "no such thing is shared" in _words(gate.tell(agent, reading))
    mounts = gate.house.box_of(session).spec["mounts"]
    assert not [one for one in mounts if one["destination"] == "/shared/notes"]


def test_destinations(gate: Gate) -> None:
    """A message goes to another chat while the destination is granted, and not a moment longer."""
    agent = gate.agent(tools=["send_message"])
    with gate.house.api() as owner:
        there = owner.say(agent, "the other place", chat="there")
        found = owner.get("/v1/wirings").body["wirings"]
    place = next(one["chat"] for one in found if one["chat"]["id"] == there["chat"])
    send = '!tool send_message {"destination": "there", "text": "hello from here"}'

    assert "failed" in gate.tell(agent, send)
    view = gate.change(
        kind="destination.add",
        agent=agent,
        name="there",
        channel=place["channel"],
        platform_id=place["platform_id"],
    )
    gate.tell(agent, send)
    with gate.house.api() as owner, owner.follow(there["chat"], after=0) as events:
        seen = [next(events) for _ in range(3)]
    assert seen[-1]["data"]["text"] == "hello from here"
    assert gate.revoke(view) < SOON_S
    assert "failed" in gate.tell(agent, send)


def test_tasks_that_reach_other_people(gate: Gate) -> None:
    agent = gate.agent()
    with gate.house.api() as owner:
        there = owner.say(agent, "the place", chat="there")
        found = owner.get("/v1/wirings").body["wirings"]
    place = next(one["chat"] for one in found if one["chat"]["id"] == there["chat"])
    at_ms = int((time.time() + 3) * 1000)
    gate.change(
        kind="task.add",
        agent=agent,
        name="once",
        channel=place["channel"],
        platform_id=place["platform_id"],
        prompt="!say it is time",
        at_ms=at_ms,
    )
    with gate.house.api() as owner, owner.follow(there["chat"], after=0) as events:
        texts = []
        while "it is time" not in texts:
            texts.append(next(events)["data"]["text"])
    assert time.time() * 1000 >= at_ms


def test_wiring_and_unknown_senders(gate: Gate) -> None:
    agent = gate.agent()
    room = f"room-{secrets.token_hex(3)}"
    view = gate.change(kind="wiring.add", agent=agent, channel="api", platform_id=room)
    with gate.house.api() as owner:
        made = [
            one
            for one in owner.get("/v1/wirings").body["wirings"]
            if one["chat"]["platform_id"] == room
        ]
    assert len(made) == 1
    strangers = gate.change(kind="strangers", channel="api", platform_id=room, policy="public")
    with gate.house.api() as owner:
        chats = [one["chat"] for one in owner.get("/v1/wirings").body["wirings"]]
    assert next(one for one in chats if one["platform_id"] == room)["unknown_sender"] == "public"
    gate.revoke(strangers)
    gate.revoke(view)
    with gate.house.api() as owner:
        left = [one["chat"]["platform_id"] for one in owner.get("/v1/wirings").body["wirings"]]
    assert room not in left


def test_access(gate: Gate) -> None:
    """A role lets somebody in, and taking it shuts them out at once."""
    agent = gate.agent()
    name = f"bob{secrets.token_hex(3)}"
    with gate.house.api() as owner:
        minted = owner.call("POST", "/v1/tokens", {"name": name, "scopes": ["chat"]}).body
    with closing(Api(gate.house.runtime / "api.sock", minted["secret"])) as bob:
        target = f"/v1/agents/{agent}/chats/main/messages"
        assert bob.call("POST", target, {"text": "let me in"}).status in {403, 404}
        view = gate.change(kind="role.give", principal=f"api:{name}", role="member", agent=agent)
        assert "heard" in bob.say(agent, "hello")["reply"]
        assert gate.revoke(view) < SOON_S
        assert bob.call("POST", target, {"text": "still here?"}).status in {403, 404}
        other = f"/v1/agents/{agent}/chats/another/messages"
        assert bob.call("POST", other, {"text": "or here?"}).status in {403, 404}


def test_an_agent_is_made_ended_and_brought_back(gate: Gate) -> None:
    name = f"gate-{secrets.token_hex(4)}"
    made = gate.change(kind="agent.create", name=name, pool_size=0)
    session = gate.house.ask(name, "hello")["session"]
    gate.revoke(made)
    with gate.house.api() as owner:
        target = f"/v1/agents/{name}/chats/main/messages"
        assert owner.call("POST", target, {"text": "there?"}).status == 404
        box = owner.get(f"/v1/sessions/{session}").body["box"]
        agent = owner.get(f"/v1/sessions/{session}").body["session"]["agent"]
    assert box == "none"
    gate.change(kind="agent.restore", agent=agent)
    assert "hello" in gate.tell(name, "!recall")


def test_a_session_is_forgotten_for_good(gate: Gate) -> None:
    agent = gate.agent(tools=["write_file"])
    write = '!tool write_file {"path": "a.txt", "text": "the secret otter"}'
    session = gate.house.ask(agent, write)["session"]
    with gate.house.api() as owner:
        found = owner.get(f"/v1/sessions/{session}").body["session"]
    workspace = gate.house.state / "workspace" / found["workspace"]
    assert gate.house.in_nest("find", str(workspace), "-name", "a.txt").strip()
    gate.change(kind="session.forget", agent=found["agent"], session=session)
    with gate.house.api() as owner:
        said = owner.get(f"/v1/sessions/{session}/transcript")
        after = owner.get(f"/v1/sessions/{session}").body["session"]
    assert "otter" not in json.dumps(said.body)
    assert after["state"] == "forgotten"
    assert workspace.name not in gate.house.in_nest("ls", str(workspace.parent))
    assert "I remember" not in gate.tell(agent, "hello") or "otter" not in gate.tell(
        agent, "!recall"
    )


def test_a_grant_ends_by_itself(gate: Gate) -> None:
    agent = gate.agent()
    with gate.house.api() as owner:
        body = {"change": {"kind": "tools", "agent": agent, "add": ["clock"]}, "grant_s": 60}
        view = gate.approve(owner.call("POST", "/v1/changes", body).body)
        grant = view["row"]["grant"]
        assert grant["expires_ms"] - grant["given_ms"] == 60_000
    assert gate.setup(agent)["tools"] == "clock"


def test_a_restart_keeps_what_waits_and_what_was_given(gate: Gate) -> None:
    agent = gate.agent()
    with gate.house.api() as owner:
        waiting = owner.ask_for(kind="tools", agent=agent, add=["clock"])
    gate.house.down()
    gate.house.up(**gate.house.settings)
    gate.approve(waiting)
    assert gate.setup(agent)["tools"] == "clock"


def test_a_core_killed_right_after_an_approval_ends_with_it_in_force(gate: Gate) -> None:
    agent = gate.agent()
    gate.tell(agent, "hello")
    gate.change(kind="tools", agent=agent, add=["clock"])
    core = gate.house.core()
    assert core is not None
    os.kill(core, signal.SIGKILL)
    wait_for(lambda: gate.house.core() not in {None, core}, "a new core")
    wait_for(lambda: _answers(gate), "the new core to answer")
    assert gate.setup(agent)["tools"] == "clock"


def _answers(gate: Gate) -> bool:
    try:
        with gate.house.api() as owner:
            return owner.get("/v1/status").status == 200
    except OSError:
        return False
