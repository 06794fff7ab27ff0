"""`ironclaw file` and `chat --file`: sent, named, saved under a name that cannot do harm."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.cli.nouns.files import name_of, to_send
from ironclaw.core.errors import UserError
from ironclaw_contract.limits import MAX_FILE_BYTES, MAX_FILES

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.testing.fake_house import FakeHouse


@pytest.mark.parametrize(
    ("encoded", "saved"),
    [
        ("a%20b.png", "a b.png"),
        ("..%2F..%2Fetc%2Fpasswd", "passwd"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("gpj.%E2%80%AEexe", "gpj.exe"),
        ("%00", "file"),
        ("", "file"),
    ],
)
def test_a_strangers_name_is_no_path_and_hides_nothing(encoded: str, saved: str) -> None:
    assert name_of(f"attachment; filename=\"x\"; filename*=UTF-8''{encoded}") == saved


def test_plain_files_are_read_and_nothing_else(tmp_path: Path) -> None:
    plain = tmp_path / "a.txt"
    plain.write_bytes(b"hello")
    assert to_send([plain]) == [{"name": "a.txt", "data": "aGVsbG8="}]
    os.mkfifo(tmp_path / "pipe")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    for paths in ([tmp_path / "none"], [tmp_path / "pipe"], [tmp_path], [large]):
        with pytest.raises(UserError):
            to_send(paths)
    with pytest.raises(UserError):
        to_send([plain] * (MAX_FILES + 1))


def test_a_file_is_sent_and_saved_and_nothing_is_written_over(
    cli: Any, house: FakeHouse, tmp_path: Path
) -> None:
    plain = tmp_path / "a.txt"
    plain.write_bytes(b"hello")
    status, out, err = cli("chat", "demo", "--file", str(plain), "--json")
    assert status == 0, (out, err)
    (event,) = house.heard
    assert (event.text, [(one.name, one.data) for one in event.files]) == (
        "",
        [("a.txt", b"hello")],
    )
    (file,) = house.files._kept
    saved = tmp_path / "saved"
    assert cli("file", "get", file, "--output", str(saved))[0] == 0
    assert saved.read_bytes() == b"hello"
    saved.write_bytes(b"mine")
    assert cli("file", "get", file, "--output", str(saved))[0] != 0
    assert saved.read_bytes() == b"mine"
    assert cli("file", "get", "fil_none", "--output", str(tmp_path / "none"))[0] != 0
    assert not (tmp_path / "none").exists()


def test_files_are_listed_with_who_sent_them(cli: Any, house: FakeHouse, tmp_path: Path) -> None:
    plain = tmp_path / "a.txt"
    plain.write_bytes(b"hello")
    sessions = {}
    for agent in ("demo", "other"):
        if agent == "other":
            house.add_agent(agent)
        told = json.loads(cli("chat", agent, "look", "--file", str(plain), "--json")[1])
        sessions[agent] = told["session"]
    demo, other = house.files._kept
    status, out, err = cli("file", "list", "--agent", "demo")
    assert status == 0, err
    head, row = out.splitlines()
    assert head.split() == ["FILE", "NAME", "TYPE", "BYTES", "WAY", "FROM", "SESSION", "WHEN"]
    assert row.split()[:7] == [demo, "a.txt", "text/plain", "5", "in", "cli", sessions["demo"]]
    listed = json.loads(cli("file", "list", "--json")[1])["files"]
    assert [one["id"] for one in listed] == [other, demo]
    assert (listed[0]["sender"], listed[0]["is_out"]) == ("cli", False)
    assert other in cli("file", "list", "--limit", "1")[1]
    assert demo not in cli("file", "list", "--limit", "1")[1]
    assert demo not in cli("file", "list", "--session", sessions["other"])[1]
    assert cli("file", "list", "--agent", "nobody")[0] == 4
    assert cli("file", "list", "--session", "ses_none")[0] == 4
    assert cli("file", "list", "--limit", "1001")[0] == 2
