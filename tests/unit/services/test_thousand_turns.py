"""A conversation of a thousand turns: flat in what the model reads, in work, and in memory.

Work is counted and not timed, so that what else a machine does changes nothing: statements of the
store and their steps, functions that are called, bytes that the box publishes.

The loop of the box, the ledger on a real store and the scripted model, without a wall between; the
box is killed now and then. `ironclaw bench` does the same with sealed boxes.
"""

from __future__ import annotations

import gc
import os
import sys
from statistics import mean
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import pytest

from ironclaw.bench.stats import rss_bytes
from ironclaw.core.clock import ManualClock
from ironclaw.core.ids import SessionId
from ironclaw.domain.wall import Outbound
from ironclaw.models.scripted import Scripted
from ironclaw.services.briefing import first_records, message_record
from ironclaw.services.parts import SessionLimits
from ironclaw.services.searching import Searching
from ironclaw.store.searching import Passages
from ironclaw.testing.fakes_store import Conversation, open_core_store
from ironclaw_agent.context import total
from ironclaw_agent.loop import Loop
from ironclaw_agent.turn import Publish
from ironclaw_contract.records import TurnEnd, encode_body
from ironclaw_contract.rpc import Cancel, Delta, Generate, Purpose

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from ironclaw_agent.turn import Command

TURNS = 1000
ROOM = 24 * 1024
_KILLED_EVERY = 75


class Work(NamedTuple):
    """What something took."""

    statements: int
    sql_steps: int
    """Of SQLite's virtual machine: what looks through more rows takes more of them."""
    function_calls: int
    """In Python, of this thread."""
    published_bytes: int


class Counter:
    """Counts the work of a box, of its store and of this thread.

    Args:
        box: Whose.
        monkeypatch: Undoes it.
    """

    def __init__(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        self._statements = self._steps = self._function_calls = 0
        self._box = box
        store = box.talk.core.store
        for name in ("read", "write"):
            monkeypatch.setattr(store, name, self._counting(getattr(store, name)))

    async def of(self, doing: Awaitable[None]) -> Work:
        """Have it done, and say what it took."""
        before = self._now()
        former = sys.getprofile()
        sys.setprofile(self._called)
        try:
            await doing
        finally:
            sys.setprofile(former)
        return Work(*(now - then for now, then in zip(self._now(), before, strict=True)))

    def _now(self) -> Work:
        return Work(self._statements, self._steps, self._function_calls, self._box.published_bytes)

    def _called(self, _frame: object, event: str, _of: object) -> None:
        self._function_calls += event in {"call", "c_call"}

    def _counting(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def traced(work: Callable[[apsw.Connection], Any]) -> Any:
            def counted(db: apsw.Connection) -> Any:
                db.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._ran)
                try:
                    return work(db)
                finally:
                    db.trace_v2(0, None)

            return run(counted)

        return traced

    def _ran(self, event: dict[str, Any]) -> None:
        self._statements += 1
        self._steps += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]


class Box:
    """A box without a wall: what it publishes is committed, what it asks is answered."""

    def __init__(self, talk: Conversation) -> None:
        self.talk = talk
        self.published_bytes = 0
        self.model = Scripted()
        self.calls: list[tuple[Purpose, int]] = []
        """Purpose and bytes of conversation of each model call."""
        self.summaries = 0
        self.reply = ""

    async def start(self) -> int:
        """A fresh box; returns the bytes that it is told of the past."""
        ledger, session = self.talk.core.ledger, self.talk.session
        await ledger.begin_epoch(session, workspace="w")
        past = await ledger.resume(session, limit_bytes=ROOM)
        self._seq = 0
        self.loop = Loop({})
        limits = SessionLimits(context_bytes=ROOM)
        for body in first_records(self.talk.agent, past, limits):
            self.loop.take(body)
        return total(past.entries) + len(past.summary)

    async def hear(self, text: str) -> None:
        accepted = await self.talk.hear(text)
        self.loop.take(message_record(accepted.message, place="here"))
        await self._do(self.loop.settle())
        while self.loop.is_due_for_summary:
            await self._do(self.loop.sum_up())

    async def _do(self, commands: list[Command]) -> None:
        todo = list(commands)
        while todo:
            command = todo.pop(0)
            if isinstance(command, Publish):
                self._seq += 1
                self.published_bytes += len(encode_body(command.body))
                hash_ = self._seq.to_bytes(32, "big")
                epoch = (await self.talk.core.registry.session(self.talk.session)).epoch
                out = Outbound(first_seq=self._seq, bodies=(command.body,), last_hash=hash_)
                await self.talk.core.ledger.commit(self.talk.session, epoch, out)
                self.summaries += not isinstance(command.body, TurnEnd)
                if isinstance(command.body, TurnEnd):
                    self.reply = command.body.says[0].text
            elif isinstance(command, Generate):
                self.calls.append((command.purpose, total(command.entries) + len(command.system)))
                events = self.model.generate(self.talk.agent, SessionId("s"), command)
                async for event in events:
                    if not isinstance(event, Delta):
                        todo += self.loop.told(event)
            else:
                assert isinstance(command, Cancel)


@pytest.mark.timeout(120)
async def test_a_thousand_turns_cost_what_ten_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        box = Box(await core.begin())
        counter = Counter(box, monkeypatch)
        taken: list[Work] = []
        told: list[int] = []
        early_rss = 0
        for number in range(TURNS):
            if number % _KILLED_EVERY == 0:
                told.append(await box.start())
            words = f"turn {number}: " + "something that people say at length " * 4
            text = "Fact: the garage code is 4711. Keep it." if number == 0 else words
            taken.append(await counter.of(box.hear(text)))
            if number == TURNS // 5:
                gc.collect()
                early_rss = rss_bytes(os.getpid())
        gc.collect()
        grown = rss_bytes(os.getpid()) - early_rss

        # The context stays within the window, whatever it is for; and so does what a box is told.
        assert max(size for purpose, size in box.calls if purpose is Purpose.TURN) <= ROOM + 8192
        assert max(size for _, size in box.calls) <= ROOM + 8192
        assert max(told) <= ROOM
        assert box.summaries > 10
        # The cost of a turn is flat: what a call reads, how many there are, and what is done.
        assert len(box.calls) < TURNS * 1.2
        early = [size for _, size in box.calls[100:300]]
        late = [size for _, size in box.calls[-200:]]
        assert sum(late) / len(late) < 1.3 * sum(early) / len(early)
        for what in Work._fields:
            first, last = (
                mean(getattr(one, what) for one in some) for some in (taken[100:300], taken[-200:])
            )
            assert 0 < last < 1.1 * first, what
        assert grown < 16 * 1024 * 1024
        # The first turn is long out of the window; what it said is not lost.
        await box.hear("!recall")
        assert "4711" not in box.reply
        await box.hear("!summary")
        assert "Fact: the garage code is 4711." in box.reply
        search = Searching(Passages(core.store, core.custodian), core.clock)
        done = await search.search(box.talk.session, "garage code", limit=5)
        assert done.whole
        assert all("the garage code is 4711" in one.excerpt for one in done.found)
        assert len(done.found) == 5
        # And nothing of it is gone from the ledger.
        kept = await core.chatlog.transcript(box.talk.session, limit=3 * TURNS)
        assert len(kept) == 2 * (TURNS + 2)
