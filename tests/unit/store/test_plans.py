"""What a plain turn costs the store: it must not grow with the conversation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ironclaw.testing.fakes_store import Conversation, outbound
from ironclaw_contract.entries import Answered
from ironclaw_contract.records import Say, TurnEnd

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

MOST_STATEMENTS = 32
"""Of acceptance, commit and hand-over together, without what frames them; 26 in November 2026."""
_FRAME = {"BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"}


async def _turn(talk: Conversation) -> None:
    core = talk.core
    message = (await talk.hear("hello")).message
    session = await core.registry.session(talk.session)
    end = TurnEnd(message.id, 0, (Answered("so"),), (Say("so", message.id),))
    out = outbound(session.out_seq + 1, end)
    committed = await core.ledger.commit(talk.session, session.epoch, out)
    for delivery in committed.deliveries:
        await core.ledger.delivered(delivery.id, platform_id="1")


async def test_no_statement_of_a_turn_looks_through_what_is_over(talk: Conversation):
    await _turn(talk)
    seen: dict[str, Any] = {}
    count = 0

    def note(_cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        nonlocal count
        if sql.split(maxsplit=1)[0] not in _FRAME:
            count += 1
            seen.setdefault(sql, bindings)
        return True

    def trace(tracer: Any) -> Callable[[apsw.Connection], None]:
        return lambda db: setattr(db, "exec_trace", tracer)

    await talk.core.store.write(trace(note))
    await _turn(talk)
    await talk.core.store.write(trace(None))

    def plans(db: apsw.Connection) -> dict[str, list[str]]:
        return {
            sql: [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
            for sql, bindings in seen.items()
            if sql.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "DELETE"}
        }

    found = await talk.core.store.read(plans)
    assert any("message_open" in line for plan in found.values() for line in plan)
    slow = {
        sql: line
        for sql, plan in found.items()
        for line in plan
        if re.match(r"SCAN [a-z]", line) or "message_session" in line
    }
    assert not slow
    assert len(seen) < count <= MOST_STATEMENTS
