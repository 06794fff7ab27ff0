"""Where skills have their places in what is shared with an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.core.errors import HostError
from ironclaw.domain.model import SharedMount, Skill
from ironclaw.sandbox.skill_mounts import NoShelf, set_all_points

if TYPE_CHECKING:
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
