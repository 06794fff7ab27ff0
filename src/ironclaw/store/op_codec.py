"""What was written for a change, as bytes: kept until the running system was told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.ids import AgentId, ChatId, PrincipalId, SessionId, TaskId, WiringId
from ironclaw.domain.changes.base import (
    DropStanding,
    DropTask,
    DropWiring,
    ForgetNotes,
    ForgetSession,
    NewAgent,
    Op,
    PutAgent,
    PutChat,
    PutPerson,
    PutPolicy,
    PutStanding,
    PutTask,
    PutWiring,
    SetArchived,
)
from ironclaw.domain.model import Agent, Standing, Task, UnknownSender, Wiring
from ironclaw.domain.policy import Policy
from ironclaw.store.faults import edited

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Shape(NamedTuple):
    """How one kind of op is made of its fields."""

    make: Callable[..., Op]
    fields: object
    """Type of its fields, in their order."""


_SHAPES: Final[dict[str, _Shape]] = {
    "NewAgent": _Shape(NewAgent, tuple[Agent]),
    "PutAgent": _Shape(PutAgent, tuple[Agent]),
    "SetArchived": _Shape(SetArchived, tuple[AgentId, bool]),
    "PutChat": _Shape(PutChat, tuple[ChatId, str, str, UnknownSender | None]),
    "PutWiring": _Shape(PutWiring, tuple[Wiring, str, str]),
    "DropWiring": _Shape(DropWiring, tuple[WiringId]),
    "PutStanding": _Shape(PutStanding, tuple[Standing]),
    "DropStanding": _Shape(DropStanding, tuple[Standing]),
    "PutPerson": _Shape(PutPerson, tuple[PrincipalId, PrincipalId]),
    "PutTask": _Shape(PutTask, tuple[Task]),
    "DropTask": _Shape(DropTask, tuple[TaskId, AgentId]),
    "ForgetSession": _Shape(ForgetSession, tuple[SessionId, AgentId]),
    "ForgetNotes": _Shape(ForgetNotes, tuple[SessionId, AgentId]),
    "PutPolicy": _Shape(PutPolicy, tuple[Policy]),
}


def pack_ops(ops: Sequence[Op]) -> bytes:
    """Ops as bytes."""
    return msgspec.msgpack.encode(
        [(type(op).__name__, msgspec.msgpack.encode(tuple(op))) for op in ops]
    )


def unpack_ops(raw: bytes) -> tuple[Op, ...]:
    """Undo `pack_ops`. Raises HostError (`STORE_CORRUPT`)."""
    try:
        packed = msgspec.msgpack.decode(raw, type=list[tuple[str, bytes]])
        return tuple(_unpack(name, fields) for name, fields in packed)
    except (ValueError, KeyError, RecursionError) as error:
        raise edited(f"unreached: {error}") from error


def _unpack(name: str, fields: bytes) -> Op:
    shape = _SHAPES[name]
    values: tuple[object, ...] = msgspec.convert(
        msgspec.msgpack.decode(fields), type=shape.fields, builtin_types=(bytes,)
    )
    return shape.make(*values)
