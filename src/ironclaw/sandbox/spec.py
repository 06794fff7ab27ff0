"""The OCI runtime spec of a box: typed, pure, closed. What has no field here cannot be asked for.

`build_spec` turns a LaunchSpec and an id range into a `Spec`; `check_spec` (module spec_check)
refuses any spec weaker than the wall; `spec_digest` names what all slots of one agent share.

Source: OCI runtime specification 1.0.2; gVisor `runsc/boot/loader.go` for what it reads of it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.sandbox.seccomp import Seccomp
from ironclaw_contract.limits import SANDBOX_GID, SANDBOX_UID

if TYPE_CHECKING:
    from ironclaw.domain.wall import LaunchSpec
    from ironclaw.sandbox.ids import IdRange

PROGRAM: Final = ("/sandbox",)
ENVIRONMENT: Final = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)
WORKDIR: Final = "/workspace"
TMP_BYTES: Final = 64 * 1024 * 1024
"""Size of the box's `/tmp`; it counts against the box's memory."""
RUNTIME_PIDS: Final = 192
"""Host threads that the sentry, its stubs and the gofer need beside those of the program."""
CPU_PERIOD_US: Final = 100_000

MASKED: Final = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
)
READONLY: Final = (
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
NAMESPACES: Final = ("pid", "ipc", "uts", "mount", "network", "user")

_SAFE: Final = ("nosuid", "nodev", "noexec")
_BIND: Final = ("rbind", "rprivate", *_SAFE)


class _Part(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Base of the parts."""


class Root(_Part, frozen=True):
    """The root file system."""

    path: str
    readonly: bool = True


class User(_Part, frozen=True):
    """Who the program is."""

    uid: int = SANDBOX_UID
    gid: int = SANDBOX_GID
    umask: int = 0o027
    additional_gids: tuple[int, ...] = ()


class Capabilities(_Part, frozen=True):
    """The five sets; all empty."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


class Rlimit(_Part, frozen=True):
    """One resource limit."""

    type: str
    hard: int
    soft: int


class Process(_Part, frozen=True):
    """What runs."""

    args: tuple[str, ...]
    rlimits: tuple[Rlimit, ...]
    user: User = User()
    env: tuple[str, ...] = ENVIRONMENT
    cwd: str = WORKDIR
    terminal: bool = False
    capabilities: Capabilities = Capabilities()
    no_new_privileges: bool = True
    oom_score_adj: int = 500
    """The kernel ends a box before it ends the core."""


class Mount(_Part, frozen=True):
    """One mount."""

    destination: str
    type: str
    source: str
    options: tuple[str, ...]


class Namespace(_Part, frozen=True, omit_defaults=True):
    """One new namespace; a path would join an existing one."""

    type: str
    path: str = ""


class IdMap(_Part, frozen=True, rename={"container_id": "containerID", "host_id": "hostID"}):
    """One line of a user namespace's map."""

    container_id: int
    host_id: int
    size: int


class Memory(_Part, frozen=True):
    """Bytes. `runsc` tells the program of `limit` as the machine's memory."""

    limit: int


class Cpu(_Part, frozen=True):
    """Microseconds of CPU time in each period of microseconds."""

    quota: int
    period: int = CPU_PERIOD_US


class Pids(_Part, frozen=True):
    """Host tasks."""

    limit: int


class Resources(_Part, frozen=True):
    """cgroup limits. Not applied where the host offers no cgroups; the receipt says so then."""

    memory: Memory
    cpu: Cpu
    pids: Pids


class Linux(_Part, frozen=True):
    """The part that is about Linux."""

    uid_mappings: tuple[IdMap, ...]
    gid_mappings: tuple[IdMap, ...]
    resources: Resources
    cgroups_path: str
    seccomp: Seccomp
    namespaces: tuple[Namespace, ...] = tuple(Namespace(type=name) for name in NAMESPACES)
    masked_paths: tuple[str, ...] = MASKED
    readonly_paths: tuple[str, ...] = READONLY


