"""One life of a box: airlocks that die, boxes that go, calls that are cancelled, tampering."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.support.cores import Core, OpenCore, until

from ironclaw.core.codes import Code
from ironclaw.domain import lifecycle
from ironclaw.domain.model import SessionState
from ironclaw.domain.routing import Seat
from ironclaw.services import calls, ends, life
from ironclaw.services.parts import SessionLimits
from ironclaw_contract.codes import WireCode
from ironclaw_contract.records import Message, Trouble
from ironclaw_contract.rpc import Failed, Generated

if TYPE_CHECKING:
    from ironclaw.testing.fakes_store import Conversation, CoreStore


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh boxes after milliseconds, not seconds."""
    monkeypatch.setattr("ironclaw.domain.lifecycle.BASE_DELAY_S", 0.005)


async def begun(core: Core) -> Conversation:
    """A conversation with a box that has answered once."""
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await until(lambda: core.sessions.box_state(talk.session) == "ready")
    return talk


def without_waiting(*, failures: int, progressed: bool, pending: bool) -> lifecycle.Next:
    step = lifecycle.after_end(failures=failures, progressed=progressed, pending=pending)
    return step._replace(delay_s=0.0) if isinstance(step, lifecycle.Retry) else step


async def hangs(core: Core, talk: Conversation) -> Message:
    """A message whose answer the model never gives; the box waits for it."""
    await core.hear(talk, "!hang")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")
    await until(lambda: core.box().todo)
    return core.box().todo[0]


# --- the airlock dies -----------------------------------------------------------------------------


async def test_a_dead_airlock_is_replaced_and_the_box_goes_on(core: Core):
    talk = await begun(core)
    core.link().die()
    await until(lambda: len(core.airlocks.links) == 2)
    await core.hear(talk, "two")

    said = await core.answered(talk, 2)

    assert "I remember 1 earlier message" in said[1]
    assert len(core.isolator.launches) == 1
    # Whether the former airlock had told it who it is, nobody can say.
    assert len(core.box().setups) == 2


async def test_what_a_dead_airlock_had_published_is_not_answered_twice(core: Core):
    """The box has the message, and the answer lies in the queue when the airlock dies."""
    talk = await begun(core)
    message = await hangs(core, talk)
    dead, box = core.link(), core.box()
    dead.die()
    dead.answer(message, "once")

    said = await core.answered(talk, 2)
    await core.hear(talk, "three")
    said = await core.answered(talk, 3)

    assert said[1] == "once"
    assert [each.text for each in box.messages] == ["one", "!hang", "three"]
    assert len(await core.store.ledger.backlog(talk.session)) == 0


async def test_a_call_under_way_is_asked_again_after_the_airlock_died(core: Core):
    talk = await begun(core)
    await core.hear(talk, "!slow 30\ntwo")
    await until(lambda: core.box().todo)
    core.link().die()

    assert len(await core.answered(talk, 2)) == 2
    assert len(core.airlocks.links) == 2


@pytest.mark.parametrize("steps", range(12))
async def test_a_message_at_any_moment_of_a_change_of_airlocks_is_answered_once(
    core: Core, steps: int
):
    talk = await begun(core)
    core.link().die()
    for _ in range(steps):
        await asyncio.sleep(0)
    await core.hear(talk, "two")
    core.sessions.wake(talk.session)
    for _ in range(steps):
        await asyncio.sleep(0)
    core.link().die()
    await core.hear(talk, "three")

    said = await core.answered(talk, 3)
    assert [text.split('"')[1] for text in said] == ["one", "two", "three"]
    assert len(core.isolator.launches) == 1


async def test_airlocks_that_keep_dying_take_the_box_along(core: Core):
    talk = await begun(core)
    for count in range(1, life.MAX_RELINKS + 2):
        core.link().die()
        await until(lambda count=count: len(core.airlocks.links) > count or count > 5)
    await core.hear(talk, "two")

    assert len(await core.answered(talk, 2)) == 2
    assert len(core.isolator.launches) == 2


