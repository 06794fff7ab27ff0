"""The nest: the namespaces that everything of one house lives in.

`enter` moves this process into a mount namespace of its own and, as an ordinary user, first into a
user namespace with the user's subordinate ids. Mounts made there vanish with the last process.

`view` is a tmpfs in the nest that every id of a box may walk into. runsc's gofer opens the box's
directories as an id of the box's own range, to which the 0700 state and runtime directories are
closed; `expose` binds what a box gets into the view instead of opening those up.

Source: user_namespaces(7), newuidmap(1), mount_namespaces(7).
"""

from __future__ import annotations

import errno
import hashlib
import os
import pwd
import shutil
import subprocess  # noqa: TID251 - before there is an event loop; argv is fixed
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.sandbox import kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

VIEW_VARIABLE: Final = "IRONCLAW_VIEW"
"""Environment variable in which the keeper tells the core where the view is."""
_PLACES: Final = ("/mnt", "/media", "/srv", "/opt")
"""Directories that every distribution has and a house rarely uses. The view hides what is there,
in the nest only."""
_CHROOT: Final = (
    "In a chroot the kernel makes none for anybody: boot that system, or enter it with "
    "`systemd-nspawn -D`."
)
_FIRST_FREE: Final = 100_000
"""Where ranges of subordinate ids begin on Debian and its kin (`SUB_UID_MIN` of login.defs)."""
_LEAST_IDS: Final = 65536
_TIMEOUT_S: Final = 10.0


def enter(*, avoid: Sequence[Path]) -> Path:
    """Move this process, which must have one thread, into a nest of its own.

    Args:
        avoid: Paths that must stay visible.

    Returns:
        Where the view is: an empty tmpfs.

    Raises:
        HostError: `HOST_UNSUITED`; the hint says what to install or to allow.
    """
    if os.geteuid() == 0:
        _unshare(kernel.CLONE_NEWNS)
        _try_user_namespace()
    else:
        _enter_user_namespace()
    place = choose_place([*avoid, Path(sys.prefix), Path(sys.base_prefix), Path.cwd()])
    try:
        # Nothing that is mounted here may show up outside.
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        kernel.mount("ironclaw", place, "tmpfs", kernel.SAFE, "mode=0711,size=25%")
    except OSError as error:
        raise HostError(
            Code.HOST_UNSUITED,
            "This user may make a user namespace but not mount in it.",
            hint="On Ubuntu, as root: `sysctl kernel.apparmor_restrict_unprivileged_userns=0` "
            "(and keep it in /etc/sysctl.d), or start as root.",
            detail=str(error),
        ) from error
    return place


def choose_place(avoid: Sequence[Path]) -> Path:
    """Choose a directory for the view that hides none of `avoid`. Raises HostError."""
    kept = [path.resolve() for path in avoid]
    for name in _PLACES:
        place = Path(name)
        if place.is_dir() and not any(path.is_relative_to(place) for path in kept):
            return place
    raise HostError(
        Code.HOST_UNSUITED,
        f"No place for the view: {', '.join(_PLACES)} are missing or in use by this house.",
        hint="Make an empty directory /mnt, or move the state directory and what people share "
        "with agents out of it.",
    )


def expose(
    view: Path,
    path: Path,
    *,
    read_only: bool = False,
    programs: bool = False,
    known_as: str = "",
) -> Path:
    """Bind a directory into the view and return where; bind it once only.

    Args:
        view: What `enter` returned.
        path: A directory of ours. Its own mode decides who may do what in it.
        read_only: Bind it so that nobody can write through the view.
        programs: Allow programs to be run from it.
        known_as: What it is, where `path` does not say that for good.

    Raises:
        HostError: It cannot be bound.
    """
    what = f"{known_as or path}\0{read_only}\0{programs}"
    name = hashlib.sha256(what.encode(errors="surrogateescape")).hexdigest()[:16]
    place = view / "bound" / name
    try:
        if place.is_dir() and place.stat().st_dev != view.stat().st_dev:
            return place
        place.mkdir(mode=0o711, parents=True, exist_ok=True)
        (view / "bound").chmod(0o711)
        kernel.mount(str(path), place, "", kernel.MS_BIND)
        flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_NOSUID | kernel.MS_NODEV
        flags |= _inherited(place) | (kernel.MS_RDONLY if read_only else 0)
        flags |= 0 if programs else kernel.MS_NOEXEC
        kernel.mount("none", place, "", flags)
    except OSError as error:
        raise HostError(
            Code.HOST_UNSUITED,
            f"The directory of a sandbox cannot be bound into the nest: {error.strerror}.",
            hint="`ironclaw doctor` tries the nest; the detail names the directory.",
            detail=f"{path} -> {place}",
        ) from error
    return place


def require(view: Path | None) -> Path:
    """Return the view of the nest this process is in.

    Raises:
        HostError: This process is in no nest. Mounting then would change the machine.
    """
    view = view or Path(os.environ.get(VIEW_VARIABLE, "/nonexistent"))
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        # Optional fields after the sixth say how mounts spread; a private mount has none.
        if fields[4] == str(view) and right.startswith("tmpfs ironclaw") and not fields[6:]:
            return view
    raise HostError(
        Code.HOST_UNSUITED,
        "Sandboxes can only be started inside a nest.",
        hint="Start the daemon with `ironclaw up`, which makes one.",
        detail=f"view: {view}",
    )


