"""The core opens, stats and follows nothing that a box can write: strace watches a whole house.

Round trips, files in workspace and memory, a stop, a killed core and the adoption of its boxes, and
the end of the house; then the kernel's list of every name that the core used is read.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import House, remove_as_owner, wait_for
from tests.support.tracing import Call, Shelf, looks, read_trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(180)]

STARTER = Path(__file__).parent / "traced_core.py"
TWINS = {
    "lists a workspace": (
        "import os; import ironclaw.sandbox.isolator as i; inner = i.make_durable; "
        "i.make_durable = lambda *a: (lambda p: (os.listdir(p), p)[1])(inner(*a))"
    ),
    "looks whether out/ is empty": (
        "import os; import ironclaw.sandbox.isolator as i; inner = i.remove_slot; "
        "i.remove_slot = lambda p: (os.path.exists(p / 'out' / 'x'), inner(p))[1]"
    ),
    "follows another process": (
        "import os; import ironclaw.sandbox.isolator as i; inner = i.remove_slot; "
        "i.remove_slot = lambda p: (os.path.exists(f'/proc/{os.getpid()}/cwd/etc'), inner(p))[1]"
    ),
}


@pytest.fixture
def watched(houses_of: Houses) -> Iterator[House]:
    """A house that is down, and whose place has room for a trace."""
    place = Path(tempfile.mkdtemp(prefix="h-", dir=houses_of.place))
    if houses_of.person is not None:
        os.chown(place, houses_of.person.uid, houses_of.person.gid)
    yield House(place, houses_of.person, houses_of.image, houses_of.python)
    remove_as_owner(place)


def start(house: House, patch: str = "") -> None:
    """As `House.up`, with a core under strace."""
    assert shutil.which("strace"), "strace is missing: ./run system --test"
    words = [word.split("=", 1) for word in house.argv() if word.startswith("IRONCLAW_")]
    program = (house.python, "-s", "-P", str(STARTER), str(trace_of(house)), patch)
    argv = house.as_user(*program, environment=dict(words))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False, cwd="/")
    assert done.returncode == 0, done.stderr


def trace_of(house: House) -> Path:
    return house.place / "trace"


def tempt(house: House, base: Path) -> None:
    """Links, a pipe and a tree where a box's files are: whoever goes in there shows it."""
    for here in base.iterdir():
        house.in_nest("ln", "-s", "/etc/passwd", str(here / "link"))
        house.in_nest("mkfifo", str(here / "pipe"))
        house.in_nest("mkdir", "-p", str(here / "deep" / "deeper"))


def live(house: House, agent: str) -> list[int]:
    """Everything a house does with boxes; returns the pids of its cores."""
    with house.api() as api:
        api.make_agent(agent, tools=["read_file", "write_file", "list_files"])
    session = house.ask(agent, "hello")["session"]
    for kind in ("workspace", "memory"):
        tempt(house, house.state / kind)
    out = house.view / "slots" / house.box_of(session).slot / "out"
    # In the nest of an ordinary user the file system knows that user's ids only; such a user's own
    # way into it takes them along.
    own_ids = ("nsenter", f"--target={house.core()}", "--user", "--setuid=0", "--setgid=0")
    house.in_nest(
        *(own_ids if house.person is not None else ()), "ln", "-s", "/etc/passwd", str(out / "link")
    )
    house.ask(agent, "again")
    first = house.core()
    assert first is not None
    with house.api() as api:
        assert api.call("POST", f"/v1/sessions/{session}/stop").status < 300
    house.ask(agent, "after the stop")
    box = house.box_of(session)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: house.core() not in {None, first}, "the next core")
    wait_for(lambda: house.cli("status", "--json").status == 0, "the next core to answer")
    house.ask(agent, "after the core")
    assert house.box_of(session).slot == box.slot, "the box was not adopted"
    second = house.core()
    assert second is not None
    house.cli("doctor", "--json")
    house.cli("session", "receipt", session, "--json")
    assert house.cli("memory", "edit", agent, "birds", "Ada").status == 0
    assert house.cli("memory", "show", agent, "birds").out == "Ada\n"
    assert house.cli("memory", "purge", agent, session).status == 0
    return [first, second]


def shelves(house: House, view: Path) -> list[Shelf]:
    """Where boxes of this house can write, by every path that leads there."""
    state = house.state.resolve()
    return [
        *(Shelf(str(state / kind)) for kind in ("workspace", "memory")),
        Shelf(str(view / "slots"), "out"),
        # Workspaces and memories as the boxes are given them.
        Shelf(str(view / "bound"), is_shared=True),
    ]


def test_the_core_looks_at_nothing_that_a_box_can_write(watched: House) -> None:
    start(watched)
    try:
        cores = live(watched, "watched")
        view = watched.view
    finally:
        watched.down()
    traced = read_trace(trace_of(watched))
    # The look is at the cores, and they did what they were started for.
    for core in cores:
        assert core in traced
    assert made(traced, str(watched.state / "workspace")) >= 1
    assert made(traced, str(view / "slots")) >= 2
    boxes = shelves(watched, view)
    assert [bad for calls in traced.values() for bad in looks(calls, boxes)] == []


@pytest.mark.parametrize("name", TWINS)
def test_a_core_that_looks_is_seen(watched: House, name: str) -> None:
    start(watched, TWINS[name])
    try:
        with watched.api() as api:
            api.make_agent("watched")
        watched.ask("watched", "hello")
        boxes = shelves(watched, watched.view)
    finally:
        watched.down()
    assert any(looks(calls, boxes) for calls in read_trace(trace_of(watched)).values())


def made(traced: dict[int, list[Call]], base: str) -> int:
    """Directories that were made below a path."""
    return sum(
        call.name == "mkdir" and path.startswith(base + "/")
        for calls in traced.values()
        for call in calls
        for path in call.paths
    )
