"""Where what agents say to each other goes: looked up in the host's own rows. Transactions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import AgentId, ChatId, SessionId
from ironclaw.domain.relaying import (
    HOUR_MS,
    Back,
    Forward,
    Leg,
    Limits,
    Pair,
    forwarded_from,
    pair_of,
)
from ironclaw.store.message_rows import come_so_far, hops_of

if TYPE_CHECKING:
    import apsw

    from ironclaw.domain.model import Delivery
    from ironclaw.store.message_rows import Target

MOST_BACK: Final = 4
"""Answers to one message that come back to who asked: each begins a turn there."""
_SPEAKER: Final = "SELECT a.id, a.name FROM session s JOIN agent a ON a.id = s.agent WHERE s.id = ?"
_ASKED_FROM: Final = (
    "SELECT m.session, m.chat, c.channel, c.platform_id, m.thread FROM delivery d"
    " JOIN message m ON m.id = d.message JOIN chat c ON c.id = m.chat"
    " JOIN session s ON s.id = m.session WHERE d.id = ? AND s.state = 'active'"
)
_TOLD: Final = (
    "SELECT (SELECT count(*) FROM message WHERE chat = ?1 AND hops > 0 AND at_ms > ?2)"
    " + (SELECT count(*) FROM delivery d JOIN session s ON s.id = d.session"
    " WHERE d.chat = ?1 AND d.status = 'due' AND s.agent = ?3)"
)
"""What was begun in the chat of a pair, and what is on its way there."""
_SAID_BEFORE: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM event e WHERE chat = ? AND id > ? AND id < ?"
    " AND message = ? AND delivery IS NOT NULL AND (kind <> 'said' OR EXISTS"
    " (SELECT 1 FROM delivery_file f WHERE f.delivery = e.delivery)) LIMIT ?)"
)


def leg_of(db: apsw.Connection, delivery: Delivery) -> Leg | None:
    """Where a delivery of the agents' own channel goes; None: there is nobody who waits for it.

    Args:
        db: In a transaction.
        delivery: In a chat of a pair.
    """
    pair = pair_of(delivery.platform_id)
    speaker = db.execute(_SPEAKER, (delivery.session,)).fetchone()
    if pair is None or speaker is None:
        return None
    id_, name = speaker
    if id_ == pair.by:
        hops = hops_of(db, delivery.session, delivery.message)
        return Forward(pair, name, hops + 1)
    answered = db.execute(
        "SELECT external_id, hops, event FROM message WHERE id = ?", (delivery.message,)
    ).fetchone()
    # What is said at work would begin a turn of the one that asked, which waits for the answer.
    is_answer = not delivery.goes_on or bool(delivery.files)
    if not is_answer or answered is None or (asked := forwarded_from(answered[0])) is None:
        return None
    # A box answers as often as it likes; that it failed is told once in any case.
    place = (delivery.chat, answered[2], delivery.event, delivery.message, MOST_BACK)
    ((before,),) = list(db.execute(_SAID_BEFORE, place))
    if before >= MOST_BACK and not delivery.is_error:
        return None
    origin = db.execute(_ASKED_FROM, (asked,)).fetchone()
    if origin is None:
        return None
    session, chat, channel, platform_id, thread = origin
    return Back(
        name, AgentId(id_), answered[1] + 1,
        SessionId(session), ChatId(chat), channel, platform_id, thread,
    )  # fmt: skip


def check_way(db: apsw.Connection, pair: Pair, *, turn: Target, limits: Limits) -> None:
    """Refuse what an agent may not say to another one now.

    Args:
        db: In a transaction.
        pair: Who writes to whom; people have agreed to that.
        turn: The turn that it is written from.
        limits: How far agents may go.

    Raises:
        UserError: `NOT_FOUND`: the other agent has ended.
        PolicyError: `FORBIDDEN`: it has come too far.
    """
    row = db.execute("SELECT name, archived FROM agent WHERE id = ?", (pair.to,)).fetchone()
    if row is None or row[1] or pair.to == pair.by:
        raise UserError(
            Code.NOT_FOUND, "That agent is there no more.", hint="Your people can say whom to ask."
        )
    hops = come_so_far(db, turn)
    if hops >= limits.max_hops:
        raise PolicyError(
            Code.FORBIDDEN,
            f"What you work on has come through {hops} agents already, and no more are asked.",
            hint="Answer with what you have.",
        )


def check_often(
    db: apsw.Connection, pair: Pair, chat: ChatId, *, limits: Limits, now_ms: int
) -> None:
    """Refuse more than an agent may begin with another one. Raises PolicyError."""
    ((told,),) = list(db.execute(_TOLD, (chat, now_ms - HOUR_MS, pair.by)))
    if told >= limits.per_hour:
        raise PolicyError(
            Code.RATE_LIMITED,
            f"You have written to that agent {told} times within an hour.",
            hint="Try again later, and say more at once.",
        )
