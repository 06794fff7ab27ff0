"""`edit_file`, `search_files` and `todo`: what they do, and what they tell a model that erred."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_agent.tools.beneath import Beneath
from ironclaw_agent.tools.edit import EditFile, edit_file
from ironclaw_agent.tools.errors import ToolError
from ironclaw_agent.tools.search import SearchFiles, _matches, search_files
from ironclaw_agent.tools.todo import FILE, Todo, todo


@pytest.fixture
def files(tmp_path: Path) -> Beneath:
    return Beneath(str(tmp_path), "/workspace")


def edit(files: Beneath, old: str, new: str) -> str:
    return edit_file(EditFile(path="f", old=old, new=new), files)


def search(files: Beneath, text: str, **more: object) -> str:
    return search_files(SearchFiles(text=text, **more), files)


# --- edit_file ----------------------------------------------------------------------------------


def test_a_text_that_is_there_once_is_replaced(files: Beneath, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one\ntwö\nthree\n")
    assert edit(files, "twö\n", "2\n") == "changed f in line 2, now 12 bytes"
    assert (tmp_path / "f").read_text() == "one\n2\nthree\n"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize(
    ("content", "old", "why"),
    [
        ("a\nb\na\n", "a", "more than once, in lines 1, 3;"),
        ("a\n" * 9, "a", "in lines 1, 2, 3, 4, 5 and more;"),
        ("aaa", "aa", "more than once"),
        ("x\n  word\n", "\tword ", "only the white space around it differs, in line 2"),
        ("x\ndef f():\n  pass\n", "def f():\n    pass", "its first line is, in line 2"),
        ("x", "y", "not there: read the file"),
        ("", "y", "not there"),
        ("x", "  ", "not there"),
        ("x", "new", "are the same"),
    ],
)
def test_what_cannot_be_replaced_is_left_alone_and_said(
    files: Beneath, tmp_path: Path, content: str, old: str, why: str
) -> None:
    (tmp_path / "f").write_text(content)
    with pytest.raises(ToolError, match=why):
        edit(files, old, "new")
    assert (tmp_path / "f").read_text() == content


@given(
    before=st.binary(max_size=40),
    after=st.binary(max_size=40),
    old=st.text(min_size=1, max_size=9),
    new=st.text(max_size=9),
)
def test_an_edit_changes_one_place_and_no_other_byte(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, after: bytes, old: str, new: str
) -> None:
    place = tmp_path_factory.getbasetemp()
    whole = before + old.encode() + after
    (place / "f").write_bytes(whole)
    try:
        edit(Beneath(str(place), "/workspace"), old, new)
    except ToolError:
        assert old == new or whole.find(old.encode()) != whole.rfind(old.encode())
        assert (place / "f").read_bytes() == whole
    else:
        assert (place / "f").read_bytes() == before + new.encode() + after


def test_a_file_that_is_too_long_to_edit_is_said(files: Beneath, tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(1024 * 1024 + 1)
    with pytest.raises(ToolError, match="longer than 1 MiB"):
        edit(files, "a", "b")


# --- search_files -------------------------------------------------------------------------------


def test_lines_are_found_with_their_places(files: Beneath, tmp_path: Path) -> None:
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "a.md").write_text("one\nTwo words\r\n")
    (tmp_path / "b/c/d.txt").write_text("two\n")
    (tmp_path / "b/x.bin").write_bytes(b"two\0")
    assert search(files, "two") == "b/c/d.txt:1: two"
    assert search(files, "TWO", ignore_case=True) == "a.md:2: Two words\nb/c/d.txt:1: two"
    assert search(files, "two", ignore_case=True, ending=".md") == "a.md:2: Two words"
    assert search(files, "two", path="b/c") == "b/c/d.txt:1: two"
    assert search(files, "T*rds", stars=True) == "a.md:2: Two words"
    assert search(files, "T*rds") == "[nothing found]"


@pytest.mark.parametrize(("text", "stars"), [("a\nb", False), ("**", True)])
def test_what_can_find_nothing_is_refused(files: Beneath, text: str, stars: bool) -> None:
    with pytest.raises(ToolError):
        search(files, text, stars=stars)


def test_the_work_of_a_search_is_bounded_and_says_so(files: Beneath, tmp_path: Path) -> None:
    (tmp_path / "many").write_text("hit\n" * 500)
    said = search(files, "hit").split("\n")
    assert len(said) == 101
    assert "only the first 100" in said[-1]
    with (tmp_path / "huge").open("wb") as file:
        file.write(b"x" * 300 + b"start")
        file.truncate(100 * 1024 * 1024)
        file.seek(0)
        file.write(b"q" * 5000)
    said = search(files, "qqqq").split("\n")
    assert len(said[0]) < 300
    assert "not all was looked at" in said[-1]
    deep = tmp_path
    for _ in range(20):
        deep = deep / "d"
        deep.mkdir()
    (deep / "f").write_text("hidden")
    said = search(files, "hidden", path="d")
    assert "hidden" not in said
    assert "not all was looked at" in said


@pytest.mark.hostile
def test_no_pattern_makes_a_search_slow(files: Beneath, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a" * 1_000_000)
    began = time.monotonic()
    assert search(files, "*".join("a" * 200) + "*b", stars=True) == "[nothing found]"
    assert time.monotonic() - began < 2


@pytest.mark.hostile
def test_links_pipes_and_odd_names_are_passed_over(files: Beneath, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / os.fsdecode(b"odd\xff")).write_text("root")
    assert search(files, "root") == "odd\ufffd:1: root"


@given(line=st.text("ab", max_size=30), parts=st.lists(st.text("ab", min_size=1), max_size=4))
def test_a_pattern_matches_as_stars_do(line: str, parts: list[str]) -> None:
    def slow(line: str, parts: list[str]) -> bool:
        return not parts or any(
            line.startswith(parts[0], place) and slow(line[place + len(parts[0]) :], parts[1:])
            for place in range(len(line) + 1)
        )

    if parts:
        assert (_matches(line, parts) >= 0) is slow(line, parts)


# --- todo ---------------------------------------------------------------------------------------


def test_items_are_added_done_and_cleared(files: Beneath, tmp_path: Path) -> None:
    assert todo(Todo(), files) == "[the list is empty]"
    assert not (tmp_path / FILE).exists()
    assert todo(Todo(add=("one", " two ")), files) == "1. [ ] one\n2. [ ] two"
    assert todo(Todo(done=(1,)), files) == "1. [x] one\n2. [ ] two"
    assert todo(Todo(), files) == "1. [x] one\n2. [ ] two"
    assert todo(Todo(clear=True, add=("three",)), files) == "1. [ ] two\n2. [ ] three"
    assert (tmp_path / FILE).read_text() == "- [ ] two\n- [ ] three\n"


def test_what_people_wrote_between_the_items_stays(files: Beneath, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("# Plan\n\n- [ ] one\nwhy: because\n")
    assert todo(Todo(done=(1,), add=("two",)), files) == "1. [x] one\n2. [ ] two"
    assert (tmp_path / FILE).read_text() == "# Plan\n\n- [x] one\nwhy: because\n- [ ] two\n"


def test_a_list_has_an_end_and_says_how_to_go_on(files: Beneath, tmp_path: Path) -> None:
    todo(Todo(add=("x",) * 100), files)
    with pytest.raises(ToolError, match="clear"):
        todo(Todo(add=("one more",)), files)
    todo(Todo(done=tuple(range(1, 51))), files)
    assert len(todo(Todo(clear=True, add=("one more",)), files).split("\n")) == 51
    with pytest.raises(ToolError, match="there is no item 99"):
        todo(Todo(done=(99,)), files)
    for odd in ("two\nlines", "  ", "\x1b[2J"):
        with pytest.raises(ToolError, match="one line"):
            todo(Todo(add=(odd,)), files)


@pytest.mark.hostile
def test_a_list_that_is_none_is_refused_and_left_alone(files: Beneath, tmp_path: Path) -> None:
    (tmp_path / FILE).symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic"):
        todo(Todo(add=("x",)), files)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).write_bytes(b"\xff" * 70_000)
    with pytest.raises(ToolError, match="too long"):
        todo(Todo(add=("x",)), files)
