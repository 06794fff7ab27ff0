"""When the package manager is asked again what would go into an image, and when it need not be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Never

import pytest

from ironclaw.image import inputs
from ironclaw.image.inputs import Versions, keep_versions, package_state, read_inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Places(NamedTuple):
    """Where a package manager keeps its files."""

    settings: Path
    lists: Path
    status: Path

    def state(self) -> str:
        """What `package_state` says of them."""
        return package_state(
            "libpython-dev", settings=self.settings, lists=self.lists, status=self.status
        )


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path / "apt", tmp_path / "lists", tmp_path / "status")
    (found.settings / "preferences.d").mkdir(parents=True)
    (found.settings / "sources.list").write_text("deb mirror stable main\n")
    found.lists.mkdir()
    (found.lists / "mirror_Packages").write_text("Package: libc6\n")
    found.status.write_text("Package: base-files\n")
    return found


def update_lists(places: Places) -> None:
    """As apt does: a new file in the old one's place, perhaps of the same size and time."""
    facts = (places.lists / "mirror_Packages").stat()
    (places.lists / "new").write_text("Package: libc7\n")
    os.utime(places.lists / "new", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (places.lists / "new").replace(places.lists / "mirror_Packages")


def pin(places: Places) -> None:
    (places.settings / "preferences.d/pin").write_text("Package: *\n")


def add_mirror(places: Places) -> None:
    (places.lists / "other_Packages.lz4").write_text("")


def install(places: Places) -> None:
    places.status.write_text("Package: base-files\nPackage: more\n")


@pytest.mark.parametrize("change", [update_lists, pin, add_mirror, install])
def test_whatever_apt_would_notice_is_noticed(
    places: Places, change: Callable[[Places], None]
) -> None:
    before = places.state()
    assert before
    assert before == places.state()

    change(places)

    assert places.state() != before


def test_a_lock_says_nothing(places: Places) -> None:
    before = places.state()

    (places.lists / "lock").touch()

    assert places.state() == before


def test_without_lists_only_apt_knows(places: Places) -> None:
    (places.lists / "mirror_Packages").unlink()

    assert places.state() == ""


async def test_nobody_is_asked_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the key is the same, remembered or not."""
    kept = tmp_path / "versions.json"
    asked = await read_inputs(None, kept=kept)
    monkeypatch.setattr(inputs, "package_state", lambda _package: "now")
    now = Versions("now", asked.versions.python_dev, asked.versions.base)
    keep_versions(now, kept)

    def fail(*_arguments: object, **_options: object) -> Never:
        pytest.fail("a program was started")

    monkeypatch.setattr(inputs, "run", fail)
    monkeypatch.setattr(inputs, "candidate_versions", fail)

    again = await read_inputs(None, kept=kept)

    assert again.key == asked.key
    assert again.toolchain.parts == asked.toolchain.parts


@pytest.mark.parametrize(
    "left", [b"", b"{}", b'{"state":"old","python_dev":"0","base":"lies"}', b"\xff"]
)
async def test_an_answer_that_is_old_or_broken_is_asked_again(tmp_path: Path, left: bytes) -> None:
    kept = tmp_path / "versions.json"
    kept.write_bytes(left)

    found = await read_inputs(None, kept=kept)

    assert found.versions.base != "lies"
    assert "libc6" in found.versions.base


def test_what_depends_on_nothing_known_is_not_kept(tmp_path: Path) -> None:
    keep_versions(Versions("", "1", "libc6"), tmp_path / "versions.json")

    assert list(tmp_path.iterdir()) == []
