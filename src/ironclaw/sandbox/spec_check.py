"""Refuses every spec that is weaker than the wall. Pure.

The check does not trust the builder: it states each rule again, from the finished spec alone, and
names the field that breaks it. It shares no list with the builder either: a line that is deleted
there is missed here. Rules are a table, so a test can weaken each one by one.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import astuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError
from ironclaw.domain.box_limits import CPU_MILLIS, FILE_BYTES, FILES, MEMORY_BYTES, PIDS, Bounds
from ironclaw.sandbox.ids import LEAST
from ironclaw.sandbox.spec import CPU_PERIOD_US, PROGRAM, RUNTIME_PIDS
from ironclaw_contract.limits import SANDBOX_GID, SANDBOX_UID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw.sandbox.seccomp import Seccomp
    from ironclaw.sandbox.spec import Mount, Spec

_ENVIRONMENT: Final = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
_WORKDIR: Final = "/workspace"
_NAMESPACES: Final = ["ipc", "mount", "network", "pid", "user", "uts"]
_MASKED: Final = {
    *("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug"),
    *("/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware"),
}
_READONLY_PATHS: Final = {
    *("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"),
}
_TMP: Final = {"nosuid", "nodev", "noexec", "mode=1777", "size=67108864"}
RLIMITS: Final = {
    "RLIMIT_CORE": Bounds(0, 0),
    "RLIMIT_FSIZE": FILE_BYTES,
    "RLIMIT_NOFILE": FILES,
    "RLIMIT_NPROC": PIDS,
}
_READ_ONLY: Final = frozenset({"/queue/in", "/run/ironclaw", "/shared"})
_BINDS: Final = _READ_ONLY | {"/queue/out", "/workspace", "/memory"}
_SHARED: Final = re.compile(r"\A/shared/[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
"""Where directories of the host may be, read-only."""
_SKILL: Final = re.compile(r"\A/shared/skills/[a-z0-9](?:-?[a-z0-9]){0,63}\Z")
"""Where skills may be, read-only."""
_KEPT: Final = re.compile(r"\A/[0-9a-f]{64}/files\Z")
"""What they may show, below the house's directory of them."""
_MODE: Final = {True: "ro", False: "rw"}
_SAFE: Final = frozenset({"nosuid", "nodev", "noexec"})
_OTHERS: Final = 0o007
_CGROUP: Final = re.compile(r"\A(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*){2,}\Z")


class Expected(NamedTuple):
    """What the check compares with and a spec cannot say of itself."""

    seccomp: Seccomp
    program: tuple[str, ...] = PROGRAM
    shown: tuple[tuple[str, str], ...] = ()
    """Sources of shared mounts, and which directory of the host each of them shows."""
    own: tuple[str, ...] = ()
    """Directories of the house itself: no shared mount shows them, what is in them, or around."""
    skills: str = ""
    """The house's own directory of skills; empty: there are none."""


Rule = tuple[str, "Callable[[Spec, Expected], bool]"]


def _mounts(spec: Spec, expected: Expected) -> bool:
    return _fixed_mounts(spec) and _shared_mounts(spec, expected) and _skill_mounts(spec, expected)


RULES: Final[tuple[Rule, ...]] = (
    ("root.path", lambda s, _: s.root.path.startswith("/") and ".." not in s.root.path.split("/")),
    ("root.readonly", lambda s, _: s.root.readonly is True),
    ("process.args", lambda s, e: s.process.args == e.program),
    ("process.env", lambda s, _: s.process.env == _ENVIRONMENT),
    ("process.cwd", lambda s, _: s.process.cwd == _WORKDIR),
    ("process.terminal", lambda s, _: s.process.terminal is False),
    ("process.user.uid", lambda s, _: s.process.user.uid == SANDBOX_UID),
    ("process.user.gid", lambda s, _: s.process.user.gid == SANDBOX_GID),
    ("process.user.umask", lambda s, _: s.process.user.umask & _OTHERS == _OTHERS),
    ("process.user.additionalGids", lambda s, _: s.process.user.additional_gids == ()),
    ("process.capabilities", lambda s, _: not any(astuple(s.process.capabilities))),
    ("process.noNewPrivileges", lambda s, _: s.process.no_new_privileges is True),
    ("process.oomScoreAdj", lambda s, _: 500 <= s.process.oom_score_adj <= 1000),  # noqa: PLR2004 - sooner than the core
    ("process.rlimits", lambda s, _: _rlimits(s)),
    ("mounts", _mounts),
    ("hostname", lambda s, _: s.hostname == "sandbox"),
    ("linux.namespaces", lambda s, _: _namespaces(s)),
    ("linux.uidMappings", lambda s, _: _mapping(s.linux.uid_mappings)),
    ("linux.gidMappings", lambda s, _: _mapping(s.linux.gid_mappings)),
    ("linux.resources.memory", lambda s, _: MEMORY_BYTES.hold(s.linux.resources.memory.limit)),
    ("linux.resources.cpu", lambda s, _: _cpu(s)),
    ("linux.resources.pids", lambda s, _: PIDS.hold(s.linux.resources.pids.limit - RUNTIME_PIDS)),
    ("linux.cgroupsPath", lambda s, _: _CGROUP.match(s.linux.cgroups_path) is not None),
    ("linux.seccomp", lambda s, e: s.linux.seccomp == e.seccomp),
    ("linux.maskedPaths", lambda s, _: set(s.linux.masked_paths) >= _MASKED),
    ("linux.readonlyPaths", lambda s, _: set(s.linux.readonly_paths) >= _READONLY_PATHS),
)


