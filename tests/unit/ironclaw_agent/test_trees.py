"""What people share: a box reads it by its path, changes nothing of it and gets nowhere from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from ironclaw_agent.tools.host import HostTools
from ironclaw_agent.tools.specs import SPECS
from ironclaw_agent.tools.table import Toolbox
from ironclaw_contract.clean_tools import CLEAN
from ironclaw_contract.entries import Called

if TYPE_CHECKING:
    from collections.abc import Iterator

READING = ("list_files", "read_file", "search_files")
NAMES = frozenset(spec.name for spec in SPECS)
MORE = {
    "write_file": {"text": "changed"},
    "edit_file": {"old": "hello", "new": "changed"},
    "search_files": {"text": "e"},
}


class Ground(NamedTuple):
    """A workspace, what is shared, and something beside both."""

    workspace: Path
    shared: Path
    outside: Path

    def use(self, tool: str, path: str, **arguments: object) -> tuple[str, bool]:
        """Have a fresh box run one tool; its words, and whether they tell of an error."""
        box = Toolbox(
            str(self.workspace), HostTools("none.sock"), memory="", shared=str(self.shared)
        )
        given = {"path": path, **MORE.get(tool, {}), **arguments}
        call = Called(call="c", name=tool, arguments=msgspec.json.encode(given).decode())
        (result,) = box.run_all([call], allowed=NAMES, turn="msg_1", step=0, heard=())
        return result.text, result.is_error


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path / "workspace", tmp_path / "shared", tmp_path / "outside")
    for place in made:
        place.mkdir()
    (made.workspace / "own.txt").write_text("mine")
    (made.shared / "notes").mkdir()
    (made.shared / "notes/note.txt").write_text("one\nhello")
    (made.outside / "secret").write_text("secret")
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    yield made
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_what_is_shared_is_listed_read_and_searched(ground: Ground) -> None:
    for top in ("/shared", "/shared/", "/shared/./"):
        assert ground.use("list_files", top) == ("notes/", False)
    assert ground.use("list_files", "/shared/notes") == ("note.txt  9 bytes", False)
    assert ground.use("read_file", "/shared/notes/note.txt") == ("one\nhello", False)
    found, _ = ground.use("search_files", "/shared", text="hello")
    assert found == "/shared/notes/note.txt:2: hello"
    path = found.split(":")[0]
    assert ground.use("read_file", path) == ("one\nhello", False), "a path that was told is taken"


def test_every_other_path_is_of_the_workspace(ground: Ground) -> None:
    (ground.workspace / "shared/notes").mkdir(parents=True)
    (ground.workspace / "shared/notes/note.txt").write_text("my own")
    for path in ("shared/notes/note.txt", "./shared/notes/note.txt"):
        assert ground.use("read_file", path) == ("my own", False)
    assert ground.use("read_file", "/workspace/shared/notes/note.txt") == ("my own", False)
    assert ground.use("list_files", "") == ("own.txt  4 bytes\nshared/", False)
    assert ground.use("search_files", "", text="hello") == ("[nothing found]", False)
    for tool in READING:
        text, is_error = ground.use(tool, "//shared/notes/note.txt")
        assert (text, is_error) == ("only files below /workspace and /shared can be reached", True)


@pytest.mark.parametrize("tool", ["write_file", "edit_file"])
@pytest.mark.parametrize("path", ["/shared/notes/note.txt", "/shared/new", "/shared"])
def test_nothing_that_is_shared_is_changed(ground: Ground, tool: str, path: str) -> None:
    """The mount is read-only too; that there is none here shows that the tools do not try."""
    text, is_error = ground.use(tool, path)
    assert is_error
    assert "read-only" in text
    assert "/workspace" in text
    assert [entry.name for entry in ground.shared.iterdir()] == ["notes"]
    assert (ground.shared / "notes/note.txt").read_text() == "one\nhello"


@pytest.mark.hostile
@pytest.mark.parametrize("tool", [*READING, "write_file", "edit_file"])
@pytest.mark.parametrize(
    "path",
    [
        "link", "dirlink", "dirlink/secret", "up", "up/outside/secret", "absolute", "loop",
        "../outside/secret", "notes/../../outside", "..", "fifo/x", "\0", "a\nb", "x" * 300,
        "/".join("a" * 40), "x" * 5000,
    ],
)  # fmt: skip
def test_nothing_that_is_shared_leads_anywhere_else(ground: Ground, tool: str, path: str) -> None:
    (ground.shared / "link").symlink_to("../outside/secret")
    (ground.shared / "dirlink").symlink_to("../outside")
    (ground.shared / "absolute").symlink_to(ground.outside)
    (ground.shared / "up").symlink_to("..")
    (ground.shared / "loop").symlink_to("loop")
    os.mkfifo(ground.shared / "fifo")
    text, is_error = ground.use(tool, f"/shared/{path}")
    assert is_error
    assert "secret" not in text.replace(path, "")
    assert (ground.outside / "secret").read_text() == "secret"


@pytest.mark.hostile
def test_a_search_of_what_is_shared_follows_no_link(ground: Ground) -> None:
    (ground.shared / "notes/link").symlink_to(ground.outside / "secret")
    (ground.shared / "notes/dirlink").symlink_to(ground.outside)
    (ground.shared / "notes/round").symlink_to(ground.shared)
    (ground.shared / "notes/own").symlink_to(ground.workspace)
    assert ground.use("search_files", "/shared", text="secret") == ("[nothing found]", False)
    assert ground.use("search_files", "/shared", text="mine") == ("[nothing found]", False)
    assert ground.use("search_files", "/shared", text="hello")[0].count("\n") == 0


@pytest.mark.hostile
def test_a_link_of_the_workspace_does_not_lead_to_what_is_shared(ground: Ground) -> None:
    (ground.workspace / "way").symlink_to(ground.shared)
    assert ground.use("read_file", "way/notes/note.txt")[1]
    assert ground.use("write_file", "way/new")[1]
    assert not (ground.shared / "new").exists()


def test_what_is_not_shared_is_said_with_where_to_look(ground: Ground) -> None:
    for tool in READING:
        text, is_error = ground.use(tool, "/shared/other/x")
        assert (text, is_error) == (
            "no such thing is shared; list_files /shared shows what is",
            True,
        )
    assert ground.use("read_file", "/shared") == (
        "give the path of a file; list_files shows what there is",
        True,
    )
    assert ground.use("read_file", "/shared/notes")[1]


def test_a_box_without_anything_shared_says_so(ground: Ground) -> None:
    (ground.shared / "notes/note.txt").unlink()
    (ground.shared / "notes").rmdir()
    assert ground.use("list_files", "/shared") == ("[empty]", False)
    ground.shared.rmdir()
    for tool in ("list_files", "search_files"):
        assert ground.use(tool, "/shared") == ("nothing is shared with you", True)
    assert "list_files /shared" in ground.use("read_file", "/shared/notes/note.txt")[0]
    assert ground.use("list_files", "") == ("own.txt  4 bytes", False)


def test_what_may_not_be_read_is_said(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_given: object) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr("ironclaw_agent.tools.beneath.Beneath.open_file", refused)
    text, is_error = ground.use("read_file", "/shared/notes/note.txt")
    assert is_error
    assert "ask your people" in text
    assert ground.use("read_file", "own.txt") == ("permission denied", True)


def test_what_is_shared_taints_what_is_noted_after_it() -> None:
    """The rule knows names of tools alone, so nobody has to be believed about a path."""
    assert not CLEAN & set(READING)
