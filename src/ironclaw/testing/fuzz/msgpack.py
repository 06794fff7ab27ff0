"""Writes msgpack values as no honest encoder would.

`odd` takes the bytes of a valid value apart and puts them together again with lies: wide integers,
repeated keys, counts that do not fit, text that is none, deep nests, NaN, extension types.

Source:
    The MessagePack specification, "Formats"; the first byte of each format is written here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.testing.fuzz.dice import mutate

if TYPE_CHECKING:
    from ironclaw.testing.fuzz.dice import Dice

_DEEP: Final = 2_000
_ONCE_IN: Final = 24
"""How often a node is written in an odd way."""
_MOST: Final = 2 * 1024 * 1024
"""Bytes of a list that is repeated: over the limit of a record."""
_LONG: Final = 300_000
"""Characters: over every limit of a text."""
_ODD_TEXT: Final = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # half of a surrogate pair
    b"\xc0\xaf",
    b"msg_a\n",
    b"../../etc/passwd",
    b"\xe2\x80\xae",
    b"x" * 65,
    b"x" * 257,
)
_ODD_NODES: Final = (
    b"\xc1",  # never used
    b"\xc0",
    b"\xc2",
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",  # NaN
    b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",  # infinity
    b"\xd4\x05\x00",
    b"\xd6\xff\x00\x00\x00\x00",  # a timestamp
    b"\xc9\xff\xff\xff\xff\x01",  # an extension of 4 GiB
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + b"\x00" * 7,
    b"\x91" * _DEEP + b"\xc0",
    b"\x81\xa1a" * _DEEP + b"\xc0",
)


def odd(dice: Dice, value: bytes) -> bytes:
    """Write a value again, here and there wrong; change bytes of what is no value."""
    try:
        tree = msgspec.msgpack.decode(value, type=object)
    except (ValueError, RecursionError, OverflowError):
        return mutate(dice, value)
    # What follows a value is wrong as well.
    return _node(dice, tree) + dice.pick((b"", b"", b"", b"\xc0", dice.noise(3)))


def _node(dice: Dice, value: object) -> bytes:  # noqa: PLR0911 - one return for each type
    if dice.chance(_ONCE_IN * 2):
        return dice.pick(_ODD_NODES)
    match value:
        case None | bool():
            return msgspec.msgpack.encode(value)
        case int():
            return _number(dice, value)
        case float():
            return struct.pack(">Bd", 0xCB, value)
        case str():
            return _text(dice, value.encode())
        case bytes():
            return _blob(dice, value)
        case list():
            return _items(dice, value)
        case dict():
            return _map(dice, value)
        case _:
            return b"\xc1"


def _number(dice: Dice, value: int) -> bytes:
    if dice.chance(_ONCE_IN // 3):
        return dice.pick(
            (
                struct.pack(">BQ", 0xCF, dice.number() % 2**64),
                struct.pack(">Bq", 0xD3, -(dice.number() % 2**63)),
                struct.pack(">Bd", 0xCB, float(value)),
                struct.pack(">BQ", 0xCF, abs(value) % 2**64),
                b"\xc3",
            )
        )
    return msgspec.msgpack.encode(value)


def _text(dice: Dice, value: bytes) -> bytes:
    if dice.chance(_ONCE_IN):
        value = dice.pick((*_ODD_TEXT, value + b"\n", value.upper(), value[:-1]))
    elif dice.chance(_ONCE_IN * 40):
        value = b"x" * _LONG
    elif dice.chance(_ONCE_IN):
        return struct.pack(">BI", 0xC6, len(value)) + value
    size = len(value)
    if dice.chance(_ONCE_IN * 2):
        size = dice.number() % 2**32
    if size < 32 and dice.chance(2):  # noqa: PLR2004 - the format's
        return bytes((0xA0 | size,)) + value
    return struct.pack(">BI", 0xDB, size) + value


def _blob(dice: Dice, value: bytes) -> bytes:
    if dice.chance(_ONCE_IN // 3):
        value = dice.pick((b"", value[:-1], value + b"\x00", dice.noise(len(value))))
    return struct.pack(">BI", dice.pick((0xC6, 0xC6, 0xC6, 0xDB)), len(value)) + value


def _items(dice: Dice, value: list[object]) -> bytes:
    parts = [_node(dice, item) for item in value]
    if parts and dice.chance(_ONCE_IN):
        times = dice.pick((2, 17, 130, 4200))
        parts *= max(1, min(times, _MOST // (sum(map(len, parts)) + 1)))
    count = len(parts)
    if dice.chance(_ONCE_IN):
        count = dice.number() % 2**32
    return struct.pack(">BI", 0xDD, count) + b"".join(parts)


def _map(dice: Dice, value: dict[object, object]) -> bytes:
    pairs = [(_key(dice, key), _node(dice, item)) for key, item in value.items()]
    match dice.below(_ONCE_IN):
        case 0 if pairs:
            pairs.append(dice.pick(pairs))
        case 1 if pairs:
            pairs.remove(dice.pick(pairs))
        case 2:
            pairs.append((_key(dice, "more"), b"\x01"))
        case 3:
            pairs = dice.shuffled(pairs)
        case _:
            pass
    count = len(pairs)
    if dice.chance(_ONCE_IN * 2):
        count = dice.number() % 2**32
    return struct.pack(">BI", 0xDF, count) + b"".join(key + item for key, item in pairs)


def _key(dice: Dice, key: object) -> bytes:
    return _node(dice, key) if dice.chance(_ONCE_IN) else msgspec.msgpack.encode(key)
