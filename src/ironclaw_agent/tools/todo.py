"""`todo`: the list that long work is kept on, in the workspace file `.todo.md`.

Lines that are no items of it, which people or the model may have written there, stay as they are.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from ironclaw_agent.tools.errors import ToolError

if TYPE_CHECKING:
    from ironclaw_agent.tools.beneath import Beneath

FILE: Final = ".todo.md"
_MAX_ITEMS: Final = 100
_MAX_BYTES: Final = 64 * 1024
_OPEN: Final = "- [ ] "
_DONE: Final = "- [x] "

_Item = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
_Number = Annotated[int, msgspec.Meta(ge=1, le=_MAX_ITEMS)]


class Todo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `todo`."""

    add: Annotated[tuple[_Item, ...], msgspec.Meta(max_length=_MAX_ITEMS)] = ()
    done: Annotated[tuple[_Number, ...], msgspec.Meta(max_length=_MAX_ITEMS)] = ()
    clear: bool = False


def todo(arguments: Todo, files: Beneath) -> str:
    """Mark items as done, take away what is done, add items, in this order; return the list."""
    lines = before = _read(files)
    if arguments.done:
        lines = _mark(lines, arguments.done)
    if arguments.clear:
        lines = [line for line in lines if not line.startswith(_DONE)]
    for text in arguments.add:
        if not text.isprintable() or not text.strip():
            raise ToolError("an item is one line of text")
        lines = [*lines, _OPEN + text.strip()]
    items = [line for line in lines if _is_item(line)]
    if len(items) > _MAX_ITEMS:
        raise ToolError(
            f"a list has at most {_MAX_ITEMS} items; call with clear to take away what is done"
        )
    if lines != before:
        data = "".join(f"{line}\n" for line in lines).encode()
        if len(data) > _MAX_BYTES:
            raise ToolError(f"the list would be too long; make {FILE} shorter")
        files.replace_file([FILE], data, append=False)
    shown = [f"{number}. {line[2:]}" for number, line in enumerate(items, 1)]
    return "\n".join(shown) if shown else "[the list is empty]"


def _is_item(line: str) -> bool:
    return line.startswith((_OPEN, _DONE))


def _read(files: Beneath) -> list[str]:
    try:
        fd = files.open_file([FILE])
    except FileNotFoundError:
        return []
    try:
        data = os.read(fd, _MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) > _MAX_BYTES:
        raise ToolError(f"{FILE} is too long for a list; make it shorter or write it anew")
    return data.decode("utf-8", "replace").rstrip("\n").split("\n") if data else []


def _mark(lines: list[str], done: tuple[int, ...]) -> list[str]:
    places = [place for place, line in enumerate(lines) if _is_item(line)]
    if max(done) > len(places):
        raise ToolError(f"there is no item {max(done)}; the list has {len(places)}")
    marked = list(lines)
    for number in done:
        place = places[number - 1]
        marked[place] = _DONE + marked[place][len(_OPEN) :]
    return marked
