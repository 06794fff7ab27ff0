"""A directory of topics that several change at once, some of them hostile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ironclaw_contract import memory_dir
from ironclaw_contract.memory_dir import (
    MAX_TOPIC_BYTES,
    MAX_TOPICS,
    MemoryDirError,
    change_topic,
    is_topic,
    list_topics,
    read_topic,
    replace_topic,
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_a_topic_is_made_changed_read_listed_and_taken_away(opened: int, tmp_path: Path) -> None:
    change_topic(opened, "tea", lambda before: b"one" if before is None else b"?")
    change_topic(opened, "tea", lambda before: (before or b"") + b" two")
    content = read_topic(opened, "tea")
    assert content == (b"one two", 7)
    assert read_topic(opened, "tea", offset=4, limit=2) == (b"tw", 7)
    assert [(topic.name, topic.size) for topic in list_topics(opened).topics] == [("tea", 7)]
    assert (tmp_path / "tea.md").stat().st_mode & 0o777 == 0o600
    replace_topic(opened, "tea", None)
    replace_topic(opened, "tea", None)
    assert read_topic(opened, "tea") is None
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["a", "a-1", "2026-plans", "x" * 48])
def test_a_name_of_a_topic(name: str) -> None:
    assert is_topic(name)


@pytest.mark.hostile
@pytest.mark.parametrize(
    "name", ["", "-a", ".", "..", "a/b", "A", "a.b", "a b", "ä", "a\n", "x" * 49, "²", ".writing"]
)
def test_no_other_name_is_used_for_anything(opened: int, name: str) -> None:
    assert not is_topic(name)
    for act in (read_topic, lambda fd, name: replace_topic(fd, name, b"")):
        with pytest.raises(MemoryDirError):
            act(opened, name)


def test_a_change_that_fails_changes_nothing(opened: int, tmp_path: Path) -> None:
    replace_topic(opened, "tea", b"one")

    def fail(_before: bytes | None) -> bytes:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - our own
        change_topic(opened, "tea", fail)
    assert read_topic(opened, "tea") == (b"one", 3)
    assert [path.name for path in tmp_path.iterdir()] == ["tea.md"]


WRITER = """
import os, sys
sys.path[:0] = {paths!r}
from ironclaw_contract.memory_dir import change_topic
fd = os.open({place!r}, os.O_RDONLY)
for number in range(40):
    line = f"{{sys.argv[1]}}-{{number}}\\n".encode()
    change_topic(fd, "tea", lambda before: (before or b"") + line)
"""


@pytest.mark.crash
def test_nothing_is_lost_when_several_add_at_the_same_time(opened: int, tmp_path: Path) -> None:
    code = WRITER.format(paths=[path for path in sys.path if path], place=str(tmp_path))
    writers = [subprocess.Popen([sys.executable, "-I", "-c", code, name]) for name in "abc"]
    assert [writer.wait(20) for writer in writers] == [0, 0, 0]
    content = read_topic(opened, "tea")
    assert content is not None
    lines = content.data.decode().split()
    assert sorted(lines) == sorted(f"{name}-{number}" for name in "abc" for number in range(40))


def make_left(tmp_path: Path, kind: str, age_s: float) -> None:
    left = tmp_path / ".writing"
    if kind == "file":
        left.write_bytes(b"half")
    elif kind == "link":
        left.symlink_to("/etc/passwd")
    else:
        left.mkdir()
        if kind == "full directory":
            (left / "x").touch()
    at = time.time() - age_s
    os.utime(left, (at, at), follow_symlinks=False)


@pytest.mark.crash
@pytest.mark.parametrize("kind", ["file", "link", "directory", "full directory"])
@pytest.mark.parametrize("age_s", [60, -60])
def test_what_a_killed_writer_left_holds_nobody_up(
    opened: int, tmp_path: Path, kind: str, age_s: float
) -> None:
    make_left(tmp_path, kind, age_s)
    replace_topic(opened, "tea", b"one")
    assert read_topic(opened, "tea") == (b"one", 3)
    assert not (tmp_path / ".writing").exists()


def test_a_change_by_another_is_waited_for_and_not_for_ever(
    opened: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_dir, "_WAIT_S", 0.05)
    make_left(tmp_path, "file", 0)
    with pytest.raises(MemoryDirError, match="try again"):
        replace_topic(opened, "tea", b"one")
    assert (tmp_path / ".writing").read_bytes() == b"half"


def test_a_change_that_was_taken_for_dead_begins_again(opened: int, tmp_path: Path) -> None:
    replace_topic(opened, "tea", b"one")
    seen = []

    def slow(before: bytes | None) -> bytes:
        seen.append(before)
        if len(seen) == 1:
            (tmp_path / ".writing").unlink()
            replace_topic(opened, "tea", b"one two")
        return (before or b"") + b" three"

    change_topic(opened, "tea", slow)
    assert seen == [b"one", b"one two"]
    assert read_topic(opened, "tea") == (b"one two three", 13)


@pytest.mark.hostile
def test_a_box_that_takes_every_change_for_dead_is_not_fought_for_ever(
    opened: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_dir, "_WAIT_S", 0.05)

    def spoiled(_before: bytes | None) -> bytes:
        (tmp_path / ".writing").unlink()
        return b"x"

    with pytest.raises(MemoryDirError, match="try again"):
        change_topic(opened, "tea", spoiled)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.hostile
def test_whatever_stands_there_is_neither_followed_nor_waited_for(
    opened: int, tmp_path: Path
) -> None:
    (tmp_path / "link.md").symlink_to("/etc/passwd")
    (tmp_path / "loop.md").symlink_to("loop.md")
    (tmp_path / "directory.md").mkdir()
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "UPPER.md").touch()
    (tmp_path / os.fsdecode(b"odd\xff.md")).touch()
    with (tmp_path / "huge.md").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    assert [topic.name for topic in list_topics(opened).topics] == ["huge"]
    for name in ("link", "loop", "directory", "pipe"):
        with pytest.raises(MemoryDirError, match="not a plain file"):
            read_topic(opened, name)
        with pytest.raises(MemoryDirError, match="not a plain file"):
            change_topic(opened, name, lambda before: before or b"")
    content = read_topic(opened, "huge")
    assert content is not None
    assert len(content.data) == MAX_TOPIC_BYTES
    with pytest.raises(MemoryDirError, match="longer"):
        change_topic(opened, "huge", lambda before: before or b"")
    for name in ("link", "pipe", "huge"):
        replace_topic(opened, name, b"mine")
        assert read_topic(opened, name) == (b"mine", 4)
    assert Path("/etc/passwd").read_bytes() != b"mine"
    with pytest.raises(OSError, match="irectory"):
        replace_topic(opened, "directory", b"mine")


@pytest.mark.hostile
def test_a_flood_of_files_is_not_listed_to_its_end(opened: int, tmp_path: Path) -> None:
    for number in range(MAX_TOPICS + 5):
        (tmp_path / f"t{number}.md").touch()
    listing = list_topics(opened)
    assert (len(listing.topics), listing.is_whole) == (MAX_TOPICS, False)
