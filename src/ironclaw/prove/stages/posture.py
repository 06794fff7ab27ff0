"""The proof of every launch, proven: each of its checks holds of a real box and can fail.

Production compares what runs with what the spec asked for before a session's key enters a box
(`sandbox.posture`). Here each of those checks is a check of its own, and each has a twin: a box
weakened in that one way or, where a box cannot be weakened so, an ordinary process of this machine
in the sentry's and the program's place.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.prove import controls as w
from ironclaw.prove.box.probe_box import probe_box
from ironclaw.prove.box.weakenings import TWINS, WEAKENINGS
from ironclaw.prove.model import Check, Need, Twin
from ironclaw.sandbox import posture
from ironclaw.sandbox.outside import measure_process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ironclaw.core.ids import SlotId
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.sandbox.posture import Evidence

_SAFE: Final = frozenset({"nosuid", "nodev", "noexec"})
_HOLDS: Final = "holds"
_DIFFERS: Final = "differs"
_SENTRY: Final = "gVisor's sentry"
_GOFER: Final = "gVisor's gofer"
_UNSEALED: Final = Twin("unsealed-process", (_SENTRY, _GOFER))


class _LaunchedRoot(msgspec.Struct, frozen=True):
    path: str


class _LaunchedMount(msgspec.Struct, frozen=True):
    destination: str
    source: str


class _Launched(msgspec.Struct, frozen=True):
    root: _LaunchedRoot
    mounts: tuple[_LaunchedMount, ...]


class _Row(NamedTuple):
    """What a check of the posture is about, and the twin in which it differs."""

    claim: str
    control: str
    twin: str = _UNSEALED.name
    needs: Need | None = None


_ROWS: Final = {
    "outside.sentry.uid": _Row("The sentry is neither root nor the core's user.", _SENTRY),
    "outside.sentry.capabilities": _Row(
        "The sentry has no capability of the host.", w.DIRECTFS, "directfs"
    ),
    "outside.sentry.seccomp": _Row("The sentry runs under a filter of the host.", _SENTRY),
    "outside.sentry.namespaces": _Row(
        "The sentry has namespaces of its own.", w.NO_NETWORK, "host-network-filtered"
    ),
    "outside.sentry.mounts": _Row("The sentry sees no file of the host.", _SENTRY),
    "outside.sentry.flags": _Row(
        "The sentry was told every flag that seals a box.", w.NO_NETWORK, "flag-network"
    ),
    "outside.gofer.ids": _Row("The gofer acts as an id of the box's range.", w.IDS, "shifted-ids"),
    "outside.gofer.capabilities": _Row(
        "The gofer has only what it needs to open files, in its own namespace.", _GOFER
    ),
    "outside.gofer.seccomp": _Row("The gofer runs under a filter of the host.", _GOFER),
    "outside.gofer.namespaces": _Row("The gofer has namespaces of its own.", _GOFER),
    "outside.gofer.mounts": _Row(
        "The gofer sees the box's mounts, with the options of the spec, and nothing else.",
        w.READ_ONLY_BIND,
        "writable-root",
    ),
    "outside.cgroup.members": _Row(
        "Sentry and gofer are in the box's control group.", w.CGROUP, "no-cgroup", Need.CGROUPS
    ),
    "outside.cgroup.limits": _Row(
        "The kernel holds the box to its memory, processor and tasks.",
        w.MEMORY,
        "more-memory",
        Need.CGROUPS,
    ),
    "inside.uid": _Row("The program has the spec's uid.", w.NO_USER, "root-user"),
    "inside.gid": _Row("The program has the spec's gid.", "spec process.user.gid", "root-group"),
    "inside.groups": _Row("The program has no further group.", w.GROUPS, "more-groups"),
    "inside.capabilities": _Row(
        "The program has no capability.", w.NO_CAPABILITIES, "capabilities"
    ),
    "inside.no_new_privs": _Row("The program can gain no privilege.", _SENTRY),
    "inside.seccomp": _Row("The program runs under the spec's filter.", w.SECCOMP, "no-filter"),
    "inside.interfaces": _Row(
        "The program sees loopback alone.", w.NO_NETWORK, "host-network-filtered"
    ),
    "inside.routes": _Row("The program has no route.", w.NO_NETWORK, "host-network-filtered"),
    "inside.root": _Row("The program's root is read-only.", w.READ_ONLY_ROOT, "root-flag"),
    "inside.queue_in": _Row(
        "The program cannot write to its inbound queue.", w.IN_READ_ONLY, "in-flag"
    ),
    "inside.kernel": _Row("gVisor's kernel answers the program.", _SENTRY),
    "inside.processes": _Row("The program is alone.", _SENTRY),
    "inside.environment": _Row(
        "The program's environment is the spec's.", w.ENVIRONMENT, "leaked-key"
    ),
}
_FLAGS: Final = {
    "--network=none": (w.NO_NETWORK, "flag-network"),
    "--oci-seccomp=true": (w.SECCOMP, "no-filter"),
    "--directfs=false": (w.DIRECTFS, "directfs"),
    "--host-uds=open": (w.HOST_UDS, "flag-host-uds"),
    "--overlay2=none": (w.OVERLAY, "flag-overlay2"),
    "--file-access-mounts=shared": (w.SHARED_MOUNTS, "flag-file-access-mounts"),
}
_BINDS: Final = {
    "/": ("root", w.READ_ONLY_BIND, frozenset({"ro", "nosuid", "nodev"}), "root-bind"),
    "/queue/in": ("in", w.HOST_READ_ONLY, frozenset({"ro", *_SAFE}), "in-bind"),
    "/run/ironclaw": ("run", w.HOST_READ_ONLY, frozenset({"ro", *_SAFE}), "run-bind"),
    "/shared": ("shared", w.SHARED_BIND, frozenset({"ro", *_SAFE}), "shared-bind"),
    "/queue/out": ("out", w.OUT_OPTIONS, _SAFE, "out-options"),
    "/workspace": ("workspace", w.BIND_OPTIONS, _SAFE, "workspace-options"),
    "/memory": ("memory", w.BIND_OPTIONS, _SAFE, "memory-options"),
}
"""Where in the box; what the host's own mount behind it must have, whatever runsc makes of it."""
_MORE: Final = {
    "processor": _Row("The kernel holds the box to its processor time.", w.CPU, "more-cpu"),
    "tasks": _Row("The kernel holds the box to its number of tasks.", w.PIDS, "more-pids"),
}


