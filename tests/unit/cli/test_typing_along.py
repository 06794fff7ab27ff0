"""What is typed while an agent is at work: commands go out at once, the rest waits its turn."""

from __future__ import annotations

import os
import pty
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ironclaw.cli import render
from ironclaw.cli.typing_along import LEAVING, Typing
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAVE = frozenset({"/quit"})


class Terminal:
    """A real one, with somebody who types."""

    def __init__(self) -> None:
        self._hand, self._end = pty.openpty()
        self.stdin = os.fdopen(self._end, encoding="utf-8", errors="surrogateescape")
        self.sent: list[str] = []
        self.refused: list[str] = []

    def types(self, data: bytes) -> None:
        os.write(self._hand, data)

    def close(self) -> None:
        self.stdin.close()
        os.close(self._hand)

    def command(self, text: str) -> None:
        if text in self.refused:
            raise HostError(Code.UNAVAILABLE, "not now")
        self.sent.append(text)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@pytest.fixture
def typing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Typing:
    monkeypatch.setattr(render, "is_seen", lambda: True)
    return Typing(terminal.command, leave=LEAVE)


def nothing() -> None:
    pass


def asked() -> str | None:
    return "asked"


def until(typing: Typing, terminal: Terminal, count: int) -> None:
    """Wait until so many lines were read."""
    end = time.monotonic() + 10
    while len(typing._lines) + len(terminal.sent) < count:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_command_goes_out_while_the_agent_works(
    typing: Typing, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    with typing.reading(nothing):
        terminal.types(b"/stop\n")
        until(typing, terminal, 1)
    assert terminal.sent == ["/stop"]
    assert typing.next(asked) == "asked"


def test_other_lines_wait_for_the_end_of_the_turn_in_order(
    typing: Typing, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    with typing.reading(nothing):
        for line in (b"one\n", b"/status\n", b"two \n", b"/quit\n"):
            terminal.types(line)
            time.sleep(0.02)
        until(typing, terminal, 4)
    assert terminal.sent == ["/status"]
    assert [typing.next(asked) for _ in range(4)] == ["one", "two ", "/quit", "asked"]


def test_the_end_of_input_is_the_end_once_the_turn_is_over(
    typing: Typing, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    with typing.reading(nothing):
        terminal.types(b"\x04")
        until(typing, terminal, 1)
    assert typing.next(asked) is None


def test_a_command_that_cannot_be_sent_is_tried_again_at_the_prompt(
    typing: Typing, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    terminal.refused.append("/stop")
    with typing.reading(nothing):
        terminal.types(b"/stop\n")
        until(typing, terminal, 1)
    assert typing.next(asked) == "/stop"


def test_nothing_is_read_between_two_turns(
    typing: Typing, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    for number in range(3):
        with typing.reading(nothing):
            pass
        terminal.types(b"line %d\n" % number)
        assert terminal.stdin.readline() == f"line {number}\n"
    assert terminal.sent == []


def test_a_line_that_was_typed_has_ended_the_line_on_the_terminal(
    typing: Typing, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    ended: list[str] = []
    with typing.reading(lambda: ended.append("line")):
        terminal.types(b"one\n")
        until(typing, terminal, 1)
        assert ended == ["line"]
        terminal.types(b"\x04")
        until(typing, terminal, 2)
    assert ended == ["line", "line"]


def test_keys_that_are_no_letters_are_not_said(
    typing: Typing, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    with typing.reading(nothing):
        terminal.types(b"tes\x1b[Dt\x1bOA\x1b[1;5C\x1b[200~!\x1b[201~\n")
        until(typing, terminal, 1)
    assert typing.next(asked) == "test!"


def test_who_wants_to_leave_is_told_when_and_can_still_stop_the_agent(
    typing: Typing,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    with typing.reading(nothing):
        terminal.types(b"\x04")
        until(typing, terminal, 1)
        time.sleep(0.2)
        terminal.types(b"\x04")
        until(typing, terminal, 2)
        time.sleep(0.2)
        terminal.types(b"/stop\n")
        until(typing, terminal, 3)
    assert terminal.sent == ["/stop"]
    assert typing.next(asked) is None
    assert LEAVING in capsys.readouterr().err


def test_a_terminal_that_is_gone_is_not_read_for_ever(
    typing: Typing, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("/dev/null", encoding="utf-8") as nothing_there:  # noqa: PTH123 - always ready
        monkeypatch.setattr("sys.stdin", nothing_there)
        with typing.reading(nothing):
            end = time.monotonic() + 10
            while "typing" in {thread.name for thread in threading.enumerate()}:
                assert time.monotonic() < end
                time.sleep(0.005)
    assert typing.next(asked) is None


def test_nothing_overtakes_lines_that_were_typed_before_and_wait(
    typing: Typing, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    with typing.reading(nothing, is_ahead=True):
        terminal.types(b"later\n")
        time.sleep(0.05)
    assert typing.next(asked) == "asked"
    assert terminal.stdin.readline() == "later\n"


def test_a_pipe_is_left_alone(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "is_seen", lambda: False)
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    with Typing(terminal.command, leave=LEAVE).reading(nothing):
        terminal.types(b"/stop\n")
        time.sleep(0.05)
    assert terminal.sent == []
    assert render.answer() == "/stop"


def test_bytes_that_are_no_text_are_shown_as_such_and_end_nothing(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", terminal.stdin)
    terminal.types(b"a\xff\xfeb\n")
    assert render.answer() == "a\ufffd\ufffdb"
