"""Attacks with files that are no segments, and on the other queue; and what stops each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ironclaw.airlock.confine import CAPABILITIES
from ironclaw.prove import controls as c
from ironclaw.prove.model import Check
from ironclaw.prove.wire import careless as a
from ironclaw.prove.wire.checks import Row, answering, tampering

if TYPE_CHECKING:
    from ironclaw.prove.wire.cells import Cell

IN_OPEN: Final = "in-open"
OUT_SUID: Final = "out-suid"
UNFILTERED: Final = "queue-unfiltered"
NOSUID: Final = "mount out/ nosuid"
_READ_ONLY: Final = ("EROFS", "EACCES", "EPERM")


def _in(name: str, attack: str) -> Row:
    claim = "A box cannot change what the host tells it."
    return answering(f"queue.{name}", claim, attack, c.OWNER, IN_OPEN, *_READ_ONLY)


def _setuid(cell: Cell) -> str:
    """Whether a set-user-id file of the box's would have its way on the host."""
    flags = os.statvfs(cell.directory.path / "out").f_flag
    return "ignored" if flags & os.ST_NOSUID else "honoured"


PLANTS: Final = (
    tampering(
        "queue.symlink_host",
        "A symbolic link to a path of the host is tampering.",
        "make a link to /etc/passwd in a segment's place",
        a.NOFOLLOW,
        "follows-links",
        "file",
    ),
    tampering(
        "queue.symlink_in",
        "A symbolic link to the other queue is tampering.",
        "make a link to an inbound segment in a segment's place",
        a.NOFOLLOW,
        "follows-links-anywhere",
        "file",
    ),
    tampering(
        "queue.symlink_segment",
        "A symbolic link is tampering even when it leads to a right segment.",
        "make a link to a segment of one's own",
        a.NOFOLLOW,
        "follows-links",
        "file",
    ),
    tampering(
        "queue.hard_link",
        "A file that has another name is tampering.",
        "make a hard link to a segment of one's own",
        a.ONE_LINK,
        "reads-shared-files",
        "file",
    ),
    tampering(
        "queue.directory",
        "A directory in place of a segment is tampering.",
        "make a directory under the next name",
        a.REGULAR,
        "reads-any-kind",
        "file",
    ),
    tampering(
        "queue.full_directory",
        "A directory that a sweep cannot remove is tampering.",
        "make a directory with another one in it",
        a.SWEEP_STRICT,
        "passes-over",
        "file",
    ),
    tampering(
        "queue.unreadable",
        "A file that its own mode keeps the airlock from is tampering: it has no right to pass.",
        "publish a right segment with mode 000",
        CAPABILITIES,
        "reads-with-rights",
        "file",
    ),
    tampering(
        "queue.race",
        "A file that is replaced while it is read gains nothing.",
        "swap links and forged files for half a second",
        a.NOFOLLOW,
        "races",
        "file",
        "mac",
        "size",
    ),
    answering(
        "queue.fifo",
        "A box cannot put a pipe into the queue.",
        "make a FIFO under the next name",
        c.SECCOMP,
        UNFILTERED,
        "EPERM",
    ),
    Row(
        Check(
            "queue.device",
            "A box cannot put a device into the queue.",
            "make a character device under the next name",
            c.SECCOMP,
            frozenset({"EPERM"}),
            why_no_twin="the gofer has no right to make one either, whatever the box may do",
        )
    ),
    answering(
        "queue.socket",
        "A box cannot put a socket into the queue.",
        "bind a unix socket under the next name",
        c.SECCOMP,
        UNFILTERED,
        "EPERM",
    ),
    Row(
        Check(
            "queue.setuid",
            "A set-user-id file in the queue is one nowhere on the host.",
            "give a file the set-user-id and set-group-id bits",
            NOSUID,
            frozenset({"ignored"}),
            twin=OUT_SUID,
        ),
        at_step=_setuid,
    ),
    answering(
        "queue.odd_names",
        "Names that are no segment's are removed unread and disturb nobody.",
        "make files with line breaks, bytes that are no text, 255 letters, near misses",
        a.SWEEP,
        "sweeps-nothing",
        "swept",
    ),
    answering(
        "queue.digits",
        "Digits of another script make no segment's name.",
        "name a file with sixteen Arabic digits",
        a.NAME_PATTERN,
        "reads-any-digit",
        "swept",
    ),
    answering(
        "queue.temporary",
        "What is still being written is not read.",
        "leave a whole forged segment under a temporary name",
        a.FINAL_NAME,
        "reads-unfinished",
        "not read",
    ),
)
INBOUND: Final = (
    _in("write_in", "make a file in /queue/in"),
    _in("rename_in", "rename an inbound segment"),
    _in("unlink_in", "remove an inbound segment"),
)
