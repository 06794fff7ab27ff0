"""Slots: blank sandbox + airlock pairs, made ahead of time and claimed by sessions.

A box is always started blank and then claimed; a cold start is "make a slot, claim it at once".
The pool holds blank slots per agent, bound to the agent's launch spec; a slot is never used twice.

    take(agent) -> _make: prepare -> airlock -> launch -> hello -> prove -> Slot
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import structs

from ironclaw.core.errors import HostError, IronClawError, PostureError
from ironclaw.core.ids import SlotId, new_id
from ironclaw.core.log import get_logger
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.disk import check_limits
from ironclaw.domain.wall import Durable, LaunchSpec
from ironclaw.services.enclosing import in_words, start_enclosed
from ironclaw.services.freezing import Freezer
from ironclaw.services.hello import first_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.model import Agent
    from ironclaw.domain.ports import Audit
    from ironclaw.domain.statement import Receipt
    from ironclaw.domain.wall import AirlockLink, Airlocks, Box, Isolator, Rootfs, SlotDir
    from ironclaw.services.parts import Meters

REFILL_AFTER_S: Final = 0.2
"""From when a blank slot is taken to the start of the next: starting a box takes all of a small
machine, and whoever took the slot is being answered meanwhile."""

_log = get_logger("slots")


class Slot:
    """A running sandbox with its airlock. Owned by the pool until taken, then by one session."""

    def __init__(
        self,
        *,
        directory: SlotDir,
        box: Box,
        link: AirlockLink,
        freezer: Freezer,
        receipt: Receipt | None,
        workspace: str,
        made_of: object = None,
    ) -> None:
        self.directory = directory
        self.box = box
        self.freezer = freezer
        """Has the box stand still while it has nothing to do."""
        self.link = freezer.guard(link)
        self.receipt = receipt
        """None for an adopted slot: its receipt is stored already."""
        self.workspace = workspace
        self.made_of = made_of
        """What `Slots.fits` compares: a box that was made of something else is stale."""

    @property
    def id(self) -> SlotId:
        """The slot's id."""
        return self.directory.slot

    @property
    def is_fresh(self) -> bool:
        """Whether its workspace was made with it: nobody has put anything there yet."""
        return self.workspace == self.id and self.receipt is not None


