"""Breaks plain database pages where SQLite reads them: header, trees, cells, chains, free list.

Source:
    "Database File Format" of SQLite: the header in 1.3, b-tree pages in 1.6, overflow in 1.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.testing.fuzz.dice import mutate
from ironclaw.testing.fuzz.pages import PAGE, USABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.testing.fuzz.dice import Dice

_HEADER: Final = (
    *((16, 2), (18, 1), (19, 1), (20, 1), (21, 1), (22, 1), (23, 1), (24, 4), (28, 4), (32, 4)),
    *((36, 4), (40, 4), (44, 4), (48, 4), (52, 4), (56, 4), (60, 4), (64, 4), (92, 4), (96, 4)),
)
"""Fields of the file's header: offset and size."""
_KINDS: Final = (0x00, 0x02, 0x05, 0x0A, 0x0D, 0xFF)
_INTERIOR: Final = frozenset({0x02, 0x05})
_MOST_PAGES: Final = 40
_WORDS: Final = (
    (b"CREATE TABLE record", b"CREATE TABLE recorD"),
    (b"CREATE TABLE record", b"CREATE VIEW  record"),
    (b"STRICT", b"      "),
    (b"INTEGER PRIMARY KEY", b"INTEGER PRIMARY KEY DESC"),
    (b"BLOB NOT NULL", b"TEXT NOT NULL"),
    (b"table", b"view\x00"),
    (b"table", b"index"),
    (b"record", b"sqlite"),
)


def break_pages(dice: Dice, image: bytes) -> bytes:
    """Break a database of plain pages in one to four places."""
    broken = bytearray(image)
    for _ in range(dice.few(4)):
        dice.pick(_BREAKS)(dice, broken)
    return bytes(broken)


def _pages(image: bytearray) -> int:
    return len(image) // PAGE


def _page(dice: Dice, image: bytearray) -> tuple[int, int]:
    """A page's offset, and that of its b-tree header."""
    start = dice.below(_pages(image)) * PAGE
    return start, start + (100 if start == 0 else 0)


def _put(image: bytearray, at: int, width: int, value: int) -> None:
    if at + width <= len(image):
        image[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "big")


