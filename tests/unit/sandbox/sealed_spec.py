"""A spec that is as strong as it must be, to weaken in tests."""

from __future__ import annotations

from pathlib import Path

from ironclaw.core.ids import AgentId, SlotId
from ironclaw.domain.model import BoxLimits, SharedMount
from ironclaw.domain.wall import LaunchSpec, Rootfs, SlotDir
from ironclaw.sandbox.ids import IdRange
from ironclaw.sandbox.seccomp import profile
from ironclaw.sandbox.spec import Spec, build_spec
from ironclaw.sandbox.spec_check import Expected

IDS = IdRange(500_000_000, 65536, own=True)
DOCS = SharedMount(name="docs", path="/view/bound/docs", device=1, inode=2)
_KEPT = "/var/lib/house/skills/" + "5" * 64
BIRDS = SharedMount(name="skills/birds", path="/view/bound/birds", device=1, inode=3)
"""A skill: no directory of people, but of the house."""
EXPECTED = Expected(
    profile("x86_64"),
    shown=(
        ("/view/bound/docs", "/srv/people/docs"),
        ("/view/bound/keys", "/var/lib/house/keys"),
        ("/view/bound/lib", "/var/lib"),
        ("/view/bound/all", "/"),
        ("/view/bound/up", "/srv/../var/lib/house"),
        ("/view/bound/birds", f"{_KEPT}/files"),
        ("/view/bound/whole", _KEPT),
        ("/view/bound/deeper", f"{_KEPT}/files/sub"),
        ("/view/bound/beside", "/var/lib/house/skills-not/" + "5" * 64 + "/files"),
    ),
    own=("/var/lib/house", "/run/house"),
    skills="/var/lib/house/skills",
)


def launch_spec(
    slot: str = "slt_a",
    *,
    limits: BoxLimits | None = None,
    mounts: tuple[SharedMount, ...] = (),
) -> LaunchSpec:
    view = Path("/view")
    return LaunchSpec(
        dir=SlotDir(SlotId(slot), view / "slots" / slot, IDS.box_uid, IDS.airlock_uid, IDS.box_gid),
        agent=AgentId("agt_a"),
        rootfs=Rootfs("sha256:" + "1" * 64, view / "rootfs"),
        workspace=view / "bound/w" / slot,
        memory=view / "bound/m/a",
        shared=view / "bound/s/a",
        limits=limits or BoxLimits(),
        mounts=mounts,
    )


def strong(
    slot: str = "slt_a",
    *,
    limits: BoxLimits | None = None,
    mounts: tuple[SharedMount, ...] = (),
) -> Spec:
    launch = launch_spec(slot, limits=limits, mounts=mounts)
    return build_spec(launch, IDS, EXPECTED.seccomp, cgroup=f"/ironclaw/{slot}")