def _check(name: str, row: _Row) -> Check:
    return Check(
        f"posture.{name}",
        row.claim,
        "compare /proc and cgroups, or the box's own words, with the spec",
        row.control,
        frozenset({_HOLDS}),
        twin=row.twin,
        needs=row.needs,
    )


def _flag_name(flag: str) -> str:
    return f"posture.flag_{flag.strip('-').partition('=')[0].replace('-', '_')}"


def _flag_check(flag: str, control: str, twin: str) -> Check:
    return Check(
        _flag_name(flag),
        f"runsc runs with `{flag}`.",
        "read the sentry's command line",
        control,
        frozenset({flag}),
        twin=twin,
    )


class _Posture:
    """Implements `model.Stage`."""

    name = "posture"
    checks = (
        *(_check(name, row) for name, row in _ROWS.items()),
        *(
            _check(f"outside.cgroup.{name}", row._replace(needs=Need.CGROUPS))
            for name, row in _MORE.items()
        ),
        *(_flag_check(flag, *row) for flag, row in _FLAGS.items()),
        *(
            Check(
                f"posture.bind_{name}",
                f"The host itself mounts what is behind {place} {', '.join(sorted(options))}.",
                "read the options of that mount in the nest",
                control,
                frozenset({_HOLDS}),
                twin=twin,
            )
            for place, (name, control, options, twin) in _BINDS.items()
        ),
    )
    twins = (*TWINS, _UNSEALED)

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Launch a probe and look at it as production does. Raises IronClawError."""
        del checks
        weakening = WEAKENINGS.get(twin.name) if twin else None
        async with probe_box(lab, weakening) as box:
            evidence = box.evidence()
            binds = _binds(_launched(lab, box.box.slot))
        if twin == _UNSEALED:
            evidence = _unsealed(evidence)
        seen = {
            f"posture.{name}": _HOLDS if holds else _DIFFERS
            for name, holds in posture.verdicts(evidence).items()
        }
        limits = seen["posture.outside.cgroup.limits"]
        seen |= {f"posture.outside.cgroup.{name}": limits for name in _MORE}
        return seen | binds | {_flag_name(flag): _told(flag, evidence) for flag in _FLAGS}


def _told(flag: str, evidence: Evidence) -> str:
    """What the sentry was told of a flag's name."""
    begin = flag.partition("=")[0] + "="
    return next((word for word in evidence.outside.flags if word.startswith(begin)), "not told")


def _launched(lab: Lab, slot: SlotId) -> dict[str, str]:
    """Sources of the box's mounts as runsc was told them, by place."""
    bundle = lab.settings.runtime_dir / "bundles" / slot
    spec = msgspec.json.decode((bundle / "config.json").read_bytes(), type=_Launched)
    return {"/": spec.root.path} | {mount.destination: mount.source for mount in spec.mounts}


def _binds(sources: dict[str, str]) -> dict[str, str]:
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()]
    # The longest mount point above a path is the mount that it is in; the last one counts.
    points = {fields[4]: frozenset(fields[5].split(",")) for fields in lines}
    seen = {}
    for place, (name, _, wanted, _) in _BINDS.items():
        above = (str(path) for path in (Path(sources[place]), *Path(sources[place]).parents))
        options = next(points[path] for path in above if path in points)
        missing = ",".join(sorted(wanted - options))
        seen[f"posture.bind_{name}"] = f"lacks {missing}" if missing else _HOLDS
    return seen


def _unsealed(evidence: Evidence) -> Evidence:
    """The same launch with this very process where sentry, gofer and program should be."""
    mine = measure_process(os.getpid())
    inside = msgspec.structs.replace(
        evidence.inside,
        no_new_privs=mine.no_new_privs,
        kernel=evidence.outside.host_kernel,
        processes=sum(entry.name.isdigit() for entry in Path("/proc").iterdir()),
    )
    return evidence._replace(
        outside=evidence.outside._replace(sentry=mine, gofer=mine), inside=inside
    )


POSTURE: Final = _Posture()
