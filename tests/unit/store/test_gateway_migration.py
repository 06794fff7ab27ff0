"""The gateway's tables: made beside what is there, and as quick with the changes of years."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.support.changing import ANN, HOUSE, Desk, migrated, tools, wish

from ironclaw.core.clock import ManualClock
from ironclaw.core.errors import HostError
from ironclaw.core.ids import AgentId, ChangeId
from ironclaw.domain.change import OPEN, Status
from ironclaw.domain.changes.base import Needs
from ironclaw.domain.model import Role
from ironclaw.domain.policy import DEFAULT
from ironclaw.store import change_lists, change_record, grant_rows, live
from ironclaw.store.migrations import MIGRATIONS
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import apsw

MANY = 100_000
AGENT = AgentId("agt_a")
_CHANGES = """
WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < ?1)
INSERT INTO change (id, kind, topic, agent, asker, body, hash, fingerprint, atoms, created_ms,
  expires_ms, updated_ms)
SELECT printf('chg_%d', n), 'tools', 'tools', printf('agt_%d', n % 50), printf('api:%d', n % 500),
  '{}', 'sha256:', n, '[]', n, n + 1000000, n FROM counter
"""
_GRANTS = """
INSERT INTO grant_ (id, change, kind, topic, agent, revocable, given_ms, expires_ms)
SELECT 'grn' || substr(id, 4), id, kind, topic, agent, 1, n, n + 2000000 FROM change
"""


async def test_a_store_of_before_the_gateway_keeps_all_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr("ironclaw.store.migrations.MIGRATIONS", MIGRATIONS[:4])
        async with open_core_store(tmp_path, clock=ManualClock()) as core:
            talk = await core.begin()
            heard = await talk.heard_before("remember me")
            await core.registry.give(ANN, Role.OWNER, None)
            records = await core.audit.tail(limit=100)
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        assert await core.registry.agent("helper") == talk.agent
        assert await core.ledger.backlog(talk.session) == [heard]
        assert len(await core.registry.wirings()) == 1
        assert not await core.registry.ensure_first_owner(ANN)
        assert await core.audit.tail(limit=100) == records
        assert await core.registry.policy() == DEFAULT
        assert await core.registry.next_due() is None
        assert await core.registry.person_of(ANN) == ANN
        change = wish(tools(talk.agent.id))
        await Desk(core.registry).ask(change)
        await Desk(core.registry).apply(change)
        assert (await core.registry.agent("helper")).tools == ("write_file",)


async def test_a_store_of_the_gateway_is_not_opened_by_the_version_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with open_core_store(tmp_path):
        pass
    monkeypatch.setattr("ironclaw.store.migrations.MIGRATIONS", MIGRATIONS[:4])

    with pytest.raises(HostError):
        async with open_core_store(tmp_path):
            pass


async def test_a_request_of_before_can_be_overtaken_and_otherwise_keeps_its_course(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr("ironclaw.store.migrations.MIGRATIONS", MIGRATIONS[:8])
        async with open_core_store(tmp_path, clock=ManualClock()) as core:
            change = wish(tools((await core.begin()).agent.id))
            await Desk(core.registry).ask(change)
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        desk = Desk(core.registry)
        with pytest.raises(HostError):
            await desk.move(change, Status.DONE)
        await desk.move(change, Status.OVERTAKEN)
        with pytest.raises(HostError):
            await desk.move(change, Status.APPROVED)


# --- flat with 100,000 changes --------------------------------------------------------------------


@pytest.fixture(scope="module")
def years() -> Iterator[apsw.Connection]:
    """The changes of many years, each with a grant: nearly all are over."""
    db = migrated()
    db.execute(_CHANGES, (MANY,))
    db.execute("UPDATE change SET status = 'applied', applied = n WHERE n <= ? - 20", (MANY,))
    db.execute("UPDATE change SET status = 'done' WHERE status = 'applied'")
    db.execute(_GRANTS)
    db.execute("UPDATE grant_ SET ended_ms = 1 WHERE n <= ? - 20", (MANY,))
    db.execute(
        "INSERT INTO denied_atom SELECT 'tool:' || n % 5000, n, id FROM change WHERE n < ?", (MANY,)
    )
    db.execute("INSERT INTO change_event (change, kind, at_ms) SELECT id, 'done', n FROM change")
    yield db
    db.close()


class Question(NamedTuple):
    """Something that the gateway asks on every request."""

    name: str
    ask: Callable[[apsw.Connection], object]


SPEC = tools(AGENT)
QUESTIONS = [
    Question("next due", change_lists.next_due),
    Question("unfinished", change_lists.unfinished),
    Question(
        "waiting like it",
        lambda db: change_record.waiting_like(db, SPEC, 1, sorted(OPEN), limit=50),
    ),
    Question("open", lambda db: list(change_lists.newest(db, "agent", None, sorted(OPEN), 50))),
    Question("all", lambda db: list(change_lists.newest(db, "agent", None, list(Status), 50))),
    Question(
        "of an agent", lambda db: list(change_lists.newest(db, "agent", ["agt_7"], [*Status], 50))
    ),
    Question(
        "of an asker", lambda db: list(change_lists.newest(db, "asker", ["api:7"], [*Status], 50))
    ),
    Question("pending", lambda db: change_record.count_pending(db, ANN)),
    Question("twin", lambda db: change_record.find_twin(db, SPEC, ANN, grant_s=None)),
    Question("denial", lambda db: change_record.find_denial(db, SPEC, since_ms=0)),
    Question("lent", lambda db: change_record.find_lent(db, SPEC)),
    Question("by id", lambda db: change_record.number_of(db, ChangeId("chg_7"))),
    Question("grant", lambda db: grant_rows.grant_of(db, ChangeId("chg_7"))),
    Question(
        "active grants", lambda db: grant_rows.newest_grants(db, agents=None, ended=False, limit=50)
    ),
    Question(
        "active grants of a kind",
        lambda db: grant_rows.newest_grants(db, agents=None, ended=False, limit=50, kind="x"),
    ),
    Question(
        "all grants", lambda db: grant_rows.newest_grants(db, agents=None, ended=True, limit=50)
    ),
    Question(
        "grants of an agent",
        lambda db: grant_rows.newest_grants(db, agents=[AgentId("agt_7")], ended=False, limit=50),
    ),
    Question("live", lambda db: live.load(db, Needs(agent=AGENT, principal=ANN), house=HOUSE)),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=[one.name for one in QUESTIONS])
def test_no_question_looks_at_every_row(years: apsw.Connection, question: Question):
    """Steps of SQLite's machine are counted, not time: a look at all rows takes 100,000 of them."""
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    years.set_progress_handler(count, 100)
    try:
        question.ask(years)
    finally:
        years.set_progress_handler(None)

    assert steps * 100 < MANY / 10


