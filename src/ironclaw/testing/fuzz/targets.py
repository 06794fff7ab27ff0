"""The entry points that hostile bytes reach, and what each of them may do with them.

A target makes inputs of its kind, runs one, and says in a word how it ended. Anything but a
documented error, a chain that moved over what was refused, or a belief in what nobody sealed is
raised as it is, or as `Finding`.
"""

from __future__ import annotations

import contextlib
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.airlock import messages as link
from ironclaw.testing.fuzz import btree, crafted, msgpack, pages, rows, samples
from ironclaw.testing.fuzz.dice import Dice, mutate
from ironclaw_contract import frames
from ironclaw_contract.chain import SegmentError
from ironclaw_contract.hashing import sha256
from ironclaw_contract.limits import MAX_SEGMENT_BYTES
from ironclaw_contract.queue_dir import parse_segment_name, segment_name
from ironclaw_contract.records import ContractError, decode_inbound, decode_outbound
from ironclaw_contract.segment import read_outbound

if TYPE_CHECKING:
    from collections.abc import Callable

_TAKEN: Final = "taken"


class Finding(Exception):  # noqa: N818 - what a run is for
    """A parser did what it must not do."""


class Target(Protocol):
    """One entry point."""

    def make(self, dice: Dice) -> bytes:
        """A fresh input."""
        ...

    def change(self, dice: Dice, data: bytes, other: bytes) -> bytes:
        """An input of the same kind that is a little different."""
        ...

    def run(self, data: bytes) -> str:
        """Give it the input; return how it ended. Raises what it must not raise."""
        ...


class Segment:
    """`read_outbound` over whole files: what a neighbour without the key can write."""

    def make(self, dice: Dice) -> bytes:
        """Break the bytes of a file, or take one of another place."""
        match dice.below(8):
            case 0:
                return dice.pick(rows.foreign())
            case 1:
                return dice.noise(pages.PAGE * dice.few(4) + dice.pick((0, 0, 1, -1)))
            case 2:
                return pages.encrypt(dice.noise(32), dice.pick(rows.images()))
            case 3:
                return dice.pick(rows.images())  # not encrypted at all
            case 4 if dice.chance(40):
                return bytes(MAX_SEGMENT_BYTES + dice.pick((0, pages.PAGE)))
            case _:
                data = dice.pick(rows.sealed())
                return self.change(dice, data, dice.pick(rows.sealed()))

    def change(self, dice: Dice, data: bytes, other: bytes) -> bytes:
        """Bytes, or whole pages put elsewhere."""
        if dice.chance(2) and len(data) >= 2 * pages.PAGE:
            return _swap_pages(dice, data, other)
        return mutate(dice, data, other=other, most=1 << 20)

    def run(self, data: bytes) -> str:
        """Read it as the first segment of the box."""
        return _read(data, known=True)


