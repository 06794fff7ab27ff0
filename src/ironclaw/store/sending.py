"""What an agent sends to a chat that is not its own: a delivery as any other, kept once.

Whether it may is looked up in the transaction that keeps it, so a destination that was taken away
is not written to by anybody who looked before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import AgentId, ChatId, new_id
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.model import SessionState, UnknownSender
from ironclaw.domain.relaying import AGENT_CHANNEL, Pair, place_of
from ironclaw.domain.taint import marked, ordered
from ironclaw.store.agent_rows import as_agent
from ironclaw.store.audit_rows import append
from ironclaw.store.message_rows import (
    add_delivery,
    delivery_id,
    find_target,
    is_under_way,
    no_turn,
)
from ironclaw.store.outgoing import claim
from ironclaw.store.relay_rows import check_often, check_way

if TYPE_CHECKING:
    import apsw

    from ironclaw.domain.letters import Letter
    from ironclaw.domain.model import Agent, Delivery, Destination
    from ironclaw.store.content import Content
    from ironclaw.store.message_rows import Target

TOOL: Final = "send_message"
_SPEAKER: Final = (
    "SELECT a.lane, a.archived, a.body FROM session s JOIN agent a ON a.id = s.agent"
    " WHERE s.id = ? AND a.id = ? AND s.state = ?"
)


def is_sent(db: apsw.Connection, letter: Letter) -> bool:
    """Whether it is kept already, under the key that it has."""
    id_ = delivery_id(letter.session, _key(letter))
    return db.execute("SELECT 1 FROM delivery WHERE id = ?", (id_,)).fetchone() is not None


def send(db: apsw.Connection, content: Content, letter: Letter, *, now_ms: int) -> Delivery | None:
    """Keep it; None when it is kept already.

    Args:
        db: In a transaction.
        content: Seals the text with the key of the session that it comes from.
        letter: What is sent, by whom.
        now_ms: Milliseconds since the epoch.

    Raises:
        PolicyError: `FORBIDDEN`: the agent may not send there now. `RATE_LIMITED`: it has written
            to that agent too often.
        UserError: `NOT_FOUND`: the turn is not one of that session, or over.
            `TOO_LARGE`: its session has no room for the files.
        PeerError: `TAMPER`: a file that it names was not sent in that turn.
        HostError: `KEY_UNUSABLE`.

    Trust:
        The turn, the files and the name of the destination are a box's own words.
    """
    if is_sent(db, letter):
        return None
    row = db.execute(_SPEAKER, (letter.session, letter.agent, SessionState.ACTIVE)).fetchone()
    place = None if row is None else _place(as_agent(*row), letter.destination)
    if place is None:
        raise PolicyError(
            Code.FORBIDDEN,
            f"This agent has no destination {letter.destination[:64]!r} now.",
            hint="It may ask for one.",
        )
    turn = find_target(db, letter.turn)
    if turn is None or turn.session != letter.session or not is_under_way(turn):
        raise no_turn()
    if place.channel == AGENT_CHANNEL:
        sent = _to_agent(db, content, letter, place, turn, now_ms=now_ms)
    else:
        sent = _to_chat(db, content, letter, place, turn, now_ms=now_ms)
    if letter.taint:
        entry = AuditEntry(
            event=AuditEvent.DELIVERY_MARKED,
            delivery=sent.id,
            message=turn.id,
            session=letter.session,
            chat=sent.chat,
            agent=letter.agent,
            words=ordered(letter.taint),
        )
        append(db, entry, at_ms=now_ms)
    return sent


def _to_chat(
    db: apsw.Connection,
    content: Content,
    letter: Letter,
    place: Destination,
    turn: Target,
    *,
    now_ms: int,
) -> Delivery:
    """To a chat of people, who are told what the agent had before it."""
    claimed = claim(db, content, session=letter.session, ids=letter.files, target=turn)
    if claimed.left_out:
        raise UserError(
            Code.TOO_LARGE,
            "This conversation has no more room for files.",
            hint="Your people can begin a new one with /new.",
        )
    return add_delivery(
        db,
        content,
        key=_key(letter),
        target=turn._replace(chat=_chat(db, place), thread=None),
        text=marked(letter.text, letter.taint),
        files=claimed.files,
        now_ms=now_ms,
    )


def _to_agent(
    db: apsw.Connection,
    content: Content,
    letter: Letter,
    place: Destination,
    turn: Target,
    *,
    now_ms: int,
) -> Delivery:
    """The same to another agent: in the chat of the two, and a thread for this conversation."""
    pair = Pair(to=AgentId(place.platform_id), by=letter.agent)
    check_way(db, pair, turn=turn, limits=letter.limits)
    if letter.files:
        raise UserError(
            Code.INVALID,
            "Files cannot be sent to another agent.",
            hint="Say what is in them.",
        )
    chat = _chat(db, msgspec.structs.replace(place, platform_id=place_of(pair)))
    check_often(db, pair, chat, limits=letter.limits, now_ms=now_ms)
    delivery = add_delivery(
        db,
        content,
        key=_key(letter),
        target=turn._replace(chat=chat, thread=letter.session),
        text=letter.text,
        now_ms=now_ms,
    )
    # Seen in the conversation that it comes from; in the chat of the two it becomes a message.
    db.execute("UPDATE event SET kind = 'sent' WHERE chat = ? AND id = ?", (chat, delivery.event))
    return delivery


def _place(agent: Agent, name: str) -> Destination | None:
    if agent.archived or TOOL not in agent.tools:
        return None
    return next((one for one in agent.destinations if one.name == name), None)


def _chat(db: apsw.Connection, place: Destination) -> ChatId:
    """The chat of that place, made if it is new."""
    where = (place.channel, place.platform_id)
    db.execute(
        "INSERT INTO chat (id, channel, platform_id, title, unknown_sender)"
        " VALUES (?, ?, ?, '', ?) ON CONFLICT DO NOTHING",
        (new_id("cht"), *where, UnknownSender.DROP.value),
    )
    ((chat,),) = list(
        db.execute("SELECT id FROM chat WHERE channel = ? AND platform_id = ?", where)
    )
    return ChatId(chat)


def _key(letter: Letter) -> str:
    # Lengths in front: turn and key are a box's words, and must not be read as one another.
    return f"sent/{len(letter.turn)}:{letter.turn}/{letter.key}"
