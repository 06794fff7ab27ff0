"""A conversation of a thousand turns: flat in what the model reads, in time, and in memory.

The loop of the box, the ledger on a real store and the scripted model, without a wall between; the
box is killed now and then. `ironclaw bench` does the same with sealed boxes.
"""

from __future__ import annotations

import gc
import os
import time
from statistics import median
from typing import TYPE_CHECKING

import pytest

from ironclaw.bench.stats import rss_bytes
from ironclaw.core.clock import ManualClock
from ironclaw.core.ids import SessionId
from ironclaw.domain.ports import Outbound
from ironclaw.models.scripted import Scripted
from ironclaw.services.briefing import first_records, message_record
from ironclaw.services.parts import SessionLimits
from ironclaw.services.searching import Searching
from ironclaw.store.searching import Passages
from ironclaw.testing.fakes_store import Conversation, open_core_store
from ironclaw_agent.context import total
from ironclaw_agent.loop import Loop
from ironclaw_agent.turn import Publish
from ironclaw_contract.records import TurnEnd
from ironclaw_contract.rpc import Cancel, Delta, Generate, Purpose

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw_agent.turn import Command

TURNS = 1000
ROOM = 24 * 1024
_KILLED_EVERY = 75


class Box:
    """A box without a wall: what it publishes is committed, what it asks is answered."""

    def __init__(self, talk: Conversation) -> None:
        self.talk = talk
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
async def test_a_thousand_turns_cost_what_ten_do(tmp_path: Path):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        box = Box(await core.begin())
        taken: list[float] = []
        told: list[int] = []
        early_rss = 0
        for number in range(TURNS):
            if number % _KILLED_EVERY == 0:
                told.append(await box.start())
            words = f"turn {number}: " + "something that people say at length " * 4
            text = "Fact: the garage code is 4711. Keep it." if number == 0 else words
            began = time.perf_counter()
            await box.hear(text)
            taken.append(time.perf_counter() - began)
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
        # The cost of a turn is flat: what a call reads, how many there are, and time.
        assert len(box.calls) < TURNS * 1.2
        early = [size for _, size in box.calls[100:300]]
        late = [size for _, size in box.calls[-200:]]
        assert sum(late) / len(late) < 1.3 * sum(early) / len(early)
        assert median(taken[-200:]) < 2 * median(taken[100:300])
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
