"""Puts the gateway together, and looks at the host for it. Part of the composition root.

Sessions answer what boxes ask, the gateway tells sessions what has changed: so the host's tools are
named first (`LateTools`) and filled in when the gateway is there. So are commands (`LateCommands`):
the router has them answered, and the gateway's schedules tell agents of tasks through the router.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.domain.changes.base import HostDir, House
from ironclaw.domain.relaying import Limits
from ironclaw.domain.tools import TOOLS
from ironclaw.services.commands import Commands
from ironclaw.services.commands import Parts as CommandParts
from ironclaw.services.gateway.service import GatewayService
from ironclaw.services.gateway.service import Parts as GatewayParts
from ironclaw.services.guests import GuestBook
from ironclaw.services.host_tools.service import HostToolService
from ironclaw.services.host_tools.service import Parts as ToolParts
from ironclaw.services.parts import NoHostTools
from ironclaw.services.reaching import Reaching
from ironclaw.services.relaying import Relay
from ironclaw.services.schedules import Schedules
from ironclaw.services.telling import Telling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.config.settings import Settings
    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.skills import KeptSkill
    from ironclaw.services.auditing import Auditing
    from ironclaw.services.commands import LateCommands
    from ironclaw.services.delivery import DeliveryService
    from ironclaw.services.files import Files
    from ironclaw.services.guests import LateGuests
    from ironclaw.services.hub import Hub
    from ironclaw.services.memory import Memories
    from ironclaw.services.parts import HostTools
    from ironclaw.services.raising import Raising
    from ironclaw.services.relaying import LateRelay
    from ironclaw.services.router import Router
    from ironclaw.services.searching import Searching
    from ironclaw.services.sessions import Sessions
    from ironclaw.services.taints import TaintDesk
    from ironclaw.services.usage import UsageDesk
    from ironclaw.skills.shelf import Shelf
    from ironclaw.store.ledger import Ledger
    from ironclaw.store.registry import Registry
    from ironclaw.store.task_rows import TaskRows
    from ironclaw_contract.rpc import Use, Used

_OTHERS_READ: Final = stat.S_IROTH | stat.S_IXOTH


class LateTools:
    """The host's tools for sessions, which are there before the gateway is."""

    def __init__(self) -> None:
        self.real: HostTools = NoHostTools()

    async def use(self, agent: AgentId, session: SessionId, use: Use) -> Used:
        """As `parts.HostTools.use`."""
        return await self.real.use(agent, session, use)


class Gatehouse(NamedTuple):
    """The open gateway and what belongs to it."""

    gateway: GatewayService
    schedules: Schedules


class Books(NamedTuple):
    """The tables that it works with."""

    registry: Registry
    ledger: Ledger
    tasks: TaskRows
    usages: UsageDesk
    past: Searching
    files: Files
    taints: TaintDesk


def open_gatehouse(
    *,
    books: Books,
    memories: Memories,
    sessions: Sessions,
    router: Router,
    hub: Hub,
    delivery: DeliveryService,
    audit: Auditing,
    looks: HostLooks,
    clock: Clock,
    tasks: Tasks,
    tools: LateTools,
    commands: LateCommands,
    guests: LateGuests,
    relay: LateRelay,
    raising: Raising,
) -> Gatehouse:
    """Put it together over what is open already. `resume` and `run` are the caller's to start."""
    schedules = Schedules(book=books.tasks, teller=router, clock=clock, record=audit.append)
    telling = Telling(ledger=books.ledger, hub=hub, wake=sessions.wake)
    relay.real = Relay(
        book=books.ledger, agents=books.registry, ways=router, tells=telling, hub=hub
    )
    gateway = GatewayService(
        GatewayParts(
            store=books.registry,
            reach=Reaching(
                boxes=sessions, agents=books.registry, schedules=schedules, notes=memories
            ),
            tell=telling,
            looks=looks,
            names=books.registry,
            record=audit.append,
            clock=clock,
            tasks=tasks,
        )
    )
    tools.real = HostToolService(
        ToolParts(
            agents=books.registry,
            gateway=gateway,
            requests=books.registry,
            letters=books.ledger,
            hands=delivery,
            runs=schedules,
            limits=looks.limits,
            tasks=books.tasks,
            usages=books.usages,
            finds=books.past,
            taints=books.taints,
            files=books.files,
            clock=clock,
            skills=looks.skills,
        )
    )
    guests.real = GuestBook(gateway, clock)
    raising.gateway = gateway
    commands.real = Commands(
        CommandParts(
            ledger=books.ledger,
            directory=books.registry,
            sessions=sessions,
            gateway=gateway,
            usages=books.usages,
            tasks=books.tasks,
            record=audit.append,
            announce=delivery,
            hub=hub,
        )
    )
    return Gatehouse(gateway, schedules)


class HostLooks:
    """Implements `services.gateway.rows.Looks`.

    Args:
        settings: Where the house is, and what may be shared.
        models: Names of the providers.
        channels: Names of the channels.
        clock: What time it is.
        shelf: The skills.
    """

    def __init__(
        self,
        settings: Settings,
        models: tuple[str, ...],
        channels: tuple[str, ...],
        clock: Clock,
        shelf: Shelf,
    ) -> None:
        self._shelf = shelf
        own = (settings.state_dir, settings.runtime_dir, settings.image_dir)
        self._house = House(
            now_ms=0,
            models=models,
            tools=tuple(TOOLS),
            channels=channels,
            mount_roots=tuple(map(os.path.realpath, settings.gateway.mount_roots)),
            own_dirs=tuple(dict.fromkeys(map(os.path.realpath, own))),
        )
        self._clock = clock
        self.limits = Limits(settings.agents.max_hops, settings.agents.messages_per_hour)
        """How far agents may go with each other."""

    def house(self) -> House:
        """What does not change while the core runs, and the time."""
        return self._house._replace(now_ms=self._clock.now_ms())

    async def skills(self) -> tuple[KeptSkill, ...]:
        """Skills that were imported."""
        return await asyncio.to_thread(self._shelf.kept)

    async def directory(self, path: str) -> HostDir | None:
        """What is at a path of the host; None for one that can be shared with nobody.

        Elsewhere nothing is looked at: how long that takes would tell an agent what there is.
        """
        way = Path(path)
        if ".." in way.parts or not any(map(way.is_relative_to, self._house.mount_roots)):
            return None
        # It may lie on a disk that does not answer: not for the event loop.
        return await asyncio.to_thread(look_at, path)


def look_at(path: str) -> HostDir | None:
    """Look at a path without opening it.

    Trust:
        The path is whatever somebody asked for. Nothing but the facts below comes of it.
    """
    if not path.startswith("/") or "\0" in path:
        return None
    try:
        real = os.path.realpath(path, strict=True)
        found = os.lstat(real)
        is_readable = all(map(_is_open, _way_to(Path(real))))
    except (OSError, ValueError):
        return HostDir(real="", is_dir=False, device=0, inode=0, is_readable=False)
    return HostDir(
        real=real,
        is_dir=stat.S_ISDIR(found.st_mode),
        device=found.st_dev,
        inode=found.st_ino,
        is_readable=is_readable and found.st_mode & _OTHERS_READ == _OTHERS_READ,
    )


def _way_to(path: Path) -> Iterator[int]:
    """Modes of all directories above a path but the root."""
    for parent in path.parents[:-1]:
        yield os.lstat(parent).st_mode


def _is_open(mode: int) -> bool:
    return bool(mode & stat.S_IXOTH)
