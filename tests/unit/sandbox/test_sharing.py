"""Shared mounts: which directory is opened, and where mount points come and go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.sandbox.keeper import keeper_argv
from ironclaw.sandbox.sharing import opened, set_points
from ironclaw.testing.isolator_kit import shared

if TYPE_CHECKING:
    from ironclaw.domain.model import SharedMount


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    path = tmp_path.resolve() / "people" / "docs"
    path.mkdir(parents=True)
    return path


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def opens(mount: SharedMount, *own: Path) -> None:
    with opened(mount, own=own) as descriptor:
        found = os.fstat(descriptor)
        assert (found.st_dev, found.st_ino) == (mount.device, mount.inode)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def refuses(mount: SharedMount, *own: Path) -> None:
    before = names(Path("/proc/self/fd"))
    with pytest.raises(HostError) as caught, opened(mount, own=own):
        pass
    assert caught.value.code is Code.HOST_UNSUITED
    assert mount.name in caught.value.message
    assert "unshare" in caught.value.hint
    assert names(Path("/proc/self/fd")) == before


def test_the_approved_directory_is_opened(docs: Path) -> None:
    opens(shared("docs", docs))


def test_the_house_is_not_shown_under_another_path(docs: Path) -> None:
    """As when it is bound to a second place; a link to it is as good for a test."""
    (docs / "state").mkdir()
    elsewhere = docs.parent / "elsewhere"
    elsewhere.symlink_to(docs, target_is_directory=True)
    refuses(shared("docs", docs), elsewhere)
    refuses(shared("docs", docs), elsewhere / "state")
    opens(shared("docs", docs), elsewhere.with_name("nothing"))


def test_another_directory_at_its_path_is_not(docs: Path) -> None:
    mount = shared("docs", docs)
    docs.rename(docs.with_name("former"))
    refuses(mount)
    docs.mkdir()
    refuses(mount)
    docs.rmdir()
    docs.write_text("a file")
    refuses(mount)


def test_no_link_leads_to_it(docs: Path) -> None:
    """Neither as its last part nor on the way."""
    mount = shared("docs", docs)
    link = docs.with_name("link")
    link.symlink_to(docs)
    above = docs.parent.with_name("above")
    above.symlink_to(docs.parent)
    for path in (link, above / "docs", docs.parent / ".." / "people" / "docs"):
        refuses(structs.replace(mount, path=str(path)))


@pytest.mark.parametrize("path", ["docs", "", "./docs"])
def test_a_path_that_is_not_absolute_is_refused(docs: Path, path: str) -> None:
    refuses(structs.replace(shared("docs", docs), path=path))


def test_nothing_of_the_house_is_opened(docs: Path) -> None:
    """Not what is in its directories, nor what they are in."""
    mount = shared("docs", docs)
    refuses(mount, docs)
    refuses(mount, docs.parent)
    refuses(mount, docs / "state")
    opens(mount, docs.with_name("docs-of-others"))


def test_mount_points_come_and_go_and_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "skill").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "skill" / "SKILL.md").write_text("x")

    set_points(tmp_path, ["docs", "music", "skill"])
    assert names(tmp_path) == ["docs", "empty", "music", "skill"]
    set_points(tmp_path, ["music"])

    assert names(tmp_path) == ["empty", "music", "skill"]
    assert (tmp_path / "skill" / "SKILL.md").read_text() == "x"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_mount_point_is_a_directory(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "docs"
    if kind == "file":
        place.write_text("x")
    else:
        place.symlink_to("/etc")
    with pytest.raises(HostError) as caught:
        set_points(tmp_path, ["docs"])
    assert "docs" in caught.value.message


def test_the_nest_is_told_what_it_must_not_hide(docs: Path) -> None:
    argv = keeper_argv(["core"], state_dir=docs, runtime_dir=docs, visible=[docs])
    assert f"--visible={docs}" in argv[: argv.index("--")]
