"""What the host published: who the agent is, the conversation so far, and messages to deal with.

No I/O. `take` sorts each record in; `begin` hands out the oldest message that engages with the
context before it, `resume` the turn that a former box left open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from ironclaw_agent.context import (
    MEMORY_BYTES,
    Past,
    has_memory,
    size,
    split_turns,
    summed_up,
    system_text,
)
from ironclaw_agent.thinking import without
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Returned, Said
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
        self._turn = ""
        """The turn that was handed out, until `end`."""
        self._place = ""
        """Where it began; empty while that is not known."""
        self._answers: dict[tuple[str, str], Answer] = {}
        self._last_skipped = False
        self._most = 0
        """Bytes of conversation that a model turned out to read, if it is less than was told."""
        self.past = Past()
        self.summary = ""
        """Of what was said before `past`."""
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
    def keep_bytes(self) -> int:
        """How much of the past is kept: more than a call holds, until it is summed up."""
        return 2 * self.room

    def tighten(self, room: int) -> None:
        """The model reads less than the setup says: from now on that much, until the next setup."""
        self._most = room
        self._fit()

    def sum_up(self, pieces: int, summary: str) -> None:
        """So many of the oldest ended turns are told of by `summary`, as is all before them."""
        self.past.forget(pieces)
        self.summary = summary
        self._fit()

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
            self._locate(body)
            if self._is_new(body.message):
                self._queue.append(body)
        elif isinstance(body, Answer):
            # One that comes twice, or that no turn waits for, goes with the turn.
            self._answers[body.turn, body.call] = body
        elif isinstance(body, Part):
            raise ContractError(WireCode.MALFORMED, f"nothing waits for a {type(body).__name__}")
        else:
            assert_never(body)

    def answers_to(self, turn: str, calls: Sequence[str]) -> tuple[Returned, ...]:
        """What people answered to these questions of a turn; nothing until all are answered."""
        answers = [self._answers.get((turn, call)) for call in calls]
        told = [answer for answer in answers if answer is not None]
        if len(told) < len(answers):
            return ()
        return tuple(
            Returned(call=answer.call, text=answer.text, is_error=answer.is_error)
            for answer in told
        )

    def forget_answers(self, turn: str) -> None:
        """The turn is over: nothing of it is waited for."""
        for place in [place for place in self._answers if place[0] == turn]:
            del self._answers[place]

    def begin(self) -> Beginning | None:
        """The turn to run now: an open one first, then the oldest message that engages."""
        if self._open is not None:
            return self._resume(self._open)
        for place, message in enumerate(self._queue):
            if message.engage:
                self._turn, self._place = message.message, message.place
                return Beginning(message.message, self._dequeue(place), 0)
        return None

    @property
    def is_joined(self) -> bool:
        """Whether something waits that would join the turn."""
        return self.setup.steers and any(
            message.engage and message.place == self._place for message in self._queue
        )

    def join(self, *, room: int, most: int) -> list[Said]:
        """Hand out what waits in the place of the running turn, with the context before it.

        Args:
            room: Bytes that it may take, at most.
            most: How many messages.
        """
        joined: list[Said] = []
        ready = 0
        for message in self._queue if self._place else ():
            if message.place != self._place:
                continue
            said = _said(message)
            room -= size(said)
            if room < 0 or len(joined) >= most:
                break
            joined.append(said)
            if message.engage:
                # Context alone joins nothing: it waits for the message that it comes before.
                ready = len(joined)
        del joined[ready:]
        gone = {said.message for said in joined}
        self._queue = [message for message in self._queue if message.message not in gone]
        return joined

    def end(self) -> None:
        """The turn that was handed out is over."""
        self._turn = self._place = ""

    def _locate(self, message: Message) -> None:
        """Of a turn that another box began, only its message says where that was."""
        turn = self._turn or (self._open.turn if self._open is not None else "")
        if message.message == turn:
            self._place = message.place

    def _resume(self, history: History) -> Beginning | None:
        turn = history.turn or ""
        entries = list(history.entries)
        if not any(isinstance(e, Said) and e.message == turn for e in entries):
            # The words that began it may come with the backlog instead.
            place = next((i for i, m in enumerate(self._queue) if m.message == turn), None)
            if place is not None:
                self._place = self._queue[place].place
                entries[:0] = self._dequeue(place)
            elif not any(message.engage for message in self._queue):
                return None
        self._open, self._turn = None, turn
        self._is_new(turn)
        return Beginning(turn, entries, history.index)

    def _dequeue(self, place: int) -> list[Entry]:
        entries: list[Entry] = [_said(each) for each in self._queue[: place + 1]]
        del self._queue[: place + 1]
        return entries

    def _set_up(self, setup: Setup) -> None:
        self._setup = setup
        self._most = 0
        self.tools = tuple(self._specs[name] for name in setup.tools if name in self._specs)
        self._fit()

    def _fit(self) -> None:
        """Put the instructions together, and see what they leave of a call."""
        setup, summary = self.setup, summed_up(self.summary)
        self.system = system_text(setup) + summary
        fixed = len(self.system.encode()) + sum(
            len(tool.description.encode()) + len(tool.parameters.encode()) + _TOOL_SPARE
            for tool in self.tools
        )
        fixed += MEMORY_BYTES if has_memory(setup) else 0
        told = min(setup.context_bytes, self._most or setup.context_bytes)
        room = min(told - len(summary.encode()), MAX_FRAME_BYTES - fixed - _FRAME_SPARE)
        self.room = max(0, room)

    def _remember(self, history: History) -> None:
        if history.summary:
            self.sum_up(0, history.summary)
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
        for number, turn in enumerate(split_turns(without(entries))):
            said = [entry for entry in turn if isinstance(entry, Said)]
            if not said and number == 0 and len(self.past):
                if not self._last_skipped:
                    self.past.extend_last(turn)
                continue
            # A core that adopts a running box may tell it what it knows already.
            self._last_skipped = bool(said) and all(s.message in self._known for s in said)
            if not self._last_skipped:
                self.past.add(turn, keep_bytes=self.keep_bytes)
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
        message=message.message,
        sender=message.sender,
        text=message.text,
        at_ms=message.at_ms,
        files=message.files,
        foreign=message.foreign,
    )
