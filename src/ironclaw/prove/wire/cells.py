"""A box with a hostile agent in it and production's own airlock before it: what the queue is for.

The slot is made, proven and claimed as the pool and a session do it. Orders go in as messages of
people; what comes of them is what the airlock tells the core. An airlock that has caught the box is
replaced on the same directories, as production replaces one that died, so that one box serves many
attacks.

    open_cell -> order(attack) -> Outbound | Tampered | its end | silence -> a word
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PeerError
from ironclaw.core.ids import AgentId, SessionId, SlotId, new_id
from ironclaw.core.log import get_logger
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import BoxLimits
from ironclaw.domain.wall import (
    Asked,
    BoxArrived,
    BoxGone,
    Claim,
    Durable,
    LaunchSpec,
    Outbound,
    Tampered,
)
from ironclaw.prove.lab.opened import LANE
from ironclaw.prove.lab.tree import program
from ironclaw.prove.model import ERROR
from ironclaw_contract.codes import WireCode
from ironclaw_contract.records import Message, Step, TurnEnd
from ironclaw_contract.rpc import Failed, Generate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ironclaw.airlock.link import Link
    from ironclaw.airlock.starter import AirlockStarter
    from ironclaw.domain.wall import Box, LinkEvent, SlotDir
    from ironclaw.prove.box.weak import Weakening
    from ironclaw.prove.lab.opened import Lab
    from ironclaw_contract.records import OutboundBody
    from ironclaw_contract.rpc import ModelAsk, ModelTell

_log = get_logger("prove")

AGENT: Final = AgentId("agt_cell")
TAMPER: Final = "tamper:"
TAKEN: Final = "taken"
"""The airlock believed a record that was forged."""
ENDED: Final = "airlock ended"
SILENCE: Final = "no answer"
_HELLO_S: Final = 30.0
_AGAIN_S: Final = 10.0
"""For the agent to notice that its airlock was replaced."""
_AGENT_SHARE: Final = 0.6
"""Of the core's patience is the agent's own: then it says that it was not served."""
_EPOCH: Final = 1


class Position(NamedTuple):
    """How far the core has committed what the box said."""

    epoch: int = _EPOCH
    seq: int = 0
    last: bytes = b""


async def _busy(ask: Generate) -> ModelTell:
    return Failed(call=ask.call, code=WireCode.BUSY, text="busy")


class Cell:
    """One claimed box whose program is hostile."""

    def __init__(
        self,
        *,
        airlocks: AirlockStarter,
        directory: SlotDir,
        box: Box,
        link: Link,
        patience_s: float,
    ) -> None:
        self._airlocks = airlocks
        self._session = SessionId(new_id("ses"))
        self._key = secrets.token_bytes(32)
        self._position = Position()
        self._is_claimed = False
        self._is_alive = False
        """The agent has begun with the present order."""
        self.directory = directory
        self.box = box
        self.end: asyncio.Future[str] | None = None
        """Done when the box has ended: why, in a word."""
        self.link = link
        self.patience_s = patience_s
        """Seconds without any event after which the airlock is taken to be silent."""
        self.asks: list[ModelAsk] = []
        """What the box asked of the model during the present order."""
        self.answer: Callable[[Generate], Awaitable[ModelTell | None]] = _busy
        """What the core says to a question."""
        """The airlock's account when the present order was given."""

    async def claim(self) -> None:
        """Give the airlock its session, at the position that the core has committed."""
        place = self._position
        await self.link.claim(Claim(self._session, place.epoch, self._key, place.seq, place.last))
        self._is_claimed = True

    async def order(
        self,
        attack: str,
        *,
        at_step: Callable[[Cell], str] | None = None,
        patience_s: float | None = None,
        **args: object,
    ) -> str:
        """Have an attack carried out; return what came of it.

        Args:
            attack: Name of the attack, as the agent knows it.
            at_step: Looks at the host when the agent says that its attack is going on; what it
                returns is the outcome of an attack that ends with `held`.
            patience_s: Another patience than the cell's.
            args: What the attacker is told.

        Raises:
            HostError: The airlock could not be replaced.
            TimeoutError: The box does not come back.
        """
        if not self._is_claimed:
            await self.renew()
        self.asks, self._is_alive = [], False
        wait_s = _AGENT_SHARE * (patience_s or self.patience_s)
        turn = new_id("msg")
        told = {
            "attack": attack,
            "args": args | {"wait_s": wait_s},
            "seq": self._position.seq,
            "last": self._position.last.hex(),
        }
        text = json.dumps(told)
        await self.link.publish((Message(message=turn, sender="prove", text=text, at_ms=1),))
        word = await self._outcome(turn, at_step, patience_s or self.patience_s)
        if word == SILENCE and not self._is_alive and not os.listdir(self.directory.path / "out"):  # noqa: PTH208 - names alone
            word = f"{ERROR}nothing was heard of the attack"
        if word in {SILENCE, ENDED} or word.startswith((TAMPER, ERROR)):
            self._is_claimed = False
        return word

    async def order_in_epoch(self, epoch: int, attack: str) -> str:
        """Have an attack carried out at the very beginning of another life of the session.

        Raises:
            HostError, TimeoutError: As `order`.
        """
        before, self._position = self._position, Position(epoch=epoch)
        self._is_claimed = False
        try:
            return await self.order(attack)
        finally:
            self._position = before
            self._is_claimed = False

    def must_live(self) -> None:
        """Raise PeerError when the box has ended: nobody is left to greet another airlock."""
        if self.end is not None and self.end.done():
            raise PeerError(
                Code.BOX_BROKEN,
                "The box of the attacks has ended, so the rest of them say nothing.",
                hint="Run it again; if it happens again, report it.",
                detail=f"why: {self.end.result()}",
            )

    async def renew(self) -> None:
        """Replace the airlock, as production does with one that is gone.

        Raises:
            HostError: It could not be had.
            TimeoutError: The box does not say hello to it.
        """
        await self.replace()
        await self._arrival(_AGAIN_S)
        # Only now has the attack come to its end: the agent has gone back to its orders.
        await self._airlocks.sweep(self.directory)
        await self.claim()

    async def replace(self) -> None:
        """Put a fresh airlock in the old one's place, with no session yet. Raises HostError."""
        await self.link.close()
        self._is_claimed = False
        self.link = await self._airlocks.start(self.directory)

    async def heard(self, seconds: float) -> LinkEvent | None:
        """The next event, or None for an airlock that ended.

        Raises:
            TimeoutError: There is none in time.
        """
        async with asyncio.timeout(seconds):
            return await self.link.receive()

    async def _arrival(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not isinstance(event := await self.link.receive(), BoxArrived):
                if not isinstance(event, BoxGone):
                    raise PeerError(
                        Code.BOX_BROKEN, "The probe did more than say hello.", detail=repr(event)
                    )

    async def _outcome(
        self, turn: str, at_step: Callable[[Cell], str] | None, patience_s: float
    ) -> str:
        seen = ""
        try:
            while (event := await self.heard(patience_s)) is not None:
                match event:
                    case Tampered(reason):
                        return TAMPER + reason
                    case Outbound(bodies=bodies):
                        self._is_alive = True
                        if at_step is not None and isinstance(bodies[0], Step):
                            seen = at_step(self)
                        await self._commit(event)
                        if (word := _said(bodies, turn)) is not None:
                            return seen if word == "held" else word
                    case Asked(ask):
                        self.asks.append(ask)
                        if isinstance(ask, Generate) and (told := await self.answer(ask)):
                            await self.link.tell(told)
                    case _:
                        pass
        except TimeoutError:
            return SILENCE
        return ENDED

    async def _commit(self, event: Outbound) -> None:
        self._position = self._position._replace(seq=event.last_seq, last=event.last_hash)
        await self.link.ack(event.last_seq)


def _said(bodies: tuple[OutboundBody, ...], turn: str) -> str | None:
    """The word of the end of a turn; None when it is not over."""
    for body in bodies:
        if isinstance(body, TurnEnd):
            if body.turn == turn and body.says:
                return body.says[0].text
            return TAKEN
        if body != Step(turn=turn, index=0, entries=()):
            return TAKEN
    return None


@contextlib.asynccontextmanager
async def open_cell(
    lab: Lab,
    *,
    airlocks: AirlockStarter | None = None,
    weakening: Weakening | None = None,
    patience_s: float = 10.0,
) -> AsyncIterator[Cell]:
    """Launch a hostile agent behind an airlock and claim it; end both on leaving.

    Raises:
        IronClawError: The launch failed, or what is launched as production does was not proven.
        TimeoutError: It did not say hello.
    """
    starter = airlocks or lab.airlocks
    isolator = await lab.another_isolator(program("agent"))
    slot = SlotId(new_id("slt"))
    taken = isolator.weakened(weakening, lab) if weakening else contextlib.nullcontext()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(isolator.discard, slot)
        with taken:
            directory = await isolator.prepare(slot, lane=LANE)
            link = await starter.start(directory)
            launch = LaunchSpec(
                dir=directory,
                agent=AGENT,
                rootfs=lab.probe,
                workspace=await isolator.durable(Durable.WORKSPACE, slot, lane=LANE),
                memory=await isolator.durable(Durable.MEMORY, AGENT, lane=LANE),
                shared=await isolator.durable(Durable.SHARED, AGENT, lane=LANE),
                limits=BoxLimits(),
            )
            try:
                box = await isolator.launch(launch)
                hello = await _first(link)
            except BaseException:
                await link.close()
                raise
        cell = Cell(
            airlocks=starter, directory=directory, box=box, link=link, patience_s=patience_s
        )
        stack.push_async_callback(_close, cell)
        tasks = await stack.enter_async_context(Tasks("cell", on_failure=_note))
        cell.end = tasks.start(isolator.ended(box), name="box end")
        if weakening is None and hello.hello.facts is not None:
            await isolator.prove(box, launch, hello.hello.facts)
        await cell.claim()
        yield cell


async def _first(link: Link) -> BoxArrived:
    async with asyncio.timeout(_HELLO_S):
        event = await link.receive()
    if not isinstance(event, BoxArrived):
        raise HostError(
            Code.AIRLOCK_FAILED, "The probe said no hello.", hint="", detail=repr(event)
        )
    return event


def _note(name: str, error: BaseException) -> None:
    _log.warning("task_failed", task=name, error=repr(error))


async def _close(cell: Cell) -> None:
    await cell.link.close()
