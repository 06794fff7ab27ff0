"""Waits for what the worker of a private house leaves, and shows what it is at meanwhile.

A worker is a core that does one thing: it writes lines of progress to the log and at last one file
to the runtime directory, then waits to be ended. One that crashes is started again by its keeper;
here the first crash is the end, and the end of the log says why.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from ironclaw.cli import render
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ironclaw.config.settings import Settings

_LOOK_S: Final = 0.1
_TAIL_LINES: Final = 30
_CRASHED: Final = ("keeper: the core ended", "keeper: the core keeps crashing")


def result_of(private: Settings, *, file: str, says: str, what: str, limit_s: float) -> bytes:
    """Wait for a worker's result.

    Args:
        private: Settings of the private house it runs in.
        file: Name of its result in the runtime directory, written whole.
        says: How its lines of progress begin.
        what: What it makes, for the error: `The benchmark`.
        limit_s: Seconds until waiting is given up.

    Raises:
        HostError: `UNAVAILABLE`: it crashed or took too long; the detail is the end of its log.
    """
    from ironclaw.sandbox.keeper import keeper_status  # noqa: PLC0415 - heavy

    target = private.runtime_dir / file
    log = _Log(private.log_file)
    deadline = time.monotonic() + limit_s
    while True:
        # In this order: whatever was said before the result is shown before it.
        is_there = target.exists()
        is_over = time.monotonic() > deadline or keeper_status(private.runtime_dir) is None
        for line in log.more():
            if line.startswith(says):
                render.note(line)
            is_over = is_over or line.startswith(_CRASHED)
        if is_there:
            return target.read_bytes()
        if is_over:
            raise HostError(
                Code.UNAVAILABLE,
                f"{what} did not finish.",
                hint="The end of its log follows; `ironclaw doctor` checks the machine.",
                detail="\n".join(log.last),
            )
        time.sleep(_LOOK_S)


class _Log:
    """A file that grows, read line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.last: deque[str] = deque(maxlen=_TAIL_LINES)
        """The newest lines that were read."""

    def more(self) -> Iterator[str]:
        """Read the lines that are complete and were not read yet."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            *whole, _begun = file.read().split(b"\n")
        for raw in whole:
            self._offset += len(raw) + 1
            line = raw.decode("utf-8", "replace")
            self.last.append(line)
            yield line
