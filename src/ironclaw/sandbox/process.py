"""The one place that starts programs and waits for them.

Output goes to anonymous memory files, never to pipes: what `runsc run -detach` leaves behind keeps
its standard streams open, and a reader of a pipe would wait for it for ever. A program that leaves
something untrusted behind gets `quiet=True`: its streams are `/dev/null`.

Waiting uses a pidfd, so it costs no thread and does not poll.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess  # noqa: TID251 - this is the place
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.log import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

MAX_OUTPUT_BYTES: Final = 256 * 1024
"""What is kept of each stream; the rest is dropped."""
_TAIL_CHARS: Final = 4000


class Finished(NamedTuple):
    """What a program did."""

    argv: tuple[str, ...]
    status: int
    """Exit status; negative: the signal that ended it."""
    stdout: str
    stderr: str


def replay(argv: Sequence[str]) -> str:
    """Return the command as a person can paste it into a shell, secrets removed."""
    return redact(shlex.join(argv))


async def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    quiet: bool = False,
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run a program to its end.

    Args:
        argv: Program and arguments; no shell. Never put a secret in them.
        timeout_s: Seconds until it is killed.
        env: Its whole environment; None inherits ours.
        cwd: Where it runs.
        quiet: Its streams are `/dev/null`, and so are those of what it leaves behind.
        pass_fds: Descriptors it inherits.

    Returns:
        Its status and output. A status other than 0 is a result, not an error.

    Raises:
        HostError: It is not there (`RUNTIME_MISSING`), cannot be started, or took too long
            (`RUNTIME_FAILED`). The detail has the command to replay.
    """
    with contextlib.ExitStack() as files:
        out, err = (
            (subprocess.DEVNULL, subprocess.DEVNULL)
            if quiet
            else (_memory_file(files, "stdout"), _memory_file(files, "stderr"))
        )
        try:
            child = await _start(
                lambda: subprocess.Popen(  # noqa: S603 - no shell
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=env,
                    cwd=cwd,
                    pass_fds=tuple(pass_fds),
                )
            )
        except FileNotFoundError as error:
            raise HostError(
                Code.RUNTIME_MISSING,
                f"The program {argv[0]} is not installed.",
                hint="`ironclaw doctor` names what is missing and how to install it.",
                detail=replay(argv),
            ) from error
        except OSError as error:
            raise HostError(
                Code.RUNTIME_FAILED,
                f"The program {argv[0]} could not be started: {error.strerror}.",
                hint="Run the command of the detail by hand to see why.",
                detail=replay(argv),
            ) from error
        try:
            async with asyncio.timeout(timeout_s):
                await gone(child.pid)
        except TimeoutError as error:
            child.kill()
            child.wait()
            raise HostError(
                Code.RUNTIME_FAILED,
                f"{argv[0]} did not end within {timeout_s:g} seconds and was killed.",
                hint="The machine may be overloaded; run the command of the detail by hand.",
                detail=_detail(argv, out, err),
            ) from error
        except BaseException:
            # Cancelled: a child that nobody waits for would stay behind.
            child.kill()
            child.wait()
            raise
        return Finished(tuple(argv), child.wait(), _text(out), _text(err))


async def _start(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    # Starting waits for the exec, milliseconds on a busy machine: not in the loop.
    starting = asyncio.get_running_loop().run_in_executor(None, start)
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread cannot be called back; what it started must not stay.
        with contextlib.suppress(OSError):
            child = await starting
            child.kill()
            child.wait()
        raise


async def gone(pid: int, *, started: int | None = None) -> None:
    """Wait until a process has ended; it need not be our child. Returns at once if it has.

    Args:
        pid: A host pid.
        started: Its start time in clock ticks, where the pid may have been given away since.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    if started is not None and start_ticks(pid) != started:
        os.close(descriptor)
        return
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        loop.remove_reader(descriptor)
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, wake)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def kill(pid: int, *, started: int) -> None:
    """Kill the process that `pid` and its start time name; do nothing when it is gone."""
    send(pid, signal.SIGKILL, started=started)


def send(pid: int, what: signal.Signals, *, started: int) -> None:
    """Send a signal to the process that `pid` and its start time name, if it is there.

    Args:
        pid: A host pid.
        what: The signal.
        started: Clock ticks, see `start_ticks`.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The descriptor pins the process, so what is compared is what gets it.
        if start_ticks(pid) == started:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, what)
    finally:
        os.close(descriptor)


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it is gone or a zombie.

    Source:
        proc(5): field 22 of `/proc/<pid>/stat`. The second field may hold spaces and parentheses.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - hot
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def cpu_ticks(pid: int) -> int:
    """Return what a process has used of the processor, in clock ticks; 0 when it is gone.

    Source:
        proc(5): fields 14 and 15 of `/proc/<pid>/stat`, for all threads of it.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - hot
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(fields[11]) + int(fields[12])


def failed(done: Finished, what: str, *, hint: str) -> HostError:
    """Make the error for a program that ended with a status other than 0."""
    return HostError(
        Code.RUNTIME_FAILED,
        f"{what} failed (status {done.status}).",
        hint=hint,
        detail=redact(f"$ {shlex.join(done.argv)}\n{done.stdout}{done.stderr}"[-_TAIL_CHARS:]),
    )


def _memory_file(files: contextlib.ExitStack, name: str) -> int:
    descriptor = os.memfd_create(f"ironclaw-{name}", os.MFD_CLOEXEC)
    files.callback(os.close, descriptor)
    return descriptor


def _text(descriptor: int) -> str:
    if descriptor < 0:
        return ""
    return os.pread(descriptor, MAX_OUTPUT_BYTES, 0).decode("utf-8", errors="replace")


def _detail(argv: Sequence[str], out: int, err: int) -> str:
    return redact(f"$ {shlex.join(argv)}\n{_text(out)}{_text(err)}"[-_TAIL_CHARS:])
