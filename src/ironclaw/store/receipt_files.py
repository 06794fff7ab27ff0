"""Receipts as files, so that they can be shown and checked while no daemon runs.

receipts/<session>/<epoch>.json     0600 in directories of 0700; the newest ones are kept
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.domain.receipts import KEPT

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.domain.statement import Sealed

_SESSION: Final = re.compile(r"ses_[a-z0-9]{1,64}")
_NAME: Final = re.compile(r"([1-9][0-9]{0,17})\.json")


class ReceiptFiles:
    """The directory of receipts. Trusted: only the core writes below the state directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def keep(self, sealed: Sealed) -> None:
        """Write a receipt, whole or not at all, and remove the oldest ones over `KEPT`.

        Raises:
            HostError: `DISK_FULL` or `STORE_FAILED`.
        """
        await asyncio.to_thread(self._keep, sealed)

    def sessions(self) -> list[str]:
        """Sessions that there may be receipts of, by their names; none without the directory."""
        try:
            names = [entry.name for entry in self._directory.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if _SESSION.fullmatch(name))

    def newest(self, session: str) -> Path:
        """The file of a session's newest receipt. Raises UserError (`NOT_FOUND`)."""
        # Never a path that somebody else's words lead to.
        place = self._directory / session if _SESSION.fullmatch(session) else None
        epochs = [] if place is None else _epochs(place)
        if place is None or not epochs:
            raise UserError(
                Code.NOT_FOUND,
                f"There is no receipt of a session {session[:80]!r}.",
                hint=f"Receipts are in {self._directory}, one directory for each session.",
            )
        return place / f"{epochs[-1]}.json"

    def _keep(self, sealed: Sealed) -> None:
        place = self._directory / sealed.statement.session
        target = place / f"{sealed.statement.epoch}.json"
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(target, sealed.envelope)
            for epoch in _epochs(place)[:-KEPT]:
                (place / f"{epoch}.json").unlink(missing_ok=True)
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            raise HostError(
                Code.DISK_FULL if full else Code.STORE_FAILED,
                f"The receipt {target} cannot be written: {error.strerror}.",
                hint="Free some space and try again." if full else f"Look at {place}.",
            ) from error


def _write(target: Path, data: bytes) -> None:
    draft = target.with_name(f".{target.name}")
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    # The name is not waited for: after a power cut the file is whole or not there, and no session
    # rests on it, for the store has the receipt too.
    draft.replace(target)


def _epochs(place: Path) -> list[int]:
    """Epochs that there is a receipt of, oldest first; none when there is no such directory."""
    try:
        names = [entry.name for entry in place.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))
