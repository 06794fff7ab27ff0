"""Changes that make a box's spec weaker: pure functions of a spec, for the proof's twins alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from ironclaw.sandbox import nest
from ironclaw.sandbox.spec import (
    NAMESPACES,
    Capabilities,
    IdMap,
    Linux,
    Mount,
    Namespace,
    Process,
    Resources,
    Rlimit,
    Spec,
    User,
)

if TYPE_CHECKING:
    from ironclaw.prove.lab.opened import Lab

Change: TypeAlias = "Callable[[Spec, Lab], Spec]"

_replace = msgspec.structs.replace
_ALL: Final = tuple(
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SETPCAP", "MKNOD"),
        *("NET_RAW", "NET_ADMIN", "SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE", "SYS_BOOT"),
        *("SYS_TIME", "SYS_PACCT", "SYS_MODULE", "SYS_NICE", "SYS_RESOURCE", "IPC_LOCK"),
        "SYS_RAWIO",
    )
)


def on_process(change: Callable[[Process], Process]) -> Change:
    """Change the process of a spec."""
    return lambda spec, _lab: _replace(spec, process=change(spec.process))


def on_linux(change: Callable[[Linux], Linux]) -> Change:
    """Change the Linux part of a spec."""
    return lambda spec, _lab: _replace(spec, linux=change(spec.linux))


def on_mount(destination: str, change: Callable[[Mount], Mount]) -> Change:
    """Change the mount at `destination`."""

    def go(spec: Spec, _lab: Lab) -> Spec:
        return _replace(
            spec,
            mounts=tuple(
                change(mount) if mount.destination == destination else mount
                for mount in spec.mounts
            ),
        )

    return go


def together(*changes: Change) -> Change:
    """Make several changes, one after the other."""

    def go(spec: Spec, lab: Lab) -> Spec:
        for change in changes:
            spec = change(spec, lab)
        return spec

    return go


def without(*words: str, and_with: tuple[str, ...] = ()) -> Callable[[Mount], Mount]:
    """Take options from a mount, and give it others."""
    return lambda mount: _replace(
        mount,
        options=(*(option for option in mount.options if option not in words), *and_with),
    )


def writable(destination: str) -> Change:
    """Mount a place read-write."""
    return on_mount(destination, without("ro", and_with=("rw",)))


def own_source(destination: str) -> Change:
    """Give a mount the source of one that belongs to the box: owner, mode and bind let it write."""

    def go(spec: Spec, lab: Lab) -> Spec:
        table = {mount.destination: mount.source for mount in spec.mounts}
        source = table["/queue/out"] if destination != "/shared" else table["/memory"]
        return on_mount(destination, lambda mount: _replace(mount, source=source))(spec, lab)

    return go


def limit(name: str, value: int) -> Change:
    """Set a resource limit."""

    def change(process: Process) -> Process:
        return _replace(
            process,
            rlimits=tuple(
                Rlimit(row.type, value, value) if row.type == f"RLIMIT_{name}" else row
                for row in process.rlimits
            ),
        )

    return on_process(change)


def all_capabilities(process: Process) -> Process:
    """Give every capability that gVisor knows."""
    sets = Capabilities(_ALL, _ALL, _ALL, _ALL, ())
    return _replace(process, capabilities=sets)


def writable_root(spec: Spec, lab: Lab) -> Spec:
    """Show the root without the read-only bind, and mount it writable."""
    loosened = loose_root(spec, lab)
    return _replace(loosened, root=_replace(loosened.root, readonly=False))


def without_namespace(name: str) -> Change:
    """Leave one namespace to the host."""
    return on_linux(
        lambda linux: _replace(
            linux, namespaces=tuple(Namespace(each) for each in NAMESPACES if each != name)
        )
    )


def leaked_environment(spec: Spec, lab: Lab) -> Spec:
    """Put the host's mark into the environment."""
    env = (*spec.process.env, f"API_KEY={lab.mark}")
    return _replace(spec, process=_replace(spec.process, env=env))


def named_path(spec: Spec, lab: Lab) -> Spec:
    """Mount something whose name inside tells of the host."""
    named = Mount(f"{lab.settings.runtime_dir}/x", "tmpfs", "tmpfs", ("ro",))
    return _replace(spec, mounts=(*spec.mounts, named))


def on_resources(change: Callable[[Resources], Resources]) -> Change:
    """Change the box's control group."""
    return on_linux(lambda linux: _replace(linux, resources=change(linux.resources)))


MORE_MEMORY = on_resources(
    lambda resources: _replace(resources, memory=_replace(resources.memory, limit=2 << 30))
)
MORE_PIDS = on_resources(
    lambda resources: _replace(resources, pids=_replace(resources.pids, limit=4096))
)
MORE_CPU = on_resources(
    lambda resources: _replace(resources, cpu=_replace(resources.cpu, quota=400_000))
)


def without_size(mount: Mount) -> Mount:
    """Take the size from a tmpfs."""
    kept = tuple(word for word in mount.options if not word.startswith("size="))
    return _replace(mount, options=kept)


def executable(place: str) -> Change:
    """Bind a durable directory into the nest once more, with programs and without `ro`."""

    def go(spec: Spec, lab: Lab) -> Spec:
        kind = lab.settings.state_dir / place.lstrip("/")
        if not kind.is_dir():
            return spec
        source = {mount.destination: mount.source for mount in spec.mounts}[place]
        shown = nest.expose(lab.isolator.view, kind, programs=True) / Path(source).name
        return on_mount(place, lambda mount: _replace(mount, source=str(shown)))(spec, lab)

    return go


def loose(place: str) -> Change:
    """Give `/queue/in` or `/run/ironclaw` the directory itself instead of its read-only bind."""

    def go(spec: Spec, lab: Lab) -> Spec:
        source = {mount.destination: mount.source for mount in spec.mounts}[place]
        itself = source.replace("/box/", "/")
        return on_mount(place, lambda mount: _replace(mount, source=itself))(spec, lab)

    return go


def loose_root(spec: Spec, lab: Lab) -> Spec:
    """Show the root without the read-only bind; runsc still mounts it read-only."""
    place = nest.expose(lab.isolator.view, lab.probe.path, programs=True)
    return _replace(spec, root=_replace(spec.root, path=str(place)))


def as_user(**changes: object) -> Change:
    """Run the program as somebody else."""
    return on_process(lambda process: _replace(process, user=_replace(User(), **changes)))


def shown_sockets(spec: Spec, lab: Lab) -> Spec:
    """Mount the directory of a socket of the host's."""
    place = nest.expose(lab.isolator.view, lab.host_socket.parent, read_only=True)
    shown = Mount("/probe/extra", "bind", str(place), ("rbind", "ro", "nosuid", "nodev", "noexec"))
    return _replace(spec, mounts=(*spec.mounts, shown))


def sibling_workspace(spec: Spec, lab: Lab) -> Spec:
    """Mount another session's workspace."""
    table = {mount.destination: mount.source for mount in spec.mounts}
    source = str(PurePosixPath(table["/workspace"]).with_name("sibling"))
    del lab
    return _replace(
        spec,
        mounts=tuple(
            _replace(mount, source=source) if mount.destination == "/workspace" else mount
            for mount in spec.mounts
        ),
    )


def shifted_ids(linux: Linux) -> Linux:
    """Give the box's root another host id than its range's first."""
    first = linux.uid_mappings[0]
    shifted = (
        IdMap(0, first.host_id + first.size - 1, 1),
        IdMap(1, first.host_id + 1, first.size - 2),
    )
    return _replace(linux, uid_mappings=shifted, gid_mappings=shifted)
