"""Inputs worth keeping: one directory for each target, each file named by what is in it.

Files are deflated (zlib), because pages of a database are mostly zeros. The name is the hash of the
input itself, so that a file which was changed by hand is noticed.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME_CHARS: Final = 20
_MOST: Final = 64 * 1024 * 1024
MAX_INPUT: Final = 256 * 1024
"""Bytes of one input that is kept; larger ones are made anew in every run."""


def name_of(data: bytes) -> str:
    """The file name of an input."""
    return hashlib.sha256(data).hexdigest()[:_NAME_CHARS] + ".z"


def load(place: Path) -> Iterator[tuple[str, bytes]]:
    """Target and input of every file, in a fixed order.

    Raises:
        ValueError: A file is not what its name says.
    """
    for file in sorted(place.glob("*/*.z")):
        data = zlib.decompressobj().decompress(file.read_bytes(), _MOST)
        if name_of(data) != file.name:
            raise ValueError(f"{file.parent.name}/{file.name} holds another input than it says")
        yield file.parent.name, data


def save(place: Path, target: str, data: bytes) -> Path:
    """Keep an input."""
    file = place / target / name_of(data)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(zlib.compress(data, 9))
    return file


def forget(place: Path, target: str, data: bytes) -> None:
    """Keep an input no longer."""
    (place / target / name_of(data)).unlink(missing_ok=True)
