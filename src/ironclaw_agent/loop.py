"""The turn machine: what comes in changes its state, what is to be done comes out as commands.

No I/O and no clock. `take` holds what the host published; `settle` begins or resumes a turn when
nothing more is to be read; `told` takes the model's answer, `returned` the tools' results,
`ask_again` repeats a call whose connection broke. One turn runs at a time, in order of arrival; one
that asked people something stands still until `take` has had all answers. Where the setup says so,
what people say meanwhile joins the turn before its next model call.

A kill may come between any two commands: a step counts once it is published, so a fresh box told of
the published steps goes on behind the last one, and at most one step's tools run twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw_agent.context import has_memory, is_full, recalled, total, window
from ironclaw_agent.intake import Intake
from ironclaw_agent.thinking import with_meaning, without
from ironclaw_agent.tools.specs import ASK, RESEARCH
from ironclaw_agent.turn import Command, Publish, Run, Turn, in_place, last_words, unreturned
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Called, Returned, Said
from ironclaw_contract.limits import MAX_BODY_BYTES, MAX_TEXT_BYTES
from ironclaw_contract.records import Say, Step, TurnEnd
from ironclaw_contract.rpc import Delta, Failed, Generate, Generated, ModelTell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ironclaw_agent.compaction import Summing
    from ironclaw_agent.research import Research
    from ironclaw_contract.entries import Entry
    from ironclaw_contract.records import InboundBody
    from ironclaw_contract.rpc import ToolSpec

_BODY_SPARE: Final = 4096
_ASK_SPARE: Final = 4096
"""Bytes of a question beside its text: its options above all. An upper bound."""
_MAX_SAYS: Final = 16
_SAY_SPARE: Final = 1024
"""Bytes of words for people beside their text: the ids of files above all. An upper bound."""
_MOST_HEARD: Final = 64
"""Messages that one record tells of."""
_LEAST_ROOM: Final = 1024
"""Bytes of conversation below which asking again with less is given up."""


class Loop:
    """One session's agent, from setup to the last message.

    Args:
        specs: Every tool the program has, by name. Only those the setup names are offered or run.
        recall: Tells of the agent's memory when a turn begins, if the agent may use it.
        describe: Tells of the files that came with a message, for the model.
    """

    def __init__(
        self,
        specs: Mapping[str, ToolSpec],
        *,
        recall: Callable[[], str] = str,
        describe: Callable[[Said], Said] = lambda said: said,
    ) -> None:
        self._intake = Intake(specs)
        self._recall = recall
        self._describe = describe
        self._turn: Turn | None = None
        self._calls = 0
        self._ended = 0
        self._summing: Summing | None = None

    @property
    def waits_for_model(self) -> bool:
        """A model call of the turn is under way."""
        turn = self._turn
        return turn is not None and (
            turn.call != 0 if turn.research is None else turn.research.is_open
        )

    @property
    def is_told_of_open_turn(self) -> bool:
        """A turn that a former box left open waits to be resumed."""
        return self._intake.has_open_turn

    @property
    def steers(self) -> bool:
        """A turn runs that is joined by what is said meanwhile."""
        return self._turn is not None and self._intake.setup.steers

    def take(self, body: InboundBody) -> None:
        """Take one inbound record in. Raises ContractError when one comes before the setup."""
        self._intake.take(body)

    def settle(self) -> list[Command]:
        """Nothing more is to be read now: go on, if there is something to go on with."""
        if self._turn is not None:
            return self._go_on(self._turn)
        if (beginning := self._intake.begin()) is None:
            return []
        gone = [] if self._summing is None else self._summing.drop(turns=self._ended)
        memory = recalled(self._recall()) if has_memory(self._intake.setup) else ""
        turn = self._turn = Turn(beginning, room=self._intake.room, memory=memory)
        waiting = unreturned(turn.entries)
        # What was asked is in a record that is published: nobody is asked twice.
        turn.waits_for = tuple(call.call for call in waiting if call.name == ASK.name)
        if run := [call for call in waiting if call.name != ASK.name]:
            return [*gone, *self._do(turn, run, {})]
        if turn.waits_for:
            return [*gone, *self._go_on(turn)]
        if last_words(turn.entries):
            # Whoever publishes words before the end of a turn has said them.
            return [*gone, *self._answer_on(turn)]
        return [*gone, *self._ask(turn)]

    @property
    def is_due_for_summary(self) -> bool:
        """Nothing is being done, and the past takes so much room that it should be summed up."""
        if self._turn is not None or not is_full(self._intake.past, self._intake.room):
            return False
        if self._summing is None:
            from ironclaw_agent.compaction import Summing  # noqa: PLC0415 - short talks need none

            self._summing = Summing(self._intake, self._number)
        return self._summing.is_due(turns=self._ended)

    def sum_up(self) -> list[Command]:
        """Nothing has come that waits: sum the oldest turns up, if it is time."""
        if not self.is_due_for_summary or self._summing is None:
            return []
        return self._summing.begin(turns=self._ended)

    def lost_model(self) -> None:
        """The model connection broke: what no turn waits for is not asked again."""
        if self._summing is not None:
            self._summing.lose(turns=self._ended)

    def _go_on(self, turn: Turn) -> list[Command]:
        """Ask the model again once people have answered all that the turn waits for."""
        answers = self._intake.answers_to(turn.id, turn.waits_for)
        if not answers:
            return []
        turn.waits_for = ()
        turn.carried += answers
        turn.entries.extend(answers)
        return self._ask(turn)

    def _ask(self, turn: Turn) -> list[Command]:
        setup = self._intake.setup
        if turn.steps >= setup.max_steps:
            return self._fail(turn, WireCode.TOO_MANY_STEPS)
        # A setup that came within the turn may leave less room than the one it began with.
        turn.room = min(turn.room, self._intake.room)
        if turn.steps:
            self._join(turn)
        entries = window(self._intake.past, turn.entries, room=turn.room)
        if entries is None:
            return self._fail(turn, WireCode.CONTEXT_TOO_LONG)
        turn.steps += 1
        turn.call = self._number()
        return [
            Generate(
                call=turn.call,
                turn=turn.id,
                system=self._intake.system + turn.memory,
                entries=tuple(map(self._shown, entries)),
                tools=self._intake.tools,
                max_output_tokens=min(max(setup.max_output_tokens, 1), 1_000_000),
            )
        ]

    def _shown(self, entry: Entry) -> Entry:
        return self._describe(entry) if isinstance(entry, Said) and entry.files else entry

    def _join(self, turn: Turn) -> bool:
        """Let what waits in the turn's own place join it; says whether anything did.

        What would not fit beside the turn waits for one of its own.
        """
        if not self._intake.setup.steers:
            return False
        room = min(turn.room, MAX_BODY_BYTES // 2) - total(turn.entries)
        joined = self._intake.join(room=room, most=_MOST_HEARD - len(turn.heard))
        turn.entries.extend(joined)
        turn.heard += tuple(said.message for said in joined)
        return bool(joined)

    def ask_again(self) -> list[Command]:
        """The model connection broke: put every open call once more, under a new number."""
        turn = self._turn
        if turn is not None and turn.research is not None:
            return turn.research.ask_again()
        if turn is None or turn.call == 0:
            return []
        turn.steps -= 1
        return self._ask(turn)

    def told(self, tell: ModelTell) -> list[Command]:
        """Take an event of the model socket; anything but the end of the open call is passed over.

        Trust:
            The content is a model's: its calls are checked when they run.
        """
        if self._summing is not None and tell.call == self._summing.call:
            return self._summing.told(tell, turns=self._ended)
        turn = self._turn
        if turn is None or isinstance(tell, Delta):
            return []
        if turn.research is not None:
            return self._researched(turn, turn.research, turn.research.told(tell))
        if turn.call == 0 or tell.call != turn.call:
            return []
        turn.call = 0
        if isinstance(tell, Failed):
            return self._failed(turn, tell.code)
        return self._generated(turn, tell)

    def abandon(self, code: WireCode) -> list[Command]:
        """End the turn that waits for the model: its answer cannot be had."""
        turn = self._turn
        if turn is None or not self.waits_for_model:
            return []
        return self._fail(turn, code)

    def returned(self, results: Sequence[Returned], says: Sequence[Say] = ()) -> list[Command]:
        """Take the results of the last `Run`; publish the step, then ask the model again.

        Args:
            results: One for each call.
            says: What the tools have for people, at once.
        """
        turn = self._turn
        if turn is None:
            return []
        research = turn.research
        if research is None:
            return self._step(turn, results, says)
        begins = research.others is None
        more = research.begin(results, says) if begins else research.returned(results)
        return self._researched(turn, research, more)

    def _researched(self, turn: Turn, research: Research, more: list[Command]) -> list[Command]:
        """Go on with research, or behind it once each of its questions is over."""
        if not research.is_over:
            return more
        turn.research = None
        turn.warned[research.place] = research.result
        results, says = research.others or ((), ())
        return self._step(turn, results, says)

    def _step(self, turn: Turn, results: Sequence[Returned], says: Sequence[Say]) -> list[Command]:
        new, asks = (*turn.draft, *in_place(turn.warned, results)), turn.asks
        turn.warned = {}
        step, turn.draft, turn.asks, turn.carried = (*turn.carried, *new), (), (), ()
        # The whole turn fits one record, so the host can tell it to a fresh box as one.
        said = sum(_SAY_SPARE + len(say.text.encode()) for say in says)
        if total(turn.entries) + total(new) + said + _BODY_SPARE > MAX_BODY_BYTES:
            return self._fail(turn, WireCode.TOO_LARGE)
        heard, turn.heard = turn.heard, ()
        published = Publish(
            Step(
                turn=turn.id,
                index=turn.index,
                entries=step,
                says=tuple(says)[:_MAX_SAYS],
                heard=heard,
                asks=asks,
            )
        )
        turn.index += 1
        turn.entries.extend(new)
        turn.waits_for += tuple(ask.call for ask in asks)
        return [published, *(self._go_on(turn) if turn.waits_for else self._ask(turn))]

    def _generated(self, turn: Turn, answer: Generated) -> list[Command]:
        entries = with_meaning(answer.entries, turn.entries)
        calls = tuple(entry for entry in entries if isinstance(entry, Called))
        if not calls:
            return self._answer(turn, entries)
        if turn.steps >= self._intake.setup.max_steps:
            # Nobody would see the results, so nothing is done either.
            return self._fail(turn, WireCode.TOO_MANY_STEPS)
        from ironclaw_agent.asking import apart, split  # noqa: PLC0415 - the start needs neither
        from ironclaw_agent.circles import judge  # noqa: PLC0415 - nor this

        entries = apart(entries, turn.entries)
        parts = split(
            (entry for entry in entries if isinstance(entry, Called)),
            may_ask=ASK.name in self._intake.setup.tools,
        )
        asked = sum(len(ask.question.encode()) + _ASK_SPARE for ask in parts.asks)
        if total((*turn.carried, *entries)) + asked + _BODY_SPARE > MAX_BODY_BYTES:
            return self._fail(turn, WireCode.TOO_LARGE)
        verdict = judge(turn.entries, parts.run)
        if verdict.ends:
            return self._fail(turn, WireCode.GOES_IN_CIRCLES)
        turn.draft, turn.asks = (*entries, *parts.refused), parts.asks
        return self._do(turn, parts.run, verdict.warned)

    def _do(
        self, turn: Turn, calls: Sequence[Called], placed: dict[int, Returned]
    ) -> list[Command]:
        """Have the calls of an answer carried out, but those that have a result at their place."""
        if RESEARCH.name in self._intake.setup.tools and any(
            call.name == RESEARCH.name for call in calls
        ):
            from ironclaw_agent.research import plan  # noqa: PLC0415 - who needs it pays for it

            placed, turn.research = plan(
                calls, placed, turn=turn, intake=self._intake, number=self._number
            )
        turn.warned = placed
        apart = {*placed} if turn.research is None else {*placed, turn.research.place}
        run = [call for place, call in enumerate(calls) if place not in apart]
        return [self._run(turn, run)] if run else self.returned(())

    def _number(self) -> int:
        """A number for one model call more."""
        self._calls += 1
        return self._calls

    def _answer(self, turn: Turn, answer: tuple[Entry, ...]) -> list[Command]:
        """Say the answer, and go on where somebody has spoken meanwhile; else end the turn."""
        says = self._says(turn, answer)
        is_last = turn.steps >= self._intake.setup.max_steps
        if not says or is_last or not self._intake.is_joined:
            return self._finish(turn, answer)
        # What joins from here on stands behind this answer.
        entries, turn.carried, heard, turn.heard = (*turn.carried, *answer), (), turn.heard, ()
        step = Step(turn=turn.id, index=turn.index, entries=entries, says=says, heard=heard)
        turn.index += 1
        turn.entries.extend(answer)
        return [Publish(step), *self._answer_on(turn)]

    def _answer_on(self, turn: Turn) -> list[Command]:
        """Behind an answer that was said: answer who has spoken since, or end the turn."""
        if self._join(turn):
            return self._ask(turn)
        return self._end(turn, TurnEnd(turn=turn.id, index=turn.index, entries=()))

    def _failed(self, turn: Turn, code: WireCode) -> list[Command]:
        if code is WireCode.CONTEXT_TOO_LONG:
            # The model's window is smaller than the setup thought: leave older turns out.
            entries = window(self._intake.past, turn.entries, room=turn.room) or ()
            room = total(entries) // 2
            if len(entries) > len(turn.entries) and room >= _LEAST_ROOM:
                turn.room = max(room, total(turn.entries))
                # The turns behind this one need not find it out again.
                self._intake.tighten(turn.room)
                turn.steps -= 1
                return self._ask(turn)
        return self._fail(turn, code)

    def _finish(self, turn: Turn, answer: tuple[Entry, ...]) -> list[Command]:
        says = self._says(turn, answer)
        if says is None:
            return self._fail(turn, WireCode.TOO_LARGE)
        if not says:
            return self._fail(turn, WireCode.MODEL_UNAVAILABLE)
        turn.entries.extend(answer)
        end = TurnEnd(
            turn=turn.id,
            index=turn.index,
            entries=(*turn.carried, *answer),
            says=says,
            heard=turn.heard,
        )
        return self._end(turn, end)

    def _says(self, turn: Turn, answer: tuple[Entry, ...]) -> tuple[Say, ...] | None:
        """What is said to people with this answer; None when no record can hold it."""
        words = [entry.text for entry in last_words(answer)]
        joined = "\n\n".join(words)
        texts = [joined] if len(joined) <= MAX_TEXT_BYTES else words[:_MAX_SAYS]
        said = sum(len(text.encode()) for text in texts)
        if total((*turn.carried, *answer)) + said + _BODY_SPARE > MAX_BODY_BYTES:
            return None
        return tuple(Say(text=text, reply_to=turn.id) for text in texts if words)

    def _fail(self, turn: Turn, code: WireCode) -> list[Command]:
        end = TurnEnd(turn=turn.id, index=turn.index, entries=(), heard=turn.heard, failed=code)
        return self._end(turn, end)

    def _end(self, turn: Turn, end: TurnEnd) -> list[Command]:
        self._intake.past.add(without(turn.entries), keep_bytes=self._intake.keep_bytes)
        self._intake.forget_answers(turn.id)
        self._intake.end()
        self._turn = None
        self._ended += 1
        return [Publish(end), *self.settle()]

    def _run(self, turn: Turn, calls: Sequence[Called]) -> Run:
        allowed = frozenset(self._intake.setup.tools)
        return Run(
            calls=tuple(calls),
            allowed=allowed,
            turn=turn.id,
            step=turn.index,
            heard=tuple(turn.entries),
        )