class Slots:
    """Makes, keeps and ends slots."""

    def __init__(
        self,
        *,
        isolator: Isolator,
        airlocks: Airlocks,
        rootfs: Callable[[], Rootfs],
        audit: Audit,
        meters: Meters,
        clock: Clock,
        tasks: Tasks,
        freeze_after_s: float,
    ) -> None:
        self._isolator = isolator
        self._freeze_after_s = freeze_after_s
        self._airlocks = airlocks
        self._rootfs = rootfs
        self._audit = audit
        self._meters = meters
        self._clock = clock
        self._tasks = tasks
        self._blank: dict[AgentId, deque[Slot]] = {}
        self._targets: dict[AgentId, Agent] = {}
        self._refilling: set[AgentId] = set()
        # Starting boxes is CPU work of the machine: more at once makes each slower. Refills take
        # one of the two places at most, so that no person waits for the pool.
        self._making = asyncio.Semaphore(2)
        self._refills = asyncio.Semaphore(1)
        self._closed = False
        self._missing: set[str] = set()

    @property
    def weaker(self) -> tuple[str, ...]:
        """What some airlock of this core went without, in words; empty on a full host."""
        return in_words(sorted(self._missing))

    @property
    def blank(self) -> int:
        """Blank slots that wait."""
        return sum(len(slots) for slots in self._blank.values())

    def keep(self, agent: Agent) -> None:
        """Keep `agent.pool_size` blank slots of this agent from now on."""
        self._targets[agent.id] = agent
        self._refill(agent.id)

    async def refresh(self, agent: Agent) -> None:
        """The same, of an agent that has changed: blank slots that it would not get now are ended.

        Returns when they are; the new ones are made meanwhile.
        """
        self.keep(agent)
        waiting = self._blank.get(agent.id, deque())
        kept = [slot for slot in waiting if self.fits(slot, agent)][: agent.pool_size]
        ended = [slot for slot in waiting if slot not in kept]
        for slot in ended:
            waiting.remove(slot)
        for slot in ended:
            await self._release_blank(slot)
        self._refill(agent.id)

    def fits(self, slot: Slot, agent: Agent) -> bool:
        """Whether a slot launched for this agent now would be the same."""
        return slot.made_of == self._made_of(agent)

    def are_fitting(self, agent: Agent) -> bool:
        """Whether every blank slot of the agent is what would be launched now."""
        return all(self.fits(slot, agent) for slot in self._blank.get(agent.id, ()))

    def are_kept(self, agent: AgentId) -> bool:
        """Whether blank slots of the agent are kept, or any is there."""
        return agent in self._targets or bool(self._blank.get(agent))

    async def drop(self, agent: AgentId) -> None:
        """Stop keeping slots of this agent and end its blank ones: its spec has changed."""
        self._targets.pop(agent, None)
        for slot in self._blank.pop(agent, deque()):
            await self._release_blank(slot)

    async def take(self, agent: Agent, *, workspace: str) -> Slot:
        """Hand out a blank slot: a warm one for a new session, else a fresh one.

        Args:
            agent: Whose slot.
            workspace: Name of the session's workspace; empty for a session that has none yet.

        Raises:
            HostError: runsc, the image or the airlock failed; nothing is left behind.
            PeerError: The box did not say hello or its posture is wrong; the audit has it.
        """
        if not workspace and (slot := self._pop(agent)) is not None:
            self._refill(agent.id, after_s=REFILL_AFTER_S)
            return slot
        slot = await self._make(agent, workspace=workspace)
        # It works (again): so would a refill that has failed.
        self._refill(agent.id)
        return slot

    async def is_current(self, box: Box, agent: Agent, *, workspace: str) -> bool:
        """Whether a box that a former core made is what would be launched for its session now."""
        try:
            spec = await self._spec(agent, await self._isolator.reopen(box.slot), workspace)
            return await self._isolator.digest_for(spec) == box.spec_digest
        except IronClawError as error:
            # Whatever it was launched from, it could not be launched now.
            _log.warning("box_not_comparable", slot=box.slot, code=error.code)
            return False

    async def adopt(self, box: Box, agent: Agent, *, workspace: str) -> Slot:
        """Start an airlock on a slot that a former core made; its box runs on.

        Args:
            box: What runs.
            agent: Whose it is. What would be launched otherwise for it now `fits` nobody.
            workspace: Name of its session's workspace.

        Raises:
            HostError: The slot's directories or the airlock failed; the box is gone then.
        """
        try:
            directory = await self._isolator.reopen(box.slot)
            is_current = await self.is_current(box, agent, workspace=workspace)
            link = await self._airlock(directory)
        except BaseException:
            await self._isolator.discard(box.slot)
            raise
        return Slot(
            directory=directory,
            box=box,
            link=link,
            freezer=self._freezer(box, is_frozen=True),
            receipt=None,
            workspace=workspace,
            made_of=self._made_of(agent) if is_current else None,
        )

    async def relink(self, slot: Slot) -> None:
        """Replace a slot's dead airlock on the same directories."""
        await slot.link.close()
        slot.link = slot.freezer.guard(await self._airlock(slot.directory))

    async def release(self, slot: Slot) -> None:
        """End a slot: its box, its airlock, its directories. Durable files stay."""
        slot.freezer.stop()
        try:
            await self._isolator.discard(slot.id)
        finally:
            await slot.link.close()

    async def erase(self, workspace: str, agent: Agent) -> None:
        """Remove a workspace and all that is in it; nothing runs on it any more. Idempotent.

        What a box left there may be anything: a confined process with the box's own id empties it.

        Raises:
            HostError: `AIRLOCK_FAILED`: something in it does not go.
        """
        path = await self._isolator.durable(Durable.WORKSPACE, workspace, lane=agent.lane)
        owner = await asyncio.to_thread(path.lstat)
        await self._airlocks.sweep_path(path, uid=owner.st_uid, gid=owner.st_gid)
        await self._isolator.remove_empty(Durable.WORKSPACE, workspace)

    async def close(self) -> None:
        """End every blank slot."""
        self._closed = True
        for agent in list(self._blank):
            await self.drop(agent)

    async def _make(self, agent: Agent, *, workspace: str) -> Slot:
        async with self._making:
            began = self._clock.monotonic_s()
            name = SlotId(new_id("slt"))
            link: AirlockLink | None = None
            try:
                directory = await self._isolator.prepare(name, lane=agent.lane)
                link = await self._airlock(directory)
                spec = await self._spec(agent, directory, workspace or name)
                box = await self._isolator.launch(spec)
                facts = await first_facts(self._isolator, box, link, self._tasks)
                proof = await self._isolator.prove(box, spec, facts)
            except BaseException as error:
                taken_s = self._clock.monotonic_s() - began
                try:
                    await self._isolator.discard(name)
                    if not workspace:
                        await self._isolator.remove_empty(Durable.WORKSPACE, name)
                finally:
                    if link is not None:
                        await link.close()
                    if isinstance(error, IronClawError):
                        await self._refused(agent, name, error)
                        self._meters.launch(taken_s, outcome=error.code)
                raise
            self._meters.launch(self._clock.monotonic_s() - began)
            freezer = self._freezer(box)
            freezer.stirred()
            return Slot(
                directory=directory,
                box=box,
                link=link,
                freezer=freezer,
                receipt=structs.replace(
                    proof,
                    airlock_held=link.controls,
                    airlock_missing=link.missing,
                    weaker=(*proof.weaker, *in_words(link.missing)),
                ),
                workspace=workspace or name,
                made_of=(spec.rootfs.digest, spec.limits, spec.mounts, spec.skills),
            )

    def _freezer(self, box: Box, *, is_frozen: bool = False) -> Freezer:
        return Freezer(self._isolator, box, after_s=self._freeze_after_s, is_frozen=is_frozen)

    async def _airlock(self, directory: SlotDir) -> AirlockLink:
        link = await start_enclosed(self._isolator, self._airlocks, directory)
        self._missing.update(link.missing)
        return link

    async def _refused(self, agent: Agent, slot: SlotId, error: IronClawError) -> None:
        """Say in the audit that a launch was not proven."""
        entry = AuditEntry(
            event=AuditEvent.LAUNCH_REFUSED,
            agent=agent.id,
            slot=slot,
            code=error.code,
            words=error.checks if isinstance(error, PostureError) else (),
        )
        try:
            await self._audit.append(entry)
        except HostError as failure:
            # No session gets the launch either way; the first error says more to people.
            _log.error("audit_failed", audit=entry.event, slot=slot, code=failure.code)

    def _pop(self, agent: Agent) -> Slot | None:
        """The oldest blank slot that is what would be launched now; stale ones are ended."""
        waiting = self._blank.get(agent.id)
        while waiting:
            slot = waiting.popleft()
            if self.fits(slot, agent):
                return slot
            _log.info("stale_slot_ended", agent=agent.id, slot=slot.id)
            self._tasks.start(self._release_blank(slot), name=f"stale {slot.id}")
        return None

    def _made_of(self, agent: Agent) -> object:
        return (self._rootfs().digest, agent.limits, agent.mounts, agent.skills)

    async def _release_blank(self, slot: Slot) -> None:
        """End a slot that no session ever had, and its workspace if nothing is in it."""
        try:
            await self.release(slot)
        finally:
            await self._isolator.remove_empty(Durable.WORKSPACE, slot.workspace)

    async def _spec(self, agent: Agent, directory: SlotDir, workspace: str) -> LaunchSpec:
        check_limits(agent.limits)
        durable = self._isolator.durable
        return LaunchSpec(
            dir=directory,
            agent=agent.id,
            rootfs=self._rootfs(),
            workspace=await durable(Durable.WORKSPACE, workspace, lane=agent.lane),
            memory=await durable(Durable.MEMORY, agent.id, lane=agent.lane),
            shared=await durable(Durable.SHARED, agent.id, lane=agent.lane),
            limits=agent.limits,
            mounts=agent.mounts,
            skills=agent.skills,
        )

    def _refill(self, agent: AgentId, *, after_s: float = 0.0) -> None:
        if agent not in self._refilling and not self._closed:
            self._refilling.add(agent)
            self._tasks.start(self._fill(agent, after_s), name=f"refill {agent}")

    async def _fill(self, agent_id: AgentId, after_s: float) -> None:
        try:
            await asyncio.sleep(after_s)
            while self._wanted(agent_id):
                agent = self._targets[agent_id]
                if len(self._blank.get(agent_id, ())) >= agent.pool_size:
                    return
                async with self._refills:
                    slot = await self._make(agent, workspace="")
                if not self._wanted(agent_id):
                    await self._release_blank(slot)
                    return
                if not self.fits(slot, self._targets[agent_id]):
                    # The agent changed while it was made.
                    await self._release_blank(slot)
                    continue
                # Asked for again: `drop` may have taken the former queue away meanwhile.
                self._blank.setdefault(agent_id, deque()).append(slot)
                self._tasks.start(self._guard(agent_id, slot), name=f"guard {slot.id}")
        except IronClawError as error:
            # The next message of this agent will meet the same error and tell somebody.
            _log.warning("pool_refill_failed", agent=agent_id, code=error.code, detail=error.detail)
        finally:
            self._refilling.discard(agent_id)

    def _wanted(self, agent: AgentId) -> bool:
        return not self._closed and agent in self._targets

    async def _guard(self, agent: AgentId, slot: Slot) -> None:
        """Replace a blank slot whose box dies before anyone takes it."""
        await self._isolator.ended(slot.box)
        waiting = self._blank.get(agent)
        if waiting is not None and slot in waiting:
            waiting.remove(slot)
            await self._release_blank(slot)
            self._refill(agent)
