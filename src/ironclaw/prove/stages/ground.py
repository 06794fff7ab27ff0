"""The ground a box stands on: the host's own directories and mounts of a slot, as made for it.

They are the second wall behind the spec's mounts. Nothing a box wrote is looked at: only
directories that the host made, by name, and the kernel's table of mounts.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.ids import SlotId, new_id
from ironclaw.domain.wall import Durable
from ironclaw.prove.box.probe_box import AGENT
from ironclaw.prove.lab.opened import LANE
from ironclaw.prove.model import Check, Need, Twin
from ironclaw.sandbox import airlock_group, cgroups, kernel
from ironclaw_contract.limits import OUT_DIR_BYTES, OUT_DIR_INODES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ironclaw.domain.wall import SlotDir
    from ironclaw.prove.lab.opened import Lab

_SAFE: Final = ("nodev", "noexec", "nosuid")
_KIB: Final = 1024
# What `sandbox.slotdir` and `sandbox.airlock_group` must have made, stated again.
_SLOT: Final = f"{','.join(_SAFE)} size=65536k nr_inodes=4096"
_OUT: Final = f"{','.join(_SAFE)} size={OUT_DIR_BYTES // _KIB}k nr_inodes={OUT_DIR_INODES}"
_LOG: Final = f"{','.join(_SAFE)} size=1024k nr_inodes=16"
_MODES: Final = {
    "slot": "0711 core:core",
    "in": "0750 airlock:box",
    "run": "0750 airlock:box",
    "out": "0770 airlock:box",
    "workspace": "0700 box:box",
    "memory": "0700 box:box",
    "shared": "0755 core:core",
    "bundle": "0700 core:core",
}
_PRIVATE: Final = "private"
_MS_SHARED: Final = 1 << 20
"""Source: uapi/linux/mount.h."""
_UNLIMITED_1: Final = {
    "memory": ("memory.limit_in_bytes", "-1"),
    "cpu": ("cpu.cfs_quota_us", "-1"),
    "pids": ("pids.max", "max"),
}
_UNLIMITED_2: Final = {
    "memory": ("memory.max", "max"),
    "cpu": ("cpu.max", "max"),
    "pids": ("pids.max", "max"),
}
_GROUP: Final = {"memory": "268435456", "cpu": "50000", "pids": "8"}


class _Site(NamedTuple):
    """One prepared slot with an airlock."""

    directory: SlotDir
    places: dict[str, Path]
    """What the host made for it, by name."""
    view: Path
    airlock: int
    group: str
    """The control group of the airlock."""


class _Row(NamedTuple):
    """One fact of the ground, and how it is loosened for its twin."""

    claim: str
    attack: str
    control: str
    expected: str
    loosened: Callable[[_Site], AbstractContextManager[None]]
    needs: Need | None = None


def _open_to_all(name: str) -> Callable[[_Site], AbstractContextManager[None]]:
    @contextlib.contextmanager
    def go(site: _Site) -> Iterator[None]:
        path = site.places[name]
        before = stat.S_IMODE(path.lstat().st_mode)
        path.chmod(0o777)
        try:
            yield
        finally:
            path.chmod(before)

    return go


def _remounted(name: str, data: str) -> Callable[[_Site], AbstractContextManager[None]]:
    @contextlib.contextmanager
    def go(site: _Site) -> Iterator[None]:
        # The slot goes with its mounts, so there is nothing to undo.
        kernel.mount("none", site.places[name], "", kernel.MS_REMOUNT, data)
        yield

    return go


@contextlib.contextmanager
def _shared(site: _Site) -> Iterator[None]:
    kernel.mount("none", site.view, "", _MS_SHARED)
    try:
        yield
    finally:
        kernel.mount("none", site.view, "", kernel.MS_PRIVATE)


def _unlimited(controller: str) -> Callable[[_Site], AbstractContextManager[None]]:
    @contextlib.contextmanager
    def go(site: _Site) -> Iterator[None]:
        groups = cgroups.detect()
        name = {1: _UNLIMITED_1, 2: _UNLIMITED_2}[groups.version][controller]
        for place in cgroups.directories(groups, site.group):
            if (place / name[0]).exists():
                (place / name[0]).write_text(name[1], encoding="ascii")
        yield

    return go


def _mode(name: str) -> _Row:
    return _Row(
        f"Whoever is not meant to is kept out of {name}/ by its owner and mode.",
        f"look at the owner and mode of the host's {name}/",
        f"owner and mode of {name}/",
        _MODES[name],
        _open_to_all(name),
    )


_ROWS: Final = {
    **{f"mode_{name}": _mode(name) for name in _MODES},
    "slot_mount": _Row(
        "What an airlock may write is capped, and nothing of it can be run.",
        "read the options of the slot's tmpfs in the table of mounts",
        "options of the slot's tmpfs",
        _SLOT,
        _remounted("slot", "size=1g,nr_inodes=1m"),
    ),
    "out_mount": _Row(
        "What a box may leave in its queue is capped, and nothing of it can be run.",
        "read the options of the tmpfs of out/ in the table of mounts",
        "options of the tmpfs of out/",
        _OUT,
        _remounted("out", "size=1g,nr_inodes=1m"),
    ),
    "log_mount": _Row(
        "What runsc writes about a box is capped.",
        "read the options of the tmpfs of runsc's log in the table of mounts",
        "options of the tmpfs of runsc's log",
        _LOG,
        _remounted("log", "size=1g"),
    ),
    "private_mounts": _Row(
        "No mount of the nest shows up outside of it.",
        "read how mounts spread in the table of mounts",
        "private mounts of the nest",
        _PRIVATE,
        _shared,
    ),
    **{
        f"airlock_{name}": _Row(
            f"The kernel holds an airlock to its {what}, whatever becomes of it.",
            "read the limit of the control group that the airlock is in",
            f"control group of the airlock: {name}",
            value,
            _unlimited(name),
            Need.CGROUPS,
        )
        for (name, value), what in zip(
            _GROUP.items(), ("memory", "processor time", "number of tasks"), strict=True
        )
    },
}


class _Ground:
    """Implements `model.Stage`."""

    name = "ground"
    checks = tuple(
        Check(
            f"posture.{name}",
            row.claim,
            row.attack,
            row.control,
            frozenset({row.expected}),
            twin=f"loose-{name.replace('_', '-')}",
            needs=row.needs,
        )
        for name, row in _ROWS.items()
    )
    twins = tuple(
        Twin(f"loose-{name.replace('_', '-')}", (row.control,)) for name, row in _ROWS.items()
    )

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Make a slot with an airlock and look at the ground. Raises IronClawError, OSError."""
        del checks
        name = twin.name.removeprefix("loose-").replace("-", "_") if twin else ""
        async with _site(lab) as site:
            with _ROWS[name].loosened(site) if twin else contextlib.nullcontext():
                return {f"posture.{fact}": word for fact, word in _facts(site).items()}


