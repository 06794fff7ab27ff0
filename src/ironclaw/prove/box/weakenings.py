"""Every way in which the proof weakens a box: one row for each control, or pile of controls.

A control that stands alone has a row that removes it alone. Where one control is behind another, a
further row removes both, so that the attack is seen to succeed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ironclaw.prove import controls as c
from ironclaw.prove.box import host_changes as h
from ironclaw.prove.box import spec_changes as s
from ironclaw.prove.box.weak import Weakening
from ironclaw.prove.model import Twin

_replace = msgspec.structs.replace
_LARGE: Final = 1 << 40
_UNFILTERED: Final = ("--oci-seccomp",)
_HOST_NETWORK: Final = Weakening(
    spec=s.without_namespace("network"),
    without_flags=("--oci-seccomp", "--network"),
    flags=("--network=host",),
)
_PLACES: Final = ("/workspace", "/memory", "/queue/out", "/tmp")  # noqa: S108 - the box's own


def _exec_in(place: str) -> Twin:
    return Twin(f"exec-{place.strip('/').replace('/', '-')}", (c.SECCOMP, c.noexec(place)))


_ROWS: Final[dict[Twin, Weakening]] = {
    Twin("no-filter", (c.SECCOMP,)): Weakening(without_flags=_UNFILTERED),
    Twin("open-profile", (c.PROFILE,)): Weakening(
        spec=s.on_linux(
            lambda linux: _replace(
                linux, seccomp=_replace(linux.seccomp, default_action="SCMP_ACT_ALLOW")
            )
        )
    ),
    Twin("host-network", (c.SECCOMP, c.NO_NETWORK, c.NETWORK_NAMESPACE)): _HOST_NETWORK,
    Twin("host-network-filtered", (c.NO_NETWORK, c.NETWORK_NAMESPACE)): _HOST_NETWORK._replace(
        without_flags=("--network",)
    ),
    Twin("raw-sockets", (c.SECCOMP, c.NO_CAPABILITIES, c.NO_USER, c.NET_RAW)): Weakening(
        spec=s.together(s.on_process(s.all_capabilities), s.as_user(uid=0)),
        without_flags=_UNFILTERED,
        flags=("--net-raw",),
    ),
    Twin("no-host-uds", (c.HOST_UDS,)): Weakening(without_flags=("--host-uds",)),
    **{
        Twin(name, (control,)): Weakening(without_flags=(flag,), flags=flags)
        for name, control, flag, flags in (
            ("flag-network", c.NO_NETWORK, "--network", ("--network=host",)),
            ("flag-host-uds", c.HOST_UDS, "--host-uds", ("--host-uds=all",)),
            ("flag-overlay2", c.OVERLAY, "--overlay2", ()),
            (
                "flag-file-access-mounts",
                c.SHARED_MOUNTS,
                "--file-access-mounts",
                ("--file-access-mounts=exclusive",),
            ),
        )
    },
    Twin("shown-sockets", (c.MOUNT_TABLE,)): Weakening(spec=s.shown_sockets),
    Twin("directfs", (c.DIRECTFS,)): Weakening(
        without_flags=("--directfs",), flags=("--directfs=true",)
    ),
    Twin("capabilities", (c.NO_CAPABILITIES,)): Weakening(spec=s.on_process(s.all_capabilities)),
    Twin("root-user", (c.NO_USER,)): Weakening(spec=s.as_user(uid=0)),
    Twin("root-group", ("spec process.user.gid",)): Weakening(
        spec=s.as_user(gid=100), host=h.then(h.let_all_enter)
    ),
    Twin("all-powerful", (c.SECCOMP, c.NO_CAPABILITIES, c.NO_USER, c.MASKS)): Weakening(
        spec=s.together(
            s.on_process(s.all_capabilities),
            s.as_user(uid=0),
            s.on_linux(lambda linux: _replace(linux, masked_paths=(), readonly_paths=())),
        ),
        without_flags=_UNFILTERED,
    ),
    Twin("more-groups", (c.GROUPS,)): Weakening(spec=s.as_user(additional_gids=(4, 27))),
    Twin("root-flag", (c.READ_ONLY_ROOT,)): Weakening(
        spec=lambda spec, _lab: _replace(spec, root=_replace(spec.root, readonly=False))
    ),
    Twin("writable-root", (c.READ_ONLY_ROOT, c.READ_ONLY_BIND)): Weakening(spec=s.writable_root),
    Twin("root-bind", (c.READ_ONLY_BIND,)): Weakening(spec=s.loose_root),
    Twin("in-bind", (c.HOST_READ_ONLY,)): Weakening(spec=s.loose("/queue/in")),
    Twin("run-bind", (c.HOST_READ_ONLY,)): Weakening(spec=s.loose("/run/ironclaw")),
    Twin("shared-bind", (c.SHARED_BIND,)): Weakening(spec=s.executable("/shared")),
    Twin("workspace-options", (c.BIND_OPTIONS,)): Weakening(spec=s.executable("/workspace")),
    Twin("memory-options", (c.BIND_OPTIONS,)): Weakening(spec=s.executable("/memory")),
    Twin("out-options", (c.OUT_OPTIONS,)): Weakening(host=h.then(h.let_out_run)),
    Twin("setuid-program", (c.IMAGE,)): Weakening(host=h.setuid_planted),
    Twin("in-flag", (c.IN_READ_ONLY,)): Weakening(spec=s.writable("/queue/in")),
    Twin("run-flag", (c.RUN_READ_ONLY,)): Weakening(spec=s.writable("/run/ironclaw")),
    Twin("shared-flag", (c.SHARED_READ_ONLY,)): Weakening(spec=s.writable("/shared")),
    Twin("in-writable", (c.OWNER, c.IN_READ_ONLY, c.HOST_READ_ONLY)): Weakening(
        spec=s.together(s.writable("/queue/in"), s.own_source("/queue/in"))
    ),
    Twin(
        "run-writable", (c.OWNER, c.RUN_READ_ONLY, c.HOST_READ_ONLY, c.SECCOMP, c.HOST_UDS)
    ): Weakening(
        spec=s.together(s.writable("/run/ironclaw"), s.loose("/run/ironclaw")),
        without_flags=("--oci-seccomp", "--host-uds"),
        flags=("--host-uds=all",),
        host=h.then(h.let_group_write),
    ),
    Twin("more-sockets", (c.RUN_READ_ONLY, c.MOUNT_TABLE)): Weakening(host=h.then(h.grant)),
    Twin("shared-writable", (c.OWNER, c.SHARED_READ_ONLY)): Weakening(
        spec=s.together(s.writable("/shared"), s.own_source("/shared"))
    ),
    **{
        _exec_in(place): Weakening(
            spec=s.together(s.on_mount(place, s.without("noexec")), s.executable(place)),
            without_flags=_UNFILTERED,
        )
        for place in _PLACES
    },
    Twin("sibling-workspace", (c.WORKSPACE,)): Weakening(spec=s.sibling_workspace),
    Twin("leaked-key", (c.ENVIRONMENT,)): Weakening(spec=s.leaked_environment),
    Twin("named-path", (c.MOUNT_TABLE,)): Weakening(spec=s.named_path),
    Twin("host-name", (c.HOST_NAME,)): Weakening(
        spec=lambda spec, _lab: _replace(spec, hostname="the-host")
    ),
    Twin("big-tmp", (c.TMP_SIZE,)): Weakening(spec=s.on_mount("/tmp", s.without_size)),  # noqa: S108 - the box's own
    Twin("big-out", (c.OUT_SIZE,)): Weakening(host=h.sized(OUT_DIR_BYTES=_LARGE)),
    Twin("many-out", (c.OUT_INODES,)): Weakening(host=h.sized(OUT_DIR_INODES=1 << 20)),
    Twin("big-files", (c.FILE_SIZE,)): Weakening(spec=s.limit("FSIZE", _LARGE)),
    Twin("many-files", (c.OPEN_FILES,)): Weakening(spec=s.limit("NOFILE", 4096)),
    Twin("core-dumps", (c.CORE,)): Weakening(spec=s.limit("CORE", 1 << 30)),
    Twin("many-threads", (c.SECCOMP, c.THREADS, c.PIDS)): Weakening(
        spec=s.together(s.limit("NPROC", 4096), s.MORE_PIDS), without_flags=_UNFILTERED
    ),
    Twin("more-memory", (c.MEMORY,)): Weakening(spec=s.MORE_MEMORY),
    Twin("more-cpu", (c.CPU,)): Weakening(spec=s.MORE_CPU),
    Twin("more-pids", (c.PIDS,)): Weakening(spec=s.MORE_PIDS),
    Twin("shifted-ids", (c.IDS,)): Weakening(spec=s.on_linux(s.shifted_ids)),
    Twin("no-cgroup", (c.CGROUP,)): Weakening(flags=("--ignore-cgroups",)),
}
WEAKENINGS: Final = {twin.name: weakening for twin, weakening in _ROWS.items()}
TWINS: Final = tuple(_ROWS)
