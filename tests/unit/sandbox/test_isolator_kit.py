"""The fake isolator keeps every promise of the port."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.domain.wall import Rootfs
from ironclaw.testing.fakes_sandbox import FakeIsolator
from ironclaw.testing.isolator_kit import CHECKS
from ironclaw.testing.sealed_facts import SEALED

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.domain.wall import SlotDir
    from ironclaw_contract.rpc import Facts


class FakeSubject:
    """Drives boxes that are not there."""

    def __init__(self, root: Path) -> None:
        self.isolator = FakeIsolator(root)
        self.rootfs = Rootfs("sha256:" + "0" * 64, root / "rootfs")

    async def arm(self, directory: SlotDir) -> None:
        assert (directory.path / "run").is_dir()

    async def hello(self, directory: SlotDir) -> Facts:
        assert directory.path.is_dir()
        return SEALED

    async def end(self, directory: SlotDir) -> None:
        self.isolator.crash(directory.slot)


@pytest.mark.parametrize("name", CHECKS)
async def test_fake_isolator_passes(name: str, tmp_path: Path) -> None:
    await CHECKS[name](FakeSubject(tmp_path))
