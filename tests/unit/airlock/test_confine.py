"""What an airlock can still do once it is shut in: read from /proc, and tried from inside."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.slots import listing, slots

from ironclaw.airlock import confine, landlock, seccomp
from ironclaw.airlock.tools import SPARES

if TYPE_CHECKING:
    from collections.abc import Callable

needs_root = pytest.mark.root_only


@pytest.fixture
def shut_in(tmp_path: Path) -> Callable[..., str]:
    """Run something in a confined child; return its word, or how it was killed."""
    for name in ("in", "out", "run"):
        (tmp_path / name).mkdir(mode=0o777)
        (tmp_path / name).chmod(0o777)
    (tmp_path / "secret").write_text("state")
    (tmp_path / "secret").chmod(0o666)
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    uid = 64531 if os.geteuid() == 0 else os.geteuid()

    def run(attempt: Callable[[], object], *, without: str = "") -> str:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            word = "nothing"
            try:
                controls = confine.Controls()
                if without != confine.ROOT:
                    confine.enter(controls, str(tmp_path), ("in", "out", "run"))
                confine.take_ids(controls, uid, uid)
                dirs = {
                    os.open(
                        "/in" if confine.ROOT in controls.held else tmp_path / "in", os.O_PATH
                    ): (landlock.READ_DIR | landlock.MAKE_REG | landlock.WRITE_FILE)
                }
                if without != "seal":
                    confine.seal(controls, dirs)
                attempt()
                word = "done"
            except OSError as error:
                word = type(error).__name__
            finally:
                os.write(writer, word.encode())
                os._exit(0)
        os.close(writer)
        said = os.read(reader, 100).decode()
        os.close(reader)
        _, status = os.waitpid(pid, 0)
        return said if os.WIFEXITED(status) else signal.Signals(os.WTERMSIG(status)).name

    return run


def call(number: int, *arguments: int) -> Callable[[], None]:
    def go() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long  # an address does not fit an int
        words = [ctypes.c_long(argument) for argument in (number, *arguments)]
        if libc.syscall(*words) < 0:
            raise OSError(ctypes.get_errno(), "refused")

    return go


FORBIDDEN = {
    "start a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - it must not start
    "fork": os.fork,
    "make a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "make a local socket": lambda: socket.socket(socket.AF_UNIX),
    "link": lambda: os.link("in", "out", src_dir_fd=0, dst_dir_fd=0),
    "change root": lambda: os.chroot("/"),
    "have a descriptor send signals": lambda: fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid()),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_only_an_attacker_would_do_kills(shut_in: Callable[..., str], what: str) -> None:
    assert shut_in(FORBIDDEN[what]) == "SIGSYS"


def test_memory_cannot_be_made_executable(shut_in: Callable[..., str]) -> None:
    map_executable = call(9 if os.uname().machine == "x86_64" else 222, 0, 4096, 7, 0x22, -1, 0)
    assert shut_in(map_executable) == "PermissionError"
    assert shut_in(map_executable, without="seal") == "done"


def test_memory_that_no_limit_counts_cannot_be_had(shut_in: Callable[..., str]) -> None:
    map_shared = call(9 if os.uname().machine == "x86_64" else 222, 0, 4096, 3, 0x21, -1, 0)
    assert shut_in(map_shared) == "PermissionError"
    assert shut_in(map_shared, without="seal") == "done"


def test_nothing_outside_the_slot_can_be_opened(
    shut_in: Callable[..., str], tmp_path: Path
) -> None:
    for path in (str(tmp_path / "secret"), "/etc/hostname", "/proc/self/mem"):
        word = shut_in(lambda path=path: os.open(path, os.O_RDONLY))
        assert word in {"FileNotFoundError", "PermissionError"}, path
    # The weakened twin: with nothing shut, the same open succeeds.
    assert shut_in(lambda: os.open(tmp_path / "secret", os.O_RDONLY), without="seal") in {
        "FileNotFoundError",
        "done",
    }


def test_landlock_alone_keeps_the_rest_of_the_file_system_away(
    shut_in: Callable[..., str], tmp_path: Path
) -> None:
    """Without a root of its own the airlock still cannot read what lies beside its slot."""
    beside = tmp_path / "secret"
    assert shut_in(lambda: os.open(beside, os.O_RDONLY), without=confine.ROOT) == "PermissionError"


def test_a_control_that_cannot_be_had_is_named() -> None:
    def fail() -> None:
        raise OSError("not here")

    controls = confine.Controls()
    assert not controls.attempt("wall", fail)
    assert controls.attempt("door", lambda: None)
    assert (controls.held, controls.missing) == (["door"], ["wall"])


@pytest.mark.parametrize(("arch", "column"), [(0xC000003E, 0), (0xC00000B7, 1)])
def test_the_filter_is_a_program_whose_jumps_stay_inside(arch: int, column: int) -> None:
    steps = list(struct.iter_unpack("=HBBI", seccomp.program(arch, column)))
    assert steps[1][3] == arch
    for place, (code, if_true, if_false, _) in enumerate(steps):
        if code & 7 == 5:
            assert place + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 0x06


@needs_root
async def test_a_running_airlock_looks_from_outside_as_it_says() -> None:
    async with slots() as (slot,):
        link = await slot.start()
        assert link.missing == ()
        proc = Path(f"/proc/{link.pid}")
        status = dict(
            line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line
        )
        assert status["Uid"].split() == [str(slot.dir.airlock_uid)] * 4
        assert status["Gid"].split() == [str(slot.dir.group)] * 4
        assert status["Groups"].split() == []
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[name], 16) == 0, name
        assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
        assert listing(proc / "root") == ["in", "out", "run"]
        for space in ("net", "mnt", "ipc", "uts"):
            own = (Path("/proc/self/ns") / space).readlink()
            assert (proc / "ns" / space).readlink() != own, space
        assert (proc / "net" / "route").read_text().count("\n") <= 1
        # No descriptor of the zygote's: in, out, run, link, two sockets, one selector, standard,
        # and the sockets to offer tools on.
        targets = [(proc / "fd" / fd).readlink() for fd in listing(proc / "fd")]
        assert len(targets) <= 10 + SPARES
        await asyncio.sleep(0)
