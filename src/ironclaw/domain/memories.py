"""What people may ask of an agent's memory, and what they are told. Pure.

Nothing in it is parsed by the core: a confined process looks, and answers in these words.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgspec


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
    is_whole: bool = True
    """False when there is more than is told, or something that could not be looked through."""
    text: bytes | None = None
    removed: int = 0
    """Notes."""
    refused: str = ""
    """Why it was not done, for whoever asked."""
    is_changed: bool = False
    """It was not done: what is there is not what was to be replaced."""
