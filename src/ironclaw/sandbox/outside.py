"""Measures a running box from outside: /proc and cgroup files, without starting a program.

Only kernel-made files are read. `measure` takes about a millisecond.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import PeerError
from ironclaw.sandbox import cgroups

if TYPE_CHECKING:
    from ironclaw.sandbox.cgroups import Cgroups

NAMESPACES = ("user", "net", "mnt", "ipc", "uts")
"""The sentry shares the pid namespace: it must see its stubs. The gofer has one of its own."""


class ProcessFacts(NamedTuple):
    """One host process of a box."""

    uids: frozenset[int]
    gids: frozenset[int]
    capabilities: int
    """All five sets, united."""
    seccomp: int
    no_new_privs: bool
    namespaces: dict[str, bool]
    """By name: True when it is another one than ours."""
    mounts: dict[str, frozenset[str]]
    """Mount point, as the process sees it, to its options."""


class OutsideFacts(NamedTuple):
    """All that the host measures of one box."""

    sentry: ProcessFacts
    gofer: ProcessFacts
    members: frozenset[int]
    """Pids in the box's cgroup."""
    limits: dict[str, str]
    """Limits as the kernel has them."""
    host_kernel: str
    """`/proc/version` of the host."""
    flags: frozenset[str] = frozenset()
    """What the sentry was told on its command line, `--name=value`."""


def measure(sentry: int, gofer: int, groups: Cgroups, cgroup: str) -> OutsideFacts:
    """Measure a box.

    Raises:
        PeerError: It is gone (`BOX_BROKEN`).
    """
    try:
        return OutsideFacts(
            sentry=measure_process(sentry),
            gofer=measure_process(gofer),
            members=cgroups.members(groups, cgroup) if groups.usable else frozenset(),
            limits=cgroups.read_limits(groups, cgroup) if groups.usable else {},
            host_kernel=Path("/proc/version").read_text(encoding="utf-8").strip(),
            flags=_flags(sentry),
        )
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise PeerError(
            Code.BOX_BROKEN,
            "The sandbox ended before its launch could be proven.",
            hint="`ironclaw logs` has what runsc said; a new one is started by itself.",
            detail=str(error),
        ) from error


def measure_process(pid: int) -> ProcessFacts:
    """Measure one process. Raises OSError, KeyError, ValueError: it is gone."""
    base = f"/proc/{pid}"
    status = dict(
        line.split(":\t", 1) for line in _read(f"{base}/status").splitlines() if ":\t" in line
    )
    capabilities = 0
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        capabilities |= int(status[name], 16)
    return ProcessFacts(
        uids=frozenset(int(word) for word in status["Uid"].split()),
        gids=frozenset(int(word) for word in status["Gid"].split()),
        capabilities=capabilities,
        seccomp=int(status["Seccomp"]),
        no_new_privs=status["NoNewPrivs"].strip() == "1",
        namespaces={
            name: _namespace(base, name) != _namespace("/proc/self", name)
            for name in (*NAMESPACES, "pid")
        },
        mounts=dict(_mount(line) for line in _read(f"{base}/mountinfo").splitlines()),
    )


def _flags(pid: int) -> frozenset[str]:
    words = _read(f"/proc/{pid}/cmdline").split("\0")
    return frozenset(word for word in words if word.startswith("--"))


def _mount(line: str) -> tuple[str, frozenset[str]]:
    # Source: proc(5), mountinfo: the fifth field is the mount point, the sixth its own options.
    fields = line.split()
    return fields[4], frozenset(fields[5].split(","))


def _namespace(base: str, name: str) -> str:
    return os.readlink(f"{base}/ns/{name}")  # noqa: PTH115 - hot path


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - hot path
        return file.read()
