"""`ironclaw memory`."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.cli import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ironclaw.testing.fake_house import FakeHouse


def test_a_memory_from_list_to_purge(cli: Any, house: FakeHouse, tmp_path: Path) -> None:
    house.add_agent("mind")
    assert cli("memory", "list", "mind")[1].splitlines()[1].split()[:4] == ["birds", "15", "1", "0"]
    status, out, err = cli("memory", "show", "mind", "birds")
    assert (status, out) == (0, "Ada is a heron.\n")
    assert "digest: sha256:" in err
    digest = json.loads(cli("memory", "show", "mind", "birds", "--json")[1])["digest"]
    (tmp_path / "text").write_text("Ada is a crane.")
    edit = ("memory", "edit", "mind", "birds", f"@{tmp_path}/text", "--was", digest)
    assert cli(*edit)[:2] == (0, "edited birds\n")
    status, _, err = cli(*edit)
    assert status == 5
    assert "changed since" in err
    assert cli("memory", "edit", "mind", "ann", "session=ses_aaaaaaaaaaaaaaaa")[0] == 0
    assert cli("memory", "purge", "mind", "ses_aaaaaaaaaaaaaaaa")[:2] == (
        0,
        "purged 1 notes of ses_aaaaaaaaaaaaaaaa\n",
    )
    assert cli("memory", "forget", "mind", "birds")[:2] == (0, "forgot birds\n")
    assert house.shelf.topics == {}


def test_tainted_notes_are_called_the_same_in_the_list_and_in_a_topic(
    cli: Any, house: FakeHouse
) -> None:
    house.add_agent("mind")
    assert "  TAINTED NOTES  " in cli("memory", "list", "mind")[1]
    err = cli("memory", "show", "mind", "birds")[2]
    assert "tainted notes: 0 of 1" in err
    assert "the house knows" not in err
    house.shelf.tainted = 1
    assert cli("memory", "list", "mind")[1].splitlines()[1].split()[3] == "1"
    err = cli("memory", "show", "mind", "birds")[2]
    assert "tainted notes: 1 of 1" in err
    assert "the house knows" in err


def test_what_was_not_looked_through_is_said(cli: Any, house: FakeHouse) -> None:
    house.add_agent("mind")
    house.shelf.is_whole = False
    for words in (
        ("list", "mind"),
        ("show", "mind", "birds"),
        ("purge", "mind", "ses_aaaaaaaaaaaaaaaa"),
    ):
        assert "not all" in cli("memory", *words)[2]


def test_foreign_text_cannot_steer_the_terminal(cli: Any, house: FakeHouse) -> None:
    house.add_agent("mind")
    house.shelf.topics["odd"] = b"\x1b[2Jgone"
    assert "\x1b" not in cli("memory", "show", "mind", "odd")[1]


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Lets somebody sit at a terminal with an editor that does this to the file."""

    def sit(script: str) -> None:
        editor = tmp_path / "editor"
        editor.write_text(f"#!/bin/sh\n{script}\n")
        editor.chmod(0o700)
        monkeypatch.setenv("VISUAL", f"{editor} --wait")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(render, "is_seen", lambda: True)

    return sit


def left(place: Path) -> list[str]:
    """The texts of editors that were not removed."""
    return [path.read_text() for path in place.glob("ironclaw-*/text.md")]


def test_a_topic_is_edited_in_the_persons_own_editor(
    cli: Any, house: FakeHouse, writes: Callable[[str], None], tmp_path: Path
) -> None:
    house.add_agent("mind")
    writes('test "$1" = --wait && sed -i s/heron/crane/ "$2"')
    assert cli("memory", "edit", "mind", "birds")[:2] == (0, "edited birds\n")
    assert house.shelf.topics["birds"] == b"Ada is a crane."

    writes('echo "Ann is kind." > "$2"')
    assert cli("memory", "edit", "mind", "ann")[:2] == (0, "edited ann\n")
    assert house.shelf.topics["ann"] == b"Ann is kind.\n"
    assert left(tmp_path) == []


@pytest.mark.parametrize("script", ["true", 'echo >> "$2"', 'echo gone > "$2"; exit 1'])
def test_nothing_is_saved_of_an_editor_that_changed_nothing_or_failed(
    cli: Any, house: FakeHouse, writes: Callable[[str], None], tmp_path: Path, script: str
) -> None:
    house.add_agent("mind")
    writes(script)

    status, out, err = cli("memory", "edit", "mind", "birds")

    assert (status, out) == (0, "")
    assert "Nothing was saved" in err
    assert house.shelf.topics["birds"] == b"Ada is a heron."
    assert left(tmp_path) == []


def test_what_was_written_is_kept_where_the_topic_has_changed_meanwhile(
    cli: Any, house: FakeHouse, writes: Callable[[str], None], tmp_path: Path
) -> None:
    house.add_agent("mind")
    writes('echo mine > "$2"')

    status, _out, err = cli("memory", "edit", "mind", "birds", "--was", "sha256:" + "0" * 64)

    assert status == 5
    assert "What you wrote is in" in err
    assert left(tmp_path) == ["mine\n"]


def test_an_editor_is_opened_on_nothing_that_it_could_harm(
    cli: Any, house: FakeHouse, writes: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add_agent("mind")
    writes('echo mine > "$2"')
    house.shelf.topics["odd"] = b"\x1b[2Jgone"
    before = dict(house.shelf.topics)

    assert cli("memory", "edit", "nobody", "birds")[0] == 4
    assert "act on a terminal" in cli("memory", "edit", "mind", "odd")[2]
    house.shelf.is_whole = False
    assert "would be lost" in cli("memory", "edit", "mind", "birds")[2]
    house.shelf.is_whole = True
    monkeypatch.setenv("VISUAL", "/nowhere/at/all")
    assert "There is no editor" in cli("memory", "edit", "mind", "birds")[2]
    monkeypatch.delenv("VISUAL")
    monkeypatch.delenv("EDITOR", raising=False)
    assert "Set VISUAL or EDITOR" in cli("memory", "edit", "mind", "birds")[2]
    assert house.shelf.topics == before


def test_without_a_terminal_no_editor_is_opened(
    cli: Any, house: FakeHouse, writes: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add_agent("mind")
    writes('echo mine > "$2"')
    assert cli("memory", "edit", "mind", "birds", "--json")[0] == 3
    monkeypatch.setattr(render, "is_seen", lambda: False)

    status, _out, err = cli("memory", "edit", "mind", "birds")

    assert status == 3
    assert "TEXT is missing" in err
    assert "@FILE" in err
    assert house.shelf.topics["birds"] == b"Ada is a heron."


def test_a_text_that_cannot_be_read_or_is_no_topic_is_refused(
    cli: Any, house: FakeHouse, tmp_path: Path
) -> None:
    house.add_agent("mind")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "long").write_text("x" * (128 * 1024 + 1))
    for text in ("@/nowhere/at/all", f"@{tmp_path}/binary", f"@{tmp_path}/long", ""):
        assert cli("memory", "edit", "mind", "birds", text)[0] == 3
    assert house.shelf.topics == {"birds": b"Ada is a heron."}
