"""A skill's folder as one file, and back.

    read_folder  a directory of an author -> {path: content}; no links, nothing hidden, in bounds
    pack         {path: content} -> the one archive of exactly that (ustar)
    unpack       an archive -> {path: content}, if packing that again gives the same bytes

That last rule is what makes foreign archives harmless: links, devices, execute bits, names that
lead elsewhere, names given twice, sparse files and headers of other kinds have no place in the one
form, so none of them is ever looked at.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.skills import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_FILES,
    SIGNATURE,
    check_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUFFIX: Final = ".skill"
_BLOCK: Final = tarfile.BLOCKSIZE
_END: Final = b"\0" * (2 * _BLOCK)
MAX_PACKED: Final = MAX_BYTES + (MAX_FILES + 1) * 2 * _BLOCK + 16 * 1024
_NAME: Final = slice(0, 100)
_SIZE: Final = slice(124, 136)
_PREFIX: Final = slice(345, 500)
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Packed(NamedTuple):
    """What an archive holds."""

    tree: dict[str, bytes]
    """Contents by path."""
    signature: bytes
    """Empty when there is none."""


def read_folder(folder: Path) -> dict[str, bytes]:
    """Read a directory.

    Raises:
        UserError: `NOT_FOUND`, `INVALID`, `TOO_LARGE`.
    """
    tree: dict[str, bytes] = {}
    left = MAX_BYTES
    try:
        for path in _files(folder, ""):
            if len(tree) >= MAX_FILES:
                raise _too_large(f"over {MAX_FILES} files")
            data = _read(folder / path, left)
            left -= len(data)
            tree[path] = data
    except OSError as error:
        raise UserError(
            Code.NOT_FOUND,
            f"{str(folder)[:200]!r} cannot be read: {error.strerror}.",
            hint="Name the folder that SKILL.md is in, with files that may be read.",
        ) from error
    return tree


def pack(tree: Mapping[str, bytes], signature: bytes = b"") -> bytes:
    """The one archive of these files: the same files make the same bytes, anywhere."""
    members = [(SIGNATURE, signature)] if signature else []
    pieces = []
    for path, data in [*members, *sorted(tree.items())]:
        header = tarfile.TarInfo(path)
        header.size = len(data)
        header.mode = 0o644
        pieces += [header.tobuf(tarfile.USTAR_FORMAT), data, b"\0" * (-len(data) % _BLOCK)]
    return b"".join([*pieces, _END])


def unpack(raw: bytes) -> Packed:
    """Take an archive apart.

    Raises:
        UserError: `INVALID`: it is not what `pack` makes. `TOO_LARGE`.

    Trust:
        `raw` is foreign. Three fields of each header are read: name, prefix, size.
    """
    if len(raw) > MAX_PACKED:
        raise _too_large(f"{len(raw)} bytes")
    tree: dict[str, bytes] = {}
    at = 0
    while len(tree) <= MAX_FILES + 1 and raw[at : at + _BLOCK].strip(b"\0"):
        path, size = _header(raw[at : at + _BLOCK])
        begin, at = at + _BLOCK, at + _BLOCK + size + -size % _BLOCK
        if path != SIGNATURE:
            check_path(path)
        tree[path] = raw[begin : begin + size]
    signature = tree.pop(SIGNATURE, b"")
    if pack(tree, signature) != raw:
        raise _odd()
    return Packed(tree, signature)


def read_packed(file: Path) -> Packed:
    """Read an archive from a file. Raises UserError (`NOT_FOUND`, `INVALID`, `TOO_LARGE`)."""
    try:
        with file.open("rb") as stream:
            return unpack(stream.read(MAX_PACKED + 1))
    except OSError as error:
        raise UserError(
            Code.NOT_FOUND,
            f"{str(file)[:200]!r} cannot be read: {error.strerror}.",
            hint="Name the folder of a skill, or a file that `ironclaw skill pack` has made.",
        ) from error


def read_either(place: Path) -> Packed:
    """A folder or an archive. Raises as `read_folder` and `read_packed`."""
    return Packed(read_folder(place), b"") if place.is_dir() else read_packed(place)


def _header(block: bytes) -> tuple[str, int]:
    """Path and size of the file that follows a header."""
    name, prefix = (block[part].split(b"\0", 1)[0] for part in (_NAME, _PREFIX))
    digits = block[_SIZE].rstrip(b"\0 ")
    try:
        path = b"/".join(part for part in (prefix, name) if part).decode("ascii")
        return path, int(digits, 8) if digits.isdigit() else -1
    except ValueError:
        raise _odd() from None


def _files(folder: Path, below: str, depth: int = 0) -> Iterator[str]:
    """Paths of all files, by name."""
    if depth > MAX_DEPTH:
        raise UserError(
            Code.INVALID,
            f"The folder has over {MAX_DEPTH} levels.",
            hint="Keep files nearer to SKILL.md.",
        )
    with os.scandir(folder / below) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        check_path(path)
        if entry.is_dir(follow_symlinks=False):
            yield from _files(folder, path, depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield path
        else:
            raise _no_file(path)


def _read(path: Path, left: int) -> bytes:
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _no_file(path.name) from error
        raise
    with open(descriptor, "rb") as stream:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _no_file(path.name)
        data = stream.read(left + 1)
    if len(data) > left:
        raise _too_large(f"over {MAX_BYTES} bytes")
    return data


def _no_file(path: str) -> UserError:
    return UserError(
        Code.INVALID,
        f"{path!a} is a link, or no file at all.",
        hint="A skill has files and directories alone: put a copy there.",
    )


def _too_large(how: str) -> UserError:
    return UserError(
        Code.TOO_LARGE,
        f"The skill is too large: {how}.",
        hint=f"It has at most {MAX_FILES} files and {MAX_BYTES} bytes.",
    )


def _odd() -> UserError:
    return UserError(
        Code.INVALID,
        "That is no packed skill, or one that something else than `ironclaw skill` has packed.",
        hint="Unpack it, look at it, and pack the folder: `ironclaw skill pack DIR`.",
    )