class Pages:
    """`read_outbound` over broken pages with right page MACs."""

    def make(self, dice: Dice) -> bytes:
        """Break a sound database, or one that SQL has crafted."""
        image = (
            dice.pick(rows.images())
            if dice.chance(2)
            else crafted.crafted(dice.pick(tuple(crafted.SCRIPTS)))
        )
        return image if dice.chance(40) else btree.break_pages(dice, image)

    def change(self, dice: Dice, data: bytes, other: bytes) -> bytes:
        """Break it further."""
        if dice.chance(8) and min(len(data), len(other)) >= pages.PAGE:
            return _swap_pages(dice, data, other)
        whole = data[: max(len(data) // pages.PAGE, 1) * pages.PAGE].ljust(pages.PAGE, b"\0")
        return btree.break_pages(dice, whole)

    def run(self, data: bytes) -> str:
        """Encrypt and read it."""
        return _read(pages.encrypt(samples.OUT_KEYS.page, data), known=True)


class Rows(Pages):
    """`read_outbound` over rows that a box with all keys has sealed."""

    def make(self, dice: Dice) -> bytes:
        """Rows of any content."""
        return rows.broken_rows(dice)

    def run(self, data: bytes) -> str:
        """Encrypt and read it."""
        return _read(pages.encrypt(samples.OUT_KEYS.page, data), known=False)


class Value:
    """One decoder of one msgpack value.

    Args:
        decode: The entry point.
        valid: Encoded values of its union.
    """

    def __init__(self, decode: Callable[[bytes], object], *valid: tuple[object, ...]) -> None:
        self._decode = decode
        self._valid = tuple(raw for values in valid for raw in samples.encoded(values))

    def make(self, dice: Dice) -> bytes:
        """Written oddly, or with changed bytes."""
        return self.change(dice, dice.pick(self._valid), dice.pick(self._valid))

    def change(self, dice: Dice, data: bytes, other: bytes) -> bytes:
        """Written once more, if it can be read at all."""
        if dice.chance(3):
            return mutate(dice, data, other=other)
        return msgpack.odd(dice, data)

    def run(self, data: bytes) -> str:
        """Decode it; what was taken must be the same when it is written and read again."""
        try:
            found = self._decode(data)
        except ContractError as error:
            return str(error.code)
        (again,) = samples.encoded((found,))
        with contextlib.suppress(ContractError):  # over its limit when it is written out in full
            if self._decode(again) != found:
                raise Finding("a value that was taken is another one when it is read again")
        return _TAKEN


class Control(Value):
    """The zygote's datagrams: `ValueError` is what they may raise."""

    def run(self, data: bytes) -> str:
        """Decode it."""
        try:
            self._decode(data)
        except ValueError:
            return "malformed"
        return _TAKEN


class Stream:
    """`FrameReader`, in pieces: any split of a stream is the same stream."""

    _LIMIT: Final = 4096

    def make(self, dice: Dice) -> bytes:
        """A few frames, the last of them a lie."""
        parts = []
        for _ in range(dice.few(5)):
            body = dice.pick(samples.encoded((*samples.HELLOS, *samples.ASKS)))[: dice.below(400)]
            size = dice.number() % 2**32 if dice.chance(6) else len(body)
            parts.append(size.to_bytes(4, "big") + body)
        return b"".join(parts)

    def change(self, dice: Dice, data: bytes, other: bytes) -> bytes:
        """Bytes."""
        return mutate(dice, data, other=other, most=1 << 16)

    def run(self, data: bytes) -> str:
        """Feed it whole and in pieces."""
        whole = self._feed([data])
        digest = sha256(data)
        cuts = sorted({byte * len(data) // 255 for byte in digest} | {0, len(data)})
        split = self._feed([data[a:b] for a, b in pairwise(cuts)])
        if whole != split:
            raise Finding("a stream is another one when it comes in pieces")
        return whole[1]

    def _feed(self, parts: list[bytes]) -> tuple[list[bytes], str]:
        reader = frames.FrameReader(limit=self._LIMIT)
        bodies: list[bytes] = []
        try:
            for part in parts:
                bodies += reader.feed(part)
                if reader.pending > self._LIMIT + 4:
                    raise Finding("a reader holds more than a frame")
        except ContractError as error:
            # Frames before the one that is too large may be lost with it: the stream is over.
            return [], str(error.code)
        return bodies, _TAKEN


class Name:
    """`parse_segment_name`, over any name that a file can have."""

    def make(self, dice: Dice) -> bytes:
        """Nearly a segment's."""
        return self.change(dice, segment_name(dice.number()).encode(), b".tmp\xff")

    def change(self, dice: Dice, data: bytes, other: bytes) -> bytes:
        """Bytes, and digits of other scripts."""
        if dice.chance(4):
            odd = dice.pick(
                ("\u0663", "\uff13", "\u00b2", "\n", "\x00", "/", ".", "-", "+", " ", "_")
            )
            at = dice.below(len(data))
            return data[:at] + odd.encode() + data[at + dice.below(2) :]
        return mutate(dice, data, other=other, most=255)

    def run(self, data: bytes) -> str:
        """Parse it as the kernel would give it."""
        name = data.decode("utf-8", "surrogateescape")
        try:
            number = parse_segment_name(name)
        except SegmentError as error:
            return str(error.reason)
        if segment_name(number) != name:
            raise Finding(f"{name!r} was taken for segment {number}")
        return _TAKEN


def _read(data: bytes, *, known: bool) -> str:
    chain = samples.chain()
    before = (chain.seq, chain.last)
    try:
        bodies = read_outbound(samples.OUT_KEYS, chain, data)
    except SegmentError as error:
        if (chain.seq, chain.last) != before:
            raise Finding("the chain moved over what was refused") from error
        return str(error.reason)
    if chain.seq != len(bodies) or chain.last == before[1]:
        raise Finding("the chain did not move over what was taken")
    # Rows can be cut off at the end: the next record of the box would show it.
    if known and not any(bodies == each[: len(bodies)] for each in rows.sealed_bodies()):
        raise Finding("what nobody sealed was believed")
    return _TAKEN


def _swap_pages(dice: Dice, data: bytes, other: bytes) -> bytes:
    one, from_ = (dice.below(len(each) // pages.PAGE) * pages.PAGE for each in (data, other))
    page = other[from_ : from_ + pages.PAGE]
    return data[:one] + page + data[one + pages.PAGE :]


TARGETS: Final[dict[str, Target]] = {
    "segment": Segment(),
    "pages": Pages(),
    "rows": Rows(),
    "outbound": Value(decode_outbound, samples.OUTBOUND),
    "inbound": Value(decode_inbound, samples.INBOUND),
    "hello": Value(frames.decode_hello, samples.HELLOS),
    "ask": Value(frames.decode_ask, samples.ASKS),
    "tell": Value(frames.decode_tell, samples.TELLS),
    "use": Value(frames.decode_use, samples.USES),
    "used": Value(frames.decode_used, samples.USEDS),
    "claim": Value(frames.decode_claim, (samples.CLAIM,)),
    "from-airlock": Value(link.decode_from_airlock, samples.FROM_AIRLOCK),
    "to-airlock": Value(link.decode_to_airlock, samples.TO_AIRLOCK),
    "start": Control(link.decode_start, samples.STARTS),
    "started": Control(link.decode_started, (samples.STARTED,)),
    "counted": Control(link.decode_counted, (samples.COUNTED,)),
    "memory": Control(link.decode_memory, (samples.MEMORY_TOLD,)),
    "stream": Stream(),
    "name": Name(),
}
"""Every entry point, by the name of its corpus directory."""

_SHARES: Final = {"segment": 3, "pages": 8, "rows": 4, "ask": 3, "outbound": 3, "from-airlock": 3}
_WHEEL: Final = tuple(name for name in TARGETS for _ in range(_SHARES.get(name, 1)))


def spin(seed: int, number: int) -> tuple[str, Callable[[], bytes]]:
    """The target of input `number` of a run, and what makes that input."""
    dice = Dice(f"{seed}/{number}")
    name = dice.pick(_WHEEL)
    return name, partial(TARGETS[name].make, dice)
