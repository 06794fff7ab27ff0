"""What runs below a process that was stopped, on kernels that list children and on others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ironclaw.sandbox import children, stubs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARENT = """
import subprocess, sys, time
for program in sys.argv[1:]:
    subprocess.Popen([sys.executable, "-S", "-c", program])
print("there", flush=True)
time.sleep(600)
"""
SPINS = "while True: pass"
WAITS = "import time; time.sleep(600)"
NESTS = f"import subprocess, sys; subprocess.call([sys.executable, '-S', '-c', {SPINS!r}])"


@pytest.fixture(params=["listed", "scanned"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of finding children."""
    monkeypatch.setattr(children, "lists_children", lambda: request.param == "listed")


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Starts a process with children; gives its pid."""
    started: list[subprocess.Popen[str]] = []

    def starting(*programs: str) -> int:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", PARENT, *programs],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        return process.pid

    yield starting
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def stopped(pid: int) -> int:
    os.kill(pid, signal.SIGSTOP)
    until(lambda: {stubs._state(thread) for thread in children.threads(pid)} == {"T"})
    return pid


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.usefixtures("ways")
def test_it_stands_still_when_nothing_below_it_runs(start: Callable[..., int]) -> None:
    pid = stopped(start(WAITS))
    until(lambda: stubs.is_still(pid))
    assert len(children.descendants(pid)) == 1


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("program", [SPINS, NESTS], ids=["child", "grandchild"])
def test_what_computes_below_it_is_seen_and_counted(
    start: Callable[..., int], program: str
) -> None:
    pid = start(program)
    until(lambda: len(children.descendants(pid)) == (1 if program == SPINS else 2))
    stopped(pid)
    before = stubs.ticks(pid)
    until(lambda: stubs.ticks(pid) > before + 5)
    assert not stubs.is_still(pid)


@pytest.mark.usefixtures("ways")
def test_nothing_is_known_of_one_in_which_no_program_is_found(start: Callable[..., int]) -> None:
    assert not stubs.is_still(stopped(start()))


def test_one_that_is_not_stopped_or_is_gone_does_not_stand_still(
    start: Callable[..., int],
) -> None:
    pid = start(WAITS)
    assert not stubs.is_still(pid)
    os.killpg(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not stubs.is_still(pid)
