"""Names in a queue directory, and the way into it: written aside, then renamed, never changed."""

from __future__ import annotations

import os

from ironclaw_contract.chain import Refusal, SegmentError

SUFFIX = ".seg"
_DIGITS = 16
_TEMPORARY = "."


def segment_name(seq: int) -> str:
    """File name of the segment whose first record is `seq`."""
    return f"{seq:0{_DIGITS}d}{SUFFIX}"


def parse_segment_name(name: str) -> int:
    """Sequence number of the first record of the segment with this file name.

    Raises:
        SegmentError: `NAME`, when it is not exactly a segment's name.
    """
    digits = name.removesuffix(SUFFIX)
    # `isdigit` alone takes other scripts' digits.
    if not (
        len(name) == _DIGITS + len(SUFFIX)
        and len(digits) == _DIGITS
        and digits.isascii()
        and digits.isdigit()
        and int(digits) > 0
    ):
        raise SegmentError(Refusal.NAME, "not a segment's name")
    return int(digits)


def list_segments(dir_fd: int) -> list[tuple[int, str]]:
    """Segments in a directory that is trusted to hold nothing else, by sequence number.

    Temporary and foreign names are passed over.
    """
    found = []
    for name in os.listdir(dir_fd):
        try:
            found.append((parse_segment_name(name), name))
        except SegmentError:
            continue
    return sorted(found)


def publish(dir_fd: int, name: str, data: bytes, *, fsync: bool, mode: int = 0o640) -> None:
    """Put `data` under `name` into a directory so that readers see all of it or nothing.

    Args:
        dir_fd: The open directory.
        name: Final name; what stands there is replaced.
        data: The whole content.
        fsync: Sync the content before it gets its name. The name itself is not synced: queue
            directories are tmpfs, and every call through the wall costs.
        mode: Permission bits; the caller's umask must let them through.

    Raises:
        OSError: The directory is full or gone; no temporary file is left.
    """
    temporary = _TEMPORARY + name
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, mode, dir_fd=dir_fd)
    except FileExistsError:
        # Left by a writer that was killed; there is one writer at a time.
        os.unlink(temporary, dir_fd=dir_fd)
        fd = os.open(temporary, flags, mode, dir_fd=dir_fd)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if fsync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError:
        os.unlink(temporary, dir_fd=dir_fd)
        raise
