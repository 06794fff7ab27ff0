"""One memory, several boxes: what one conversation notes another one finds."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.support.house import wait_for_end

from ironclaw_contract.memory_notes import parse

if TYPE_CHECKING:
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]

TOOLS = ["memory_list", "memory_read", "memory_search", "memory_write", "read_file"]
HOSTILE = """
cd "$1"
ln -s /etc/passwd link.md
mkfifo pipe.md
mkdir directory.md
truncate -s 100M huge.md
head -c 100000 /dev/urandom > binary.md
chmod 666 huge.md binary.md
"""


@pytest.fixture
def mind(house: House) -> str:
    """The name of an agent with a memory."""
    name = f"mind-{os.urandom(4).hex()}"
    with house.api() as api:
        api.make_agent(name, tools=TOOLS)
    return name


def tool(name: str, **arguments: object) -> str:
    return f"!tool {name} {json.dumps(arguments)}"


def memory_of(house: House, session: str) -> str:
    mounts = house.box_of(session).spec["mounts"]
    (source,) = [mount["source"] for mount in mounts if mount["destination"] == "/memory"]
    return str(source)


def test_what_one_conversation_notes_another_finds_when_the_first_box_is_gone(
    house: House, mind: str
) -> None:
    first = house.ask(mind, tool("memory_write", topic="birds", text="The heron is called Ada."))
    box = house.box_of(first["session"])
    os.kill(box.sentry, signal.SIGKILL)
    wait_for_end(box.sentry)

    second = house.ask(mind, tool("memory_search", query="heron name"), chat="other")

    assert second["session"] != first["session"]
    # The scripted model repeats the beginning of a result only.
    assert f"birds (session {first['session'][:8]}" in second["reply"]
    shown = house.ask(mind, "!setup", chat="other")["reply"]
    assert "- birds: The heron is called Ada." in shown


def test_what_was_noted_after_reading_a_file_is_tainted(house: House, mind: str) -> None:
    steps = (
        tool("read_file", path="none"),
        tool("memory_write", topic="notes", text="OBEY"),
    )
    said = house.ask(mind, "\n".join(steps))["reply"]
    assert "marked as tainted" in said
    shown = house.ask(mind, "!setup", chat="other")["reply"]
    assert "- notes: (tainted)" in shown
    assert "OBEY" not in shown


def test_two_boxes_that_note_at_the_same_time_lose_nothing(house: House, mind: str) -> None:
    def note(chat: str) -> None:
        calls = [tool("memory_write", topic="both", text=f"{chat}-{n}") for n in range(12)]
        again = [call.replace("!tool", "!and") for call in calls[1:]]
        house.ask(mind, "\n".join([calls[0], *again]), chat=chat)

    house.ask(mind, "hello", chat="one")
    session = house.ask(mind, "hello", chat="two")["session"]
    with ThreadPoolExecutor() as pool:
        list(pool.map(note, ("one", "two")))

    text = house.in_nest("cat", f"{memory_of(house, session)}/both.md")
    found = {note.text for note in parse(text)}
    assert found == {f"{chat}-{n}" for chat in ("one", "two") for n in range(12)}


def test_a_hostile_file_in_the_memory_harms_nobody(house: House, mind: str) -> None:
    session = house.ask(mind, tool("memory_write", topic="birds", text="Ada"))["session"]
    house.in_nest("sh", "-ec", HOSTILE, "sh", memory_of(house, session))
    began = time.monotonic()

    for call, expected in (
        (tool("memory_search", query="ada"), "birds"),
        (tool("memory_list"), "birds"),
        (tool("memory_read", topic="link"), "not a plain file"),
        (tool("memory_read", topic="pipe"), "not a plain file"),
        (tool("memory_write", topic="directory", text="x"), "not a plain file"),
        (tool("memory_read", topic="huge"), "Topic huge of your memory"),
        (tool("memory_read", topic="binary"), "Topic binary of your memory"),
        ("!setup", "- birds: Ada"),
    ):
        reply = house.ask(mind, call)["reply"]
        assert expected in reply, (call, reply[:500])
        assert "root:" not in reply

    assert time.monotonic() - began < 10
    house.ask(mind, "still there?", chat="other")


def test_people_look_edit_and_purge_without_meeting_what_a_box_left(
    house: House, mind: str
) -> None:
    first = house.ask(mind, tool("memory_write", topic="birds", text="Ada"))["session"]
    house.ask(mind, tool("memory_write", topic="birds", text="Bob"), chat="other")
    house.in_nest("sh", "-ec", HOSTILE, "sh", memory_of(house, first))

    listed = house.cli("memory", "list", mind, "--json").told
    assert {one["topic"]: one["notes"] for one in listed["topics"]}["birds"] == 2
    assert "link" not in {one["topic"] for one in listed["topics"]}
    shown = house.cli("memory", "show", mind, "birds", "--json").told
    assert [note.text for note in parse(shown["text"])] == ["Ada", "Bob"]
    assert house.cli("memory", "show", mind, "link").status == 3
    assert house.cli("memory", "show", mind, "huge", "--json").told["whole"] is False

    purged = house.cli("memory", "purge", mind, first, "--json").told
    assert purged["notes"] == 1
    late = house.cli("memory", "edit", mind, "birds", "x", "--was", shown["digest"])
    assert late.status == 5
    assert house.cli("memory", "edit", mind, "fish", "Carl is a carp.").status == 0
    for topic in ("link", "pipe", "huge", "binary"):
        assert house.cli("memory", "forget", mind, topic).status == 0

    reply = house.ask(mind, "!setup")["reply"]
    assert "- fish: Carl is a carp." in reply
    assert "- birds: Bob" in reply
    assert "Ada" not in reply
    events = house.cli("audit", "tail", "--json").out
    assert "memory.purged" in events
    assert "Carl" not in events
