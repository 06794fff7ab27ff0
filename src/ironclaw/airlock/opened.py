"""What a confined airlock has of the machine: opened first, then everything else is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.airlock import confine, landlock
from ironclaw.airlock.sockets import listen, remove, spare
from ironclaw.airlock.tools import NAME, SPARES

if TYPE_CHECKING:
    import socket

    from ironclaw.airlock.messages import StartAirlock

_IN_RIGHTS: Final = (
    landlock.READ_DIR
    | landlock.READ_FILE
    | landlock.WRITE_FILE
    | landlock.MAKE_REG
    | landlock.REMOVE_FILE
    | landlock.TRUNCATE
)
_OUT_RIGHTS: Final = (
    landlock.READ_DIR | landlock.READ_FILE | landlock.REMOVE_FILE | landlock.REMOVE_DIR
)
_RUN_RIGHTS: Final = _IN_RIGHTS | landlock.MAKE_SOCK
"""A socket may be bound here and nowhere else: `tools.sock` comes and goes while we are shut in.

It cannot be bound beforehand and moved in and out: all that the box does not see lies on another
mount, and in `run/` it sees every name. So `bind` and `listen` pass the filter, on sockets that
were made before; to make one, or to connect one, stays deadly.
"""


class Opened(NamedTuple):
    """All that a confined airlock has of the machine, beside its link."""

    dirs: dict[str, int]
    bell: socket.socket
    model: socket.socket
    spares: list[socket.socket]
    """Not bound."""
    mode: int
    """Of its sockets' files."""


def confined(request: StartAirlock, controls: confine.Controls) -> Opened:
    """Open what the slot's airlock needs, and give up everything else for good.

    Raises:
        OSError: The slot is not there, or the file system could not be shut off in any way.
    """
    dirs = confine.enter(controls, request.path, ("in", "out", "run"))
    confine.take_ids(controls, request.uid, request.gid)
    # Without an id of its own to share with the box, the 0700 directory above is what keeps out.
    mode = 0o660 if confine.UID in controls.held else 0o666
    bell = listen(dirs["run"], "bell.sock", mode=mode)
    model = listen(dirs["run"], "model.sock", mode=mode)
    remove(dirs["run"], NAME)  # a former airlock was killed while it was offered
    spares = [spare() for _ in range(SPARES)]
    rights = {
        dirs["in"]: _IN_RIGHTS,
        dirs["out"]: _OUT_RIGHTS,
        dirs["run"]: _RUN_RIGHTS,
    }
    confine.seal(controls, rights)
    return Opened(dirs, bell, model, spares, mode)
