r"""The head of a `SKILL.md`: the few forms of YAML that skills are written in, no others. Pure.

    ---
    name: pdf-forms            a word, a line, "in quotes" or 'in these'
    description: >             several lines as one (`>`), or as they are (`|`)
      Fill in forms.
    allowed-tools: [a, b]      a list, also as lines that begin with `- `
    metadata:                  a table of lines
      author: somebody
    ---

Anchors, tags, aliases, deeper tables and names given twice are refused with the line that has them:
two readers must not see two skills in one text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Value = str | list[str] | dict[str, str]
"""Of one field."""

_FENCE: Final = "---"
_FIELD: Final = re.compile(r"\A([A-Za-z][A-Za-z0-9_-]{0,63}):(?: +(.*))?\Z")
_BLOCKS: Final = frozenset({">", ">-", "|", "|-"})
_ODD: Final = tuple("{}[]&*!|>%@`#,?")
"""What begins something else than a plain text in YAML."""
_MAX_LINES: Final = 200


class _Line(NamedTuple):
    """One line of the head."""

    number: int
    text: str

    @property
    def indent(self) -> int:
        """Spaces before it."""
        return len(self.text) - len(self.text.lstrip(" "))


def split(text: str) -> tuple[dict[str, Value], str]:
    """The fields of the head, and all that follows it.

    Raises:
        UserError: `INVALID`, naming the line.

    Trust:
        `text` is foreign; its size was checked.
    """
    rows = text.split("\n")
    if rows[0].rstrip() != _FENCE:
        raise UserError(
            Code.INVALID,
            "SKILL.md does not begin with `---`.",
            hint="It begins with name and description, between two lines of `---`.",
        )
    for at, row in enumerate(rows[1 : _MAX_LINES + 1], start=1):
        if row.rstrip() == _FENCE:
            head = [_Line(number + 1, one.rstrip()) for number, one in enumerate(rows[1:at], 1)]
            return _fields(head), "\n".join(rows[at + 1 :])
    raise UserError(
        Code.INVALID,
        f"The head of SKILL.md does not end within {_MAX_LINES} lines.",
        hint="End it with a line of `---`.",
    )


def _fields(head: Sequence[_Line]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for line, value, below in _groups(head):
        name, _, _ = line.text.partition(":")
        if name in found:
            raise _wrong(line, f"{name} is there twice")
        found[name] = _value(line, value, below)
    return found


def _groups(head: Sequence[_Line]) -> Iterator[tuple[_Line, str, list[_Line]]]:
    """Each field's line, what stands on it, and the lines below that belong to it."""
    at = 0
    while at < len(head):
        line = head[at]
        at += 1
        if "\t" in line.text[: len(line.text) - len(line.text.lstrip())]:
            raise _wrong(line, "it begins with a tab")
        if not line.text or line.text.startswith("#"):
            continue
        match = _FIELD.match(line.text)
        if match is None:
            raise _wrong(line, "it is not `name: value`")
        below = []
        while at < len(head) and (not head[at].text or head[at].text.startswith((" ", "\t", "- "))):
            below.append(head[at])
            at += 1
        while below and not below[-1].text:
            below.pop()
        yield line, match[2] or "", below


def _value(line: _Line, value: str, below: list[_Line]) -> Value:
    if value in _BLOCKS:
        return _block(line, value, below)
    if value and not value.startswith("#"):
        if not below:
            return _flow(line, value) if value.startswith("[") else _scalar(line, value)
        # A plain text may go on in the next lines, a quoted one may not.
        parts = [value, *(one.text.strip() for one in below)]
        if value.startswith(('"', "'", "[")) or "" in parts or below[0].text.startswith("- "):
            raise _wrong(below[0], "a value goes on here that has ended")
        return _scalar(line, " ".join(parts))
    lines = [one for one in below if one.text.strip() and not one.text.strip().startswith("#")]
    if not lines:
        return ""
    if all(one.text.lstrip().startswith("- ") for one in lines):
        return [_scalar(one, one.text.lstrip()[2:].strip()) for one in lines]
    return _table(lines)


def _table(lines: list[_Line]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        match = _FIELD.match(line.text.strip())
        if match is None or line.indent != lines[0].indent:
            raise _wrong(line, "it is not one of `  name: value` lines")
        if match[1] in found:
            raise _wrong(line, f"{match[1]} is there twice")
        found[match[1]] = _scalar(line, match[2] or "")
    return found


def _block(line: _Line, sign: str, below: list[_Line]) -> str:
    full = [one for one in below if one.text]
    if not full:
        return ""
    indent = full[0].indent
    if indent == 0 or any(one.indent < indent for one in full):
        raise _wrong(line, "the lines below it are not all set in as far as the first")
    rows = [one.text[indent:] for one in below]
    joined = "\n".join(rows)
    if sign.startswith(">"):
        joined = re.sub(r"(?<!\n)\n(?!\n)", " ", joined)
    return joined if sign.endswith("-") else joined + "\n"


def _flow(line: _Line, value: str) -> list[str]:
    inner = value.removeprefix("[").removesuffix("]")
    if not value.endswith("]") or "[" in inner or "]" in inner:
        raise _wrong(line, "a list in brackets has to end on the same line")
    return [_scalar(line, part.strip()) for part in _parts(inner) if part.strip()]


def _parts(inner: str) -> list[str]:
    """Cut at commas that stand in no quotes."""
    return re.findall(r"""(?:"[^"]*"|'[^']*'|[^,"'])+""", inner)


def _scalar(line: _Line, value: str) -> str:
    if value.startswith('"'):
        try:
            return msgspec.json.decode(value.encode(), type=str)
        except ValueError:
            raise _wrong(line, "its double quotes do not end, or hold an odd escape") from None
    if value.startswith("'"):
        if re.fullmatch(r"'(?:[^']|'')*'", value) is None:
            raise _wrong(line, "its quotes do not end")
        return value[1:-1].replace("''", "'")
    plain = _without_comment(value)
    if plain.startswith(_ODD):
        raise _wrong(line, f"a plain text cannot begin with {plain[0]}; set it in quotes")
    return plain


def _without_comment(value: str) -> str:
    """A plain text up to a `#` that has space before it. Linear: an author chooses the text."""
    at = value.find("#", 1)
    while at > 0 and not value[at - 1].isspace():
        at = value.find("#", at + 1)
    return value[:at].rstrip() if at > 0 else value


def _wrong(line: _Line, what: str) -> UserError:
    return UserError(
        Code.INVALID,
        f"SKILL.md, line {line.number}: {what}.",
        hint="The head has `name: value` lines; docs/reference/skills.md shows all forms.",
    )
