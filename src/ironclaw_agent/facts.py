"""What the box sees of its own walls, read once while it is blank.

Each fact is tried or read from the kernel; none is taken from how the box was meant to be built.
`pathlib` would double what this module imports.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from ironclaw_contract.rpc import Facts

_PR_GET_NO_NEW_PRIVS: Final = 39
_READ_BYTES: Final = 64 * 1024
_PROBE: Final = ".ironclaw-probe"
_LOOPBACK: Final = "lo"


def gather(queue_in: str) -> Facts:
    """Look around.

    Args:
        queue_in: The directory the host publishes into; the box must not be able to write there.
    """
    status = dict(_status(_read("/proc/self/status")))
    return Facts(
        uid=os.getuid(),
        gid=os.getgid(),
        groups=tuple(os.getgroups()[:64]),
        cap_eff=int(status.get("CapEff", "-1"), 16),
        cap_prm=int(status.get("CapPrm", "-1"), 16),
        cap_bnd=int(status.get("CapBnd", "-1"), 16),
        no_new_privs=_no_new_privs(status.get("NoNewPrivs")),
        seccomp=int(status.get("Seccomp", "-1")),
        interfaces=_interfaces(),
        routes=_routes(),
        root_writable=_is_writable("/"),
        in_writable=_is_writable(queue_in),
        kernel=_read("/proc/version").strip()[:256],
        processes=sum(name.isdigit() for name in os.listdir("/proc")),  # noqa: PTH208 - see module
        environment=tuple(sorted(os.environ))[:32],
    )


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _READ_BYTES).decode("utf-8", "replace")
    finally:
        os.close(fd)


def _status(text: str) -> list[tuple[str, str]]:
    pairs = (line.partition(":") for line in text.splitlines())
    return [(name, value.strip()) for name, _, value in pairs]


def _no_new_privs(status: str | None) -> bool:
    """Whether an exec can add no rights.

    gVisor of 2024 has no line for it in `/proc/self/status`, so the kernel is asked. `ctypes` as a
    whole would cost the start more than all other facts together.
    """
    if status is not None:
        return status == "1"
    import _ctypes  # noqa: PLC0415 - only where the file does not say

    prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type] # None: this process
    return bool(_ctypes.call_function(prctl, (_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)) == 1)


def _interfaces() -> tuple[str, ...]:
    """Names of the network devices, from the table: a netlink socket is what seccomp refuses."""
    lines = _lines("/proc/net/dev")[2:]
    return tuple(line.partition(":")[0].strip() for line in lines)[:32]


def _routes() -> int:
    """Routes that lead anywhere but to the box itself."""
    lines = _lines("/proc/net/route")[1:]
    lines += [line for line in _lines("/proc/net/ipv6_route") if _device(line) != _LOOPBACK]
    return sum(1 for line in lines if line.strip())


def _lines(path: str) -> list[str]:
    try:
        return _read(path).splitlines()
    except FileNotFoundError:
        # A kernel without that family shows no table for it.
        return []


def _device(line: str) -> str:
    words = line.split()
    return words[-1] if words else ""


def _is_writable(directory: str) -> bool:
    """Try to make a file there; a mount that is not read-only counts even if modes forbid it."""
    path = f"{directory.rstrip('/')}/{_PROBE}"
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return True
    except OSError:
        try:
            return not os.statvfs(directory).f_flag & os.ST_RDONLY
        except OSError:
            return False
    os.unlink(path)  # noqa: PTH108 - see module
    return True


def complain(text: str) -> None:
    """Write one line to the box's error stream: for operators, never content."""
    sys.stderr.write(f"sandbox: {text}\n")
    sys.stderr.flush()