def _inherited(place: Path) -> int:
    # A user namespace may not clear these on a mount it did not make, so they are repeated.
    flags = os.statvfs(place).f_flag
    pairs = (
        (os.ST_NOSUID, kernel.MS_NOSUID),
        (os.ST_NODEV, kernel.MS_NODEV),
        (os.ST_NOEXEC, kernel.MS_NOEXEC),
    )
    return sum(mount_flag for stat_flag, mount_flag in pairs if flags & stat_flag)


def _unshare(flags: int) -> None:
    try:
        kernel.unshare(flags)
    except OSError as error:
        hint = (
            "Allow them, as root: `sysctl -w user.max_user_namespaces=15000 "
            "kernel.unprivileged_userns_clone=1` (the second on Debian only), or start as root. "
            f"{_CHROOT}"
            if error.errno in {errno.EPERM, errno.ENOSPC, errno.EACCES}
            else "`ironclaw doctor` says more."
        )
        raise HostError(
            Code.HOST_UNSUITED,
            f"This user may not make namespaces: {error.strerror}.",
            hint=hint,
        ) from error


def _try_user_namespace() -> None:
    """Root needs none for itself, but runsc makes one for every box, and fails without a word."""
    child = os.fork()
    if child == 0:
        try:
            kernel.unshare(kernel.CLONE_NEWUSER)
        except OSError as error:
            os._exit(error.errno or errno.EIO)
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise HostError(
            Code.HOST_UNSUITED,
            f"No box can get a user namespace here: {os.strerror(abs(status))}.",
            hint=_CHROOT
            if status == errno.EPERM
            else "Allow them: `sysctl -w user.max_user_namespaces=15000`.",
        )


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    name = pwd.getpwuid(uid).pw_name
    sub_uid = subordinate(Path("/etc/subuid"), name, uid)
    sub_gid = subordinate(Path("/etc/subgid"), name, uid)
    for program in ("newuidmap", "newgidmap"):
        if shutil.which(program) is None:
            raise HostError(
                Code.HOST_UNSUITED,
                f"{program} is not installed; an ordinary user needs it to run sandboxes.",
                hint="As root: `apt-get install uidmap`, then start again.",
            )
    # newuidmap must run outside the new namespace, so a child made before does it.
    ours, theirs = os.pipe()
    back, answer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(theirs)
        _map_ids(parent, ours, answer, ((uid, sub_uid), (gid, sub_gid)))
    os.close(ours)
    os.close(answer)
    try:
        _unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
        os.write(theirs, b"x")
        said = os.read(back, 4096)
    finally:
        os.close(theirs)
        os.close(back)
        os.waitpid(child, 0)
    if said != b"ok":
        raise HostError(
            Code.HOST_UNSUITED,
            "The subordinate ids of this user could not be mapped.",
            hint="newuidmap and newgidmap must be setuid root (package uidmap), and /etc/subuid "
            "and /etc/subgid must name this user.",
            detail=said.decode("utf-8", errors="replace"),
        )
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _map_ids(
    parent: int, start: int, answer: int, ids: tuple[tuple[int, tuple[int, int]], ...]
) -> NoReturn:
    said = b"ok"
    if os.read(start, 1) != b"x":
        os._exit(1)
    for program, (own, (first, count)) in zip(("newuidmap", "newgidmap"), ids, strict=True):
        argv = [program, str(parent), "0", str(own), "1", "1", str(first), str(count)]
        try:
            done = subprocess.run(  # noqa: S603 - fixed program, numbers only
                argv, capture_output=True, timeout=_TIMEOUT_S, check=False
            )
            if done.returncode != 0:
                said = done.stderr[:4000] or b"failed"
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error).encode()[:4000]
    os.write(answer, said)
    os._exit(0)


def subordinate(file: Path, name: str, uid: int) -> tuple[int, int]:
    """Return first id and count of the widest range that a subid file gives a user.

    Raises:
        HostError: There is none, or it is too narrow.

    Source:
        subuid(5): `name-or-uid:first:count`.
    """
    best = (0, 0)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in {name, str(uid)} and fields[2].isdigit():  # noqa: PLR2004
            best = max(best, (int(fields[1]), int(fields[2])), key=lambda pair: pair[1])
    if best[1] < _LEAST_IDS:
        raise HostError(
            Code.HOST_UNSUITED,
            f"{file} gives the user {name} {best[1]} subordinate ids; {_LEAST_IDS} are needed.",
            hint=f"As root: `usermod --add-subuids {(free := free_range(file.parent))} "
            f"--add-subgids {free} {name}`, then start again.",
        )
    return best


def free_range(etc: Path) -> str:
    """Name 65536 ids behind all that `subuid` and `subgid` of a directory give to anybody."""
    first = _FIRST_FREE
    for file in (etc / "subuid", etc / "subgid"):
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            fields = line.strip().split(":")
            if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal():  # noqa: PLR2004
                first = max(first, int(fields[1]) + int(fields[2]))
    return f"{first}-{first + 65535}"
