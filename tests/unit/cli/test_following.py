"""What comes by itself in a conversation is shown once, and where the prompt waits for it."""

from __future__ import annotations

import contextlib
import os
import pty
import queue
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.cli import following, player, render, talk
from ironclaw.cli.client import StreamEvent
from ironclaw.cli.following import Following
from ironclaw.cli.prompt import Plain
from ironclaw.cli.talk import Spoken
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ironclaw.testing.fake_house import FakeHouse

SENT = {"chat": "cht_1", "event": 5, "session": "ses_1", "message": "msg_1"}


class FakeClient:
    """Streams what a test puts in; an error ends the stream that is open."""

    def __init__(self) -> None:
        self.events: queue.Queue[dict[str, Any] | Exception | None] = queue.Queue()
        self.opened: list[int | None] = []

    def stream(self, *path: str, after: int | None, timeout_s: float) -> Iterator[StreamEvent]:
        assert (path, timeout_s) == (("v1", "chats", "cht_1", "events"), talk.SILENCE_S)
        self.opened.append(after)
        while (one := self.events.get(timeout=10)) is not None:
            if isinstance(one, Exception):
                raise one
            yield StreamEvent(one["kind"], str(one["id"]), one)

    def interrupt(self) -> None:
        self.events.put(None)


def event(number: int, text: str, kind: str = "reply", **more: Any) -> dict[str, Any]:
    made = {"id": number, "kind": kind, "text": text, "chat": "cht_1", "thread": None}
    return made | {"session": "ses_1", "message": "msg_0", "sender": "report", "at_ms": 100} | more


def spoken(kind: str, number: int) -> Spoken:
    return Spoken(kind, "words", "cht_1", "ses_1", "msg_1", event=number)


class Desk:
    """Somebody who sits before the prompt, and says nothing until told to."""

    def __init__(self, client: FakeClient) -> None:
        self.client = client
        self.following = Following(client, thread=None, prompt=Plain("you> "), since_ms=100)  # type: ignore[arg-type] - what it uses of one
        self.lines: queue.Queue[str] = queue.Queue()
        self.asked = threading.Event()
        self.shown: list[str] = []

    def invite(self, prompt: str) -> None:
        self.shown.append(prompt)
        self.asked.set()

    def take(self, *texts: str) -> None:
        """Wait until these were shown."""
        end = time.monotonic() + 10
        while not all(text in self.shown for text in texts):
            assert time.monotonic() < end, (texts, self.shown)
            time.sleep(0.005)

    def types(self, line: str, *meanwhile: dict[str, Any], until: str) -> None:
        """Have things happen while the prompt waits, then end the line."""

        def happen() -> None:
            assert self.asked.wait(10)
            for one in meanwhile:
                self.client.events.put(one)
            self.take(until)
            self.lines.put(line)

        self.asked.clear()
        hand = threading.Thread(target=happen)
        hand.start()
        assert self.following.ask() == line
        hand.join(10)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(FakeClient())
    monkeypatch.setattr(following, "_FIRST_S", 0.01)
    monkeypatch.setattr(render, "invite", made.invite)
    monkeypatch.setattr(render, "answer", lambda: made.lines.get(timeout=10))
    monkeypatch.setattr(player.Words, "block", lambda _self, text: made.shown.append(text))
    monkeypatch.setattr(render, "inset", lambda text, **_tone: made.shown.append(text))
    monkeypatch.setattr(render, "line", lambda text="": made.shown.append(text))
    monkeypatch.setattr(render, "note", lambda text, **_tone: made.shown.append(text))
    yield made
    made.following.close()
    assert "following" not in {thread.name for thread in threading.enumerate()}


def test_what_comes_while_the_prompt_waits_is_shown_and_the_prompt_again(desk: Desk) -> None:
    desk.following.begin(SENT)

    desk.types(
        "hello",
        event(7, "Sum it up.\n" + 300 * "x", "message"),
        event(8, "All is well."),
        event(9, "still at it", "progress"),
        event(10, "It broke.", "error", code="model_failed"),
        until="It broke.",
    )

    asked = ("report: Sum it up. " + 300 * "x")[:200]
    assert desk.shown == [
        *("you> ", "", asked),
        *("you> ", "", "All is well."),
        *("you> ", "", "It broke.", "you> "),
    ]


def test_what_was_played_is_not_shown_again_and_what_came_meanwhile_is(desk: Desk) -> None:
    desk.following.begin(SENT)
    for one in (event(5, "me", "message"), event(6, "Mine."), event(7, "A report.")):
        desk.client.events.put(one)

    assert (
        len(list(desk.following.beside(lambda: iter([spoken("progress", 0), spoken("reply", 6)]))))
        == 2
    )
    wait_for(lambda: len(desk.following._waiting) == 3)
    assert desk.shown == []
    desk.types("", until="you> ")

    assert desk.shown == ["A report.", "you> "]


def test_what_is_of_another_conversation_is_not_shown(desk: Desk) -> None:
    desk.following.begin(SENT)

    desk.types(
        "",
        event(7, "In a thread.", thread="t"),
        event(8, "Of yesterday.", at_ms=99),
        event(9, "News."),
        until="News.",
    )

    assert desk.shown == ["you> ", "", "News.", "you> "]


def test_an_error_that_was_shown_is_no_notice_of_the_next_message(desk: Desk) -> None:
    desk.following.begin(SENT)
    desk.types("", event(7, "It grew.", "error"), until="It grew.")

    heard = [spoken("notice", 7), spoken("notice", 8), spoken("reply", 9)]

    assert [one.event for one in desk.following.beside(lambda: iter(heard))] == [8, 9]


