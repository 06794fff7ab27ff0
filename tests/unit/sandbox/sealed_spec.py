"""A spec that is as strong as it must be, to weaken in tests."""

from __future__ import annotations

from pathlib import Path

from ironclaw.core.ids import AgentId, SlotId
from ironclaw.domain.model import BoxLimits
from ironclaw.domain.ports import LaunchSpec, Rootfs, SlotDir
from ironclaw.sandbox.ids import IdRange
from ironclaw.sandbox.seccomp import profile
from ironclaw.sandbox.spec import Spec, build_spec
from ironclaw.sandbox.spec_check import Expected

IDS = IdRange(500_000_000, 65536, own=True)
EXPECTED = Expected(profile("x86_64"))


def launch_spec(slot: str = "slt_a", *, limits: BoxLimits | None = None) -> LaunchSpec:
    view = Path("/view")
    return LaunchSpec(
        dir=SlotDir(SlotId(slot), view / "slots" / slot, IDS.box_uid, IDS.airlock_uid, IDS.box_gid),
        agent=AgentId("agt_a"),
        rootfs=Rootfs("sha256:" + "1" * 64, view / "rootfs"),
        workspace=view / "bound/w" / slot,
        memory=view / "bound/m/a",
        shared=view / "bound/s/a",
        limits=limits or BoxLimits(),
    )


def strong(slot: str = "slt_a", *, limits: BoxLimits | None = None) -> Spec:
    return build_spec(
        launch_spec(slot, limits=limits), IDS, EXPECTED.seccomp, cgroup=f"/ironclaw/{slot}"
    )
