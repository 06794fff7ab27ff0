"""runsc, the program: its version, its flags, and the four things it is asked to do.

Every call has a timeout. What runsc prints is its own; what the box prints goes nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.sandbox.process import failed, gone, run, start_ticks

if TYPE_CHECKING:
    from ironclaw.sandbox.process import Finished

LEAST_VERSION: Final = 20240729
_VERSION: Final = re.compile(r"runsc version \S*?(?:release-|0\.0~)(\d{8})")
_INSTALL: Final = (
    "Install runsc 20240729 or newer: on Debian 12 from bookworm-backports, on newer "
    "distributions from the main archive (`./run` does it for you)."
)

FLAGS: Final = (
    "--network=none",
    # Without it a connect to bell.sock is refused.
    "--host-uds=open",
    # Without it the seccomp profile of the spec is silently ignored.
    "--oci-seccomp",
    # The gofer opens files, so the sentry needs no capability and no host file of its own.
    "--directfs=false",
    # The root is read-only; a writable overlay over it would only cost memory.
    "--overlay2=none",
    # A write by the host is seen by the box at once.
    "--file-access-mounts=shared",
    # The gofer holds a file open for each name that the sentry remembers, deleted or not. Left at
    # 1000 a box ran out of the inodes of `out/` after as many turns.
    "--dcache=64",
)
"""Flags of every box. docs/reference/spec.md says what each is measured to do."""

PLATFORMS: Final = ("ptrace", "systrap")
"""How the sentry gets hold of the program's system calls; the first is the default (ADR-0007).

Always named, so that a build's default cannot differ. kvm is not here: it hangs on some virtual
machines.
"""

QUICK_S: Final = 10.0
"""Seconds for calls that start nothing."""
START_S: Final = 30.0
"""Seconds for starting a box."""
KIND_PREFIX: Final = "ironclaw-"


class Version(NamedTuple):
    """What `runsc --version` said."""

    text: str
    date: int


class _SandboxState(msgspec.Struct, frozen=True):
    pid: int = 0


class _State(msgspec.Struct, frozen=True, rename={"gofer_pid": "goferPid"}):
    id: str
    sandbox: _SandboxState | None = None
    gofer_pid: int = 0


class Running(NamedTuple):
    """One sandbox as runsc's own state file has it."""

    id: str
    pid: int
    """The sentry's host pid."""
    gofer_pid: int


class Runsc:
    """One runsc with one state directory."""

    def __init__(
        self, root: Path, *, cgroups: bool, program: str = "runsc", platform: str = PLATFORMS[0]
    ) -> None:
        self._root = root
        self._program = program
        self.platform = platform
        flags = (*FLAGS, f"--platform={platform}")
        self.flags: tuple[str, ...] = flags if cgroups else (*flags, "--ignore-cgroups")

    async def version(self) -> Version:
        """Ask for the version.

        Raises:
            HostError: `RUNTIME_MISSING` or `RUNTIME_TOO_OLD`.
        """
        if shutil.which(self._program) is None:
            raise HostError(Code.RUNTIME_MISSING, "runsc is not installed.", hint=_INSTALL)
        done = await run((self._program, "--version"), timeout_s=QUICK_S)
        if done.status != 0:
            raise failed(done, "runsc --version", hint=_INSTALL)
        return parse_version(done.stdout)

    async def start(self, id_: str, bundle: Path, *, log: Path) -> None:
        """Start a sandbox in the background; returns when its program runs.

        Args:
            id_: Its name.
            bundle: Where its spec is.
            log: Where runsc, sentry and gofer write for as long as it runs. Its file system must
                be small: nothing else bounds it.

        Raises:
            HostError: It failed or timed out.
        """
        # The box inherits these streams: nothing may come of what it writes there.
        done = await run(
            (*self._base(), f"--log={log}", "run", "-detach", "-bundle", str(bundle), id_),
            timeout_s=START_S,
            quiet=True,
        )
        if done.status != 0:
            raise failed(
                done._replace(stderr=_text(log)),
                "Starting a sandbox",
                hint="`ironclaw doctor` tries each thing it needs.",
            )

    async def settled(self) -> None:
        """Wait until nobody else starts a sandbox here: a former core, killed while it did.

        What is being started has no state file yet, so it would be seen by nobody, and stay.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                for pid in await asyncio.to_thread(self._starting):
                    await gone(pid)

    def _starting(self) -> list[int]:
        found = []
        root = f"--root={self._root}".encode()
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = file.read_bytes().split(b"\0")
                # Anybody may call themselves so: only our own are waited for.
                if root in words and b"run" in words and file.stat().st_uid == os.geteuid():
                    found.append(int(file.parent.name))
        return found

    async def delete(self, id_: str) -> Finished:
        """Remove a sandbox, killing it first if it runs. A missing one is no error."""
        return await run((*self._base(), "delete", "-force", id_), timeout_s=QUICK_S)

    def forget(self, id_: str) -> None:
        """Remove what is left of the files of a sandbox whose runsc was killed meanwhile."""
        for pattern in (f"{glob.escape(id_)}*", f"runsc-{glob.escape(id_)}*"):
            for file in self._root.glob(pattern):
                with contextlib.suppress(OSError):
                    file.unlink()

    def states(self) -> list[Running]:
        """Read what runsc knows to exist, without starting it.

        Trust:
            The directory is ours alone; a file that does not parse is of a runsc that was killed
            while it wrote, and is left out.
        """
        return self._read("*.state")

    def _read(self, pattern: str) -> list[Running]:
        found = []
        for file in sorted(self._root.glob(pattern)):
            with contextlib.suppress(OSError, ValueError):
                state = msgspec.json.decode(file.read_bytes(), type=_State)
                pid = state.sandbox.pid if state.sandbox else 0
                found.append(Running(state.id, pid, state.gofer_pid))
        return found

    def state(self, id_: str) -> Running | None:
        """Read what runsc knows of one sandbox."""
        # runsc names the file `<container>_sandbox:<sandbox>.state`: one read, however many run.
        named = self._read(f"{glob.escape(id_)}_sandbox:*.state")
        return next((state for state in named if state.id == id_), None)

    def is_sentry(self, running: Running) -> bool:
        """Tell whether the pid of a state file still is that sandbox: pids are used again."""
        if running.pid <= 0 or start_ticks(running.pid) is None:
            return False
        try:
            words = Path(f"/proc/{running.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return b"boot" in words and running.id.encode() in words

    def _base(self) -> tuple[str, ...]:
        return (self._program, f"--root={self._root}", *self.flags)


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="utf-8", errors="replace")
    return ""


def parse_version(text: str) -> Version:
    """Read the version out of runsc's own words.

    Raises:
        HostError: `RUNTIME_TOO_OLD`, also when there is no date in it: fail closed.
    """
    match = _VERSION.search(text)
    date = int(match.group(1)) if match else 0
    if date < LEAST_VERSION:
        raise HostError(
            Code.RUNTIME_TOO_OLD,
            f"runsc is of {date or 'an unknown date'}; {LEAST_VERSION} or newer is needed.",
            hint=_INSTALL,
            detail=text.strip()[:200],
        )
    return Version(text.split("\n", 1)[0].removeprefix("runsc version ").strip(), date)
