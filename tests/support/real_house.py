"""The real household and gateway on a real store; no boxes, nobody answers."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, cast

from tests.support.authorised import World

from ironclaw.api.app import create_app
from ironclaw.config.settings import Settings
from ironclaw.core.codes import Code
from ironclaw.core.tasks import Tasks
from ironclaw.domain.questions import TOOL
from ironclaw.domain.wall import Rootfs
from ironclaw.household import Household, Machine
from ironclaw.services.commands import LateCommands
from ironclaw.services.gateway.service import GatewayService, Parts
from ironclaw.services.guests import GuestBook, LateGuests
from ironclaw.services.hub import Hub
from ironclaw.services.questions import Questions
from ironclaw.services.router import Router
from ironclaw.services.schedules import Schedules
from ironclaw.services.usage import UsageDesk
from ironclaw.store.spent_rows import SpentRows
from ironclaw.store.task_rows import TaskRows
from ironclaw.store.token_rows import TokenRows
from ironclaw.testing.fake_trail import FakeTrail
from ironclaw.testing.fakes_memory import Shelf, memories
from ironclaw.testing.fakes_running import MemoryLooks, MemoryReach, MemoryTell, kept_skill
from ironclaw.testing.fakes_store import open_core_store, outbound, searching_of
from ironclaw.testing.receipts import sealed
from ironclaw_contract.entries import Called
from ironclaw_contract.records import Ask, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.core.ids import PrincipalId, SessionId
    from ironclaw.domain.model import Agent, Role


class NoBoxes:
    """Sessions and slots of a house whose boxes never run."""

    weaker: tuple[str, ...] = ()
    boxes = blank = frozen = 0

    def box_state(self, _session: SessionId) -> str:
        """There is none."""
        return "none"

    def is_frozen(self, _session: SessionId) -> bool:
        """None stands still either."""
        return False

    async def stop(self, _session: SessionId) -> None:
        """There is nothing to stop."""


@contextlib.asynccontextmanager
async def open_world(place: Path, settings: Settings | None = None) -> AsyncIterator[World]:
    """What the authorisation matrix is asked of, on a store in `place`."""
    failures: list[BaseException] = []
    async with (
        open_core_store(place) as core,
        Tasks("world", on_failure=lambda _name, error: failures.append(error)) as tasks,
    ):
        registry = core.registry
        trail = FakeTrail()
        boxes = cast("Any", NoBoxes())
        hub = Hub(core.chatlog)
        questions = Questions(
            book=core.ledger, hub=hub, wake=lambda _session, _message: None, clock=core.clock
        )
        guests = LateGuests()
        router = Router(
            directory=registry,
            intake=core.ledger,
            refusals=core.chatlog,
            keys=core.custodian,
            hub=hub,
            wake=lambda _session, _message: None,
            commands=LateCommands(),
            guests=guests,
            questions=questions,
        )
        gateway = GatewayService(
            Parts(
                store=registry,
                reach=MemoryReach(),
                tell=MemoryTell(),
                looks=MemoryLooks(core.clock),
                names=registry,
                record=trail.append,
                clock=core.clock,
                tasks=tasks,
            )
        )
        guests.real = GuestBook(gateway, core.clock)
        await gateway.resume()
        house = Household(
            past=searching_of(core),
            registry=registry,
            ledger=core.ledger,
            log_of_chats=core.chatlog,
            router=router,
            sessions=boxes,
            slots=boxes,
            audit=cast("Any", trail),
            hub=hub,
            machine=Machine(
                started_ms=core.clock.now_ms(),
                rootless=False,
                runtime_version="none",
                platform="systrap",
                rootfs=Rootfs(digest=f"sha256:{'0' * 64}", path=place),
                weaker=(),
            ),
            gateway=gateway,
            tasks=TaskRows(core.store),
            schedules=Schedules(book=TaskRows(core.store), teller=router, clock=core.clock),
            kept_skills=lambda: (kept_skill(),),
            questions=questions,
            memories=memories(Shelf(), record=trail.append, agent=registry.agent),
            usage=UsageDesk(
                book=SpentRows(core.store, core.custodian, core.clock),
                agents=registry,
                clock=core.clock,
                currency="USD",
            ),
        )
        tokens = await TokenRows.open(core.store, core.clock)
        numbers = itertools.count()

        async def give(principal: PrincipalId, role: Role, agent: Agent | None) -> None:
            await registry.give(principal, role, None if agent is None else agent.id)

        async def prove(session: SessionId) -> None:
            await registry.save_receipt(sealed(session, slot=f"slt_{next(numbers)}"))

        async def wonder(session: SessionId) -> str:
            # Each turn waits for its own question: whoever waited before is not answered any more.
            for message in (await core.ledger.backlog(session))[:-1]:
                await core.ledger.fail_message(message.id, text="Stopped.", code=Code.STOPPED)
            (message,) = await core.ledger.backlog(session)
            row = await registry.session(session)
            call = Called(call="c1", name=TOOL, arguments="{}")
            ask = Ask(call="c1", question="Shall I?", options=("yes", "no"), free_text=False)
            step = Step(turn=message.id, index=0, entries=(call,), asks=(ask,))
            out = outbound(row.out_seq + 1, step)
            (told,) = (await core.ledger.commit(session, row.epoch, out)).deliveries
            assert told.question is not None
            return told.question

        yield World(
            app=create_app(house, tokens, settings or Settings(), clock=core.clock),
            house=house,
            tokens=tokens,
            give=give,
            prove=prove,
            wonder=wonder,
            own=await registry.create_agent(name="helper", tools=(TOOL,)),
            other=await registry.create_agent(name="other", tools=(TOOL,)),
            new_name=lambda: f"n{next(numbers)}",
        )
        assert (hub.watching, gateway.watching) == (0, 0), "a subscription was left open"
    assert failures == []
