"""A hostile airlock: production's zygote and confinement, and then an attacker instead of service.

    AirlockStarter -> main -> zygote.main -> fork -> run: confined, Ready, one attack

One airlock carries out one attack: many of them end in SIGSYS. The zygote tells how each ended. A
plan on the command line names the controls that a twin goes without.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.airlock import process, zygote
from ironclaw.airlock.messages import Ready, pack
from ironclaw.airlock.opened import confined
from ironclaw.prove.airlock.hostile_attempts import ATTEMPTS
from ironclaw.prove.airlock.hostile_frames import FRAMES
from ironclaw.prove.airlock.hostile_prey import Order, Prey
from ironclaw.prove.airlock.weak import patch, weaken
from ironclaw.prove.probe.attempt import outcome

if TYPE_CHECKING:
    from ironclaw.airlock import confine
    from ironclaw.airlock.messages import StartAirlock

MODULE: Final = __name__
WAIT: Final = "wait"
"""The order of an airlock that only stands there to be looked at."""
_PLAN_ARGUMENT: Final = 3
_CHUNK: Final = 65536


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the zygote of a proof is told when it starts."""

    deaths: str
    """Path of the datagram socket that hears how each airlock ended: `pid status`."""
    removed: tuple[str, ...] = ()
    """Controls to go without."""
    told: tuple[str, ...] = ()
    """Secrets that a twin's zygote is told, so that its airlocks inherit them."""


def main(control_fd: int) -> None:
    """Be the zygote of hostile airlocks until the core closes the control socket."""
    plan = msgspec.json.decode(sys.argv[_PLAN_ARGUMENT], type=Plan)
    weaken(plan.removed)
    patch(process, "run", run)
    patch(zygote, "_reap", lambda: _reap(plan.deaths))
    zygote.main(control_fd)


def _reap(deaths: str) -> None:
    """Reap as production does, and say how it ended what was reaped."""
    with (
        contextlib.suppress(ChildProcessError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with contextlib.suppress(OSError):  # the proof is gone
                sock.sendto(f"{pid} {status}".encode(), deaths)


def ending(status: int) -> str:
    """Name the end of a process that said nothing itself."""
    if os.WIFSIGNALED(status):
        return f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"error: ended with {os.WEXITSTATUS(status)}"


def run(request: StartAirlock, link: socket.socket, controls: confine.Controls) -> None:
    """Take the place of `process.run`: be confined by it, then attack."""
    opened = confined(request, controls)
    link.sendall(pack(Ready(controls=tuple(controls.held), missing=tuple(controls.missing))))
    order = msgspec.json.decode(_line(link), type=Order)
    if order.attack in FRAMES:
        link.sendall(FRAMES[order.attack])
    elif order.attack != WAIT:
        prey = Prey(order, opened.dirs, opened.spares)
        said = outcome(lambda _context: ATTEMPTS[order.attack](prey), {})
        link.sendall(said.encode() + b"\n")
    while link.recv(_CHUNK):
        pass


def _line(link: socket.socket) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        data = link.recv(_CHUNK)
        if not data:
            raise EOFError("no order came")
        line += data
    return bytes(line)
