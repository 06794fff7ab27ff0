"""What the host looks at for whoever asks: nothing outside of what may be shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from ironclaw import gatehouse
from ironclaw.config.settings import GatewaySettings, Settings
from ironclaw.core.clock import ManualClock
from ironclaw.gatehouse import HostLooks
from ironclaw.skills.shelf import Shelf

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.domain.changes.base import HostDir

pytestmark = pytest.mark.hostile


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "given"
    (path / "papers").mkdir(parents=True)
    (path.parent / "secret").mkdir()
    return path


@pytest.fixture
def looks(given: Path) -> HostLooks:
    gateway = structs.replace(GatewaySettings(), mount_roots=(given,))
    settings = structs.replace(Settings(), gateway=gateway)
    shelf = Shelf(settings.skills_dir, trusted=(), by_digest=False)
    return HostLooks(settings, ("scripted",), ("api",), ManualClock(), shelf)


async def test_what_may_be_shared_is_looked_at(looks: HostLooks, given: Path) -> None:
    found = await looks.directory(f"{given}/papers")
    assert found is not None
    assert (found.real, found.inode) == (f"{given}/papers", (given / "papers").stat().st_ino)


async def test_nothing_else_is_touched_whatever_the_path(
    looks: HostLooks, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []

    def note(path: str) -> HostDir | None:
        touched.append(path)
        return None

    monkeypatch.setattr(gatehouse, "look_at", note)
    for path in (
        "/", "/etc", "/proc/self/root", f"{given.parent}/secret", f"{given}/../secret",
        f"{given}/papers/../../secret", f"{given}x", "given/papers", "", f"/..{given}/papers",
    ):  # fmt: skip
        assert await looks.directory(path) is None
    assert touched == []