def check_spec(spec: Spec, expected: Expected, rules: Sequence[Rule] = RULES) -> None:
    """Refuse a spec weaker than the wall.

    Args:
        spec: A finished spec.
        expected: What it is compared with.
        rules: All of them; the proof asks with one left out.

    Raises:
        PolicyError: `SPEC_TOO_WEAK`; the message names every field that is too weak.
    """
    weak = [field for field, holds in rules if not holds(spec, expected)]
    if weak:
        raise PolicyError(
            Code.SPEC_TOO_WEAK,
            f"The sandbox that was asked for is weaker than the wall: {', '.join(weak)}.",
            hint="Choose limits within the bounds of docs/reference/spec.md; "
            "nothing else of the spec can be configured.",
        )


def _rlimits(spec: Spec) -> bool:
    limits = spec.process.rlimits
    return sorted(limit.type for limit in limits) == sorted(RLIMITS) and all(
        limit.soft == limit.hard and RLIMITS[limit.type].hold(limit.hard) for limit in limits
    )


def _cpu(spec: Spec) -> bool:
    cpu = spec.linux.resources.cpu
    return cpu.period == CPU_PERIOD_US and CPU_MILLIS.hold(cpu.quota * 1000 // cpu.period)


def _namespaces(spec: Spec) -> bool:
    spaces = spec.linux.namespaces
    return sorted(space.type for space in spaces) == _NAMESPACES and all(
        space.path == "" for space in spaces
    )


def _mapping(lines: tuple[object, ...]) -> bool:
    if len(lines) != 1:
        return False
    line = lines[0]
    # Host id 0 is the core itself, or root of the machine: it is never the box's.
    return (
        getattr(line, "container_id", -1) == 0
        and getattr(line, "host_id", 0) > 0
        and getattr(line, "size", 0) >= LEAST
    )


def _fixed_mounts(spec: Spec) -> bool:
    table = {mount.destination: mount for mount in spec.mounts}
    fixed = {path for path in table if not (_SHARED.match(path) or _SKILL.match(path))}
    if len(table) != len(spec.mounts) or fixed != _BINDS | {"/proc", "/tmp"}:  # noqa: S108 - the box's own
        return False
    sources = [mount.source for mount in spec.mounts if mount.destination not in {"/proc", "/tmp"}]  # noqa: S108
    return (
        len(set(sources)) == len(sources)
        and all(_bind(table[path]) for path in _BINDS)
        and table["/proc"].type == "proc"
        and set(table["/proc"].options) >= _SAFE
        and table["/tmp"].type == "tmpfs"  # noqa: S108 - the box's own
        and set(table["/tmp"].options) == _TMP  # noqa: S108
    )


def _shared_mounts(spec: Spec, expected: Expected) -> bool:
    places = [mount.destination for mount in spec.mounts]
    return all(
        _bind(mount)
        and _is_foreign(mount.source, expected)
        # What lies in `/shared` has to be mounted behind it, or is hidden by it.
        and "/shared" in places[:place]
        for place, mount in enumerate(spec.mounts)
        if _SHARED.match(mount.destination) is not None
    )


def _skill_mounts(spec: Spec, expected: Expected) -> bool:
    places = [mount.destination for mount in spec.mounts]
    shown = dict(expected.shown)
    return all(
        _bind(mount)
        and shown.get(mount.source, "").startswith(expected.skills)
        and _KEPT.match(shown[mount.source].removeprefix(expected.skills)) is not None
        and expected.skills.startswith("/")
        and "/shared" in places[:place]
        # It would lie in what people share, not in what is made for skills.
        and "/shared/skills" not in places
        for place, mount in enumerate(spec.mounts)
        if _SKILL.match(mount.destination) is not None
    )


def _is_foreign(source: str, expected: Expected) -> bool:
    shown = dict(expected.shown).get(source, "")
    if not shown.startswith("/") or ".." in shown.split("/") or not expected.own:
        return False
    path = PurePosixPath(shown)
    own = [PurePosixPath(each) for each in expected.own]
    return not any(path.is_relative_to(each) or each.is_relative_to(path) for each in own)


def _bind(mount: Mount) -> bool:
    parts = mount.source.split("/")
    is_read_only = mount.destination in _READ_ONLY or mount.destination.startswith("/shared/")
    return (
        mount.type == "bind"
        and mount.source.startswith("/")
        and len([part for part in parts if part]) > 1
        and ".." not in parts
        and set(mount.options) == {"rbind", "rprivate", _MODE[is_read_only], *_SAFE}
    )
