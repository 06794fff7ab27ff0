"""Shows what comes by itself in a conversation: reports, late answers, what others caused.

A conversation plays what comes of each message (`talk.hear`). What else is said in the same chat
and thread comes over a stream of its own, which a thread follows: it is shown at once while the
prompt waits for a line, and before the next prompt when it came while a message was played.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ironclaw.cli import player, render, talk
from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.cli.client import Client
    from ironclaw.cli.prompt import Prompt
    from ironclaw.cli.talk import Spoken

MOST_WAITING: Final = 1000
"""Events kept while a message is played; beyond it the oldest are left out."""
_BACK: Final = 200
"""Events before the first message that are looked at: some may be of this conversation."""
_FIRST_S: Final = 1.0
_MOST_S: Final = 60.0
"""Pauses before a stream that ended is opened again: each time twice as long, up to this."""
_END_S: Final = 1.0
_ROOM_S: Final = 3.0
"""How long the house may take to see that a stream was ended."""
_AGAIN_S: Final = 0.1
_WIDTH: Final = 200
_PASSING: Final = frozenset({Code.UNAVAILABLE, Code.NOT_RUNNING, Code.RATE_LIMITED})
"""Why a stream may end, to be opened again."""
Aside = Callable[[Callable[[], None]], object]
_KEPT: Final = frozenset({"message", "said", "reply", "question", "error"})


class Following:
    """What comes by itself, beside the prompt of a conversation.

    Args:
        client: A connection of its own.
        thread: Of the chat; what is said in others belongs to other conversations.
        prompt: Asks for lines.
        since_ms: When the conversation began: what was said before is no news.
    """

    def __init__(
        self, client: Client, *, thread: str | None, prompt: Prompt, since_ms: int
    ) -> None:
        self._client = client
        self._thread = thread
        self._prompt = prompt
        self._since_ms = since_ms
        self._worker: threading.Thread | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        """Over all below, and over the terminal while the prompt waits."""
        self._is_asking = False
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_WAITING)
        self._played: set[int] = set()
        """Events that were played with a message."""
        self._errors: set[int] = set()
        """Errors that were shown here: the next message would tell of them too."""
        self._lost = ""
        self._commands: set[str] = set()
        """Messages whose answers nobody waits for, and which are shown while another is played."""
        self._aside: Aside | None = None

    def begin(self, sent: dict[str, Any]) -> None:
        """Follow the chat of a message that was sent, from the first one on."""
        with self._lock:
            self._played.add(sent["event"])
        if self._worker is None:
            after = max(0, sent["event"] - _BACK)
            self._worker = threading.Thread(
                target=self._follow, args=(sent["chat"], after), name="following", daemon=True
            )
            self._worker.start()

    def answer_aside(self, sent: dict[str, Any]) -> None:
        """Follow the chat of a command that was sent while a message is played.

        Its answer is shown at once, where `playing` is open, and before the next prompt else.
        """
        self.begin(sent)
        with self._lock:
            self._commands.add(sent["message"])
            there = [event for event in self._waiting if self._is_answer(event)]
        for event in there:
            self._show_aside(event)

    @contextlib.contextmanager
    def playing(self, aside: Aside) -> Iterator[None]:
        """A message is played meanwhile.

        Args:
            aside: Calls what shows something while nothing of that message is shown; false when
                it is over.
        """
        self._aside = aside
        try:
            yield
        finally:
            self._aside = None

    def close(self) -> None:
        """End it."""
        self._ended.set()
        self._client.interrupt()
        if self._worker is not None:
            self._worker.join(_END_S)

    @property
    def is_ahead(self) -> bool:
        """Whether what follows the last line was typed with it, and is for the next `ask`."""
        return self._prompt.is_ahead

    def ask(self) -> str | None:
        """Show what has come, then wait for a line and show what comes; None at the end."""
        with self._lock:
            while self._waiting:
                event = self._waiting.popleft()
                if self._is_news(event):
                    self._show(event)
            self._tell_lost()
            self._prompt.begin()
            self._is_asking = True
        try:
            return self._prompt.ask()
        finally:
            with self._lock:
                self._is_asking = False
                self._prompt.end()

    def beside(self, hear: Callable[[], Iterator[Spoken]]) -> Iterator[Spoken]:
        """What is played of a message: not to be shown twice, here or there.

        Args:
            hear: Opens the stream of the message. Where the house has no room for two, ours is
                ended: what comes of what somebody said counts more.

        Raises:
            IronClawError: From `hear`.
        """
        is_half_said = False
        for one in self._heard(hear):
            with self._lock:
                if one.kind == "notice" and one.event in self._errors:
                    continue
                if one.event:
                    self._played.add(one.event)
                earlier = [] if is_half_said else self._earlier(one.event)
            yield from earlier
            is_half_said = is_half_said or one.kind == "progress"
            yield one

    def _earlier(self, number: int) -> list[Spoken]:
        """What the agent said before that, of another message: it is shown in the same order."""
        found = []
        for event in list(self._waiting):
            if event["id"] < number and event["kind"] in {"said", "reply"}:
                self._waiting.remove(event)
                if self._is_news(event):
                    found.append(talk.spoken(event)._replace(kind="said"))
        return found

    def _heard(self, hear: Callable[[], Iterator[Spoken]]) -> Iterator[Spoken]:
        has_begun = False
        until = 0.0
        while True:
            try:
                for one in hear():
                    has_begun = True
                    yield one
            except IronClawError as error:
                if has_begun or error.code is not Code.RATE_LIMITED:
                    raise
                if self._give_way():
                    until = time.monotonic() + _ROOM_S
                if time.monotonic() >= until:
                    raise
                time.sleep(_AGAIN_S)
            else:
                return

    def _give_way(self) -> bool:
        """End it for another stream; False when it was over already."""
        if self._worker is None or self._ended.is_set():
            return False
        self.close()
        self._lose("the house has no room for another event stream (api.max_streams).")
        return True

    def _follow(self, chat: str, after: int) -> None:
        pause = _FIRST_S
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                for event in self._client.stream(
                    *("v1", "chats", chat, "events"), after=after, timeout_s=talk.SILENCE_S
                ):
                    pause = _FIRST_S
                    after = max(after, event.data["id"])
                    self._take(event.data)
            except IronClawError as error:
                if error.code not in _PASSING:
                    self._lose(error.message)
                    return
            except (OSError, ValueError, http.client.HTTPException):
                # It broke off in the middle, or `close` cut it.
                pass
            if time.monotonic() - began > _MOST_S:
                # It was well for long: silence is no failure.
                pause = _FIRST_S
            self._ended.wait(pause)
            pause = min(2 * pause, _MOST_S)

    def _take(self, event: dict[str, Any]) -> None:
        if event["kind"] not in _KEPT or event["thread"] != self._thread:
            return
        with self._lock:
            is_for_later = not self._is_asking
            if is_for_later:
                self._waiting.append(event)
            elif self._is_news(event):
                with self._prompt.aside():
                    self._show(event)
        if is_for_later and self._is_answer(event):
            self._show_aside(event)

    def _is_answer(self, event: dict[str, Any]) -> bool:
        return event["message"] in self._commands and event["kind"] != "message"

    def _show_aside(self, event: dict[str, Any]) -> None:
        def show() -> None:
            with self._lock:
                is_news = event in self._waiting and self._is_news(event)
                if is_news:
                    self._waiting.remove(event)
            if is_news:
                self._show(event)

        if (aside := self._aside) is not None:
            aside(show)

    def _lose(self, why: str) -> None:
        with self._lock:
            self._lost = why
            if self._is_asking:
                with self._prompt.aside():
                    self._tell_lost()

    def _tell_lost(self) -> None:
        if self._lost:
            render.note(f"What comes later is not shown here any more: {self._lost}", tone="warn")
            self._lost = ""

    def _is_news(self, event: dict[str, Any]) -> bool:
        return event["id"] not in self._played and event["at_ms"] >= self._since_ms

    def _show(self, event: dict[str, Any]) -> None:
        if event["kind"] == "error":
            self._errors.add(event["id"])
        if event["kind"] == "message":
            said = " ".join(f"{event['sender']}: {event['text']}"[:_WIDTH].split())
            render.inset(said, tone="dim")
        else:
            player.show(talk.spoken(event))
