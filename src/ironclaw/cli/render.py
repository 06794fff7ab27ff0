"""The one place that writes to the terminal. Everything it writes is sanitised.

Results go to stdout, everything else (progress, errors) to stderr. With `--json` stdout gets one
JSON object in ASCII and nothing else, errors included.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from ironclaw.core.codes import CODES, Code
from ironclaw.core.sanitize import sanitize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO, TextIO

    from ironclaw.core.errors import IronClawError

Tone = Literal["plain", "good", "bad", "warn", "dim", "strong"]
_ANSI: Final[dict[Tone, str]] = {
    "plain": "",
    "good": "32",
    "bad": "31",
    "warn": "33",
    "dim": "2",
    "strong": "1",
}

_SPACES: Final = re.compile(r"\s+")
INSET: Final = "  "
"""Before each line of foreign text that is set in."""
TAB: Final = "    "
LEAST: Final = 40
"""Columns of the narrowest terminal that is cared for."""
_NARROWEST: Final = 8
"""Columns of the narrowest one where lines are broken so that the edge is the host's own."""


def line(text: str = "", *, tone: Tone = "plain") -> None:
    """One line of a result."""
    _write(sys.stdout, _toned(sys.stdout, sanitize(text), tone) + "\n")


def block(text: str) -> None:
    """Several lines of foreign text, as a result."""
    _write(sys.stdout, sanitize(text, lines=True) + "\n")


def inset(text: str, *, tone: Tone = "plain") -> None:
    """Several lines of foreign text, as a result, all set in: the edge is the host's own."""
    for one in sanitize(text, lines=True).split("\n"):
        _set_in(INSET, one, tone=tone)


def edge(text: str, *, tone: Tone = "plain") -> None:
    """One line of a result with foreign words in it: what does not fit goes on set in."""
    _set_in("", sanitize(text), tone=tone)


def piece(text: str) -> None:
    """A piece of text that goes on later: words as an agent makes them."""
    _write(sys.stdout, sanitize(text, lines=True))


def width_of(text: str) -> int:
    """How many columns a text may take.

    What is not ASCII may be two columns wide; too short a line harms nobody.
    """
    return sum(1 if one.isascii() else 2 for one in text)


def fitting(text: str, start: int, room: int) -> int:
    """Where a line of so many columns ends that begins at `start`: after a space, if it can."""
    columns = 0
    after_space = 0
    for at in range(start, len(text)):
        columns += width_of(text[at])
        if columns > room:
            return after_space or at
        if text[at] == " ":
            after_space = at + 1
    return len(text)


def note(text: str, *, tone: Tone = "dim") -> None:
    """One line about what is going on; not part of the result."""
    _write(sys.stderr, _toned(sys.stderr, sanitize(text), tone) + "\n")


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, fit: bool = False) -> None:
    """Aligned columns; `fit` cuts lines at the edge of a terminal (never what a pipe gets).

    Spaces within a cell are shown as one: more would look like the end of its column.
    """
    width = shutil.get_terminal_size().columns if fit and sys.stdout.isatty() else 0
    cells = [[_SPACES.sub(" ", sanitize(str(cell))) for cell in row] for row in rows]
    widths = [
        max(len(heading), *(len(row[column]) for row in cells), 0)
        for column, heading in enumerate(headings)
    ]
    head = "  ".join(word.ljust(size) for word, size in zip(headings, widths, strict=True))
    _write(sys.stdout, _toned(sys.stdout, _cut(head.rstrip(), width), "dim") + "\n")
    for row in cells:
        text = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True))
        _write(sys.stdout, _cut(text.rstrip(), width) + "\n")


