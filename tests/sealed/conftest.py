"""Real boxes, once as root (when root runs the tests) and once as an ordinary user."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.support.house import USERS, houses, python_for, remove_as_owner

sys.path.insert(0, str(Path(__file__).parent))
from probe_rootfs import make_probe_rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import House, Houses
    from tests.support.people import Person

_HERE = Path(__file__).parent
Keep = Callable[[str, Callable[[], AbstractContextManager[Any]]], Any]


class Driven(NamedTuple):
    """What one run of the driver left."""

    results: dict[str, Any]
    state: Path
    runtime: Path
    log: str

    def value(self, part: str) -> Any:
        """The result of one part; fails with the part's own traceback."""
        found = self.results[part]
        assert found["error"] == "", found["error"]
        return found["value"]


class Nested(NamedTuple):
    """Starts programs in a nest of its own, as one kind of user."""

    python: str
    person: Person | None
    place: Path

    def command(self, *core: str, name: str = "house") -> tuple[list[str], Path, Path]:
        """A keeper's command that runs `core`, with its state and runtime directories."""
        state, runtime = self.place / name / "state", self.place / name / "runtime"
        for directory in (state.parent, state, runtime):
            directory.mkdir(mode=0o700, exist_ok=True)
            if self.person is not None:
                os.chown(directory, self.person.uid, self.person.gid)
        argv = [
            *("env", f"PYTHONPATH={':'.join(path for path in sys.path if path)}"),
            *(self.python, "-s", "-P", "-m", "ironclaw.sandbox.keeper"),
            *("--state-dir", str(state), "--runtime-dir", str(runtime), "--", *core),
        ]
        return (argv if self.person is None else self.person.command(*argv)), state, runtime


@pytest.fixture(scope="session")
def probe_rootfs() -> Iterator[Path]:
    """A root file system whose program is the probe."""
    with tempfile.TemporaryDirectory(prefix="ironclaw-probe-") as place:
        Path(place).chmod(0o755)
        yield make_probe_rootfs(Path(place) / "rootfs")


@pytest.fixture(scope="session")
def keep_open(ordinary_person: Person) -> Iterator[Keep]:
    """Opens something at its first use by name and keeps it to the end of the run.

    A parameter of a whole run would have pytest close it whenever a test with another comes. What
    belongs to the ordinary person is closed before they go.
    """
    with ExitStack() as stack:
        opened: dict[str, Any] = {}

        def keep(name: str, open_it: Callable[[], AbstractContextManager[Any]]) -> Any:
            if name not in opened:
                opened[name] = stack.enter_context(open_it())
            return opened[name]

        yield keep


@pytest.fixture(params=USERS, scope="session")
def user(request: pytest.FixtureRequest) -> str:
    """Each kind of user."""
    return str(request.param)


@pytest.fixture(scope="session")
def nested(user: str, keep_open: Keep, request: pytest.FixtureRequest) -> Nested:
    """A way to run things in a nest."""
    person: Person | None = None
    if user == "ordinary":
        person = request.getfixturevalue("ordinary_person")
    found: Nested = keep_open(f"nested {user}", lambda: _nest(person))
    return found


@contextmanager
def _nest(person: Person | None) -> Iterator[Nested]:
    with tempfile.TemporaryDirectory(
        prefix="ironclaw-nested-", ignore_cleanup_errors=True
    ) as place:
        Path(place).chmod(0o755)
        yield Nested(python_for(person), person if os.geteuid() == 0 else None, Path(place))
        # What the boxes own belongs to ids that only root and the nest can touch.
        remove_as_owner(Path(place))


@pytest.fixture(scope="session")
def driven(user: str, keep_open: Keep, nested: Nested, probe_rootfs: Path) -> Driven:
    """The results of the whole driver."""
    found: Driven = keep_open(f"driven {user}", lambda: nullcontext(_drive(nested, probe_rootfs)))
    return found


def _drive(nested: Nested, probe_rootfs: Path) -> Driven:
    core = (nested.python, "-s", "-P", str(_HERE / "box_driver.py"))
    argv, state, runtime = nested.command(*core, *_arguments(nested, probe_rootfs))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False, cwd="/")
    results = state / "results.json"
    assert done.returncode == 0, done.stderr
    assert results.exists(), done.stderr
    return Driven(json.loads(results.read_text()), state, runtime, done.stderr)


def _arguments(nested: Nested, rootfs: Path) -> tuple[str, ...]:
    house = nested.place / "house"
    return tuple(
        str(path)
        for path in (house / "state", house / "runtime", rootfs, house / "state" / "results.json")
    )


@pytest.fixture
def keeper_command(nested: Nested) -> Callable[..., tuple[list[str], Path, Path]]:
    """`Nested.command`."""
    return nested.command


@pytest.fixture(scope="session")
def own_houses(keep_open: Keep) -> Houses:
    """Houses of whoever runs the tests; builds the image."""
    found: Houses = keep_open("houses", lambda: houses(None, None))
    return found


@pytest.fixture(scope="session")
def houses_of(
    user: str, keep_open: Keep, own_houses: Houses, request: pytest.FixtureRequest
) -> Houses:
    """Houses of each kind of user."""
    if os.geteuid() != 0 or user == "root":
        return own_houses
    person = request.getfixturevalue("ordinary_person")
    found: Houses = keep_open(f"houses {user}", lambda: houses(person, own_houses.image))
    return found


@pytest.fixture(scope="session")
def house(user: str, keep_open: Keep, houses_of: Houses) -> House:
    """A house that runs through all tests of one kind of user: use agents of your own in it."""
    found: House = keep_open(f"house {user}", houses_of.open)
    return found


@pytest.fixture
def agent(house: House, request: pytest.FixtureRequest) -> str:
    """The name of an agent made for this test."""
    name = f"{request.node.originalname.replace('_', '-')[5:50]}-{secrets.token_hex(3)}"
    with house.api() as api:
        api.make_agent(name, tools=["read_file", "write_file", "list_files"])
    return name


SAME_FOR_EVERYBODY = {
    *(
        "test_audit",
        "test_bad_input",
        "test_budgets",
        "test_canaries",
        "test_commands",
        "test_disk_cap",
        "test_files",
        "test_front_door",
        "test_gateway",
    ),
    *(
        "test_long_conversation",
        "test_memory",
        "test_playbook",
        "test_questions",
        "test_reach",
        "test_research",
        "test_skills",
        "test_taint",
        "test_tasks_and_agents",
        "test_tutorial_day",
        "test_turns",
    ),
}
"""Modules about what is the same code for every kind of user: the API, the store, the guard, the
tools. They are seen for whoever runs the tests; an ordinary user's own run sees them as such."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what would be seen twice; the summary counts it as deselected."""
    twice = [item for item in items if _is_seen_twice(item)]
    if twice:
        config.hook.pytest_deselected(items=twice)
        left_out = set(twice)
        items[:] = [item for item in items if item not in left_out]


def _is_seen_twice(item: pytest.Item) -> bool:
    module = item.path.stem if item.path.parent == _HERE else ""
    spec = getattr(item, "callspec", None)
    if os.geteuid() != 0 or module not in SAME_FOR_EVERYBODY or spec is None:
        return False
    return "ordinary" in spec.params.values()
