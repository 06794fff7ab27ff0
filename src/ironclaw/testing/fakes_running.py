"""What a gateway reaches, tells and looks at, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.changes.base import HostDir, House
from ironclaw.domain.skills import KeptSkill, read

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.errors import IronClawError
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.change import Row
    from ironclaw.domain.changes.base import Op
    from ironclaw.domain.model import Agent
    from ironclaw.testing.fake_setting import Setting

MODELS = ("scripted", "other")
CHANNELS = ("api", "test", "web", "telegram")
TOOLS = ("read_file", "write_file", "list_files", "request_change", "send_message")


def kept_skill(name: str = "birds", *, more: str = "") -> KeptSkill:
    """A skill as if it had been imported."""
    text = f"---\nname: {name}\ndescription: Tell birds apart.\n{more}---\nListen first.\n"
    folder = read({"SKILL.md": text.encode(), "songs/robin.txt": b"tic"})
    return KeptSkill(folder=folder, signer="A" * 43 + "=", is_trusted=True, kept_ms=1)


class MemoryReach:
    """Implements `services.gateway.rows.Reach`: a running system that is what it was told."""

    def __init__(self) -> None:
        self.reached: list[Op] = []
        self.broken: IronClawError | None = None
        """Raised by `reach` while it is set."""
        self.is_deaf = False
        """Whether it takes what it is told, and does nothing."""
        self.hold: asyncio.Event | None = None
        """Waited for by `reach` while it is set."""

    async def reach(self, ops: Sequence[Op]) -> None:
        """Be as those say."""
        if self.hold is not None:
            await self.hold.wait()
        if self.broken is not None:
            raise self.broken
        self.reached += ops

    async def holds(self, ops: Sequence[Op]) -> bool:
        """Whether it is."""
        return not self.is_deaf and all(op in self.reached for op in ops)


class MemoryTell:
    """Implements `services.gateway.rows.Tell`."""

    def __init__(self) -> None:
        self.told: list[tuple[ChangeId, str]] = []
        self.broken: IronClawError | None = None

    async def tell_asker(self, row: Row, text: str) -> None:
        """Note it, once for each thing that happened."""
        if self.broken is not None:
            raise self.broken
        if row.change.asker.is_agent and (row.change.id, text) not in self.told:
            self.told.append((row.change.id, text))


class MemoryLooks:
    """Implements `services.gateway.rows.Looks`: a house with a few directories."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.directories: dict[str, HostDir] = {}
        self.kept_skills: tuple[KeptSkill, ...] = (kept_skill(),)

    def house(self) -> House:
        """The house now."""
        return House(
            now_ms=self.clock.now_ms(),
            models=MODELS,
            tools=TOOLS,
            channels=CHANNELS,
            mount_roots=("/srv",),
            own_dirs=("/var/lib/ironclaw",),
        )

    async def skills(self) -> tuple[KeptSkill, ...]:
        """Skills that were imported."""
        return self.kept_skills

    async def directory(self, path: str) -> HostDir | None:
        """What is at a path."""
        return self.directories.get(path, HostDir("", False, 0, 0, False))


class MemoryNames:
    """Implements `services.gateway.views.Names` over a setting."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    async def agent(self, ref: str) -> Agent:
        """One agent by id or name."""
        for agent in self._setting.agents.values():
            if ref in {agent.id, agent.name}:
                return agent
        raise UserError(Code.NOT_FOUND, f"There is no agent {ref}.", hint="Check the name.")
