"""The probe in place of `/sandbox`: says what it sees of its walls, then attacks on request.

It connects to the bell, sends one JSON line of facts, and answers each request line
`{"names": [...], "context": {...}}` with a line of outcomes by name.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from typing import Final

sys.path.insert(0, "/probe/code")

import files
import network
import privilege
import process
from attempt import libc, outcome, read, status

_BELL: Final = "/run/ironclaw/bell.sock"
_WAIT_S: Final = 20.0
ATTEMPTS: Final = files.ATTEMPTS | network.ATTEMPTS | process.ATTEMPTS | privilege.ATTEMPTS


def facts() -> dict[str, object]:
    """What the hello of a real agent says."""
    seen = status()
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "cap_eff": int(seen["CapEff"], 16),
        "cap_prm": int(seen["CapPrm"], 16),
        "cap_bnd": int(seen["CapBnd"], 16),
        "no_new_privs": libc.prctl(39, 0, 0, 0, 0) == 1,
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


def connect() -> socket.socket:
    """Connect to the bell, which may be a moment late."""
    began = time.monotonic()
    while True:
        bell = socket.socket(socket.AF_UNIX)
        try:
            bell.connect(_BELL)
        except OSError:
            bell.close()
            if time.monotonic() - began > _WAIT_S:
                raise
            time.sleep(0.01)
        else:
            return bell


def main() -> None:
    """Serve requests until the host closes the bell."""
    bell = connect()
    stream = bell.makefile("rwb")
    stream.write(json.dumps(facts()).encode() + b"\n")
    stream.flush()
    for line in stream:
        asked = json.loads(line)
        # In the order of the table: what changes the process itself stands last.
        said = {
            name: outcome(attempt, asked["context"])
            for name, attempt in ATTEMPTS.items()
            if name in asked["names"]
        }
        stream.write(json.dumps(said).encode() + b"\n")
        stream.flush()


main()
