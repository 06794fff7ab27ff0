"""Conversation entries: the neutral form in which a conversation is stored, sent and resumed.

A transcript is a sequence of entries. The same types cross the wall in three places: history to a
fresh box, model calls to the host, and finished steps back into the ledger.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from ironclaw_contract.limits import (
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_ID_CHARS,
    MAX_NAME_CHARS,
    MAX_OPAQUE_CHARS,
    MAX_TEXT_BYTES,
)

# `$` would let a trailing newline through; `\Z` does not.
Ident = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_\-:.]{1,64}\Z", max_length=MAX_ID_CHARS)]
"""An id of the host's making: `msg_…`, `ses_…`; also a tool call's id."""

Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_]{0,127}\Z", max_length=MAX_NAME_CHARS)]
"""A tool's name."""

Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_BYTES)]
"""Text of a message, a reply or a tool result (characters here; bytes are checked by the frame)."""

Label = Annotated[str, msgspec.Meta(max_length=256)]
"""A short human name: a sender, an agent."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that came with a message, or goes out with words. Its bytes are in `Part` records."""

    id: Ident
    name: Annotated[str, msgspec.Meta(pattern=r"\A[^/\x00-\x1f\x7f]{1,128}\Z", max_length=128)]
    """As its sender calls it; never a path, and never `.` or `..` where it becomes one."""
    media_type: Annotated[
        str, msgspec.Meta(pattern=r"\A[a-z]+/[A-Za-z0-9.+\-]{1,100}\Z", max_length=128)
    ]
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_FILE_BYTES)]
    """Bytes."""


Files = Annotated[tuple[File, ...], msgspec.Meta(max_length=MAX_FILES)]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="t"):
    """Base of the closed entry union."""


class Said(_Entry, tag="said", frozen=True, omit_defaults=True):
    """A person (or another agent) said something to the agent."""

    message: Ident
    sender: Label
    text: Text
    at_ms: int
    """When the host accepted it, in milliseconds since the epoch."""
    files: Files = ()
    """What came with it. A model call names files by these; their bytes stay on the host."""
    foreign: bool = False
    """Not all that was said up to here is from the agent's people."""


class Answered(_Entry, tag="answered", frozen=True):
    """The model's own words."""

    text: Text


class Thought(_Entry, tag="thought", frozen=True, omit_defaults=True):
    """What the model thought before it went on. Within a turn its provider may want it back."""

    text: Text = ""
    opaque: Annotated[str, msgspec.Meta(max_length=MAX_OPAQUE_CHARS)] = ""
    """Of the provider's making, for that provider alone; empty where it wants nothing back."""


class Called(_Entry, tag="called", frozen=True):
    """The model asked for a tool."""

    call: Ident
    name: Name
    arguments: Text
    """JSON text of one object, as the model wrote it: untrusted until the tool has parsed it."""


class Returned(_Entry, tag="returned", frozen=True):
    """A tool's answer to the call of the same id."""

    call: Ident
    text: Text
    is_error: bool = False


Entry = Said | Answered | Thought | Called | Returned
