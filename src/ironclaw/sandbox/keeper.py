"""The keeper: owns the nest, starts the core in it, restarts it, and leaves nothing behind.

    python -s -P -m ironclaw.sandbox.keeper --runtime-dir D --state-dir S [--ready-fd N] -- CORE…

`start_keeper` starts one in the background and waits until the core has said that it is ready: by
writing a line `ready` to the descriptor in `IRONCLAW_READY_FD`. `stop_keeper` ends it and all that
lives in its nest; `keeper_status` says whether one runs. All three take no lock and can be called
from anywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess  # noqa: TID251 - starts the keeper itself, before there is an event loop
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import HostError, IronClawError, UserError
from ironclaw.sandbox import nest
from ironclaw.sandbox.leftovers import clear
from ironclaw.sandbox.reaper import Reaper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READY_VARIABLE: Final = "IRONCLAW_READY_FD"
_STATUS_FILE: Final = "keeper.json"
_LOCK_FILE: Final = "keeper.lock"
_LOG_TAIL_BYTES: Final = 4000


class KeeperStatus(NamedTuple):
    """A keeper that runs."""

    pid: int
    started: int
    """Start time in clock ticks; with the pid it names one process."""
    state_dir: Path
    view: Path


def keeper_argv(
    core_argv: Sequence[str],
    *,
    state_dir: Path,
    runtime_dir: Path,
    visible: Sequence[Path] = (),
    ready_fd: int | None = None,
) -> list[str]:
    """Return the command of a keeper, for `os.execv` when it is to stay in the foreground."""
    ready = [] if ready_fd is None else ["--ready-fd", str(ready_fd)]
    return [
        *(sys.executable, "-s", "-P", "-m", "ironclaw.sandbox.keeper"),
        *("--runtime-dir", str(runtime_dir), "--state-dir", str(state_dir)),
        *(f"--visible={path}" for path in visible),
        *ready,
        "--",
        *core_argv,
    ]


def start_keeper(
    core_argv: Sequence[str],
    *,
    state_dir: Path,
    runtime_dir: Path,
    visible: Sequence[Path] = (),
    log: Path,
    timeout_s: float = 60.0,
    env: Mapping[str, str] | None = None,
) -> KeeperStatus:
    """Start a keeper in the background; return when its core is ready.

    Args:
        core_argv: The core's command.
        state_dir: Made 0700 if it is missing.
        runtime_dir: Made 0700 if it is missing.
        visible: Directories that the nest must not hide.
        log: Where both write; appended to, 0600.
        timeout_s: Seconds until the core must be ready. After that all is stopped again.
        env: Environment of both; None inherits ours.

    Raises:
        UserError: A keeper already has this state directory (`ALREADY_RUNNING`), or the core
            refused its configuration.
        HostError: The nest cannot be made, or the core failed; the detail has the log's end.
    """
    for directory in (state_dir, runtime_dir, log.parent):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    read_end, write_end = os.pipe()
    log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    mark = os.fstat(log_fd).st_size
    try:
        child = subprocess.Popen(  # noqa: S603 - our own program
            keeper_argv(
                core_argv,
                state_dir=state_dir,
                runtime_dir=runtime_dir,
                visible=visible,
                ready_fd=write_end,
            ),
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            pass_fds=(write_end,),
            start_new_session=True,
            env=None if env is None else dict(env),
        )
    finally:
        os.close(write_end)
        os.close(log_fd)
    try:
        said = _read_line(read_end, timeout_s)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    finally:
        os.close(read_end)
    status = keeper_status(runtime_dir) if said == "ready" else None
    if status is not None:
        # It is to outlive us: not waiting for it is the point.
        child.returncode = 0
        return status
    child.terminate()
    raise _start_error(child.wait(), said, _tail(log, mark))


def stop_keeper(runtime_dir: Path, *, timeout_s: float = 30.0) -> bool:
    """Stop a keeper, its core and all that lives in its nest; return False when none runs.

    Raises:
        HostError: It did not end in time (`UNAVAILABLE`).
    """
    status = keeper_status(runtime_dir)
    if status is None:
        return False
    try:
        descriptor = os.pidfd_open(status.pid)
    except ProcessLookupError:
        return False
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            raise HostError(
                Code.UNAVAILABLE,
                f"The daemon did not end within {timeout_s:g} seconds.",
                hint=f"`kill -9 {status.pid}`; the next `ironclaw up` clears what is left.",
            )
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def keeper_status(runtime_dir: Path) -> KeeperStatus | None:
    """Return the keeper of a runtime directory, or None when none runs."""
    try:
        raw = json.loads((runtime_dir / _STATUS_FILE).read_text(encoding="utf-8"))
        status = KeeperStatus(
            int(raw["pid"]), int(raw["started"]), Path(raw["state_dir"]), Path(raw["view"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return status if _started(status.pid) == status.started else None


def main(argv: Sequence[str] | None = None) -> int:
    """Be the keeper. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="ironclaw.sandbox.keeper")
    parser.add_argument("--runtime-dir", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--visible", type=Path, action="append", default=[])
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("core", nargs="+")
    options = parser.parse_args(argv)
    try:
        return _keep(
            options.core,
            options.state_dir.resolve(),
            options.runtime_dir.resolve(),
            options.visible,
            options.ready_fd,
        )
    except IronClawError as error:
        _say(f"{error.code}: {error.message} {error.hint} {error.detail}".rstrip())
        if options.ready_fd is not None:
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            os.write(options.ready_fd, json.dumps(told).encode() + b"\n")
        return CODES[error.code].exit_code


def _keep(
    core: list[str],
    state_dir: Path,
    runtime_dir: Path,
    visible: list[Path],
    ready_fd: int | None,
) -> int:
    lock = _lock(state_dir)
    try:
        # What a killed keeper left behind belongs to a nest that is gone.
        clear(runtime_dir)
        view = nest.enter(avoid=[state_dir, runtime_dir, *visible])
        env = dict(os.environ) | {nest.VIEW_VARIABLE: str(view)}
        keep: list[int] = []
        if ready_fd is not None:
            env[READY_VARIABLE] = str(ready_fd)
            keep.append(ready_fd)
        _write_status(runtime_dir, state_dir, view)
        try:
            return Reaper(core, env, keep_fds=keep, say=_say).run()
        finally:
            clear(runtime_dir)
            (runtime_dir / _STATUS_FILE).unlink(missing_ok=True)
    finally:
        os.close(lock)


def _lock(state_dir: Path) -> int:
    descriptor = os.open(
        state_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UserError(
            Code.ALREADY_RUNNING,
            "Another daemon uses this state directory.",
            hint="`ironclaw status` shows it, `ironclaw down` stops it.",
            detail=str(state_dir),
        ) from error
    return descriptor


def _write_status(runtime_dir: Path, state_dir: Path, view: Path) -> None:
    pid = os.getpid()
    body = {
        "pid": pid,
        "started": _started(pid),
        "state_dir": str(state_dir),
        "view": str(view),
    }
    draft = runtime_dir / f".{_STATUS_FILE}"
    draft.write_text(json.dumps(body), encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(runtime_dir / _STATUS_FILE)


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _read_line(descriptor: int, timeout_s: float) -> str:
    deadline = time.monotonic() + timeout_s
    text = b""
    while not text.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return "timeout"
        piece = os.read(descriptor, 4096)
        if not piece:
            break
        text += piece
    return text.decode("utf-8", errors="replace").strip()


def _start_error(status: int, said: str, tail: str) -> IronClawError:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        told = json.loads(said)
        code = Code(told["code"])
        # What the caller can mend is said in the message; the log would only bury it.
        detail = "" if _is_callers(code) else tail
        return _by_code(code, str(told["message"]), str(told["hint"]), detail)
    if said == "timeout":
        return HostError(
            Code.UNAVAILABLE,
            "The daemon was not ready in time and was stopped.",
            hint="`ironclaw logs` shows what it was doing; `ironclaw doctor` checks the machine.",
            detail=tail,
        )
    codes = {row.exit_code: code for code, row in CODES.items()}
    code = codes.get(status, Code.UNAVAILABLE)
    return _by_code(
        code, f"The daemon did not start. {CODES[code].meaning}", "`ironclaw logs` says why.", tail
    )


def _by_code(code: Code, message: str, hint: str, detail: str) -> IronClawError:
    return (UserError if _is_callers(code) else HostError)(code, message, hint=hint, detail=detail)


def _is_callers(code: Code) -> bool:
    return CODES[code].exit_code < 40  # noqa: PLR2004 - the table's own split


def _tail(log: Path, mark: int) -> str:
    with contextlib.suppress(OSError):
        data = log.read_bytes()[mark:]
        return data[-_LOG_TAIL_BYTES:].decode("utf-8", errors="replace")
    return ""


def _say(text: str) -> None:
    os.write(2, f"keeper: {text}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
