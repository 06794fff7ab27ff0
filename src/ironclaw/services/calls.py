"""The model calls of one box: started, cancelled and dropped as the box, or its end, wants it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from ironclaw.core.ids import MessageId
from ironclaw.core.sanitize import sanitize
from ironclaw.services.doing import MAX_THOUGHT_CHARS, asks, uses
from ironclaw_contract.codes import WireCode
from ironclaw_contract.rpc import Delta, Failed, Generated, Purpose

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ironclaw.core.ids import SessionId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.model import Agent, Message
    from ironclaw.services.house import Live
    from ironclaw.services.inbox import Inbox
    from ironclaw.services.parts import SessionParts
    from ironclaw.services.slots import Slot
    from ironclaw_contract.rpc import Generate

MAX_CALLS: Final = 4
"""Model calls of one box at once."""
SPARE_CALLS: Final = 72
"""Of a turn, beside its steps: as many as an agent's research may make in one, and summaries."""


class ModelCalls:
    """Carries out what the box asks of the model.

    Args:
        slot: Whose box; its link may be replaced.
        session: The session it is claimed by.
        agent: Gives the agent whose provider is asked, as it is now.
        parts: The model service, and who is shown the words as they come.
        tasks: The life's tasks.
        inbox: What is with the box.
        researched: Called for each answer to a research: no record of the box tells of it.
    """

    def __init__(
        self,
        *,
        slot: Slot,
        session: SessionId,
        agent: Callable[[], Agent],
        parts: SessionParts,
        tasks: Tasks,
        inbox: Inbox,
        researched: Callable[[], None],
    ) -> None:
        self._slot = slot
        self._session = session
        self._agent = agent
        self._parts = parts
        self._tasks = tasks
        self._inbox = inbox
        self._researched = researched
        self._turn = MessageId("")
        """The turn that the model was asked for last."""
        self._made = 0
        """Calls since the box ended a turn."""
        self._running: dict[int, asyncio.Task[None]] = {}

    def ask(self, ask: Generate) -> None:
        """Start a call, or say that there are too many.

        Trust:
            A box counts its steps itself, and nothing that it makes needs a message: what nobody
            asked for has an end here, whether the agent has a budget or not.
        """
        if len(self._running) >= MAX_CALLS or ask.call in self._running:
            self._refuse(ask.call, WireCode.BUSY, "too many model calls at once")
            return
        # Twice: a call whose connection broke is made again, as is one that was too long.
        if self._made >= 2 * self._agent().max_steps + SPARE_CALLS:
            self._refuse(ask.call, WireCode.TOO_MANY_STEPS, "too many model calls in one turn")
            return
        self._made += 1
        task = self._tasks.start(self._generate(ask), name=f"model {ask.call}")
        self._running[ask.call] = task
        # Not in the task itself: one that is cancelled before its first step runs no `finally`.
        task.add_done_callback(lambda done: self._forget(ask.call, done))

    def cancel(self, call: int) -> None:
        """The box does not want the answer any more; it waits for an end all the same."""
        if (task := self._running.pop(call, None)) is not None:
            task.cancel()
            self._refuse(call, WireCode.CANCELLED, "the call was cancelled")

    @property
    def are_running(self) -> bool:
        """Whether the box waits for the model."""
        return bool(self._running)

    def turn_ended(self) -> None:
        """People have an answer: the next turn may make as many."""
        self._made = 0

    def drop(self) -> None:
        """Nobody waits for any answer: end all calls without a word."""
        running, self._running = self._running, {}
        for task in running.values():
            task.cancel()

    async def _generate(self, ask: Generate) -> None:
        link = self._slot.link
        turn = MessageId(ask.turn)
        # A summary is made of turns that are over: it is shown where the last one was.
        is_summary = ask.purpose is Purpose.SUMMARY
        shown = self._inbox.last if is_summary else self._inbox.sent(turn)
        is_again, self._turn = self._turn == turn, turn
        self._show("doing", shown, asks(ask, again=is_again))
        thought = 0
        stream = self._parts.models.generate(self._agent(), self._session, ask)
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if not isinstance(event, Delta):
                    await link.tell(event)
                    if isinstance(event, Generated):
                        self._show("doing", shown, uses(ask, event))
                        if ask.purpose is Purpose.RESEARCH:
                            self._researched()
                elif ask.purpose is not Purpose.TURN:
                    # Not the words of an answer.
                    continue
                elif not event.is_thought:
                    # For people's eyes; the box waits for the whole answer.
                    self._show("progress", shown, event.text)
                elif thought < MAX_THOUGHT_CHARS:
                    text = sanitize(event.text[: MAX_THOUGHT_CHARS - thought], lines=True)
                    thought += len(event.text)
                    self._show("thinking", shown, text)

    def _show(self, kind: Live, message: Message | None, text: str) -> None:
        """Show people something of a turn whose message is with the box."""
        if message is not None and text:
            joined = self._inbox.joined(message.id)
            self._parts.announce.live(kind, message, text, joined=joined)

    def _refuse(self, call: int, code: WireCode, text: str) -> None:
        self._tasks.start(self._slot.link.tell(Failed(call, code, text)), name=f"refuse {call}")

    def _forget(self, call: int, task: asyncio.Task[None]) -> None:
        if self._running.get(call) is task:
            del self._running[call]
