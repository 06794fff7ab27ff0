"""The hub: live events of chats for those who watch now. What is kept is in the ledger.

publish -> each watch's short queue -> Watch.__anext__, which fills every gap from the history

A watch that is too slow loses its queue and nothing else: it goes on from the history, so memory
is bounded and no kept event is missed or doubled. Pieces of an answer in the making are dropped.
"""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Final, Protocol, Self

from ironclaw.services.drafts import Drafts
from ironclaw.services.house import ChatEvent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from ironclaw.core.ids import ChatId, MessageId, QuestionId, SessionId
    from ironclaw.domain.model import Delivery, Message
    from ironclaw_contract.entries import Files

QUEUE: Final = 256
"""Events that wait for one watch, at most."""
PAGE: Final = 200
"""Events read from the history at once."""


class LoggedEvent(Protocol):
    """A kept event, as the history has it."""

    @property
    def id(self) -> int: ...  # noqa: D102 - as ChatEvent
    @property
    def kind(self) -> Literal["message", "said", "reply", "question", "error"]: ...  # noqa: D102 - as ChatEvent
    @property
    def chat(self) -> ChatId: ...  # noqa: D102 - as ChatEvent
    @property
    def thread(self) -> str | None: ...  # noqa: D102 - as ChatEvent
    @property
    def session(self) -> SessionId: ...  # noqa: D102 - as ChatEvent
    @property
    def message(self) -> MessageId: ...  # noqa: D102 - as ChatEvent
    @property
    def sender(self) -> str: ...  # noqa: D102 - as ChatEvent
    @property
    def text(self) -> str: ...  # noqa: D102 - as ChatEvent
    @property
    def at_ms(self) -> int: ...  # noqa: D102 - as ChatEvent
    @property
    def code(self) -> str: ...  # noqa: D102 - as ChatEvent
    @property
    def question(self) -> QuestionId | None: ...  # noqa: D102 - as ChatEvent
    @property
    def options(self) -> tuple[str, ...]: ...  # noqa: D102 - as ChatEvent
    @property
    def free_text(self) -> bool: ...  # noqa: D102 - as ChatEvent
    @property
    def answers(self) -> tuple[MessageId, ...]: ...  # noqa: D102 - as ChatEvent
    @property
    def files(self) -> Files: ...  # noqa: D102 - as ChatEvent


class History(Protocol):
    """Kept events."""

    async def chat_events(
        self, chat: ChatId, *, after: int, limit: int = PAGE
    ) -> Sequence[LoggedEvent]:
        """Those with ids over `after`, oldest first."""
        ...

    async def last_event(self, chat: ChatId) -> int:
        """Id of the newest; 0 when there is none."""
        ...


