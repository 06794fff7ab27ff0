"""Compares what runs with what the spec asked for: a list of named checks. Pure.

Outside facts come from `outside.measure`, inside facts from the box's hello. The program inside is
still our own when it says hello, so its half catches mistakes of the launch; the outer half holds
whatever the program does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.errors import PostureError
from ironclaw.domain.statement import CGROUP_CHECKS
from ironclaw.sandbox import cgroups
from ironclaw.sandbox.outside import NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.domain.statement import CgroupCheck
    from ironclaw.sandbox.cgroups import Cgroups
    from ironclaw.sandbox.outside import OutsideFacts, ProcessFacts
    from ironclaw.sandbox.spec import Spec
    from ironclaw_contract.rpc import Facts

SECCOMP_FILTER: Final = 2
GOFER_CAPABILITIES: Final = 0x4001F
"""CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SYS_CHROOT, in its own user namespace only.
Source: gVisor `runsc/cmd/gofer.go`."""
FLAGS: Final = frozenset(
    {
        "--network=none",
        "--oci-seccomp=true",
        "--directfs=false",
        "--host-uds=open",
        "--overlay2=none",
        "--file-access-mounts=shared",
    }
)
"""What the sentry must have been told; stated apart from what runsc is asked for."""
_SANDBOX_KERNEL: Final = "Linux version 4.4.0"
"""What gVisor says of itself. Source: gVisor `pkg/sentry/syscalls/linux/linux64.go`."""
_ENVIRONMENT: Final = frozenset({"PATH", "HOME", "LC_CTYPE"})
"""PATH is ours; runsc adds HOME, and the C locale of the program LC_CTYPE."""


class Evidence(NamedTuple):
    """All that the checks look at."""

    spec: Spec
    outside: OutsideFacts
    inside: Facts
    sentry: int
    gofer: int
    groups: Cgroups


def _sealed(process: ProcessFacts) -> bool:
    return process.seccomp == SECCOMP_FILTER and process.no_new_privs


def _sentry_uid(e: Evidence) -> bool:
    # Root of our namespace, or the core's own user, would be one bug away from everything.
    return (
        len(e.outside.sentry.uids) == 1 and 0 not in e.outside.sentry.uids | e.outside.sentry.gids
    )


def _gofer_ids(e: Evidence) -> bool:
    base = e.spec.linux.uid_mappings[0].host_id
    return e.outside.gofer.uids == e.outside.gofer.gids == frozenset({base})


def _gofer_mounts(e: Evidence) -> bool:
    binds = {mount.destination: mount for mount in e.spec.mounts if mount.type == "bind"}
    seen = e.outside.gofer.mounts
    return (
        set(seen) == set(binds) | {"/"}
        and {"ro", "nosuid", "nodev"} <= seen["/"]
        and all(
            {"nosuid", "nodev", "noexec"} <= seen[path]
            and ("ro" in seen[path]) == ("ro" in mount.options)
            for path, mount in binds.items()
        )
    )


def _sentry_mounts(e: Evidence) -> bool:
    seen = e.outside.sentry.mounts
    return set(seen) <= {"/", "/proc", "/etc"} and "ro" in seen.get("/", ())


def _cgroup(e: Evidence) -> bool:
    return e.groups.usable and {e.sentry, e.gofer} <= e.outside.members


def _limits(e: Evidence) -> bool:
    wanted = cgroups.wanted_limits(e.groups, e.spec.linux.resources)
    return e.groups.usable and wanted.items() <= e.outside.limits.items()


def _kernel(e: Evidence) -> bool:
    return e.inside.kernel.startswith(_SANDBOX_KERNEL) and (
        e.inside.kernel.strip() != e.outside.host_kernel
    )


CHECKS: Final[tuple[tuple[str, Callable[[Evidence], bool]], ...]] = (
    ("outside.sentry.uid", _sentry_uid),
    ("outside.sentry.capabilities", lambda e: e.outside.sentry.capabilities == 0),
    ("outside.sentry.seccomp", lambda e: _sealed(e.outside.sentry)),
    (
        "outside.sentry.namespaces",
        lambda e: all(e.outside.sentry.namespaces[name] for name in NAMESPACES),
    ),
    ("outside.sentry.mounts", _sentry_mounts),
    ("outside.sentry.flags", lambda e: e.outside.flags >= FLAGS),
    ("outside.gofer.ids", _gofer_ids),
    (
        "outside.gofer.capabilities",
        lambda e: e.outside.gofer.capabilities & ~GOFER_CAPABILITIES == 0,
    ),
    ("outside.gofer.seccomp", lambda e: _sealed(e.outside.gofer)),
    ("outside.gofer.namespaces", lambda e: all(e.outside.gofer.namespaces.values())),
    ("outside.gofer.mounts", _gofer_mounts),
    ("outside.cgroup.members", _cgroup),
    ("outside.cgroup.limits", _limits),
    ("inside.uid", lambda e: e.inside.uid == e.spec.process.user.uid),
    ("inside.gid", lambda e: e.inside.gid == e.spec.process.user.gid),
    ("inside.groups", lambda e: set(e.inside.groups) <= {e.spec.process.user.gid}),
    (
        "inside.capabilities",
        lambda e: e.inside.cap_eff == e.inside.cap_prm == e.inside.cap_bnd == 0,
    ),
    ("inside.no_new_privs", lambda e: e.inside.no_new_privs),
    ("inside.seccomp", lambda e: e.inside.seccomp == SECCOMP_FILTER),
    ("inside.interfaces", lambda e: set(e.inside.interfaces) <= {"lo"}),
    ("inside.routes", lambda e: e.inside.routes == 0),
    ("inside.root", lambda e: not e.inside.root_writable),
    ("inside.queue_in", lambda e: not e.inside.in_writable),
    ("inside.kernel", _kernel),
    ("inside.processes", lambda e: e.inside.processes == 1),
    ("inside.environment", lambda e: set(e.inside.environment) <= _ENVIRONMENT),
)


def verdicts(evidence: Evidence) -> dict[str, bool]:
    """Run every check; True where what runs is what was asked for.

    A check of a control that this host lacks does not hold; `not_enforced` names those.
    """
    return {name: holds(evidence) for name, holds in CHECKS}


def not_enforced(evidence: Evidence) -> tuple[CgroupCheck, ...]:
    """Name the checks whose control this host does not offer, in order."""
    return () if evidence.groups.usable else CGROUP_CHECKS


def enforced(evidence: Evidence) -> dict[str, bool]:
    """Run the checks whose control this host offers: they are what a launch is proven by."""
    absent = not_enforced(evidence)
    return {name: held for name, held in verdicts(evidence).items() if name not in absent}


def compare(evidence: Evidence) -> dict[str, str]:
    """Run every check whose control this host offers.

    Returns:
        The outside facts, as text, for the receipt.

    Raises:
        PostureError: It names every check that failed.
    """
    failed = [name for name, holds in enforced(evidence).items() if not holds]
    facts = describe(evidence)
    if failed:
        raise PostureError(
            failed,
            hint="No key was given to it. `ironclaw doctor` checks this machine; please report it.",
            detail=f"outside: {facts}; inside: {evidence.inside}",
        )
    return facts


def describe(evidence: Evidence) -> dict[str, str]:
    """Return the outside facts by name, as text."""
    sentry, gofer = evidence.outside.sentry, evidence.outside.gofer
    facts = {
        "uid": _numbers(sentry.uids),
        "gid": _numbers(sentry.gids),
        "cap_eff": f"{sentry.capabilities:#x}",
        "seccomp": str(sentry.seccomp),
        "no_new_privs": str(sentry.no_new_privs).lower(),
        "gofer_uid": _numbers(gofer.uids),
        "gofer_cap_eff": f"{gofer.capabilities:#x}",
        "gofer_mounts": ", ".join(
            f"{path} {'ro' if 'ro' in options else 'rw'}"
            for path, options in sorted(gofer.mounts.items())
        ),
        "cgroup": f"v{evidence.groups.version}" if evidence.groups.usable else "none",
    }
    for name in NAMESPACES:
        facts[f"{name}ns"] = "own" if sentry.namespaces[name] else "shared"
    for name, value in sorted(evidence.outside.limits.items()):
        facts[f"cgroup_{name}"] = value
    return facts


def _numbers(values: frozenset[int]) -> str:
    return " ".join(str(value) for value in sorted(values))
