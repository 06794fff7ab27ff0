"""What the host itself says of turns that come to nothing, and of sessions that are stopped.

A part of the ledger: each write is one transaction, and a second time changes nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.model import MessageStatus
from ironclaw.domain.ports import Committed
from ironclaw.store import task_outcomes
from ironclaw.store.audit_rows import append
from ironclaw.store.hearing import heard_by, with_answers
from ironclaw.store.message_rows import (
    LAST_SAID,
    WAITING,
    Target,
    add_delivery,
    begin_turn,
    close_message,
    delivery_id,
    find_target,
)

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import MessageId, SessionId
    from ironclaw.store.content import Content
    from ironclaw.store.engine import Store

_LAST_SAID: Final = (
    "SELECT m.id, s.epoch FROM message m JOIN session s ON s.id = m.session"  # noqa: S608 - constants
    f" WHERE m.n = {LAST_SAID}"
)
_REASON_CHARS: Final = 500
_RULE: Final = re.compile(r"[a-z][a-z_-]{0,31}")


class LastWords:
    """The host's own words in the ledger. Methods raise HostError."""

    _store: Store
    _content: Content
    _clock: Clock

    async def fail_message(self, message: MessageId, *, text: str, code: Code) -> Committed:
        """Close a pending message with the host's own words; a second time changes nothing.

        Raises:
            UserError: `NOT_FOUND`.
            HostError: From the store.
        """

        def work(db: apsw.Connection) -> Committed:
            target = find_target(db, message)
            if target is None:
                raise UserError(
                    Code.NOT_FOUND, f"There is no message {message}.", hint="Check the id."
                )
            return self._fail(db, [target], text, code)

        return await self._store.write(work)

    async def notify(self, session: SessionId, *, text: str, code: Code) -> Committed:
        """Say something in the host's own words where the session was last spoken to.

        At most once in each life of its box; a second time changes nothing.

        Raises:
            HostError: From the store.
        """
        now = self._clock.now_ms()

        def work(db: apsw.Connection) -> Committed:
            row = db.execute(_LAST_SAID, (session,)).fetchone()
            if row is None or (target := find_target(db, row[0])) is None:
                # Nobody has ever spoken to it, so there is nobody to tell.
                return Committed((), ())
            key = f"notice/{row[1]}"
            if db.execute(
                "SELECT 1 FROM delivery WHERE id = ?", (delivery_id(session, key),)
            ).fetchone():
                return Committed((), ())
            told = add_delivery(
                db, self._content, key=key, target=target, text=text, code=code, now_ms=now
            )
            return Committed((told,), ())

        return await self._store.write(work)

    async def quarantine(self, session: SessionId, *, reason: str) -> None:
        """Stop a session for good. Its messages fail with a clear word; the audit has it."""
        now = self._clock.now_ms()

        def work(db: apsw.Connection) -> None:
            stopped = db.execute(
                "UPDATE session SET state = 'quarantined', reason = ? WHERE id = ?"
                " AND state = 'active' RETURNING agent, epoch",
                (reason[:_REASON_CHARS], session),
            ).fetchone()
            if stopped is not None:
                entry = AuditEntry(
                    event=AuditEvent.SESSION_QUARANTINED,
                    agent=stopped[0],
                    session=session,
                    epoch=stopped[1],
                    code=Code.TAMPER,
                    words=(_rule(reason),),
                )
                append(db, entry, at_ms=now)
            rows = list(
                db.execute(
                    WAITING,
                    (session,),
                )
            )
            targets = [target for (id_,) in rows if (target := find_target(db, id_)) is not None]
            self._fail(
                db,
                targets,
                "This conversation was stopped: its sandbox broke the rules. "
                "Nothing from it was believed after that.",
                Code.TAMPER,
            )

        await self._store.write(work)

    def _fail(self, db: apsw.Connection, targets: list[Target], text: str, code: Code) -> Committed:
        deliveries = []
        now = self._clock.now_ms()
        pending = [target for target in targets if target.status == MessageStatus.PENDING]
        for target in pending:
            if target.next_index == 0:
                begin_turn(db, target)
            close_message(db, target, MessageStatus.FAILED)
            told = add_delivery(
                db,
                self._content,
                key=f"host/{target.id}",
                target=target,
                text=text,
                code=code,
                now_ms=now,
            )
            deliveries.append(with_answers(db, told, heard_by(db, target.id)))
            deliveries += task_outcomes.ended(db, self._content, target, code=code, now_ms=now)
        return Committed(tuple(deliveries), tuple(target.id for target in pending))


def _rule(reason: str) -> str:
    """The closed word at the head of a reason: what follows it may quote the box."""
    word = reason.partition(":")[0]
    return word if _RULE.fullmatch(word) else "other"
