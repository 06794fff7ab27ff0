"""Files that a box sends: parts become a file, words claim it, what nobody claims is removed.

    take_part, ... -> claim (by words of a turn, or by a letter) -> drop_unclaimed with each step

Trust:
    A box may be hostile: ids, names, types and sizes are its claims. The id that people know is
    derived from session and claimed id; the type is found by looking; sizes are counted. What an
    honest box never does ends the session.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.ids import FileId, SessionId
from ironclaw.domain.attachments import MAX_MESSAGE_BYTES, Kept, clean_name, media_type
from ironclaw.store.file_rows import (
    SESSION_FILES,
    State,
    add_part,
    find_file,
    is_agent_full,
    read_part,
    remove_files,
    seal_name,
    used,
)
from ironclaw.store.tampering import tamper
from ironclaw_contract.limits import MAX_FILE_BYTES, MAX_FILES, MAX_PART_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from ironclaw.store.content import Content
    from ironclaw.store.file_rows import Most
    from ironclaw.store.message_rows import Target
    from ironclaw_contract.records import Part

_UNCLAIMED: Final = "session = ? AND message = ''"
_ROW: Final = (
    "SELECT n, session, message, is_out, size, parts, state, sealed <> x'' FROM file WHERE id = ?"
)


class _Row(NamedTuple):
    """One that has begun."""

    n: int
    session: str
    message: str
    is_out: int
    size: int
    parts: int
    state: int
    is_over: int = 0
    """Its last part has come."""


class Claimed(NamedTuple):
    """What words may take along."""

    files: tuple[Kept, ...]
    left_out: int
    """Files for which the session had no room."""


def host_id(session: SessionId, claimed: str) -> FileId:
    """The id that people know a box's file by: no box can choose one of another session."""
    digest = hashlib.sha256(f"ironclaw file\0{session}\0{claimed}".encode()).digest()
    return FileId(f"fil_{base64.b32encode(digest[:10]).decode().lower()}")


def take_part(
    db: apsw.Connection,
    content: Content,
    *,
    session: SessionId,
    part: Part,
    most: Most,
    now_ms: int,
) -> None:
    """Keep one part more.

    Args:
        db: In a transaction.
        content: Seals it.
        session: Whose box says it.
        part: What it says.
        most: Bytes of files that there may be.
        now_ms: Milliseconds since the epoch.

    Raises:
        PeerError: `TAMPER`.
        HostError: `KEY_UNUSABLE`.
    """
    file = host_id(session, part.file)
    row = _row(db, file)
    if row is None:
        row = _begin(db, session, file, part, now_ms=now_ms)
    if row.session != session or not row.is_out:
        raise tamper("file", "an id of somebody else")
    if row.message:
        # It was said before a kill that the box knows nothing of: it may say the same again.
        if part.index >= row.parts:
            raise tamper("file", f"part {part.index} of a file that was said")
        return
    size = _check(db, row, part)
    has_count, has_bytes = used(db, session)
    sealed = b"."
    if (
        row.state == State.NO_ROOM
        or has_bytes + len(part.data) > most.session
        or (has_count > SESSION_FILES)
        or (part.index == 0 and is_agent_full(db, session, size=len(part.data), most=most))
    ):
        # Not the box's fault: people are told, and what it says goes out without the file.
        state = State.NO_ROOM
        db.execute("DELETE FROM file_part WHERE file = ?", (row.n,))
    else:
        add_part(db, content, session, row.n, file, part.index, part.data)
        state, sealed = _name(db, content, row, file, part)
    is_last = part.whole is not None
    db.execute(
        "UPDATE file SET size = ?, parts = ?, state = ?, sealed = ? WHERE n = ?",
        (size, row.parts + 1, state.value, sealed if is_last else b"", row.n),
    )


