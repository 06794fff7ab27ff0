"""Runs in a nest, as a core would: one real box with its real airlock, and tools that come and go.

    keeper … -- python tools_driver.py STATE RUNTIME IMAGES RESULTS

The program in the box is the one of the image. Its setup names the tool all the time, so that only
the socket's presence decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ironclaw.airlock.starter import AirlockStarter
from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import BoxLimits
from ironclaw.domain.wall import (
    Asked,
    AskedTool,
    BoxArrived,
    Claim,
    Durable,
    KeyRead,
    LaunchSpec,
    Outbound,
)
from ironclaw.image.provision import current_rootfs
from ironclaw.sandbox.isolator import open_isolator
from ironclaw.testing.isolator_kit import fresh_slot
from ironclaw_contract.entries import Answered, Called, Returned
from ironclaw_contract.records import Message, Setup, Step, TurnEnd
from ironclaw_contract.rpc import Generate, Generated, Stop, Used

if TYPE_CHECKING:
    from ironclaw.airlock.link import Link
    from ironclaw.domain.wall import LinkEvent, SlotDir

_E = TypeVar("_E")
TOOL = "my_rights"


class Core:
    """What a core knows of one session."""

    def __init__(self, link: Link, starter: AirlockStarter, directory: SlotDir) -> None:
        self._starter = starter
        self._dir = directory
        self._key = os.urandom(32)
        self._out: tuple[int, bytes] = (0, b"")
        self._turns = 0
        self._early: list[LinkEvent] = []
        self.link = link

    async def expect(self, kind: type[_E]) -> _E:
        """The next event of that kind; what is said is committed.

        Records and questions come by different ways, in any order: the others are kept.
        """
        for early in self._early:
            if isinstance(early, kind):
                self._early.remove(early)
                return early
        async with asyncio.timeout(20):
            while True:
                event: LinkEvent | None = await self.link.receive()
                assert event is not None, "the airlock ended"
                if isinstance(event, Outbound):
                    self._out = (event.last_seq, event.last_hash)
                    await self.link.ack(event.last_seq)
                if isinstance(event, kind):
                    return event
                self._early.append(event)

    async def claim(self) -> None:
        await self.link.claim(Claim(SessionId("ses_tools"), 1, self._key, *self._out))

    async def call(self) -> None:
        """Begin a turn in which the model wants the tool."""
        self._turns += 1
        turn = f"msg_{self._turns}"
        await self.link.publish([Message(message=turn, sender="ann", text="what?", at_ms=1)])
        await self._generate(Called(call="c1", name=TOOL, arguments='{"a": 1}'), Stop.TOOL)

    async def result(self) -> list[object]:
        """What came of it; the turn ends."""
        while not isinstance((body := (await self.expect(Outbound)).bodies[0]), Step):
            pass
        (result,) = [entry for entry in body.entries if isinstance(entry, Returned)]
        await self._generate(Answered(text="so it is"), Stop.END)
        while not isinstance((await self.expect(Outbound)).bodies[-1], TurnEnd):
            pass
        return [result.text, result.is_error]

    async def serve(self, text: str) -> str:
        """Answer a use; what it was."""
        use = (await self.expect(AskedTool)).use
        await self.link.tell_tool(Used(call=use.call, text=text))
        return f"{use.tool} {use.arguments}"

    async def replace(self) -> None:
        """Kill the airlock and start the next one, which is told all that the first one was."""
        os.kill(self.link.pid, signal.SIGKILL)
        await self.link.close()
        self._early.clear()
        self.link = await self._starter.start(self._dir)
        await self.link.offer_tools(True)
        await self.expect(BoxArrived)
        await self.claim()

    async def _generate(self, entry: Called | Answered, stop: Stop) -> None:
        ask = (await self.expect(Asked)).ask
        assert isinstance(ask, Generate)
        await self.link.tell(Generated(call=ask.call, entries=(entry,), stop=stop))


async def steps(core: Core) -> dict[str, object]:
    """Never offered, offered, taken away, taken away within a call, offered by another airlock."""
    found: dict[str, object] = {}
    await core.call()
    found["before"] = await core.result()

    await core.link.offer_tools(True)
    await core.call()
    found["use"] = await core.serve("you may ask")
    found["offered"] = await core.result()

    await core.link.offer_tools(False)
    began = time.monotonic()
    await core.call()
    found["withdrawn"] = await core.result()
    found["withdrawn_s"] = time.monotonic() - began

    await core.link.offer_tools(True)
    await core.call()
    await core.expect(AskedTool)
    began = time.monotonic()
    await core.link.offer_tools(False)
    found["within"] = await core.result()
    found["within_s"] = time.monotonic() - began

    await core.link.offer_tools(True)
    await core.replace()
    await core.call()
    await core.serve("again")
    found["replaced"] = await core.result()
    return found


async def drive(state: Path, runtime: Path, images: Path) -> dict[str, object]:
    isolator = await open_isolator(state_dir=state, runtime_dir=runtime)
    slot = fresh_slot()
    spec = LaunchSpec(
        dir=await isolator.prepare(slot, lane=0),
        agent=AgentId("agt_tools"),
        rootfs=await current_rootfs(images),
        workspace=await isolator.durable(Durable.WORKSPACE, "one", lane=0),
        memory=await isolator.durable(Durable.MEMORY, "one", lane=0),
        shared=await isolator.durable(Durable.SHARED, "one", lane=0),
        limits=BoxLimits(),
    )
    async with contextlib.AsyncExitStack() as stack:
        starter = await stack.enter_async_context(AirlockStarter())
        core = Core(await starter.start(spec.dir), starter, spec.dir)
        stack.push_async_callback(isolator.discard, slot)
        box = await isolator.launch(spec)
        arrived = await core.expect(BoxArrived)
        assert arrived.hello.facts is not None
        await isolator.prove(box, spec, arrived.hello.facts)
        await core.claim()
        await core.expect(KeyRead)
        await core.link.publish([Setup(agent="tools", persona="", tools=(TOOL,))])
        try:
            return await steps(core)
        finally:
            await core.link.close()


async def main() -> None:
    state, runtime, images, results = (Path(word) for word in sys.argv[1:5])
    try:
        found: dict[str, object] = {"value": await drive(state, runtime, images), "error": ""}
    except Exception as error:  # noqa: BLE001 - a result, asserted on by a test
        detail = getattr(error, "detail", "")
        found = {"value": None, "error": f"{traceback.format_exc()}\n{detail}"}
    results.write_text(json.dumps(found))


asyncio.run(main())
