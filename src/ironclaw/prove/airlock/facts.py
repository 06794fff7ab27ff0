"""What an airlock looks like from outside: read from /proc by the core, with its own eyes.

A fact is a short word; the check that expects it says which control makes it so.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ironclaw.airlock.tools import SPARES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ironclaw.domain.wall import SlotDir

OWN: Final = "own"
NONE: Final = "none"
WORLD: Final = "in, out, run"
OPEN: Final = f"3 directories, {3 + SPARES} sockets"
LOCKED: Final = "nobody of its uid"
NARROW: Final = "3 directories on a read-only root"
MASK: Final = "0007"
NOTHING: Final = "nothing"
_NETWORK_SPACES: Final = ("net", "ipc", "uts")
_SETS: Final = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_LIMITS: Final = {
    "airlock.limit_processes": "Max processes",
    "airlock.limit_core": "Max core file size",
    "airlock.limit_locked": "Max locked memory",
    "airlock.limit_queues": "Max msgqueue size",
}
_STANDARD: Final = 3
_SAFE: Final = frozenset({"nosuid", "nodev", "noexec"})
_MOUNTS: Final = {"/": _SAFE | {"ro"}, "/in": _SAFE, "/out": _SAFE, "/run": _SAFE}
"""What an airlock has in its world, with the options that each must have."""
_MOST_REGION: Final = 256 * 1024 * 1024


def facts(pid: int, directory: SlotDir) -> dict[str, str]:
    """Look at a confined airlock.

    Args:
        pid: Its process id.
        directory: The slot it was started for.

    Returns:
        A word by name of check.

    Raises:
        OSError: It ended, or we may not look.
    """
    proc = Path(f"/proc/{pid}")
    pairs = (line.partition(":") for line in _text(proc / "status").splitlines())
    status = {name: value.strip() for name, _, value in pairs}
    return {
        "airlock.network_namespace": _spaces(proc, _NETWORK_SPACES),
        "airlock.interfaces": _interfaces(proc),
        "airlock.mount_namespace": _spaces(proc, ("mnt",)),
        "airlock.root_directory": _root(proc),
        "airlock.mounts": _mounts(proc),
        "airlock.umask": status.get("Umask", "none"),
        "airlock.identity": _identity(status, directory),
        "airlock.capabilities": ", ".join(name for name in _SETS if int(status.get(name, "0"), 16))
        or NONE,
        "airlock.no_new_privs": status.get("NoNewPrivs", "0"),
        "airlock.seccomp_mode": status.get("Seccomp", "0"),
        "airlock.not_dumpable": _dumpable(proc, directory),
        "airlock.descriptors": _descriptors(proc),
        **_limits(proc),
    }


def holds(pid: int, needles: Collection[bytes]) -> str:
    """Look for secrets in all memory of a process that it could write: its own, and inherited."""
    for region in _memory(pid):
        if any(needle in region for needle in needles):
            return "found a secret"
    return NOTHING


def _memory(pid: int) -> Iterator[bytes]:
    with contextlib.ExitStack() as stack:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, memory)
        for line in _text(Path(f"/proc/{pid}/maps")).splitlines():
            place, rights = line.split(maxsplit=2)[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(word, 16) for word in place.split("-"))
            if end - start > _MOST_REGION:
                raise OSError(f"a region of {end - start} bytes")
            with contextlib.suppress(OSError):  # a guard page, or one that is nobody's
                yield os.pread(memory, end - start, start)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _spaces(proc: Path, names: tuple[str, ...]) -> str:
    own = Path("/proc/self/ns")
    shared = [name for name in names if (proc / "ns" / name).readlink() == (own / name).readlink()]
    return "the core's: " + ", ".join(shared) if shared else OWN


def _interfaces(proc: Path) -> str:
    """Interfaces beside loopback, and addresses: a loopback that is up has one."""
    rows = _text(proc / "net" / "dev").splitlines()[2:]
    names = [name for row in rows if (name := row.partition(":")[0].strip()) != "lo"]
    addresses = proc / "net" / "if_inet6"
    if addresses.exists() and _text(addresses).strip():
        names.append("addresses")
    return ", ".join(names) or NONE


def _root(proc: Path) -> str:
    names = sorted(os.listdir(proc / "root"))  # noqa: PTH208 - names alone
    return ", ".join(names) if len(names) <= _STANDARD else f"{len(names)} entries"


def _mounts(proc: Path) -> str:
    """What is mounted in its world, a former root on top of the new one among it."""
    seen = [line.split() for line in _text(proc / "mountinfo").splitlines()]
    if len(seen) != len(_MOUNTS):
        return f"{len(seen)} mounts"
    loose = [
        place
        for _, _, _, _, place, options, *_ in seen
        if not _MOUNTS.get(place, {"unknown"}) <= set(options.split(","))
    ]
    return "loose: " + ", ".join(loose) if loose else NARROW


def _identity(status: dict[str, str], directory: SlotDir) -> str:
    wanted = {
        "Uid": [str(directory.airlock_uid)] * 4,
        "Gid": [str(directory.group)] * 4,
        "Groups": [],
    }
    odd = [name for name, words in wanted.items() if status.get(name, "?").split() != words]
    if directory.airlock_uid == os.getuid():
        return "the core's"
    if directory.airlock_uid == directory.box_uid:
        return "its box's"
    return "not its own: " + ", ".join(odd) if odd else OWN


def _dumpable(proc: Path, directory: SlotDir) -> str:
    """The kernel gives the files of a process that must not be looked into to root."""
    return "its uid" if (proc / "environ").stat().st_uid == directory.airlock_uid else LOCKED


def _descriptors(proc: Path) -> str:
    kinds: dict[str, int] = {}
    for name in os.listdir(proc / "fd"):  # noqa: PTH208 - names alone
        if int(name) < _STANDARD:
            continue  # the core's own: the log that says why an airlock ended
        target = str((proc / "fd" / name).readlink())
        kind = "directories" if target.startswith("/") else target.partition(":")[0] + "s"
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _limits(proc: Path) -> dict[str, str]:
    rows = _text(proc / "limits").splitlines()
    found = {}
    for check, label in _LIMITS.items():
        row = next(row for row in rows if row.startswith(label))
        soft, hard = row[len(label) :].split()[:2]
        found[check] = soft if soft == hard else f"{soft} to {hard}"
    return found
