"""What people may ask of an agent's memory, and what they are told. Pure.

Nothing in it is parsed by the core: a confined process looks, and answers in these words.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


class MemoryAct(enum.StrEnum):
    """What is to be done."""

    LIST = "list"
    READ = "read"
    WRITE = "write"
    FORGET = "forget"
    PURGE = "purge"


class MemoryAsk(NamedTuple):
    """One thing that is asked of a memory."""

    act: MemoryAct
    topic: str = ""
    """Of which topic; empty for `LIST` and `PURGE`."""
    session: str = ""
    """Whose notes go; `PURGE` only."""
    data: bytes = b""
    """What the topic shall be; `WRITE` only."""
    was: str = ""
    """Digest of what is to be replaced; empty for whatever is there."""
    foreign: tuple[str, ...] = ()
    """Sessions whose notes count as tainted, whatever they say of themselves; `LIST`, `READ`."""


def pack(foreign: Iterable[str]) -> bytes:
    """Ids of sessions, as they follow a request to the confined process."""
    return " ".join(foreign).encode()


def unpack(data: bytes) -> tuple[str, ...]:
    """Undo `pack`."""
    return tuple(data.decode().split())


class TopicView(msgspec.Struct, frozen=True, kw_only=True):
    """One topic, without what it says."""

    topic: str
    bytes: int
    notes: int
    tainted: int
    """Notes that were written after reading what did not come from the agent's people."""
    changed_ms: int


class MemoryAnswer(NamedTuple):
    """What came of it."""

    topics: tuple[TopicView, ...] = ()
    """Of `LIST` all, of `READ` the one that is read."""
    is_whole: bool = True
    """False when there is more than is told, or something that could not be looked through."""
    text: bytes | None = None
    removed: int = 0
    """Notes."""
    refused: str = ""
    """Why it was not done, for whoever asked."""
    is_changed: bool = False
    """It was not done: what is there is not what was to be replaced."""
