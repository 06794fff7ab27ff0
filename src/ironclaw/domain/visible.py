r"""Foreign text made safe and honest to look at: what misleads is an escape, and is said. Pure.

    name(text, findings)  -> one line: ids, names, chats, hosts, paths; nothing but ASCII is left
    prose(text, findings) -> rows, cut at line feeds: personas, prompts, reasons
    findings.warnings(label)          what was found, by kind, with the names of the characters

An escape is `\u202e` or `\U000e0041`; a backslash of the text itself is doubled, so that no text
can hold a ready-made escape: what two texts show is the same only if they are the same.

Prose keeps words of any script. Escaped in it are characters that nobody sees or that act on those
beside them, letters of another script inside a word, words that only look Latin, letters in another
form (fullwidth, mathematical), and everything that is not ASCII in a host name. Each character is
looked at once or twice, whatever stands beside it.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from ironclaw.domain.characters import (
    EAST_ASIAN,
    Findings,
    danger,
    is_form,
    is_of_word,
    name_of,
    script_of,
)
from ironclaw.domain.lookalikes import LOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_MARKS: Final = 2
_MAX_SPACES: Final = 16
"""In a row, in prose; more could push what follows out of sight."""
_SHORT: Final = 2
"""Letters of words that are common in their own script though they look Latin."""
_MAX_LABEL: Final = 63
"""Characters of one part of a host name (RFC 1035)."""
_OVERLAY: Final = 1
"""Combining class of marks that strike a letter through."""
_ALIEN_DOT: Final = re.compile(
    "(?<=[^\\W\u3000-\u9fff\uac00-\ud7af\uff00-\uffef])[\u3002\uff0e\uff61]"
    "(?=[^\\W\u3000-\u9fff\uac00-\ud7af\uff00-\uffef])"
)
"""What browsers take for the dot of a host name (IDNA), where no East Asian sentence has it."""
_TOKEN: Final = re.compile(r"[^\x00-\x20\"'<>()\[\]{},;|`]+")
_RUN: Final = re.compile(r" +")

_HIDDEN_SPACES: Final = "spaces that do not show"
_RTL: Final = "letters written from right to left, which move what is beside them"
_DIGITS: Final = "digits of another script"
_HOSTS: Final = "host names that are not what they look like"


def name(text: str, findings: Findings) -> str:
    """Show what must be one exact thing, in one line: everything but ASCII is an escape."""
    for token in _TOKEN.finditer(text):
        _host(token[0], findings)
    return _plain(text, findings)


def _plain(text: str, findings: Findings) -> str:
    edge = len(text) - len(text.rstrip(" "))
    shown = []
    before = " "
    for at, character in enumerate(text):
        if character == " " and (before == " " or at >= len(text) - edge):
            shown.append(findings.escape(character, _HIDDEN_SPACES))
        elif character == "\\":
            shown.append("\\\\")
        elif " " <= character <= "~":
            shown.append(character)
        else:
            kind = danger(character) or "characters that are not ASCII"
            shown.append(findings.escape(character, kind))
        before = character
    return "".join(shown)


def quoted(text: str, findings: Findings) -> str:
    """The same in quotes, so that no text passes for a word of the host; never interpreted."""
    return '"' + name(text, findings).replace('"', '\\"') + '"'


def prose(text: str, findings: Findings) -> list[str]:
    """Show a longer text in rows; only line feeds begin a new one."""
    at_home = {
        script_of(letter) for letter in set(text) if letter.isalpha() and letter not in LOOKS
    }
    return ["".join(_row(row, at_home, findings)) for row in text.split("\n")]


def _row(row: str, at_home: set[str], findings: Findings) -> Iterator[str]:
    at = 0
    for token in _TOKEN.finditer(row):
        yield from _between(row[at : token.start()], findings)
        if _host(token[0], findings):
            yield _plain(token[0], findings)
        elif token[0].isascii() and token[0].isprintable():
            yield token[0].replace("\\", "\\\\")
        else:
            yield from _words(token[0], at_home, findings)
        at = token.end()
    yield from _between(row[at:], findings, is_end=True)


def _between(text: str, findings: Findings, *, is_end: bool = False) -> Iterator[str]:
    """ASCII between words: spaces, controls, and what is never part of a word."""
    at = 0
    for run in _RUN.finditer(text):
        yield from _words(text[at : run.start()], set(), findings)
        at = run.end()
        kept = 0 if is_end and at == len(text) else min(len(run[0]), _MAX_SPACES)
        yield " " * kept
        for space in run[0][kept:]:
            yield findings.escape(space, _HIDDEN_SPACES)
    yield from _words(text[at:], set(), findings)


def _words(text: str, at_home: set[str], findings: Findings) -> Iterator[str]:
    for is_word, group in itertools.groupby(text, key=is_of_word):
        if is_word:
            yield from _word("".join(group), at_home, findings)
        else:
            for character in group:
                yield _sign(character, findings)


def _sign(character: str, findings: Findings) -> str:
    """A character that is no part of a word."""
    if character == "\\":
        return "\\\\"
    kind = danger(character)
    return findings.escape(character, kind) if kind else character


def _word(word: str, at_home: set[str], findings: Findings) -> Iterator[str]:
    """Letters, digits and their marks, all of them with a look."""
    if word.isascii():
        yield word
        return
    scripts = [script_of(character) if character.isalpha() else "" for character in word]
    present = set(scripts) - {""}
    base = "LATIN" if "LATIN" in present else next(filter(None, scripts), "")
    is_mixed_number = any("0" <= character <= "9" for character in word) or base == "LATIN"
    posing = base != "LATIN" and all(
        character in LOOKS for character, script in zip(word, scripts, strict=True) if script
    )
    if posing and len(word) <= _SHORT and base in at_home:
        posing = False
    if posing and base:
        looks = "".join(LOOKS.get(character, "") or _ascii(character) for character in word)
        findings.note("a whole word of another script that reads as Latin", f'"{looks}"')
    marks = 0
    before = ""
    for character, script in zip(word, scripts, strict=True):
        is_mark = unicodedata.category(character)[0] == "M"
        marks = marks + 1 if is_mark else 0
        if is_mark:
            kind = _mark(character, before, marks)
        elif not script:
            kind = _digit(character, findings, is_mixed=is_mixed_number)
        else:
            kind = _letter(character, script, base, findings, is_posing=posing)
        if kind:
            yield findings.escape(character, kind)
            before = before if is_mark else ""
        else:
            yield character
            before = character


def _letter(
    character: str, script: str, base: str, findings: Findings, *, is_posing: bool
) -> str | None:
    if is_form(character):
        return "letters in another form"
    if is_posing:
        return "letters that look Latin"
    if script == base:
        is_odd_latin = base == "LATIN" and character in LOOKS
        if unicodedata.bidirectional(character) in {"R", "AL"}:
            findings.note(_RTL, script)
        return "letters that look like others" if is_odd_latin else None
    are_companions = script in EAST_ASIAN and (base in EAST_ASIAN or base == "LATIN")
    if are_companions and (base != "LATIN" or character not in LOOKS):
        return None
    return "letters of another script inside a word"


def _digit(character: str, findings: Findings, *, is_mixed: bool) -> str | None:
    if character.isascii():
        return None
    if is_form(character):
        return "digits in another form"
    if unicodedata.category(character) != "Nd":
        return None
    if is_mixed:
        return _DIGITS
    findings.note(_DIGITS, name_of(character))
    return None


def _mark(character: str, before: str, marks: int) -> str | None:
    """Whether a combining mark is shown as an escape: `before` is what it would stand on."""
    if not before:
        return "marks without a letter"
    if marks > _MAX_MARKS:
        return "piled up marks"
    if unicodedata.combining(character) == _OVERLAY:
        return "marks that strike through"
    if len(unicodedata.normalize("NFC", before + character)) == 1:
        return "letters in pieces"
    return None


def _host(token: str, findings: Findings) -> bool:
    """Whether a token is, or has in it, a host name that may not be what it looks like."""
    if token.isascii() and "xn--" not in token.casefold():
        return False
    plain = _ALIEN_DOT.sub(".", token)
    has_scheme = "://" in plain
    rest = plain.partition("://")[2] if has_scheme else plain
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
    host = host.rstrip(".!\u2026")
    if plain == token and host.isascii() and "xn--" not in host.casefold():
        return False
    if not has_scheme and not _is_hostlike(host):
        return False
    said = _plain(host if plain == token else token, Findings())
    decoded = ".".join(map(_decoded, host.split(".")))
    findings.note(_HOSTS, f'"{said}" reads "{decoded}"' if decoded != said else f'"{said}"')
    return True


def _is_hostlike(host: str) -> bool:
    labels = host.split(".")
    last = labels[-1]
    if "xn--" in host.casefold():
        return True
    if len(labels) < 2 or not all(labels) or len(last) < 2 or last.istitle():  # noqa: PLR2004
        return False
    return all(letter.isalpha() or danger(letter) for letter in last)


def _decoded(label: str) -> str:
    """One part of a host name as it would be shown, in escapes."""
    if not label.casefold().startswith("xn--"):
        return _plain(label, Findings())
    try:
        if len(label) > _MAX_LABEL:
            return "?"
        return _plain(label[4:].encode("ascii").decode("punycode"), Findings())
    except (UnicodeError, OverflowError, ValueError):
        return "?"


def _ascii(character: str) -> str:
    return character if character.isascii() else ""