class Hub:
    """The table of watches."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._watches: dict[ChatId, set[Watch]] = {}
        self._drafts = Drafts()

    @property
    def watching(self) -> int:
        """Watches that are open."""
        return sum(len(watches) for watches in self._watches.values())

    def publish(self, event: ChatEvent) -> None:
        """Show an event to those who watch its chat now."""
        if event.kind == "progress":
            self._drafts.add(event)
        elif event.kind in {"reply", "question", "error"}:
            self._drafts.drop(event.chat, event.message)
        for watch in self._watches.get(event.chat, ()):
            watch.offer(event)

    def show(self, delivery: Delivery) -> None:
        """Show a delivery as the event it is kept as."""
        self.publish(
            ChatEvent(
                id=delivery.event,
                kind=_kind(delivery),
                chat=delivery.chat,
                thread=delivery.thread,
                session=delivery.session,
                message=delivery.message,
                sender=delivery.said_by,
                text=delivery.text,
                at_ms=delivery.at_ms,
                code=delivery.code,
                question=delivery.question,
                options=delivery.options,
                free_text=delivery.free_text,
                answers=delivery.answers,
                files=delivery.files,
            )
        )

    def settle(self, chat: ChatId, message: MessageId) -> None:
        """The answer to a message is kept: its pieces are no news to anybody any more."""
        self._drafts.drop(chat, message)

    def nudge(self, chat: ChatId) -> None:
        """There are new kept events of this chat in the history."""
        for watch in self._watches.get(chat, ()):
            watch.look()

    def watch(self, chat: ChatId, *, after: int | None) -> Watch:
        """Watch a chat from this moment on.

        Args:
            chat: Which one.
            after: Id of the last event seen; None starts with live ones only.
        """
        watch = Watch(self, self._history, chat, after)
        self._watches.setdefault(chat, set()).add(watch)
        for draft in self._drafts.of(chat):
            watch.offer(draft)
        return watch

    def leave(self, watch: Watch) -> None:
        """End a watch. Idempotent."""
        watches = self._watches.get(watch.chat)
        if watches is not None:
            watches.discard(watch)
            if not watches:
                del self._watches[watch.chat]


class Watch:
    """An async iterator over the events of one chat. Close it with `aclose`."""

    def __init__(self, hub: Hub, history: History, chat: ChatId, after: int | None) -> None:
        self.chat = chat
        self._hub = hub
        self._history = history
        self._last = after
        self._behind = after is not None
        self._queue: collections.deque[ChatEvent] = collections.deque()
        self._page: collections.deque[ChatEvent] = collections.deque()
        self._bell = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatEvent:
        while not self._closed:
            event = await self._next()
            if event is not None:
                return event
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the watch. Idempotent; a waiting `__anext__` ends too."""
        self._closed = True
        self._hub.leave(self)
        self._bell.set()

    def offer(self, event: ChatEvent) -> None:
        """Take a live event, unless the queue is full."""
        if len(self._queue) >= QUEUE:
            if event.id == 0:
                return
            first = next((queued.id for queued in self._queue if queued.id), event.id)
            self._last = first - 1 if self._last is None else self._last
            self._queue.clear()
            self._behind = True
        else:
            self._queue.append(event)
        self._bell.set()

    def look(self) -> None:
        """The history has something new."""
        self._behind = True
        self._bell.set()

    async def _next(self) -> ChatEvent | None:
        """One step: an event to show, or None to step again."""
        if self._page:
            return self._advance(self._page.popleft())
        if self._behind:
            await self._read()
            return None
        if not self._queue:
            self._bell.clear()
            await self._bell.wait()
            return None
        return self._in_order(self._queue.popleft())

    def _in_order(self, event: ChatEvent) -> ChatEvent | None:
        if event.id == 0:
            return event
        if self._last is None:
            self._last = event.id - 1
        if event.id == self._last + 1:
            return self._advance(event)
        # One that was kept before is not published yet: the history has them in order.
        self._behind = self._behind or event.id > self._last
        return None

    async def _read(self) -> None:
        self._behind = False
        if self._last is None:
            self._last = max(0, await self._history.last_event(self.chat) - 1)
        page = await self._history.chat_events(self.chat, after=self._last, limit=PAGE)
        self._page.extend(shown(event) for event in page)
        # A page may be short because its events are long: only an empty one is the end.
        self._behind = self._behind or bool(page)

    def _advance(self, event: ChatEvent) -> ChatEvent:
        self._last = event.id
        return event


def shown(event: LoggedEvent) -> ChatEvent:
    """A kept event as people see it."""
    return ChatEvent(
        id=event.id,
        kind=event.kind,
        chat=event.chat,
        thread=event.thread,
        session=event.session,
        message=event.message,
        sender=event.sender,
        text=event.text,
        at_ms=event.at_ms,
        code=event.code,
        question=event.question,
        options=event.options,
        free_text=event.free_text,
        answers=event.answers,
        files=event.files,
    )


def message_shown(message: Message, number: int) -> ChatEvent:
    """A message as people see it: the event of its chat that has this number."""
    return ChatEvent(
        id=number,
        kind="message",
        chat=message.chat,
        thread=message.thread,
        session=message.session,
        message=message.id,
        sender=message.sender,
        text=message.text,
        at_ms=message.at_ms,
        files=message.files,
    )


def _kind(delivery: Delivery) -> Literal["said", "reply", "question", "error"]:
    if delivery.is_error:
        return "error"
    if delivery.goes_on:
        return "said"
    return "reply" if delivery.question is None else "question"
