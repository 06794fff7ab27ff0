"""`ironclaw file` and `chat --file`: sent, named, saved under a name that cannot do harm."""

from __future__ import annotations

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