async def test_a_box_that_never_rings_its_new_airlock_is_replaced(
    core: Core, monkeypatch: pytest.MonkeyPatch
):
    talk = await begun(core)
    monkeypatch.setattr(life, "RECONNECT_S", 0.01)
    core.airlocks.are_silent = True
    core.link().die()
    await until(lambda: core.slot() in core.isolator.discarded)
    core.airlocks.are_silent = False
    await core.hear(talk, "two")

    assert len(await core.answered(talk, 2)) == 2


# --- the box goes ---------------------------------------------------------------------------------


async def test_a_dead_box_is_replaced_by_one_that_knows_the_past(core: Core):
    talk = await begun(core)
    await hangs(core, talk)
    before = core.box()
    core.isolator.crash(core.slot(0))
    await until(lambda: len(core.isolator.launches) == 2 and core.box().todo)
    core.link().answer(core.box().todo[0], "back again")

    said = await core.answered(talk, 2)

    assert said[1] == "back again"
    assert core.box() is not before
    assert core.box().history[0].entries[0].text == "one"
    assert core.slot(0) in core.isolator.discarded


async def test_a_closed_bell_ends_the_box_unless_it_comes_back(
    core: Core, monkeypatch: pytest.MonkeyPatch
):
    talk = await begun(core)
    monkeypatch.setattr(life, "RECONNECT_S", 0.05)
    core.link().hang_up()
    core.link().arrive()
    await core.hear(talk, "two")
    await core.answered(talk, 2)
    assert len(core.isolator.launches) == 1

    core.link().hang_up()
    await until(lambda: core.isolator.discarded == [core.slot()])
    await core.hear(talk, "three")
    assert "I remember 2 earlier messages" in (await core.answered(talk, 3))[2]


async def test_a_box_that_only_complains_is_not_started_for_ever(core: Core, store: CoreStore):
    """Trouble is no progress: the session is parked, with a word."""
    talk = await store.begin()
    core.airlocks.complain = True
    await core.hear(talk, "one")

    said = await core.answered(talk, 1)

    assert await core.codes(talk.chat.id) == [Code.BOX_BROKEN]
    words = "The agent's sandbox failed 5 times in a row (trouble). "
    assert said == [words + "It starts again with your next message."]
    assert len(core.isolator.launches) == 5


async def test_a_box_that_lives_but_gets_nothing_done_is_replaced_and_at_last_parked(
    open_core: OpenCore, store: CoreStore, monkeypatch: pytest.MonkeyPatch
):
    """It answers its watchdog, so only the time without a commit tells."""
    monkeypatch.setattr("ironclaw.services.owner.after_end", without_waiting)
    core = await open_core(SessionLimits(turn_s=0.02))
    talk = await store.begin()
    core.airlocks.deaf = True
    await core.hear(talk, "one")

    said = await core.answered(talk, 1)

    assert said[0].startswith("The agent's sandbox failed 5 times in a row (hung).")
    assert await core.codes(talk.chat.id) == [Code.BOX_HUNG]
    assert len(core.isolator.launches) == 5


async def test_a_box_out_of_memory_fails_its_message_at_once(core: Core):
    """The same message in a fresh box would only do the same."""
    talk = await begun(core)
    await hangs(core, talk)
    core.isolator.crash(core.slot(), "oom")

    said = await core.answered(talk, 2)

    assert said[1].startswith("The agent took more memory than it may (256 MiB)")
    assert await core.codes(talk.chat.id) == ["", Code.BOX_OUT_OF_MEMORY]
    await core.hear(talk, "three")
    assert len(await core.answered(talk, 3)) == 3
    assert len(core.isolator.launches) == 2


# --- tampering ------------------------------------------------------------------------------------


async def test_tampering_stops_the_session_for_good_and_says_so(core: Core, store: CoreStore):
    talk = await begun(core)
    await hangs(core, talk)
    core.link().tamper("mac")

    said = await core.answered(talk, 2)

    assert said[1].startswith("This conversation was stopped: its sandbox broke the rules.")
    await until(lambda: core.sessions.box_state(talk.session) == "none")
    session = await store.registry.session(talk.session)
    assert (session.state, session.reason) == (SessionState.QUARANTINED, "mac")
    # The next message of this chat begins a session that knows nothing of this one.
    seat = Seat(talk.agent.id, session.partition, session.chat, session.thread)
    assert await store.registry.seated(seat) is None
    assert await core.isolator.survivors() == []
    await core.hear(talk, "two")
    assert (await core.answered(talk, 3))[2] == "This conversation is closed: mac."


