"""Changes in the store: a step is one transaction, and nothing of what was said is ever altered."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.changing import (
    ANN,
    BOB,
    HOUSE,
    NOW_MS,
    Desk,
    decision,
    grant,
    kept,
    tools,
    wish,
)

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import AgentId, ChangeId, GrantId, PrincipalId
from ironclaw.domain import applying, asking, deciding, revoking
from ironclaw.domain.audit import CORE, AuditEvent, By, Via
from ironclaw.domain.change import CARD_VERSION, OPEN, Row, Seen, Status, hash_of, state_version
from ironclaw.domain.changes.access import GiveRole
from ironclaw.domain.changes.base import (
    ForgetSession,
    NewAgent,
    PutAgent,
    PutPerson,
    PutPolicy,
    PutStanding,
)
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.policies import SetPolicy
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.gateway import GrantEnd, Loaded, Write
from ironclaw.domain.model import Agent, Role, Standing
from ironclaw.domain.policy import Policy, Proof
from ironclaw.domain.rights import Actor
from ironclaw.domain.routing import Seat
from ironclaw.services.gateway.rows import Due
from ironclaw.store.gateway_migration import OPEN_STATUSES
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.domain.change import Change, Grant
    from ironclaw.testing.fakes_store import Conversation, CoreStore

TABLES = (
    "agent", "standing", "change", "change_decision", "grant_", "denied_atom", "change_event",
    "audit",
)  # fmt: skip


@pytest.fixture
async def agent(core: CoreStore) -> Agent:
    return await core.registry.create_agent(name="helper", tools=("read_file",))


@pytest.fixture
def desk(core: CoreStore) -> Desk:
    return Desk(core.registry)


async def everything(core: CoreStore) -> dict[str, list[object]]:
    """All rows of all tables that a step can write."""
    return await core.store.read(
        lambda db: {
            table: [tuple(row) for row in db.execute(f"SELECT * FROM {table}")]  # noqa: S608
            for table in TABLES
        }
    )


async def raw(core: CoreStore, statement: str, *values: object) -> None:
    await core.store.write(lambda db: db.execute(statement, values))  # type: ignore[arg-type]


# --- a step ---------------------------------------------------------------------------------------


async def test_a_request_is_there_after_a_restart_field_by_field(tmp_path: Path):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        agent = await core.registry.create_agent(name="helper")
        change = msgspec.structs.replace(
            wish(tools(agent.id), PrincipalId(f"agent:{agent.id}")),
            reason="I need it.\n\u202eeh",
            grant_s=3600,
        )
        written = await Desk(core.registry).ask(change)
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        row = await core.registry.row(change.id)
    assert written.row == row
    assert row == Row(change=change, hash=hash_of(change), status=Status.PENDING, updated_ms=NOW_MS)
    assert (written.ops, written.event) == ((), 1)


async def test_what_is_applied_is_there_after_a_restart_field_by_field(tmp_path: Path):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        agent = await core.registry.create_agent(name="helper", tools=("read_file",))
        desk = Desk(core.registry)
        change = wish(tools(agent.id))
        await desk.ask(change)
        written = await desk.at(NOW_MS + 5).apply(change)
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        row = await core.registry.row(change.id)
        assert (await core.registry.agent("helper")).tools == ("read_file", "write_file")
        assert await core.registry.unreached(change.id) == written.ops
    assert written.row == row
    assert row.status is Status.APPLIED
    assert row.updated_ms == NOW_MS + 5
    assert row.decisions == (decision(change),)
    assert row.grant == grant(change)
    assert row.before == {"tools": ["read_file"]}


async def test_records_of_a_step_and_of_its_ops_name_who_and_which_change(
    core: CoreStore, desk: Desk, agent: Agent
):
    change = wish(tools(agent.id))
    await desk.ask(change)
    await desk.apply(change)

    requested, applied, changed = await core.audit.tail(limit=3)

    assert [requested.event, applied.event, changed.event] == [
        AuditEvent.CHANGE_REQUESTED, AuditEvent.CHANGE_APPLIED, AuditEvent.AGENT_CHANGED,
    ]  # fmt: skip
    assert (requested.actor, applied.actor, changed.actor) == (ANN, BOB, BOB)
    assert {requested.change, applied.change, changed.change} == {change.id}
    assert changed.kind == "tools"
    story = await core.audit.story(change.id, limit=100)
    assert story.kind == "change"
    assert story.records == [requested, applied, changed]
    of_grant = await core.audit.story(grant(change).id, limit=100)
    assert (of_grant.kind, of_grant.records) == ("grant", story.records)


async def test_a_step_that_raises_leaves_nothing(core: CoreStore, desk: Desk, agent: Agent):
    change = wish(tools(agent.id))
    before = await everything(core)

    def refuse(_: Loaded) -> Write:
        raise UserError(Code.CONFLICT, "No.")

    with pytest.raises(UserError):
        await desk.registry.request(change, refuse, house=HOUSE, directory=None)
    assert await everything(core) == before
    await desk.ask(change)
    before = await everything(core)
    with pytest.raises(UserError):
        await desk.step(change, refuse)

    assert await everything(core) == before


async def test_an_op_that_fails_after_others_undoes_all_of_the_step(
    core: CoreStore, desk: Desk, agent: Agent
):
    change = wish(tools(agent.id))
    await desk.ask(change)
    before = await everything(core)
    changed = msgspec.structs.replace(agent, persona="otherwise")
    clash = NewAgent(Agent(id=AgentId("agt_b"), name="helper"))

    with pytest.raises(UserError) as caught:
        await desk.apply(
            change, PutAgent(changed), PutStanding(Standing(principal=BOB, role=Role.ADMIN)), clash
        )

    assert caught.value.code is Code.CONFLICT
    assert await everything(core) == before
    assert (await core.registry.agent("helper")).persona == ""
    assert await core.registry.standings_of(BOB) == ()


async def test_an_empty_step_writes_nothing(core: CoreStore, desk: Desk, agent: Agent):
    change = wish(tools(agent.id))
    await desk.ask(change)
    before = await everything(core)

    written = await desk.at(NOW_MS + 9).step(change, lambda _: Write(by=By(BOB, Via.API)))

    assert await everything(core) == before
    assert (written.row.status, written.ops, written.event) == (Status.PENDING, (), None)


async def test_a_step_sees_who_acts_and_who_asked(core: CoreStore, desk: Desk, agent: Agent):
    await core.registry.give(ANN, Role.OPERATOR, agent.id)
    await core.registry.give(BOB, Role.APPROVER, None)
    mail = PrincipalId("mail:bob")
    other = wish(GiveRole(principal=mail, role=Role.VIEWER))
    await desk.ask(other)
    await desk.apply(other, PutPerson(BOB, mail))
    change = wish(tools(agent.id))
    await desk.ask(change)
    seen: list[Loaded] = []

    await desk.step(change, lambda loaded: seen.append(loaded) or Write())  # type: ignore[func-returns-value]

    (loaded,) = seen
    assert loaded.row is not None
    assert loaded.row.change == change
    assert loaded.live.agent == agent
    assert loaded.standings == (Standing(principal=BOB, role=Role.APPROVER),)
    assert loaded.person == mail
    assert loaded.asker_person == ANN
    assert [one.role for one in loaded.asker_standings] == [Role.OPERATOR]
    assert loaded.pending == 1


async def test_an_agent_that_asks_is_no_person(core: CoreStore, desk: Desk, agent: Agent):
    change = wish(tools(agent.id), PrincipalId(f"agent:{agent.id}"))
    seen: list[Loaded] = []

    await desk.registry.request(
        change,
        lambda loaded: seen.append(loaded) or kept(change),  # type: ignore[func-returns-value]
        house=HOUSE,
        directory=None,
    )

    (loaded,) = seen
    assert (loaded.person, loaded.asker_person, loaded.standings) == (None, None, ())
    assert loaded.row is None


async def test_a_change_that_is_not_there_is_not_found(desk: Desk):
    with pytest.raises(UserError) as caught:
        await desk.step(ChangeId("chg_none"), lambda _: Write())
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(UserError) as caught:
        await desk.registry.row(ChangeId("chg_none"))
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(UserError) as caught:
        await desk.registry.end_grant(
            GrantId("grn_none"), lambda _: Write(), actor=BOB, house=HOUSE, directory=None
        )
    assert caught.value.code is Code.NOT_FOUND


async def test_a_hash_that_is_not_the_changes_own_is_our_mistake(desk: Desk, agent: Agent):
    with pytest.raises(ValueError, match="hash"):
        await desk.ask(wish(tools(agent.id)), hash="sha256:other")


async def test_of_two_decisions_at_once_one_counts(core: CoreStore, desk: Desk, agent: Agent):
    change = wish(tools(agent.id))
    await desk.ask(change)

    def deny(loaded: Loaded) -> Write:
        assert loaded.row is not None
        if loaded.row.status is not Status.PENDING:
            raise UserError(Code.CONFLICT, "Somebody was quicker.")
        return Write(
            status=Status.DENIED, decision=decision(change, approved=False), event="denied"
        )

    results = await asyncio.gather(
        *(desk.step(change, deny) for _ in range(8)), return_exceptions=True
    )

    assert sum(not isinstance(one, BaseException) for one in results) == 1
    assert len((await core.registry.row(change.id)).decisions) == 1


async def test_a_person_decides_once_through_however_many_principals(desk: Desk, agent: Agent):
    change = wish(tools(agent.id))
    await desk.ask(change)
    await desk.step(change, lambda _: Write(decision=decision(change)))
    again = decision(change, PrincipalId("mail:bob"), person=BOB)

    with pytest.raises(HostError):
        await desk.step(change, lambda _: Write(decision=again))

    other = decision(change, PrincipalId("api:cy"))
    written = await desk.step(change, lambda _: Write(decision=other))
    assert [one.person for one in written.row.decisions] == [BOB, "api:cy"]


async def test_what_a_change_gives_is_seen_by_the_next_read(core: CoreStore, desk: Desk):
    assert await core.registry.standings_of(BOB) == ()
    await core.registry.give(BOB, Role.VIEWER, None)
    assert len(await core.registry.standings_of(BOB)) == 1
    assert not (await core.registry.policy()).solo
    change = wish(SetPolicy(policy=Policy(solo=True)))
    await desk.ask(change)

    await desk.apply(
        change,
        PutPolicy(Policy(solo=True)),
        PutStanding(Standing(principal=BOB, role=Role.ADMIN)),
    )

    assert len(await core.registry.standings_of(BOB)) == 2
    assert (await core.registry.policy()).solo


async def test_a_session_that_is_forgotten_is_not_found_at_its_seat(
    core: CoreStore, desk: Desk, talk: Conversation
):
    session = await core.registry.session(talk.session)
    seat = Seat(session.agent, session.partition, session.chat, session.thread)
    assert await core.registry.seated(seat) == talk.session
    change = wish(tools(talk.agent.id))
    await desk.ask(change)

    await desk.apply(change, ForgetSession(talk.session, talk.agent.id))

    assert await core.registry.seated(seat) is None


async def test_the_gateways_own_steps_lead_from_request_to_revocation(
    core: CoreStore, desk: Desk, agent: Agent
):
    """Each step is the real one; the store is what they are run in."""
    await core.registry.give(ANN, Role.OPERATOR, None)
    await core.registry.give(BOB, Role.OWNER, None)
    change = wish(tools(agent.id))
    ann, bob = Actor(ANN), Actor(BOB, proof=Proof.TOKEN)
    asked = await desk.registry.request(
        change,
        lambda loaded: asking.asked(loaded, change, actor=ann),
        house=HOUSE,
        directory=None,
    )
    state = state_version({"tools": ["read_file"]})
    seen = Seen(asked.row.hash, state, CARD_VERSION)

    decided = await desk.step(
        change, lambda loaded: deciding.decided(loaded, actor=bob, approve=True, seen=seen)
    )
    assert decided.row.status is Status.APPROVED
    applied = await desk.step(change, applying.applied, actor=None)
    assert (await core.registry.agent("helper")).tools == ("read_file", "write_file")
    done = await desk.step(change, applying.done, actor=None)
    assert done.row.status is Status.DONE
    assert applied.row.grant is not None
    await desk.registry.end_grant(
        applied.row.grant.id,
        lambda loaded: revoking.revoked(loaded, actor=bob),
        actor=BOB,
        house=HOUSE,
        directory=None,
    )

    assert (await core.registry.agent("helper")).tools == ("read_file",)
    assert [one.kind for one in await core.registry.events(after=0, limit=10)] == [
        "requested", "decided", "applied", "done", "revoked",
    ]  # fmt: skip


async def test_what_a_rule_approves_is_kept_with_its_decision(desk: Desk, agent: Agent):
    change = wish(tools(agent.id))
    by_rule = decision(change, PrincipalId(""), proof=None)

    written = await desk.ask(change, status=Status.APPROVED, decision=by_rule)

    assert (written.row.status, written.row.decisions) == (Status.APPROVED, (by_rule,))


# --- nothing is altered ---------------------------------------------------------------------------

_BEGIN_APPROVED = (
    "INSERT INTO change SELECT n + 1, id || 'x', kind, topic, agent, asker, session, body, hash,"
    " fingerprint, atoms, created_ms, expires_ms, 'approved', updated_ms, 0, NULL,"
    " NULL, '[]', '', '', NULL FROM change"
)
_DECIDE_LATE = (
    "INSERT INTO change_decision SELECT change, 'api:late', principal, approved, hash, state,"
    " card, proof, at_ms, is_own, words FROM change_decision"
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE change SET body = '{}'",
        "UPDATE change SET hash = 'sha256:x'",
        "UPDATE change SET agent = NULL",
        "UPDATE change SET atoms = '[]'",
        "UPDATE change SET expires_ms = 1",
        "UPDATE change SET before = NULL",
        "UPDATE change SET status = 'pending'",
        "UPDATE change SET status = 'denied'",
        "UPDATE change SET status = 'anything'",
        "DELETE FROM change",
        "REPLACE INTO change SELECT * FROM change",
        _BEGIN_APPROVED,
        "UPDATE change_decision SET approved = 0",
        "DELETE FROM change_decision",
        "REPLACE INTO change_decision SELECT * FROM change_decision",
        _DECIDE_LATE,
        "UPDATE grant_ SET inverse = NULL",
        "UPDATE grant_ SET expires_ms = 9999999999999",
        "DELETE FROM grant_",
    ],
)
async def test_what_was_asked_decided_and_given_cannot_be_altered(
    core: CoreStore, desk: Desk, agent: Agent, statement: str
):
    change = wish(tools(agent.id))
    await desk.ask(change)
    await desk.apply(change)
    before = await everything(core)

    with pytest.raises(HostError) as caught:
        await raw(core, statement)

    assert caught.value.detail.startswith("ConstraintError")
    assert await everything(core) == before


async def test_an_ended_grant_stays_as_it_ended(core: CoreStore, desk: Desk, agent: Agent):
    change = wish(tools(agent.id))
    await desk.ask(change)
    await desk.apply(change)
    end = GrantEnd(grant(change).id, "revoked", BOB)
    ended = await desk.step(change, lambda _: Write(end=end))
    assert ended.row.grant == msgspec.structs.replace(
        grant(change), ended_ms=NOW_MS, ended_why="revoked", ended_by=BOB
    )

    again = GrantEnd(grant(change).id, "expired", ANN)
    assert (await desk.step(change, lambda _: Write(end=again))).row.grant == ended.row.grant
    with pytest.raises(HostError):
        await raw(core, "UPDATE grant_ SET ended_ms = NULL")


async def test_what_is_written_is_on_the_word_of_who_approved_it(
    core: CoreStore, desk: Desk, agent: Agent
):
    change = wish(tools(agent.id))
    await desk.ask(change)
    await desk.step(change, lambda _: Write(status=Status.APPROVED, decision=decision(change)))
    await desk.apply(change, decision=None, by=CORE)

    changed = (await core.audit.tail(limit=1))[0]
    assert (changed.event, changed.actor) == (AuditEvent.AGENT_CHANGED, BOB)


async def test_a_grant_of_which_a_later_change_leaves_nothing_has_ended_with_it(
    core: CoreStore, desk: Desk, agent: Agent
):
    first = wish(tools(agent.id))
    await desk.ask(first)
    await desk.apply(first)
    second = wish(SetTools(agent=agent.id, remove=("write_file",)))
    await desk.ask(second)
    await desk.apply(second, grant=None, inverse=None)

    row = await core.registry.row(first.id)
    assert row.grant is not None
    assert (row.grant.ended_why, row.grant.ended_by) == ("replaced", "")
    events = await core.registry.events(after=0, limit=99)
    assert (first.id, "replaced") in [(one.change, one.kind) for one in events]


async def test_requests_that_a_change_leaves_nothing_to_do_end_with_it(
    core: CoreStore, desk: Desk, agent: Agent
):
    same, more = (
        wish(tools(agent.id)),
        wish(SetTools(agent=agent.id, add=("clock", "write_file"))),
    )
    first = wish(tools(agent.id))
    desk = desk._replace(house=desk.house._replace(tools=(*desk.house.tools, "clock")))
    for change in (same, more, first):
        await desk.ask(change)

    written = await desk.apply(first)

    assert written.overtaken == (same.id,)
    row = await core.registry.row(same.id)
    assert (row.status, row.decisions) == (Status.OVERTAKEN, ())
    assert row.problem.startswith("It has come true already. ")
    assert (await core.registry.row(more.id)).status is Status.PENDING
    (newest,) = await core.registry.events(after=written.event - 1, limit=9)
    assert (newest.change, newest.kind) == (same.id, "overtaken")
    (record,) = [
        one for one in await core.audit.tail(limit=9) if one.event is AuditEvent.CHANGE_OVERTAKEN
    ]
    assert (record.change, record.reason) == (same.id, "come_true")


async def test_what_a_grant_gave_and_its_end_takes_ends_requests_too(desk: Desk, agent: Agent):
    first = wish(tools(agent.id))
    take = wish(SetTools(agent=agent.id, remove=("write_file",)))
    await desk.ask(first)
    await desk.apply(first)
    await desk.ask(take)
    ops = SetTools(agent=agent.id, remove=("write_file",)).ops
    put = msgspec.structs.replace(agent, tools=("write_file",))

    def end(loaded: Loaded) -> Write:
        return Write(
            ops=ops(loaded.live._replace(agent=put), take.id),
            end=GrantEnd(grant(first).id, "revoked", BOB),
        )

    assert (await desk.step(first, end)).overtaken == (take.id,)


async def test_what_was_given_for_a_time_is_known_to_whom_asks_for_the_same(
    desk: Desk, agent: Agent
):
    short, long, other = (
        wish(tools(agent.id)),
        wish(SetTools(agent=agent.id, add=("write_file", "read_file"))),
        wish(SetTools(agent=agent.id, add=("read_file",))),
    )
    for change in (short, long, other):
        await desk.ask(change)
    assert await _lent_to(desk, short) is None

    await desk.apply(short, grant=grant(short, expires_ms=NOW_MS + 1000))

    assert await _lent_to(desk, long) == grant(short, expires_ms=NOW_MS + 1000)
    assert await _lent_to(desk, other) is None
    await desk.step(other, lambda _: Write(grant=grant(other)))
    assert await _lent_to(desk, other) is None
    await desk.step(long, lambda _: Write(grant=grant(long, expires_ms=NOW_MS + 9000)))
    assert await _lent_to(desk, short) == grant(long, expires_ms=NOW_MS + 9000)
    await desk.step(short, lambda _: Write(end=GrantEnd(grant(long).id, "revoked", BOB)))
    assert await _lent_to(desk, long) == grant(short, expires_ms=NOW_MS + 1000)


async def _lent_to(desk: Desk, change: Change) -> Grant | None:
    seen: list[Grant | None] = []

    def look(loaded: Loaded) -> Write:
        seen.append(loaded.lent)
        return Write()

    await desk.step(change, look)
    return seen[0]


async def test_a_request_that_was_edited_holds_up_no_other(
    core: CoreStore, desk: Desk, agent: Agent
):
    edited, same, first = (wish(tools(agent.id)) for _ in range(3))
    for change in (edited, same, first):
        await desk.ask(change)
    await raw(core, "DROP TRIGGER change_is_not_altered")
    await raw(core, "UPDATE change SET hash = 'sha256:0' WHERE id = ?", edited.id)

    assert (await desk.apply(first)).overtaken == (same.id,)


COURSES = [
    [Status.APPROVED, Status.APPLIED, Status.DONE],
    [Status.APPROVED, Status.FAILED, Status.APPROVED, Status.APPLIED],
    [Status.APPROVED, Status.FAILED, Status.WITHDRAWN],
    [Status.APPLIED, Status.APPLIED, Status.DONE],
    [Status.DENIED],
    [Status.EXPIRED],
    [Status.WITHDRAWN],
    [Status.OVERTAKEN],
    [Status.APPROVED, Status.OVERTAKEN],
    [Status.APPROVED, Status.FAILED, Status.OVERTAKEN],
]


@pytest.mark.parametrize("course", COURSES)
async def test_a_change_moves_along_its_course(desk: Desk, agent: Agent, course: list[Status]):
    change = wish(tools(agent.id))
    await desk.ask(change)
    for status in course:
        assert (await desk.move(change, status)).row.status is status


@pytest.mark.parametrize(
    "end",
    [Status.DENIED, Status.EXPIRED, Status.WITHDRAWN, Status.OVERTAKEN, Status.DONE],
)
async def test_what_is_over_stays_over(desk: Desk, agent: Agent, end: Status):
    change = wish(tools(agent.id))
    await desk.ask(change)
    if end is Status.DONE:
        await desk.move(change, Status.APPLIED)
    await desk.move(change, end)
    for status in set(Status) - {end}:
        with pytest.raises(HostError):
            await desk.move(change, status)


async def test_a_failure_says_why_until_it_goes_on(desk: Desk, agent: Agent):
    change = wish(tools(agent.id))
    await desk.ask(change)
    await desk.move(change, Status.APPROVED)
    failed = await desk.move(change, Status.FAILED, code="conflict", problem="It has changed.")
    assert (failed.row.code, failed.row.problem) == ("conflict", "It has changed.")

    again = await desk.move(change, Status.APPROVED)

    assert (again.row.code, again.row.problem) == ("", "")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", "{}"),
        ("body", "[" * 5000),
        ("hash", "sha256:" + "0" * 64),
        ("asker", "api:eve"),
        ("agent", "agt_other"),
        ("kind", "persona"),
        ("before", "7"),
    ],
)
async def test_a_row_that_was_edited_behind_our_back_is_never_believed(
    core: CoreStore, desk: Desk, agent: Agent, column: str, value: str
):
    change = wish(tools(agent.id))
    await desk.ask(change)
    await raw(core, "DROP TRIGGER change_is_not_altered")
    await raw(core, f"UPDATE change SET {column} = ?", value)  # noqa: S608 - of the list above

    for look in (desk.registry.row(change.id), desk.step(change, lambda _: Write())):
        with pytest.raises(HostError) as caught:
            await look
        assert caught.value.code is Code.STORE_CORRUPT


async def test_another_wish_under_the_same_hash_is_never_believed(
    core: CoreStore, desk: Desk, agent: Agent
):
    """The reason is in no column: only the hash tells."""
    change = wish(tools(agent.id))
    await desk.ask(change)
    await raw(core, "DROP TRIGGER change_is_not_altered")
    await raw(core, "UPDATE change SET body = replace(body, 'because', 'BECAUSE')")

    with pytest.raises(HostError) as caught:
        await desk.registry.row(change.id)

    assert caught.value.code is Code.STORE_CORRUPT


# --- twins, denials, later changes ----------------------------------------------------------------


def look(desk: Desk, change: Change, asker: PrincipalId = ANN, now_ms: int = NOW_MS):
    return desk.registry.look(
        change.spec,
        asker=asker,
        actor=None,
        house=HOUSE._replace(now_ms=now_ms),
        directory=None,
    )


async def test_the_same_wish_of_the_same_asker_is_its_twin_while_it_is_open(
    desk: Desk, agent: Agent
):
    change = wish(tools(agent.id))
    await desk.ask(change)

    assert ((await look(desk, change)).twin or None) == await desk.registry.row(change.id)
    assert (await look(desk, change, BOB)).twin is None
    assert (await look(desk, wish(tools(agent.id, "read_file")))).twin is None
    again = await desk.registry.request(
        wish(tools(agent.id)), lambda _: Write(), house=HOUSE, directory=None
    )
    assert again.row.change == change
    await desk.move(change, Status.WITHDRAWN)
    assert (await look(desk, change)).twin is None


async def test_a_wish_for_another_time_has_no_twin(desk: Desk, agent: Agent):
    change = wish(tools(agent.id))
    await desk.ask(change)
    seen: list[bool] = []

    def step(loaded: Loaded) -> Write:
        seen.append(loaded.twin is not None)
        return Write()

    for grant_s in (None, 3600):
        with contextlib.suppress(ValueError):
            await desk.registry.request(
                msgspec.structs.replace(wish(tools(agent.id)), grant_s=grant_s),
                step, house=HOUSE, directory=None,
            )  # fmt: skip
    assert seen == [True, False]


def test_the_index_of_twins_is_over_what_is_open():
    assert OPEN_STATUSES == str(tuple(one.value for one in Status if one in OPEN))


async def deny(desk: Desk, change: Change) -> None:
    await desk.ask(change)
    await desk.move(
        change, Status.DENIED, decision=decision(change, approved=False), is_denied=True
    )


async def test_a_denial_is_remembered_by_its_pieces_for_a_time(desk: Desk, agent: Agent):
    denied = wish(tools(agent.id, "read_file", "write_file"))
    await deny(desk, denied)
    part = wish(tools(agent.id, "write_file"))
    remember_ms = Policy().remember_s * 1000

    found = (await look(desk, part, BOB)).denial

    assert found is not None
    assert (found.change, found.status) == (denied, Status.DENIED)
    assert (await look(desk, wish(tools(agent.id, "shell")))).denial is None
    assert (await look(desk, part, now_ms=NOW_MS + remember_ms - 1)).denial is not None
    assert (await look(desk, part, now_ms=NOW_MS + remember_ms)).denial is None


async def test_the_newest_denial_is_the_one_that_answers(desk: Desk, agent: Agent):
    await deny(desk, wish(tools(agent.id, "a", "b")))
    newest = wish(tools(agent.id, "b", "c"))
    await deny(desk.at(NOW_MS + 5), newest)

    found = (await look(desk, wish(tools(agent.id, "a", "b")), now_ms=NOW_MS + 6)).denial

    assert found is not None
    assert found.change == newest


async def test_what_is_approved_after_all_is_not_denied_any_more(desk: Desk, agent: Agent):
    await deny(desk, wish(tools(agent.id, "write_file")))
    change = wish(tools(agent.id, "write_file"))
    await desk.ask(change)
    assert (await look(desk, change)).denial is not None

    await desk.apply(change)

    assert (await look(desk, change)).denial is None


async def later_of(desk: Desk, change: Change) -> Row | None:
    seen: list[Loaded] = []
    await desk.registry.end_grant(
        grant(change).id,
        lambda loaded: seen.append(loaded) or Write(),  # type: ignore[func-returns-value]
        actor=BOB,
        house=HOUSE,
        directory=None,
    )
    assert seen[0].inverse is not None
    assert seen[0].inverse_live is not None
    return seen[0].later


async def test_a_grant_knows_the_later_change_that_altered_the_same(desk: Desk, agent: Agent):
    early, late = wish(tools(agent.id, "write_file")), wish(tools(agent.id, "shell"))
    await desk.ask(late)
    await desk.ask(early)
    await desk.apply(early)
    assert await later_of(desk, early) is None

    await desk.apply(late)

    found = await later_of(desk, early)
    assert found is not None
    assert found.change == late
    assert await later_of(desk, late) is None

    end = GrantEnd(grant(late).id, "revoked", BOB)
    await desk.registry.end_grant(
        end.grant, lambda _: Write(end=end), actor=BOB, house=HOUSE, directory=None
    )
    assert await later_of(desk, early) is None


async def test_a_later_change_of_something_else_does_not_count(
    core: CoreStore, desk: Desk, agent: Agent
):
    other = await core.registry.create_agent(name="other")
    change = wish(tools(agent.id))
    await desk.ask(change)
    await desk.apply(change)

    for more in (wish(SetPersona(agent=agent.id, persona="Be brief.")), wish(tools(other.id))):
        await desk.ask(more)
        await desk.apply(more)

    assert await later_of(desk, change) is None


async def test_ending_a_grant_writes_its_way_back(core: CoreStore, desk: Desk, agent: Agent):
    change = wish(tools(agent.id))
    await desk.ask(change)
    await desk.apply(change)

    def revoke(loaded: Loaded) -> Write:
        assert loaded.inverse is not None
        assert loaded.inverse_live is not None
        return Write(
            ops=loaded.inverse.ops(loaded.inverse_live, change.id),
            end=GrantEnd(grant(change).id, "revoked", BOB),
            event="revoked",
        )

    written = await desk.registry.end_grant(
        grant(change).id, revoke, actor=BOB, house=HOUSE, directory=None
    )

    assert (await core.registry.agent("helper")).tools == ("read_file",)
    assert written.row.grant is not None
    assert written.row.grant.ended_why == "revoked"
    assert await desk.registry.unreached(change.id) == written.ops


# --- lists ----------------------------------------------------------------------------------------


async def test_lists_are_newest_first_and_only_of_what_was_asked_for(
    core: CoreStore, desk: Desk, agent: Agent
):
    other = await core.registry.create_agent(name="other")
    mine, theirs = wish(tools(agent.id)), wish(tools(other.id), BOB)
    house = wish(SetPolicy(policy=Policy(solo=True)), BOB)
    for change in (mine, theirs, house):
        await desk.ask(change)
    await desk.move(mine, Status.WITHDRAWN)

    async def ids(**wanted: object) -> list[ChangeId]:
        asked = {"agents": None, "statuses": None, "limit": 10} | wanted
        found = await desk.registry.rows(**asked)  # type: ignore[arg-type]
        return [row.change.id for row in found]

    assert await ids() == [house.id, theirs.id, mine.id]
    assert await ids(limit=1) == [house.id]
    assert await ids(statuses=OPEN) == [house.id, theirs.id]
    assert await ids(agents=frozenset({agent.id})) == [mine.id]
    assert await ids(agents=frozenset({agent.id}), statuses=OPEN) == []
    assert await ids(agents=frozenset({agent.id, other.id})) == [theirs.id, mine.id]
    assert await ids(agents=frozenset()) == []
    assert await ids(agents=frozenset({agent.id}), asker=BOB) == [house.id, theirs.id, mine.id]
    assert await ids(agents=frozenset(), asker=ANN, statuses=OPEN) == []


async def test_grants_are_listed_with_their_changes(core: CoreStore, desk: Desk, agent: Agent):
    other = await core.registry.create_agent(name="other")
    first, second = wish(tools(agent.id)), wish(tools(other.id))
    for change in (first, second):
        await desk.ask(change)
        await desk.apply(change)
    await desk.step(first, lambda _: Write(end=GrantEnd(grant(first).id, "revoked", BOB)))

    async def ids(**wanted: object) -> list[GrantId]:
        asked = {"agents": None, "ended": False, "limit": 10} | wanted
        found = await desk.registry.grants(**asked)  # type: ignore[arg-type]
        assert all(row.grant == one for one, row in found)
        return [one.id for one, _ in found]

    assert await ids() == [grant(second).id]
    assert await ids(ended=True) == [grant(second).id, grant(first).id]
    assert await ids(ended=True, limit=1) == [grant(second).id]
    assert await ids(agents=frozenset({agent.id})) == []
    assert await ids(agents=frozenset({agent.id}), ended=True) == [grant(first).id]
    assert await ids(ended=True, kind="tools", limit=1) == [grant(second).id]
    assert await ids(ended=True, kind="destination.add") == []
    assert await ids(agents=frozenset({other.id}), kind="persona") == []


async def test_what_is_due_first_comes_first(desk: Desk, agent: Agent):
    assert await desk.registry.next_due() is None
    escalate_ms = NOW_MS + Policy().escalate_s * 1000
    slow = wish(tools(agent.id, "a"), expires_ms=escalate_ms + 1)
    quick = wish(tools(agent.id, "b"), expires_ms=NOW_MS + 7)
    await desk.ask(slow)
    await desk.ask(quick)

    assert await desk.registry.next_due() == Due(NOW_MS + 7, "expire", quick.id, None)
    await desk.move(quick, Status.EXPIRED)
    assert await desk.registry.next_due() == Due(escalate_ms, "escalate", slow.id, None)
    await desk.step(slow, lambda _: Write(escalated=True, event="escalated"))
    assert (await desk.registry.row(slow.id)).escalated
    assert await desk.registry.next_due() == Due(escalate_ms + 1, "expire", slow.id, None)
    await desk.apply(slow, grant=grant(slow, expires_ms=NOW_MS + 3))
    assert await desk.registry.next_due() == Due(NOW_MS + 3, "end", slow.id, grant(slow).id)
    await desk.step(slow, lambda _: Write(end=GrantEnd(grant(slow).id, "expired", BOB)))
    assert await desk.registry.next_due() is None


async def test_owners_are_told_by_the_policy_of_now(desk: Desk, agent: Agent):
    change, policy = wish(tools(agent.id)), wish(SetPolicy(policy=Policy(escalate_s=60)), BOB)
    await desk.ask(change)
    await desk.ask(policy)

    await desk.apply(policy)

    assert await desk.registry.next_due() == Due(NOW_MS + 60_000, "escalate", change.id, None)


async def test_what_a_former_core_left_is_found_until_it_is_reached(desk: Desk, agent: Agent):
    changes = [wish(tools(agent.id, name)) for name in ("a", "b", "c", "d")]
    for change in changes:
        await desk.ask(change)
    approved, applied, done, _waiting = changes
    await desk.move(approved, Status.APPROVED)
    await desk.apply(applied)
    await desk.apply(done)
    await desk.move(done, Status.DONE)

    assert await desk.registry.unfinished() == [approved.id, applied.id, done.id]
    for change in (applied, done):
        await desk.registry.reached(change.id)
        await desk.registry.reached(change.id)
        assert await desk.registry.unreached(change.id) == ()

    assert await desk.registry.unfinished() == [approved.id, applied.id]


async def test_events_are_numbered_over_all_changes(tmp_path: Path):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        agent = await core.registry.create_agent(name="helper")
        desk = Desk(core.registry)
        assert await core.registry.last_event() == 0
        first, second = wish(tools(agent.id, "a")), wish(tools(agent.id, "b"))
        assert (await desk.ask(first)).event == 1
        assert (await desk.ask(second)).event == 2
        assert (await desk.apply(first)).event == 3
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        assert await core.registry.last_event() == 3
        found = await core.registry.events(after=1, limit=10)
        assert [(one.id, one.kind, one.at_ms, one.change) for one in found] == [
            (2, "requested", NOW_MS, second.id),
            (3, "applied", NOW_MS, first.id),
        ]
        assert [one.id for one in await core.registry.events(after=0, limit=1)] == [1]


async def test_the_first_owner_is_made_once_by_the_core(core: CoreStore):
    assert await core.registry.ensure_first_owner(ANN)
    assert not await core.registry.ensure_first_owner(BOB)

    record = (await core.audit.tail(limit=1))[0]
    assert (record.event, record.principal, record.role, record.actor, record.via) == (
        AuditEvent.ROLE_GIVEN, ANN, "owner", "", Via.CORE,
    )  # fmt: skip
    assert await core.registry.standings_of(BOB) == ()


async def test_what_waits_and_what_waits_for_too_long_is_counted(
    core: CoreStore, desk: Desk, agent: Agent
):
    for _ in range(2):
        await desk.ask(wish(tools(agent.id)))
    late = wish(tools(agent.id))
    await desk.ask(late)
    await desk.step(late, lambda _: Write(escalated=True))
    over = wish(tools(agent.id))
    await desk.ask(over)
    await desk.move(over, Status.DENIED)

    assert await core.registry.waiting_changes() == (3, 1)