def test_a_stream_that_ends_is_opened_again_where_it_was(desk: Desk) -> None:
    desk.following.begin(SENT)
    gone = HostError(Code.UNAVAILABLE, "Gone.", hint="")
    for one in (event(7, "One."), gone, event(8, "Two."), OSError(), event(9, "Three.")):
        desk.client.events.put(one)  # type: ignore[arg-type] - as its type says

    wait_for(lambda: len(desk.client.opened) == 3)
    desk.types("", until="Three.")

    assert desk.client.opened == [0, 7, 8]


def test_who_may_not_follow_any_more_is_told_so(desk: Desk) -> None:
    desk.following.begin(SENT)
    lost = "What comes later is not shown here any more: The right is gone."

    desk.types("", PolicyError(Code.FORBIDDEN, "The right is gone.", hint=""), until=lost)  # type: ignore[arg-type] - an end

    assert desk.shown == ["you> ", "", lost, "you> "]


def test_only_a_stream_that_found_no_room_is_opened_again(desk: Desk) -> None:
    full = PolicyError(Code.RATE_LIMITED, "1 event streams are open already.", hint="")
    opened: list[Spoken] = []

    def hear() -> Iterator[Spoken]:
        opened.append(spoken("progress", 0))
        yield from opened[:1]
        raise full

    def refuse() -> Iterator[Spoken]:
        raise full
        yield

    with pytest.raises(PolicyError):
        list(desk.following.beside(refuse))
    desk.following.begin(SENT)
    with pytest.raises(PolicyError):
        list(desk.following.beside(hear))
    assert len(opened) == 1


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_terminal_shows_what_another_one_caused(cli: Any, house: FakeHouse) -> None:
    """The whole of it: a person at a terminal, the API, and somebody else in the same chat."""
    with conversation() as (ours, person):
        read_until(ours, "you>")
        os.write(ours, b"first\r")
        assert read_until(ours, "you>", behind="echo: first").count("echo: first") == 1
        assert cli("chat", "demo", "elsewhere")[0] == 0
        late = read_until(ours, "you>", behind="echo: elsewhere")
        assert "cli: elsewhere" in late
        assert "first" not in late
        os.write(ours, b"second\r")
        said = read_until(ours, "you>", behind="echo: second")
        assert said.count("echo: second") == 1
        assert "elsewhere" not in said
        os.write(ours, b"/quit\r")
        assert person.wait(10) == 0


def test_a_command_is_answered_while_the_agent_is_at_work(house: FakeHouse) -> None:
    with conversation() as (ours, _):
        read_until(ours, "you>")
        os.write(ours, b"silent\r")
        read_until(ours, "at work")
        os.write(ours, b"/status\n")
        shown = read_until(ours, "handled: status")
        os.write(ours, b"/help\n")
        shown += read_until(ours, "handled: help")
        assert "you>" not in shown
        assert shown.count("handled: status") == 1


def test_an_answer_to_a_command_is_shown_aside_and_once(desk: Desk) -> None:
    calls: list[str] = []

    def aside(show: Callable[[], None]) -> None:
        calls.append("aside")
        show()

    desk.following.begin(SENT)
    with desk.following.playing(aside):
        # The answer is there before we know which message it is of.
        desk.client.events.put(event(7, "All is well.", message="msg_7"))
        wait_for(lambda: bool(desk.following._waiting))
        desk.following.answer_aside(SENT | {"event": 6, "message": "msg_7"})
        desk.client.events.put(event(8, "And so on.", message="msg_7"))
        desk.take("All is well.", "And so on.")
    assert calls == ["aside", "aside"]
    desk.client.events.put(event(9, "Later.", message="msg_7"))
    wait_for(lambda: bool(desk.following._waiting))
    desk.types("", until="you> ")
    assert desk.shown == ["All is well.", "And so on.", "Later.", "you> "]


def test_what_was_said_before_a_reply_is_shown_before_it(desk: Desk) -> None:
    desk.following.begin(SENT)
    for one in (event(7, "Of the turn before."), event(9, "Of one behind.")):
        desk.client.events.put(one)
    wait_for(lambda: len(desk.following._waiting) == 2)

    heard = list(desk.following.beside(lambda: iter([spoken("reply", 8)])))

    assert [(one.kind, one.event) for one in heard] == [("said", 7), ("reply", 8)]
    desk.types("", until="you> ")
    assert desk.shown == ["Of one behind.", "you> "]


@pytest.fixture
def one_stream(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The house, made after this, has room for one stream only."""
    monkeypatch.setenv("IRONCLAW_API_MAX_STREAMS", "1")


def test_a_conversation_goes_on_where_there_is_no_room_for_two_streams(
    cli: Any, one_stream: None, house: FakeHouse
) -> None:
    with conversation() as (ours, person):
        read_until(ours, "you>")
        told = 0
        for word in ("first", "second", "third"):
            # Long enough for the other stream to be opened, and to be in the way.
            time.sleep(1.5)
            os.write(ours, word.encode() + b"\r")
            shown = read_until(ours, "you>", behind=f"echo: {word}")
            told += shown.count("What comes later is not shown")
        assert told == 1
        os.write(ours, b"/quit\r")
        assert person.wait(10) == 0


@contextlib.contextmanager
def conversation() -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A person at a real terminal who talks to the agent: their hand on it, and the program."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-s", "-P", "-m", "ironclaw.cli.main", "chat", "demo"]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs) as person:
        os.close(theirs)
        try:
            yield ours, person
        finally:
            person.kill()
            os.close(ours)


def read_until(terminal: int, text: str, *, behind: str = "") -> str:
    """What a terminal shows until it has shown a text, and another one before it."""
    shown = ""
    while behind not in shown or text not in shown.partition(behind or "\0")[2 if behind else 0]:
        shown += os.read(terminal, 65536).decode()
    return shown
