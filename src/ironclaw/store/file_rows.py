"""Rows of files, as values and back: what came with messages, and what agents send.

A file is kept in parts, each sealed with its session's key, so that forgetting the session forgets
it. Used inside transactions only; nothing here holds more than one part at a time.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChatId, FileId, SessionId
from ironclaw.domain.attachments import Kept
from ironclaw_contract.entries import File, Files

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from ironclaw.core.ids import DeliveryId, MessageId
    from ironclaw.store.content import Content

SESSION_BYTES: Final = 256 * 1024 * 1024
"""Of all files of one session, unless the house says otherwise."""
AGENT_BYTES: Final = 4 * 1024 * 1024 * 1024
"""Of all files of one agent: whoever may talk to it can begin conversations without number."""
SESSION_FILES: Final = 10_000
"""Files of one session."""
_COLUMNS: Final = "f.n, f.id, f.session, f.sealed, f.size, f.parts"
_IN: Final = (
    f"SELECT {_COLUMNS} FROM file f WHERE f.message = ? AND f.is_out = 0"  # noqa: S608 - constants
    " ORDER BY f.position"
)
_OUT: Final = (
    f"SELECT {_COLUMNS} FROM delivery_file d JOIN file f ON f.n = d.file"  # noqa: S608 - constants
    " WHERE d.delivery = ? ORDER BY d.position"
)
_ONE: Final = (
    f"SELECT {_COLUMNS} FROM file f"  # noqa: S608 - constants
    " WHERE f.id = ?1 AND f.session = ifnull(?2, f.session) AND f.state = 1"
)
_OF_AGENT: Final = (
    # Files are few, sessions may be many.
    "SELECT ifnull(sum(CASE f.state WHEN 2 THEN 0 ELSE f.size END), 0) FROM file f"
    " CROSS JOIN session s ON s.id = f.session"
    " WHERE s.agent = (SELECT agent FROM session WHERE id = ?)"
)
_Named = tuple[str, str]
"""Name and type: what is sealed of a file beside its bytes."""


class State(enum.IntEnum):
    """How far a file has come."""

    GROWING = 0
    WHOLE = 1
    NO_ROOM = 2
    """The session may not keep more; its parts are counted and thrown away."""


class Most(NamedTuple):
    """How many bytes of files there may be."""

    session: int = SESSION_BYTES
    agent: int = AGENT_BYTES


def seal_name(
    content: Content, session: SessionId, file: FileId, name: str, media_type: str
) -> bytes:
    """Seal what a file is called and what it is."""
    return content.seal(session, f"file/{file}", msgspec.msgpack.encode((name, media_type)))


def unseal_name(content: Content, session: SessionId, file: FileId, sealed: bytes) -> _Named:
    """Undo `seal_name`. Raises HostError."""
    named: _Named = msgspec.msgpack.decode(
        content.unseal(session, f"file/{file}", sealed), type=_Named
    )
    return named


def add_part(  # noqa: PLR0917 - a row
    db: apsw.Connection,
    content: Content,
    session: SessionId,
    n: int,
    file: FileId,
    index: int,
    data: bytes,
) -> None:
    """Keep a part of a file."""
    sealed = content.seal(session, f"file/{file}/{index}", data)
    db.execute("INSERT INTO file_part VALUES (?, ?, ?)", (n, index, sealed))


def read_part(  # noqa: PLR0917 - as `add_part`
    db: apsw.Connection,
    content: Content,
    session: SessionId,
    n: int,
    file: FileId,
    index: int,
) -> bytes | None:
    """A part of a file; None when it was removed meanwhile. Raises HostError."""
    row = db.execute("SELECT sealed FROM file_part WHERE file = ? AND idx = ?", (n, index))
    found = row.fetchone()
    return None if found is None else content.unseal(session, f"file/{file}/{index}", found[0])


def came_with(db: apsw.Connection, content: Content, message: MessageId) -> tuple[Kept, ...]:
    """Files of a message, in order. Raises HostError."""
    return _some(content, db.execute(_IN, (message,)))


def goes_with(db: apsw.Connection, content: Content, delivery: DeliveryId) -> Files:
    """Files of a delivery, in order. Raises HostError."""
    return files_of(_some(content, db.execute(_OUT, (delivery,))))


def find_file(
    db: apsw.Connection, content: Content, file: str, *, of: SessionId | None = None
) -> Kept | None:
    """A whole file by its id; of that session only, where one is named. Raises HostError."""
    found = _some(content, db.execute(_ONE, (file, of)))
    return found[0] if found else None


def files_of(kept: Iterable[Kept]) -> Files:
    """What they are, without their rows."""
    return tuple(one.file for one in kept)


def chats_of(db: apsw.Connection, kept: Kept) -> tuple[ChatId, ...]:
    """The chats in which a file was shown."""
    rows = db.execute(
        "SELECT m.chat FROM file f JOIN message m ON m.id = f.message AND f.is_out = 0"
        " WHERE f.n = ?1 UNION SELECT d.chat FROM delivery_file o"
        " JOIN delivery d ON d.id = o.delivery WHERE o.file = ?1",
        (kept.n,),
    )
    return tuple(ChatId(chat) for (chat,) in rows)


def join(db: apsw.Connection, delivery: DeliveryId, files: Iterable[Kept]) -> None:
    """These go out with that delivery."""
    db.executemany(
        "INSERT INTO delivery_file VALUES (?, ?, ?)",
        [(delivery, position, kept.n) for position, kept in enumerate(files)],
    )


def used(db: apsw.Connection, session: SessionId) -> tuple[int, int]:
    """How many files a session has, and their bytes."""
    ((count, size),) = list(
        db.execute(
            "SELECT count(*), ifnull(sum(CASE state WHEN 2 THEN 0 ELSE size END), 0) FROM file"
            " WHERE session = ?",
            (session,),
        )
    )
    return count, size


def is_agent_full(db: apsw.Connection, session: SessionId, *, size: int, most: Most) -> bool:
    """Whether the agent of a session may not have so many bytes more."""
    ((has,),) = list(db.execute(_OF_AGENT, (session,)))
    return bool(has + size > most.agent)


def check_room(
    db: apsw.Connection, session: SessionId, *, count: int, size: int, most: Most
) -> None:
    """Refuse files for which there is no room. Raises UserError (`TOO_LARGE`)."""
    has_count, has_size = used(db, session)
    if has_count + count > SESSION_FILES or has_size + size > most.session:
        raise UserError(
            Code.TOO_LARGE,
            "This conversation has no more room for files.",
            hint="Begin a new one with /new, or have the limit raised: conversation.files_bytes.",
        )
    if is_agent_full(db, session, size=size, most=most):
        raise UserError(
            Code.TOO_LARGE,
            "The conversations of this agent together have no more room for files.",
            hint="Have some forgotten (`ironclaw session forget`), or the limit raised: "
            "conversation.agent_files_bytes.",
        )


def remove_files(db: apsw.Connection, which: str, *values: str | int) -> None:
    """Remove files and their parts.

    Args:
        db: In a transaction.
        which: A constant condition on the table `file`.
        values: For its place holders.
    """
    rows = list(db.execute(f"SELECT n FROM file WHERE {which}", values))  # noqa: S608 - constant
    db.executemany("DELETE FROM file_part WHERE file = ?", rows)
    db.executemany("DELETE FROM delivery_file WHERE file = ?", rows)
    db.executemany("DELETE FROM file WHERE n = ?", rows)


def _some(
    content: Content, rows: Iterable[tuple[int, str, str, bytes, int, int]]
) -> tuple[Kept, ...]:
    found = []
    for n, id_, session, sealed, size, parts in rows:
        name, media_type = unseal_name(content, SessionId(session), FileId(id_), sealed)
        file = File(id=id_, name=name, media_type=media_type, size=size)
        found.append(Kept(n, SessionId(session), file, parts))
    return tuple(found)
