"""The builder of the spec refuses whatever is weaker than the wall. No box is started.

Each rule of `sandbox.spec_check` is a check: the spec that production builds keeps it, and a spec
that breaks it is refused by its name. The twin is the same question without that rule.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.errors import PolicyError
from ironclaw.core.ids import AgentId, SlotId
from ironclaw.domain.model import BoxLimits, SharedMount
from ironclaw.domain.wall import LaunchSpec
from ironclaw.prove.lab.opened import LANE
from ironclaw.prove.model import Check, Twin
from ironclaw.sandbox import spec_check
from ironclaw.sandbox.seccomp import profile
from ironclaw.sandbox.slotdir import slot_dir
from ironclaw.sandbox.spec import Capabilities, Mount, Rlimit, build_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ironclaw.prove.lab.opened import Lab
    from ironclaw.sandbox.spec import Spec
    from ironclaw.sandbox.spec_check import Expected

_replace = msgspec.structs.replace
_REFUSED: Final = "refused"
_SHARED_AT: Final = "/shared/spec"
_SHARED_DIR: Final = "/srv/spec/shared"
_HOUSE_DIR: Final = "/srv/spec/house"
"""Names of directories; nobody looks whether they are there."""


def _process(**changes: object) -> Callable[[Spec], Spec]:
    return lambda spec: _replace(spec, process=_replace(spec.process, **changes))


def _user(**changes: object) -> Callable[[Spec], Spec]:
    return lambda spec: _process(user=_replace(spec.process.user, **changes))(spec)


def _linux(**changes: object) -> Callable[[Spec], Spec]:
    return lambda spec: _replace(spec, linux=_replace(spec.linux, **changes))


def _resource(name: str, **changes: object) -> Callable[[Spec], Spec]:
    def go(spec: Spec) -> Spec:
        resources = spec.linux.resources
        changed = {name: _replace(getattr(resources, name), **changes)}
        return _linux(resources=_replace(resources, **changed))(spec)

    return go


def _mapping(name: str) -> Callable[[Spec], Spec]:
    def go(spec: Spec) -> Spec:
        line = getattr(spec.linux, name)[0]
        return _linux(**{name: (_replace(line, host_id=0),)})(spec)

    return go


def _writable_queue(spec: Spec) -> Spec:
    return _replace(
        spec,
        mounts=tuple(
            _replace(mount, options=(*mount.options[:-1], "rw"))
            if mount.destination == "/queue/in"
            else mount
            for mount in spec.mounts
        ),
    )


def _more_mounts(spec: Spec) -> Spec:
    host = Mount("/host", "bind", "/", ("rbind", "ro", "nosuid", "nodev", "noexec"))
    return _replace(spec, mounts=(*spec.mounts, host))


def _shared(**changes: object) -> Callable[[Spec], Spec]:
    """Change the mount of a shared directory."""
    return lambda spec: _replace(
        spec,
        mounts=tuple(
            _replace(mount, **changes) if mount.destination == _SHARED_AT else mount
            for mount in spec.mounts
        ),
    )


def _no_such_limit(spec: Spec) -> Spec:
    kept = tuple(row for row in spec.process.rlimits if row.type != "RLIMIT_FSIZE")
    return _process(rlimits=(*kept, Rlimit("RLIMIT_FSIZE", 1 << 62, 1 << 62)))(spec)


def _fewer_namespaces(spec: Spec) -> Spec:
    kept = tuple(space for space in spec.linux.namespaces if space.type != "network")
    return _linux(namespaces=kept)(spec)


def _open_filter(spec: Spec) -> Spec:
    return _linux(seccomp=_replace(spec.linux.seccomp, default_action="SCMP_ACT_ALLOW"))(spec)


_WEAKER: Final[dict[str, tuple[str, Callable[[Spec], Spec]]]] = {
    "root.path": (
        "a root with `..` in its path",
        lambda spec: _replace(spec, root=_replace(spec.root, path="/a/../etc")),
    ),
    "root.readonly": (
        "a writable root",
        lambda spec: _replace(spec, root=_replace(spec.root, readonly=False)),
    ),
    "process.args": ("another program", _process(args=("/bin/sh",))),
    "process.env": ("an environment with a key in it", _process(env=("API_KEY=x",))),
    "process.cwd": ("another working directory", _process(cwd="/")),
    "process.terminal": ("a terminal", _process(terminal=True)),
    "process.user.uid": ("uid 0", _user(uid=0)),
    "process.user.gid": ("gid 0", _user(gid=0)),
    "process.user.umask": ("files that others may read", _user(umask=0)),
    "process.user.additionalGids": ("a further group", _user(additional_gids=(0,))),
    "process.capabilities": (
        "a capability",
        _process(capabilities=Capabilities(effective=("CAP_SYS_ADMIN",))),
    ),
    "process.noNewPrivileges": (
        "privileges by running a program",
        _process(no_new_privileges=False),
    ),
    "process.oomScoreAdj": ("a box that the kernel spares", _process(oom_score_adj=-1000)),
    "process.rlimits": ("files without a limit", _no_such_limit),
    "mounts": ("the host's root as a mount", _more_mounts),
    "hostname": ("the host's name", lambda spec: _replace(spec, hostname="host")),
    "linux.namespaces": ("the host's network namespace", _fewer_namespaces),
    "linux.uidMappings": ("the core's own uid", _mapping("uid_mappings")),
    "linux.gidMappings": ("the core's own gid", _mapping("gid_mappings")),
    "linux.resources.memory": ("a terabyte of memory", _resource("memory", limit=1 << 40)),
    "linux.resources.cpu": ("all processors", _resource("cpu", quota=1 << 40)),
    "linux.resources.pids": ("a million tasks", _resource("pids", limit=1 << 20)),
    "linux.cgroupsPath": ("another control group", _linux(cgroups_path="/")),
    "linux.seccomp": ("an open filter", _open_filter),
    "linux.maskedPaths": ("nothing masked in /proc", _linux(masked_paths=())),
    "linux.readonlyPaths": ("a writable /proc/sys", _linux(readonly_paths=())),
}
_MORE: Final[dict[str, tuple[str, str, Callable[[Spec], Spec]]]] = {
    "mounts.queue_in_writable": ("mounts", "a writable inbound queue", _writable_queue),
    "mounts.shared_writable": (
        "mounts",
        "a shared directory that is writable",
        _shared(options=("rbind", "rprivate", "nosuid", "nodev", "noexec", "rw")),
    ),
    "mounts.shared_elsewhere": (
        "mounts",
        "a shared directory at another place",
        _shared(destination="/workspace/spec"),
    ),
    "mounts.shared_own": (
        "mounts",
        "a directory of the house's own as a shared one",
        _shared(source=_HOUSE_DIR),
    ),
}


def _check(name: str, rule: str, what: str) -> Check:
    return Check(
        f"spec.{name}",
        f"The spec keeps `{rule}`, and asking for {what} is refused by that name.",
        f"ask for a box with {what}",
        f"rule {rule}",
        frozenset({_REFUSED}),
        twin=f"without-rule-{rule}",
    )


_LIMITS: Final = "limits_as_asked"
_IGNORED: Final = Twin("limits-ignored", ("limits in the spec builder",))
_ODD: Final = BoxLimits(
    memory_bytes=77 << 20, cpu_millis=330, pids=33, files=99, file_bytes=11 << 20
)
"""Limits that no default has."""


class _SpecStage:
    """Implements `model.Stage`."""

    name = "spec"
    checks = (
        *(_check(rule, rule, what) for rule, (what, _) in _WEAKER.items()),
        *(_check(name, rule, what) for name, (rule, what, _) in _MORE.items()),
        Check(
            f"spec.{_LIMITS}",
            "A box gets exactly the limits that were asked for.",
            "ask for limits that no default has, and read them in the spec",
            _IGNORED.removes[0],
            frozenset({"as asked"}),
            twin=_IGNORED.name,
        ),
    )
    twins = (
        *(Twin(f"without-rule-{rule}", (f"rule {rule}",)) for rule in _WEAKER),
        _IGNORED,
    )

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Ask the checker; a twin's checker lacks one rule."""
        del checks
        built, expected = _built(lab, BoxLimits())
        limited, _ = _built(lab, BoxLimits() if twin == _IGNORED else _ODD)
        rules = tuple(
            row for row in spec_check.RULES if twin is None or f"rule {row[0]}" not in twin.removes
        )
        asked = [(name, name, change) for name, (_, change) in _WEAKER.items()]
        asked += [(name, rule, change) for name, (rule, _, change) in _MORE.items()]
        seen = {
            f"spec.{name}": _asked(rule, change, built, expected, rules)
            for name, rule, change in asked
        }
        return seen | {f"spec.{_LIMITS}": _limits(limited)}


