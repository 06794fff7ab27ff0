"""The newest checkpoint, kept outside of the store: `audit-head.json` of the state directory.

A store that is put back to an older state takes its checkpoints with it; this file does not go with
it. Whoever copies it to another machine has an anchor that nobody here can take back.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from ironclaw.domain.audit_chain import MAX_LINE_BYTES, Checkpoint, line_of, parse
from ironclaw.store.faults import os_fault

if TYPE_CHECKING:
    from pathlib import Path


class HeadFile:
    """One checkpoint in one file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Checkpoint | None:
        """The checkpoint; None when there is none, or none that can be read.

        Trust:
            Its signature is not looked at.
        """
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(MAX_LINE_BYTES)
        found = parse(raw.removesuffix(b"\n"))
        return found if isinstance(found, Checkpoint) else None

    async def keep(self, one: Checkpoint) -> None:
        """Replace it, whole or not at all, durable on return. Raises HostError."""
        await asyncio.to_thread(self._write, line_of(one) + b"\n")

    def _write(self, raw: bytes) -> None:
        draft = self._path.with_name(f".{self._path.name}")
        try:
            draft.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise os_fault(error, self._path) from error
