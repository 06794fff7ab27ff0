from __future__ import annotations

import ast
import io
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ironclaw.cli
from ironclaw.cli import render
from ironclaw.cli.client import not_running
from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import HostError
from ironclaw.core.sanitize import sanitize


@settings(deadline=None)
@given(text=st.text(), lines=st.booleans())
def test_nothing_that_acts_on_a_terminal_gets_through(text: str, *, lines: bool) -> None:
    for character in sanitize(text, lines=lines):
        is_layout = lines and character in "\n\t"
        assert is_layout or unicodedata.category(character)[0] != "C"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 漢字 🙂", "plain ünïcode 漢字 🙂"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u200bb", "a\\u200bb"),
        ("a\u2066b\ufeff", "a\\u2066b\\ufeff"),
        ("a\rb\n", "a\\x0db\\x0a"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\u3164", "\\u3164"),
    ],
)
def test_what_acts_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert sanitize(text) == shown


def test_json_output_is_one_ascii_line(capsys: pytest.CaptureFixture[str]) -> None:
    render.data({"text": "\x9b\u202e\nä"})

    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == {"text": "\x9b\u202e\nä"}


@pytest.mark.parametrize("code", list(Code))
def test_an_error_says_what_why_and_what_next_with_its_exit_code(
    code: Code, capsys: pytest.CaptureFixture[str]
) -> None:
    status = render.error(HostError(code, "It broke\x1b[1m.", hint="Mend it."), as_json=False)

    captured = capsys.readouterr()
    assert status == CODES[code].exit_code
    assert captured.out == ""
    assert "It broke\\x1b[1m." in captured.err
    assert CODES[code].meaning in captured.err
    assert "next: Mend it." in captured.err


def test_a_why_that_only_repeats_the_message_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    render.error(not_running(), as_json=False)

    err = capsys.readouterr().err
    assert err.count("not running") == 1
    assert "why:" not in err
    assert "next: Start it with `ironclaw up`." in err


@pytest.mark.parametrize(("term", "has_colour"), [("xterm", True), ("dumb", False), ("", True)])
def test_a_terminal_that_knows_no_colour_gets_none(
    monkeypatch: pytest.MonkeyPatch, term: str, has_colour: bool
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", term)

    render.line("fine", tone="good")

    assert ("\x1b" in screen.getvalue()) is has_colour


def test_an_error_in_json_is_an_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    render.error(HostError(Code.DISK_FULL, "Full.", hint="Free some."), as_json=True)

    told = json.loads(capsys.readouterr().out)
    assert told == {"error": {"code": "disk_full", "message": "Full.", "hint": "Free some."}}


STREAMS = {"stdout", "stderr", "secho", "echo"}


def writes(tree: ast.AST) -> list[int]:
    """Lines that print or touch a standard stream."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print" | "input")):
                found.append(node.lineno)
            case ast.Attribute(value=ast.Name(id="sys" | "typer" | "click"), attr=name) if (
                name in STREAMS
            ):
                found.append(node.lineno)
    return found


EXEMPT = {"render.py", "main.py", "doctor/box.py"}
"""The renderer; closing a broken pipe; a program of its own whose output is read by ours."""


def test_only_the_renderer_writes() -> None:
    root = Path(ironclaw.cli.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if str(path.relative_to(root)) not in EXEMPT:
            assert writes(ast.parse(path.read_text())) == [], path


def test_the_search_for_writers_finds_them() -> None:
    assert writes(ast.parse("import sys\nprint(1)\nsys.stdout.write('x')\n")) == [2, 3]


def test_lines_of_a_value_cannot_pass_for_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    render.fields({"persona": "kind\nowner  api:eve\x1b[2J", "id": "agt_1"})

    assert capsys.readouterr().out.splitlines() == [
        "persona  kind",
        "         owner  api:eve\\x1b[2J",
        "id       agt_1",
    ]


def test_no_cell_looks_like_several(capsys: pytest.CaptureFixture[str]) -> None:
    render.table(("NAME", "FROM"), [("a.txt   eve\u2003\u2003x\u3000y", "ann"), ("b", "bob")])

    assert capsys.readouterr().out.splitlines() == [
        "NAME           FROM",
        "a.txt eve x y  ann",
        "b              bob",
    ]
