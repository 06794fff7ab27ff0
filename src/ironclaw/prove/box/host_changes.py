"""Changes on the host's side of a slot, for the proof's twins alone; undone on leaving."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from ironclaw.sandbox import isolator, kernel, slotdir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ironclaw.domain.wall import SlotDir
    from ironclaw.prove.lab.opened import Lab


def sized(**values: int) -> Callable[[Lab], AbstractContextManager[None]]:
    """Give the slot's file systems other sizes: names and values of `sandbox.slotdir`."""

    @contextlib.contextmanager
    def go(_lab: Lab) -> Iterator[None]:
        before = {name: getattr(slotdir, name) for name in values}
        for name, value in values.items():
            setattr(slotdir, name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                setattr(slotdir, name, value)

    return go


def then(change: Callable[[SlotDir], None]) -> Callable[[Lab], AbstractContextManager[None]]:
    """Change a slot's directories right after they are made."""

    @contextlib.contextmanager
    def go(_lab: Lab) -> Iterator[None]:
        make = slotdir.make_slot

        def changed(directory: SlotDir) -> None:
            make(directory)
            change(directory)

        isolator.make_slot = changed  # type: ignore[attr-defined] # where the isolator has it from
        try:
            yield
        finally:
            isolator.make_slot = make  # type: ignore[attr-defined] # the same

    return go


def grant(directory: SlotDir) -> None:
    """Put a socket that nobody granted into `run/`."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(directory.path / "run" / "egress.sock"))


def let_out_run(directory: SlotDir) -> None:
    """Take the safe options from the mount of `out/`."""
    kernel.mount("none", directory.path / "out", "", kernel.MS_BIND | kernel.MS_REMOUNT)


def let_group_write(directory: SlotDir) -> None:
    """Let the box's group write into `run/`."""
    (directory.path / "run").chmod(0o770)


def let_all_enter(directory: SlotDir) -> None:
    """Let every id find `run/`."""
    (directory.path / "run").chmod(0o755)


@contextlib.contextmanager
def setuid_planted(lab: Lab) -> Iterator[None]:
    """Make a program of the probe tree setuid."""
    program = lab.probe.path / "probe" / "bin" / "python3"
    program.chmod(0o4755)
    try:
        yield
    finally:
        program.chmod(0o555)
