"""The language in which a message tells the scripted model what to do. Pure.

Lines of the newest message that begin with `!` are directives; the rest is what it says. See
`docs/reference/scripted-model.md` for the grammar; a test keeps the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ironclaw_contract.codes import WireCode

ROUND: Final = "{round}"
"""In the arguments of `!loop`: the number of the answer."""
MAX_DELAY_MS: Final = 600_000
MAX_PIECES: Final = 10_000
MAX_CHARS: Final = 250_000
"""An answer of that length, told twice in its record, is within the wall's limits."""
_MAX_ID: Final = 128
_MAX_FAILURES: Final = 1000

FAILURES: Final = {
    "temporary": WireCode.MODEL_UNAVAILABLE,
    "permanent": WireCode.MODEL_REFUSED,
    "context": WireCode.CONTEXT_TOO_LONG,
}


class ToolCall(NamedTuple):
    """`!tool`, `!and` or `!loop`."""

    name: str
    arguments: str
    """As written: it need not be JSON, so that a test can send what a model should not."""


class Script(NamedTuple):
    """What one message asks for."""

    plain: str = ""
    """The lines that are no directives."""
    rounds: tuple[tuple[ToolCall, ...], ...] = ()
    """Tool calls, one tuple for each answer of the model."""
    forever: ToolCall | None = None
    """Called in every answer, without end."""
    say: str | None = None
    thinks: str = ""
    """What it thinks before its first answer."""
    recalls: bool = False
    shows_setup: bool = False
    shows_results: bool = False
    shows_files: bool = False
    shows_summary: bool = False
    chars: int = 0
    """Length of the answer; 0 for what it comes to."""
    pieces: int = 1
    piece_ms: int = 0
    """Milliseconds between two pieces of a streamed answer."""
    slow_ms: int = 0
    """Milliseconds before anything."""
    hangs: bool = False
    is_empty: bool = False
    fails: WireCode | None = None
    failures: int = 0
    """Attempts that fail before one succeeds; 0 with `fails` means all of them."""
    mistake: str = ""
    """The directive that could not be understood."""


def parse_script(text: str) -> Script:
    """Read a message.

    Trust:
        `text` is a person's. Numbers are bounded; a line that cannot be understood becomes the
        script's `mistake` and is told back.
    """
    script = Script()
    plain: list[str] = []
    for line in text.splitlines():
        if not line.startswith("!"):
            plain.append(line)
            continue
        word, _, rest = line[1:].strip().partition(" ")
        after = _apply(script, word, rest.strip())
        script = script._replace(mistake=script.mistake or line[:80]) if after is None else after
    return script._replace(plain="\n".join(plain).strip())


def _apply(script: Script, word: str, rest: str) -> Script | None:
    """The script with one directive more; None when it is not one."""
    directive = _DIRECTIVES.get(word)
    return None if directive is None else directive(script, rest)


def _say(script: Script, rest: str) -> Script | None:
    return script._replace(say=rest)


def _think(script: Script, rest: str) -> Script | None:
    return script._replace(thinks=rest) if rest else None


def _recall(script: Script, rest: str) -> Script | None:
    return None if rest else script._replace(recalls=True)


def _setup(script: Script, rest: str) -> Script | None:
    return None if rest else script._replace(shows_setup=True)


def _results(script: Script, rest: str) -> Script | None:
    return None if rest else script._replace(shows_results=True)


def _summary(script: Script, rest: str) -> Script | None:
    return None if rest else script._replace(shows_summary=True)


def _files(script: Script, rest: str) -> Script | None:
    return None if rest else script._replace(shows_files=True)


def _empty(script: Script, rest: str) -> Script | None:
    return None if rest else script._replace(is_empty=True)


def _hang(script: Script, rest: str) -> Script | None:
    return None if rest else script._replace(hangs=True)


def _long(script: Script, rest: str) -> Script | None:
    chars = _number(rest, MAX_CHARS)
    return None if chars is None else script._replace(chars=chars)


def _slow(script: Script, rest: str) -> Script | None:
    slow_ms = _number(rest, MAX_DELAY_MS)
    return None if slow_ms is None else script._replace(slow_ms=slow_ms)


def _stream(script: Script, rest: str) -> Script | None:
    first, _, second = rest.partition(" ")
    pieces, piece_ms = _number(first, MAX_PIECES), _number(second or "0", MAX_DELAY_MS)
    if not pieces or piece_ms is None:
        return None
    return script._replace(pieces=pieces, piece_ms=piece_ms)


def _fail(script: Script, rest: str) -> Script | None:
    if rest in FAILURES:
        return script._replace(fails=FAILURES[rest])
    times = _number(rest, _MAX_FAILURES)
    if not times:
        return None
    return script._replace(fails=WireCode.MODEL_UNAVAILABLE, failures=times)


def _tool(script: Script, rest: str) -> Script | None:
    call = _call(rest)
    return None if call is None else script._replace(rounds=(*script.rounds, (call,)))


def _and(script: Script, rest: str) -> Script | None:
    call = _call(rest)
    if call is None or not script.rounds:
        return None
    return script._replace(rounds=(*script.rounds[:-1], (*script.rounds[-1], call)))


def _loop(script: Script, rest: str) -> Script | None:
    call = _call(rest)
    return None if call is None else script._replace(forever=call)


def _call(rest: str) -> ToolCall | None:
    name, _, arguments = rest.partition(" ")
    if not name or len(name) > _MAX_ID:
        return None
    return ToolCall(name, arguments.strip() or "{}")


def _number(text: str, largest: int) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(largest)):
        return None
    return int(text) if int(text) <= largest else None


_DIRECTIVES: Final[dict[str, Callable[[Script, str], Script | None]]] = {
    "tool": _tool,
    "and": _and,
    "loop": _loop,
    "say": _say,
    "think": _think,
    "recall": _recall,
    "setup": _setup,
    "results": _results,
    "files": _files,
    "summary": _summary,
    "long": _long,
    "stream": _stream,
    "slow": _slow,
    "hang": _hang,
    "empty": _empty,
    "fail": _fail,
}
DIRECTIVES: Final = tuple(_DIRECTIVES)
"""Every directive's word."""
