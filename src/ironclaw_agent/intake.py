"""What the host published: who the agent is, the conversation so far, and messages to deal with.

No I/O. `take` sorts each record in; `begin` hands out the oldest message that engages with the
context before it, `resume` the turn that a former box left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from ironclaw_agent.context import MEMORY_BYTES, Past, has_memory, split_turns, system_text
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Said
from ironclaw_contract.limits import MAX_FRAME_BYTES
from ironclaw_contract.records import Answer, ContractError, History, Message, Part, Setup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ironclaw_contract.entries import Entry
    from ironclaw_contract.records import InboundBody
    from ironclaw_contract.rpc import ToolSpec

_KNOWN: Final = 8192
"""Message ids remembered, so that one that comes twice is answered once."""
_FRAME_SPARE: Final = 4096
_TOOL_SPARE: Final = 512


class Beginning(NamedTuple):
    """What a turn starts from."""

    turn: str
    entries: list[Entry]
    next_index: int
    """Of its next record."""


class Intake:
    """Everything the host has told this box.

    Args:
        specs: Every tool the program has, by name. Only those the setup names are offered or run.
    """

    def __init__(self, specs: Mapping[str, ToolSpec]) -> None:
        self._specs = specs
        self._setup: Setup | None = None
        self._known: dict[str, None] = {}
        self._queue: list[Message] = []
        self._open: History | None = None
        self._last_skipped = False
        self.past = Past()
        self.system = ""
        self.tools: tuple[ToolSpec, ...] = ()
        self.room = 0
        """Bytes of conversation in one model call."""

    @property
    def setup(self) -> Setup:
        """The last setup. Raises ContractError when there is none."""
        if self._setup is None:
            raise ContractError(WireCode.MALFORMED, "the first record is the setup")
        return self._setup

    @property
    def has_open_turn(self) -> bool:
        """A former box left a turn open, and `begin` has not handed it out."""
        return self._open is not None

    def take(self, body: InboundBody) -> None:
        """Take one inbound record in.

        Raises:
            ContractError: Something comes before the setup.
        """
        if isinstance(body, Setup):
            self._set_up(body)
            return
        _ = self.setup
        if isinstance(body, History):
            self._remember(body)
        elif isinstance(body, Message):
            if self._is_new(body.message):
                self._queue.append(body)
        elif isinstance(body, Part | Answer):
            raise ContractError(WireCode.MALFORMED, f"nothing waits for a {type(body).__name__}")
        else:
            assert_never(body)

    def begin(self) -> Beginning | None:
        """The turn to run now: an open one first, then the oldest message that engages."""
        if self._open is not None:
            return self._resume(self._open)
        for place, message in enumerate(self._queue):
            if message.engage:
                return Beginning(message.message, self._dequeue(place), 0)
        return None

    def _resume(self, history: History) -> Beginning | None:
        turn = history.turn or ""
        entries = list(history.entries)
        if not any(isinstance(e, Said) and e.message == turn for e in entries):
            # The words that began it may come with the backlog instead.
            place = next((i for i, m in enumerate(self._queue) if m.message == turn), None)
            if place is not None:
                entries[:0] = self._dequeue(place)
            elif not any(message.engage for message in self._queue):
                return None
        self._open = None
        self._is_new(turn)
        return Beginning(turn, entries, history.index)

    def _dequeue(self, place: int) -> list[Entry]:
        entries: list[Entry] = [_said(each) for each in self._queue[: place + 1]]
        del self._queue[: place + 1]
        return entries

    def _set_up(self, setup: Setup) -> None:
        self._setup = setup
        self.system = system_text(setup)
        self.tools = tuple(self._specs[name] for name in setup.tools if name in self._specs)
        fixed = len(self.system.encode()) + sum(
            len(tool.description.encode()) + len(tool.parameters.encode()) + _TOOL_SPARE
            for tool in self.tools
        )
        fixed += MEMORY_BYTES if has_memory(setup) else 0
        self.room = max(0, min(setup.context_bytes, MAX_FRAME_BYTES - fixed - _FRAME_SPARE))

    def _remember(self, history: History) -> None:
        if history.turn is None:
            self._remember_ended(history.entries)
        elif self._open is not None and self._open.turn == history.turn:
            # One open turn may need several records.
            entries = (*self._open.entries, *history.entries)
            self._open = History(entries=entries, turn=history.turn, index=history.index)
            self._learn(history.entries)
        elif history.turn not in self._known:
            self._open = history
            self._learn(history.entries)

    def _remember_ended(self, entries: Sequence[Entry]) -> None:
        for number, turn in enumerate(split_turns(entries)):
            said = [entry for entry in turn if isinstance(entry, Said)]
            if not said and number == 0 and len(self.past):
                if not self._last_skipped:
                    self.past.extend_last(turn)
                continue
            # A core that adopts a running box may tell it what it knows already.
            self._last_skipped = bool(said) and all(s.message in self._known for s in said)
            if not self._last_skipped:
                self.past.add(turn, keep_bytes=self.room)
                self._learn(turn)

    def _learn(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if isinstance(entry, Said):
                self._is_new(entry.message)

    def _is_new(self, message: str) -> bool:
        if message in self._known:
            return False
        self._known[message] = None
        if len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]
        return True


def _said(message: Message) -> Said:
    return Said(
        message=message.message, sender=message.sender, text=message.text, at_ms=message.at_ms
    )
