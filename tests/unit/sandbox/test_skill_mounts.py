"""Where skills have their places in what is shared with an agent."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.errors import HostError
from ironclaw.core.ids import AgentId, SlotId, new_id
from ironclaw.domain.model import BoxLimits, SharedMount, Skill
from ironclaw.domain.wall import Durable, LaunchSpec, Rootfs
from ironclaw.sandbox import sharing
from ironclaw.sandbox.skill_mounts import NoShelf, set_all_points
from ironclaw.skills.packing import Packed
from ironclaw.skills.shelf import Shelf
from ironclaw.testing.fakes_sandbox import FakeIsolator

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

DOCS = SharedMount(name="docs", path="/srv/docs", device=1, inode=2)


def skills(*names: str) -> list[Skill]:
    return [Skill(name=name, digest="sha256:" + "0" * 64, description="") for name in names]


def places(shared: Path) -> list[str]:
    return sorted(str(path.relative_to(shared)) for path in shared.rglob("*"))


def test_places_come_and_go_with_skills(tmp_path: Path) -> None:
    set_all_points(tmp_path, [DOCS], skills("birds", "fish"))
    assert places(tmp_path) == ["docs", "skills", "skills/birds", "skills/fish"]
    set_all_points(tmp_path, [DOCS], skills("fish"))
    assert places(tmp_path) == ["docs", "skills", "skills/fish"]
    set_all_points(tmp_path, [], [])
    assert places(tmp_path) == []


def test_without_the_powers_of_root_places_are_opened_for_the_moment_and_closed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []

    def set_points(point: Path, names: Collection[str]) -> None:
        modes.append(stat.S_IMODE(point.stat().st_mode))
        sharing_set_points(point, names)

    sharing_set_points = sharing.set_points
    set_all_points(tmp_path, [], skills("birds"))
    monkeypatch.setattr(sharing, "set_points", set_points)
    # Root may write anywhere: what the kernel would tell somebody else.
    monkeypatch.setattr(sharing.os, "access", lambda *_: False)
    set_all_points(tmp_path, [], skills("birds", "fish"))
    assert places(tmp_path) == ["skills", "skills/birds", "skills/fish"]
    assert modes == [0o755, 0o755]
    assert stat.S_IMODE((tmp_path / "skills").stat().st_mode) == 0o555


def test_what_people_have_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "skills").mkdir()
    (tmp_path / "skills" / "notes.txt").write_text("ours")
    set_all_points(tmp_path, [], skills("birds"))
    set_all_points(tmp_path, [], [])
    assert places(tmp_path) == ["skills", "skills/notes.txt"]


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "skills").write_text("ours")
    with pytest.raises(HostError, match="skills"):
        set_all_points(tmp_path, [], skills("birds"))
    set_all_points(tmp_path, [], [])
    assert (tmp_path / "skills").read_text() == "ours"


def test_a_house_without_skills_shows_none() -> None:
    with pytest.raises(HostError, match="no skill"):
        NoShelf().verified("sha256:" + "0" * 64)


HEAD = b"---\nname: birds\ndescription: Tell birds apart.\n---\n"


class Careless(Shelf):
    """The weakened twin: it hashes nothing again."""

    def is_same(self, files: Path, digest: str) -> bool:
        del files, digest
        return True


def shelf(root: Path, made_by: type[Shelf] = Shelf) -> Shelf:
    return made_by(root / "skills", trusted=(), by_digest=True)


async def launched(root: Path, skill: Skill, made_by: type[Shelf] = Shelf) -> LaunchSpec:
    """Launch a box that has a skill, on what is kept at a place."""
    isolator = FakeIsolator(root, shelf=shelf(root, made_by))
    slot = SlotId(new_id("slt"))
    spec = LaunchSpec(
        dir=await isolator.prepare(slot, lane=1),
        agent=AgentId("agt_a"),
        rootfs=Rootfs(f"sha256:{'0' * 64}", root / "rootfs"),
        workspace=await isolator.durable(Durable.WORKSPACE, slot, lane=1),
        memory=await isolator.durable(Durable.MEMORY, "a", lane=1),
        shared=await isolator.durable(Durable.SHARED, "a", lane=1),
        limits=BoxLimits(),
        skills=(skill,),
    )
    await isolator.launch(spec)
    return spec


async def test_a_box_gets_the_very_skill_that_was_approved_or_none(tmp_path: Path) -> None:
    root = tmp_path
    kept = await asyncio.to_thread(
        shelf(root).keep, Packed({"SKILL.md": HEAD, "a.txt": b"a"}, b""), now_ms=1
    )
    skill = Skill(name="birds", digest=kept.digest, description="")
    spec = await launched(root, skill)
    assert (spec.shared / "skills" / "birds").is_dir()

    target = root / "skills" / kept.digest.removeprefix("sha256:") / "files" / "a.txt"
    target.chmod(0o644)
    await asyncio.to_thread(target.write_text, "Do as I say.")
    with pytest.raises(HostError) as caught:
        await launched(root, skill)
    assert caught.value.code == "host_unsuited"
    assert kept.digest in caught.value.message
    # Without that look nobody would have noticed.
    await launched(root, skill, Careless)


async def test_another_skill_is_another_box(tmp_path: Path) -> None:
    root = tmp_path
    digests = []
    for text in (b"one", b"two"):
        kept = await asyncio.to_thread(
            shelf(root).keep, Packed({"SKILL.md": HEAD, "a.txt": text}, b""), now_ms=1
        )
        skill = Skill(name="birds", digest=kept.digest, description="")
        spec = await launched(root, skill)
        isolator = FakeIsolator(root, shelf=shelf(root))
        digests.append(await isolator.digest_for(spec))
    assert digests[0] != digests[1]
