"""The Isolator on runsc: prepare, launch, prove, ended, discard, and taking over after a restart.

prepare  -> tmpfs of the slot in the nest's view, ids of the agent's lane
launch   -> build_spec, check_spec, bundle, `runsc run -detach`, record
prove    -> outside.measure + posture.compare -> Receipt
discard  -> kill by pidfd, `runsc delete`, detach the mounts, forget
survivors, reopen -> what a former core of this nest left running
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from pathlib import Path
from platform import machine
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import structs

from ironclaw.core.clock import SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PeerError, PostureError
from ironclaw.core.ids import SlotId
from ironclaw.domain.statement import Receipt
from ironclaw.domain.wall import Box, Durable
from ironclaw.sandbox import airlock_group, cgroups, nest, outside, posture, stubs
from ironclaw.sandbox.ending import end_sandbox
from ironclaw.sandbox.ids import id_range, own_mapped_ids
from ironclaw.sandbox.process import gone, send, start_ticks
from ironclaw.sandbox.record import BoxRecord, SlotRecord, read_record, write_record
from ironclaw.sandbox.runsc import KIND_PREFIX, PLATFORMS, Runsc
from ironclaw.sandbox.seccomp import ARCHITECTURES, profile
from ironclaw.sandbox.sharing import show
from ironclaw.sandbox.skill_mounts import NoShelf, set_all_points, show_skill
from ironclaw.sandbox.slotdir import (
    checked_name,
    is_slot,
    log_file,
    make_durable,
    make_slot,
    remove_slot,
    slot_dir,
    slot_path,
)
from ironclaw.sandbox.spec import PROGRAM, Spec, build_spec, encode_spec, spec_digest
from ironclaw.sandbox.spec_check import Expected, check_spec

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from ironclaw.core.clock import Clock
    from ironclaw.domain.wall import LaunchSpec, SkillShelf, SlotDir
    from ironclaw.sandbox.ids import IdRange
    from ironclaw.sandbox.runsc import Version
    from ironclaw_contract.rpc import Facts

_ALL_IDS: Final = 2**32 - 1
_SPEC_DIGEST: Final = "outside.spec_digest"
"""The posture check that looks at the digest of the spec."""
_MOUNT_POINTS: Final = ("queue/in", "queue/out", "run/ironclaw", "workspace", "memory", "shared")


_SOFT_DISK: Final = (
    "workspace and memory are capped by a guard that counts, not by the file system: a box can go "
    "over by up to 64 MiB or 5,000 files unseen, and by what it writes in the second or so until "
    "it is ended"
)
"""What no machine enforces (ADR-0009)."""


class RunscIsolator:
    """Implements `ironclaw.domain.wall.Isolator`. Make one with `open_isolator`."""

    def __init__(
        self,
        *,
        state_dir: Path,
        runtime_dir: Path,
        view: Path,
        runsc: Runsc,
        version: Version,
        groups: cgroups.Cgroups,
        mapped: int,
        clock: Clock,
        program: tuple[str, ...],
        shelf: SkillShelf,
    ) -> None:
        self._state_dir = state_dir
        self._bundles = runtime_dir / "bundles"
        self._view = view
        self._runsc = runsc
        self._version = version
        self._groups = groups
        self._mapped = mapped
        self._clock = clock
        self._shelf = shelf
        self._own = (state_dir, runtime_dir, view)
        self._expected = Expected(
            profile(machine()),
            program,
            own=tuple(map(str, self._own)),
            skills=str(state_dir / "skills"),
        )
        self._rootless = mapped < _ALL_IDS
        self._discarded: set[SlotId] = set()

    @property
    def view(self) -> Path:
        """Where in the nest a box's directories are shown."""
        return self._view

    @property
    def rootless(self) -> bool:
        """Whether an ordinary user's house: the nest is a user namespace."""
        return self._rootless

    @property
    def version(self) -> str:
        """The version of runsc."""
        return self._version.text

    async def prepare(self, slot: SlotId, *, lane: int) -> SlotDir:
        """Make the slot's directories. Raises HostError."""
        directory = slot_dir(self._view, slot, self._ids(lane))
        make_slot(directory)
        bundle = self._bundle(slot)
        try:
            bundle.mkdir(mode=0o700)
            write_record(bundle, SlotRecord(lane=lane))
        except OSError as error:
            remove_slot(directory.path)
            raise HostError(
                Code.DISK_FULL,
                f"The runtime directory cannot be written: {error.strerror}.",
                hint="Free space in the runtime directory, then try again.",
                detail=str(error),
            ) from error
        return directory

    async def durable(self, kind: Durable, name: str, *, lane: int) -> Path:
        """The directory of that kind and name, made with the right owner if it is not there."""
        return make_durable(self._state_dir / kind, kind, name, self._ids(lane))

    async def remove_empty(self, kind: Durable, name: str) -> None:
        """Remove that directory if nothing is in it."""
        with contextlib.suppress(OSError):
            (self._state_dir / kind / checked_name(name)).rmdir()

    async def clear_workspaces(self, *, keep: AbstractSet[str]) -> None:
        """Remove the empty workspaces that nobody has, left by blank slots of a killed core.

        Args:
            keep: Names of those that sessions have, empty or not.
        """
        with contextlib.suppress(OSError):
            for entry in sorted((self._state_dir / Durable.WORKSPACE).iterdir()):
                if entry.name not in keep:
                    with contextlib.suppress(OSError):
                        entry.rmdir()

    async def launch(self, spec: LaunchSpec) -> Box:
        """Start a blank box; returns when runsc has started it, before its hello."""
        slot = spec.dir.slot
        bundle = self._bundle(slot)
        record = self._slot_record(slot)
        oci = await asyncio.to_thread(self._build, spec, record.lane)
        digest = self._digest(spec, oci)
        await asyncio.to_thread(set_all_points, spec.shared, spec.mounts, spec.skills)
        try:
            (bundle / "config.json").write_bytes(encode_spec(oci))
            await self._runsc.start(_container(slot), bundle, log=log_file(spec.dir.path))
            box = self._started(slot, digest)
            write_record(bundle, BoxRecord(started=box.started, spec_digest=digest))
        except BaseException:
            await asyncio.shield(end_sandbox(self._runsc, _container(slot)))
            raise
        return box

    async def digest_for(self, spec: LaunchSpec) -> str:
        """The digest that a launch of this would have now. Raises as `launch`."""
        lane = self._slot_record(spec.dir.slot).lane
        return self._digest(spec, await asyncio.to_thread(self._build, spec, lane))

    async def prove(self, box: Box, spec: LaunchSpec, inside: Facts) -> Receipt:
        """Compare what runs with what the spec asked for. Raises PeerError, PostureError."""
        found = await asyncio.to_thread(self.evidence, box, spec, inside)
        same_spec = self._digest(spec, found.spec) == box.spec_digest
        if not same_spec:
            raise PostureError(
                [_SPEC_DIGEST],
                hint="It was started from another spec than the agent has now; it is discarded.",
            )
        facts = posture.compare(found)
        return Receipt(
            slot=box.slot,
            at_ms=self._clock.now_ms(),
            runtime="runsc",
            runtime_version=self._version.text,
            platform=self._runsc.platform,
            network="none",
            uid=inside.uid,
            rootless=self.rootless,
            image_digest=spec.rootfs.digest,
            spec_digest=box.spec_digest,
            inside=inside,
            outside=facts,
            weaker=self.weaker(self._slot_record(box.slot).lane),
            flags=self._runsc.flags,
            checks={_SPEC_DIGEST: same_spec, **posture.enforced(found)},
            not_enforced=posture.not_enforced(found),
        )

    def evidence(self, box: Box, spec: LaunchSpec, inside: Facts) -> posture.Evidence:
        """Measure all that the proof of a launch looks at. Raises PeerError (`BOX_BROKEN`)."""
        running = self._runsc.state(_container(box.slot))
        if running is None or start_ticks(box.pid) != box.started or running.pid != box.pid:
            raise PeerError(
                Code.BOX_BROKEN,
                "The sandbox ended before its launch could be proven.",
                hint="A new one is started by itself; `ironclaw logs` says why this one ended.",
            )
        return posture.Evidence(
            spec=self._build(spec, self._slot_record(box.slot).lane),
            outside=outside.measure(
                running.pid, running.gofer_pid, self._groups, _cgroup(box.slot)
            ),
            inside=inside,
            sentry=running.pid,
            gofer=running.gofer_pid,
            groups=self._groups,
        )

    def weaker(self, lane: int = 0) -> tuple[str, ...]:
        """Say in words what this host cannot enforce."""
        shared = () if self._ids(lane).own else ("agents share one range of host ids",)
        return (
            *self._groups.weaker,
            *shared,
            _SOFT_DISK,
        )

    async def ended(self, box: Box) -> str:
        """Wait until the box's sentry is gone; return why in a word (`exit`, `oom`, `killed`)."""
        await gone(box.pid, started=box.started)
        if box.slot in self._discarded:
            return "killed"
        # Asked at once: the group lives until the slot is discarded.
        return "oom" if cgroups.oom_kills(self._groups, _cgroup(box.slot)) else "exit"

    async def enclose(self, slot: SlotId, pid: int) -> bool:
        """Put an airlock into a cgroup beside its box's; tell whether its limits hold."""
        group = airlock_group.path_of(_cgroup(slot))
        return await asyncio.to_thread(airlock_group.enclose, self._groups, group, pid)

    def effort(self, box: Box) -> int:
        """Processor time that the box has used so far, in clock ticks; 0 when it is gone."""
        # The gofer only does what the sentry asks of it.
        return stubs.ticks(box.pid)

    def freeze(self, box: Box) -> None:
        """Stop the sentry: its timers cost an idle box more than anything else (ADR-0024)."""
        send(box.pid, signal.SIGSTOP, started=box.started)

    def is_still(self, box: Box) -> bool:
        """Whether sentry and stubs have stopped."""
        return stubs.is_still(box.pid)

    def thaw(self, box: Box) -> None:
        """Let the sentry go on."""
        send(box.pid, signal.SIGCONT, started=box.started)

    async def discard(self, slot: SlotId) -> None:
        """Kill whatever runs in the slot and remove everything of it but its durable files."""
        self._discarded.add(slot)
        await asyncio.shield(self._discard(slot))

    async def survivors(self) -> list[Box]:
        """Boxes of this state directory that run now, whoever started them."""
        found = []
        for running in self._runsc.states():
            started = start_ticks(running.pid) if self._runsc.is_sentry(running) else None
            if started is None or not running.id.startswith(KIND_PREFIX):
                continue
            slot = SlotId(running.id.removeprefix(KIND_PREFIX))
            record = read_record(self._bundle(slot), BoxRecord)
            # A core that died between starting and recording: no digest, so nobody adopts it.
            digest = record.spec_digest if record and record.started == started else ""
            found.append(Box(slot, running.pid, started, digest, running.gofer_pid))
        return found

    async def reopen(self, slot: SlotId) -> SlotDir:
        """The directories of a slot that a former core prepared. Raises HostError."""
        directory = slot_dir(self._view, slot, self._ids(self._slot_record(slot).lane))
        if not is_slot(directory.path):
            raise _no_slot(slot)
        return directory

    async def slots(self) -> list[SlotId]:
        """Every slot there is anything of, running or not: what a start-up may have to discard."""
        with contextlib.suppress(FileNotFoundError):
            return [SlotId(entry.name) for entry in sorted(self._bundles.iterdir())]
        return []

    def _started(self, slot: SlotId, digest: str) -> Box:
        running = self._runsc.state(_container(slot))
        started = start_ticks(running.pid) if running else None
        if running is None or started is None:
            raise HostError(
                Code.RUNTIME_FAILED,
                "The sandbox ended while it was started.",
                hint="`ironclaw doctor` tries a small one; the image may lack /sandbox.",
            )
        return Box(slot, running.pid, started, digest, running.gofer_pid)

    def _ids(self, lane: int) -> IdRange:
        return id_range(self._mapped, lane)

    def _bundle(self, slot: SlotId) -> Path:
        return self._bundles / slot_path(self._view, slot).name

    def _slot_record(self, slot: SlotId) -> SlotRecord:
        record = read_record(self._bundle(slot), SlotRecord)
        if record is None:
            raise _no_slot(slot)
        return record

    def _build(self, spec: LaunchSpec, lane: int) -> Spec:
        rootfs = spec.rootfs.path
        missing = [name for name in _MOUNT_POINTS if not (rootfs / name).is_dir()]
        if missing:
            raise HostError(
                Code.IMAGE_BROKEN,
                f"The image lacks the mount points {', '.join(missing)}.",
                hint="Build or import it again: `ironclaw image build`.",
                detail=str(rootfs),
            )
        shown = [
            structs.replace(mount, path=str(show(self._view, mount, own=self._own)))
            for mount in spec.mounts
        ]
        pairs = [(a.path, b.path) for a, b in zip(shown, spec.mounts, strict=True)]
        for skill in spec.skills:
            mount, files = show_skill(self._view, skill, self._shelf)
            shown.append(mount)
            pairs.append((mount.path, str(files)))
        oci = build_spec(
            spec._replace(
                rootfs=spec.rootfs._replace(
                    path=nest.expose(self._view, rootfs, read_only=True, programs=True)
                ),
                workspace=self._exposed(spec.workspace),
                memory=self._exposed(spec.memory),
                shared=self._exposed(spec.shared, read_only=True),
                mounts=tuple(shown),
            ),
            self._ids(lane),
            self._expected.seccomp,
            cgroup=_cgroup(spec.dir.slot),
            program=self._expected.program,
        )
        check_spec(oci, self._expected._replace(shown=tuple(pairs)))
        return oci

    def _exposed(self, path: Path, *, read_only: bool = False) -> Path:
        # One bind for each kind, not one for each session.
        if path.parent.parent == self._state_dir and path.parent.name in set(Durable):
            return nest.expose(self._view, path.parent, read_only=read_only) / path.name
        return nest.expose(self._view, path, read_only=read_only)

    def _digest(self, spec: LaunchSpec, oci: Spec) -> str:
        return spec_digest(oci, image_digest=spec.rootfs.digest, flags=self._runsc.flags)

    async def _discard(self, slot: SlotId) -> None:
        await end_sandbox(self._runsc, _container(slot))
        await asyncio.to_thread(self._remove, slot)

    def _remove(self, slot: SlotId) -> None:
        group = _cgroup(slot)
        ended = [cgroups.end(self._groups, each) for each in (airlock_group.path_of(group), group)]
        remove_slot(slot_path(self._view, slot))
        if self._runsc.state(_container(slot)) is None:
            self._runsc.forget(_container(slot))
        if all(ended):
            # Otherwise it tells whoever clears up later that there is something left.
            shutil.rmtree(self._bundle(slot), ignore_errors=True)


