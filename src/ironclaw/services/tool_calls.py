"""The host tools of one box: each use that the box asks for is answered, whatever it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.tools import HOST_TOOLS
from ironclaw_contract.rpc import Used

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ironclaw.core.ids import SessionId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.model import Agent
    from ironclaw.services.parts import HostTools
    from ironclaw.services.slots import Slot
    from ironclaw_contract.rpc import Use

MAX_USES: Final = 4
"""Uses of host tools by one box at once."""

_log = get_logger("tools")


def holds_host_tool(agent: Agent) -> bool:
    """Whether the agent may use any tool for which its box needs `tools.sock`."""
    return not HOST_TOOLS.isdisjoint(agent.tools)


class ToolCalls:
    """Carries out what the box asks of the host.

    Args:
        slot: Whose box; its link may be replaced.
        session: The session it is claimed by.
        agent: Gives the agent as it is now: what it does not hold is refused, whatever its box was
            told.
        tools: Who does it.
        tasks: The life's tasks.
    """

    def __init__(
        self,
        *,
        slot: Slot,
        session: SessionId,
        agent: Callable[[], Agent],
        tools: HostTools,
        tasks: Tasks,
    ) -> None:
        self._slot = slot
        self._session = session
        self._agent = agent
        self._tools = tools
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()

    def ask(self, use: Use) -> None:
        """Start a use, or say why not."""
        work = self._refuse if len(self._running) >= MAX_USES else self._use
        task = self._tasks.start(work(use), name=f"tool {use.call}")
        if work == self._use:
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _use(self, use: Use) -> None:
        # The link that asked: its successor knows nothing of this call. What was begun is ended
        # all the same; a box that puts it again under its key is told what came of it.
        link = self._slot.link
        await link.tell_tool(await self._done(use))

    async def _refuse(self, use: Use) -> None:
        link = self._slot.link
        await link.tell_tool(Used(use.call, "too many tools at once; try again", is_error=True))

    async def _done(self, use: Use) -> Used:
        agent = self._agent()
        if use.tool not in HOST_TOOLS or use.tool not in agent.tools:
            _log.info("host_tool_refused", session=self._session, agent=agent.id)
            return Used(use.call, "you do not have this tool", is_error=True)
        try:
            return await self._tools.use(agent.id, self._session, use)
        except IronClawError as error:
            _log.warning("host_tool_failed", session=self._session, code=error.code)
            return Used(use.call, f"that did not work: {error.code}", is_error=True)
        except Exception as error:  # noqa: BLE001 - the edge of a tool: the life goes on
            _log.error("host_tool_bug", session=self._session, exc_info=error)
            return Used(use.call, "that did not work: a fault of the host", is_error=True)
