"""The sealed round trip: what is shown, what is remembered, what stops, what a client sees."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.house import wait_for, wait_for_end

if TYPE_CHECKING:
    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]


def test_the_demo_shows_where_the_reply_came_from(houses_of: Houses, house: House) -> None:
    """`ironclaw demo --json` ends with every key of the promise, and they are true."""
    said = house.cli("demo", "--json")
    assert said.status == 0, said
    told = json.loads(said.out)
    assert "Hello!" in told["reply"]
    assert "I remember 1 earlier message" in told["second_reply"]
    assert (told["runtime"], told["network"], told["uid"]) == ("runsc", "none", 65532)
    assert told["rootless"] is (not house.is_root)
    assert int(re.findall(r"20\d{6}", told["runsc_version"])[0]) >= 20240729
    assert told["platform"] == house.cli("status", "--json").told["platform"]
    images = house.cli("image", "ls", "--json").told
    assert told["image_digest"] in json.dumps(images)
    assert 0 < told["warm_ms"] < told["cold_ms"] < 30_000
    beside = [path.name for path in house.place.iterdir()]
    assert not [name for name in beside if "demo" in name]


def test_the_doctor_finds_this_machine_fit(house: House) -> None:
    said = house.cli("doctor", "--json")
    assert said.status == 0, said
    assert said.told["ok"] is True


def test_the_command_line_answers_and_shows_the_proof(house: House, agent: str) -> None:
    said = house.cli("chat", agent, "good morning", "--json")
    assert said.status == 0, said
    assert said.told["text"].startswith(f'{agent} heard "good morning".')
    receipt = house.cli("session", "receipt", said.told["session"], "--json").told
    assert receipt["runtime"] == "runsc"
    assert receipt["inside"]["interfaces"] == ["lo"]
    started_with = Path(f"/proc/{house.box_of(said.told['session']).sentry}/cmdline").read_bytes()
    flags = started_with.split(b"\0")
    assert {f"--platform={receipt['platform']}".encode(), b"--network=none"} <= set(flags)


def test_the_key_file_is_gone_once_it_was_read(house: House, agent: str) -> None:
    session = house.ask(agent, "hello")["session"]
    slot = house.box_of(session).slot
    run = house.view / "slots" / slot / "run"
    found = house.in_nest("find", str(run), "-mindepth", "1", "-printf", "%f\n").split()
    assert sorted(found) == ["bell.sock", "model.sock"]


def test_the_conversation_survives_idleness_a_killed_box_and_a_restart(houses_of: Houses) -> None:
    with houses_of.open(SANDBOX_IDLE_STOP_S="1", SANDBOX_POOL_SIZE="0") as house:
        session = house.ask("demo", "the first is 17")["session"]

        idle = house.box_of(session)
        wait_for_end(idle.sentry)
        house.ask("demo", "the second is 23")

        box = house.box_of(session)
        assert box.slot != idle.slot
        os.kill(box.sentry, signal.SIGKILL)
        house.ask("demo", "the third is 42")

        house.down()
        house.up()
        sent = house.ask("demo", "!recall")

        assert sent["session"] == session
        told = ('1. "the first is 17"', '2. "the second is 23"', '3. "the third is 42"')
        assert sent["reply"] == "\n".join(told)


@pytest.mark.parametrize("directive", ["!hang", "!slow 60000"])
def test_a_stop_ends_a_session_within_a_second(house: House, agent: str, directive: str) -> None:
    session = house.ask(agent, "hello")["session"]
    with house.api() as api:
        sent = api.say(agent, directive, wait=0)
        wait_for(lambda: _view(house, session)["box"] == "busy", "the box to be busy")
        sentry = house.box_of(session).sentry
        began = time.monotonic()
        assert api.call("POST", f"/v1/sessions/{session}/stop").status < 300
        took = time.monotonic() - began
        wait_for_end(sentry)
        assert took < 1.0
        events = api.get(f"/v1/sessions/{session}/transcript").body["events"]
    last = next(
        event for event in events if event["message"] == sent["message"] and event["sender"]
    )
    told = [event for event in events if event["message"] == sent["message"]]
    assert last["kind"] == "message"
    assert [(event["kind"], event["text"]) for event in told[1:]] == [
        ("error", "Stopped on request.")
    ]
    assert "I remember 2 earlier messages" in house.ask(agent, "and now?")["reply"]


def test_a_stream_shows_progress_and_resumes_after_a_killed_core(house: House, agent: str) -> None:
    """No event is missed or doubled by a client that says what it saw last."""
    with house.api() as api:
        first = api.say(agent, "hello")
        with api.follow(first["chat"], after=0) as events:
            assert [next(events)["event"] for _ in range(2)] == ["message", "reply"]
            sent = api.say(agent, "!say one two three four\n!stream 4 20", wait=0)
            seen = _until_reply(events)
    assert [one["event"] for one in seen] == ["message", *["progress"] * 4, "reply"]
    assert "".join(one["data"]["text"] for one in seen[1:-1]) == "one two three four"
    assert {one["data"]["message"] for one in seen} == {sent["message"]}
    assert "id" not in seen[1]

    core = house.core()
    assert core is not None
    os.kill(core, signal.SIGKILL)
    wait_for_end(core)
    wait_for(lambda: house.core() not in {None, core} and house.is_ready, "a new core")

    with house.api() as api:
        again = api.say(agent, "after the restart", wait=0)
        with api.follow(first["chat"], after=int(seen[0]["id"])) as events:
            # Pieces of an answer go to who is there when they are made; they are not kept.
            kept = (event for event in events if event["event"] != "progress")
            resumed = [next(kept) for _ in range(3)]
    assert resumed[0]["data"] == seen[-1]["data"]
    assert [one["event"] for one in resumed] == ["reply", "message", "reply"]
    assert [one["data"]["message"] for one in resumed[1:]] == [again["message"]] * 2
    numbers = [int(one["id"]) for one in resumed]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert "I remember 2 earlier messages" in resumed[-1]["data"]["text"]


def _view(house: House, session: str) -> Any:
    with house.api() as api:
        return api.get(f"/v1/sessions/{session}").body


def _until_reply(events: Any) -> list[dict[str, Any]]:
    seen = []
    for event in events:
        seen.append(event)
        if event["event"] in {"reply", "error"}:
            return seen
    raise AssertionError("the stream ended")
