"""The model calls of one box: started, cancelled and dropped as the box, or its end, wants it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from ironclaw.core.ids import MessageId
from ironclaw_contract.codes import WireCode
from ironclaw_contract.rpc import Delta, Failed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ironclaw.core.ids import SessionId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.model import Agent, Message
    from ironclaw.services.parts import SessionParts
    from ironclaw.services.slots import Slot
    from ironclaw_contract.rpc import Generate

MAX_CALLS: Final = 4
"""Model calls of one box at once."""


class ModelCalls:
    """Carries out what the box asks of the model.

    Args:
        slot: Whose box; its link may be replaced.
        session: The session it is claimed by.
        agent: Gives the agent whose provider is asked, as it is now.
        parts: The model service, and who is shown the words as they come.
        tasks: The life's tasks.
        message: The message of that id that is with the box, if it is.
    """

    def __init__(
        self,
        *,
        slot: Slot,
        session: SessionId,
        agent: Callable[[], Agent],
        parts: SessionParts,
        tasks: Tasks,
        message: Callable[[MessageId], Message | None],
    ) -> None:
        self._slot = slot
        self._session = session
        self._agent = agent
        self._parts = parts
        self._tasks = tasks
        self._message = message
        self._running: dict[int, asyncio.Task[None]] = {}

    def ask(self, ask: Generate) -> None:
        """Start a call, or say that there are too many."""
        if len(self._running) >= MAX_CALLS or ask.call in self._running:
            self._refuse(ask.call, WireCode.BUSY, "too many model calls at once")
            return
        task = self._tasks.start(self._generate(ask), name=f"model {ask.call}")
        self._running[ask.call] = task
        # Not in the task itself: one that is cancelled before its first step runs no `finally`.
        task.add_done_callback(lambda done: self._forget(ask.call, done))

    def cancel(self, call: int) -> None:
        """The box does not want the answer any more; it waits for an end all the same."""
        if (task := self._running.pop(call, None)) is not None:
            task.cancel()
            self._refuse(call, WireCode.CANCELLED, "the call was cancelled")

    def drop(self) -> None:
        """Nobody waits for any answer: end all calls without a word."""
        running, self._running = self._running, {}
        for task in running.values():
            task.cancel()

    async def _generate(self, ask: Generate) -> None:
        link = self._slot.link
        shown = self._message(MessageId(ask.turn))
        stream = self._parts.models.generate(self._agent(), self._session, ask)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if not isinstance(event, Delta):
                    await link.tell(event)
                elif shown is not None and not event.is_thought:
                    # For people's eyes; the box waits for the whole answer.
                    self._parts.announce.progress(shown, event.text)

    def _refuse(self, call: int, code: WireCode, text: str) -> None:
        self._tasks.start(self._slot.link.tell(Failed(call, code, text)), name=f"refuse {call}")

    def _forget(self, call: int, task: asyncio.Task[None]) -> None:
        if self._running.get(call) is task:
            del self._running[call]
