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
def place(own_houses: Houses) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="h-", dir=own_houses.place))
    yield place
    remove_as_owner(place)


def start(house: House, log: Path, patch: str = "") -> None:
    """As `House.up`, with a core under strace."""
    assert shutil.which("strace"), "strace is missing: ./run system --test"
    settings = [word for word in house.argv() if "=" in word and not word.startswith("-")]
    done = subprocess.run(
        ["env", *settings, house.python, "-s", "-P", str(STARTER), str(log), patch],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


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
    house.in_nest("ln", "-s", "/etc/passwd", str(out / "link"))
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


def test_the_core_looks_at_nothing_that_a_box_can_write(own_houses: Houses, place: Path) -> None:
    house = House(place, None, own_houses.image, own_houses.python)
    log = place / "trace"
    start(house, log)
    try:
        cores = live(house, "watched")
        view = house.view
    finally:
        house.down()
    traced = read_trace(log)
    # The look is at the cores, and they did what they were started for.
    for core in cores:
        assert core in traced
    assert made(traced, str(house.state / "workspace")) >= 1
    assert made(traced, str(view / "slots")) >= 2
    found = {
        pid: bad for pid, calls in traced.items() if (bad := looks(calls, shelves(house, view)))
    }
    assert found == {}


@pytest.mark.parametrize("name", TWINS)
def test_a_core_that_looks_is_seen(own_houses: Houses, place: Path, name: str) -> None:
    house = House(place, None, own_houses.image, own_houses.python)
    log = place / "trace"
    start(house, log, TWINS[name])
    try:
        with house.api() as api:
            api.make_agent("watched")
        house.ask("watched", "hello")
        view = house.view
    finally:
        house.down()
    found = [
        bad for calls in read_trace(log).values() for bad in looks(calls, shelves(house, view))
    ]
    assert found != []


def made(traced: dict[int, list[Call]], base: str) -> int:
    """Directories that were made below a path."""
    return sum(
        call.name == "mkdir" and path.startswith(base + "/")
        for calls in traced.values()
        for call in calls
        for path in call.paths
    )
