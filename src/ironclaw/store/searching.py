"""What was said in a place, page by page, newest first: what a search looks through.

A place is one agent's seat in one chat and thread: its session, and the former ones that `/new`
left. Forgotten sessions cannot be read, and what a quarantined one said is not to be believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import MessageId, SessionId
from ironclaw.domain.searching import Page, Passage, Place
from ironclaw.store.content import Content
from ironclaw.store.message_rows import unseal_words

if TYPE_CHECKING:
    import apsw

    from ironclaw.store.content import ContentKeys
    from ironclaw.store.engine import Store

PAGE_ROWS: Final = 400
PAGE_BYTES: Final = 512 * 1024
MAX_SESSIONS: Final = 64
"""Former conversations of one place that are looked through."""
_LATEST: Final = 2**62

_PLACES: Final = (
    # The same partition too: where threads shared a session once, it holds words of all of them.
    "SELECT f.id FROM session s JOIN session f ON f.agent = s.agent AND f.partition = s.partition"
    " AND ifnull(f.chat, '') = ifnull(s.chat, '') AND ifnull(f.thread, '') = ifnull(s.thread, '')"
    " WHERE s.id = ?1 AND f.state = 'active' ORDER BY f.id = ?1 DESC, f.created_ms DESC, f.id"
    " LIMIT ?2"
)
_SAID: Final = (
    "SELECT e.at_ms, e.chat, e.id, e.message, e.delivery, m.sealed, d.sealed, a.name"
    " FROM event e JOIN message m ON m.id = e.message LEFT JOIN delivery d ON d.id = e.delivery"
    " JOIN session s ON s.id = e.session JOIN agent a ON a.id = s.agent"
    " WHERE e.session = ?1 AND (e.at_ms, e.chat, e.id) < (?2, ?3, ?4)"
    # Not what waits for an answer, which is in the turn that asks; nor commands, nor the host.
    " AND e.kind IN ('message', 'said', 'reply', 'question') AND m.open = 0"
    " AND m.status <> 'handled' AND ifnull(d.by_host, 0) = 0"
    " ORDER BY e.at_ms DESC, e.chat DESC, e.id DESC LIMIT ?5"
)
_Row = tuple[int, str, int, str, str | None, bytes, bytes | None, str]


class Passages:
    """Reads what was said. Each page is one short read."""

    def __init__(self, store: Store, keys: ContentKeys) -> None:
        self._store = store
        self._content = Content(keys)

    async def sessions(self, session: SessionId) -> list[SessionId]:
        """The session, and the former ones of the same place, newest first. Raises HostError."""
        rows = await self._store.read(lambda db: list(db.execute(_PLACES, (session, MAX_SESSIONS))))
        return [SessionId(id_) for (id_,) in rows]

    async def page(self, session: SessionId, after: Place | None = None) -> Page:
        """What was said in one session behind a place, else its newest. Raises HostError.

        An event without readable words is no passage: its session was forgotten meanwhile.
        """
        at = after or Place(session, _LATEST, "", 0)

        def work(db: apsw.Connection) -> Page:
            passages: list[Passage] = []
            size, last, rows = 0, None, 0
            for row in db.execute(_SAID, (session, at.at_ms, at.chat, at.id, PAGE_ROWS)):
                rows += 1
                last = Place(session, row[0], row[1], row[2])
                size += len(row[6] if row[6] is not None else row[5])
                if (passage := self._passage(session, row)) is not None:
                    passages.append(passage)
                if size > PAGE_BYTES:
                    return Page(tuple(passages), last, rows, size)
            is_last = rows < PAGE_ROWS
            return Page(tuple(passages), None if is_last else last, rows, size)

        return await self._store.read(work)

    def _passage(self, session: SessionId, row: _Row) -> Passage | None:
        at_ms, _, _, message, delivery, message_sealed, delivery_sealed, agent = row
        kind: Literal["message", "reply"] = "message"
        try:
            if delivery is None or delivery_sealed is None:
                sender, text = unseal_words(
                    self._content, session, MessageId(message), message_sealed
                )
            else:
                kind, sender = "reply", agent
                place = f"delivery/{delivery}"
                text = self._content.unseal(session, place, delivery_sealed).decode()
        except HostError as error:
            if error.code is not Code.KEY_UNUSABLE:
                raise
            return None
        return Passage(session, kind, sender, text, at_ms)
