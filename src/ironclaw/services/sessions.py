"""Sessions: one owner per session that has work, and the table of owners.

`wake` is called after a message became durable. The owner brings a box, gives it the past and the
backlog, takes in what comes back, and lets the box go when it has been idle for a while. A session
without an owner costs nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, TypeVar

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.model import SessionState
from ironclaw.services.owner import Owner

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.model import Agent, Message, Session
    from ironclaw.domain.wall import Box
    from ironclaw.services.parts import SessionParts

_log = get_logger("sessions")

_T = TypeVar("_T")

BoxState = Literal["none", "starting", "ready", "busy", "stopping"]


class _Hold:
    """A session that nobody may begin to work on."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.users = 0
        self.woken = False


class Sessions:
    """The table of session owners."""

    def __init__(self, parts: SessionParts, tasks: Tasks) -> None:
        self._parts = parts
        self._tasks = tasks
        self._owners: dict[SessionId, Owner] = {}
        self._holds: dict[SessionId, _Hold] = {}
        self._closed = False
        # Pulsed whenever a box becomes idle or ends: all who wait for room look again.
        self._changed = asyncio.Event()

    @property
    def boxes(self) -> int:
        """Sessions that have a box now."""
        return sum(owner.has_box for owner in self._owners.values())

    @property
    def frozen(self) -> int:
        """Those of them whose box stands still."""
        return sum(owner.is_frozen for owner in self._owners.values())

    @property
    def weaker(self) -> tuple[str, ...]:
        """What does not hold of boxes now, in words."""
        return self._parts.guard.weaker

    def box_state(self, session: SessionId) -> BoxState:
        """What the session's box does now."""
        owner = self._owners.get(session)
        return "none" if owner is None else owner.state

    def is_frozen(self, session: SessionId) -> bool:
        """Whether the session's box stands still, as it has nothing to do."""
        owner = self._owners.get(session)
        return owner is not None and owner.is_frozen

    def wake(self, session: SessionId, message: Message | None = None) -> None:
        """Something durable waits for this session. Joins the work that is under way.

        Args:
            session: Whose it is.
            message: What it is, when it is one new message. Context alone starts no box.
        """
        if self._closed:
            return
        owner = self._owners.get(session)
        if owner is None:
            if message is not None and not message.engage:
                return
            if (hold := self._holds.get(session)) is not None:
                hold.woken = True
                return
            owner = self._start(session, adopted=None)
        owner.wake(message)

    async def adopt(self, boxes: list[Box]) -> None:
        """After a restart: take over the boxes that still run, end those nobody needs.

        A box that would be launched otherwise now is ended too: its agent may have changed while
        nobody was there to replace it. What waits for it goes on in a fresh one.
        """
        for box in boxes:
            session = await self._parts.registry.session_of_slot(box.slot)
            if session is None or not await self._is_wanted(box, session):
                await self._parts.isolator.discard(box.slot)
                continue
            _log.info("box_adopted", session=session.id, slot=box.slot)
            self._start(session.id, adopted=box).wake(None)

    async def stop(self, session: SessionId) -> None:
        """Kill the session's box now. Messages it was working on fail with a word."""
        owner = self._owners.get(session)
        if owner is not None:
            await owner.stop()

    async def interrupt(self, session: SessionId, work: Callable[[], Awaitable[_T]]) -> _T:
        """Kill the session's box now, and do `work` before anybody works on the session again.

        What waits is not lost: a fresh box takes it up when the work is done, however it ends.

        Returns:
            What `work` returned.
        """
        hold = self._holds.setdefault(session, _Hold())
        hold.users += 1
        try:
            async with hold.turn:
                if (owner := self._owners.get(session)) is not None:
                    await owner.retire()
                return await work()
        finally:
            hold.users -= 1
            if not hold.users:
                del self._holds[session]
                if hold.woken:
                    self.wake(session)

    async def refresh(self, agent: Agent) -> None:
        """An agent has changed: bring its boxes, blank ones too, to what it is now.

        Returns when every running box has been told or replaced, and what was taken from the agent
        is gone from all of them. Idempotent.

        Args:
            agent: As it is in the registry now.

        Raises:
            IronClawError: A box could not be told or ended; it may be called again.
        """
        slots = self._parts.slots
        blank = slots.drop(agent.id) if agent.archived else slots.refresh(agent)
        await self._end([blank, *(owner.refresh(agent) for owner in self._of(agent.id))])

    def resize(self) -> None:
        """How much models read at once is known better than before: tell the boxes it concerns."""
        for owner in self._owners.values():
            owner.resize()

    def is_at(self, agent: Agent) -> bool:
        """Whether `refresh` would change nothing."""
        slots = self._parts.slots
        if agent.archived:
            has_box = any(owner.has_box for owner in self._of(agent.id))
            return not has_box and not slots.are_kept(agent.id)
        return slots.are_fitting(agent) and all(o.is_at(agent) for o in self._of(agent.id))

    async def forget(self, session: SessionId) -> None:
        """End the box of a session that is forgotten; destroy its keys and its workspace.

        Each step may be repeated, so it may be called again whatever became of the first time.

        Raises:
            UserError: `NOT_FOUND`.
            HostError: Something of the workspace does not go (`AIRLOCK_FAILED`), or the store.
        """
        if (owner := self._owners.get(session)) is not None:
            await owner.retire()
        row = await self._parts.registry.session(session)
        await self._parts.custodian.forget(session)
        if row.workspace:
            agent = await self._parts.registry.agent(row.agent)
            await self._parts.slots.erase(row.workspace, agent)

    def is_forgotten(self, session: SessionId) -> bool:
        """Whether the session has no box and no key."""
        owner = self._owners.get(session)
        if owner is not None and owner.has_box:
            return False
        try:
            self._parts.custodian.key(session)
        except HostError as error:
            return error.code is Code.KEY_UNUSABLE
        return False

    async def make_room(self) -> None:
        """Wait until one more box may run; the longest idle one is let go for it."""
        while self.boxes >= self._parts.limits.max_boxes:
            idle = [owner for owner in self._owners.values() if owner.state == "ready"]
            if idle:
                await min(idle, key=lambda owner: owner.idle_since).retire()
            else:
                await self._changed.wait()

    async def close(self) -> None:
        """Stop every box, all at once; nothing is lost, the ledger has it all."""
        self._closed = True
        await self._end(owner.retire() for owner in self._owners.values())

    async def _is_wanted(self, box: Box, session: Session) -> bool:
        if session.state is not SessionState.ACTIVE:
            return False
        agent = await self._parts.registry.agent(session.agent)
        return not agent.archived and await self._parts.slots.is_current(
            box, agent, workspace=session.workspace
        )

    async def _end(self, endings: Iterable[Coroutine[None, None, None]]) -> None:
        """Do all at once, each to its end. Raises the first error of ours."""
        errors: list[IronClawError] = []
        async with asyncio.TaskGroup() as group:
            for number, ending in enumerate(list(endings)):
                group.create_task(_noted(ending, errors), name=f"sessions/end {number}")
        if errors:
            raise errors[0]

    def _of(self, agent: AgentId) -> list[Owner]:
        return [owner for owner in self._owners.values() if owner.agent_id == agent]

    def _pulse(self) -> None:
        self._changed.set()
        self._changed.clear()

    def _start(self, session: SessionId, *, adopted: Box | None) -> Owner:
        owner = Owner(
            session,
            self._parts,
            adopted=adopted,
            make_room=self.make_room,
            changed=self._pulse,
        )
        self._owners[session] = owner
        self._tasks.start(self._own(session, owner), name=f"session {session}")
        return owner

    async def _own(self, session: SessionId, owner: Owner) -> None:
        try:
            await owner.run()
        except IronClawError as error:
            _log.error("session_owner_failed", session=session, code=error.code)
        finally:
            if self._owners.get(session) is owner:
                del self._owners[session]
                if owner.woken and not self._closed:
                    self.wake(session)


async def _noted(work: Coroutine[None, None, None], errors: list[IronClawError]) -> None:
    try:
        await work
    except IronClawError as error:
        errors.append(error)
