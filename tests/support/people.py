"""An ordinary user to be: the one who runs the tests, or one made for the run by root."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support.leftovers import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST_SUBID = 100_000
_SUBIDS = 65_536


class Person(NamedTuple):
    """Somebody without privileges, with subordinate ids."""

    name: str
    uid: int
    gid: int
    home: Path
    runtime: Path
    """What XDG_RUNTIME_DIR would be: 0700, theirs."""

    def command(self, *argv: str) -> list[str]:
        """`argv` as this person, with a clean environment and the run's mark."""
        environment = {
            "HOME": str(self.home),
            "USER": self.name,
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            MARK: os.environ[MARK],
        }
        words = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *argv]
        if os.geteuid() != 0:
            return words
        return [
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            "--clear-groups",
            "--inh-caps=-all",
            *words,
        ]


@contextmanager
def an_ordinary_person() -> Iterator[Person]:
    """Who runs the tests, when that is not root; else a user made for the run, then removed."""
    with tempfile.TemporaryDirectory(prefix="ironclaw-person-") as scratch:
        runtime = Path(scratch) / "runtime"
        runtime.mkdir(0o700)
        if os.geteuid() != 0:
            me = pwd.getpwuid(os.getuid())
            yield Person(me.pw_name, me.pw_uid, me.pw_gid, Path(me.pw_dir), runtime)
            return
        Path(scratch).chmod(0o755)
        home = Path(scratch) / "home"
        name = f"ironclaw-test-{os.getpid()}"
        # --no-add-subids-for-system is not everywhere, so the range is given by hand below.
        with _alone_in_the_list_of_users():
            _admin("useradd", "--create-home", "--home-dir", str(home), "--shell", "/bin/sh", name)
        try:
            me = pwd.getpwnam(name)
            with _alone_in_the_list_of_users():
                _give_subordinate_ids(name)
            os.chown(runtime, me.pw_uid, me.pw_gid)
            yield Person(name, me.pw_uid, me.pw_gid, home, runtime)
        finally:
            with _alone_in_the_list_of_users():
                _admin("userdel", name)
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _alone_in_the_list_of_users() -> Iterator[None]:
    """Processes of one run wait for each other: useradd gives up when it finds the list locked."""
    directory = os.open(tempfile.gettempdir(), os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _give_subordinate_ids(name: str) -> None:
    """Add ranges where useradd gave none; some distributions' defaults do not."""
    for file, option in (("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")):
        rows = [
            row.split(":") for row in Path(file).read_text().splitlines() if row.count(":") == 2
        ]
        if any(row[0] == name for row in rows):
            continue
        first = max([_FIRST_SUBID, *(int(row[1]) + int(row[2]) for row in rows)])
        _admin("usermod", option, f"{first}-{first + _SUBIDS - 1}", name)


def _admin(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
