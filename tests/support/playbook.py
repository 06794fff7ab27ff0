"""The two sides of a conversation whose course is known: what people say, and what a model answers.

A `Turn` is one message and all that the model does about it. The scripted model is told so in the
message itself; a provider's server is told beforehand, hears the message alone, and answers as its
protocol does. So one story is told with every model.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import Counter
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tests.support.model_answers import Kind, Wanted
from tests.support.model_judges import is_call
from tests.support.model_servers import Asked, ModelServer, Reply, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Calls = tuple[tuple[str, dict[str, Any]], ...]
"""Tool calls of one answer."""
CLERK: Final = "clerk"
"""In the name of the model that another agent has."""


class Turn(NamedTuple):
    """One message, and what comes of it."""

    cue: str
    """What is said: no two turns of a story say the same."""
    rounds: tuple[Calls, ...] = ()
    """What the model calls, answer by answer."""
    answer: str = ""
    """What it says in the end."""
    finds: str = ""
    """What else it says: a pattern of words that stand in what it was told."""
    shows: str = ""
    """The directive by which the scripted model says such words; empty for its usual ones."""
    thought: str = ""
    endless: Callable[[int], tuple[str, dict[str, Any]]] | None = None
    """A call in every answer, by its number."""
    hangs: bool = False
    """It never answers."""


class Mind(Protocol):
    """Who is talked with: a model."""

    name: str

    @property
    def model(self) -> str:
        """As an agent has it."""
        ...

    @property
    def clerk(self) -> str:
        """Another model of the same provider."""
        ...

    def words(self, turn: Turn) -> str:
        """The words by which a person begins this turn."""
        ...

    def expect(self, turn: Turn) -> None:
        """It comes next, or at some time from now on."""
        ...

    def calls(self, cue: str) -> int | None:
        """How often the provider was asked in a turn; None where there is none to count."""
        ...


class ScriptedMind:
    """The scripted model, which does what the message says."""

    name = "scripted"
    model = "scripted"
    clerk = "scripted"

    def expect(self, turn: Turn) -> None:
        """Its words say it all."""

    def words(self, turn: Turn) -> str:
        """The cue, and its directives."""
        lines = [turn.cue]
        for calls in turn.rounds:
            for word, (name, arguments) in zip(("!tool", *["!and"] * 9), calls, strict=False):
                lines.append(f"{word} {name} {json.dumps(arguments)}")
        if turn.endless is not None:
            name, arguments = turn.endless(-1)
            lines.append(f"!loop {name} {json.dumps(arguments).replace('-1', '{round}')}")
        if turn.thought:
            lines.append(f"!think {turn.thought}")
        if turn.hangs:
            lines.append("!hang")
        if turn.finds:
            lines += [turn.shows] if turn.shows else []
        elif turn.answer:
            lines.append(f"!say {turn.answer}")
        return "\n".join(lines)

    def calls(self, cue: str) -> int | None:
        """Nobody counts."""
        del cue
        return None


class Mindful(ModelServer):
    """A provider's server that answers by what was said last, whoever asks and however often."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.turns: dict[str, Turn] = {}
        self.calls: Counter[str] = Counter()

    def reply_to(self, asked: Asked) -> Reply:
        """The next answer of the turn that is on."""
        if not is_call(asked):
            return failed(404, {"error": {"message": "what?"}})
        body = asked.body.decode()
        if CLERK in asked.path or f'-{CLERK}"' in body:
            return self._say(self.turns[CLERK], CLERK, body)
        cue = max((cue for cue in self.turns if cue != CLERK), key=body.rfind)
        return self._say(self.turns[cue], cue, body)

    def _say(self, turn: Turn, cue: str, body: str) -> Reply:
        number = self.calls[cue]
        self.calls[cue] += 1
        mark = f"{list(self.turns).index(cue):02}{number:02}"
        calls: Calls = ()
        if turn.endless is not None:
            calls = (turn.endless(number),)
        elif number < len(turn.rounds):
            calls = turn.rounds[number]
        words = "I see to it." if calls else _words(turn, body)
        pieces = tuple(re.findall(r"\S+\s*", words))
        thought = turn.thought if not number else ""
        reply = self.kind.reply(Wanted(pieces, calls, thought or "Hm.", mark))
        if turn.hangs:
            return reply._replace(pieces=reply.pieces[: -len(reply.pieces) // 3], hangs=True)
        return reply


def _words(turn: Turn, body: str) -> str:
    if not turn.finds:
        return turn.answer
    found = re.findall(turn.finds, body)
    return f"{turn.answer} {found[-1] if found else 'I was told nothing of it.'}".strip()


class ProviderMind:
    """The models of a provider's server."""

    def __init__(self, provider: str, kind: Kind) -> None:
        self.name = kind.name
        self.provider = provider
        self.server = Mindful(kind)

    @property
    def model(self) -> str:
        """One that thinks, where the kind has such."""
        return f"{self.provider}/{self.server.kind.thinker or self.server.kind.model}"

    @property
    def clerk(self) -> str:
        """One that answers the turn `clerk`."""
        return f"{self.provider}/{self.server.kind.model}-{CLERK}"

    def expect(self, turn: Turn) -> None:
        """Leave what the model will do at its server."""
        self.server.turns[turn.cue] = turn

    def words(self, turn: Turn) -> str:
        """The cue alone."""
        return turn.cue

    def calls(self, cue: str) -> int | None:
        """How often it was asked."""
        return self.server.calls[cue]

    def table(self, key: str) -> str:
        """Its table of the configuration."""
        kind = self.server.kind
        rows = {"kind": kind.kind, "base_url": self.server.url + kind.path, "key": key, **kind.more}
        lines = [f"{name} = {json.dumps(value)}" for name, value in rows.items()]
        return "\n".join([f"[models.providers.{self.provider}]", *lines, ""])


@contextmanager
def serving(minds: Sequence[ProviderMind]) -> Iterator[None]:
    """Run their servers, in a thread of its own."""
    ready, done = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            for mind in minds:
                await stack.enter_async_context(mind.server)
            loops.append(asyncio.get_running_loop())
            ready.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="providers")
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        loops[0].call_soon_threadsafe(done.set)
        thread.join()
