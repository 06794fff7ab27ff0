"""A core without its edges that changes an agent while its boxes run, and notes what they did.

    keeper … -- python reach_core.py STATE RUNTIME IMAGE PROBE DOCS RESULTS

IMAGE is a house's image directory, PROBE the root file system of the probe, DOCS a directory that
people share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from box_driver import RunscSubject
from msgspec import structs
from probe_rootfs import PROGRAM
from tests.support.cores import Core, until

from ironclaw.airlock.starter import AirlockStarter
from ironclaw.core import log
from ironclaw.domain.changes.base import ForgetSession, PutAgent
from ironclaw.domain.model import BoxLimits
from ironclaw.image.provision import current_rootfs
from ironclaw.sandbox.isolator import open_isolator
from ironclaw.services.memory import Purged
from ironclaw.services.parts import SessionLimits
from ironclaw.services.reaching import Reaching
from ironclaw.store.change_ops import Cause, execute
from ironclaw.testing.fakes_store import open_core_store
from ironclaw.testing.isolator_kit import prepared, shared
from ironclaw_contract.rpc import Use, Used

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.changes.base import Op
    from ironclaw.domain.model import Agent
    from ironclaw.domain.wall import Rootfs
    from ironclaw.testing.fakes_store import Conversation

SMALL = BoxLimits(memory_bytes=160 * 1024 * 1024)


class RealCore(Core):
    """The same core, on real boxes."""

    image_rootfs: Rootfs

    def _rootfs(self) -> Rootfs:
        return self.image_rootfs


class Tools:
    """A host tool that says that it was used."""

    async def use(self, agent: AgentId, session: SessionId, use: Use) -> Used:
        del agent, session
        return Used(use.call, f"the host did {use.tool}")


class Nothing:
    """No schedules, no notes."""

    async def rearm(self) -> None:
        """Nothing to arm."""

    async def purge(self, _agent: str, _session: str) -> Purged:
        """Nothing to take away."""
        return Purged(0, is_whole=True)


def mounts_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return {line.split()[4]: line.split()[5] for line in lines}


class Reached:
    """One conversation, and changes of its agent."""

    def __init__(self, core: RealCore, talk: Conversation, places: dict[str, Path]) -> None:
        self.core = core
        self.talk = talk
        self.agent: Agent = talk.agent
        self.count = 0
        self.places = places
        self.reach = Reaching(
            boxes=core.sessions,
            agents=core.store.registry,
            schedules=Nothing(),
            notes=Nothing(),
        )

    async def change(self, **fields: Any) -> float:
        """Write a change and reach what runs; seconds that this took."""
        self.agent = structs.replace(self.agent, **fields)
        return await self.tell(PutAgent(self.agent))

    async def tell(self, op: Op) -> float:
        began = time.monotonic()
        await self.core.store.registry._change(lambda db: execute(db, op, Cause(1)))
        await self.reach.reach([op])
        taken = time.monotonic() - began
        assert await self.reach.holds([op])
        return taken

    async def say(self, text: str) -> str:
        await self.core.hear(self.talk, text)
        return await self.next()

    async def next(self) -> str:
        self.count += 1
        return (await self.core.answered(self.talk, self.count))[-1]

    async def gofer_mounts(self) -> dict[str, str]:
        """What the box is given, as the kernel has it: place -> options."""
        (box,) = await self.core.isolator.survivors()
        return mounts_of(box.gofer)

    def files(self) -> int:
        """How many files the agent has written."""
        (workspace,) = (self.places["state"] / "workspace").iterdir()
        return len(list(workspace.iterdir()))


async def setup(it: Reached) -> dict[str, Any]:
    """Persona and tools reach a running box, and it goes on remembering."""
    first = await it.say("one")
    (box,) = await it.core.isolator.survivors()
    taken = await it.change(persona="You are a reached one.", tools=("clock", "write_file"))
    told = await it.say("!setup")
    again = await it.say("two")
    (same,) = await it.core.isolator.survivors()
    return {"first": first, "told": told, "again": again, "s": taken, "same": box == same}


async def model(it: Reached) -> dict[str, Any]:
    """The next call is the new model's."""
    await it.change(model="nobody:nothing")
    wrong = await it.say("three")
    code = (await it.core.codes(it.talk.chat.id))[-1]
    await it.change(model="scripted")
    return {"wrong": wrong, "code": code, "right": await it.say("four")}


async def host_tool(it: Reached) -> dict[str, Any]:
    """The socket of host tools comes and goes."""
    use = "!tool my_rights {}"
    before = await it.say(use)
    await it.change(tools=("write_file", "my_rights"))
    given = await it.say(use)
    await it.change(tools=("write_file",))
    return {"before": before, "given": given, "taken": await it.say(use)}


