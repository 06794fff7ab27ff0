"""The way out: deliveries that are due, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.errors import HostError
from ironclaw.core.ids import ChatId, DeliveryId, MessageId, SessionId
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.model import Delivery, DeliveryStatus
from ironclaw.store.audit_rows import append
from ironclaw.store.file_rows import goes_with
from ironclaw.store.hearing import answers_of
from ironclaw.store.message_rows import HOST, add_event, find_target, next_event
from ironclaw.store.question_rows import asked_with
from ironclaw.store.relay_rows import leg_of
from ironclaw.store.sending import is_sent, send

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.domain.letters import Letter
    from ironclaw.domain.relaying import Leg
    from ironclaw.store.content import Content
    from ironclaw.store.engine import Store

# Only the head of each chat's thread is due: what follows it waits, so that order is kept.
_HEADS: Final = (
    "d.status = 'due' AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.status = 'due'"
    " AND e.chat = d.chat AND ifnull(e.thread, '') = ifnull(d.thread, '') AND e.n < d.n)"
)
_DUE: Final = (
    "SELECT d.id, d.session, d.message, d.chat, c.channel, c.platform_id, d.thread, d.sealed,"  # noqa: S608 - constants only
    " d.at_ms, d.is_error, d.tries, d.next_ms, d.error, d.event, a.name, d.code, d.by_host,"
    " EXISTS (SELECT 1 FROM event x WHERE x.chat = d.chat AND x.id = d.event AND x.kind = 'said')"
    " FROM delivery d JOIN chat c ON c.id = d.chat JOIN session s ON s.id = d.session"
    f" JOIN agent a ON a.id = s.agent WHERE {_HEADS} AND d.next_ms <= ? ORDER BY d.n LIMIT ?"
)
_POSTPONE: Final = (
    "UPDATE delivery SET status = ?, next_ms = ifnull(?, next_ms), tries = tries + 1, error = ?"
    " WHERE id = ? AND status = 'due' RETURNING message, session, chat, tries"
)
_ERROR_CHARS: Final = 500


class Outbox:
    """The delivery half of the ledger."""

    def __init__(self, store: Store, content: Content, clock: Clock) -> None:
        self._store = store
        self._content = content
        self._clock = clock

    async def is_sent(self, letter: Letter) -> bool:
        """Whether a letter is kept already. Raises HostError."""
        return await self._store.read(lambda db: is_sent(db, letter))

    async def send(self, letter: Letter) -> Delivery | None:
        """Keep what an agent sends to a destination, once; None when it is kept already.

        Raises:
            PolicyError: `FORBIDDEN`: the agent may not send there now.
            UserError: `NOT_FOUND`: the turn is not one of that session.
            HostError: From the store.
        """
        now = self._clock.now_ms()
        return await self._store.write(lambda db: send(db, self._content, letter, now_ms=now))

    async def leg(self, delivery: Delivery) -> Leg | None:
        """Where what one agent says to another goes; None: nobody waits for it. Raises HostError.

        Args:
            delivery: In a chat of two agents.
        """
        return await self._store.read(lambda db: leg_of(db, delivery))

    async def due(self, *, now_ms: int, limit: int) -> list[Delivery]:
        """Deliveries whose time has come, oldest first, at most one for each thread of a chat."""
        unreadable: list[DeliveryId] = []

        def work(db: apsw.Connection) -> list[Delivery]:
            found = []
            for row in db.execute(
                _DUE,
                (now_ms, limit),
            ):
                try:
                    found.append(self._delivery(db, row))
                except HostError:
                    unreadable.append(DeliveryId(row[0]))
            return found

        found = await self._store.read(work)
        for id_ in unreadable:
            await self.postpone(id_, next_ms=None, error="its content can no longer be read")
        return found

    async def next_due_ms(self) -> int | None:
        """When the next delivery becomes due, in milliseconds since the epoch; None: there is none.

        Raises HostError.
        """
        row = await self._store.read(
            lambda db: db.execute(
                f"SELECT min(d.next_ms) FROM delivery d WHERE {_HEADS}"  # noqa: S608 - constant
            ).fetchone()
        )
        return None if row is None or row[0] is None else int(row[0])

    async def delivered(self, delivery: DeliveryId, *, platform_id: str) -> None:
        """The channel has it. Idempotent."""
        await self._store.write(
            lambda db: db.execute(
                "UPDATE delivery SET status = 'delivered', delivered_as = ?, tries = tries + 1,"
                " error = '' WHERE id = ? AND status = 'due'",
                (platform_id[:_ERROR_CHARS], delivery),
            )
        )

    async def postpone(self, delivery: DeliveryId, *, next_ms: int | None, error: str) -> None:
        """The channel failed: try again at `next_ms`, or never (None): people see that then."""
        now = self._clock.now_ms()

        def work(db: apsw.Connection) -> None:
            status = DeliveryStatus.DEAD if next_ms is None else DeliveryStatus.DUE
            row = list(
                db.execute(
                    _POSTPONE,
                    (status.value, next_ms, error[:_ERROR_CHARS], delivery),
                )
            )
            if next_ms is not None or not row:
                return
            message, session, chat, tries = row[0]
            entry = AuditEntry(
                event=AuditEvent.DELIVERY_DEAD,
                delivery=delivery,
                message=message,
                session=session,
                chat=chat,
                count=tries,
            )
            append(db, entry, at_ms=now)
            target = find_target(db, message)
            if target is not None:
                # Where it was to be said: for what goes to a destination, not where it was asked.
                place = target._replace(chat=ChatId(chat))
                number, _, _ = next_event(db, place.chat)
                add_event(
                    db,
                    number=number,
                    kind="undelivered",
                    target=place,
                    delivery=delivery,
                    now_ms=now,
                )

        await self._store.write(work)

    def _delivery(
        self,
        db: apsw.Connection,
        row: tuple[
            str,
            str,
            str,
            str,
            str,
            str,
            str | None,
            bytes,
            int,
            int,
            int,
            int,
            str,
            int,
            str,
            str,
            int,
            int,
        ],
    ) -> Delivery:
        (
            id_, session, message, chat, channel, platform_id, thread, sealed, at_ms, is_error,
            tries, next_ms, error, event, agent, code, by_host, goes_on,
        ) = row  # fmt: skip
        text = self._content.unseal(SessionId(session), f"delivery/{id_}", sealed).decode()
        files = goes_with(db, self._content, DeliveryId(id_))
        choice = asked_with(db, self._content, SessionId(session), id_)
        return Delivery(
            id=DeliveryId(id_),
            session=SessionId(session),
            message=MessageId(message),
            chat=ChatId(chat),
            channel=channel,
            platform_id=platform_id,
            thread=thread,
            text=text,
            at_ms=at_ms,
            is_error=bool(is_error),
            tries=tries,
            next_ms=next_ms,
            error=error,
            event=event,
            said_by=HOST if by_host else agent,
            code=code,
            question=None if choice is None else choice.id,
            options=() if choice is None else choice.options,
            free_text=choice is None or choice.free_text,
            files=files,
            goes_on=bool(goes_on),
            answers=answers_of(db, DeliveryId(id_)),
        )
