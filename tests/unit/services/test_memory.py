"""Memories for people: where they are, as whom they are looked into, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.memories import MemoryAct, MemoryAnswer, MemoryAsk
from ironclaw.domain.model import Agent
from ironclaw.services.memory import MAX_FOREIGN, Memories
from ironclaw.testing.fake_trail import FakeTrail
from ironclaw.testing.fakes_sandbox import FakeIsolator

AGENT = Agent(id=AgentId("agt_a"), name="mind", created_ms=0)


class Confined:
    """Answers what a test says, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, int, MemoryAsk]] = []
        self.answer = MemoryAnswer(text=b"x", removed=2)
        self.boom: Exception | None = None

    async def memory(self, path: Path, *, uid: int, gid: int, ask: MemoryAsk) -> MemoryAnswer:
        del gid
        self.asked.append((path, uid, ask))
        if self.boom is not None:
            raise self.boom
        return self.answer


@pytest.fixture
def confined() -> Confined:
    return Confined()


@pytest.fixture
def trail() -> FakeTrail:
    return FakeTrail()


@pytest.fixture
def memories(tmp_path: Path, confined: Confined, trail: FakeTrail) -> Memories:
    async def find(_ref: str) -> Agent:
        return AGENT

    async def foreign(agent: AgentId, /, *, limit: int) -> tuple[str, ...]:
        assert (agent, limit) == (AGENT.id, MAX_FOREIGN)
        return ("ses_x",)

    return Memories(
        isolator=FakeIsolator(tmp_path),
        airlocks=confined,
        record=trail.append,
        agent=find,
        foreign=foreign,
    )


async def test_the_agents_own_directory_is_looked_into_as_its_owner(
    memories: Memories, confined: Confined, tmp_path: Path
) -> None:
    assert (await memories.read("mind", "birds")).data == b"x"
    ((path, uid, ask),) = confined.asked
    assert path == tmp_path / "memory" / "agt_a"
    assert uid == path.stat().st_uid
    assert ask == MemoryAsk(MemoryAct.READ, "birds", foreign=("ses_x",))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (MemoryAnswer(text=None), Code.NOT_FOUND),
        (MemoryAnswer(refused="no"), Code.INVALID),
        (MemoryAnswer(is_changed=True), Code.CONFLICT),
    ],
)
async def test_what_is_refused_says_why(
    memories: Memories, confined: Confined, answer: MemoryAnswer, code: Code
) -> None:
    confined.answer = answer
    with pytest.raises(UserError) as error:
        await memories.read("mind", "birds")
    assert error.value.code is code


async def test_nothing_is_edited_that_the_audit_could_not_take(
    memories: Memories, confined: Confined, trail: FakeTrail
) -> None:
    trail.boom = HostError(Code.STORE_FAILED, "full", hint="")
    with pytest.raises(HostError):
        await memories.edit("mind", "birds", b"x")
    assert confined.asked == []


async def test_a_purge_is_told_with_its_count(memories: Memories, trail: FakeTrail) -> None:
    done: Any = await memories.purge("mind", session="ses_a")  # type: ignore[arg-type] # a text
    assert done.notes == 2
    assert [(one.session, one.count) for one in trail.records] == [("ses_a", 2)]
