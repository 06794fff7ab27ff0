"""What a plain turn costs the store: it must not grow with the conversation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.core.ids import AgentId, SessionId
from ironclaw.store.spent_rows import SpentRows
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


class Traced:
    """Statements of a connection, with what was bound to them first."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.count = 0

    def begin(self, db: apsw.Connection) -> None:
        db.exec_trace = self._note

    def end(self, db: apsw.Connection) -> None:
        db.exec_trace = None

    def _note(self, _cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        if sql.split(maxsplit=1)[0] not in _FRAME:
            self.count += 1
            self.seen.setdefault(sql, bindings)
        return True

    def plans(self, db: apsw.Connection) -> dict[str, list[str]]:
        return {
            sql: [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
            for sql, bindings in self.seen.items()
            if sql.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "DELETE"}
        }


async def test_no_statement_of_a_turn_looks_through_what_is_over(talk: Conversation):
    await _turn(talk)
    traced = Traced()
    await talk.core.store.write(traced.begin)
    await _turn(talk)
    await talk.core.store.write(traced.end)

    found = await talk.core.store.read(traced.plans)
    assert any("message_open" in line for plan in found.values() for line in plan)
    slow = {
        sql: line
        for sql, plan in found.items()
        for line in plan
        if re.match(r"SCAN [a-z]", line) or "message_session" in line
    }
    assert not slow
    assert len(traced.seen) < traced.count <= MOST_STATEMENTS


async def test_what_the_host_says_by_itself_is_found_by_its_key_alone(talk: Conversation):
    await _turn(talk)
    traced = Traced()
    await talk.core.store.write(traced.begin)
    for _ in range(2):
        await talk.core.ledger.inform(talk.session, text="Approved.", key="chg_1")
    await talk.core.store.write(traced.end)
    found = await talk.core.store.read(traced.plans)
    ((line,),) = [plan for sql, plan in found.items() if "char(10)" in sql]
    assert "USING INDEX message_by_host (session=? AND external_id=?)" in line
    assert not [line for plan in found.values() for line in plan if re.match(r"SCAN [a-z]", line)]


@pytest.mark.parametrize(
    ("of", "index"),
    [
        ({}, "spent_by_day (day>? AND day<?)"),
        ({"agent": AgentId("agt_a")}, "PRIMARY KEY (agent=? AND day>? AND day<?)"),
        ({"session": SessionId("ses_a")}, "spent_session (session=?)"),
    ],
)
async def test_a_report_of_usage_reads_its_days_alone(
    talk: Conversation, of: dict[str, Any], index: str
):
    rows = SpentRows(talk.core.store, talk.core.custodian, talk.core.clock)
    traced = Traced()

    async def read(work: Callable[[apsw.Connection], Any]) -> Any:
        def traced_work(db: apsw.Connection) -> Any:
            traced.begin(db)
            try:
                return work(db)
            finally:
                traced.end(db)

        return await type(talk.core.store).read(talk.core.store, traced_work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(talk.core.store, "read", read)
        await rows.report(by=("agent", "day"), first=1, last=9, **of)
    ((first, *_),) = (await talk.core.store.read(traced.plans)).values()
    assert first.startswith("SEARCH spent USING")
    assert first.endswith(index)
