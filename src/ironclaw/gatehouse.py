"""Puts the gateway together, and looks at the host for it. Part of the composition root."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ironclaw.domain.changes.base import HostDir, House
from ironclaw.domain.tools import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.config.settings import Settings
    from ironclaw.core.clock import Clock

_OTHERS_READ: Final = stat.S_IROTH | stat.S_IXOTH


class HostLooks:
    """Implements `services.gateway.rows.Looks`.

    Args:
        settings: Where the house is, and what may be shared.
        models: Names of the providers.
        clock: What time it is.
    """

    def __init__(self, settings: Settings, models: tuple[str, ...], clock: Clock) -> None:
        own = (settings.state_dir, settings.runtime_dir, settings.image_dir)
        self._house = House(
            now_ms=0,
            models=models,
            tools=tuple(TOOLS),
            mount_roots=tuple(map(os.path.realpath, settings.gateway.mount_roots)),
            own_dirs=tuple(dict.fromkeys(map(os.path.realpath, own))),
        )
        self._clock = clock

    def house(self) -> House:
        """What does not change while the core runs, and the time."""
        return self._house._replace(now_ms=self._clock.now_ms())

    async def directory(self, path: str) -> HostDir | None:
        """What is at a path of the host; None for one that cannot be a path."""
        # It may lie on a disk that does not answer: not for the event loop.
        return await asyncio.to_thread(look_at, path)


def look_at(path: str) -> HostDir | None:
    """Look at a path without opening it.

    Trust:
        The path is whatever somebody asked for. Nothing but the facts below comes of it.
    """
    if not path.startswith("/") or "\0" in path:
        return None
    try:
        real = os.path.realpath(path, strict=True)
        found = os.lstat(real)
        is_readable = all(map(_is_open, _way_to(Path(real))))
    except (OSError, ValueError):
        return HostDir(real="", is_dir=False, device=0, inode=0, is_readable=False)
    return HostDir(
        real=real,
        is_dir=stat.S_ISDIR(found.st_mode),
        device=found.st_dev,
        inode=found.st_ino,
        is_readable=is_readable and found.st_mode & _OTHERS_READ == _OTHERS_READ,
    )


def _way_to(path: Path) -> Iterator[int]:
    """Modes of all directories above a path but the root."""
    for parent in path.parents[:-1]:
        yield os.lstat(parent).st_mode


def _is_open(mode: int) -> bool:
    return bool(mode & stat.S_IXOTH)
