"""A whole production house for the proof: one agent behaves, another one's program is hostile.

Store, router, sessions, airlocks, boxes and delivery are the daemon's own
(`composition.open_core`); only the program in the boxes of some agents is another, beside or in
place of `/sandbox`.

    open_house -> House.agent, .wire -> .send -> .answer       HouseIsolator puts the programs in
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.api.metrics import Metrics
from ironclaw.composition import open_core
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.model import BoxLimits, Event, Role
from ironclaw.prove.lab.tree import program
from ironclaw.sandbox.isolator import RunscIsolator
from ironclaw.sandbox.runsc import KIND_PREFIX
from ironclaw_contract.limits import SANDBOX_GID, SANDBOX_UID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ironclaw.composition import Core
    from ironclaw.config.settings import Settings
    from ironclaw.core.ids import AgentId, MessageId, SessionId, SlotId
    from ironclaw.domain.model import Agent, Delivery
    from ironclaw.domain.wall import Box, LaunchSpec, Rootfs
    from ironclaw.prove.box.weak import Weakening
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.sandbox.cgroups import Cgroups
    from ironclaw.sandbox.spec import Spec

_NEVER_S: Final = 86_400.0
CHANNEL: Final = "proof"
OWNER: Final = PrincipalId("proof:owner")
GREEDY: Final = program("greedy")
"""The command line of the hostile agent."""
ANSWER_S: Final = 30.0
_POWERS: Final = ("CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN")


class HouseIsolator(RunscIsolator):
    """Runs another program in the boxes of some agents, from the probe's tree; notes each box."""

    def furnish(self, lab: Lab, weakening: Weakening | None) -> None:
        """Say where the probe is and what is taken away of each box of those agents."""
        self.lab = lab
        self.weakening = weakening
        self.hostile: dict[AgentId, tuple[str, ...]] = {}
        """Agents whose boxes are made of the probe's tree, with the program they run."""
        self.specs: dict[AgentId, list[LaunchSpec]] = {}
        """Every launch there ever was."""

    async def launch(self, spec: LaunchSpec) -> Box:
        """Note the launch and start the box."""
        self.specs.setdefault(spec.agent, []).append(spec)
        return await super().launch(spec)

    def processes(self, slot: SlotId) -> tuple[int, ...]:
        """The host pids of a box: sentry and gofer; empty when runsc knows none."""
        running = self._runsc.state(KIND_PREFIX + slot)
        return () if running is None else (running.pid, running.gofer_pid)

    @property
    def groups(self) -> Cgroups:
        """The cgroups of this host."""
        return self._groups

    def exec_argv(
        self, slot: SlotId, program: tuple[str, ...], *, as_root: bool = False
    ) -> tuple[str, ...]:
        """The command that runs a program beside the agent: as its user, or with all powers."""
        user: tuple[str, ...] = ("-user", f"{SANDBOX_UID}:{SANDBOX_GID}")
        if as_root:
            user = ("-user", "0:0", *(word for name in _POWERS for word in ("-cap", name)))
        return (*self._runsc._base(), "exec", *user, KIND_PREFIX + slot, *program)  # noqa: SLF001 - nobody else runs programs in a box

    def _build(self, spec: LaunchSpec, lane: int) -> Spec:
        program = self.hostile.get(spec.agent)
        if program is None:
            return super()._build(spec, lane)
        usual = self._expected
        self._expected = usual._replace(program=program)
        try:
            built = super()._build(spec._replace(rootfs=self._probe(spec.rootfs)), lane)
        finally:
            self._expected = usual
        # The proof of the launch looks at the same: it would refuse the box otherwise.
        return built if self.weakening is None else self.weakening.spec(built, self.lab)

    def _probe(self, rootfs: Rootfs) -> Rootfs:
        return rootfs._replace(path=self.lab.probe.path)


