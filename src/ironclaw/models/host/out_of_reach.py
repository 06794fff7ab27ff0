"""Landlock: some directories cannot be reached any more, everything else stays as it is.

Landlock knows only what is allowed. So each directory above a hidden one is left out, and what lies
beside the way to it is allowed: name resolution, certificates and packages work on every system.

Source:
    linux/landlock.h; system call numbers are the same on every machine.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_PATH_BENEATH: Final = 1
_ALL: Final = (1 << 13) - 1
"""Every right of the first version of the interface: no kernel that has Landlock lacks one."""
_OF_FILES: Final = 0b111
"""Execute, write, read."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def put_out_of_reach(hidden: Sequence[str]) -> None:
    """Lose these directories, for this thread and all that it starts from now on.

    Needs `no_new_privs`. What is put beside the way to one of them later is out of reach too.

    Raises:
        OSError: This kernel has no Landlock, or it is switched off.
    """
    if not hidden:
        return
    attributes = struct.pack("=Q", _ALL)
    ruleset = _syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for path in beside([os.path.realpath(one) for one in hidden]):
            with contextlib.suppress(OSError):  # gone meanwhile, or not ours to open: not allowed
                _allow(ruleset, path)
        _syscall(_RESTRICT, ruleset, ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def beside(hidden: Sequence[str]) -> Iterator[str]:
    """What lies beside the ways to directories: real, absolute paths."""
    ways = {os.path.dirname(way) for one in hidden for way in _ways(one)}  # noqa: PTH120
    kept_out = {way for one in hidden for way in _ways(one)}
    for directory in sorted(ways):
        try:
            names = os.listdir(directory)  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            path = os.path.join(directory, name)  # noqa: PTH118
            if path not in kept_out:
                yield path


def _ways(path: str) -> Iterator[str]:
    """A path and everything above it but the root."""
    while path != "/":
        yield path
        path = os.path.dirname(path)  # noqa: PTH120


def _allow(ruleset: int, path: str) -> None:
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        # What a link leads to is allowed, or not, by where it lies.
        if stat.S_ISLNK(mode):
            return
        rights = _ALL if stat.S_ISDIR(mode) else _OF_FILES
        rule = struct.pack("=Qi", rights, fd)
        _syscall(_ADD, ruleset, _PATH_BENEATH, rule, ctypes.c_uint32(0))
    finally:
        os.close(fd)


def _syscall(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
