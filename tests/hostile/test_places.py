"""Directories that another user of the machine could swap under a house."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ironclaw.config.paths import check_way
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.hostile


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        check_way(path)
    assert caught.value.code is Code.CONFIG_INVALID
    assert caught.value.hint
    return caught.value.message


def test_a_place_below_what_anybody_can_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "deep").mkdir(parents=True)
    shared.chmod(0o777)
    assert str(shared) in refused(shared / "deep" / "state")
    assert str(shared) in refused(shared / "state")


def test_a_link_does_not_hide_where_a_place_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (tmp_path / "fine").symlink_to(shared)
    assert str(shared) in refused(tmp_path / "fine" / "state")


def test_a_sticky_directory_is_as_safe_as_the_temporary_one(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    check_way(shared / "state")
    check_way(tmp_path / "not" / "there" / "yet")


def test_a_place_in_another_users_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(0o700)
    if os.geteuid() == 0:
        os.chown(theirs, 12345, 12345)
    else:
        # Only root can give a directory away: be somebody else instead.
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "belongs to another user" in refused(theirs / "state")
