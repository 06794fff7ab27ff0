"""A core that tells tasks on real files until it is killed: the child of the crash test.

    python -m tests.support.task_driver STATE CAREFUL POINT HOW-OFTEN

Dies by SIGKILL at the n-th call of a point; if it does not come there, it ends when all is told.
Without CAREFUL (`0`) tasks are told under ids that are new each time: the weakened twin.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.clock import ManualClock
from ironclaw.core.ids import TaskId, new_id
from ironclaw.domain.model import Task
from ironclaw.services.commands import LateCommands
from ironclaw.services.hub import Hub
from ironclaw.services.router import Router
from ironclaw.services.schedules import Schedules
from ironclaw.store.task_rows import TaskRows, put_task
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import AgentId
    from ironclaw.domain.model import Event
    from ironclaw.services.house import Routed
    from ironclaw.testing.fakes_store import CoreStore

TASKS: Final = 24
DUE_MS: Final = 1_800_000_000_000
POINTS: Final = ("plan", "due", "tell", "settle")


class Mortal:
    """Passes every call on, and dies before or after the n-th one of a point."""

    def __init__(self, real: object, point: str, often: int, *, careful: bool) -> None:
        self._real = real
        self._point, _, self._when = point.partition(":")
        self._left = often
        self._careful = careful

    def __getattr__(self, name: str) -> object:
        method = getattr(self._real, name)

        async def call(*args: object, **fields: object) -> object:
            self._die(name, "before")
            result = await method(*args, **fields)
            self._die(name, "after")
            return result

        return call

    async def tell(self, event: Event, agent: AgentId, *, hops: int = 0) -> Routed:
        """As the router; a careless one gives an id that nobody has seen."""
        if not self._careful:
            event = msgspec.structs.replace(event, external_id=new_id("ext"))
        self._die("tell", "before")
        routed: Routed = await self._real.tell(event, agent, hops=hops)  # type: ignore[attr-defined]
        self._die("tell", "after")
        return routed

    def _die(self, name: str, when: str) -> None:
        if (name, when) == (self._point, self._when):
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


async def begin(core: CoreStore) -> None:
    """An agent with tasks that are all due at the same moment; once in the life of a store."""
    if await core.registry.agents():
        return
    talk = await core.begin()

    def work(db: apsw.Connection) -> None:
        for number in range(TASKS):
            put_task(
                db,
                Task(
                    id=TaskId(f"tsk_{number}"), agent=talk.agent.id, name=f"t{number}",
                    channel="api", platform_id="desk", prompt=f"do {number}", at_ms=DUE_MS,
                ),
            )  # fmt: skip

    await core.store.write(work)


async def live(state: Path, *, careful: bool, point: str, often: int) -> None:
    """One life of the core."""
    clock = ManualClock(DUE_MS + 1)
    async with open_core_store(state, clock=clock) as core:
        await begin(core)
        router = Router(
            directory=core.registry,
            intake=core.ledger,
            refusals=core.chatlog,
            keys=core.custodian,
            hub=Hub(core.chatlog),
            wake=lambda *_: None,
            commands=LateCommands(),
        )
        schedules = Schedules(
            book=Mortal(TaskRows(core.store), point, often, careful=careful),  # type: ignore[arg-type]
            teller=Mortal(router, point, often, careful=careful),
            clock=clock,
        )
        await schedules._look()


if __name__ == "__main__":
    asyncio.run(
        live(
            Path(sys.argv[1]),
            careful=sys.argv[2] == "1",
            point=sys.argv[3],
            often=int(sys.argv[4]),
        )
    )
