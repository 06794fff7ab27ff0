"""What holds for every test: order of stages, no blocked loop, an ordinary user, nothing left.

The stages go from quick to slow. In a run in several processes (`-n`, which `./run test` gives) a
file goes to one of them as a whole, because its tests share houses; but each proof by itself.
"""

from __future__ import annotations

import inspect
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import BlockBuster
from tests.support.leftovers import Leftovers, mark_run, survey, wait_until_clean
from tests.support.people import Person, an_ordinary_person
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

STAGES = ("repo", "unit", "hostile", "crash", "sealed", "wire")
STARTED_APART = ("test_prove", "test_prove_red")
"""Files whose tests share nothing but take long: each goes to whichever process is free."""
DRIVEN = ("test_box_isolator", "test_box_keeper", "test_box_walls", "test_disk_floods")
"""Files that all look at what one long run has left."""
_HERE = Path(__file__).parent

_run = pytest.StashKey[str]()
_seed = pytest.StashKey[int]()
_before = pytest.StashKey[Leftovers]()
_told = pytest.StashKey[list[str]]()
_left_out = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    parser.addoption(
        "--seed",
        type=int,
        default=None,
        help="repeat the hostile input of a run; without it every run throws other input",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Note what is on the machine before the first test."""
    config.stash[_left_out] = []
    config.stash[_told] = []
    if (given := _of_worker(config)) is not None:
        config.stash[_seed] = given["seed"]
        return
    config.stash[_run] = mark_run()
    config.stash[_before] = survey(config.stash[_run], _own_directories())
    chosen = config.getoption("--seed")
    config.stash[_seed] = secrets.randbelow(2**32) if chosen is None else chosen


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Give each process of a run in several (`-n`) the run's own seed."""
    node.workerinput["seed"] = node.config.stash[_seed]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take over what a process of a run in several has to say at the end."""
    found: dict[str, list[str]] = getattr(node, "workeroutput", {})
    node.config.stash[_told] += found.get("told", [])
    left_out = node.config.stash[_left_out]
    # Each process has collected everything.
    left_out += [nodeid for nodeid in found.get("left_out", []) if nodeid not in left_out]


def _of_worker(config: pytest.Config) -> dict[str, Any] | None:
    """What a process of a run in several was given; None for the run itself."""
    return getattr(config, "workerinput", None)


def pytest_report_header(config: pytest.Config) -> str:
    """Say what repeats this run's hostile input."""
    return f"hostile input: --seed {config.stash[_seed]}"


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """What this run's hostile input is made from."""
    return pytestconfig.stash[_seed]


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Says something at the end of the run, also of one in which all is well."""
    return pytestconfig.stash[_told].append


def _own_directories() -> tuple[Path, ...]:
    return (Path(tempfile.gettempdir()).resolve(), _HERE.parent)


def _stage(item: pytest.Item) -> int:
    name = item.path.relative_to(_HERE).parts[0]
    return STAGES.index(name)


class Together(LoadScopeScheduling):
    """Shares tests out: what uses the same houses goes to one process."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        if path.stem in STARTED_APART:
            return nodeid
        return "driven" if path.stem in DRIVEN else str(path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Share out by files, in our way."""
    return Together(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort by stage, keeping the random order within each; leave out what needs root."""
    if os.geteuid() != 0:
        left_out = [item for item in items if item.get_closest_marker("root_only")]
        if left_out:
            items[:] = [item for item in items if item not in left_out]
            config.stash[_left_out] = [item.nodeid for item in left_out]
            config.hook.pytest_deselected(items=left_out)
    items.sort(key=_stage)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests have counted, and what was left out: nothing is skipped in silence."""
    for line in terminalreporter.config.stash[_told]:
        terminalreporter.write_line(line)
    for nodeid in terminalreporter.config.stash[_left_out]:
        terminalreporter.write_line(f"LEFT OUT, needs root: {nodeid}", yellow=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when it left anything behind."""
    config = session.config
    if _of_worker(config) is not None:
        config.workeroutput.update(  # type: ignore[attr-defined] # xdist's
            told=config.stash[_told], left_out=config.stash[_left_out]
        )
        return
    left = wait_until_clean(config.stash[_run], _own_directories(), config.stash[_before])
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    for line in left:
        if reporter is not None:
            reporter.write_line(f"LEFT BEHIND: {line}", red=True)
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def ordinary_person() -> Iterator[Person]:
    """Somebody without privileges, with subordinate ids, also when root runs the tests."""
    with an_ordinary_person() as person:
        yield person


# A loop may look at a small local file; it may not sleep, wait for a peer or a lock, or query.
_WAITS = (
    "time.",
    "socket.",
    "ssl.",
    "sqlite3.",
    "threading.",
    "builtins.input",
    "os.read",
    "os.write",
)
_blocked = BlockBuster("ironclaw")
_blocked.functions = {
    name: function for name, function in _blocked.functions.items() if name.startswith(_WAITS)
}


@pytest.fixture(autouse=True)
def loop_that_never_waits(request: pytest.FixtureRequest) -> Iterator[None]:
    """In async unit tests, a call of ours that waits while a loop runs is an error."""
    function = getattr(request.node, "function", None)
    if not inspect.iscoroutinefunction(function) or _stage(request.node) != STAGES.index("unit"):
        yield
        return
    _blocked.activate()
    try:
        yield
    finally:
        _blocked.deactivate()