def _limits(spec: Spec) -> str:
    """Whether a spec has the odd limits."""
    resources = spec.linux.resources
    had = {row.type: row.hard for row in spec.process.rlimits} | {
        "memory": resources.memory.limit,
        "cpu": resources.cpu.quota,
        "pids": resources.pids.limit,
    }
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": _ODD.file_bytes,
        "RLIMIT_NOFILE": _ODD.files,
        "RLIMIT_NPROC": _ODD.pids,
        "memory": _ODD.memory_bytes,
        "cpu": _ODD.cpu_millis * 100,
        "pids": _ODD.pids + 192,
    }
    other = sorted(name for name in wanted | had if had.get(name) != wanted.get(name))
    return f"not as asked: {', '.join(other)}" if other else "as asked"


def _asked(
    rule: str,
    change: Callable[[Spec], Spec],
    built: Spec,
    expected: Expected,
    rules: Sequence[spec_check.Rule],
) -> str:
    if not all(holds(built, expected) for name, holds in spec_check.RULES if name == rule):
        return "production itself breaks it"
    try:
        spec_check.check_spec(change(built), expected, rules)
    except PolicyError as error:
        return _REFUSED if rule in error.message else "refused for another reason"
    return "accepted"


def _built(lab: Lab, limits: BoxLimits) -> tuple[Spec, Expected]:
    """The spec that production would build here, and what it is compared with."""
    ids = lab.ids(LANE)
    state = lab.settings.state_dir
    launch = LaunchSpec(
        dir=slot_dir(lab.isolator.view, SlotId("slt_spec"), ids),
        agent=AgentId("agt_spec"),
        rootfs=lab.image,
        workspace=state / "workspace" / "spec",
        memory=state / "memory" / "spec",
        shared=state / "shared" / "spec",
        limits=limits,
        mounts=(SharedMount(name="spec", path=_SHARED_DIR, device=0, inode=0),),
    )
    seccomp = profile(platform.machine())
    spec = build_spec(launch, ids, seccomp, cgroup="/ironclaw/slt_spec")
    # Nothing is bound here, so every directory is shown as itself.
    shown = tuple((each, each) for each in (_SHARED_DIR, _HOUSE_DIR))
    return spec, spec_check.Expected(seccomp, shown=shown, own=(_HOUSE_DIR,))


SPEC: Final = _SpecStage()
