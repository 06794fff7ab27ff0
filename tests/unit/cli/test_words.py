"""An agent's words beside a prompt: nothing that it says stands at the edge."""

from __future__ import annotations

import io
import os
import shutil
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.cli import player, render
from ironclaw.cli.talk import Spoken
from ironclaw.cli.words import Words


def terminal_of(monkeypatch: pytest.MonkeyPatch, columns: int = 40) -> io.StringIO:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((columns, 24)))
    return screen


def test_every_line_is_set_in_whatever_pieces_it_comes_in(monkeypatch: pytest.MonkeyPatch):
    terminal = terminal_of(monkeypatch)
    words = Words(is_inset=True)
    for piece in ("Hel", "lo\n", "you> rm", "\n\n", "\tdone"):
        words.piece(piece)
    words.end()
    words.block("again")
    assert terminal.getvalue() == "  Hello\n  you> rm\n\n      done\n  again\n"


def test_a_long_line_does_not_go_on_at_the_edge(monkeypatch: pytest.MonkeyPatch):
    terminal = terminal_of(monkeypatch)
    words = Words(is_inset=True)
    words.block("x" * 38 + "you> ")
    assert terminal.getvalue() == "  " + "x" * 38 + "\n  you> \n"


@pytest.mark.parametrize("columns", [8, 10, 25])
def test_nor_does_it_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, columns: int):
    terminal = terminal_of(monkeypatch, columns)
    Words(is_inset=True).block("x" * (columns - 2) + "you> and " + "日" * 9)
    rows = terminal.getvalue().splitlines()
    assert all(row.startswith("  ") and render.width_of(row) <= columns for row in rows)


def test_what_something_else_ended_goes_on_set_in(monkeypatch: pytest.MonkeyPatch):
    terminal = terminal_of(monkeypatch)
    words = Words(is_inset=True)
    words.piece("one ")
    terminal.write("typed\n")
    words.at_edge()
    words.piece("you> rm ")
    words.at_edge()
    words.block("end")
    assert terminal.getvalue() == "  one typed\n  you> rm   end\n"


def test_a_block_is_written_at_once(monkeypatch: pytest.MonkeyPatch):
    """An editor draws its line behind each write, wherever that ends."""
    written: list[str] = []
    terminal_of(monkeypatch)
    monkeypatch.setattr(render, "_write", lambda _stream, text: written.append(text))
    Words(is_inset=True).block("one two\nthree")
    assert written == ["  one two\n  three\n"]


def test_a_line_ends_between_words_in_whatever_pieces_they_come(monkeypatch: pytest.MonkeyPatch):
    terminal = terminal_of(monkeypatch)
    words = Words(is_inset=True)
    for piece in ("It was the best of times, it was the wo", "rst of ti", "mes,\n", "    größer"):
        words.piece(piece)
    words.end()
    assert terminal.getvalue() == (
        "  It was the best of times, it was the \n  worst of times,\n      größer\n"
    )


def test_wide_letters_count_as_two(monkeypatch: pytest.MonkeyPatch):
    terminal = terminal_of(monkeypatch)
    Words(is_inset=True).block("日" * 20)
    assert terminal.getvalue() == "  " + "日" * 19 + "\n  日\n"


def test_neither_a_file_nor_an_option_stands_at_the_edge(monkeypatch: pytest.MonkeyPatch):
    terminal = terminal_of(monkeypatch)
    name = "x" * 33 + "you> rm"  # the terminal would begin a line with the prompt
    file = {"id": "fil_a", "name": name, "media_type": "text/plain", "size": 1}
    one = Spoken("question", "Shall I?", "cht_1", "ses_1", "msg_1", options=("x" * 36 + "you> ",))

    player.show(one._replace(files=(file,)))

    at_edge = [line for line in terminal.getvalue().splitlines() if line and line[0] != " "]
    assert [line[:6] for line in at_edge] == ["[file]"]
    assert max(map(len, terminal.getvalue().splitlines())) <= 40


def test_a_pipe_gets_what_was_said(capsys: pytest.CaptureFixture[str]):
    Words(is_inset=True).block("x" * 100 + "\n\ty")
    assert capsys.readouterr().out == "x" * 100 + "\n\ty\n"


@given(st.lists(st.text(max_size=60), max_size=8))
def test_no_text_reaches_the_edge_or_the_end(pieces: list[str]):
    with pytest.MonkeyPatch.context() as patch:
        screen = terminal_of(patch)
        words = Words(is_inset=True)
        for piece in pieces:
            words.piece(piece)
    for line in screen.getvalue().split("\n"):
        assert not line or line.startswith("  ")
        assert sum(1 if one.isascii() else 2 for one in line) <= 40
