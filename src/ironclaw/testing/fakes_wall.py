"""A wall without a sandbox: airlocks whose box is a few lines in memory, for tests of services.

`FakeAirlocks.start` gives a `FakeLink`. Its box remembers what it was told, asks the model once per
message and answers with what the model said, so every port method of the sessions service is used.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ironclaw.domain.ports import (
    Asked,
    BoxArrived,
    BoxGone,
    KeyRead,
    Outbound,
    Tampered,
)
from ironclaw_contract.entries import Answered, Said
from ironclaw_contract.hashing import sha256
from ironclaw_contract.records import History, Message, Say, Setup, TurnEnd
from ironclaw_contract.rpc import Facts, Failed, Generate, Generated, Hello

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import SlotId
    from ironclaw.domain.ports import Claim, LinkEvent, SlotDir
    from ironclaw_contract.records import InboundBody
    from ironclaw_contract.rpc import ModelTell

GOOD_FACTS = Facts(
    uid=65532,
    gid=65532,
    groups=(),
    cap_eff=0,
    cap_prm=0,
    cap_bnd=0,
    no_new_privs=True,
    seccomp=2,
    interfaces=("lo",),
    routes=0,
    root_writable=False,
    in_writable=False,
    kernel="Linux version 4.4.0",
    processes=1,
    environment=("PATH",),
)


class FakeBox:
    """What stays when an airlock dies: the memory of the box and its place in the chains."""

    def __init__(self) -> None:
        self.claim: Claim | None = None
        self.in_seq = 0
        self.out_seq = 0
        self.setups: list[Setup] = []
        self.history: list[History] = []
        self.messages: list[Message] = []
        self.published: list[Outbound] = []
        self.deaf = False
        """When true the box takes messages and never answers."""


class FakeLink:
    """One airlock with its box."""

    def __init__(self, box: FakeBox) -> None:
        self.box = box
        self.acked = 0
        self.told: list[ModelTell] = []
        self._events: asyncio.Queue[LinkEvent | None] = asyncio.Queue()
        self._asking: dict[int, Message] = {}
        self._dead = False
        self._events.put_nowait(BoxArrived(self._hello()))

    async def claim(self, claim: Claim) -> None:
        """Bind; a box that has its key already keeps it."""
        if self.box.claim is None:
            self.box.claim = claim
            self._events.put_nowait(KeyRead())
        # What the ledger has not committed is offered again, as from `/queue/out`.
        for out in self.box.published:
            if out.last_seq > claim.out_seq:
                self._events.put_nowait(out)

    async def publish(self, bodies: Sequence[InboundBody]) -> None:
        """Hand records to the box; it acts at once."""
        for body in bodies:
            self.box.in_seq += 1
            match body:
                case Setup():
                    self.box.setups.append(body)
                case History():
                    self.box.history.append(body)
                case Message() if body.message not in {m.message for m in self.box.messages}:
                    self.box.messages.append(body)
                    if body.engage and not self.box.deaf:
                        self._ask(body)
                case Message():
                    pass

    async def ack(self, seq: int) -> None:
        """Forget what is committed."""
        self.acked = seq
        self.box.published = [out for out in self.box.published if out.last_seq > seq]

    async def tell(self, event: ModelTell) -> None:
        """The model's answer becomes the reply."""
        self.told.append(event)
        match event:
            case Generated(call=call, entries=entries):
                words = "".join(entry.text for entry in entries if isinstance(entry, Answered))
                self.answer(self._asking.pop(call), words)
            case Failed(call=call, code=code) if call in self._asking:
                message = self._asking.pop(call)
                self.emit(TurnEnd(message.message, 0, (), failed=code))
            case _:
                pass

    async def receive(self) -> LinkEvent | None:
        """Next event; None once the airlock is dead."""
        return None if self._dead else await self._events.get()

    async def close(self) -> None:
        """End the airlock."""
        self.die()

    def answer(self, message: Message, words: str) -> None:
        """Publish the end of a turn that says `words`."""
        said = Said(message.message, message.sender, message.text, message.at_ms)
        say = Say(words, message.message)
        self.emit(TurnEnd(message.message, 0, (said, Answered(words)), (say,)))

    def emit(self, *bodies: TurnEnd) -> None:
        """Publish one segment."""
        out = Outbound(self.box.out_seq + 1, bodies, sha256(repr(bodies).encode()))
        self.box.out_seq = out.last_seq
        self.box.published.append(out)
        self._events.put_nowait(out)

    def tamper(self, reason: str) -> None:
        """The airlock caught the box at something."""
        self._events.put_nowait(Tampered(reason))

    def hang_up(self) -> None:
        """The box closes its bell."""
        self._events.put_nowait(BoxGone())

    def die(self) -> None:
        """The airlock process is gone."""
        self._dead = True
        self._events.put_nowait(None)

    def _ask(self, message: Message) -> None:
        call = len(self.box.messages)
        self._asking[call] = message
        said = tuple(Said(m.message, m.sender, m.text, m.at_ms) for m in self.box.messages)
        self._events.put_nowait(Asked(Generate(call, message.message, "be kind", said, (), 1024)))

    def _hello(self) -> Hello:
        claimed = self.box.claim is not None
        return Hello(
            version=1,
            claimed=claimed,
            in_seq=self.box.in_seq,
            out_seq=self.box.out_seq,
            facts=None if claimed else GOOD_FACTS,
        )


class FakeAirlocks:
    """Starts fake airlocks; keeps the boxes by slot, so that a second start finds the first box."""

    def __init__(self) -> None:
        self.boxes: dict[SlotId, FakeBox] = {}
        self.links: list[FakeLink] = []

    async def start(self, directory: SlotDir) -> FakeLink:
        """Start an airlock on a slot."""
        link = FakeLink(self.boxes.setdefault(directory.slot, FakeBox()))
        self.links.append(link)
        return link

    async def sweep(self, directory: SlotDir) -> None:
        """Nothing to sweep."""
