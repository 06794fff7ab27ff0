"""Counting what directories hold that a box could write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.slots import give, listing, slots

from ironclaw.airlock.count import count
from ironclaw.core.errors import HostError
from ironclaw.domain.wall import Box

if TYPE_CHECKING:
    from ironclaw.airlock.messages import Count

KIB = 1024
MANY = 10_000


def counted(top: Path, *, most_files: int = MANY, most_depth: int = 50) -> Count:
    fd = os.open(top, os.O_RDONLY)
    try:
        before = len(listing(Path("/proc/self/fd")))
        found = count(fd, most_files=most_files, most_depth=most_depth)
        assert len(listing(Path("/proc/self/fd"))) == before
        return found
    finally:
        os.close(fd)


def test_bytes_are_what_is_allocated_and_every_entry_counts(tmp_path: Path) -> None:
    empty = counted(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 64 * KIB)
    (tmp_path / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    found = counted(tmp_path)
    assert found.files == 5
    assert found.is_whole
    assert 64 * KIB <= found.bytes - empty.bytes < 128 * KIB


def test_a_file_with_many_names_has_its_bytes_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 64 * KIB)
    for number in range(10):
        os.link(tmp_path / "file", tmp_path / f"name{number}")
    found = counted(tmp_path)
    assert found.files == 11
    assert found.bytes < 128 * KIB


def test_names_of_any_bytes_are_counted(tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff\xfe\n", os.O_CREAT | os.O_WRONLY))
    assert counted(tmp_path).files == 1


def test_counting_ends_after_so_many_entries(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).touch()
    found = counted(tmp_path, most_files=10)
    assert not found.is_whole
    assert found.files == 11
    assert counted(tmp_path, most_files=20).is_whole


def test_a_tree_that_is_too_deep_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c" / "d").mkdir(parents=True)
    found = counted(tmp_path, most_depth=4)
    assert not found.is_whole
    assert found.files == 4
    assert counted(tmp_path, most_depth=5).is_whole


def test_nothing_hides_in_a_directory_that_its_owner_may_not_read(tmp_path: Path) -> None:
    for mode in (0o000, 0o300, 0o400):
        inner = tmp_path / f"{mode:o}"
        inner.mkdir()
        (inner / "file").write_bytes(b"x" * 64 * KIB)
        inner.chmod(mode)
    found = counted(tmp_path)
    assert found.is_whole
    assert found.files == 6
    assert found.bytes >= 3 * 64 * KIB


async def test_a_confined_count_sees_both_places_and_nothing_else() -> None:
    async with slots() as (slot,):
        workspace, memory = slot.dir.path / "workspace" / "w", slot.dir.path / "memory" / "m"
        for place in (workspace, memory):
            place.mkdir(parents=True)
        (workspace / "inner").mkdir()
        (workspace / "inner" / "file").write_bytes(b"x" * 64 * KIB)
        (workspace / "out").symlink_to(slot.dir.path)
        (memory / "note").write_bytes(b"y" * 16 * KIB)
        give(
            slot,
            [
                workspace / "inner" / "file",
                workspace / "inner",
                workspace,
                memory / "note",
                memory,
            ],
        )
        (workspace / "inner").chmod(0)
        if os.geteuid() == 0:
            # In a nest every core may open it; outside of one, as here, only root.
            workspace.chmod(0o300)

        found = await slot.starter.count(
            slot.dir, None, workspace=workspace, memory=memory, most_files=MANY
        )

        assert (found.workspace.files, found.memory.files) == (3, 1)
        assert found.workspace.is_whole
        assert found.workspace.bytes >= 64 * KIB
        assert 16 * KIB <= found.memory.bytes < 64 * KIB


async def test_a_file_that_is_deleted_and_still_open_counts(tmp_path: Path) -> None:
    async with slots() as (slot,):
        places = [slot.dir.path / name for name in ("workspace", "memory")]
        for place in places:
            place.mkdir()
        give(slot, places)

        async def held() -> int:
            found = await slot.starter.count(
                slot.dir,
                Box(slot.dir.slot, os.getpid(), 0, ""),
                workspace=places[0],
                memory=places[1],
                most_files=MANY,
            )
            return found.workspace.bytes

        before = await held()
        with (slot.dir.path / "file").open("wb") as file, os.fdopen(os.dup(file.fileno())):
            file.write(b"x" * 256 * KIB)
            file.flush()
            assert await held() == before
            (slot.dir.path / "file").unlink()
            assert 256 * KIB <= await held() - before < 512 * KIB
        assert await held() == before


async def test_a_deleted_file_that_only_the_gofer_has_open_counts_once(tmp_path: Path) -> None:
    async with slots() as (slot,):
        places = [slot.dir.path / name for name in ("workspace", "memory")]
        for place in places:
            place.mkdir()
        give(slot, places)

        async def counted(sentry: int) -> int:
            found = await slot.starter.count(
                slot.dir,
                Box(slot.dir.slot, sentry, 0, "", gofer=os.getpid()),
                workspace=places[0],
                memory=places[1],
                most_files=MANY,
            )
            return found.workspace.bytes

        for sentry in (2**22, os.getpid()):
            # What pytest itself holds of deleted files is no matter here.
            before = await counted(sentry)
            path = slot.dir.path / "file"
            path.write_bytes(b"x" * 256 * KIB)
            held = os.open(path, os.O_PATH | os.O_CLOEXEC)
            path.unlink()
            try:
                assert 256 * KIB <= await counted(sentry) - before < 512 * KIB
            finally:
                os.close(held)


async def test_a_box_that_is_gone_has_nothing_open() -> None:
    async with slots() as (slot,):
        gone = Box(slot.dir.slot, 2**22, 0, "")
        found = await slot.starter.count(
            slot.dir,
            gone,
            workspace=slot.dir.path / "in",
            memory=slot.dir.path / "run",
            most_files=MANY,
        )
        assert found.workspace.files == 0


async def test_what_cannot_be_counted_is_said() -> None:
    async with slots() as (slot,):
        with pytest.raises(HostError) as caught:
            await slot.starter.count(
                slot.dir,
                None,
                workspace=slot.dir.path / "gone",
                memory=slot.dir.path / "out",
                most_files=MANY,
            )
        assert caught.value.hint
