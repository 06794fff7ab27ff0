"""What a fresh box is told: setup, the conversation so far, the backlog; cut to the wall's limits.

Pure functions over domain values, and the one that publishes what they make.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw_contract import records
from ironclaw_contract.entries import Thought
from ironclaw_contract.limits import MAX_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ironclaw.domain.model import Agent, Message
    from ironclaw.domain.ports import Resume
    from ironclaw.domain.wall import AirlockLink
    from ironclaw.services.parts import SessionLimits
    from ironclaw_contract.entries import Entry
    from ironclaw_contract.records import InboundBody

PART_BYTES: Final = 256 * 1024
"""Text in one history record: far under the limit of a record body, however it is encoded."""
_PLACE_BYTES: Final = 12
BATCH_BYTES: Final = 2 * 1024 * 1024
BATCH_RECORDS: Final = 128
"""Records and text in one segment: half of what a segment may hold."""


def first_records(agent: Agent, past: Resume, limits: SessionLimits) -> list[InboundBody]:
    """Setup and history of a fresh box, in the order in which it must read them."""
    bodies: list[InboundBody] = [setup_record(agent, limits)]
    if past.summary:
        bodies.append(records.History(entries=(), summary=past.summary))
    bodies += [records.History(entries=part) for part in _parts(past.entries)]
    if past.turn is not None:
        # What joined it may be long, so it takes as many records as it needs; at least one.
        bodies += [
            records.History(entries=part, turn=past.turn, index=past.turn_index)
            for part in list(_parts(past.turn_entries)) or [()]
        ]
    return bodies


def setup_record(agent: Agent, limits: SessionLimits) -> records.Setup:
    """Who the agent is and what it may use: the first record of a box, and each time it changes."""
    return records.Setup(
        agent=agent.name,
        persona=agent.persona,
        tools=agent.tools,
        max_steps=agent.max_steps,
        context_bytes=limits.context_bytes,
        steers=limits.steers,
        skills=tuple(records.Skill(one.name, one.description) for one in agent.skills),
    )


def place_of(message: Message, key: bytes) -> str:
    """Where a message was said, as a box may know it: the same for the same chat and thread.

    Args:
        message: An accepted one.
        key: The session's: no box can tell from it which chat of the house it is in.
    """
    where = msgspec.msgpack.encode(("ironclaw place", message.chat, message.thread))
    return hmac.digest(key, where, "sha256")[:_PLACE_BYTES].hex()


def message_record(message: Message, *, place: str) -> records.Message:
    """The record that carries one accepted message.

    Args:
        message: The message.
        place: As `place_of` says.
    """
    return records.Message(
        message=message.id,
        sender=message.sender[:256],
        text=message.text,
        at_ms=message.at_ms,
        engage=message.engage,
        files=message.files,
        place=place,
        foreign=message.foreign,
    )


def batches(bodies: Sequence[InboundBody]) -> Iterator[list[InboundBody]]:
    """Cut records into groups that fit one segment each, in order."""
    batch: list[InboundBody] = []
    size = 0
    for body in bodies:
        length = len(records.encode_body(body))
        if batch and (size + length > BATCH_BYTES or len(batch) >= BATCH_RECORDS):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch


async def publish(link: AirlockLink, bodies: Sequence[InboundBody]) -> None:
    """Publish records, in as few segments as hold them."""
    for batch in batches(bodies):
        await link.publish(batch)


def _parts(entries: Sequence[Entry]) -> Iterator[tuple[Entry, ...]]:
    part: list[Entry] = []
    size = 0
    for entry in entries:
        length = _size(entry)
        if part and (size + length > PART_BYTES or len(part) >= MAX_ENTRIES):
            yield tuple(part)
            part, size = [], 0
        part.append(entry)
        size += length
    if part:
        yield tuple(part)


def _size(entry: Entry) -> int:
    text = entry.arguments if hasattr(entry, "arguments") else entry.text
    opaque = len(entry.opaque.encode()) if isinstance(entry, Thought) else 0
    return len(text.encode()) + opaque + 64
