"""Files that people send and agents send back: what they are called, and what they are. Pure.

Nobody's word is taken for what a file is: `media_type` looks at its first bytes, and for a few
kinds at the ending of its name. Types that a browser would run (HTML, SVG, scripts) are plain text.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import FileId, SessionId
from ironclaw.domain.characters import danger
from ironclaw_contract.entries import File
from ironclaw_contract.limits import MAX_FILE_BYTES, MAX_FILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.domain.model import Upload

MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""Of all files of one message together."""
MAX_NAME: Final = 128
"""Characters of a file's name."""
_LONGEST_NAME: Final = 4096
"""Characters of a name that are looked at."""
_LONGEST_ENDING: Final = 16
OTHER: Final = "application/octet-stream"
TEXT: Final = "text/plain"
IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What a model that sees is shown."""

_BEGINNINGS: Final = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (257, b"ustar", "application/x-tar"),
    (8, b"WAVE", "audio/wav"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
)
"""Place, bytes there, type; the first that fits."""
_IN_RIFF: Final = frozenset({"image/webp", "audio/wav"})
_ZIPPED: Final = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".epub": "application/epub+zip",
}
_WRITTEN: Final = {
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".json": "application/json",
}
_SNIFFED: Final = 64 * 1024
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))

TYPES: Final = tuple(
    dict.fromkeys(
        (
            *(media_type for _, _, media_type in _BEGINNINGS),
            *_ZIPPED.values(),
            TEXT,
            *_WRITTEN.values(),
            OTHER,
        )
    )
)
"""Every type that a file can have here."""


class Kept(NamedTuple):
    """A file that is there as a whole."""

    n: int
    """Of its row."""
    session: SessionId
    file: File
    parts: int
    """That its bytes are kept in."""

    @property
    def id(self) -> FileId:
        """As people know it."""
        return FileId(self.file.id)


def media_type(name: str, head: bytes) -> str:
    """What a file is.

    Args:
        name: As it is called.
        head: Its first bytes: all of them, or 64 KiB and more.

    Trust:
        Both are foreign. The answer is one of `TYPES`.
    """
    ending = _ending(name).lower()
    for place, mark, found in _BEGINNINGS:
        if head[place : place + len(mark)] == mark and (
            found not in _IN_RIFF or head[:4] == b"RIFF"
        ):
            return _ZIPPED.get(ending, found) if found == "application/zip" else found
    if _is_text(head[:_SNIFFED]):
        return _WRITTEN.get(ending, TEXT)
    return OTHER


def clean_name(name: str) -> str:
    """A name that can be shown and kept: no path, nothing invisible, at most `MAX_NAME` characters.

    Trust:
        `name` is foreign: two different ones may become the same.
    """
    last = name[-_LONGEST_NAME:].replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join(char if char == " " or not danger(char) else "" for char in last).strip()
    if not shown.strip(". "):
        return "file"
    if len(shown) > MAX_NAME:
        ending = _ending(shown)
        shown = shown[: MAX_NAME - len(ending)] + ending
    return shown


def check_files(files: Sequence[Upload]) -> None:
    """Refuse more, or larger ones, than a message may have.

    Raises:
        UserError: `TOO_LARGE`.
    """
    if len(files) > MAX_FILES:
        raise UserError(
            Code.TOO_LARGE,
            f"A message has at most {MAX_FILES} files.",
            hint="Send the others with another message.",
        )
    if any(len(one.data) > MAX_FILE_BYTES for one in files):
        raise UserError(
            Code.TOO_LARGE,
            f"A file has at most {MAX_FILE_BYTES // 1024**2} MiB.",
            hint="Send a part of it, or have its directory shared with the agent.",
        )
    if sum(len(one.data) for one in files) > MAX_MESSAGE_BYTES:
        raise UserError(
            Code.TOO_LARGE,
            f"The files of a message have at most {MAX_MESSAGE_BYTES // 1024**2} MiB together.",
            hint="Send some of them with another message.",
        )


def _ending(name: str) -> str:
    """`.pdf` of `a.pdf`; empty where there is none, or one too long to be one."""
    stem, dot, rest = name.rpartition(".")
    return f".{rest}" if dot and stem and 0 < len(rest) <= _LONGEST_ENDING else ""


def _is_text(head: bytes) -> bool:
    if head.translate(None, _CONTROLS) != head:
        return False
    try:
        # Not final: a character may be cut at the end.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
