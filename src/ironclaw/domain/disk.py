"""How much disk a box may use, when a closer look is due, and what follows from one. Pure.

The file system enforces none of this: most have no quota for a directory. The disk guard looks at
the free room often, which costs nothing, and counts what boxes hold only when that has shrunk.

    Room -> need -> (count) -> Holding -> judge -> Over -> the box is ended
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError

if TYPE_CHECKING:
    from ironclaw.domain.model import BoxLimits

_MIB: Final = 1024 * 1024
LEAST_BYTES: Final = 4 * _MIB
MOST_BYTES: Final = 1024 * 1024 * _MIB
LEAST_FILES: Final = 100
MOST_FILES: Final = 10_000_000
DEFAULT_BYTES: Final = 1024 * _MIB
DEFAULT_FILES: Final = 100_000

SLOW_S: Final = 600.0
"""Seconds after which whoever was active is counted again, whatever the free room says."""
SHORT_GROWTH_BYTES: Final = 8 * _MIB
SHORT_GROWTH_FILES: Final = 1000
"""What a box may add between two counts while the file system itself is short of room."""
_SHORT_BYTES: Final = 1024 * _MIB
_SHORT_FILES: Final = 50_000
_SHORT_PART: Final = 20


class Caps(NamedTuple):
    """The most that a session's workspace may hold, and again the memory of its agent."""

    bytes: int = DEFAULT_BYTES
    files: int = DEFAULT_FILES
    """Directory entries of every kind."""


class Usage(NamedTuple):
    """What one directory holds."""

    bytes: int
    """Bytes that are allocated for it, not the sizes that its files claim."""
    files: int
    is_whole: bool = True
    """False: there is more than could be counted. No honest box makes such a directory."""


class Holding(NamedTuple):
    """What one box holds."""

    workspace: Usage
    """Files that are deleted and still open in the box count here."""
    memory: Usage


