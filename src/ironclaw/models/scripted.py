"""The scripted model: offline and deterministic, told by the message itself what to do.

It keeps no memory of its own: whatever it says it remembers stood in the request, so its answers
prove that the conversation came across the wall. `script.parse_script` reads the newest message;
`Scripted.generate` carries the script out, one answer a call.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ironclaw.models.script import MAX_DELAY_MS, ROUND, Script, ToolCall, parse_script
from ironclaw.models.scripted_summary import sum_up, summary_in
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Entry, Returned, Said, Thought
from ironclaw_contract.rpc import Delta, Failed, Generate, Generated, ModelTell, Purpose, Stop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.domain.providers import Picture, Pictures

NAME: Final = "scripted"
_QUOTE_CHARS: Final = 80
_RECALL_CHARS: Final = 100_000
_REMEMBERED_FAILURES: Final = 1024
_BYTES_PER_TOKEN: Final = 4
_FILLER: Final = "The quick brown fox jumps over the lazy dog. "


class Scripted:
    """The provider `scripted`."""

    def __init__(self, pictures: Pictures | None = None) -> None:
        self._pictures = pictures
        self._failed: OrderedDict[tuple[str, str, int], int] = OrderedDict()

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        """Do what the newest message says; see `models.provider.Provider`."""
        if request.purpose is Purpose.SUMMARY:
            told = [entry.text for entry in request.entries if isinstance(entry, Said)]
            text = sum_up(told[-1] if told else "")
            yield _answer(request, (Answered(text=text),), Stop.END)
            return
        place = _newest(request.entries)
        former, turn = request.entries[:place], request.entries[place + 1 :]
        said = request.entries[place] if place >= 0 else None
        script = parse_script(said.text if isinstance(said, Said) else "")
        done = _rounds_done(turn)
        if script.slow_ms:
            await asyncio.sleep(script.slow_ms / 1000)
        if script.hangs:
            await asyncio.sleep(MAX_DELAY_MS / 1000)
        # Questions of a research are asked in one turn, and each has failures of its own.
        what = request.turn if request.purpose is Purpose.TURN else f"{request.turn} {script}"
        if (code := self._failure(session, what, done, script)) is not None:
            yield Failed(call=request.call, code=code, text="The script says so.")
            return
        thoughts: tuple[Thought, ...] = ()
        if script.thinks and not done:
            thoughts = (Thought(text=script.thinks),)
            yield Delta(call=request.call, text=script.thinks, is_thought=True)
        if calls := _calls(script, done):
            called = tuple(
                Called(call=f"c{done}.{number}", name=call.name, arguments=call.arguments)
                for number, call in enumerate(calls)
            )
            yield _answer(request, (*thoughts, *called), Stop.TOOL)
            return
        text = "" if script.is_empty else _text(agent, script, former, turn)
        text = await self._shown(agent, session, request, script) or text
        length = max(1, -(-len(text) // script.pieces))
        for start in range(0, len(text), length):
            if start and script.piece_ms:
                await asyncio.sleep(script.piece_ms / 1000)
            yield Delta(call=request.call, text=text[start : start + length])
        yield _answer(request, (*thoughts, Answered(text=text)), Stop.END)

    async def _shown(
        self, agent: Agent, session: SessionId, request: Generate, script: Script
    ) -> str:
        """What the script wants to be shown of the request; empty when it wants nothing."""
        if script.shows_setup:
            return _setup(agent, request)
        if script.shows_files:
            pictures = [] if self._pictures is None else await self._pictures.of(session, request)
            return _files(request, pictures)
        if script.shows_summary:
            return summary_in(request.system) or "I have no summary."
        return ""

    def _failure(self, session: str, turn: str, done: int, script: Script) -> WireCode | None:
        """The failure of this attempt, if it is to fail; counts attempts of one call."""
        if script.fails is None or not script.failures:
            return script.fails
        key = (session, turn, done)
        failed = self._failed.get(key, 0)
        if failed >= script.failures:
            return None
        self._failed[key] = failed + 1
        if len(self._failed) > _REMEMBERED_FAILURES:
            self._failed.popitem(last=False)
        return script.fails


def _newest(entries: Sequence[Entry]) -> int:
    """Place of the newest message; -1 when there is none."""
    for place in range(len(entries) - 1, -1, -1):
        if isinstance(entries[place], Said):
            return place
    return -1


def _rounds_done(turn: Sequence[Entry]) -> int:
    """Answers with tool calls that stand behind the newest message."""
    rounds = 0
    was_call = False
    for entry in turn:
        is_call = isinstance(entry, Called)
        rounds += is_call and not was_call
        was_call = is_call
    return rounds


def _calls(script: Script, done: int) -> tuple[ToolCall, ...]:
    if done < len(script.rounds):
        return script.rounds[done]
    if script.forever is None:
        return ()
    # So that a loop need not be the same call again and again.
    arguments = script.forever.arguments.replace(ROUND, str(done))
    return (script.forever._replace(arguments=arguments),)


def _answer(
    request: Generate, entries: tuple[Answered | Thought | Called, ...], stop: Stop
) -> Generated:
    read = sum(len(e.arguments if isinstance(e, Called) else e.text) for e in request.entries)
    wrote = sum(len(e.arguments if isinstance(e, Called) else e.text) for e in entries)
    return Generated(
        call=request.call,
        entries=entries,
        stop=stop,
        input_tokens=(len(request.system) + read) // _BYTES_PER_TOKEN,
        output_tokens=wrote // _BYTES_PER_TOKEN,
    )


def _text(agent: Agent, script: Script, former: Sequence[Entry], turn: Sequence[Entry]) -> str:
    """The words of the last answer of a turn."""
    heard = [entry.text for entry in former if isinstance(entry, Said)]
    if script.mistake:
        return f"I do not know the directive {_quote(script.mistake)}."
    if script.say is not None:
        text = script.say
    elif script.recalls:
        text = _recall(heard)
    elif script.shows_results:
        text = _results(turn)
    else:
        text = _default(agent, script, heard, turn)
    if script.chars:
        text = (text + " " + _FILLER * (script.chars // len(_FILLER) + 1))[: script.chars]
    return text


def _default(agent: Agent, script: Script, heard: list[str], turn: Sequence[Entry]) -> str:
    words = f"{agent.name} heard {_quote(script.plain)}." if script.plain else "Done."
    for entry in turn:
        if isinstance(entry, Returned):
            outcome = "failed" if entry.is_error else "returned"
            words += f" The tool {outcome} {_quote(entry.text)}."
    if not heard:
        return f"{words} This is the first message I remember."
    return (
        f"{words} I remember {len(heard)} earlier message{'s' if len(heard) > 1 else ''}: "
        f"the first was {_quote(heard[0])}, the last was {_quote(heard[-1])}."
    )


def _setup(agent: Agent, request: Generate) -> str:
    """Which model was asked, and what the box told it: the persona and the tools on offer."""
    # Its last paragraph, without the line that introduces it.
    persona = request.system.rpartition("\n\n")[2].partition("\n")[2]
    tools = ", ".join(tool.name for tool in request.tools) or "none"
    return f"model: {agent.model}\ntools: {tools}\npersona: {persona}"[:_RECALL_CHARS]


def _files(request: Generate, pictures: Sequence[Picture]) -> str:
    """What the model is told of files, and which pictures it is shown."""
    lines = [
        line
        for entry in request.entries
        if isinstance(entry, Said)
        for line in entry.text.splitlines()
        if line.startswith(("[File ", "[A file "))
    ]
    shown = [
        f"sees {one.media_type}, {len(one.data)} bytes, "
        f"sha256 {hashlib.sha256(one.data).hexdigest()[:16]}"
        for one in pictures
    ]
    return "\n".join([*lines, *shown])[:_RECALL_CHARS] or "I was given no file."


def _recall(heard: list[str]) -> str:
    lines = [f"{number}. {_quote(text)}" for number, text in enumerate(heard, start=1)]
    return "\n".join(lines)[:_RECALL_CHARS] if lines else "I remember no earlier message."


def _results(turn: Sequence[Entry]) -> str:
    """The results of the turn's tools, word for word."""
    texts = [entry.text for entry in turn if isinstance(entry, Returned)]
    return "\n".join(texts)[:_RECALL_CHARS] or "No tool has run."


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line}"' if len(line) <= _QUOTE_CHARS else f'"{line[:_QUOTE_CHARS]}…"'
