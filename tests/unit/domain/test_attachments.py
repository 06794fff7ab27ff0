"""What files are and what they are called: nobody's word is taken, nothing hides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tree import ROOT

from ironclaw.core.errors import UserError
from ironclaw.domain.attachments import (
    MAX_MESSAGE_BYTES,
    MAX_NAME,
    OTHER,
    TEXT,
    TYPES,
    check_files,
    clean_name,
    media_type,
)
from ironclaw.domain.model import Upload
from ironclaw_contract.entries import File
from ironclaw_contract.limits import MAX_FILE_BYTES, MAX_FILES

SAMPLES = [
    ("a.txt", b"\x89PNG\r\n\x1a\nrest", "image/png"),
    ("a.png", b"\xff\xd8\xff\xe0", "image/jpeg"),
    ("a", b"GIF89a", "image/gif"),
    ("a", b"RIFF\0\0\0\0WEBP", "image/webp"),
    ("a", b"XXXX\0\0\0\0WEBP", OTHER),
    ("a", b"RIFF\0\0\0\0WAVE", "audio/wav"),
    ("a.exe", b"%PDF-1.7", "application/pdf"),
    ("a.zip", b"PK\x03\x04", "application/zip"),
    (
        "a.docx",
        b"PK\x03\x04",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("a.docx", b"hello", TEXT),
    ("a.html", b"<html><script>", TEXT),
    ("a.svg", b"<svg onload='x'>", TEXT),
    ("a.md", "# Grüße".encode(), "text/markdown"),
    ("a.csv", b"a,b\n", "text/csv"),
    ("a.json", b"{}", "application/json"),
    ("a.json", b"\0{}", OTHER),
    ("a.txt", b"\xff\xfe", OTHER),
    ("a", b"", TEXT),
    ("a", b"MZ\x90\0", OTHER),
    ("a.mp3", b"ID3\x04", "audio/mpeg"),
    ("a", b"OggS", "audio/ogg"),
    ("a.txt", "ä".encode() * 40_000, TEXT),
]


@pytest.mark.parametrize(("name", "data", "expected"), SAMPLES)
def test_a_file_is_what_its_bytes_say(name: str, data: bytes, expected: str):
    assert media_type(name, data) == expected


@given(name=st.text(), data=st.binary(max_size=600))
def test_whatever_comes_has_one_of_the_types_and_a_name_that_can_be_shown(name: str, data: bytes):
    found, shown = media_type(name, data), clean_name(name)
    assert found in TYPES
    File(id="fil_1", name=shown, media_type=found, size=len(data))
    assert 0 < len(shown) <= MAX_NAME
    assert "/" not in shown
    assert "\\" not in shown
    assert shown.isprintable()
    assert clean_name(shown) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\Ann\\a.txt", "a.txt"),
        ("..", "file"),
        ("", "file"),
        ("a\0b", "ab"),
        ("gpj.\u202eexe", "gpj.exe"),
        (" a b ", "a b"),
        ("x" * 300 + ".pdf", "x" * 124 + ".pdf"),
        ("/", "file"),
    ],
)
def test_names_of_strangers(name: str, shown: str):
    assert clean_name(name) == shown


def test_more_than_a_message_may_have_is_refused():
    small = Upload(name="a", data=b"")
    check_files([small] * MAX_FILES)
    half = Upload(name="a", data=bytes(MAX_FILE_BYTES))
    check_files([half] * (MAX_MESSAGE_BYTES // MAX_FILE_BYTES))
    for files in (
        [small] * (MAX_FILES + 1),
        [Upload(name="a", data=bytes(MAX_FILE_BYTES + 1))],
        [half, half, Upload(name="a", data=b"x")],
    ):
        with pytest.raises(UserError):
            check_files(files)


def test_the_page_names_every_type():
    page = (ROOT / "docs/reference/files.md").read_text()
    for one in TYPES:
        assert f"`{one}`" in page, one
