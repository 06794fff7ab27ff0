"""A hostile program beside the real agent, in its box and with its ids: what it can do to it.

Says one JSON object of outcomes by name.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import socket

from ironclaw.prove.probe.attempt import outcome, read, syscall

_RUN = "/run/ironclaw"
_COLUMN = 0 if platform.machine() == "x86_64" else 1
_PTRACE = (101, 117)[_COLUMN]
_READV = (310, 270)[_COLUMN]
_ATTACH = 16


def agent() -> int:
    """The agent's pid, as this program sees it."""
    for name in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):  # noqa: PTH208 - a probe
        if "sandbox" in read(f"/proc/{name}/cmdline").partition("\0")[0]:
            return int(name)
    raise ProcessLookupError(3, "no agent")


def _memory(_context: object) -> None:
    with open(f"/proc/{agent()}/mem", "rb") as file:  # noqa: PTH123 - a probe
        file.read(1)


def _readv(_context: object) -> None:
    block = ctypes.create_string_buffer(16)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(block), 16)
    pointer = ctypes.addressof(vector)
    syscall(_READV, agent(), pointer, 1, pointer, 1, 0)


def _bell(_context: object) -> str:
    """Connect to the bell while the agent holds it, and see whether the host answers."""
    with socket.socket(socket.AF_UNIX) as bell:
        bell.settimeout(1.0)
        bell.connect(f"{_RUN}/bell.sock")
        bell.sendall(b"L" * 64)
        try:
            return f"heard {len(bell.recv(16))}"
        except TimeoutError:
            return "no answer"


ATTEMPTS = {
    "ptrace": lambda _: syscall(_PTRACE, _ATTACH, agent(), 0, 0),
    "memory": _memory,
    "readv": _readv,
    "bell": _bell,
    # Never the key itself: what is said here is shown to people.
    "key": lambda _: f"read {len(read(f'{_RUN}/key'))}",
}


def main() -> None:
    """Try all of it."""
    said = {name: outcome(each, {}) for name, each in ATTEMPTS.items()}
    os.write(1, json.dumps(said).encode())


main()
