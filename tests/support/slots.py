"""A slot's directories and a real, forked, confined airlock on them, without a sandbox."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from tests.support.fake_box import FakeBox

from ironclaw.airlock.starter import AirlockStarter
from ironclaw.core.ids import SessionId, SlotId
from ironclaw.domain.wall import BoxArrived, Claim, KeyRead, LinkEvent, SlotDir
from ironclaw_contract.records import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from ironclaw.airlock.link import Link
    from ironclaw.airlock.watch import Patience

_E = TypeVar("_E")

SESSION = SessionId("ses_a")
KEY = bytes(range(32))
_BASE = 500_000_000
_LANE = 65_536


def message(name: str, text: str = "hello") -> Message:
    return Message(message=name, sender="ann", text=text, at_ms=1)


class Slot:
    """One slot, its airlock of the moment, and the box on the other side."""

    def __init__(self, starter: AirlockStarter, directory: SlotDir) -> None:
        self.starter = starter
        self.dir = directory
        self.box = FakeBox(directory.path, directory.box_uid, directory.group)
        self._link: Link | None = None

    @property
    def link(self) -> Link:
        assert self._link is not None
        return self._link

    @property
    def out(self) -> Path:
        return self.dir.path / "out"

    async def start(self) -> Link:
        self._link = await self.starter.start(self.dir)
        return self._link

    async def expect(self, kind: type[_E]) -> _E:
        """The next event, which must be of that kind."""
        async with asyncio.timeout(15):
            event = await self.link.receive()
        assert isinstance(event, kind), event
        return event

    async def until(self, kind: type[_E]) -> _E:
        """The next event of that kind; others are passed over."""
        async with asyncio.timeout(15):
            while True:
                event: LinkEvent | None = await self.link.receive()
                assert event is not None
                if isinstance(event, kind):
                    return event

    async def claim(self, *, out_seq: int = 0, out_hash: bytes = b"") -> None:
        await self.link.claim(Claim(SESSION, 1, KEY, out_seq, out_hash))

    async def bring_up(self) -> None:
        """Airlock, hello, claim, key read."""
        await self.start()
        await asyncio.to_thread(self.box.hello)
        await self.expect(BoxArrived)
        await self.claim()
        await asyncio.to_thread(self.box.take_key)
        await self.expect(KeyRead)

    async def send(self, *names: str) -> list[str]:
        """Publish messages and return the ids that the box read."""
        await self.link.publish([message(name) for name in names])
        await asyncio.to_thread(self.box.wait)
        return [body.message for body in self.box.read() if isinstance(body, Message)]

    async def close(self) -> None:
        self.box.close()
        if self._link is not None:
            await self._link.close()


def make_slot(root: Path, *, number: int = 0) -> SlotDir:
    """Directories with the owners and modes that the isolator gives them."""
    if os.geteuid() == 0:
        base = _BASE + number * _LANE
        airlock, box, group = base + 65531, base + 65532, base + 65532
    else:
        airlock, box, group = os.geteuid(), os.geteuid(), os.getegid()
    path = root / f"slot{number}"
    path.mkdir()
    for name, mode in (("in", 0o750), ("out", 0o770), ("run", 0o750)):
        (path / name).mkdir()
        os.chown(path / name, airlock, group)
        (path / name).chmod(mode)
    return SlotDir(SlotId(f"slt_{number}"), path, box, airlock, group)


@asynccontextmanager
async def slots(
    count: int = 1,
    *,
    ping_s: float = 60.0,
    pong_s: float = 30.0,
    patience: Patience | None = None,
) -> AsyncIterator[list[Slot]]:
    """`count` slots of different lanes under one zygote; nothing is left of them afterwards."""
    with TemporaryDirectory(prefix="ironclaw-slots-") as root:
        os.chmod(root, 0o755)  # noqa: S103, PTH101 - airlocks have ids of their own
        async with AirlockStarter(ping_s=ping_s, pong_s=pong_s, patience=patience) as starter:
            made = [Slot(starter, make_slot(Path(root), number=n)) for n in range(count)]
            try:
                yield made
            finally:
                for slot in made:
                    await slot.close()
                    await starter.sweep(slot.dir)


def listing(path: Path | int) -> list[str]:
    """Names in a directory, sorted."""
    return sorted(os.listdir(path))  # noqa: PTH208 - open directories too


def give(slot: Slot, paths: Iterable[Path]) -> None:
    """Make planted things the box's own, as they would be."""
    for name in paths:
        os.chown(name, slot.dir.box_uid, slot.dir.group, follow_symlinks=False)
