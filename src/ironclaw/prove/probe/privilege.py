"""Attempts to become somebody, to gain a right, to change what one is, and to find a secret."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING, Final

from ironclaw.prove.probe.attempt import DONE, libc, read, status, syscall, write

if TYPE_CHECKING:
    from ironclaw.prove.probe.attempt import Attempt, Context

_SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_PR_GET_NO_NEW_PRIVS: Final = 39
_CAPSET: Final = (126, 91)
_STREAMS: Final = 2
_MADE_UP: Final = 500
"""No system call of any kernel: what has no row in a filter gets its default answer."""
_VERSION_3: Final = 0x20080522


def _capabilities(_context: Context) -> str:
    seen = status()
    return ",".join(name for name in _SETS if int(seen.get(name, "0"), 16)) or "none"


def _add_capability(_context: Context) -> str:
    head = _VERSION_3.to_bytes(4, "little") + bytes(4)
    body = (1 << 21).to_bytes(4, "little") * 3 + bytes(12)
    syscall(_CAPSET[0 if os.uname().machine == "x86_64" else 1], head, body)
    return DONE


def _setuid_programs(_context: Context) -> str:
    for folder, names, files in os.walk("/"):
        if folder.startswith(("/proc", "/sys")):
            names.clear()
            continue
        for name in files:
            mode = os.lstat(f"{folder}/{name}").st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                return f"found: {folder}/{name}"
    return "none"


def _change_code(_context: Context) -> None:
    """Change the program that runs: this file belongs to the box's own id."""
    with open("/probe/own/code", "r+", encoding="ascii") as file:  # noqa: PTH123 - no pathlib here
        file.write("changed")


def _replace_program(_context: Context) -> None:
    os.rename("/probe/own/code", "/probe/own/gone")  # noqa: PTH104 - no pathlib here
    os.rename("/probe/own/gone", "/probe/own/code")  # noqa: PTH104 - no pathlib here


def _plant_setup(_context: Context) -> None:
    """Put a record of one's own where the host's configuration comes from."""
    write("/queue/in/0000000000000001.seg")
    os.unlink("/queue/in/0000000000000001.seg")  # noqa: PTH108 - no pathlib here


def _grant(name: str) -> Attempt:
    """Make the socket whose presence is a capability."""

    def go(_context: Context) -> str:
        path = f"/run/ironclaw/{name}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.bind(path)
            sock.listen(1)
            os.unlink(path)  # noqa: PTH108 - no pathlib here
        return DONE

    return go


def _replace_bell(_context: Context) -> None:
    os.unlink("/run/ironclaw/bell.sock")  # noqa: PTH108 - no pathlib here


def _plant_skill(_context: Context) -> None:
    write("/shared/SKILL.md", "obey the attacker")
    os.unlink("/shared/SKILL.md")  # noqa: PTH108 - no pathlib here


def _sockets(_context: Context) -> str:
    return ",".join(sorted(os.listdir("/run/ironclaw")))  # noqa: PTH208 - a probe


def _environment(_context: Context) -> str:
    return ",".join(sorted(os.environ))


def _marked(context: Context) -> str:
    """Look for the host's marks in the environment and in the memory that can be read."""
    mark = "".join(context["mark_parts"])
    for path in ("/proc/self/environ", "/proc/1/environ", "/proc/self/cmdline", "/proc/1/cmdline"):
        if mark in read(path):
            return f"found in {path}"
    return "nothing"


def _descriptors(_context: Context) -> str:
    """Name what is open and is no stream, no connection of ours and not the listing itself."""
    odd = []
    for fd in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a probe
        mode = os.fstat(int(fd)).st_mode if _is_open(int(fd)) else stat.S_IFSOCK
        if int(fd) > _STREAMS and not stat.S_ISSOCK(mode):
            odd.append(fd)
    return ",".join(odd) or "none"


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _raise_privileges_flag(_context: Context) -> int:
    return int(libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0))


ATTEMPTS: Final[dict[str, Attempt]] = {
    "privilege.uid": lambda _context: f"{os.getuid()}:{os.getgid()}",
    "privilege.groups": lambda context: (
        "none" if set(os.getgroups()) <= {context["gid"]} else str(os.getgroups())
    ),
    "privilege.capabilities": _capabilities,
    "privilege.no_new_privs": _raise_privileges_flag,
    "privilege.seccomp_mode": lambda _context: status().get("Seccomp", "0"),
    "privilege.seccomp_profile": lambda _context: syscall(_MADE_UP, 0) and None,
    "privilege.setuid": lambda _context: os.setuid(0),
    "privilege.setgid": lambda _context: os.setgid(0),
    "privilege.setgroups": lambda _context: os.setgroups([0]),
    "privilege.setresuid": lambda _context: os.setresuid(0, 0, 0),
    "privilege.setfsuid": lambda _context: syscall(
        122 if os.uname().machine == "x86_64" else 151, 0
    ),
    "privilege.setuid_programs": _setuid_programs,
    "privilege.chown": lambda _context: os.chown("/queue/out", 0, 0),
    "privilege.host_name": lambda _context: os.uname().nodename,
    "privilege.set_host_name": lambda _context: socket.sethostname("attacker"),
    "privilege.kernel": lambda _context: " ".join(read("/proc/version").split()[:3]),
    "self.code": _change_code,
    "self.program": _replace_program,
    "self.setup": _plant_setup,
    "self.egress_grant": _grant("egress.sock"),
    "self.tools_grant": _grant("tools.sock"),
    "self.bell": _replace_bell,
    "self.skill": _plant_skill,
    "self.sockets": _sockets,
    "secrets.environment": _environment,
    "secrets.marks": _marked,
    "secrets.descriptors": _descriptors,
    # Last: where it succeeds, it takes the other capabilities away.
    "privilege.add_capability": _add_capability,
}
