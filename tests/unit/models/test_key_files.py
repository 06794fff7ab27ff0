"""Where keys are: seen without being opened, opened only when they are nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.model_house import provider

from ironclaw.models.key_files import MAX_KEY_BYTES, NoKeyError, missing, read_key

KEY = "sk-canary-0123456789abcdef"


def from_file(path: Path) -> str:
    return read_key(provider("openai", "", key=f"file:{path}"), {})


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    return path


def test_a_key_comes_from_each_of_its_sources(key_file: Path) -> None:
    credential = provider("openai", "", key="credential:key")
    directory = {"CREDENTIALS_DIRECTORY": str(key_file.parent)}

    assert from_file(key_file) == KEY
    assert read_key(provider("openai", ""), {"K": f" {KEY} "}) == KEY
    assert read_key(credential, directory) == KEY
    assert read_key(provider("openai-compatible", "http://h/v1", key=""), {}) == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)

    with pytest.raises(NoKeyError, match="chmod 600"):
        from_file(key_file)


def test_what_is_no_plain_file_is_refused(key_file: Path) -> None:
    link = key_file.with_name("link")
    link.symlink_to(key_file)
    pipe = key_file.with_name("pipe")
    os.mkfifo(pipe, 0o600)

    for path in (link, pipe, key_file.parent, key_file.with_name("none")):
        with pytest.raises(NoKeyError):
            from_file(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"caf\xc3\xa9", b"a\0b", b"x" * 70_000])
def test_what_cannot_be_a_key_is_refused_without_showing_it(key_file: Path, content: bytes) -> None:
    assert len(content) <= 2 * MAX_KEY_BYTES
    key_file.write_bytes(content)

    with pytest.raises(NoKeyError) as caught:
        from_file(key_file)

    assert "caf" not in str(caught.value)


def test_the_core_sees_what_is_missing_and_opens_nothing(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: object, **__: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr("builtins.open", no)
    monkeypatch.setattr(os, "open", no)

    assert missing(provider("openai", "", key=f"file:{key_file}"), {}) == ""
    assert "cannot be looked at" in missing(provider("openai", "", key="file:/none"), {})
    assert "no variable K" in missing(provider("openai", ""), {})
    assert "credential x" in missing(provider("openai", "", key="credential:x"), {})
    assert missing(provider("openai", ""), {"K": KEY}) == ""


def test_the_keyring_library_is_loaded_only_where_a_key_is_in_one() -> None:
    program = (
        "import sys, ironclaw.models.host.process, ironclaw.models.host.starter; "
        "sys.exit('keyring' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert missing(provider("openai", "", key="keyring:ironclaw/claude"), {}) == ""