_I = TypeVar("_I", bound=RunscIsolator)


async def open_isolator(
    *,
    state_dir: Path,
    runtime_dir: Path,
    view: Path | None = None,
    clock: Clock | None = None,
    runsc: str = "runsc",
    platform: str = PLATFORMS[0],
    program_for_tests: tuple[str, ...] = PROGRAM,
    made_by: type[_I] = RunscIsolator,  # type: ignore[assignment] # the default is one, too
    shelf: SkillShelf | None = None,
) -> _I:
    """Check the machine and make an isolator. Must be called inside a nest.

    Args:
        state_dir: The house's state directory.
        runtime_dir: The house's runtime directory.
        view: The nest's view; None takes the one the keeper told of.
        clock: For receipts.
        runsc: The program.
        platform: One of `runsc.PLATFORMS`.
        program_for_tests: What boxes run in place of `/sandbox`. Never from a setting.
        made_by: The class of it; the proof has one whose boxes are weaker.
        shelf: Where the skills are; None: there are none.

    Raises:
        HostError: runsc is missing or too old, there is no nest, or the directories fail.
    """
    if machine() not in ARCHITECTURES:
        raise HostError(
            Code.HOST_UNSUITED,
            f"gVisor does not run on {machine()}.",
            hint="Use a machine with an x86-64 or a 64-bit ARM processor.",
        )
    place = nest.require(view)
    groups = cgroups.detect()
    runner = Runsc(runtime_dir / "runsc", cgroups=groups.usable, program=runsc, platform=platform)
    version = await runner.version()
    await runner.settled()
    for directory in (runtime_dir / "runsc", runtime_dir / "bundles"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for kind in Durable:
        parent = state_dir / kind
        parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        # The state directory itself is closed; through the view a box's ids must get past this.
        parent.chmod(0o711)
    return made_by(
        state_dir=state_dir,
        runtime_dir=runtime_dir,
        view=place,
        runsc=runner,
        version=version,
        groups=groups,
        mapped=own_mapped_ids(),
        clock=clock or SystemClock(),
        program=program_for_tests,
        shelf=shelf or NoShelf(),
    )


def _container(slot: SlotId) -> str:
    return KIND_PREFIX + slot


def _cgroup(slot: SlotId) -> str:
    return f"{cgroups.PARENT}/{slot}"


def _no_slot(slot: SlotId) -> HostError:
    return HostError(
        Code.NOT_FOUND,
        f"There is no slot {slot}.",
        hint="It was discarded, or belongs to a nest that has ended; a new one is made by itself.",
    )
