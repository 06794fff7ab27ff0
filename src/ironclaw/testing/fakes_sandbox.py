"""An Isolator in memory, with real directories: passes the same kit as the one on runsc.

Its spec and posture rules are the real ones (`build_spec`, `check_spec`, `posture.compare`); only
runsc and the kernel's answers are made up. Tests end boxes with `crash` and see what was done in
`launches` and `discarded`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Final

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PeerError
from ironclaw.domain.model import SharedMount
from ironclaw.domain.statement import Receipt
from ironclaw.domain.wall import Box, Durable, SlotDir
from ironclaw.sandbox import posture
from ironclaw.sandbox.cgroups import Cgroups
from ironclaw.sandbox.ids import IdRange
from ironclaw.sandbox.outside import NAMESPACES, OutsideFacts, ProcessFacts
from ironclaw.sandbox.seccomp import profile
from ironclaw.sandbox.sharing import opened
from ironclaw.sandbox.skill_mounts import NoShelf, set_all_points
from ironclaw.sandbox.slotdir import checked_name
from ironclaw.sandbox.spec import Spec, build_spec, spec_digest
from ironclaw.sandbox.spec_check import Expected, check_spec
from ironclaw_contract.rpc import Facts

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import SlotId
    from ironclaw.domain.wall import LaunchSpec, SkillShelf

_IDS: Final = IdRange(500_000_000, 65536, own=True)
_NO_CGROUPS: Final = Cgroups(0, frozenset())
_FIRST_PID: Final = 1_000_000


class FakeIsolator:
    """Implements `ironclaw.domain.wall.Isolator` below one directory."""

    def __init__(
        self, root: Path, *, clock: Clock | None = None, shelf: SkillShelf | None = None
    ) -> None:
        self._root = root
        self._shelf = shelf or NoShelf()
        self._clock = clock or ManualClock()
        self._expected = Expected(profile("x86_64"), own=(str(root),), skills=str(root / "skills"))
        self._lanes: dict[SlotId, int] = {}
        self._boxes: dict[SlotId, Box] = {}
        self._ends: dict[int, asyncio.Future[str]] = {}
        self._next_pid = _FIRST_PID
        self.launches: list[LaunchSpec] = []
        self.discarded: list[SlotId] = []
        self.enclosed: list[tuple[SlotId, int]] = []
        self.can_enclose = True
        self.standing: set[SlotId] = set()
        """Slots whose box is frozen."""
        self.computing: set[SlotId] = set()
        """Slots whose program computes, frozen or not."""
        self._late: dict[SlotId, str] = {}
        """Why boxes will have ended that are frozen now."""
        self.efforts: dict[SlotId, int] = {}
        """Clock ticks by slot."""
        self.launch_error: HostError | None = None
        """Raised by the next launches, if set."""
        self.is_core_dead = False
        """When true `discard` does nothing: the core that asks for it is being killed."""

    async def prepare(self, slot: SlotId, *, lane: int) -> SlotDir:
        """Make the slot's directories."""
        directory = self._dir(slot)
        for name in ("in", "out", "run"):
            (directory.path / name).mkdir(parents=True)
        self._lanes[slot] = lane
        return directory

    async def durable(self, kind: Durable, name: str, *, lane: int) -> Path:
        """The directory of that kind and name."""
        del lane
        path = self._root / kind / checked_name(name)
        path.mkdir(parents=True, exist_ok=True)
        return path

    async def remove_empty(self, kind: Durable, name: str) -> None:
        """Remove that directory if nothing is in it."""
        with contextlib.suppress(OSError):
            (self._root / kind / checked_name(name)).rmdir()

    async def launch(self, spec: LaunchSpec) -> Box:
        """Record a blank box as running."""
        oci = await asyncio.to_thread(self._build, spec)
        if self.launch_error is not None:
            raise self.launch_error
        await asyncio.to_thread(set_all_points, spec.shared, spec.mounts, spec.skills)
        self._next_pid += 1
        box = Box(spec.dir.slot, self._next_pid, self._next_pid * 7, self._digest(spec, oci))
        self._boxes[box.slot] = box
        self._ends[box.pid] = asyncio.get_running_loop().create_future()
        self.launches.append(spec)
        return box

    async def digest_for(self, spec: LaunchSpec) -> str:
        """The digest that a launch of this would have now."""
        return self._digest(spec, await asyncio.to_thread(self._build, spec))

    async def prove(self, box: Box, spec: LaunchSpec, inside: Facts) -> Receipt:
        """Compare the facts with the spec, by the real rules."""
        if self._boxes.get(box.slot) != box:
            raise PeerError(Code.BOX_BROKEN, "The sandbox ended before its launch was proven.")
        oci = await asyncio.to_thread(self._build, spec)
        evidence = posture.Evidence(
            oci, _sealed_outside(oci), inside, box.pid, box.pid, _NO_CGROUPS
        )
        outside = posture.compare(evidence)
        return Receipt(
            slot=box.slot,
            at_ms=self._clock.now_ms(),
            runtime="runsc",
            runtime_version="fake",
            platform="systrap",
            network="none",
            uid=inside.uid,
            rootless=False,
            image_digest=spec.rootfs.digest,
            spec_digest=box.spec_digest,
            inside=inside,
            outside=outside,
            weaker=("no sandbox at all: a fake",),
            checks=posture.enforced(evidence),
            not_enforced=posture.not_enforced(evidence),
        )

    async def ended(self, box: Box) -> str:
        """Wait until the box was discarded or crashed."""
        end = self._ends.get(box.pid)
        return "exit" if end is None else await asyncio.shield(end)

    async def enclose(self, slot: SlotId, pid: int) -> bool:
        """Remember the airlock; `can_enclose` is the answer."""
        self.enclosed.append((slot, pid))
        return self.can_enclose

    def effort(self, box: Box) -> int:
        """What a test says that the box has done."""
        return self.efforts.get(box.slot, 0)

    def freeze(self, box: Box) -> None:
        """Note that the box stands still."""
        self.standing.add(box.slot)

    def is_still(self, box: Box) -> bool:
        """Whether it stands still, and its program does."""
        return box.slot in self.standing - self.computing

    def thaw(self, box: Box) -> None:
        """Note that it goes on; one that was about to end does."""
        self.standing.discard(box.slot)
        if (why := self._late.pop(box.slot, None)) is not None:
            self.crash(box.slot, why)

    async def discard(self, slot: SlotId) -> None:
        """End the box and remove its directories."""
        if self.is_core_dead:
            return
        self.discarded.append(slot)
        self.crash(slot, "killed")
        self._lanes.pop(slot, None)
        shutil.rmtree(self._dir(slot).path, ignore_errors=True)

    async def survivors(self) -> list[Box]:
        """Boxes that run."""
        return list(self._boxes.values())

    async def reopen(self, slot: SlotId) -> SlotDir:
        """The directories of a slot that was prepared."""
        if slot not in self._lanes:
            raise HostError(Code.NOT_FOUND, f"There is no slot {slot}.")
        return self._dir(slot)

    def crash(self, slot: SlotId, why: str = "exit") -> None:
        """End a box, as if by itself. `why` is what `ended` returns."""
        if slot in self.standing and why == "exit":
            self._late[slot] = why
            return
        self.standing.discard(slot)
        box = self._boxes.pop(slot, None)
        if box is not None and not self._ends[box.pid].done():
            self._ends[box.pid].set_result(why)

    def _dir(self, slot: SlotId) -> SlotDir:
        # The uids are this process's own, so that tests can run as anyone.
        path = self._root / "slots" / checked_name(slot)
        return SlotDir(slot, path, os.geteuid(), os.geteuid() + 1, os.getegid())

    def _build(self, spec: LaunchSpec) -> Spec:
        for mount in spec.mounts:
            with opened(mount, own=(self._root,)):
                pass
        skills = tuple(
            SharedMount(
                name=f"skills/{skill.name}",
                path=str(self._shelf.verified(skill.digest)),
                device=0,
                inode=0,
            )
            for skill in spec.skills
        )
        spec = spec._replace(mounts=(*spec.mounts, *skills))
        oci = build_spec(spec, _IDS, self._expected.seccomp, cgroup=f"/ironclaw/{spec.dir.slot}")
        shown = tuple((mount.path, mount.path) for mount in spec.mounts)
        check_spec(oci, self._expected._replace(shown=shown))
        return oci

    def _digest(self, spec: LaunchSpec, oci: Spec) -> str:
        return spec_digest(oci, image_digest=spec.rootfs.digest, flags=())


def _sealed_outside(oci: Spec) -> OutsideFacts:
    own = dict.fromkeys((*NAMESPACES, "pid"), True)
    sentry = ProcessFacts(
        uids=frozenset({65534}),
        gids=frozenset({65534}),
        capabilities=0,
        seccomp=2,
        no_new_privs=True,
        namespaces=own | {"pid": False},
        mounts={"/": frozenset({"ro"})},
    )
    binds = {
        mount.destination: frozenset(mount.options) for mount in oci.mounts if mount.type == "bind"
    }
    base = frozenset({oci.linux.uid_mappings[0].host_id})
    gofer = sentry._replace(
        uids=base,
        gids=base,
        capabilities=posture.GOFER_CAPABILITIES,
        namespaces=own,
        mounts={"/": frozenset({"ro", "nosuid", "nodev"}), **binds},
    )
    return OutsideFacts(
        sentry, gofer, frozenset(), {}, "Linux version 6.1.0 (the host's)", posture.FLAGS
    )