@pytest.mark.parametrize("question", QUESTIONS, ids=[one.name for one in QUESTIONS])
def test_every_question_has_an_index(years: apsw.Connection, question: Question):
    asked: list[str] = []

    def trace(_cursor: apsw.Cursor, statement: str, _bindings: object) -> bool:
        asked.append(statement)
        return True

    years.exec_trace = trace
    try:
        question.ask(years)
    finally:
        years.exec_trace = None

    assert asked
    for statement in asked:
        plan = [
            row[3]
            for row in years.execute(
                f"EXPLAIN QUERY PLAN {statement}", (None,) * statement.count("?")
            )
        ]
        for line in plan:
            assert "TEMP B-TREE" not in line, (statement, plan)
            # A table read from its own end is one, too; `policy` has one row.
            in_order = statement.endswith("ORDER BY n DESC LIMIT ?") or "policy" in line
            assert in_order or not line.startswith("SCAN") or "USING" in line, (statement, line)


def test_a_question_without_its_index_is_found_out(years: apsw.Connection):
    """The twin of the above: all that waits would be sorted."""
    plan = [
        row[3]
        for row in years.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM change NOT INDEXED WHERE status = 'pending'"
            " ORDER BY expires_ms LIMIT 1"
        )
    ]
    assert any("TEMP B-TREE" in line for line in plan)
    assert "SCAN change" in plan