async def revoked(it: Reached) -> dict[str, Any]:
    """A turn that uses a tool again and again, from which that tool is taken."""
    lines = ["!slow 100"]
    lines += [f'!tool write_file {{"path": "r{n}", "text": "x"}}' for n in range(14)]
    await it.core.hear(it.talk, "\n".join(lines))
    await until(lambda: it.files() >= 3, "three files")
    taken = await it.change(tools=("clock",))
    reached = it.files()
    said = await it.next()
    return {"s": taken, "reached": reached, "end": it.files(), "said": said}


async def limits(it: Reached) -> dict[str, Any]:
    """A turn under way goes on in a fresh box with the new limits."""
    (box,) = await it.core.isolator.survivors()
    await it.core.hear(it.talk, "!slow 700\n!say done after all")
    await asyncio.sleep(0.3)
    await it.change(limits=SMALL)
    said = await it.next()
    (fresh,) = await it.core.isolator.survivors()
    spec = json.loads((it.places["runtime"] / "bundles" / fresh.slot / "config.json").read_text())
    return {
        "said": said,
        "memory": spec["linux"]["resources"]["memory"]["limit"],
        "fresh": fresh.slot != box.slot,
        "recall": await it.say("!recall"),
    }


async def mounts(it: Reached) -> dict[str, Any]:
    """A shared directory comes and goes."""
    before = await it.gofer_mounts()
    await it.change(mounts=(shared("docs", it.places["docs"]),))
    with_it = await it.say("with docs")
    shown = await it.gofer_mounts()
    await it.change(mounts=())
    gone = await it.core.isolator.survivors()
    without = await it.say("without docs")
    after = await it.gofer_mounts()
    points = sorted(p.name for p in (it.places["state"] / "shared" / it.agent.id).iterdir())
    return {
        "said": [with_it, without],
        "before": before,
        "shown": shown,
        "gone": len(gone),
        "after": after,
        "points": points,
    }


async def forgotten(it: Reached) -> dict[str, Any]:
    """Nothing is left of a forgotten conversation."""
    await it.tell(ForgetSession(it.talk.session, it.agent.id))
    return {
        "boxes": len(await it.core.isolator.survivors()),
        "workspaces": len(list((it.places["state"] / "workspace").iterdir())),
    }


async def probed(places: dict[str, Path]) -> dict[str, Any]:
    """What a program in a box can do with a shared directory."""
    isolator = await open_isolator(
        state_dir=places["state"], runtime_dir=places["runtime"], program_for_tests=PROGRAM
    )
    subject = RunscSubject(isolator, places["probe"])
    spec = await prepared(subject, mounts=(shared("docs", places["docs"]),))
    await subject.arm(spec.dir)
    try:
        box = await isolator.launch(spec)
        facts = await subject.hello(spec.dir)
        receipt = await isolator.prove(box, spec, facts)
        said = await subject.ask(spec.dir, b"?")
    finally:
        await isolator.discard(spec.dir.slot)
    return {"attempts": said["attempts"], "gofer": receipt.outside["gofer_mounts"]}


async def main() -> None:
    names = ("state", "runtime", "image", "probe", "docs", "results")
    places = dict(zip(names, map(Path, sys.argv[1:]), strict=True))
    log.configure(level="info", form="text", sink=sys.stderr)
    isolator = await open_isolator(state_dir=places["state"], runtime_dir=places["runtime"])
    found: dict[str, Any] = {}
    async with (
        open_core_store(places["state"] / "core") as store,
        AirlockStarter() as airlocks,
    ):
        core = RealCore(store, isolator, airlocks, SessionLimits())  # type: ignore[arg-type]
        core.image_rootfs = await current_rootfs(places["image"])
        async with core:
            core.sessions._parts = core.sessions._parts._replace(tools=Tools())
            it = Reached(core, await store.begin(), places)
            await it.change(pool_size=0)
            parts: dict[str, Callable[[], Awaitable[Any]]] = {
                part.__name__: (lambda part=part: part(it))
                for part in (setup, model, host_tool, revoked, limits, mounts, forgotten)
            }
            parts["probed"] = lambda: probed(places)
            for name, part in parts.items():
                try:
                    found[name] = {"value": await part(), "error": ""}
                except Exception:  # noqa: BLE001 - a result, asserted on by a test
                    found[name] = {"value": None, "error": traceback.format_exc()}
        found["failed"] = core.failed
    places["results"].write_text(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
