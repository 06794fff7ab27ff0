"""The ledger: every message from acceptance to the last word about it. Each write is durable.

accept -> backlog, resume (to a box) -> commit (from it) -> due -> delivered | postpone
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChatId, MessageId, SessionId, WiringId, new_id
from ironclaw.domain.acting import said_by
from ironclaw.domain.model import Message, MessageStatus, Session
from ironclaw.domain.ports import Committed, Resume, Worked
from ironclaw.domain.routing import DIRECTLY, Accepted, Came
from ironclaw.domain.taint import of_message
from ironclaw.domain.wall import Outbound
from ironclaw.store import past
from ironclaw.store.commanding import find, handle
from ironclaw.store.content import Content
from ironclaw.store.file_rows import AGENT_BYTES, SESSION_BYTES, Most
from ironclaw.store.informing import MARK, inform
from ironclaw.store.last_words import LastWords
from ironclaw.store.message_rows import (
    MESSAGE,
    WAITING,
    add_message,
    as_message,
    seal_words,
    touch,
    whole_message,
    with_files,
)
from ironclaw.store.outbound import Why, take_in
from ironclaw.store.outbox import Outbox
from ironclaw.store.outgoing import drop_unclaimed
from ironclaw.store.provenance import Provenance
from ironclaw.store.question_book import QuestionBook, close_instead, hear_answer
from ironclaw.store.question_rows import has_open, open_turns, turn_answered_by
from ironclaw.store.session_rows import SESSION, as_session
from ironclaw.store.taint_rows import taint_of_session
from ironclaw.store.uploads import FileStore
from ironclaw.store.waiting import make_room

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.domain.commands import Effect, Handled, Heard, Words
    from ironclaw.domain.model import Event
    from ironclaw.domain.taint import Taints
    from ironclaw.store.content import ContentKeys
    from ironclaw.store.engine import Store

_KNOWN: Final = (
    # Also what the place's former sessions were told: a channel may hand a message over once more
    # after `/new`, and it was for them.
    "SELECT id, session, chat, thread, sealed, at_ms, engage, status, event FROM message"
    " WHERE chat = ?2 AND external_id = ?3 AND session IN (SELECT ?1 UNION ALL SELECT id FROM"
    " (SELECT f.id FROM session s JOIN session f ON f.agent = s.agent AND +f.place IS NULL"
    " AND ifnull(f.chat, '') = ifnull(s.chat, '') AND ifnull(f.thread, '') = ifnull(s.thread, '')"
    " WHERE s.id = ?1 AND f.state <> 'forgotten' ORDER BY f.created_ms DESC LIMIT 8))"
)


class Ledger(QuestionBook, LastWords, Provenance, Outbox):
    """Implements `ports.Ledger`, and `accept` for the router."""

    def __init__(
        self,
        store: Store,
        keys: ContentKeys,
        clock: Clock,
        *,
        why: Why = lambda _session, _turn: "",
        files_bytes: int = SESSION_BYTES,
        agent_files_bytes: int = AGENT_BYTES,
    ) -> None:
        super().__init__(store, Content(keys), clock)
        self._why = why
        self.asked: Callable[[], None] = _nobody
        """Called when people are asked something new."""
        most = Most(files_bytes, agent_files_bytes)
        self.files = FileStore(store, keys, clock, most=most)
        """What came with messages, and what agents sent."""

    # --- in ---------------------------------------------------------------------------------------

    async def accept(
        self,
        event: Event,
        *,
        session: SessionId,
        chat: ChatId,
        engage: bool,
        sticky: WiringId | None = None,
        came: Came = DIRECTLY,
    ) -> Accepted:
        """Take a message in, once.

        Args:
            event: Checked and clean.
            session: Who gets it; its keys exist.
            chat: Where it was said.
            engage: Whether it starts a turn; else it is context.
            sticky: A wiring that from now on engages in this chat or thread without a mention.
            came: What the host knows of it beside that.

        Raises:
            UserError: `CONFLICT`: the session was forgotten meanwhile; nothing of it was kept.
                `TOO_LARGE`: it has no room for the files.
            PolicyError: `RATE_LIMITED`: too many wait already; nothing of it was kept.
            HostError: `DISK_FULL` and other store errors; nothing of it was kept then.
        """
        now = self._clock.now_ms()
        message = Message(
            id=MessageId(new_id("msg")),
            session=session,
            chat=chat,
            thread=event.thread,
            sender=event.sender,
            text=event.text,
            at_ms=now,
            engage=engage,
            status=MessageStatus.PENDING if engage else MessageStatus.CONTEXT,
            hops=came.hops,
        )

        def find(db: apsw.Connection) -> Accepted | None:
            known = db.execute(
                _KNOWN,
                (session, chat, event.external_id),
            ).fetchone()
            if known is None:
                return None
            *columns, number = known
            kept = as_message(self._content, tuple(columns))
            turn = turn_answered_by(db, kept.id) if kept.status is MessageStatus.HANDLED else None
            return Accepted(self._whole(db, kept), number, new=False, turn=turn)

        def work(db: apsw.Connection) -> Accepted:
            if (known := find(db)) is not None:
                return known
            answered, has_closed = self._about_questions(
                db, event, session, chat, engage=engage, taint=came.taint
            )
            if answered is not None:
                return answered
            sealed = seal_words(self._content, session, message.id, event.sender, event.text)
            make_room(db, session, engage=engage, size=len(sealed))
            taint = of_message(is_stranger=False, has_files=bool(event.files), came=came.taint)
            number = add_message(
                db,
                message,
                external_id=event.external_id,
                sealed=sealed,
                taint=taint,
            )
            touch(db, session, now_ms=now)
            if sticky is not None:
                db.execute(
                    "INSERT INTO sticky VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (sticky, event.thread or ""),
                )
            kept = self._whole(db, message, has_files=bool(event.files))
            return Accepted(kept, number, new=True, has_closed=has_closed)

        if not event.files:
            return await self._store.write(work)
        # Before its files are: a repeat must not cost as much as the first time.
        if (before := await self._store.read(find)) is not None:
            return before
        async with self.files.keeping(session, message.id, event.files) as settle:
            accepted = await self._store.write(work)
            if accepted.new:
                settle()
        return accepted

    def _whole(self, db: apsw.Connection, message: Message, *, has_files: bool = True) -> Message:
        """A message with its files, and whether its session has foreign content before it."""
        whole = with_files(db, self._content, message) if has_files else message
        foreign = bool(taint_of_session(db, message.session))
        return msgspec.structs.replace(whole, foreign=foreign) if foreign else whole

    def _about_questions(
        self,
        db: apsw.Connection,
        event: Event,
        session: SessionId,
        chat: ChatId,
        *,
        engage: bool,
        taint: Taints,
    ) -> tuple[Accepted | None, bool]:
        """Take a message as an answer where one is waited for; else close what it passes over."""
        if event.external_id.startswith(MARK) or not has_open(db, session):
            # What the host has agents told is nobody's answer, and passes over nothing.
            return None, False
        now = self._clock.now_ms()
        # Whoever sends files says more than an answer.
        answered = (
            None
            if event.files
            else hear_answer(
                db,
                self._content,
                event,
                session=session,
                chat=chat,
                is_meant=engage,
                by=said_by(event),
                taint=taint,
                now_ms=now,
            )
        )
        if answered is not None or not engage:
            return answered, False
        return None, close_instead(db, self._content, event, session=session, chat=chat, now_ms=now)

    async def inform(self, session: SessionId, *, text: str, key: str) -> Accepted | None:
        """Say something into a conversation that starts no turn: see `store.informing`.

        Once for each key; None when there is nobody to tell. Raises HostError.
        """
        now = self._clock.now_ms()
        return await self._store.write(
            lambda db: inform(db, self._content, session=session, text=text, key=key, now_ms=now)
        )

    async def handled(self, heard: Heard) -> Handled | None:
        """What became of a command, when it was given before. Raises HostError."""
        return await self._store.read(lambda db: find(db, self._content, heard))

    async def handle(
        self, heard: Heard, *, session: SessionId, effect: Effect, words: Words
    ) -> Handled:
        """Keep a command, what it does to its conversation and the answer, once: all or nothing.

        Args:
            heard: What was said, by whom.
            session: Where it is kept; its keys exist.
            effect: For `STOP` nobody may work on the session until this has returned.
            words: Makes the answer of what came of the effect.

        Raises:
            UserError: `CONFLICT`: the session was forgotten meanwhile; nothing of it was kept.
            HostError: From the store; nothing of it was kept.
        """
        now = self._clock.now_ms()
        return await self._store.write(
            lambda db: handle(
                db,
                self._content,
                heard,
                session=session,
                effect=effect,
                words=words,
                now_ms=now,
            )
        )

    async def waits(self, session: SessionId) -> int:
        """How many messages of a session wait for an answer. Raises HostError."""
        return await self._store.read(lambda db: len(list(db.execute(WAITING, (session,)))))

    async def is_stuck(self, wiring: WiringId, thread: str | None) -> bool:
        """Whether a sticky wiring has engaged in this chat or thread before."""
        row = await self._store.read(
            lambda db: db.execute(
                "SELECT 1 FROM sticky WHERE wiring = ? AND thread = ?", (wiring, thread or "")
            ).fetchone()
        )
        return row is not None

    # --- to the box -------------------------------------------------------------------------------

    async def backlog(self, session: SessionId) -> list[Message]:
        """Messages the agent has not dealt with, oldest first, accumulated context included."""

        def work(db: apsw.Connection) -> list[Message]:
            rows = db.execute(f"{MESSAGE} WHERE session = ? AND open = 1 ORDER BY n", (session,))
            found = [whole_message(db, self._content, row) for row in list(rows)]
            waits = open_turns(db, session) if found else frozenset()
            foreign = bool(taint_of_session(db, session))
            return [
                msgspec.structs.replace(
                    message,
                    waits=message.id in waits,
                    foreign=foreign,
                )
                for message in found
            ]

        return await self._store.read(work)

    async def worked(self, session: SessionId) -> Worked | None:
        """How long the open turn of a session has taken, up to its last record. Raises HostError.

        None where no box has told of one.
        """
        row = await self._store.read(lambda db: db.execute(past.OPEN_TURN, (session,)).fetchone())
        return None if row is None else Worked(MessageId(row[0]), row[2])

    async def note_worked(self, session: SessionId, worked: Worked) -> None:
        """Keep how long a turn has taken that a box began and did not end. Raises HostError."""
        await self._store.write(
            lambda db: db.execute(
                "UPDATE message SET worked_ms = max(worked_ms, ?) WHERE id = ? AND session = ?"
                " AND open = 1",
                (worked.ms, worked.turn, session),
            )
        )

    async def begin_epoch(self, session: SessionId, *, workspace: str) -> Session:
        """Start the next life of the session's box: epoch + 1, outbound chain at 0.

        Raises:
            UserError: `NOT_FOUND`.
            HostError: From the store.
        """

        def work(db: apsw.Connection) -> Session:
            db.execute(
                "UPDATE session SET epoch = epoch + 1, out_seq = 0, out_hash = x'', workspace = ?"
                " WHERE id = ?",
                (workspace, session),
            )
            row = db.execute(f"{SESSION} WHERE id = ?", (session,)).fetchone()
            if row is None:
                raise _no_session(session)
            # What a former box sent and said nothing of: this one sends it again.
            drop_unclaimed(db, session)
            return as_session(*row)

        return await self._store.write(work)

    async def resume(self, session: SessionId, *, limit_bytes: int) -> Resume:
        """The conversation so far, for a fresh box. Whole turns only."""
        return await self._store.read(
            lambda db: past.resume(db, self._content, session, limit_bytes=limit_bytes)
        )

    # --- from the box -----------------------------------------------------------------------------

    async def commit(
        self, session: SessionId, epoch: int, out: Outbound, *, worked: Worked | None = None
    ) -> Committed:
        """Take outbound records in; a repeat changes nothing.

        Raises:
            PeerError: `TAMPER` or `QUARANTINED`; nothing of the batch was kept.
            HostError: From the store.
        """
        now = self._clock.now_ms()
        committed = await self._store.write(
            lambda db: take_in(
                db,
                self._content,
                session=session,
                epoch=epoch,
                out=out,
                now_ms=now,
                worked=worked,
                why=self._why,
                files=self.files.most,
            )
        )
        if any(delivery.question is not None for delivery in committed.deliveries):
            self.asked()
        return committed


def _nobody() -> None:
    """Nobody wants to know."""


def _no_session(session: SessionId) -> UserError:
    return UserError(
        Code.NOT_FOUND,
        f"There is no session {session}.",
        hint="`ironclaw session list` shows those there are.",
    )
