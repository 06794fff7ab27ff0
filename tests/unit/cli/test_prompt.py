"""The prompt of a conversation: a line that can be edited at a terminal, lines as they are else."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from ironclaw.cli import render
from ironclaw.cli.prompt import Editor, Plain, prompt

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKING = """
import sys, threading
from ironclaw.cli import render
from ironclaw.cli.prompt import prompt

asking = prompt("you> ")
lock = threading.Lock()

def aside():
    with lock, asking.aside():
        render.line("one aside")
        render.line("two aside")

def ask():
    with lock:
        asking.begin()
    try:
        return asking.ask()
    finally:
        with lock:
            asking.end()

while True:
    if "aside" in sys.argv:
        threading.Timer(0.3, aside).start()
    try:
        line = ask()
    except KeyboardInterrupt:
        line = "left"
    render.line(ascii(line) + " and more" * asking.is_ahead)
    if line in {None, "left"}:
        break
"""


class Seat:
    """Somebody at a real terminal, before the prompt."""

    def __init__(self, *words: str, term: str = "xterm", columns: int = 80) -> None:
        self._hand, end = pty.openpty()
        os.set_blocking(self._hand, False)
        environment = {**os.environ, "TERM": term, "COLUMNS": str(columns)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", ASKING, *words],
            stdin=end, stdout=end, stderr=end, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(end)
        self.shown = ""

    def types(self, text: str) -> None:
        left = text.encode()
        while left:
            # Its buffer holds some 4,000 bytes; whoever runs at the other end shows something, too.
            with contextlib.suppress(BlockingIOError):
                left = left[os.write(self._hand, left[:1000]) :]
            self._look()

    def _look(self) -> None:
        select.select([self._hand], [], [], 0.05)
        with contextlib.suppress(BlockingIOError):
            self.shown += os.read(self._hand, 65536).decode()

    def sees(self, text: str) -> str:
        """What is shown until it has been shown; what comes later is for the next call."""
        end = time.monotonic() + 10
        while text not in self.shown:
            assert time.monotonic() < end, (text, self.shown)
            self._look()
        before, found, self.shown = self.shown.partition(text)
        return before + found

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        os.close(self._hand)


@pytest.fixture
def seat() -> Iterator[Seat]:
    made = Seat()
    made.sees("you>")
    yield made
    made.close()


def test_a_line_is_edited_where_the_cursor_is(seat: Seat) -> None:
    seat.types("wrld\x1b[D\x1b[D\x1b[Do\r")
    seat.sees("'world'")


def test_several_lines_that_are_pasted_are_one_message(seat: Seat) -> None:
    seat.types("\x1b[200~one\ntwo\r\nthree\x1b[201~")
    seat.sees("three")
    seat.types("\x1b\rfour\r")
    seat.sees(r"'one\ntwo\nthree\nfour'")


def test_a_long_line_is_whole(seat: Seat) -> None:
    # A terminal itself would cut it at 4,095 bytes.
    seat.types("\x1b[200~" + "x" * 8000 + "\x1b[201~\r")
    assert f"'{'x' * 8000}'" in seat.sees("xxx'")


def test_an_earlier_line_comes_back(seat: Seat) -> None:
    seat.types("first\r")
    seat.sees("'first'")
    seat.sees("you>")
    seat.types("\x1b[A!\r")
    seat.sees("'first!'")


def test_ctrl_c_clears_the_line_first_and_leaves_then(seat: Seat) -> None:
    seat.types("wrong\x03right\r")
    seat.sees("'right'")
    seat.sees("you>")
    seat.types("\x03")
    seat.sees("'left'")
    assert seat.process.wait(10) == 0


def test_ctrl_d_ends_it(seat: Seat) -> None:
    seat.types("\x04")
    seat.sees("None")
    assert seat.process.wait(10) == 0


def test_lines_that_are_pasted_without_a_mark_stay_in_order(seat: Seat) -> None:
    lines = [f"{number}" + 60 * "x" for number in range(40)]
    seat.types("\r".join(lines) + "\rlast")
    for line in lines:
        seat.sees(f"'{line}' and more")
    seat.types("\r")
    assert "and more" not in seat.sees("'last'\r\n")


def test_a_mark_is_not_set(seat: Seat) -> None:
    seat.types("be\0fore\r")
    seat.sees("'before'")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_end_puts_the_terminal_back(number: signal.Signals) -> None:
    seat = Seat()
    try:
        before = termios.tcgetattr(seat._hand)
        seat.sees("you>")
        seat.types("half")
        assert termios.tcgetattr(seat._hand) != before
        seat.process.send_signal(number)
        assert seat.process.wait(10) == 128 + number
        assert termios.tcgetattr(seat._hand) == before
    finally:
        seat.close()


def test_what_is_no_text_is_no_surrogate(seat: Seat) -> None:
    os.write(seat._hand, b"caf\xe9\r")
    seat.sees(r"'caf\ufffd'")


def test_lines_written_aside_stand_above_what_is_being_typed() -> None:
    seat = Seat("aside")
    try:
        seat.sees("you>")
        seat.types("half")
        seat.sees("one aside\r\ntwo aside\r\n")
        # The line is drawn again, whole.
        seat.sees("half")
        seat.types(" done\r")
        seat.sees("'half done'")
    finally:
        seat.close()


def test_the_prompt_begins_at_the_edge_of_a_line() -> None:
    # Spaces for a whole line: they end on the next one, unless they began at the edge.
    seat = Seat(columns=20)
    try:
        assert " " * 20 + "\r\x1b[K" in seat.sees("you>")
    finally:
        seat.close()


def test_a_dumb_terminal_has_the_plain_prompt() -> None:
    seat = Seat(term="dumb")
    try:
        assert "\x1b" not in seat.sees("you>")
        seat.types("word\n")
        seat.sees("'word'")
    finally:
        seat.close()


def test_a_pipe_is_read_line_by_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\ntwo\n"))
    asking = prompt("you> ")
    assert isinstance(asking, Plain)
    said = []
    for _ in range(3):
        asking.begin()
        said.append(asking.ask())
        asking.end()
    assert said == ["one", "two", None]
    assert capsys.readouterr().out == ""


def test_a_person_at_a_terminal_gets_the_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    hand, end = pty.openpty()
    with (
        os.fdopen(end, "r+b", buffering=0) as raw,
        io.TextIOWrapper(raw, write_through=True) as both,
    ):
        monkeypatch.setattr(render, "is_seen", lambda: True)
        monkeypatch.setattr(sys, "stdin", both)
        monkeypatch.setattr(sys, "stdout", both)
        assert isinstance(prompt("you> "), Editor)
        monkeypatch.setenv("TERM", "dumb")
        assert isinstance(prompt("you> "), Plain)
        monkeypatch.undo()
    os.close(hand)
