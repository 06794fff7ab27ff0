"""`ironclaw memory`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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


def test_a_text_that_cannot_be_read_or_is_no_topic_is_refused(
    cli: Any, house: FakeHouse, tmp_path: Path
) -> None:
    house.add_agent("mind")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "long").write_text("x" * (128 * 1024 + 1))
    for text in ("@/nowhere/at/all", f"@{tmp_path}/binary", f"@{tmp_path}/long", ""):
        assert cli("memory", "edit", "mind", "birds", text)[0] == 3
    assert house.shelf.topics == {"birds": b"Ada is a heron."}
