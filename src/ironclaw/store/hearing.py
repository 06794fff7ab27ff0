"""Messages that joined a turn which ran already: taken in, told of again, and answered with it.

A box says which messages joined, and before which record. That they wait, and were said where the
turn began, is looked up here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.ids import MessageId
from ironclaw.domain.model import MessageStatus
from ironclaw.store.message_rows import find_target
from ironclaw.store.tampering import tamper

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from ironclaw.core.ids import DeliveryId
    from ironclaw.domain.model import Delivery
    from ironclaw.store.message_rows import Target

_JOIN: Final = (
    "UPDATE message SET turn = ?1, heard = ?2, open = 0 WHERE n = ?3 AND turn IS NULL"
    " AND chat = ?4 AND thread IS ?5"
)
_HEARD: Final = (
    "SELECT id FROM message WHERE turn = ? AND heard IS NOT NULL AND engage = 1 ORDER BY n"
)


def hear(db: apsw.Connection, turn: Target, *, index: int, heard: Sequence[str]) -> None:
    """Take messages into an open turn. Raises PeerError (`TAMPER`).

    Args:
        db: In a transaction.
        turn: The message that began it.
        index: Of the record that tells of them: they came before what it holds.
        heard: What the box says that joined.
    """
    for id_ in heard:
        said = find_target(db, id_)
        if said is None or said.session != turn.session:
            raise tamper("heard", f"{id_} is not a message of this session")
        waits = said.status == MessageStatus.PENDING and said.next_index == 0
        if said.engage and not waits:
            raise tamper("heard", f"{id_} does not wait for an answer")
        if not said.engage and said.status != MessageStatus.CONTEXT:
            raise tamper("heard", f"{id_} is not for the agent")
        if (said.chat, said.thread) != (turn.chat, turn.thread):
            raise tamper("heard", f"{id_} was said elsewhere")
        db.execute(_JOIN, (turn.id, index, said.n, turn.chat, turn.thread))
        # Context may be of a turn already, or given up for newer: it is only ever background.
        if said.engage and not db.changes():
            raise tamper("heard", f"{id_} is of a turn already")


def heard_by(db: apsw.Connection, turn: MessageId) -> tuple[MessageId, ...]:
    """Messages that want an answer and joined a turn, in order."""
    return tuple(MessageId(id_) for (id_,) in db.execute(_HEARD, (turn,)))


def with_answers(db: apsw.Connection, delivery: Delivery, answers: Sequence[MessageId]) -> Delivery:
    """Note which messages a delivery answers beside its own."""
    if not answers:
        return delivery
    db.executemany(
        "INSERT INTO delivery_answers VALUES (?, ?, ?)",
        [(delivery.id, position, message) for position, message in enumerate(answers)],
    )
    return msgspec.structs.replace(delivery, answers=tuple(answers))


def answers_of(db: apsw.Connection, delivery: DeliveryId) -> tuple[MessageId, ...]:
    """The same, as it was noted."""
    rows = db.execute(
        "SELECT message FROM delivery_answers WHERE delivery = ? ORDER BY position", (delivery,)
    )
    return tuple(MessageId(id_) for (id_,) in rows)
