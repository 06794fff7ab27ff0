"""A box without a wall: the real turn machine, whose model calls go to a real model service."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from ironclaw_agent.loop import Loop
from ironclaw_agent.turn import Publish, Run
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Called, Entry, File, Returned, Said
from ironclaw_contract.records import History, Message, Setup, Step, TurnEnd
from ironclaw_contract.rpc import Delta, Failed, Generate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.models.service import ModelService
    from ironclaw_contract.rpc import ToolSpec


class Heard(NamedTuple):
    """What one turn came to."""

    words: str
    """What people are told at its end."""
    shown: str
    """What they saw come."""
    thought: str
    """What they saw thought."""
    failed: WireCode | None
    calls: tuple[Called, ...]


class TalkingBox:
    """Runs turns, one `say` each; `kill` goes on with a fresh machine that is told what was said.

    Args:
        models: Who is asked.
        agent: As whom.
        session: In which session.
        specs: The tools; each answers with `results`.
        results: What each tool says, by name.
    """

    def __init__(
        self,
        models: ModelService,
        agent: Agent,
        session: SessionId,
        *,
        specs: tuple[ToolSpec, ...] = (),
        results: Mapping[str, str] | None = None,
    ) -> None:
        self._models = models
        self._agent = agent
        self._session = session
        self._specs = {spec.name: spec for spec in specs}
        self._results = dict(results or {})
        self._ledger: list[Entry] = []
        self._count = 0
        self._loop = self._fresh()

    async def say(self, text: str, *, files: tuple[File, ...] = (), stop_after: int = 0) -> Heard:
        """One turn.

        Args:
            text: What a person says.
            files: What comes with it.
            stop_after: End the first model call behind so many events, as `/stop` does.
        """
        self._count += 1
        message = f"msg_{self._count}"
        body = Message(message=message, sender="Ann", text=text, at_ms=0, files=files)
        self._ledger.append(Said(message=message, sender="Ann", text=text, at_ms=0, files=files))
        self._loop.take(body)
        commands = self._loop.settle()
        shown = thought = ""
        calls: list[Called] = []
        while True:
            ask = next((one for one in commands if isinstance(one, Generate | Run)), None)
            for command in commands:
                if isinstance(command, Publish) and isinstance(command.body, Step | TurnEnd):
                    self._ledger.extend(command.body.entries)
                if isinstance(command, Publish) and isinstance(command.body, TurnEnd):
                    words = "\n".join(say.text for say in command.body.says)
                    return Heard(words, shown, thought, command.body.failed, tuple(calls))
            if isinstance(ask, Run):
                calls += ask.calls
                commands = self._loop.returned([self._result(call) for call in ask.calls])
                continue
            assert isinstance(ask, Generate), commands
            events = 0
            commands = []
            async with aclosing(self._models.generate(self._agent, self._session, ask)) as stream:
                async for event in stream:
                    if isinstance(event, Delta):
                        thought += event.text if event.is_thought else ""
                        shown += "" if event.is_thought else event.text
                        events += 1
                        if events == stop_after:
                            break
                    else:
                        commands = self._loop.told(event)
            if events == stop_after != 0:
                failed = Failed(call=ask.call, code=WireCode.CANCELLED, text="stopped")
                commands = self._loop.told(failed)

    def kill(self) -> None:
        """Lose the machine; the next one knows what a host's ledger knows."""
        self._loop = self._fresh()
        self._loop.take(History(entries=tuple(self._ledger)))

    def _fresh(self) -> Loop:
        loop = Loop(self._specs)
        loop.take(Setup(agent="helper", persona="Be kind.", tools=tuple(self._specs)))
        return loop

    def _result(self, call: Called) -> Returned:
        return Returned(call=call.call, text=self._results[call.name])