class Room(NamedTuple):
    """What is left on the file system of the durable directories."""

    free_bytes: int
    free_files: int
    all_bytes: int
    all_files: int
    """0 where the file system makes inodes as it needs them."""

    @property
    def is_short(self) -> bool:
        """Whether so little is left that everybody else is in danger."""
        return self.free_bytes < min(_SHORT_BYTES, self.all_bytes // _SHORT_PART) or (
            self.all_files > 0
            and self.free_files < min(_SHORT_FILES, self.all_files // _SHORT_PART)
        )

    def most(self, other: Room) -> Room:
        """The better of two looks."""
        return other._replace(
            free_bytes=max(self.free_bytes, other.free_bytes),
            free_files=max(self.free_files, other.free_files),
        )


class Over(NamedTuple):
    """Why a box is ended."""

    where: Literal["workspace", "memory", "host"]
    what: Literal["bytes", "files", "odd"]
    """`odd`: there is more than can be counted."""
    used: int
    cap: int


UNCOUNTED: Final = Over("workspace", "odd", 0, 0)
"""What is said of a box whose disk use could not be counted while the disk was filling."""


def check_limits(limits: BoxLimits) -> None:
    """Refuse limits on disk that are none.

    Raises:
        PolicyError: `SPEC_TOO_WEAK`; the message names each field.
    """
    weak = [
        name
        for name, value, least, most in (
            ("disk_bytes", limits.disk_bytes, LEAST_BYTES, MOST_BYTES),
            ("disk_files", limits.disk_files, LEAST_FILES, MOST_FILES),
        )
        if value is not None and not least <= value <= most
    ]
    if weak:
        raise PolicyError(
            Code.SPEC_TOO_WEAK,
            f"The sandbox that was asked for is weaker than the wall: {', '.join(weak)}.",
            hint="Choose limits within the bounds of docs/reference/spec.md.",
        )


def caps_of(limits: BoxLimits, house: Caps) -> Caps:
    """The caps of an agent: its own limits, or the house's where it has none."""
    return Caps(
        house.bytes if limits.disk_bytes is None else limits.disk_bytes,
        house.files if limits.disk_files is None else limits.disk_files,
    )


class Need(enum.IntEnum):
    """How badly a box has to be counted."""

    NONE = 0
    DUE = 1
    URGENT = 2
    """So much went that counting may take more than its usual part of the time."""


def need(caps: Caps, held: Holding | None, best: Room, now: Room, *, since_s: float) -> Need:
    """Tell whether a box has to be counted: it could be over, for all that the room says.

    Args:
        caps: What the box may hold.
        held: What it held when it was last counted; None if it never was.
        best: The most room that was seen since then.
        now: The room there is.
        since_s: Seconds since then.
    """
    gone_bytes = best.free_bytes - now.free_bytes
    gone_files = best.free_files - now.free_files
    if gone_bytes > caps.bytes or gone_files > caps.files:
        return Need.URGENT
    is_due = (
        held is None
        or now.is_short
        or since_s >= SLOW_S
        or gone_bytes > max(step_bytes(caps), caps.bytes - max(use.bytes for use in held))
        or gone_files > max(step_files(caps), caps.files - max(use.files for use in held))
    )
    return Need.DUE if is_due else Need.NONE


def step_bytes(caps: Caps) -> int:
    """Bytes that may go without a count, however full the box is."""
    return min(64 * _MIB, max(1 * _MIB, caps.bytes // 16))


def step_files(caps: Caps) -> int:
    """Inodes that may go without a count, however many files the box has."""
    return min(5000, max(20, caps.files // 16))


def judge(caps: Caps, before: Holding | None, now: Holding, *, is_short: bool) -> Over | None:
    """Say whether a box must be ended.

    A box that starts over its cap may run, so that it can delete; one that adds to it may not.

    Args:
        caps: What it may hold.
        before: What it held at the former count of this life; None at the first.
        now: What it holds.
        is_short: Whether the file system itself is short of room.
    """
    over = _judge_one("workspace", caps, before and before.workspace, now.workspace)
    over = over or _judge_one("memory", caps, before and before.memory, now.memory)
    if over is None and is_short and before is not None:
        grown = _total(now).bytes - _total(before).bytes
        if grown > SHORT_GROWTH_BYTES:
            return Over("host", "bytes", grown, 0)
        grown = _total(now).files - _total(before).files
        if grown > SHORT_GROWTH_FILES:
            return Over("host", "files", grown, 0)
    return over


def is_over(caps: Caps, holding: Holding) -> bool:
    """Whether anything of it is over a cap."""
    return any(
        not usage.is_whole or usage.bytes > caps.bytes or usage.files > caps.files
        for usage in holding
    )


def code(over: Over) -> Code:
    """What it is called on every surface."""
    return Code.DISK_FULL if over.where == "host" else Code.BOX_OUT_OF_DISK


def words(over: Over) -> str:
    """Say it to the person whose message the box was working on."""
    if over.where == "host":
        return (
            "The disk of this machine is nearly full, and the agent was writing "
            f"({amount(over)} more): it was stopped. Free some space, then send it again."
        )
    place = "its workspace" if over.where == "workspace" else "its memory"
    if over.what == "odd":
        return (
            f"The agent made {place} too large or too deep to be counted: it was stopped. "
            "Ask it to delete files, or start a new conversation."
        )
    limit = "sandbox.disk_bytes" if over.what == "bytes" else "sandbox.disk_files"
    return (
        f"The agent used more disk than it may: {amount(over)} in {place}, where "
        f"{amount(over._replace(used=over.cap))} are allowed. It was stopped. Ask it to delete "
        f"files, or allow more with the setting {limit}."
    )


def amount(over: Over) -> str:
    """`used` for people."""
    if over.what != "bytes":
        return f"{over.used:,} files"
    value = over.used / _MIB
    return f"{value / 1024:.1f} GiB" if value >= 1000 else f"{value:.0f} MiB"  # noqa: PLR2004 - three digits


def _judge_one(
    where: Literal["workspace", "memory"], caps: Caps, was: Usage | None, has: Usage
) -> Over | None:
    if not has.is_whole:
        # What it adds where nobody can count would never be seen.
        return Over(where, "odd", has.files, 0)
    if was is None:
        return None
    if has.bytes > caps.bytes and has.bytes > was.bytes:
        return Over(where, "bytes", has.bytes, caps.bytes)
    if has.files > caps.files and has.files > was.files:
        return Over(where, "files", has.files, caps.files)
    return None


def _total(holding: Holding) -> Usage:
    return Usage(sum(usage.bytes for usage in holding), sum(usage.files for usage in holding))
