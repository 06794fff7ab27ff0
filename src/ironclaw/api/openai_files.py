"""Files in what a client of the front door sends, and words for those that an agent sends. Pure.

Images, documents and sound come inside the request, as data URLs or base64. An address of the
network is refused: nothing is ever fetched because somebody wrote where it is.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.attachments import MAX_MESSAGE_BYTES, check_files
from ironclaw.domain.model import Upload
from ironclaw_contract.limits import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.api.openai_bodies import Part
    from ironclaw_contract.entries import File

NO_WORDS: Final = "(a file)"
"""What a message says that has files and no text."""
_MARK: Final = "\n\n[File sent: "
_INSIDE: Final = "Send it inside the request, as a data URL with base64: nothing is fetched."
_ENDINGS: Final = {
    "image/png": "image.png",
    "image/jpeg": "image.jpg",
    "image/gif": "image.gif",
    "image/webp": "image.webp",
    "application/pdf": "document.pdf",
}


class _Url(msgspec.Struct, frozen=True):
    """`image_url` of chat completions."""

    url: str


class _FileData(msgspec.Struct, frozen=True):
    """`file` of chat completions."""

    file_data: str = ""
    filename: str = ""
    file_id: str = ""


class _Sound(msgspec.Struct, frozen=True):
    """`input_audio`."""

    data: str
    format: str = ""


class _Found(NamedTuple):
    """A file as a part has it."""

    name: str
    data: str
    """A data URL, or base64."""


FILE_TYPES: Final = ("image_url", "input_image", "file", "input_file", "input_audio")
"""Types of parts that are files."""


def uploads(parts: Iterable[Part]) -> tuple[Upload, ...]:
    """The files of a message.

    Raises:
        UserError: `INVALID` for what is not there in the request itself, or no base64; `TOO_LARGE`.
    """
    found: list[Upload] = []
    size = 0
    for part in parts:
        if part.type in FILE_TYPES:
            name, text = _find(part)
            data, name = _bytes(part.type, name, text)
            found.append(Upload(name=name, data=data))
            size += len(data)
            if size > MAX_MESSAGE_BYTES:
                break
    check_files(found)
    return tuple(found)


def note(files: Iterable[File]) -> str:
    """What a client is told of files that an agent sends; empty when there are none."""
    lines = [
        f"{_MARK}{one.name}, {one.media_type}, {one.size} bytes: GET /v1/files/{one.id}]"
        for one in files
    ]
    return "".join(lines)


def without_note(text: str) -> str:
    """What an agent said, without what was told of its files."""
    return text.partition(_MARK)[0]


def _find(part: Part) -> _Found:
    match part.type:
        case "image_url" | "input_image":
            if part.file_id is not None:
                raise _cannot("a part names a file by its id", "Files are not kept here by id.")
            url: str | _Url = _decode(part.type, part.image_url, str | _Url)
            return _Found("", url if isinstance(url, str) else url.url)
        case "file":
            file: _FileData = _decode(part.type, part.file, _FileData)
            if file.file_id:
                raise _cannot("a part names a file by its id", "Files are not kept here by id.")
            return _Found(file.filename, file.file_data)
        case "input_file":
            if part.file_id is not None or part.file_url is not None:
                raise _cannot("a part only says where a file is", _INSIDE)
            return _Found(part.filename or "", part.file_data or "")
        case _:
            sound: _Sound = _decode(part.type, part.input_audio, _Sound)
            return _Found(f"sound.{sound.format}" if sound.format else "sound", sound.data)


def _decode(kind: str, raw: msgspec.Raw | msgspec.UnsetType, type_: Any) -> Any:
    try:
        return msgspec.json.decode(b"" if raw is msgspec.UNSET else raw, type=type_)
    except (ValueError, RecursionError) as error:
        raise _cannot(f"a part of type {kind!r} has no file in it", _INSIDE) from error


def _bytes(kind: str, name: str, text: str) -> tuple[bytes, str]:
    """What a data URL or base64 holds, and a name for it."""
    head, comma, rest = text[:256].partition(",")
    if comma and head.startswith("data:"):
        rest = text[len(head) + 1 :]
        media_type, *options = head.removeprefix("data:").split(";")
        if "base64" not in options:
            raise _cannot(f"the data URL of a part of type {kind!r} is not base64", _INSIDE)
        name = name or _ENDINGS.get(media_type, "file")
    elif "://" in text[:64]:
        raise _cannot(f"a part of type {kind!r} is an address of the network", _INSIDE)
    else:
        rest = text
    if len(rest) > MAX_FILE_BYTES * 4 // 3 + 4:
        raise UserError(
            Code.TOO_LARGE,
            f"A file has at most {MAX_FILE_BYTES // 1024**2} MiB.",
            hint="Send a part of it.",
        )
    try:
        data = binascii.a2b_base64(rest, strict_mode=True) if rest else b""
    except (binascii.Error, ValueError) as error:
        raise _cannot(f"a part of type {kind!r} is not base64", _INSIDE) from error
    if not data:
        raise _cannot(f"a part of type {kind!r} is empty", _INSIDE)
    return data, name or "file"


def _cannot(what: str, hint: str) -> UserError:
    return UserError(Code.INVALID, f"The request cannot be taken: {what}.", hint=hint)
