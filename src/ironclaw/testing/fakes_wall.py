"""A wall without a sandbox: airlocks whose box is a few lines in memory, for tests of services.

`FakeAirlocks.start` gives a `FakeLink`. Its box remembers what it was told, deals with one message
after the other, asks the model once for each and answers with what the model said, so every port
method of the sessions service is used. Like the real one it asks again when its airlock was
replaced.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from ironclaw.domain.disk import Holding, Usage
from ironclaw.domain.wall import Asked, AskedTool, BoxArrived, BoxGone, KeyRead, Outbound, Tampered
from ironclaw.testing.sealed_facts import SEALED
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Said
from ironclaw_contract.hashing import sha256
from ironclaw_contract.records import Answer, History, Message, Say, Setup, Trouble, TurnEnd
from ironclaw_contract.rpc import Cancel, Failed, Generate, Generated, Hello

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from ironclaw.core.errors import HostError
    from ironclaw.core.ids import SlotId
    from ironclaw.domain.wall import Box, Claim, LinkEvent, SlotDir
    from ironclaw_contract.entries import Entry
    from ironclaw_contract.records import InboundBody, OutboundBody
    from ironclaw_contract.rpc import ModelTell, Use, Used


class FakeBox:
    """What stays when an airlock dies: the memory of the box and its place in the chains."""

    def __init__(self) -> None:
        self.claim: Claim | None = None
        self.in_seq = 0
        self.out_seq = 0
        self.setups: list[Setup] = []
        self.history: list[History] = []
        self.messages: list[Message] = []
        self.answers: list[Answer] = []
        self.todo: list[Message] = []
        """Messages to answer; the first one is being worked on."""
        self.calls = 0
        self.past: list[Entry] = []
        self.published: list[Outbound] = []
        self.deaf = False
        """When true the box takes messages and never answers."""

    def take(self, body: InboundBody) -> None:
        """Take one record in; a message that is known already changes nothing."""
        self.in_seq += 1
        match body:
            case Setup():
                self.setups.append(body)
            case History():
                self.history.append(body)
                self.past += body.entries
            case Message() if body.message not in self.known:
                self.messages.append(body)
                if body.engage:
                    self.todo.append(body)
            case Message():
                pass
            case Answer():
                self.answers.append(body)

    @property
    def known(self) -> set[str]:
        """Ids of messages that the box was told, now or as its past."""
        former = (
            entry.message
            for body in self.history
            for entry in body.entries
            if isinstance(entry, Said)
        )
        return {message.message for message in self.messages} | set(former)


class FakeLink:
    """One airlock with its box."""

    def __init__(self, slot: SlotId, box: FakeBox, airlocks: FakeAirlocks) -> None:
        self.box = box
        self._slot = slot
        self._airlocks = airlocks
        self.pid = len(airlocks.links) + 1
        self.controls = airlocks.controls
        self.missing = airlocks.missing
        self._keeps_key = airlocks.keep_keys
        self._loses_records = airlocks.lose_records
        self._complains = airlocks.complain
        self._hangs = airlocks.hang
        self.acked = 0
        self.told: list[ModelTell] = []
        self.offers: list[bool] = []
        """Every word on `tools.sock`, in order."""
        self.used: list[Used] = []
        """Answers to uses of host tools."""
        self.stood_still: list[bool] = []
        """What was said of its box, in order."""
        self._events: asyncio.Queue[LinkEvent | None] = asyncio.Queue()
        self._asking: dict[int, Message] = {}
        self._dead = False
        self._is_there = False
        if not airlocks.are_silent and slot not in airlocks.standing:
            self.arrive()

    async def claim(self, claim: Claim) -> None:
        """Bind; a box that has its key already keeps it."""
        if self._keeps_key or self._stands_still("claim"):
            return
        if not self._is_there and not self._airlocks.are_silent:
            self.arrive()
        if self.box.claim is None:
            self.box.claim = claim
            self._events.put_nowait(KeyRead())
        # What the ledger has not committed is offered again, as from `/queue/out`.
        for out in self.box.published:
            if out.last_seq > claim.out_seq:
                self._events.put_nowait(out)
        self._ask()

    async def publish(self, bodies: Sequence[InboundBody]) -> None:
        """Hand records to the box; it acts at once."""
        if self._stands_still("publish") or self._dead or self._keeps_key or self._loses_records:
            return
        if self._hangs:
            await asyncio.Future()
        if self._complains:
            self.emit(Trouble(WireCode.INTERNAL, "this will not do"))
            return
        for body in bodies:
            self.box.take(body)
        if not self._asking:
            self._ask()

    async def ack(self, seq: int) -> None:
        """Forget what is committed."""
        self.acked = seq
        self.box.published = [out for out in self.box.published if out.last_seq > seq]

    async def tell(self, event: ModelTell) -> None:
        """The model's answer becomes the reply."""
        if self._stands_still("tell"):
            return
        self.told.append(event)
        match event:
            case Generated(call=call, entries=entries):
                words = "".join(entry.text for entry in entries if isinstance(entry, Answered))
                if message := self._asking.pop(call, None):
                    self.answer(message, words)
            case Failed(call=call, code=code) if call in self._asking:
                message = self._asking.pop(call)
                if message in self.box.todo:
                    self._close(message)
                    self.emit(TurnEnd(message.message, 0, (), failed=code))
            case _:
                pass
        if not self._asking:
            self._ask()

    async def offer_tools(self, offered: bool) -> None:  # noqa: FBT001 - as the port has it
        """Note it; `use` is refused where there is no socket."""
        self.offers.append(offered)

    async def tell_tool(self, used: Used) -> None:
        """Note the answer."""
        if not self._stands_still("tell_tool"):
            self.used.append(used)

    def stands_still(self, frozen: bool) -> None:  # noqa: FBT001 - as the port has it
        """Note it."""
        self.stood_still.append(frozen)

    async def receive(self) -> LinkEvent | None:
        """Next event; None once the airlock is dead."""
        return None if self._dead else await self._events.get()

    async def close(self) -> None:
        """End the airlock."""
        self.die()

    def answer(self, message: Message, words: str) -> None:
        """Publish the end of a turn that says `words`."""
        said = _said(message)
        say = Say(words, message.message)
        self._close(message)
        self.emit(TurnEnd(message.message, 0, (said, Answered(words)), (say,)))

    def emit(self, *bodies: OutboundBody) -> None:
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

    def arrive(self) -> None:
        """The box opens its bell and says where it is."""
        self._is_there = True
        self._events.put_nowait(BoxArrived(self._hello()))

    @property
    def is_dead(self) -> bool:
        """Whether the airlock has ended."""
        return self._dead

    def die(self) -> None:
        """The airlock process is gone."""
        self._dead = True
        self._events.put_nowait(None)

    def ask(self, call: int, message: Message) -> None:
        """Ask the model for the answer to `message`."""
        self._asking[call] = message
        entries = (*self.box.past, _said(message))
        ask = Generate(call, message.message, "be kind", entries, (), 1024)
        self._events.put_nowait(Asked(ask))

    @property
    def has_tools(self) -> bool:
        """Whether the box sees `tools.sock`."""
        return not self._dead and self.offers[-1:] == [True]

    def use(self, use: Use) -> None:
        """Use a host tool. Raises FileNotFoundError where no socket is offered."""
        if not self.has_tools:
            raise FileNotFoundError("tools.sock")
        self._events.put_nowait(AskedTool(use))

    def cancel(self, call: int) -> None:
        """Want the answer no more."""
        self._events.put_nowait(Asked(Cancel(call)))

    def _stands_still(self, what: str) -> bool:
        """Whether the box is frozen, and so hears nothing of this."""
        if self._slot in self._airlocks.standing:
            self._airlocks.missed.append(what)
            return True
        return False

    def _ask(self) -> None:
        if self.box.todo and not self.box.deaf:
            self.box.calls += 1
            self.ask(self.box.calls, self.box.todo[0])

    def _close(self, message: Message) -> None:
        self.box.todo = [each for each in self.box.todo if each.message != message.message]
        self.box.past.append(_said(message))

    def _hello(self) -> Hello:
        claimed = self.box.claim is not None
        return Hello(
            version=1,
            claimed=claimed,
            in_seq=self.box.in_seq,
            out_seq=self.box.out_seq,
            facts=None if claimed else SEALED,
        )