@contextlib.asynccontextmanager
async def _site(lab: Lab) -> AsyncIterator[_Site]:
    isolator = lab.isolator
    slot = SlotId(new_id("slt"))
    try:
        directory = await isolator.prepare(slot, lane=LANE)
        path = directory.path
        places = {name: path / name for name in ("in", "run", "out", "log")}
        places |= {"slot": path, "bundle": lab.settings.runtime_dir / "bundles" / slot}
        for kind, ref in (
            (Durable.WORKSPACE, slot),
            (Durable.MEMORY, AGENT),
            (Durable.SHARED, AGENT),
        ):
            places[str(kind)] = await isolator.durable(kind, ref, lane=LANE)
        link = await lab.airlocks.start(directory)
        try:
            await isolator.enclose(slot, link.pid)
            group = airlock_group.path_of(f"{cgroups.PARENT}/{slot}")
            yield _Site(directory, places, isolator.view, link.pid, group)
        finally:
            await link.close()
    finally:
        await isolator.discard(slot)
        await isolator.remove_empty(Durable.WORKSPACE, slot)


def _facts(site: _Site) -> dict[str, str]:
    table = _mounts()
    groups = cgroups.detect()
    limits = cgroups.read_limits(groups, site.group)
    is_in = site.airlock in cgroups.members(groups, site.group)
    return {
        **{f"mode_{name}": _owner_and_mode(site.places[name], site.directory) for name in _MODES},
        "slot_mount": _options(table, site.places["slot"]),
        "out_mount": _options(table, site.places["out"]),
        "log_mount": _options(table, site.places["log"]),
        "private_mounts": _spread(table, site.view),
        **{
            f"airlock_{name}": limits.get(name, "none").split()[0] if is_in else "not in it"
            for name in _GROUP
        },
    }


def _owner_and_mode(path: Path, directory: SlotDir) -> str:
    info = os.lstat(path)
    users = {os.geteuid(): "core", directory.box_uid: "box", directory.airlock_uid: "airlock"}
    groups = {os.getegid(): "core", directory.group: "box"}
    user, group = users.get(info.st_uid, "other"), groups.get(info.st_gid, "other")
    return f"{stat.S_IMODE(info.st_mode):04o} {user}:{group}"


class _Mount(NamedTuple):
    options: frozenset[str]
    spread: str
    of_the_whole: tuple[str, ...]


def _mounts() -> dict[str, _Mount]:
    found = {}
    for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        found[fields[4]] = _Mount(
            frozenset(fields[5].split(",")),
            " ".join(fields[6:]) or _PRIVATE,
            tuple(right.split()[2].split(",")),
        )
    return found


def _options(table: Mapping[str, _Mount], path: Path) -> str:
    mount = table.get(str(path))
    if mount is None:
        return "no mount of its own"
    sizes = [word for word in mount.of_the_whole if word.startswith(("size=", "nr_inodes="))]
    return " ".join([",".join(word for word in _SAFE if word in mount.options), *sizes])


def _spread(table: Mapping[str, _Mount], view: Path) -> str:
    words = {mount.spread for place, mount in table.items() if Path(place).is_relative_to(view)}
    return ", ".join(sorted(words))


GROUND: Final = _Ground()
