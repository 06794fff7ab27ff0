"""The zygote: loads everything once, forks one airlock per slot, reaps them.

The core starts it with the control socket as a file descriptor number on the command line. A
request is one datagram with one descriptor attached (the child's end of its link); the answer is
the child's process id. When the core is gone, so is the zygote; airlocks end by themselves when
their links close.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

from ironclaw.airlock import confine, count, memory, process, sweep
from ironclaw.airlock.messages import (
    StartAirlock,
    StartCount,
    Started,
    StartMemory,
    StartSweep,
    decode_start,
    pack_control,
)

if TYPE_CHECKING:
    from ironclaw.airlock.messages import Start

_MAX_REQUEST: Final = 8192
_CONTROL: Final = 3
_LINK: Final = 4


def main(control_fd: int) -> None:
    """Serve the control socket until the core closes it."""
    # Everything that was imported is shared with the children: the collector must not touch it.
    gc.disable()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _close_streams()
    control = socket.socket(fileno=control_fd)
    controls = confine.Controls()
    confine.leave_network(controls)
    wake_read, wake_write = socket.socketpair()
    for end in (wake_read, wake_write):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
    signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == wake_read.fileno():
                with contextlib.suppress(BlockingIOError):
                    wake_read.recv(4096)
                _reap()
            elif not _serve(control, controls):
                # The socket closes before the last child is gone.
                signal.set_wakeup_fd(-1)
                return


def _close_streams() -> None:
    """Keep the error stream for a last line; the core's input and output are nobody's business."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for stream in (0, 1):
        os.dup2(null, stream)
    os.close(null)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _serve(control: socket.socket, controls: confine.Controls) -> bool:
    try:
        raw, fds, _, _ = socket.recv_fds(control, _MAX_REQUEST, 1)
    except ConnectionResetError:  # the core was killed before it had read an answer
        return False
    if not raw or len(fds) != 1:
        for fd in fds:
            os.close(fd)
        return False
    request = decode_start(raw)
    pid = os.fork()
    if pid == 0:
        _child(request, fds[0], controls)
    os.close(fds[0])
    with contextlib.suppress(OSError):
        control.send(pack_control(Started(pid=pid)))
    return True


def _child(request: Start, link_fd: int, controls: confine.Controls) -> None:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # Only the link stays: the control socket above all would be a way to ask for more.
        os.dup2(link_fd, _CONTROL, inheritable=False)
        os.closerange(_LINK, 1 << 16)
        link = socket.socket(fileno=_CONTROL)
        match request:
            case StartAirlock():
                process.run(request, link, controls)
            case StartSweep(path=path, uid=uid, gid=gid):
                sweep.run(path, uid, gid, link)
            case StartCount():
                count.run(request, link, controls)
            case StartMemory():
                memory.run(request, link, controls)
        status = 0
    except BaseException as error:  # noqa: BLE001 - the end of a process; said where root can see
        with contextlib.suppress(OSError):
            os.write(2, f"airlock ended: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(int(sys.argv[1]))
