"""Choices that can be repeated, and the mutations that need no knowledge of a format."""

from __future__ import annotations

import random  # noqa: TID251 - a fuzzer must be able to repeat itself
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

_T = TypeVar("_T")

EDGES: Final = (
    *(0, 1, 2, 3, 4, 7, 8, 13, 16, 31, 32, 33, 63, 64, 100, 127, 128, 255, 256, 257),
    *(511, 512, 1023, 1024, 4015, 4016, 4017, 4095, 4096, 4097, 32767, 32768, 65535, 65536),
    *(2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1),
)
"""Numbers at which parsers go wrong."""


class Dice:
    """One input's choices.

    Args:
        seed: The same text gives the same choices.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - not for secrets

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1; 0 when there is none."""
        return self._random.randrange(limit) if limit > 0 else 0

    def chance(self, of: int) -> bool:
        """True once in `of` times."""
        return self._random.randrange(of) == 0

    def pick(self, choices: Sequence[_T]) -> _T:
        """One of them."""
        return choices[self._random.randrange(len(choices))]

    def shuffled(self, items: Sequence[_T]) -> list[_T]:
        """All of them in another order."""
        return self._random.sample(items, len(items))

    def few(self, most: int) -> int:
        """A number from 1 to `most`, small ones more often."""
        return min(self.below(most), self.below(most)) + 1

    def noise(self, size: int) -> bytes:
        """So many bytes of anything."""
        return self._random.randbytes(size)

    def number(self) -> int:
        """An edge, or somewhere near one."""
        return max(0, self.pick(EDGES) + self.pick((0, 0, 0, -1, 1, self.below(16))))


def mutate(dice: Dice, data: bytes, *, other: bytes = b"", most: int = 1 << 20) -> bytes:
    """Change some bytes.

    Args:
        dice: Chooses.
        data: What is changed.
        other: Something of the same kind, for splicing.
        most: Bytes of the result.
    """
    result = bytearray(data)
    for _ in range(dice.few(6)):
        _step(dice, result, other)
    return bytes(result[:most])


def _step(dice: Dice, data: bytearray, other: bytes) -> None:
    at = dice.below(len(data))
    until = min(len(data), at + dice.few(64))
    match dice.below(9):
        case 0 if data:
            data[at] ^= 1 << dice.below(8)
        case 1 if data:
            data[at] = dice.below(256)
        case 2:
            width = dice.pick((1, 2, 4, 8))
            data[at : at + width] = (dice.number() % (1 << 8 * width)).to_bytes(width, "big")
        case 3:
            del data[at:until]
        case 4:
            data[at:at] = dice.noise(dice.few(16))
        case 5:
            data[at:at] = data[at:until] * dice.few(8)
        case 6 if other:
            begin = dice.below(len(other))
            data[at:] = other[begin:]
        case 7:
            del data[at:]
        case _:
            data[at:until] = bytes(until - at)
