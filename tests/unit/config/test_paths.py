from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.config.paths import claim_directory, default_runtime_dir
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_claimed_directory_is_made_private(tmp_path: Path) -> None:
    made = claim_directory(tmp_path / "a" / "b")

    assert made.stat().st_mode & 0o777 == 0o700


def test_one_that_is_open_to_others_is_closed(tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)

    claim_directory(place)

    assert place.stat().st_mode & 0o777 == 0o700


def test_a_link_planted_where_the_directory_goes_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)

    with pytest.raises(UserError) as caught:
        claim_directory(tmp_path / "link")

    assert caught.value.code is Code.CONFIG_INVALID


def test_a_place_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(HostError) as caught:
        claim_directory(tmp_path / "file" / "dir")

    assert "paths" in caught.value.hint.lower()


def test_a_runtime_directory_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": "/tmp"}

    assert str(default_runtime_dir(environ, 4321)) == "/tmp/ironclaw-4321"