def claim(
    db: apsw.Connection,
    content: Content,
    *,
    session: SessionId,
    ids: Sequence[str],
    target: Target,
) -> Claimed:
    """Let words of a turn take files along, whose parts came before.

    Raises:
        PeerError: `TAMPER`: one is not there, not whole, or of another turn.
    """
    files: list[Kept] = []
    left_out = 0
    for id_ in ids:
        file = host_id(session, id_)
        row = _row(db, file)
        if row is None or row.session != session or row.message not in {"", target.id}:
            raise tamper("file", f"{id_} was not sent in this turn")
        if row.state == State.NO_ROOM:
            left_out += 1
            continue
        kept = find_file(db, content, file)
        if kept is None or any(one.n == kept.n for one in files):
            raise tamper("file", f"{id_} is not whole, or named twice")
        db.execute("UPDATE file SET message = ? WHERE n = ?", (target.id, row.n))
        files.append(kept)
    return Claimed(tuple(files), left_out)


def has_come(db: apsw.Connection, session: SessionId, ids: Sequence[str]) -> bool:
    """Whether all parts of these files are there (or were refused a place)."""
    rows = [_row(db, host_id(session, id_)) for id_ in ids]
    return all(row is not None and row.state != State.GROWING for row in rows)


def drop_unclaimed(db: apsw.Connection, session: SessionId) -> None:
    """Remove what a box sent and no words took along."""
    if db.execute(f"SELECT 1 FROM file WHERE {_UNCLAIMED} LIMIT 1", (session,)).fetchone():  # noqa: S608 - constant
        remove_files(db, _UNCLAIMED, session)


def _row(db: apsw.Connection, file: FileId) -> _Row | None:
    found = db.execute(_ROW, (file,)).fetchone()
    return None if found is None else _Row(*found)


def _begin(
    db: apsw.Connection, session: SessionId, file: FileId, part: Part, *, now_ms: int
) -> _Row:
    count, _ = _unclaimed(db, session)
    if part.index != 0 or count >= MAX_FILES:
        raise tamper("file", f"part {part.index} of one more file, beside {count}")
    db.execute(
        "INSERT INTO file (id, session, message, position, is_out, at_ms)"
        " VALUES (?, ?, '', ?, 1, ?)",
        (file, session, count, now_ms),
    )
    return _Row(db.last_insert_rowid(), session, "", 1, 0, 0, State.GROWING)


def _check(db: apsw.Connection, row: _Row, part: Part) -> int:
    """Bytes of the file with this part; raises PeerError for what no honest box sends."""
    size = row.size + len(part.data)
    _, unclaimed = _unclaimed(db, SessionId(row.session))
    if row.state == State.WHOLE or row.is_over or part.index != row.parts:
        raise tamper("file", f"part {part.index} where {row.parts} comes next")
    if size > MAX_FILE_BYTES or unclaimed + len(part.data) > MAX_MESSAGE_BYTES:
        raise tamper("file", f"{size} bytes, beside {unclaimed}")
    if part.whole is None and len(part.data) != MAX_PART_BYTES:
        raise tamper("file", f"{len(part.data)} bytes in a part that is not the last")
    if part.whole is not None and (part.whole.id != part.file or part.whole.size != size):
        raise tamper("file", f"it is not the file that it says: {size} bytes")
    return size


def _unclaimed(db: apsw.Connection, session: SessionId) -> tuple[int, int]:
    ((count, size),) = list(
        db.execute(
            f"SELECT count(*), ifnull(sum(size), 0) FROM file WHERE {_UNCLAIMED}",  # noqa: S608 - constant
            (session,),
        )
    )
    return count, size


def _name(
    db: apsw.Connection, content: Content, row: _Row, file: FileId, part: Part
) -> tuple[State, bytes]:
    """The state after this part, and the sealed name if it was the last one."""
    if part.whole is None:
        return State.GROWING, b""
    session, name = SessionId(row.session), clean_name(part.whole.name)
    head = part.data if part.index == 0 else read_part(db, content, session, row.n, file, 0)
    return State.WHOLE, seal_name(content, session, file, name, media_type(name, head or b""))
