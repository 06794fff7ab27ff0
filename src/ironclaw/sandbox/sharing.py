"""Shared mounts: directories of the host that an agent sees, read-only, as `/shared/<name>`.

What was approved is one directory, not whatever is under its path some day. So it is opened without
following a link, compared with what was approved, and bound through that very descriptor: nobody
can put another one in its place between the look and the mount.

    show       -> opened (the same path, device, inode; nothing of the house) -> nest.expose
    set_points -> an empty directory in the agent's own `shared`, for each mount to lie on
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.sandbox import nest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ironclaw.domain.model import SharedMount

_OPEN: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BINDING: Final = threading.Lock()
"""A directory is bound in steps: nobody may take it for bound in between."""
_POINT_MODE: Final = 0o555
"""Of a mount point: nobody puts anything there, and so it is told from what people share."""
_OPEN_MODE: Final = 0o755
"""Of one while points are made in it."""


def show(view: Path, mount: SharedMount, *, own: Sequence[Path]) -> Path:
    """Bind the directory that was approved into the view, read-only, and return where.

    It may lie on a disk that does not answer: not for the event loop.

    Args:
        view: The nest's.
        mount: What was approved.
        own: Directories of the house itself.

    Raises:
        HostError: `HOST_UNSUITED`: it is not that directory any more, or cannot be bound.
    """
    with opened(mount, own=own) as descriptor, _BINDING:
        place = nest.expose(
            view,
            Path(f"/proc/self/fd/{descriptor}"),
            read_only=True,
            known_as=f"{mount.path}\0{mount.device}\0{mount.inode}",
        )
        found = place.stat()
        if (found.st_dev, found.st_ino) != (mount.device, mount.inode):
            raise _refused(mount, "something else is bound in its place")
    return place


@contextlib.contextmanager
def opened(mount: SharedMount, *, own: Sequence[Path]) -> Iterator[int]:
    """Open the directory that was approved, for its path alone: nothing is read.

    Raises:
        HostError: `HOST_UNSUITED`; the message says which mount, and what is wrong.
    """
    path = Path(mount.path)
    if not path.is_absolute():
        raise _refused(mount, "its path is not absolute")
    if any(path.is_relative_to(each) or each.is_relative_to(path) for each in own):
        raise _refused(mount, "it belongs to the house itself")
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        raise _refused(mount, f"it cannot be opened ({error.strerror})") from error
    try:
        found = os.fstat(descriptor)
        if (found.st_dev, found.st_ino) != (mount.device, mount.inode):
            raise _refused(mount, "another directory is in its place")
        if any(_is_same(found, each) for each in _with_parents(own)):
            raise _refused(mount, "it belongs to the house itself, under another path")
        # A link anywhere on the way would show here.
        if os.readlink(f"/proc/self/fd/{descriptor}") != mount.path:  # noqa: PTH115 - as bytes of a path
            raise _refused(mount, "a link leads to it")
        yield descriptor
    finally:
        os.close(descriptor)


def set_points(shared: Path, names: Collection[str]) -> None:
    """Make a mount point for each name in an agent's own `shared`; former ones go. Blocks.

    Args:
        shared: The core's own directory; no box can write to it.
        names: Of the mounts that there are now.

    Raises:
        HostError: `HOST_UNSUITED`: something that is no directory has that name.
    """
    try:
        for entry in list(os.scandir(shared)):
            if entry.name not in names and _is_point(entry.stat(follow_symlinks=False)):
                with contextlib.suppress(OSError):
                    (shared / entry.name).rmdir()
        for name in names:
            point = shared / name
            with contextlib.suppress(FileExistsError):
                point.mkdir(mode=0o700)
                point.chmod(_POINT_MODE)
            if not stat.S_ISDIR(point.lstat().st_mode):
                raise HostError(
                    Code.HOST_UNSUITED,
                    f"What people share with this agent has a file of the name {name}: the shared "
                    "directory of that name has no place.",
                    hint="Rename the file, or share the directory under another name.",
                    detail=str(point),
                )
    except OSError as error:
        raise HostError(
            Code.HOST_UNSUITED,
            f"The places of an agent's shared directories cannot be made: {error.strerror}.",
            hint="`ironclaw doctor` says more.",
            detail=str(error),
        ) from error


def set_points_in_point(point: Path, names: Collection[str]) -> None:
    """Make mount points in a mount point. Blocks.

    It is writable to nobody: without the capabilities of root, or of a nest, that has to change for
    the moment.

    Raises:
        HostError: `HOST_UNSUITED`: as `set_points`.
    """
    is_closed = _is_point(point.stat()) and not os.access(point, os.W_OK)
    try:
        if is_closed:
            point.chmod(_OPEN_MODE)
        set_points(point, names)
    finally:
        if is_closed:
            point.chmod(_POINT_MODE)


def _is_point(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == _POINT_MODE


def _with_parents(own: Sequence[Path]) -> Iterator[Path]:
    """What has something of the house in it, wherever it is bound to. The root is never shared."""
    for each in own:
        yield from (each, *each.parents[:-1])


def _is_same(found: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(found, path.stat())
    except OSError:
        return False


def _refused(mount: SharedMount, why: str) -> HostError:
    return HostError(
        Code.HOST_UNSUITED,
        f"The shared directory {mount.name} is not the one that was approved: {why}",
        hint="Put it back, or take it from the agent: "
        f"`ironclaw agent unshare AGENT {mount.name}`, or revoke its grant; then share it again.",
        detail=f"{mount.path}, device {mount.device}, inode {mount.inode}",
    )