def fields(values: dict[str, object]) -> None:
    """Names and values, one a line; lines of a longer value stand behind its name."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        label = _toned(sys.stdout, sanitize(name).ljust(width), "dim")
        text = sanitize(str(value), lines=True).replace("\n", "\n" + " " * (width + 2))
        _write(sys.stdout, f"{label}  {text}\n")


def data(value: object) -> None:
    """One JSON object on one line; ASCII, so that no byte of it acts on a terminal."""
    plain = msgspec.to_builtins(value, enc_hook=str)
    _write(sys.stdout, json.dumps(plain, ensure_ascii=True) + "\n")


def raw() -> BinaryIO:
    """Where the bytes of a file go that somebody wants on standard output, as they are."""
    return sys.stdout.buffer


def error(problem: IronClawError, *, as_json: bool) -> int:
    """Say what went wrong, why, and what to do next; return the exit code."""
    row = CODES[problem.code]
    if as_json:
        told = {"code": problem.code, "message": problem.message, "hint": problem.hint}
        if problem.detail:
            told["detail"] = problem.detail
        data({"error": told})
        return row.exit_code
    head = _toned(sys.stderr, f"error ({problem.code}):", "bad")
    _write(sys.stderr, f"{head} {sanitize(problem.message)}\n")
    if not _says_the_same(row.meaning, problem.message):
        _write(sys.stderr, f"  why:  {sanitize(row.meaning)}\n")
    if problem.hint:
        _write(sys.stderr, f"  next: {sanitize(problem.hint)}\n")
    if problem.detail:
        _write(sys.stderr, _toned(sys.stderr, "  detail:", "dim") + "\n")
        for text in problem.detail.splitlines()[-20:]:
            _write(sys.stderr, f"    {sanitize(text)}\n")
    return row.exit_code


def misuse(message: str, exit_code: int) -> int:
    """Say in JSON that the command line is wrong; return the exit code."""
    hint = "`--help` after the command shows what it takes."
    data({"error": {"code": Code.INVALID, "message": message, "hint": hint}})
    return exit_code


def is_seen() -> bool:
    """Whether a person is there who sees what is written, and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def is_noted() -> bool:
    """Whether notes go to a terminal."""
    return sys.stderr.isatty()


def fresh_line() -> None:
    """Go to an empty line of the terminal, where something that was typed may stand on this one."""
    # A whole line of spaces ends on the next line, unless it began at the edge.
    _write(sys.stdout, " " * shutil.get_terminal_size().columns + "\r\x1b[K")


def columns() -> int:
    """How many columns a terminal shows that results go to; 0 when they go elsewhere."""
    return max(shutil.get_terminal_size().columns, _NARROWEST) if sys.stdout.isatty() else 0


def ask(prompt: str) -> str | None:
    """Read one line from a person, or from a pipe without a prompt; None at the end of input."""
    invite(prompt)
    return answer()


def invite(prompt: str) -> None:
    """Show a person that a line is waited for; a pipe sees nothing of it."""
    if sys.stdin.isatty():
        # What stands on a stdout that is no terminal is a result, and somebody reads it as one.
        stream = sys.stdout if sys.stdout.isatty() else sys.stderr
        _write(stream, _toned(stream, sanitize(prompt), "strong"))


def answer() -> str | None:
    """Read that line; None at the end of input."""
    text = typed(sys.stdin.readline())
    return text.rstrip("\n") if text else None


def typed(text: str) -> str:
    """What was typed, for others.

    Bytes that are no text of this terminal's encoding would be refused by whoever gets the line.
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _says_the_same(meaning: str, message: str) -> bool:
    """Whether a code's meaning would only repeat the message before it."""
    said = message.rstrip(".").casefold()
    return bool(said) and meaning.casefold().startswith(said)


def _set_in(begin: str, text: str, *, tone: Tone = "plain") -> None:
    """A line, broken here and not by the terminal, which would let it go on at the edge."""
    if width := columns():
        text = text.replace("\t", TAB)
        while (end := fitting(text, 0, width - len(begin))) < len(text):
            _write(sys.stdout, _toned(sys.stdout, begin + text[:end], tone) + "\n")
            begin, text = INSET, text[end:]
    _write(sys.stdout, _toned(sys.stdout, (begin + text).rstrip(), tone) + "\n")


def _cut(text: str, width: int) -> str:
    return text if not 0 < width < len(text) else text[: width - 1] + "…"


def _toned(stream: TextIO, text: str, tone: Tone) -> str:
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if tone == "plain" or not stream.isatty() or is_plain:
        return text
    return f"\x1b[{_ANSI[tone]}m{text}\x1b[0m"


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
