"""`./run` on machines that lack something: what it says, installs and refuses.

The machine is a directory of programs: some real, some that only note how they were called.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.people import Person

REAL = (
    *("bash", "env", "cat", "cut", "dirname", "grep", "head", "id", "mkdir", "mktemp", "readlink"),
    *("rm", "sed", "sha256sum", "sleep", "tail", "tr", "awk", "flock", "setpriv", "dpkg", "sh"),
)
EVERYTHING = ("newuidmap", "mmdebstrap", "gcc", "patchelf", "containerd", "docker-registry")
UNSUITED = 72
TOO_OLD = 61


class Machine:
    """A checkout and a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        self.calls = folder / "calls"
        for path in (self.checkout, self.bin):
            path.mkdir()
        self.calls.touch()
        self.calls.chmod(0o666)
        shutil.copy2(ROOT / "run", self.checkout / "run")
        shutil.copytree(ROOT / "requirements", self.checkout / "requirements")
        for name in REAL:
            real = shutil.which(name)
            assert real is not None, name
            (self.bin / name).symlink_to(real)

    def program(self, name: str, script: str = "") -> None:
        """Put a program there that writes its command line down and then runs `script`."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.calls}"\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)

    def runsc(self, version: str) -> None:
        self.program("runsc", f"echo runsc version {version}")

    def run(self, *words: str, person: Person | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.checkout / "run"), *words]
        # Nothing of the real machine is on the PATH; `run` adds the system folders, without effect
        # here because the programs in question are in /usr/bin.
        clean = ["env", f"PATH={self.bin}", *command]
        return subprocess.run(
            clean if person is None else person.command(*clean),
            env={"PATH": os.environ["PATH"], "HOME": str(self.checkout)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Somewhere that an ordinary user can reach too, unlike pytest's own folders."""
    folder = Path(tempfile.mkdtemp(prefix="ironclaw-machine-"))
    folder.chmod(0o755)
    yield Machine(folder)
    shutil.rmtree(folder)


def test_help_is_for_people(machine: Machine) -> None:
    """`./run --help` lists what it can do, and needs nothing for it."""
    done = machine.run("--help")

    assert done.returncode == 0
    assert "./run demo" in done.stderr
    assert done.stdout == ""


def test_nothing_said_is_a_wrong_command_line(machine: Machine) -> None:
    """`./run` alone shows the same, with the exit code of a wrong command line."""
    assert machine.run().returncode == 2


def test_without_sudo_the_way_out_is_named(machine: Machine, ordinary_person: Person) -> None:
    """An ordinary user without sudo is told what is missing and what root must run."""
    machine.runsc("0.0~20240729.0")
    machine.program("apt-get")
    for name in EVERYTHING[1:]:
        machine.program(name)

    done = machine.run("python", person=ordinary_person)

    assert done.returncode == UNSUITED
    assert "missing: uidmap" in done.stderr
    assert f"{machine.checkout}/run system" in done.stderr
    assert "apt-get" not in machine.calls.read_text()


def test_sudo_is_asked_for_apt_alone(machine: Machine, ordinary_person: Person) -> None:
    """With sudo, what goes through it is apt, after the packages have been named."""
    machine.runsc("0.0~20240729.0")
    machine.program("sudo", '[ "$1" = -n ] || exec "$@"')
    machine.program("apt-get", "exit 1")
    machine.program("apt-cache")
    for name in EVERYTHING[1:]:
        machine.program(name)

    done = machine.run("python", person=ordinary_person)

    through_sudo = [
        line.split()
        for line in machine.calls.read_text().splitlines()
        if line.startswith("sudo ") and line != "sudo -n true"
    ]
    assert done.returncode == UNSUITED
    assert "missing: uidmap" in done.stderr
    assert through_sudo
    assert all("apt-get" in words for words in through_sudo)


@pytest.mark.root_only
def test_an_old_runsc_is_replaced_by_one_that_will_do(machine: Machine) -> None:
    """The version that apt is asked for is the newest one that is new enough."""
    machine.runsc("0.0~20221219.0")
    machine.program("apt-get", "exit 1")
    machine.program(
        "apt-cache",
        "echo 'runsc | 0.0~20240729.0-4 | mirror'; echo 'runsc | 0.0~20221219.0-2 | mirror'",
    )
    for name in EVERYTHING:
        machine.program(name)

    done = machine.run("system")

    assert done.returncode == UNSUITED
    assert "runsc=0.0~20240729.0-4" in machine.calls.read_text()
    assert "20221219.0-2" not in machine.calls.read_text()


@pytest.mark.root_only
def test_a_failed_apt_shows_its_last_words(machine: Machine) -> None:
    """When apt fails, what it said is shown, and what could not be installed."""
    machine.runsc("0.0~20240729.0")
    machine.program("apt-get", "echo E: the mirror is on fire; exit 100")
    for name in EVERYTHING[1:]:
        machine.program(name)

    done = machine.run("system")

    assert done.returncode == UNSUITED
    assert "the mirror is on fire" in done.stderr
    assert done.stdout == ""
