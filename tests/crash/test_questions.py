"""An answer under kill -9: kept whole or not at all, and told by whoever comes next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ironclaw.core.ids import MessageId, PrincipalId, QuestionId, SessionId
from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.questions import TOOL
from ironclaw.services.hub import Hub
from ironclaw.services.questions import Questions
from ironclaw.testing.fakes_store import CoreStore, open_core_store, outbound
from ironclaw_contract.entries import Called
from ironclaw_contract.records import Ask, Step

ROOT = Path(__file__).parents[2]

CLI = PrincipalId("api:cli")

pytestmark = pytest.mark.crash


async def begin(state: Path) -> tuple[SessionId, QuestionId]:
    """A turn that waits for people."""
    async with open_core_store(state) as core:
        talk = await core.begin()
        agent = await core.registry.create_agent(name="asker", tools=(TOOL,))
        await core.store.write(
            lambda db: db.execute(
                "UPDATE session SET agent = ? WHERE id = ?", (agent.id, talk.session)
            )
        )
        await core.ledger.begin_epoch(talk.session, workspace="w")
        heard = await talk.hear("go")
        call = Called(call="c1", name=TOOL, arguments="{}")
        body = Step(turn=heard.message.id, index=0, entries=(call,), asks=(Ask("c1", "Who?"),))
        (told,) = (await core.ledger.commit(talk.session, 1, outbound(1, body))).deliveries
        assert told.question is not None
        return talk.session, told.question


async def answer(core: CoreStore, question: QuestionId, *, dies: bool) -> MessageId | None:
    """Answer it; a core that dies does so when it is about to tell anybody."""

    def wake(_session: SessionId, _message: object) -> None:
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    questions = Questions(book=core.ledger, hub=Hub(core.chatlog), wake=wake, clock=core.clock)
    return (await questions.answer(question, "me", principal=CLI)).turn


async def live(state: Path, question: str, when: str) -> None:
    """One life of a core that dies before the answer is kept, or right behind that."""
    async with open_core_store(state) as core:
        if when == "before":
            write = core.store.write

            async def dying(work: object) -> object:
                del work
                os.kill(os.getpid(), signal.SIGKILL)
                return await write(lambda _db: None)

            core.store.write = dying
        await answer(core, QuestionId(question), dies=True)


def end_of_life(state: Path, question: str, when: str) -> int:
    """How a core that dies so has ended."""
    words = "import asyncio, sys; from pathlib import Path; from tests.crash import test_questions"
    words += " as t; asyncio.run(t.live(Path(sys.argv[1]), *sys.argv[2:]))"
    done = subprocess.run(
        [sys.executable, "-c", words, str(state), question, when],
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    return done.returncode


@pytest.mark.timeout(60)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_kill_9_around_an_answer_loses_none_and_counts_none_twice(tmp_path: Path, when: str):
    session, question = await begin(tmp_path)
    assert end_of_life(tmp_path, question, when) == -signal.SIGKILL
    async with open_core_store(tmp_path) as core:
        kept = await core.ledger.answers(session)
        # Nobody was told; but whoever comes next finds the turn among those that can go on.
        assert await core.registry.waiting() == ([session] if when == "after" else [])
        if when == "before":
            assert kept == []
            await answer(core, question, dies=False)
            kept = await core.ledger.answers(session)
        assert [one.text for one in kept] == ["me\n(answered by cli)"]
        told = [one.event for one in await core.audit.tail(limit=9)]
        assert told.count(AuditEvent.QUESTION_ANSWERED) == 1
