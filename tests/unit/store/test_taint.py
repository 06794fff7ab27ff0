"""Taint is kept with what brought it, stays with its session, and is never taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironclaw.core.clock import ManualClock
from ironclaw.core.ids import ChatId, MessageId, PrincipalId, SessionId
from ironclaw.domain.commands import Effect, Heard
from ironclaw.domain.model import Event, Role, SenderScope, UnknownSender, Upload
from ironclaw.domain.routing import Came
from ironclaw.domain.taint import NONE, STAYS, Taint, Taints
from ironclaw.services.commands import LateCommands
from ironclaw.services.hub import Hub
from ironclaw.services.questions import Questions
from ironclaw.services.router import Router
from ironclaw.store.message_rows import Target
from ironclaw.store.taint_rows import taint_of, taint_session, taint_turn
from ironclaw.testing.fakes_store import CoreStore, open_core_store, outbound
from ironclaw_contract.entries import Called, Entry, Returned, Said
from ironclaw_contract.records import Ask, Step, TurnEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

READ: tuple[Entry, ...] = (
    Called(call="c1", name="read_file", arguments="{}"),
    Returned(call="c1", text="EVIL"),
)


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[CoreStore]:
    async with open_core_store(tmp_path, clock=ManualClock()) as found:
        yield found


def router_of(core: CoreStore) -> Router:
    hub = Hub(core.chatlog)

    def wake(*_: object) -> None: ...

    return Router(
        directory=core.registry,
        intake=core.ledger,
        refusals=core.chatlog,
        keys=core.custodian,
        hub=hub,
        wake=wake,
        commands=LateCommands(),
        questions=Questions(book=core.ledger, hub=hub, wake=wake, clock=core.clock),
    )


def event(text: str, handle: str, *, files: tuple[Upload, ...] = ()) -> Event:
    return Event(
        channel="api", platform_id="desk", handle=handle, sender=handle, text=text,
        external_id=f"{handle}/{text}", files=files,
    )  # fmt: skip


async def wired(core: CoreStore) -> Router:
    agent = await core.registry.create_agent(name="helper", tools=("ask_user",))
    chat = await core.registry.ensure_chat(
        channel="api", platform_id="desk", unknown_sender=UnknownSender.PUBLIC
    )
    await core.registry.create_wiring(chat=chat.id, agent=agent.id, sender_scope=SenderScope.ALL)
    await core.registry.give(PrincipalId("api:ann"), Role.MEMBER, agent.id)
    return router_of(core)


async def said(router: Router, text: str, handle: str, **more: tuple[Upload, ...]) -> SessionId:
    (routed,) = await router.hear(event(text, handle, **more))
    assert routed.session is not None
    return routed.session


async def test_members_bring_nothing_and_strangers_taint_the_conversation(core: CoreStore) -> None:
    router = await wired(core)
    session = await said(router, "hello", "ann")
    assert await core.ledger.taint_of(session) == NONE
    assert await said(router, "obey me", "eve") == session
    assert await core.ledger.taint_of(session) == {Taint.STRANGER}
    # Also where the stranger only adds to what a member began, and for what members say after it.
    await said(router, "and now?", "ann")
    flags = [(one.sender, one.foreign) for one in await core.ledger.backlog(session)]
    assert flags == [("ann", True), ("eve", True), ("ann", True)]
    (agent,) = await core.registry.agents()
    assert await core.ledger.tainted_sessions(agent.id, limit=9) == [session]


async def test_who_may_only_look_is_a_stranger_to_the_agent(core: CoreStore) -> None:
    router = await wired(core)
    await core.registry.give(PrincipalId("api:vic"), Role.VIEWER, None)
    assert await core.ledger.taint_of(await said(router, "hi", "vic")) == {Taint.STRANGER}


async def test_a_file_taints_and_the_box_is_told(core: CoreStore) -> None:
    router = await wired(core)
    session = await said(router, "see", "ann", files=(Upload(name="a.txt", data=b"x"),))
    assert await core.ledger.taint_of(session) == {Taint.FILE}
    (message,) = await core.ledger.backlog(session)
    assert message.foreign


@pytest.mark.parametrize(("handle", "taint"), [("ann", NONE), ("eve", {Taint.STRANGER})])
async def test_an_answer_counts_by_who_gave_it(core: CoreStore, handle: str, taint: Taints) -> None:
    router = await wired(core)
    session = await said(router, "hello", "ann")
    (turn,) = await core.ledger.backlog(session)
    called = Called(call="q1", name="ask_user", arguments="{}")
    ask = Ask(call="q1", question="Which?", options=("red",))
    await core.ledger.begin_epoch(session, workspace="w")
    step = Step(turn=turn.id, index=0, entries=(called,), asks=(ask,))
    await core.ledger.commit(session, 1, outbound(1, step))
    await said(router, "red", handle)
    (answer,) = await core.ledger.answers(session)
    assert await core.ledger.taint_of(session) == taint
    # Its result is in a record of its own, and is no tool's.
    more = Step(turn=turn.id, index=1, entries=(Returned(call="q1", text=answer.text),))
    await core.ledger.commit(session, 1, outbound(2, more))
    assert await core.ledger.taint_of(session, turn.id) == taint


async def test_what_a_turn_has_read_goes_with_the_turn(core: CoreStore) -> None:
    talk = await core.begin()
    first = await talk.hear("read it")
    await core.ledger.begin_epoch(talk.session, workspace="w")
    step = Step(turn=first.message.id, index=0, entries=READ)
    await core.ledger.commit(talk.session, 1, outbound(1, step))
    assert await core.ledger.taint_of(talk.session) == {Taint.READ}
    past = await core.ledger.resume(talk.session, limit_bytes=9999)
    assert [one.foreign for one in past.turn_entries if isinstance(one, Said)] == [False]
    end = TurnEnd(turn=first.message.id, index=1, entries=())
    await core.ledger.commit(talk.session, 1, outbound(2, end))
    second = await talk.hear("thanks")
    assert await core.ledger.taint_of(talk.session, second.message.id) == NONE
    assert await core.ledger.taint_of(talk.session, first.message.id) == {Taint.READ}


async def test_a_turn_that_goes_on_in_a_fresh_box_is_marked_there(core: CoreStore) -> None:
    talk = await core.begin()
    said = await talk.hear("see", files=(Upload(name="a.txt", data=b"x"),))
    await core.ledger.begin_epoch(talk.session, workspace="w")
    step = Step(turn=said.message.id, index=0, entries=READ)
    await core.ledger.commit(talk.session, 1, outbound(1, step))
    past = await core.ledger.resume(talk.session, limit_bytes=9999)
    assert [one.foreign for one in past.turn_entries if isinstance(one, Said)] == [True]


async def test_shared_directories_count_where_files_are_read(core: CoreStore) -> None:
    talk = await core.begin()
    turn = (await talk.hear("read")).message.id
    await core.ledger.begin_epoch(talk.session, workspace="w")

    def share(db: apsw.Connection) -> None:
        ((body,),) = list(db.execute("SELECT body FROM agent"))
        mount = b"\xa6mounts\x91\x80"
        assert b"\xa6mounts\x90" in body
        db.execute("UPDATE agent SET body = ?", (body.replace(b"\xa6mounts\x90", mount),))

    await core.store.write(share)
    await core.ledger.commit(talk.session, 1, outbound(1, Step(turn=turn, index=0, entries=READ)))
    assert await core.ledger.taint_of(talk.session) == {Taint.READ, Taint.SHARED}


async def test_a_new_conversation_begins_without(core: CoreStore) -> None:
    router = await wired(core)
    session = await said(router, "obey me", "eve")
    (agent,) = await core.registry.agents()
    chat = await core.registry.ensure_chat(channel="api", platform_id="desk")
    heard = Heard(event("/new", "ann"), agent.id, chat.id)
    await core.ledger.handle(heard, session=session, effect=Effect.BEGIN, words=lambda _: "new")
    core.registry.look_again()
    fresh = await said(router, "hello", "ann")
    assert fresh != session
    assert await core.ledger.taint_of(fresh) == NONE
    assert await core.ledger.taint_of(session) == {Taint.STRANGER}


async def test_what_another_agent_says_is_kept_as_such(core: CoreStore) -> None:
    talk = await core.begin()
    came = Came(hops=1, taint=frozenset({Taint.AGENT}))
    await core.ledger.accept(
        event("42", "agt_b"), session=talk.session, chat=talk.chat.id, engage=True, came=came
    )
    assert await core.ledger.taint_of(talk.session) == {Taint.AGENT}


_ENTRIES = st.lists(
    st.one_of(
        st.builds(
            Called,
            call=st.sampled_from(["a", "b"]),
            name=st.sampled_from(["clock", "read_file", "memory_read"]),
            arguments=st.just("{}"),
        ),
        st.builds(
            Returned, call=st.sampled_from(["a", "b"]), text=st.sampled_from(["", "tainted=yes"])
        ),
    ),
    max_size=4,
)
_STEPS = st.lists(st.one_of(st.frozensets(st.sampled_from(list(Taint))), _ENTRIES), max_size=8)


@settings(max_examples=60)
@given(_STEPS, st.booleans())
def test_nothing_that_happens_takes_a_word_away(
    steps: list[frozenset[Taint] | list[Entry]], shares: bool
) -> None:
    db = apsw.Connection(":memory:")
    db.execute(
        "CREATE TABLE session (id, agent, taint, created_ms);"
        " CREATE TABLE message (n INTEGER PRIMARY KEY, id, session, turn, open, taint);"
        " CREATE TABLE question (turn, call);"
        " INSERT INTO session VALUES ('s', 'a', '', 0);"
        " INSERT INTO message VALUES (1, 'm', 's', 'm', 1, '')"
    )
    session, turn = SessionId("s"), Target(
        MessageId("m"), 1, SessionId("s"), ChatId("c"), None, "pending", 0, True
    )  # fmt: skip
    had = NONE
    for step in steps:
        if isinstance(step, frozenset):
            taint_session(db, session, step)
        else:
            taint_turn(db, turn, step, has_shared=lambda: shares)
        now = taint_of(db, session, "m")
        assert had <= now
        assert not isinstance(step, frozenset) or step & STAYS <= now
        had = now
