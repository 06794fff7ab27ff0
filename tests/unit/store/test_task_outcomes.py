"""What comes of the turns of tasks: counted, kept to themselves, paused when they fail for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.ids import TaskId
from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.model import Task
from ironclaw.domain.schedules import FAILURES, KeptTask, told_as
from ironclaw.store.task_rows import TaskRows, drop_task, put_task
from ironclaw.testing.fakes_store import Conversation, open_core_store, outbound
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Called, Returned
from ironclaw_contract.records import Say, Step, TurnEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.core.ids import MessageId
    from ironclaw.domain.ports import Committed

TASK = TaskId("tsk_report")


class Doing(NamedTuple):
    """A conversation in which a task is told again and again."""

    talk: Conversation

    async def keep(self, **fields: Any) -> None:
        task = Task(
            id=TASK, agent=self.talk.agent.id, name="report", channel="api",
            platform_id=self.talk.chat.platform_id, prompt="report", every_s=60, **fields,
        )  # fmt: skip
        await self.talk.core.store.write(lambda db: put_task(db, task))

    async def told(self, number: int) -> MessageId:
        accepted = await self.talk.hear("report", external_id=told_as(TASK, str(number)))
        return accepted.message.id

    async def end(
        self, number: int, *, failed: WireCode | None = None, says: str = ""
    ) -> Committed:
        """One whole turn of the task: the number of its record, too."""
        turn = await self.told(number)
        said = (Say(text=says, reply_to=turn),) if says else ()
        end = TurnEnd(turn=turn, index=0, entries=(), says=said, failed=failed)
        session = await self.talk.core.registry.session(self.talk.session)
        out = outbound(session.out_seq + 1, end)
        return await self.talk.core.ledger.commit(self.talk.session, 1, out)

    async def kept(self) -> KeptTask:
        (found,) = await TaskRows(self.talk.core.store).tasks()
        return found


@pytest.fixture
async def doing(tmp_path: Path) -> AsyncIterator[Doing]:
    async with open_core_store(tmp_path) as core:
        talk = await core.begin()
        await core.ledger.begin_epoch(talk.session, workspace="w")
        yield Doing(talk)


async def test_a_task_that_fails_so_often_in_a_row_is_paused_and_people_are_told(doing: Doing):
    await doing.keep()
    for number in range(FAILURES - 1):
        committed = await doing.end(number, failed=WireCode.MODEL_REFUSED)
        assert len(committed.deliveries) == 1
    assert not (await doing.kept()).task.paused
    committed = await doing.end(FAILURES, failed=WireCode.MODEL_REFUSED)
    failed, told = committed.deliveries
    assert failed.is_error
    assert (told.is_error, told.said_by, told.chat) == (False, "ironclaw", doing.talk.chat.id)
    assert "`ironclaw task resume helper report`" in told.text
    kept = await doing.kept()
    assert (kept.task.paused, kept.next_ms, kept.failures) == (True, None, FAILURES)
    record = (await doing.talk.core.audit.tail(limit=1))[0]
    assert (record.event, record.task, record.count) == (AuditEvent.TASK_PAUSED, TASK, FAILURES)

    # One that people have done once more says nothing new.
    again = await doing.end(9, failed=WireCode.MODEL_REFUSED)
    assert len(again.deliveries) == 1


async def test_one_that_works_in_between_begins_anew(doing: Doing):
    await doing.keep()
    for number in range(3 * FAILURES):
        fails = number % FAILURES
        await doing.end(number, failed=WireCode.INTERNAL if fails else None)
    kept = await doing.kept()
    assert (kept.task.paused, kept.failures) == (False, FAILURES - 1)


async def test_what_the_host_fails_counts_and_what_people_stop_does_not(doing: Doing):
    await doing.keep()
    ledger = doing.talk.core.ledger
    await ledger.fail_message(await doing.told(1), text="It broke.", code=Code.BOX_BROKEN)
    assert (await doing.kept()).failures == 1
    await ledger.fail_message(await doing.told(2), text="Stopped.", code=Code.STOPPED)
    assert (await doing.kept()).failures == 1


async def test_people_cannot_make_a_task_fail(doing: Doing):
    await doing.keep()
    await doing.end(1, failed=WireCode.INTERNAL)
    accepted = await doing.talk.hear("hello", external_id="task:tsk_report:1")
    await doing.talk.core.ledger.fail_message(
        accepted.message.id, text="It broke.", code=Code.BOX_BROKEN
    )
    assert (await doing.kept()).failures == 1


async def test_a_task_that_is_gone_is_counted_for_nobody(doing: Doing):
    await doing.keep()
    turn = await doing.told(1)
    await doing.talk.core.store.write(lambda db: drop_task(db, TASK))
    done = await doing.talk.core.ledger.fail_message(turn, text="It broke.", code=Code.BOX_BROKEN)
    assert len(done.deliveries) == 1


@pytest.mark.parametrize(
    ("quiet", "says", "delivered"),
    [
        (True, "NOTHING TO REPORT", 0),
        (True, "  NOTHING TO REPORT\n", 0),
        (True, "Nothing to report", 1),
        (True, "NOTHING TO REPORT, but for this.", 1),
        (False, "NOTHING TO REPORT", 1),
    ],
)
async def test_a_quiet_task_delivers_nothing_when_there_is_nothing(
    doing: Doing, quiet: bool, says: str, delivered: int
):
    await doing.keep(quiet=quiet)
    committed = await doing.end(1, says=says)
    assert len(committed.deliveries) == delivered
    assert len(committed.answered) == 1


@pytest.mark.parametrize(("says", "delivered"), [("NOTHING TO REPORT", 0), ("Still at it.", 1)])
async def test_nor_does_it_while_it_works(doing: Doing, says: str, delivered: int):
    await doing.keep(quiet=True)
    turn = await doing.told(1)
    entries = (Called("c", "tell", "{}"), Returned("c", "said"))
    step = Step(turn=turn, index=0, entries=entries, says=(Say(text=says, reply_to=turn),))
    committed = await doing.talk.core.ledger.commit(doing.talk.session, 1, outbound(1, step))
    assert len(committed.deliveries) == delivered


async def test_a_person_hears_the_same_words_of_an_agent_as_ever(doing: Doing):
    await doing.keep(quiet=True)
    turn = (await doing.talk.hear("anything new?")).message.id
    end = TurnEnd(
        turn=turn, index=0, entries=(), says=(Say(text="NOTHING TO REPORT", reply_to=turn),)
    )
    committed = await doing.talk.core.ledger.commit(doing.talk.session, 1, outbound(1, end))
    assert len(committed.deliveries) == 1
