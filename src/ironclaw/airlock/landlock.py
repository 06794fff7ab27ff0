"""Landlock: the process keeps access to a few directories and loses the rest of the file system.

It needs no privilege, holds for `..` from an open directory too, and cannot be taken off.

Source:
    linux/landlock.h; system call numbers are the same on every machine.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Final

from ironclaw.airlock.syscalls import syscall

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITE_FILE: Final = 1 << 1
READ_FILE: Final = 1 << 2
READ_DIR: Final = 1 << 3
REMOVE_DIR: Final = 1 << 4
REMOVE_FILE: Final = 1 << 5
MAKE_DIR: Final = 1 << 7
MAKE_REG: Final = 1 << 8
MAKE_SOCK: Final = 1 << 9
REFER: Final = 1 << 13
TRUNCATE: Final = 1 << 14

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1
_FS_BITS: Final = {1: 13, 2: 14, 3: 15, 4: 15}
_FS_BITS_LATEST: Final = 16
_ABI_NETWORK: Final = 4
_ABI_SCOPES: Final = 6


def restrict(allowed: Mapping[int, int]) -> int:
    """Keep only `allowed`, a map of open directories to rights beneath them.

    Needs `no_new_privs`.

    Returns:
        The ABI version that is in force.

    Raises:
        OSError: This kernel has no Landlock, or it is switched off.
    """
    abi = syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    handled = (1 << _FS_BITS.get(abi, _FS_BITS_LATEST)) - 1
    attributes = struct.pack("=Q", handled)
    if abi >= _ABI_NETWORK:
        attributes += struct.pack("=Q", 0b11)  # no TCP bind, no TCP connect
    if abi >= _ABI_SCOPES:
        attributes += struct.pack("=Q", 0b11)  # no abstract sockets, no signals to others
    ruleset = syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for fd, rights in allowed.items():
            rule = struct.pack("=Qi", rights & handled, fd)
            syscall(_ADD, ruleset, _PATH_BENEATH, rule, ctypes.c_uint32(0))
        syscall(_RESTRICT, ruleset, ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return abi