class Spec(_Part, frozen=True):
    """`config.json` of a bundle. It has no hooks and no annotations at all."""

    root: Root
    process: Process
    mounts: tuple[Mount, ...]
    linux: Linux
    hostname: str = "sandbox"
    oci_version: str = "1.0.2"


def build_spec(
    launch: LaunchSpec,
    ids: IdRange,
    seccomp: Seccomp,
    *,
    cgroup: str,
    program: tuple[str, ...] = PROGRAM,
) -> Spec:
    """Build the spec of one box. Pure; check it with `check_spec` before use.

    Args:
        launch: What to start.
        ids: Host ids that the box's ids 0, 1, … become.
        seccomp: The profile of this machine.
        cgroup: The box's cgroup, as an absolute path in every hierarchy.
        program: For tests only: what to run in place of `/sandbox`.
    """
    limits = launch.limits
    mapping = (IdMap(container_id=0, host_id=ids.base, size=ids.size),)
    return Spec(
        root=Root(path=str(launch.rootfs.path)),
        process=Process(
            args=program,
            rlimits=tuple(
                Rlimit(type=name, hard=value, soft=value)
                for name, value in (
                    ("RLIMIT_CORE", 0),
                    ("RLIMIT_FSIZE", limits.file_bytes),
                    ("RLIMIT_NOFILE", limits.files),
                    ("RLIMIT_NPROC", limits.pids),
                )
            ),
        ),
        mounts=mounts(launch),
        linux=Linux(
            uid_mappings=mapping,
            gid_mappings=mapping,
            resources=Resources(
                memory=Memory(limit=limits.memory_bytes),
                cpu=Cpu(quota=limits.cpu_millis * CPU_PERIOD_US // 1000),
                pids=Pids(limit=limits.pids + RUNTIME_PIDS),
            ),
            cgroups_path=cgroup,
            seccomp=seccomp,
        ),
    )


def mounts(launch: LaunchSpec) -> tuple[Mount, ...]:
    """The mount table of DESIGN, section 4. Extra sockets live in `/run/ironclaw`."""
    slot = launch.dir.path

    def bind(destination: str, source: str, mode: str) -> Mount:
        return Mount(destination, "bind", source, (*_BIND, mode))

    return (
        Mount("/proc", "proc", "proc", _SAFE),
        Mount("/tmp", "tmpfs", "tmpfs", (*_SAFE, "mode=1777", f"size={TMP_BYTES}")),  # noqa: S108 - the box's own
        bind("/queue/in", f"{slot}/box/in", "ro"),
        bind("/queue/out", f"{slot}/out", "rw"),
        bind("/run/ironclaw", f"{slot}/box/run", "ro"),
        bind("/workspace", str(launch.workspace), "rw"),
        bind("/memory", str(launch.memory), "rw"),
        bind("/shared", str(launch.shared), "ro"),
        # Behind `/shared`: they lie in it.
        *(
            bind(f"/shared/{shared.name}", shared.path, "ro")
            for shared in sorted(launch.mounts, key=lambda each: each.name)
        ),
    )


PER_SLOT: Final = frozenset({"/queue/in", "/queue/out", "/run/ironclaw", "/workspace"})
"""Mounts whose source differs between slots of one agent."""


def encode_spec(spec: Spec) -> bytes:
    """Return `config.json`."""
    return msgspec.json.encode(spec)


def spec_digest(spec: Spec, *, image_digest: str, flags: tuple[str, ...]) -> str:
    """Name what all slots of one agent share: two slots with the same digest are alike.

    Args:
        spec: A box's spec.
        image_digest: `sha256:…` of the image the root file system was unpacked from.
        flags: runsc's flags that shape the box.

    Returns:
        `sha256:` and 64 hexadecimal digits.
    """
    replace = msgspec.structs.replace
    shared = replace(
        spec,
        mounts=tuple(
            replace(mount, source="") if mount.destination in PER_SLOT else mount
            for mount in spec.mounts
        ),
        linux=replace(spec.linux, cgroups_path=""),
    )
    body = encode_spec(shared) + msgspec.json.encode((image_digest, flags))
    return "sha256:" + hashlib.sha256(body).hexdigest()