async def test_an_answer_to_a_message_of_somebody_else_is_tampering(core: Core, store: CoreStore):
    talk = await begun(core)
    other = await store.begin(name="other", place="elsewhere")
    foreign = (await other.hear("secret")).message
    core.link().answer(Message(message=foreign.id, sender="x", text="x", at_ms=0, engage=True), "x")

    await until(lambda: core.isolator.discarded)
    session = await store.registry.session(talk.session)
    assert session.state is SessionState.QUARANTINED
    assert await core.replies(other.chat.id) == []


# --- the model ------------------------------------------------------------------------------------


async def test_a_cancelled_call_ends_with_a_word_and_frees_its_place(core: Core):
    talk = await begun(core)
    message = await hangs(core, talk)
    link = core.link()
    for call in range(100, 100 + 3 * calls.MAX_CALLS):
        # At once and after a while: the first ones have not even begun.
        link.ask(call, message)
        if call % 2:
            await asyncio.sleep(0)
        link.cancel(call)
        await until(lambda call=call: link.told and link.told[-1].call == call)

    assert {tell.code for tell in link.told if isinstance(tell, Failed)} == {WireCode.CANCELLED}


async def test_too_many_calls_at_once_are_refused_and_the_others_go_on(core: Core):
    talk = await begun(core)
    message = await hangs(core, talk)
    link = core.link()
    for call in range(100, 100 + calls.MAX_CALLS):
        link.ask(call, message)

    await until(lambda: any(isinstance(tell, Failed) for tell in link.told))

    refused = [tell for tell in link.told if isinstance(tell, Failed)]
    assert [(tell.call, tell.code) for tell in refused] == [
        (99 + calls.MAX_CALLS, WireCode.BUSY),
    ]


async def test_the_chat_sees_the_answer_grow_and_the_box_only_its_end(core: Core):
    talk = await begun(core)
    await core.hear(talk, "!say hello there\n!stream 2 1")
    await core.answered(talk, 2)

    assert [shown.split(": ")[1] for shown in core.announced.shown][-2:] == ["hello ", "there"]
    assert {type(tell) for tell in core.link().told} == {Generated}


# --- the end --------------------------------------------------------------------------------------


async def test_an_airlock_that_hangs_does_not_hold_up_the_end(open_core: OpenCore):
    core = await open_core()
    talk = await core.store.begin()
    core.airlocks.hang = True
    await core.hear(talk, "one")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")

    async with asyncio.timeout(1):
        await core.sessions.stop(talk.session)

    assert await core.replies(talk.chat.id) == ["Stopped on request."]
    assert await core.codes(talk.chat.id) == [Code.STOPPED]


async def test_trouble_is_logged_by_its_code_and_the_session_goes_on(core: Core):
    talk = await begun(core)
    core.link().emit(Trouble(code=WireCode.INTERNAL, text="a fault"))
    await until(lambda: core.isolator.discarded)
    await core.hear(talk, "two")
    assert "I remember 1 earlier message" in (await core.answered(talk, 2))[1]


class _Heard:
    """A log for a test: what was said at `warning`."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    def __getattr__(self, _level: str) -> object:
        return lambda *_event, **_fields: None


async def test_each_failed_turn_is_logged_by_its_code_and_without_a_word_of_it(
    core: Core, monkeypatch: pytest.MonkeyPatch
):
    heard = _Heard()
    monkeypatch.setattr(ends, "_log", heard)
    talk = await core.store.begin()
    by_box = await core.hear(talk, "!fail permanent")
    await core.answered(talk, 1)
    by_host = await core.hear(talk, "!hang")
    await until(lambda: core.box().todo)
    await core.sessions.stop(talk.session)

    assert heard.lines == [
        ("turn_failed", {"session": talk.session, "message": message.id, "code": code})
        for message, code in ((by_box, Code.MODEL_FAILED), (by_host, Code.STOPPED))
    ]
