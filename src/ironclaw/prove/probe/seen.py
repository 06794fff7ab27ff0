"""What a program in the box sees of its walls, and its way to the sockets."""

from __future__ import annotations

import os
import socket
import time
from typing import Any, Final

from ironclaw.prove.probe.attempt import libc, read, status

RUN: Final = "/run/ironclaw"
_WAIT_S: Final = 20.0
_PR_GET_NO_NEW_PRIVS: Final = 39


def facts() -> dict[str, Any]:
    """What the hello of a real agent says."""
    seen = status()
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "cap_eff": int(seen["CapEff"], 16),
        "cap_prm": int(seen["CapPrm"], 16),
        "cap_bnd": int(seen["CapBnd"], 16),
        "no_new_privs": libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        "seccomp": int(seen["Seccomp"]),
        "interfaces": [
            line.partition(":")[0].strip() for line in read("/proc/net/dev").splitlines()[2:]
        ],
        "routes": max(0, len(read("/proc/net/route").splitlines()) - 1),
        "root_writable": not os.statvfs("/").f_flag & os.ST_RDONLY,
        "in_writable": not os.statvfs("/queue/in").f_flag & os.ST_RDONLY,
        "kernel": read("/proc/version").strip()[:256],
        "processes": sum(name.isdigit() for name in os.listdir("/proc")),  # noqa: PTH208 - a probe
        "environment": sorted(os.environ),
    }


def dial(name: str, *, wait_s: float = _WAIT_S) -> socket.socket:
    """Connect to a socket of the airlock, which may be a moment late.

    Raises:
        OSError: It is not there in time.
    """
    began = time.monotonic()
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(f"{RUN}/{name}")
        except OSError:
            sock.close()
            if time.monotonic() - began > wait_s:
                raise
            time.sleep(0.005)
        else:
            return sock
