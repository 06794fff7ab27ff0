"""What the box and the airlock say on sockets: the bell's hello, model calls and host tools.

`bell.sock`: the box sends one `Hello` frame, then single bytes go both ways (`Bell`).
`model.sock`: `ModelAsk` frames to the host, `ModelTell` frames back. Calls are told apart by a
number that the box chooses; events of one call come in order and end with exactly one of
`Generated` and `Failed`.
`tools.sock`, there only while the agent may use a host tool: `Use` frames to the host, one `Used`
back for each.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Entry, Ident, Name, Text, Thought
from ironclaw_contract.limits import (
    MAX_ARGUMENTS_CHARS,
    MAX_ENTRIES,
    MAX_TOOLS,
    MAX_USED_CHARS,
)


class Bell(bytes, enum.Enum):
    """The bytes on the bell after the hello."""

    LOOK = b"L"
    """To the box: look at `/queue/in` (or, while blank, at `/run/ironclaw/key`). From the box: look
    at `/queue/out`."""
    PING = b"P"
    """To the box: answer with PONG; a hung loop does not."""
    PONG = b"O"
    """From the box."""
    KEY_READ = b"K"
    """From the box: the key is in memory, the file may go."""


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the box sees of its own walls: the inside half of the posture.

    Trust:
        A hostile box can lie here. The outside half is measured by the host; this half catches
        honest mistakes of the launch, which is when the program inside is still our own.
    """

    uid: int
    gid: int
    groups: Annotated[tuple[int, ...], msgspec.Meta(max_length=64)]
    cap_eff: int
    cap_prm: int
    cap_bnd: int
    no_new_privs: bool
    seccomp: int
    """The mode in `/proc/self/status`: 2 is a filter."""
    interfaces: Annotated[tuple[str, ...], msgspec.Meta(max_length=32)]
    routes: int
    root_writable: bool
    in_writable: bool
    kernel: Annotated[str, msgspec.Meta(max_length=256)]
    """`/proc/version`."""
    processes: int
    """Process directories in `/proc`, its own included."""
    environment: Annotated[tuple[str, ...], msgspec.Meta(max_length=32)]
    """Names of environment variables."""


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First frame on every bell connection."""

    version: int
    claimed: bool
    """True when the box already has its key: it reconnects after an airlock was replaced."""
    in_seq: Annotated[int, msgspec.Meta(ge=0)]
    """Last inbound record consumed; 0 while blank."""
    out_seq: Annotated[int, msgspec.Meta(ge=0)]
    """Last outbound record published; 0 while blank."""
    facts: Facts | None = None
    """Present while blank."""


class ClaimFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `/run/ironclaw/key`: read once, then removed by the host."""

    session: Ident
    epoch: Annotated[int, msgspec.Meta(ge=1)]
    """Which life of the session's box this is. Each life has record chains of its own."""
    key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class ToolSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool as the model is told of it."""

    name: Name
    description: Annotated[str, msgspec.Meta(max_length=4096)]
    parameters: Annotated[str, msgspec.Meta(max_length=16384)]
    """JSON text of a JSON-Schema object."""


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="f"):
    """Base of the model frames."""


class Purpose(enum.StrEnum):
    """What a call is for. What people are shown of it depends on that, and nothing else does."""

    TURN = "turn"
    SUMMARY = "summary"
    RESEARCH = "research"
    """A turn within the turn, on a question of its own."""


class Generate(_Frame, tag="generate", frozen=True, omit_defaults=True):
    """Ask for the next part of the conversation."""

    call: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    turn: Ident
    system: Text
    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=MAX_ENTRIES)]
    tools: Annotated[tuple[ToolSpec, ...], msgspec.Meta(max_length=MAX_TOOLS)]
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    purpose: Purpose = Purpose.TURN


class Cancel(_Frame, tag="cancel", frozen=True):
    """Stop a call. Its `Failed` with `CANCELLED` (or an end that was under way) still comes."""

    call: Annotated[int, msgspec.Meta(ge=1, le=2**53)]


ModelAsk = Generate | Cancel


class Stop(enum.StrEnum):
    """Why the model stopped."""

    END = "end"
    TOOL = "tool"
    LENGTH = "length"


class Delta(_Frame, tag="delta", frozen=True, omit_defaults=True):
    """A piece of text, as it is made. For people's eyes: the host keeps it from the box."""

    call: int
    text: Text
    is_thought: bool = False


class Generated(_Frame, tag="generated", frozen=True):
    """The whole answer of one call."""

    call: int
    entries: Annotated[tuple[Answered | Thought | Called, ...], msgspec.Meta(max_length=MAX_TOOLS)]
    stop: Stop
    input_tokens: int = 0
    output_tokens: int = 0


class Failed(_Frame, tag="failed", frozen=True):
    """The call has no answer."""

    call: int
    code: WireCode
    text: Annotated[str, msgspec.Meta(max_length=500)]
    """Safe for the agent: no host path, key, provider or price."""


ModelTell = Delta | Generated | Failed


class Use(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Do something on the host for the agent.

    Trust:
        A box can say anything here: the name, whose turn it is, and that it is the first time.
    """

    call: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    """Of the box's choosing; its `Used` repeats it."""
    turn: Ident
    """The turn it is done in."""
    key: Ident
    """The same when the same use of the same turn is put again: after a lost connection, or by a
    fresh box. It may then have been done already."""
    tool: Name
    arguments: Annotated[str, msgspec.Meta(max_length=MAX_ARGUMENTS_CHARS)]
    """JSON text, as the model wrote it: neither side of the wall has parsed it."""


class Used(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of it."""

    call: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    text: Annotated[str, msgspec.Meta(max_length=MAX_USED_CHARS)]
    """For the model. Safe for the agent: no host path, key or other session's id."""
    is_error: bool = False
