"""Emptying a directory that a box could write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.slots import give, listing, slots

from ironclaw.airlock import sweep
from ironclaw.core.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path


def descend(top: Path, depth: int) -> None:
    fd = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 50, dir_fd=fd)
        inner = os.open("d" * 50, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


def test_odd_content_goes_and_what_it_points_at_stays(tmp_path: Path) -> None:
    top = tmp_path / "out"
    top.mkdir()
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("stays")
    (top / "link").symlink_to(victim)
    (top / "inner").mkdir()
    (top / "inner" / "link").symlink_to(victim)
    (top / "inner" / ".sweep-0").mkdir()
    (top / "inner" / ".sweep-0" / "file").touch()
    os.mkfifo(top / "fifo")
    (top / "new\nline").touch()
    (os.fsencode(top) + b"/\xff\xfe").decode("utf-8", "surrogateescape")
    os.close(os.open(os.fsencode(top) + b"/\xff\xfe", os.O_CREAT | os.O_WRONLY))
    descend(top / "inner", 400)
    closed = top / "inner" / "closed"
    closed.mkdir()
    (closed / "deeper").mkdir()
    (closed / "deeper").chmod(0)
    closed.chmod(0)
    fd = os.open(top, os.O_RDONLY)
    try:
        sweep.empty(fd)
    finally:
        os.close(fd)
    assert listing(top) == []
    assert (victim / "file").read_text() == "stays"


async def test_a_confined_sweep_empties_what_the_box_left() -> None:
    async with slots() as (slot,):
        for name in ("a", "b"):
            (slot.out / name).mkdir()
        (slot.out / "a" / "deep").mkdir()
        (slot.out / "a" / "deep" / "link").symlink_to("/etc/passwd")
        give(slot, [slot.out / "a" / "deep", slot.out / "a", slot.out / "b"])
        (slot.out / "a").chmod(0)
        await slot.starter.sweep(slot.dir)
        assert listing(slot.out) == []


@pytest.mark.root_only
async def test_a_sweep_has_no_more_rights_than_the_box() -> None:
    """What the box could not have made does not go, and the core is told."""
    async with slots() as (slot,):
        (slot.out / "theirs").mkdir()
        (slot.out / "theirs" / "file").touch()
        with pytest.raises(HostError) as caught:
            await slot.starter.sweep(slot.dir)
        assert caught.value.hint
        (slot.out / "theirs" / "file").unlink()
        (slot.out / "theirs").rmdir()
