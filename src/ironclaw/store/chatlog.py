"""Reading for people: what happened in a chat or a session, and how much is waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import ChatId, DeliveryId, MessageId, QuestionId, SessionId
from ironclaw.domain.relaying import AGENT_CHANNEL, pair_of
from ironclaw.services.house import SentTo
from ironclaw.store.agent_rows import as_agent
from ironclaw.store.content import Content
from ironclaw.store.file_rows import came_with, files_of, goes_with
from ironclaw.store.hearing import answers_of
from ironclaw.store.message_rows import HOST, unseal_words
from ironclaw.store.question_rows import asked_with
from ironclaw_contract.entries import Files

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.domain.questions import Choice
    from ironclaw.store.content import ContentKeys
    from ironclaw.store.engine import Store

_EVENTS: Final = (
    # What is sent to a destination is not in the thread of the message that it was asked for in.
    "SELECT e.chat, e.id, e.kind, e.message, e.delivery, e.session, e.at_ms,"
    " CASE WHEN d.id IS NULL THEN m.thread ELSE d.thread END, m.sealed,"
    " d.sealed, d.tries, a.name, d.code, d.by_host,"
    # Most have neither, and a look for each of them would cost more than all else of a page.
    " CASE WHEN d.id IS NULL"
    " THEN EXISTS (SELECT 1 FROM file f WHERE f.message = m.id AND f.is_out = 0)"
    " ELSE EXISTS (SELECT 1 FROM delivery_file f WHERE f.delivery = d.id) END,"
    " EXISTS (SELECT 1 FROM delivery_answers o WHERE o.delivery = d.id), e.chat <> m.chat"
    " FROM event e JOIN message m ON m.id = e.message"
    " LEFT JOIN delivery d ON d.id = e.delivery JOIN session s ON s.id = e.session"
    " JOIN agent a ON a.id = s.agent"
)
_PLACE: Final = (
    "SELECT c.channel, c.platform_id, a.lane, a.archived, a.body FROM chat c, session s"
    " JOIN agent a ON a.id = s.agent WHERE c.id = ? AND s.id = ?"
)
FORGOTTEN: Final = "(forgotten)"
"""Shown instead of content whose key has been destroyed."""
REFUSALS_KEPT: Final = 2000
PAGE_CHARS: Final = 2 * 1024 * 1024
"""Characters of text read at once: a thousand events can be a gigabyte, and many read at a time."""
_NAME_CHARS: Final = 200

_Row = tuple[
    str,
    int,
    str,
    str,
    str | None,
    str,
    int,
    str | None,
    bytes,
    bytes | None,
    int | None,
    str,
    str | None,
    int | None,
    int,
    int,
    int,
]


class LoggedEvent(NamedTuple):
    """A kept event of a chat; the fields are those of `services.house.TranscriptEvent`."""

    id: int
    kind: Literal["message", "said", "reply", "question", "error"]
    chat: ChatId
    thread: str | None
    session: SessionId
    message: MessageId
    sender: str
    text: str
    at_ms: int
    code: str = ""
    question: QuestionId | None = None
    options: tuple[str, ...] = ()
    free_text: bool = True
    files: Files = ()
    answers: tuple[MessageId, ...] = ()
    sent_to: SentTo | None = None


class Counts(NamedTuple):
    """How much there is."""

    sessions: int
    pending_messages: int
    due_deliveries: int
    dead_letters: int


class Refusal(NamedTuple):
    """Somebody who was not let in, and how often."""

    channel: str
    platform_id: str
    handle: str
    reason: str
    times: int
    first_ms: int
    last_ms: int


class ChatLog:
    """What people may look at."""

    def __init__(self, store: Store, keys: ContentKeys, clock: Clock) -> None:
        self._store = store
        self._content = Content(keys)
        self._clock = clock

    async def chat_events(self, chat: ChatId, *, after: int, limit: int = 200) -> list[LoggedEvent]:
        """Kept events of a chat with ids over `after`, oldest first. Raises HostError.

        At most `limit`, and fewer when they are long: only an empty list says that there are none.
        """

        def work(db: apsw.Connection) -> list[LoggedEvent]:
            rows = db.execute(
                # What one agent says to another stands there as a message of the other one.
                f"{_EVENTS} WHERE e.chat = ? AND e.id > ? AND e.kind <> 'sent'"
                " ORDER BY e.id LIMIT ?",
                (chat, after, limit),
            )
            return self._some(db, rows)

        return await self._store.read(work)

    async def last_event(self, chat: ChatId) -> int:
        """Id of the newest kept event of a chat; 0 when there is none. Raises HostError."""
        row = await self._store.read(
            lambda db: db.execute("SELECT last_event FROM chat WHERE id = ?", (chat,)).fetchone()
        )
        return 0 if row is None else int(row[0])

    async def transcript(self, session: SessionId, *, limit: int) -> list[LoggedEvent]:
        """The newest kept events of a session, oldest first. Raises HostError.

        At most `limit`, and fewer when they are long.
        """

        def work(db: apsw.Connection) -> list[LoggedEvent]:
            rows = db.execute(
                f"{_EVENTS} WHERE e.session = ? ORDER BY e.at_ms DESC, e.chat DESC, e.id DESC"
                " LIMIT ?",
                (session, limit),
            )
            return self._some(db, rows)[::-1]

        return await self._store.read(work)

    async def last_error(self, session: SessionId) -> LoggedEvent | None:
        """The newest of the host's own words about a failure in a session. Raises HostError."""

        def work(db: apsw.Connection) -> list[LoggedEvent]:
            rows = db.execute(
                f"{_EVENTS} WHERE e.session = ? AND e.kind IN ('error', 'undelivered')"
                " ORDER BY e.at_ms DESC, e.chat DESC, e.id DESC LIMIT 1",
                (session,),
            )
            return self._some(db, rows)

        found = await self._store.read(work)
        return found[0] if found else None

    async def counts(self) -> Counts:
        """Counts for health and metrics. Raises HostError."""
        row = await self._store.read(
            lambda db: list(
                db.execute(
                    "SELECT (SELECT count(*) FROM session),"
                    " (SELECT count(*) FROM message WHERE open = 1 AND engage = 1),"
                    " (SELECT count(*) FROM delivery WHERE status = 'due'),"
                    " (SELECT count(*) FROM delivery WHERE status = 'dead')"
                )
            )
        )
        return Counts(*row[0])

    # --- refusals ---------------------------------------------------------------------------------

    async def refuse(self, *, channel: str, platform_id: str, handle: str, reason: str) -> None:
        """Record who was not let in and why; one row for each, the oldest go. Raises HostError.

        Trust:
            All but `reason` is foreign, and comes from people nobody knows: it is cut, and cannot
            grow the store beyond `REFUSALS_KEPT` rows.
        """
        now = self._clock.now_ms()
        values = [text[:_NAME_CHARS] for text in (channel, platform_id, handle, reason)]

        def work(db: apsw.Connection) -> None:
            ((times,),) = list(
                db.execute(
                    "INSERT INTO refusal VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5) ON CONFLICT DO UPDATE"
                    " SET times = times + 1, last_ms = excluded.last_ms RETURNING times",
                    (*values, now),
                )
            )
            if times == 1:
                db.execute(
                    "DELETE FROM refusal WHERE (channel, platform_id, handle, reason) IN (SELECT"
                    " channel, platform_id, handle, reason FROM refusal ORDER BY last_ms"
                    " LIMIT max(0, (SELECT count(*) FROM refusal) - ?))",
                    (REFUSALS_KEPT,),
                )

        await self._store.write(work)

    async def refusals(self, *, limit: int = 100) -> list[Refusal]:
        """The newest refusals first. Raises HostError."""
        rows = await self._store.read(
            lambda db: list(
                db.execute("SELECT * FROM refusal ORDER BY last_ms DESC LIMIT ?", (limit,))
            )
        )
        return [Refusal(*row) for row in rows]

    def _some(self, db: apsw.Connection, rows: Iterable[_Row]) -> list[LoggedEvent]:
        """Events until they are long enough together; at least one, if there is one."""
        found: list[LoggedEvent] = []
        room = PAGE_CHARS
        for row in rows:
            event = self._event(db, row)
            found.append(event)
            room -= len(event.text)
            if room <= 0:
                break
        return found

    def _event(self, db: apsw.Connection, row: _Row) -> LoggedEvent:
        (
            chat, id_, kind, message, delivery, session, at_ms, thread, message_sealed,
            delivery_sealed, tries, agent, code, by_host, has_files, has_answers, is_elsewhere,
        ) = row  # fmt: skip
        sender, text = HOST, ""
        choice: Choice | None = None
        answers: tuple[MessageId, ...] = ()
        files: Files = ()
        sent_to: SentTo | None = None
        try:
            if kind == "undelivered":
                code = Code.DELIVERY_FAILED
                text = f"A reply could not be delivered to this chat (tries: {tries})."
            elif delivery is not None and delivery_sealed is not None:
                place = f"delivery/{delivery}"
                text = self._content.unseal(SessionId(session), place, delivery_sealed).decode()
                sender = HOST if by_host else agent
                if kind == "question":
                    choice = asked_with(db, self._content, SessionId(session), str(delivery))
                if has_files:
                    files = goes_with(db, self._content, DeliveryId(delivery))
                if has_answers:
                    answers = answers_of(db, DeliveryId(delivery))
            else:
                sender, text = unseal_words(
                    self._content, SessionId(session), MessageId(message), message_sealed
                )
                if has_files:
                    files = files_of(came_with(db, self._content, MessageId(message)))
            if is_elsewhere:
                sent_to = _place(db, ChatId(chat), SessionId(session))
        except HostError as error:
            if error.code is not Code.KEY_UNUSABLE:
                raise
            text = FORGOTTEN
        return LoggedEvent(
            id=id_,
            kind=_kind(kind),
            chat=ChatId(chat),
            thread=thread,
            session=SessionId(session),
            message=MessageId(message),
            sender=sender,
            text=text,
            at_ms=at_ms,
            code=code or "",
            question=None if choice is None else choice.id,
            options=() if choice is None else choice.options,
            free_text=choice is None or choice.free_text,
            files=files,
            answers=answers,
            sent_to=sent_to,
        )


def _place(db: apsw.Connection, chat: ChatId, session: SessionId) -> SentTo:
    """A chat as a place that the agent of a session sends to."""
    ((channel, platform_id, *agent),) = list(db.execute(_PLACE, (chat, session)))
    pair = pair_of(platform_id) if channel == AGENT_CHANNEL else None
    where = (channel, platform_id if pair is None else pair.to)
    named = (
        one.name for one in as_agent(*agent).destinations if (one.channel, one.platform_id) == where
    )
    return SentTo(name=next(named, ""), channel=where[0], platform_id=where[1])


def _kind(kind: str) -> Literal["message", "said", "reply", "question", "error"]:
    match kind:
        case "message" | "said" | "reply" | "question":
            return kind
        case "sent":
            return "reply"
        case _:
            return "error"
