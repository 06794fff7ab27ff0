"""Airlocks with controls taken away, for twins alone: patches in a hostile zygote's own process.

`weaken` changes the modules that production's confinement is made of, in the process that called
it and in what that forks. Only the proof's hostile zygote ever does.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import TYPE_CHECKING, Final

from ironclaw.airlock import confine, syscalls

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

CLOSED: Final = "closing of the zygote's descriptors"
NOT_DUMPABLE: Final = "prctl PR_SET_DUMPABLE 0"
UMASK: Final = "umask 007"
FRESH_ZYGOTE: Final = "zygote that is never told a secret"
SLOT_SIZE: Final = "mount in/ and run/ size"
SLOT_INODES: Final = "mount in/ and run/ nr_inodes"
CLOSED_UNION: Final = "closed union and order of the link's frames"
FRAME_SIZE: Final = "size limit of the link's frames"

_LIMITS: Final = ("NOFILE", "NPROC", "CORE", "FSIZE", "DATA", "MEMLOCK", "MSGQUEUE")


def limit(name: str) -> str:
    """The control that is one resource limit of the airlock."""
    return f"{confine.RLIMITS} {name}"


def patch(place: object, name: str, value: object) -> None:
    """Replace something that must be there. Raises AttributeError."""
    getattr(place, name)
    setattr(place, name, value)


def weaken(removed: Collection[str]) -> None:
    """Take these controls away from every airlock that is forked from here.

    What needs a removed control goes with it, as it would if somebody took it out by hand: without
    `no_new_privs` and without a capability the kernel refuses Landlock and seccomp too.
    """
    _leave_out(removed)
    _keep_limits(
        {getattr(resource, f"RLIMIT_{name}") for name in _LIMITS if limit(name) in removed}
    )
    _keep_prctl(removed)
    if CLOSED in removed:
        patch(os, "closerange", lambda _low, _high: None)
    if UMASK in removed:
        patch(os, "umask", lambda _mask: 0)
    if {confine.ROOT, confine.LANDLOCK} <= set(removed):
        _seal_nothing()


def _leave_out(removed: Collection[str]) -> None:
    attempt = confine.Controls.attempt

    def weak(self: confine.Controls, name: str, control: Callable[[], None]) -> bool:
        if name in removed:
            self.missing.append(name)
            return False
        return attempt(self, name, control)

    patch(confine.Controls, "attempt", weak)


def _keep_limits(kept: Collection[int]) -> None:
    setrlimit = resource.setrlimit

    def weak(what: int, limits: tuple[int, int]) -> None:
        if what not in kept:
            setrlimit(what, limits)

    patch(resource, "setrlimit", weak)


def _keep_prctl(removed: Collection[str]) -> None:
    prctl = syscalls.prctl

    def weak(option: int, second: int, third: object = 0) -> None:
        if option == syscalls.PR_CAPBSET_DROP and confine.CAPABILITIES in removed:
            return
        if option == syscalls.PR_SET_DUMPABLE and NOT_DUMPABLE in removed:
            # The kernel clears the flag too when a process takes other ids.
            second = 1
        prctl(option, second, third)

    patch(syscalls, "prctl", weak)


def _seal_nothing() -> None:
    """Go on where production refuses to: with neither a root of its own nor Landlock."""
    seal = confine.seal

    def weak(
        controls: confine.Controls,
        rights: Mapping[int, int],
        *,
        files: int = confine.MAX_FILES,
    ) -> None:
        with contextlib.suppress(OSError):
            seal(controls, rights, files=files)

    patch(confine, "seal", weak)
