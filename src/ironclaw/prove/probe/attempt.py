"""Attempts and their outcomes: how an attack is written down, and how its end is named."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ironclaw.prove.probe.named import error_name

Context: TypeAlias = "dict[str, Any]"
"""What the host tells of the laboratory: addresses, limits, numbers of system calls."""
Attempt: TypeAlias = "Callable[[Context], object]"

DONE: Final = "done"
libc = ctypes.CDLL(None, use_errno=True)


def outcome(attempt: Attempt, context: Context) -> str:
    """Try it; return `done`, what it returned as text, or the name of the error."""
    try:
        result = attempt(context)
    except OSError as error:
        return error_name(error)
    except Exception as error:  # noqa: BLE001 - whatever happens to an attacker is a result
        return f"error: {type(error).__name__}: {error}"
    return DONE if result is None else str(result)


def syscall(number: int, *args: int | bytes | None) -> int:
    """Make a system call by number. Raises OSError."""
    ctypes.set_errno(0)
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in args]
    result = int(libc.syscall(ctypes.c_long(number), *words))
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def call(name: str, *args: object) -> int:
    """Call a function of the C library that returns -1 for failure. Raises OSError."""
    ctypes.set_errno(0)
    result = int(getattr(libc, name)(*args))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def write(path: str, data: str = "x") -> None:
    """Write a file."""
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - no pathlib in a probe
        file.write(data)


def read(path: str, limit: int = 1 << 20) -> str:
    """Read the beginning of a file."""
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - no pathlib here
        return file.read(limit)


def status() -> dict[str, str]:
    """`/proc/self/status` by name."""
    pairs = (line.partition(":") for line in read("/proc/self/status").splitlines())
    return {name: value.strip() for name, _, value in pairs}