class FakeAirlocks:
    """Starts fake airlocks; keeps the boxes by slot, so that a second start finds the first box."""

    def __init__(self, standing: AbstractSet[SlotId] = frozenset()) -> None:
        self.standing = standing
        """Slots whose box is frozen: `FakeIsolator.standing`."""
        self.missed: list[str] = []
        """What was said to frozen boxes, which nobody may do."""
        self.boxes: dict[SlotId, FakeBox] = {}
        self.controls: tuple[str, ...] = ("seccomp",)
        """What new airlocks say is in force on them."""
        self.missing: tuple[str, ...] = ()
        """What they say could not be had."""
        self.holdings: dict[SlotId, Holding] = {}
        """What boxes hold, by slot; nothing when not said."""
        self.counts: list[SlotId] = []
        """Slots in the order in which they were counted."""
        self.count_error: HostError | None = None
        """Raised by counting, if set."""
        self.swept: list[Path] = []
        """Directories that were emptied, in order."""
        self.links: list[FakeLink] = []
        self.are_silent = False
        """When true boxes say no hello by themselves."""
        self.keep_keys = False
        """When true no box is given its key, nor anything else."""
        self.lose_records = False
        """When true boxes are given nothing but the key."""
        self.complain = False
        """When true boxes answer whatever they are told with `Trouble`."""
        self.deaf = False
        """When true new boxes take messages and never answer."""
        self.hang = False
        """When true publishing never ends."""

    async def start(self, directory: SlotDir) -> FakeLink:
        """Start an airlock on a slot."""
        box = self.boxes.setdefault(directory.slot, FakeBox())
        box.deaf |= self.deaf
        link = FakeLink(directory.slot, box, self)
        self.links.append(link)
        return link

    async def sweep(self, directory: SlotDir) -> None:
        """Nothing to sweep."""

    async def sweep_path(self, path: Path, *, uid: int, gid: int) -> None:
        """Empty a directory; there is nothing hostile in it."""
        del uid, gid
        self.swept.append(path)
        await asyncio.to_thread(_empty, path)

    async def count(
        self,
        directory: SlotDir,
        box: Box | None,
        *,
        workspace: Path,
        memory: Path,
        most_files: int,
    ) -> Holding:
        """What a test says that the box holds."""
        del box, workspace, memory, most_files
        self.counts.append(directory.slot)
        if self.count_error is not None:
            raise self.count_error
        return self.holdings.get(directory.slot, Holding(Usage(0, 0), Usage(0, 0)))


def _empty(path: Path) -> None:
    for entry in list(path.iterdir()):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _said(message: Message) -> Said:
    return Said(message.message, message.sender, message.text, message.at_ms)
