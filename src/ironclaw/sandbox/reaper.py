"""The keeper's loop: starts the core, reaps everything, restarts the core, cleans up at the end.

runsc's detached processes are re-parented to the keeper (it is their subreaper); reaping them at
once is what makes ending a sandbox take tenths of a second instead of several seconds.

One thread, signals taken with `sigtimedwait`, standard library only: a few megabytes that live as
long as the house does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Final, NoReturn

from ironclaw.sandbox import kernel
from ironclaw.sandbox.children import children

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_STOP: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_WATCHED: Final = _STOP | {signal.SIGCHLD}
FINAL_CODES: Final = range(2, 80)
"""Exit statuses that say what is wrong; starting again would not help."""
EARLY_S: Final = 10.0
"""Seconds in which such a status ends the keeper too."""
STOP_S: Final = 15.0
"""Seconds the core has to end in good order."""
EARLY_CRASHES: Final = 3
"""Crashes in the first second of a core, one after another, until the keeper gives up."""
AT_ONCE_S: Final = 1.0
FORGIVEN_S: Final = 1.0
"""Seconds for which a core must live to have one earlier crash forgiven."""
_LEAST_WAIT_S: Final = 0.1
_MOST_WAIT_S: Final = 30.0


def back_off(crashes: int) -> float:
    """Seconds to wait before the next start, after so many crashes in a row.

    None after the first: whoever talks to the core waits for it. A core that dies again soon is
    waited for longer each time.
    """
    return 0.0 if crashes <= 1 else float(min(_MOST_WAIT_S, _LEAST_WAIT_S * 2 ** (crashes - 2)))


class Crashes:
    """How often the core has crashed lately."""

    def __init__(self) -> None:
        self._lately = 0
        self._at_once = 0

    def add(self, lived_s: float) -> float | None:
        """Count a crash after so many seconds; return those to wait, None to give up."""
        self._at_once = self._at_once + 1 if lived_s < AT_ONCE_S else 0
        self._lately = max(0, self._lately - int(lived_s / FORGIVEN_S)) + 1
        return None if self._at_once >= EARLY_CRASHES else back_off(self._lately)


class Reaper:
    """Supervises one core."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        keep_fds: Sequence[int] = (),
        say: Callable[[str], None],
    ) -> None:
        self._argv = list(argv)
        self._env = dict(env)
        self._keep_fds = tuple(keep_fds)
        self._say = say
        self._core = 0
        self._stopping = False

    def run(self) -> int:
        """Run until the core is done for good or a signal says stop; return the exit status."""
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        try:
            return self._supervise()
        finally:
            end_children()

    def _supervise(self) -> int:
        crashes = Crashes()
        while True:
            begun = time.monotonic()
            self._start()
            status = self._wait_for_core()
            lived = time.monotonic() - begun
            if self._stopping or status == 0:
                return max(status, 0) if not self._stopping else 0
            if status in FINAL_CODES and lived < EARLY_S:
                self._say(f"the core ended with status {status} and is not started again")
                return status
            wait = crashes.add(lived)
            if wait is None:
                self._say(f"the core keeps crashing at once (status {status}); giving up")
                return 1
            self._say(f"the core ended with status {status}; starting it again in {wait:.1f} s")
            if self._pause(wait):
                return 0

    def _start(self) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_core(self._argv, self._env, self._keep_fds, parent)
        self._core = pid

    def _wait_for_core(self) -> int:
        deadline: float | None = None
        while True:
            status = self._reap()
            if status is not None:
                return status
            left = 3600.0 if deadline is None else deadline - time.monotonic()
            if left <= 0:
                self._say(f"the core did not end within {STOP_S:.0f} s; killed")
                os.kill(self._core, signal.SIGKILL)
                deadline, left = None, 3600.0
            heard = signal.sigtimedwait(_WATCHED, left)
            if heard is not None and heard.si_signo in _STOP:
                self._stopping = True
                deadline = deadline or time.monotonic() + STOP_S
                os.kill(self._core, signal.SIGTERM)

    def _pause(self, seconds: float) -> bool:
        """Wait, reaping meanwhile; return True when told to stop."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            heard = signal.sigtimedwait(_WATCHED, left)
            if heard is not None and heard.si_signo in _STOP:
                return True
            self._reap()
        return False

    def _reap(self) -> int | None:
        """Reap all that have ended; return the core's status if it was among them."""
        found: int | None = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            if pid == self._core:
                found = os.waitstatus_to_exitcode(status)


def end_children(*, grace_s: float = 5.0) -> None:
    """Kill and reap all children, and theirs as they are re-parented, until there are none.

    Args:
        grace_s: Seconds until it gives up on processes that the kernel cannot end.
    """
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline:
        for pid in children(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        signal.sigtimedwait({signal.SIGCHLD}, 0.02)


def _become_core(
    argv: list[str], env: Mapping[str, str], keep_fds: Sequence[int], parent: int
) -> NoReturn:
    try:
        # A keeper that is killed must not leave a core behind that nobody restarts.
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        for descriptor in keep_fds:
            os.set_inheritable(descriptor, True)
        os.execvpe(argv[0], argv, dict(env))  # noqa: S606 - this is how a core starts
    except OSError as error:
        os.write(2, f"keeper: {argv[0]}: {error.strerror}\n".encode())
    os._exit(60)
