"""Things put into the queue's directories that are no segments, or segments in disguise."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import time
from typing import TYPE_CHECKING, Any, Final

import apsw

from ironclaw.prove.probe.forgeries import forged, sealed
from ironclaw_contract.keys import Direction
from ironclaw_contract.limits import MAX_SEGMENT_BYTES
from ironclaw_contract.queue_dir import segment_name
from ironclaw_contract.segment import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.prove.probe.hold import Hold

    Args = dict[str, Any]
    Attack = Callable[["Hold", dict[str, Any]], str | None]

_IN: Final = "/queue/in"
_OUT: Final = "/queue/out"
_RACE_S: Final = 0.5
_ODD: Final = (
    b"x",
    b"\xff\xfe",
    b"new\nline",
    b".hidden",
    b"a" * 255,
    b"-rf",
    b"0000000000000001.seg\n",
    b"0000000000000000.seg",
    "٠٠٠٠٠٠٠٠٠٠٠٠٠٩٩٩.seg".encode(),
    b"00000000000009999.seg",
    b"000000000000999.seg",
    b"0000000000000999.SEG",
    b"+000000000000999.seg",
)


# --- /queue/in ------------------------------------------------------------------------------------


def _write_in(_hold: Hold, _args: Args) -> str:
    path = f"{_IN}/{segment_name(999_999)}"
    with open(path, "wb"):  # noqa: PTH123 - no pathlib in a probe
        pass
    os.unlink(path)  # noqa: PTH108 - the same
    return "done"


def _newest_in(hold: Hold) -> str:
    return f"{_IN}/{max(os.listdir(hold.into))}"  # noqa: PTH208 - an open directory


def _rename_in(hold: Hold, _args: Args) -> str:
    path = _newest_in(hold)
    os.rename(path, path + "x")  # noqa: PTH104 - no pathlib in a probe
    os.rename(path + "x", path)  # noqa: PTH104 - the same
    return "done"


def _unlink_in(hold: Hold, _args: Args) -> str:
    os.unlink(_newest_in(hold))  # noqa: PTH108 - no pathlib in a probe
    return "done"


# --- in place of the next segment ---------------------------------------------------------------


def _aside(hold: Hold) -> str:
    """A forged but right segment under a name that is left alone."""
    name = "." + segment_name(hold.chain.seq + 500)
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640, dir_fd=hold.out)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(sealed(hold, [forged(hold)]))
    return name


def _symlink(target: Callable[[Hold], str]) -> Attack:
    def go(hold: Hold, _args: Args) -> None:
        os.symlink(target(hold), hold.next, dir_fd=hold.out)
        hold.ring()

    return go


def _hard_link(hold: Hold, _args: Args) -> None:
    os.link(_aside(hold), hold.next, src_dir_fd=hold.out, dst_dir_fd=hold.out)
    hold.ring()


def _fifo(hold: Hold, _args: Args) -> str | None:
    os.mkfifo(hold.next, 0o660, dir_fd=hold.out)
    return _made(hold)


def _made(hold: Hold) -> str | None:
    """A kernel that keeps such a thing to itself shows the host nothing of it."""
    hold.ring()
    return None if hold.waits(0.3, hold.is_cut) else "made"


def _device(hold: Hold, _args: Args) -> None:
    os.mknod(hold.next, stat.S_IFCHR | 0o660, os.makedev(1, 8), dir_fd=hold.out)
    hold.ring()


def _socket(hold: Hold, _args: Args) -> str | None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{_OUT}/{hold.next}")
        return _made(hold)


def _directory(hold: Hold, _args: Args) -> None:
    os.mkdir(hold.next, dir_fd=hold.out)
    hold.ring()


def _full_directory(hold: Hold, args: Args) -> str | None:
    """One that a sweep cannot remove by itself."""
    os.makedirs(f"{_OUT}/deep/deeper")  # noqa: PTH103 - no pathlib in a probe
    hold.ring()
    return None if hold.waits(args["wait_s"] / 2, hold.is_cut) else "left"


def _sparse(size: int) -> Attack:
    def go(hold: Hold, _args: Args) -> None:
        hidden = "." + hold.next
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=hold.out)
        try:
            os.truncate(fd, size)
            os.rename(hidden, hold.next, src_dir_fd=hold.out, dst_dir_fd=hold.out)
        except OSError:
            os.unlink(hidden, dir_fd=hold.out)
            raise
        finally:
            os.close(fd)
        hold.ring()

    return go


def _empty(hold: Hold, _args: Args) -> None:
    hold.plant(b"")


def _mode(bits: int) -> Attack:
    def go(hold: Hold, _args: Args) -> None:
        data = sealed(hold, [forged(hold)])
        hidden = "." + hold.next
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=hold.out)
        try:
            os.write(fd, data)
            os.fchmod(fd, bits)
        finally:
            os.close(fd)
        os.rename(hidden, hold.next, src_dir_fd=hold.out, dst_dir_fd=hold.out)
        hold.ring()

    return go


def _setuid(hold: Hold, _args: Args) -> str:
    """A program for whoever finds it, under a name that is left alone."""
    name = "." + segment_name(hold.chain.seq + 700)
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=hold.out)
    os.fchmod(fd, 0o6755)
    os.close(fd)
    hold.step()
    os.unlink(name, dir_fd=hold.out)
    return "held"


def _race(hold: Hold, _args: Args) -> None:
    """Replace the file by links to a forged segment and back, as fast as can be."""
    aside = _aside(hold)
    bad = sealed(hold, [forged(hold)._replace(mac=bytes(32))])
    deadline = time.monotonic() + _RACE_S
    count = 0
    while time.monotonic() < deadline and not hold.is_cut():
        count += 1
        name = f".{segment_name(hold.chain.seq + 300 + count % 2)}"
        with contextlib.suppress(OSError):
            if count % 2:
                os.symlink(aside, name, dir_fd=hold.out)
            else:
                fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=hold.out)
                os.write(fd, bad)
                os.close(fd)
            os.rename(name, hold.next, src_dir_fd=hold.out, dst_dir_fd=hold.out)
        hold.ring()


def _far(hold: Hold, _args: Args) -> None:
    """A later segment while the next one is not there."""
    chain = hold.fork()
    hold.plant(
        sealed(hold, [forged(hold, chain=hold.fork(seq=chain.seq + 5, last=chain.last))]),
        name=segment_name(chain.seq + 6),
    )


# --- beside the next segment --------------------------------------------------------------------


def _swept(hold: Hold, names: tuple[bytes, ...], wait_s: float) -> str:
    """Put files with these names there; tell which are left when others were served."""
    made = []
    for name in names:
        with contextlib.suppress(OSError):
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=hold.out))
            made.append(name)
    hold.ring()
    there = os.fsencode(_OUT)
    gone = hold.waits(wait_s, lambda: not set(made) & set(os.listdir(there)))  # noqa: PTH208 - names as bytes
    return f"swept {len(made)}" if gone else "left"


def _odd_names(hold: Hold, args: Args) -> str:
    said = _swept(hold, _ODD, args["wait_s"])
    return "swept" if said.startswith("swept") else said


def _digits(hold: Hold, args: Args) -> str:
    """Digits of another script are digits to Python as well."""
    number = "".join(chr(0x0660 + int(digit)) for digit in f"{hold.chain.seq + 7:016d}")
    said = _swept(hold, (f"{number}.seg".encode(),), args["wait_s"])
    return "swept" if said == "swept 1" else said


def _temporary(hold: Hold, _args: Args) -> str:
    """A whole forged segment under the name that one in the making has."""
    name = "." + hold.next
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=hold.out)
    os.write(fd, sealed(hold, [forged(hold)]))
    os.close(fd)
    hold.ring()
    hold.waits(0.1, lambda: False)
    os.unlink(name, dir_fd=hold.out)
    return "not read"


def _many(hold: Hold, _args: Args) -> str:
    """A hundred thousand files, or as many as go in."""
    made = []
    try:
        for number in range(100_000):
            name = f".{segment_name(hold.chain.seq + 1000 + number)}"
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o640, dir_fd=hold.out))
            made.append(name)
            if number % 600 == 599:  # noqa: PLR2004 - just over what the airlock takes
                hold.ring()
                if hold.waits(0.3, hold.is_cut):
                    return "cut"
    except OSError as error:
        return "capped" if error.errno == 28 else f"capped by {error.errno}"  # noqa: PLR2004 - ENOSPC
    finally:
        for name in made:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=hold.out)
    return "uncapped"


def _super_journal(victim: bytes) -> bytes:
    """A rollback journal without pages that names a file to be removed once it is rolled back."""
    head = bytes.fromhex("d9d505f920a163d7") + struct.pack(">IIIII", 0, 0, 1, 512, 4096)
    check = sum(struct.unpack(f"{len(victim)}b", victim)) & 0xFFFFFFFF
    pointer = struct.pack(">I", 0x40000000 // 4096 + 1) + victim
    tail = pointer + struct.pack(">II", len(victim), check) + bytes.fromhex("d9d505f920a163d7")
    return head.ljust(512, b"\0") + tail


def _journal(hold: Hold, args: Args) -> None:
    """SQLite removes the file that a journal names, if somebody opens the database to write."""
    beside(hold, "-journal", _super_journal(args["victim"].encode()))
    hold.plant(sealed(hold, [forged(hold)._replace(mac=bytes(32))]))


def beside(hold: Hold, suffix: str, data: bytes) -> None:
    """Put a file beside the next segment."""
    fd = os.open(hold.next + suffix, os.O_WRONLY | os.O_CREAT, 0o660, dir_fd=hold.out)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(data)


def _wal(hold: Hold, _args: Args) -> None:
    """A database in write-ahead mode whose forged record is in the log beside it alone."""
    path = "/tmp/.wal.seg"  # noqa: S108 - the box's own
    connection = apsw.Connection(path, vfs="multipleciphers-unix")
    key = hold.keys(Direction.OUT).page.hex()
    setup = f"PRAGMA cipher='sqlcipher'; PRAGMA legacy=4; PRAGMA key=\"x'{key}'\";"
    connection.execute(setup + "PRAGMA locking_mode=EXCLUSIVE;").fetchall()
    connection.execute("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0").fetchall()
    connection.execute(SCHEMA)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", forged(hold))
    contents = []
    for name in (path, path + "-wal"):
        with open(name, "rb") as file:  # noqa: PTH123 - no pathlib in a probe
            contents.append(file.read())
    connection.close()
    os.unlink(path)  # noqa: PTH108 - no pathlib in a probe
    beside(hold, "-wal", contents[1])
    hold.plant(contents[0])


ATTACKS: Final[dict[str, Attack]] = {
    "honest": lambda _hold, _args: "done",
    "write_in": _write_in,
    "rename_in": _rename_in,
    "unlink_in": _unlink_in,
    "symlink_host": _symlink(lambda _hold: "/etc/passwd"),
    "symlink_in": _symlink(lambda hold: "../in/" + _newest_in(hold).rpartition("/")[2]),
    "symlink_segment": _symlink(_aside),
    "hard_link": _hard_link,
    "fifo": _fifo,
    "device": _device,
    "socket": _socket,
    "directory": _directory,
    "full_directory": _full_directory,
    "sparse": _sparse(1 << 40),
    "oversize": _sparse(4 * MAX_SEGMENT_BYTES),
    "empty": _empty,
    "setuid": _setuid,
    "unreadable": _mode(0),
    "race": _race,
    "far": _far,
    "odd_names": _odd_names,
    "digits": _digits,
    "temporary": _temporary,
    "many": _many,
    "journal": _journal,
    "wal": _wal,
}
