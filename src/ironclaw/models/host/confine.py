"""What the model host gives up before it reads anything: each by itself, each named.

It keeps the network and the file system as the core's user sees it: libraries are loaded when a
provider is first asked, and names are resolved. ADR-0015 says what that means.
"""

from __future__ import annotations

import ctypes
import resource
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_MOST_FILES: Final = 4096
_libc = ctypes.CDLL(None, use_errno=True)


def confine() -> tuple[str, ...]:
    """Give up what the host does not need; return the names of what is in force."""
    controls: dict[str, Callable[[], None]] = {
        "no-new-privs": lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1),
        # Nobody of the same uid may look into this memory, or at the environment it began with.
        "not-dumpable": lambda: _prctl(_PR_SET_DUMPABLE, 0),
        "no-core-files": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        "few-files": _few_files,
    }
    held = []
    for name, control in controls.items():
        try:
            control()
        except (OSError, ValueError):
            continue
        held.append(name)
    return tuple(held)


def _few_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