class Voice:
    """The proof's own channel: keeps every delivery."""

    name = CHANNEL

    def __init__(self) -> None:
        self.handed: dict[MessageId, tuple[float, Delivery]] = {}
        """The first delivery for each message, and when it was handed over."""
        self.said: list[Delivery] = []
        self._waiting: dict[MessageId, asyncio.Future[None]] = {}

    async def deliver(self, delivery: Delivery) -> str:
        """Take a delivery."""
        self.said.append(delivery)
        self.handed.setdefault(delivery.message, (time.perf_counter(), delivery))
        waiting = self._waiting.pop(delivery.message, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        return delivery.id

    async def wait(self, message: MessageId) -> tuple[float, Delivery]:
        """Wait for the first delivery for a message."""
        if message not in self.handed:
            self._waiting[message] = asyncio.get_running_loop().create_future()
            await self._waiting[message]
        return self.handed[message]


class Sent(NamedTuple):
    """A message that was taken in."""

    session: SessionId
    message: MessageId
    at: float
    """`time.perf_counter` before it was given."""


class House:
    """An open house, from the point of view of the people in it."""

    def __init__(
        self, lab: Lab, core: Core, voice: Voice, isolator: HouseIsolator, settings: Settings
    ) -> None:
        self.lab = lab
        self.settings = settings
        self.is_weak = isolator.weakening is not None
        """Something is taken away: greed itself has to stay bounded."""
        self.core = core
        self.voice = voice
        self.isolator = isolator
        self._agents: dict[str, Agent] = {}
        self._sessions: dict[str, SessionId] = {}

    async def agent(
        self,
        name: str,
        *,
        program: tuple[str, ...] = (),
        limits: BoxLimits | None = None,
        persona: str = "",
    ) -> Agent:
        """Make an agent with one chat of the same name.

        Args:
            name: Its name.
            program: What its boxes run, from the probe's tree; empty for the real thing.
            limits: What its boxes may use.
            persona: What it is told that it is.
        """
        agent = await self.core.registry.create_agent(
            name=name, persona=persona, pool_size=0, limits=limits
        )
        if program:
            self.isolator.hostile[agent.id] = program
        self._agents[name] = agent
        await self.wire(name, agent)
        return agent

    async def wire(self, chat: str, agent: Agent) -> None:
        """Give an agent one chat more."""
        made = await self.core.registry.ensure_chat(channel=CHANNEL, platform_id=chat)
        await self.core.registry.create_wiring(chat=made.id, agent=agent.id)

    async def send(self, chat: str, text: str) -> Sent:
        """Say something in a chat. Raises HostError if nobody takes it."""
        began = time.perf_counter()
        event = Event(
            channel=CHANNEL,
            platform_id=chat,
            handle="owner",
            sender="Owner",
            text=text,
            external_id=secrets.token_hex(8),
        )
        (routed,) = await self.core.house.hear(event)
        if routed.message is None or routed.session is None:
            raise HostError(Code.UNAVAILABLE, f"the house took no message: {routed.reason}")
        self._sessions[chat] = routed.session
        return Sent(routed.session, routed.message, began)

    async def stop(self, chat: str) -> None:
        """`session stop` for the session of a chat, if there is one."""
        if (session := self._sessions.get(chat)) is not None:
            await self.core.house.stop_session(session)

    async def answer(self, sent: Sent, *, within_s: float = ANSWER_S) -> Delivery:
        """Wait for what is said to a message. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            return (await self.voice.wait(sent.message))[1]

    async def order(self, chat: str, do: str, **arguments: object) -> Sent:
        """Tell a hostile agent what to do."""
        return await self.send(chat, json.dumps({"do": do, **arguments}))

    async def ordered(self, chat: str, do: str, **arguments: object) -> str:
        """Tell a hostile agent what to do and wait for its own words.

        Raises:
            HostError: The host's words came instead.
            TimeoutError: Nothing came.
        """
        delivery = await self.answer(await self.order(chat, do, **arguments))
        if delivery.is_error:
            raise HostError(Code.UNAVAILABLE, f"in place of an answer: {delivery.text}")
        return delivery.text

    def launched(self, name: str) -> LaunchSpec:
        """How the newest box of an agent was launched. Raises LookupError."""
        return self.isolator.specs[self._agents[name].id][-1]

    def launches(self, name: str) -> int:
        """How many boxes of an agent there were."""
        return len(self.isolator.specs.get(self._agents[name].id, ()))

    def has(self, name: str) -> bool:
        """Whether an agent of that name was made."""
        return name in self._agents

    def agent_named(self, name: str) -> Agent:
        """An agent made here. Raises LookupError."""
        return self._agents[name]


@contextlib.asynccontextmanager
async def open_house(lab: Lab, weakening: Weakening | None = None) -> AsyncIterator[House]:
    """Open a house of its own below the laboratory's directories; end it on leaving.

    Args:
        lab: Whose image, probe and nest it uses.
        weakening: What is taken away of the boxes of hostile agents, and of the host.

    Raises:
        IronClawError: A part cannot be opened.
    """
    name = f"house-{secrets.token_hex(4)}"
    places = msgspec.structs.replace(
        lab.settings.paths,
        state_dir=lab.settings.state_dir / name,
        runtime_dir=lab.settings.runtime_dir / name,
        image_dir=lab.settings.image_dir,
    )
    # No box is frozen: what attacks from inside may do so at any time.
    sandbox = msgspec.structs.replace(
        lab.settings.sandbox, pool_size=0, max_boxes=16, freeze_after_s=_NEVER_S
    )
    settings = msgspec.structs.replace(lab.settings, paths=places, sandbox=sandbox)
    voice = Voice()
    async with contextlib.AsyncExitStack() as stack:
        if weakening is not None:
            stack.enter_context(weakening.host(lab))
        core = await stack.enter_async_context(
            open_core(settings, metrics=Metrics(), channels=(voice,), isolator_class=HouseIsolator)
        )
        isolator = core.isolator
        if not isinstance(isolator, HouseIsolator):
            raise TypeError("the house has another isolator than it was given")
        isolator.furnish(lab, weakening)
        await core.registry.give(OWNER, Role.OWNER, None)
        yield House(lab, core, voice, isolator, settings)