def _link(dice: Dice, image: bytearray, here: int) -> int:
    """A page number: itself, another, none, beyond the end."""
    pages = _pages(image)
    return dice.pick((here // PAGE + 1, dice.below(pages) + 1, 0, 1, 2, pages + 1, 2**32 - 1))


def _header(dice: Dice, image: bytearray) -> None:
    at, width = dice.pick(_HEADER)
    _put(image, at, width, dice.pick((dice.number(), dice.below(8), _pages(image))))


def _kind(dice: Dice, image: bytearray) -> None:
    _, header = _page(dice, image)
    _put(image, header, 1, dice.pick(_KINDS))


def _counts(dice: Dice, image: bytearray) -> None:
    """First free block, number of cells, start of the content, fragmented bytes."""
    start, header = _page(dice, image)
    at, width = dice.pick(((1, 2), (3, 2), (5, 2), (7, 1)))
    value = dice.pick((dice.number(), dice.below(USABLE), 0, 0xFFFF))
    _put(image, header + at, width, value)
    if at == 1 and 0 < value < USABLE:
        # A free block that names itself as the next.
        _put(image, start + value, 2, dice.pick((value, value - 1, 0)))
        _put(image, start + value + 2, 2, dice.number())


def _cell_pointer(dice: Dice, image: bytearray) -> None:
    start, header = _page(dice, image)
    count = int.from_bytes(image[header + 3 : header + 5], "big")
    first = header + (12 if _is_interior(image, header) else 8)
    at = first + 2 * dice.below(min(count, 64))
    _put(image, at, 2, dice.pick((dice.below(PAGE), header - start, USABLE - 1, dice.number())))


def _tree(dice: Dice, image: bytearray) -> None:
    """Make a page interior and let its children be itself, its parent, nothing."""
    start, header = _page(dice, image)
    _put(image, header, 1, dice.pick((0x05, 0x05, 0x02)))
    _put(image, header + 8, 4, _link(dice, image, start))
    cells = dice.pick((0, 1, 1, 2, 400))
    _put(image, header + 3, 2, cells)
    content = USABLE - 16
    _put(image, header + 5, 2, content)
    for number in range(cells):
        _put(image, header + 12 + 2 * number, 2, content)
    _put(image, start + content, 4, _link(dice, image, start))
    image[start + content + 4 : start + content + 14] = dice.pick((b"\xff" * 10, bytes(10)))


def _cell(dice: Dice, image: bytearray) -> None:
    """Sizes and types in the first bytes of a cell: varints of up to nine bytes."""
    start, header = _page(dice, image)
    count = int.from_bytes(image[header + 3 : header + 5], "big")
    first = header + (12 if _is_interior(image, header) else 8) + 2 * dice.below(min(count, 64))
    cell = start + int.from_bytes(image[first : first + 2], "big") % PAGE
    at = cell + dice.pick((0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    varint = dice.pick(
        (
            b"\xff" * 9,
            b"\x80" * 8 + b"\x7f",
            b"\x7f",
            b"\x00",
            b"\x0a",
            b"\x0b",
            b"\xc0\x00",
            b"\x9f\xff\xff\x7f",
            bytes((dice.below(128),)),
        )
    )
    if at + len(varint) <= start + PAGE:
        image[at : at + len(varint)] = varint


def _overflow(dice: Dice, image: bytearray) -> None:
    """A page number at the start of a page, or one anywhere that could be a link."""
    start, _ = _page(dice, image)
    at = start
    if dice.chance(2):
        wanted = (dice.below(_pages(image)) + 1).to_bytes(4, "big")
        at = max(image.find(wanted, dice.below(len(image))), 0) or start
    if at >= PAGE:
        _put(image, at, 4, _link(dice, image, start))


def _free_list(dice: Dice, image: bytearray) -> None:
    trunk = dice.below(_pages(image)) + 1
    _put(image, 32, 4, trunk)
    _put(image, 36, 4, dice.pick((1, 2, _pages(image), 2**31)))
    if trunk > 1:
        start = (trunk - 1) * PAGE
        _put(image, start, 4, dice.pick((trunk, 0, 1)))
        _put(image, start + 4, 4, dice.pick((0, 1, 1002, 2**32 - 1)))
        _put(image, start + 8, 4, _link(dice, image, start))


def _whole_pages(dice: Dice, image: bytearray) -> None:
    one, other = (dice.below(_pages(image)) * PAGE for _ in range(2))
    page = image[one : one + PAGE]
    match dice.below(5):
        case 0:
            image[other : other + PAGE] = page
        case 1 if _pages(image) < _MOST_PAGES:
            image += page
        case 2 if _pages(image) > 1:
            del image[-PAGE:]
        case 3:
            image[other : other + PAGE] = bytes(PAGE)
        case _:
            image[one : one + PAGE], image[other : other + PAGE] = image[other : other + PAGE], page


def _bytes(dice: Dice, image: bytearray) -> None:
    start = dice.below(_pages(image)) * PAGE
    page = mutate(dice, bytes(image[start : start + PAGE]))
    image[start : start + PAGE] = page[:PAGE].ljust(PAGE, b"\0")


def _words(dice: Dice, image: bytearray) -> None:
    old, new = dice.pick(_WORDS)
    at = image.find(old)
    if at >= 0:
        image[at : at + len(new)] = new


def _is_interior(image: bytearray, header: int) -> bool:
    return image[header] in _INTERIOR


_BREAKS: Final[tuple[Callable[[Dice, bytearray], None], ...]] = (
    _header,
    _kind,
    _counts,
    _cell_pointer,
    _tree,
    _cell,
    _cell,
    _overflow,
    _free_list,
    _whole_pages,
    _bytes,
    _words,
)
