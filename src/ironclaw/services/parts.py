"""What the sessions service is put together from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from ironclaw_contract.rpc import Used

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, MessageId, SessionId, SlotId
    from ironclaw.domain.model import Agent, Delivery, Message, Session
    from ironclaw.domain.ports import Custodian, Ledger
    from ironclaw.domain.wall import AirlockLink, Isolator
    from ironclaw.services.disk_guard import DiskGuard
    from ironclaw.services.house import Live
    from ironclaw.services.receipts import Receipts
    from ironclaw.services.slots import Slots
    from ironclaw_contract import records
    from ironclaw_contract.rpc import Generate, ModelTell, Use


class Registry(Protocol):
    """The part of the registry that sessions need."""

    async def session(self, session: SessionId) -> Session:
        """Raises UserError (`NOT_FOUND`)."""
        ...

    async def agent(self, agent: AgentId) -> Agent:
        """Raises UserError (`NOT_FOUND`)."""
        ...

    async def session_of_slot(self, slot: SlotId) -> Session | None:
        """The session whose newest receipt names this slot."""
        ...

    async def unseat(self, session: SessionId) -> None:
        """Let the next message of the session's place begin a new one. Idempotent."""
        ...


class Models(Protocol):
    """The model service: picks the agent's provider."""

    def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        """As `ModelProvider.generate`."""
        ...


class HostTools(Protocol):
    """What agents do through the host: `services.host_tools`."""

    async def use(self, agent: AgentId, session: SessionId, use: Use) -> Used:
        """Carry out one use of a host tool that the agent holds, and say what came of it.

        A use whose key came before in this session has been done: it is answered, not repeated.
        """
        ...


class NoHostTools:
    """Host tools of a house that has none."""

    async def use(self, agent: AgentId, session: SessionId, use: Use) -> Used:
        """Say so."""
        del agent, session
        return Used(use.call, "there is no such tool here", is_error=True)


class Announce(Protocol):
    """Who hears of what happened."""

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        """These are new in the ledger, and due at once."""
        ...

    def due(self) -> None:
        """There are new deliveries in the ledger."""
        ...

    def live(
        self, kind: Live, message: Message, text: str, *, joined: Sequence[MessageId] = ()
    ) -> None:
        """Something that nobody keeps: a piece of the answer to `message`, or what is being done.

        Args:
            kind: What it is.
            message: What the agent is at.
            text: For people.
            joined: Messages that are answered together with it.
        """
        ...


class Meters(Protocol):
    """Where durations are counted; `ironclaw.api.metrics.Metrics` is the real one."""

    def round_trip(self, seconds: float) -> None:
        """From acceptance of a message to the commit of its answer."""
        ...

    def claim(self, seconds: float) -> None:
        """From the wish for a box to a briefed one."""
        ...

    def launch(self, seconds: float, *, outcome: str = "ok") -> None:
        """From nothing to a proven blank slot; `outcome` is `ok` or an error code."""
        ...


class Rooms(Protocol):
    """How much of a conversation fits a model call: `services.rooms.Rooms`."""

    def context_bytes(self, agent: Agent) -> int:
        """Bytes of conversation that all models of an agent can read."""
        ...


class Parcels(Protocol):
    """Files on their way to boxes and from them: `services.files.Files`."""

    async def send(
        self, link: AirlockLink, message: Message, record: records.Message, *, is_told: bool
    ) -> None:
        """Publish a message with the files that came with it."""
        ...

    def came(self, session: SessionId) -> None:
        """Parts that a box has sent are in the ledger."""
        ...


class NoParcels:
    """Files of a house that has none."""

    async def send(
        self, link: AirlockLink, message: Message, record: records.Message, *, is_told: bool
    ) -> None:
        """Publish the message alone."""
        del message, is_told
        await link.publish([record])

    def came(self, session: SessionId) -> None:
        """Nobody waits for them."""


class SessionLimits(NamedTuple):
    """How long and how many."""

    idle_stop_s: float = 900.0
    """Seconds without work after which a box is let go."""
    max_boxes: int = 64
    """Boxes of sessions at once; over it the longest idle one is let go first."""
    turn_s: float = 1800.0
    """Seconds a box may work on messages without committing anything; longer than any model call
    with its retries."""
    context_bytes: int = 512 * 1024
    """Bytes of conversation given to a fresh box and sent to the model."""
    steers: bool = False
    """What people say while a turn runs joins it, instead of waiting for its end."""


class SessionParts(NamedTuple):
    """What owners work with."""

    ledger: Ledger
    registry: Registry
    custodian: Custodian
    isolator: Isolator
    slots: Slots
    receipts: Receipts
    models: Models
    announce: Announce
    meters: Meters
    clock: Clock
    guard: DiskGuard
    limits: SessionLimits
    tools: HostTools = NoHostTools()
    files: Parcels = NoParcels()
    rooms: Rooms | None = None
    """None: what the limits say fits every model."""
