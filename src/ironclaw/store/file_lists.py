"""Lists of files for people: what there is of conversations, without the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import AgentId, FileId, MessageId, SessionId
from ironclaw.services.house import FileView
from ironclaw.store.file_rows import unseal_name
from ironclaw.store.message_rows import unseal_words

if TYPE_CHECKING:
    from collections.abc import Collection

    import apsw

    from ironclaw.store.content import Content

_FILES: Final = (
    # Files are few, sessions may be many: the newest files first, whosever they are. One whose
    # message is not there (yet) was never shown to anybody.
    "SELECT f.id, f.session, f.sealed, f.size, f.message, f.is_out, f.at_ms, m.sealed, s.agent,"
    " a.name FROM file f CROSS JOIN session s ON s.id = f.session"
    " JOIN message m ON m.id = f.message JOIN agent a ON a.id = s.agent"
    " WHERE f.state = 1 AND s.state <> 'forgotten'"
)
_Row = tuple[str, str, bytes, int, str, int, int, bytes, str, str]


def newest(
    db: apsw.Connection,
    content: Content,
    *,
    agents: Collection[AgentId] | None,
    session: SessionId | None,
    limit: int,
) -> list[FileView]:
    """The newest files of conversations that were not forgotten, newest first.

    Args:
        db: In a transaction.
        content: Unseals their names.
        agents: Only of these; None: of all.
        session: Only of this conversation; None: of all.
        limit: How many at most.

    Raises:
        HostError: `STORE_CORRUPT`.
    """
    which, values = "", list[str | int]()
    if session is not None:
        which, values = " AND f.session = ?", [session]
    if agents is not None:
        which += f" AND s.agent IN ({', '.join('?' * len(agents))})"
        values += agents
    rows = db.execute(f"{_FILES}{which} ORDER BY f.n DESC LIMIT ?", (*values, limit))
    found = (_view(content, row) for row in rows)
    return [view for view in found if view is not None]


def _view(content: Content, row: _Row) -> FileView | None:
    """A row as people see it; None when its key is gone: nothing of it can be had any more."""
    id_, session, sealed, size, message, is_out, at_ms, words, agent, agent_name = row
    whose = SessionId(session)
    try:
        name, media_type = unseal_name(content, whose, FileId(id_), sealed)
        sender = agent_name
        if not is_out:
            sender, _ = unseal_words(content, whose, MessageId(message), words)
    except HostError as error:
        if error.code is not Code.KEY_UNUSABLE:
            raise
        return None
    return FileView(
        id=id_,
        name=name,
        media_type=media_type,
        size=size,
        is_out=bool(is_out),
        sender=sender,
        agent=AgentId(agent),
        agent_name=agent_name,
        session=whose,
        message=MessageId(message),
        at_ms=at_ms,
    )
