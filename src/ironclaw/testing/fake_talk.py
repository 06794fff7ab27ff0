"""What is said in the chats of a fake house, and the agent that answers there.

The agent says `echo: <text>`, after one `progress` event; a text that begins with `fail` ends in an
error event, and one that begins with `silent` is never answered; one that begins with `ask` makes
it ask what colour. A command is answered, and does nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from ironclaw.core.codes import Code
from ironclaw.core.ids import AgentId, ChatId, MessageId, SessionId, new_id
from ironclaw.domain.commands import parse
from ironclaw.domain.model import Partition, Session
from ironclaw.services.house import LIVE, ChatEvent, Routed
from ironclaw.services.questions import Questions
from ironclaw.testing.fakes_files import MemoryFiles
from ironclaw.testing.fakes_questions import MemoryQuestions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Literal

    from ironclaw.core.clock import Clock
    from ironclaw.domain.model import Chat, Event
    from ironclaw.services.house import Live
    from ironclaw.testing.fake_setting import Setting
    from ironclaw_contract.entries import Files

NOW_MS = 1_800_000_000_000


class _Watch:
    """One subscription; it stands from the beginning, and its first step may fail."""

    def __init__(
        self,
        check: Callable[[], None],
        watchers: list[asyncio.Queue[ChatEvent]],
        kept: list[ChatEvent],
    ) -> None:
        self._check = check
        self._watchers = watchers
        self._queue: asyncio.Queue[ChatEvent] = asyncio.Queue()
        self._watchers.append(self._queue)
        for event in kept:
            self._queue.put_nowait(event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatEvent:
        self._check()
        return await self._queue.get()

    async def aclose(self) -> None:
        """End it. Idempotent."""
        if any(queue is self._queue for queue in self._watchers):
            self._watchers.remove(self._queue)


class FakeTalk:
    """Everything that is heard, said and asked; implements `services.questions.Shows`.

    Args:
        setting: Where the agents and chats are; sessions are put in at their first message.
        clock: What time it is for questions.
    """

    def __init__(self, setting: Setting, clock: Clock) -> None:
        self._setting = setting
        self.book = MemoryQuestions(clock, self.next_id)
        self.questions = Questions(book=self.book, hub=self, wake=self._go_on, clock=clock)
        self.files = MemoryFiles()
        self.seen: dict[tuple[str, str], Routed] = {}
        """What became of each message, by its place and its id there."""
        self._events: dict[ChatId, list[ChatEvent]] = {}
        self._watchers: dict[ChatId, list[asyncio.Queue[ChatEvent]]] = {}

    @property
    def watchers(self) -> int:
        """Subscriptions open now."""
        return sum(map(len, self._watchers.values()))

    def kept(self, chat: ChatId | None) -> list[ChatEvent]:
        """The events of a chat that have a number, oldest first."""
        return [] if chat is None else self._events.get(chat, [])

    def next_id(self, chat: ChatId) -> int:
        """Number of the next event that is kept in a chat."""
        return len(self.kept(chat)) + 1

    def watch(
        self, chat: ChatId, *, after: int | None, check: Callable[[], None]
    ) -> AsyncIterator[ChatEvent]:
        """Kept events, then live ones; `check` is called before each."""
        return _Watch(
            check,
            self._watchers.setdefault(chat, []),
            [one for one in self.kept(chat) if after is not None and one.id > after],
        )

    async def hear(self, event: Event, chat: Chat) -> Routed:
        """Take a message in and answer it on the next round of the loop."""
        agent = AgentId(event.platform_id.partition("/")[0])
        session = self._session_in(chat.id)
        if session is not None:
            answered = await self.questions.aside(event, session=session.id, chat=chat.id)
            if answered is not None:
                reason, turn = "answered_question", answered.turn
                return Routed(agent, session.id, turn, True, False, reason, answered.event)
        return self._accept(agent, chat, event)

    def publish(self, event: ChatEvent) -> None:
        """Show an event, and keep it when it has a number."""
        if event.id:
            self._events.setdefault(event.chat, []).append(event)
        for queue in self._watchers.get(event.chat, []):
            queue.put_nowait(event)

    def say(
        self,
        chat: ChatId,
        message: MessageId,
        kind: Literal["message", "said", "reply", "error"] | Live,
        sender: str,
        text: str,
        *,
        files: Files = (),
    ) -> None:
        """Let an event happen in a chat where somebody has spoken."""
        session = self._session_in(chat)
        if session is None:
            raise AssertionError("nobody has spoken in this chat")
        event = ChatEvent(
            id=0 if kind in LIVE else self.next_id(chat),
            kind=kind,
            chat=chat,
            thread=None,
            session=session.id,
            message=message,
            sender=sender,
            text=text,
            at_ms=NOW_MS,
            code=Code.MODEL_FAILED if kind == "error" else "",
            files=files,
        )
        self.publish(event)

    def _go_on(self, session: SessionId, _message: object) -> None:
        """What was answered lets a turn end."""
        for question, answer in self.book.answered:
            if question.session == session:
                self.say(question.chat, question.turn, "reply", "agent", f"chose: {answer}")
        self.book.answered.clear()

    def _accept(self, agent: AgentId, chat: Chat, event: Event) -> Routed:
        if before := self.seen.get((event.platform_id, event.external_id)):
            return before._replace(duplicate=True)
        session = self._session_in(chat.id)
        if session is None:
            session = Session(
                id=SessionId(new_id("ses")),
                agent=agent,
                chat=chat.id,
                thread=None,
                partition=Partition.SHARED,
                created_ms=NOW_MS,
            )
            self._setting.sessions[session.id] = session
        message = MessageId(new_id("msg"))
        number = self.next_id(chat.id)
        routed = Routed(agent, session.id, message, True, False, "engaged", event=number)
        command = parse(event.text, mentioned=event.mentioned)
        if command is not None:
            answer = f"handled: {command.word}"
            routed = routed._replace(engaged=False, reason="handled", answer=answer)
        self.seen[event.platform_id, event.external_id] = routed
        files = self.files.keep(chat.id, event.files)
        self.say(chat.id, message, "message", event.sender, event.text, files=files)
        if routed.answer is not None:
            self.say(chat.id, message, "reply", "ironclaw", routed.answer)
            return routed
        if not event.text.startswith("silent"):
            asyncio.get_running_loop().call_soon(self._answer, chat.id, message, event.text)
        return routed

    def _session_in(self, chat: ChatId) -> Session | None:
        return next((one for one in self._setting.sessions.values() if one.chat == chat), None)

    def _answer(self, chat: ChatId, message: MessageId, text: str) -> None:
        if text.startswith("fail"):
            self.say(chat, message, "error", "ironclaw", "The model refused.")
            return
        if text.startswith("ask"):
            self._ask(chat, message)
            return
        if text.startswith("use"):
            self.say(chat, message, "doing", "", "uses clock")
        if text.startswith("work"):
            self.say(chat, message, "said", "agent", "I am still at it.")
        self.say(chat, message, "progress", "agent", "echo")
        self.say(chat, message, "reply", "agent", f"echo: {text}")
        if text.startswith("grow"):
            self.say(chat, message, "error", "ironclaw", "After its last reply: it grew.")

    def _ask(self, chat: ChatId, message: MessageId) -> None:
        session = self._session_in(chat)
        if session is None:
            raise AssertionError("nobody has spoken in this chat")
        question = self.book.ask(
            self._setting.agents[session.agent],
            session=session.id,
            chat=chat,
            turn=message,
            text="Which colour?",
            options=("red", "blue"),
        )
        self.publish(
            ChatEvent(
                id=self.next_id(chat),
                kind="question",
                chat=chat,
                thread=None,
                session=session.id,
                message=message,
                sender="agent",
                text=question.text,
                at_ms=NOW_MS,
                question=question.id,
                options=question.choice.options,
                free_text=question.choice.free_text,
            )
        )
