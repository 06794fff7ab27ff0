"""What a test run must not leave on the machine: processes, mounts, cgroups, users' programs.

Every process started by the run inherits `MARK` in its environment, so that a run on a shared
machine blames nobody else's. Mounts and cgroups are compared with those from before the run.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import NamedTuple

MARK = "SEALED_TEST_RUN"  # not IRONCLAW_…: that would have to be a setting
_GRACE_S = 10.0
"""Seconds that teardown of the last test may still take."""


class Leftovers(NamedTuple):
    """Names of what is there, for people."""

    processes: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]

    def beyond(self, before: Leftovers) -> list[str]:
        """What is here and was not there before."""
        return sorted(
            *[
                self.processes - before.processes
                | self.mounts - before.mounts
                | self.cgroups - before.cgroups
            ]
        )


def mark_run() -> str:
    """Give this process, and all it will start, the run's mark."""
    run = secrets.token_hex(8)
    os.environ[MARK] = run
    return run


def survey(run: str, directories: tuple[Path, ...]) -> Leftovers:
    """Look at the machine now.

    Args:
        run: The mark.
        directories: Where the run's own files are: mounts below them are the run's.
    """
    return Leftovers(_processes(run), _mounts(directories), _cgroups())


def wait_until_clean(run: str, directories: tuple[Path, ...], before: Leftovers) -> list[str]:
    """Return what is left over after a grace period; empty is the only good answer."""
    end = time.monotonic() + _GRACE_S
    while True:
        left = survey(run, directories).beyond(before)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def _processes(run: str) -> frozenset[str]:
    needle = f"{MARK}={run}".encode()
    own = {os.getpid(), os.getppid()}
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in own:
            continue
        try:
            if needle not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")[:160]
        except OSError:  # it ended, or is another user's and so not ours
            continue
        found.add(f"process {entry.name}: {words.decode(errors='replace').strip()}")
    return frozenset(found)


def _mounts(directories: tuple[Path, ...]) -> frozenset[str]:
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return frozenset(
        f"mount {point}"
        for point in points
        if any(Path(point).is_relative_to(directory) for directory in directories)
    )


def _cgroups() -> frozenset[str]:
    """Groups of boxes with no process in or below them: nobody will take them away any more.

    Those of a house that runs beside us have some, and those that we may not remove are not ours.
    """
    tops = Path("/sys/fs/cgroup").glob("**/ironclaw")
    groups = (group for top in tops for group in (top, *top.glob("**/")))
    return frozenset(
        f"cgroup {group}"
        for group in groups
        if os.access(group.parent, os.W_OK) and not _is_populated(group)
    )


def _is_populated(group: Path) -> bool:
    for file in group.glob("**/cgroup.procs"):
        try:
            if file.read_text():
                return True
        except OSError:
            continue
    return False
