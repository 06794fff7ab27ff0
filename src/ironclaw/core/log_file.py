"""A log file that stays within its size, though several processes append to it.

Keeper, core and zygote share one descriptor that is opened for appending. Renaming the file would
leave two of them writing to the old one for ever; so it is copied aside and cut to nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from pathlib import Path

_LOOK_EVERY: Final = 64 * 1024
"""Characters written by this process between two looks at the size."""


class BoundedLog:
    """Writes to a stream, and keeps the file behind it below a size.

    With what was copied aside there are never much more than twice `most_bytes`. A stream that is
    not that file, as a terminal or a service manager's, is left alone.

    Args:
        sink: Where lines go.
        path: The file that the sink may be.
        most_bytes: Size at which it is copied to `<path>.1` and begun anew.
    """

    def __init__(self, sink: TextIO, path: Path, *, most_bytes: int) -> None:
        self._sink = sink
        self._path = path
        self._most_bytes = most_bytes
        # What others wrote before this process began counts at once.
        self._unseen = _LOOK_EVERY

    def write(self, text: str) -> int:
        """Write, and look at the size now and then."""
        written = self._sink.write(text)
        self._unseen += len(text)
        if self._unseen >= min(_LOOK_EVERY, self._most_bytes):
            self._unseen = 0
            # A disk that is full must not keep the daemon from what it was doing.
            with contextlib.suppress(OSError, ValueError):
                self._keep_small()
        return written

    def flush(self) -> None:
        """Flush the stream."""
        self._sink.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._sink.isatty()

    def _keep_small(self) -> None:
        self._sink.flush()
        here, there = os.fstat(self._sink.fileno()), self._path.stat()
        is_ours = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
        if not is_ours or here.st_size <= self._most_bytes:
            return
        aside = self._path.with_name(f"{self._path.name}.1")
        try:
            shutil.copyfile(self._path, aside)
            aside.chmod(0o600)
        finally:
            # Also when there is no room for the copy: the log itself may be what fills the disk.
            os.truncate(self._path, 0)
