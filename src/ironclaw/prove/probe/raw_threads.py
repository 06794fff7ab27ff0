"""Threads without the C library: it asks for `clone3` first, which a box's filter refuses.

A thread here runs one function of machine code and shares everything, errno included, with the
program; so it may only wait or spin. It ends with its process.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from typing import Final

from ironclaw.prove.probe.attempt import call

_VM: Final = 0x100
_FS: Final = 0x200
_FILES: Final = 0x400
_SIGHAND: Final = 0x800
_THREAD: Final = 0x1_0000
_SYSVSEM: Final = 0x4_0000
_FLAGS: Final = _VM | _FS | _FILES | _SIGHAND | _THREAD | _SYSVSEM
_STACK: Final = 16 * 1024
_libc = ctypes.CDLL(None, use_errno=True)
_stacks: list[mmap.mmap] = []

_LOOP: Final = {"x86_64": b"\xeb\xfe", "aarch64": b"\x00\x00\x00\x14"}
"""A jump to itself."""


def _loop() -> int:
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(_LOOP[platform.machine()])
    _stacks.append(page)
    return _address(page)


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


FOREVER: Final = _loop()
"""Spins."""
IDLE: Final = int(ctypes.cast(_libc.pause, ctypes.c_void_p).value or 0)
"""Waits for a signal that does not come."""


def start(function: int) -> None:
    """Start a thread. Raises OSError."""
    stack = mmap.mmap(-1, _STACK)
    top = _address(stack) + _STACK - 256
    call(
        "clone",
        ctypes.c_void_p(function),
        ctypes.c_void_p(top),
        ctypes.c_int(_FLAGS),
        ctypes.c_void_p(0),
    )
    _stacks.append(stack)
