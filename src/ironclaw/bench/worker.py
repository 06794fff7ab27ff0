"""The benchmark's core: the same parts as the daemon's, with a clock on both ends of a message.

    python -s -P -m ironclaw.bench.worker [--full]     (started by a keeper, inside its nest)

One phase after the other, each a method; the result is `bench.json` in the runtime directory.
Nothing here is a mock: the boxes, airlocks, store and API are those of the daemon, the model is the
scripted one.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.api.app import create_app
from ironclaw.api.metrics import Metrics
from ironclaw.api.server import serve
from ironclaw.bench.floor import bare_runs, echoes
from ironclaw.bench.long_talk import MODEL, TURNS, talk_long
from ironclaw.bench.posture import PostureCosts
from ironclaw.bench.profile import Stages
from ironclaw.bench.stats import cpu_seconds, family, mem_available_bytes, rss_bytes, spread
from ironclaw.bench.streaming import MODEL as WORDS
from ironclaw.bench.streaming import WordServer, first_words, watched
from ironclaw.composition import open_core
from ironclaw.config.load import load_settings
from ironclaw.core.ids import PrincipalId
from ironclaw.daemon import say_ready
from ironclaw.domain.model import Engage, Event, Ignored, Role

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.composition import Core
    from ironclaw.config.settings import Settings
    from ironclaw.core.ids import MessageId, SessionId
    from ironclaw.domain.model import Agent, Delivery, Session

CHANNEL: Final = "bench"
_PROFILED: Final = 100
"""Messages of the profile."""
_SETTLE_S: Final = 5.0
"""Until what the last message set going has ended."""
OWNER: Final = PrincipalId("bench:owner")


class Sizes(NamedTuple):
    """How much is measured."""

    warm: int
    claims: int
    colds: int
    sessions: int
    messages: int
    """Of each session, in the throughput phase."""
    idle_s: float
    registered: int
    """Sessions registered for the flatness row."""


QUICK: Final = Sizes(
    warm=300, claims=8, colds=5, sessions=50, messages=24, idle_s=3.0, registered=0
)
FULL: Final = Sizes(
    warm=1000, claims=20, colds=20, sessions=100, messages=60, idle_s=20.0, registered=10_000
)


class BenchChannel:
    """Notes when each reply is handed over."""

    name = CHANNEL

    def __init__(self) -> None:
        self.handed: dict[MessageId, list[float]] = {}
        self._waiting: dict[MessageId, asyncio.Future[float]] = {}

    async def deliver(self, delivery: Delivery) -> str:
        """Take a reply; a second one for the same message is kept as such."""
        now = time.perf_counter()
        self.handed.setdefault(delivery.message, []).append(now)
        waiting = self._waiting.pop(delivery.message, None)
        if waiting is not None:
            waiting.set_result(now)
        return delivery.id

    async def reply(self, message: MessageId) -> float:
        """Wait for the reply to a message; when it was handed over."""
        if message in self.handed:
            return self.handed[message][0]
        self._waiting[message] = asyncio.get_running_loop().create_future()
        return await self._waiting[message]


class Bench:
    """Runs the phases on an open core."""

    def __init__(
        self, core: Core, channel: BenchChannel, sizes: Sizes, work: Path, provider: WordServer
    ) -> None:
        self._core = core
        self._provider = provider
        self._channel = channel
        self._sizes = sizes
        self._work = work
        self._sent: list[MessageId] = []

    async def run(self) -> dict[str, object]:
        """All phases."""
        core, sizes = self._core, self._sizes
        await core.registry.give(OWNER, Role.OWNER, None)
        cold_agent = await self._agent("bench-cold", pool_size=0)
        warm_agent = await self._agent("bench-warm", pool_size=1)
        result: dict[str, object] = {}
        _note("the floor: bare sandboxes, a bare echo through the wall")
        result["floor_ms"] = spread(await bare_runs(sizes.colds + 3, self._work))._asdict()
        result["echo_floor_ms"] = spread(await echoes(400, self._work))._asdict()
        _note("warm round trips")
        await self._wire(cold_agent, "warm")
        await self._timed("warm")
        warm = [await self._timed("warm") for _ in range(sizes.warm)]
        result["roundtrip_ms"] = spread(warm)._asdict()
        result["profile_ms"] = await self._profile("warm")
        _note("streamed answers")
        result["streamed_roundtrip_ms"] = spread(await self._streamed("warm"))._asdict()
        result["first_token_ms"] = spread(await self._first_tokens())._asdict()
        _note("claims of warm slots")
        posture = PostureCosts()
        with posture.watching():
            result["claim_ms"] = spread(await self._claims(warm_agent))._asdict()
        result["posture_claim_ms"] = spread(posture.bindings)._asdict()
        result["posture_prove_ms"] = spread(posture.proofs)._asdict()
        _note("cold starts")
        result["cold_ms"] = spread(await self._colds(cold_agent))._asdict()
        await core.slots.drop(warm_agent.id)
        _note(f"a conversation of {TURNS} turns")
        result["long_talk"] = await self._long_talk()
        _note(f"{sizes.sessions} idle sessions")
        result |= await self._idle(cold_agent)
        _note("throughput")
        result |= await self._throughput()
        if sizes.registered:
            _note(f"{sizes.registered} registered sessions")
            await self._register(cold_agent)
            again = [await self._timed("warm") for _ in range(sizes.warm)]
            result["roundtrip_many_registered_ms"] = spread(again)._asdict()
        handed = self._channel.handed
        result["lost"] = sum(message not in handed for message in self._sent)
        result["doubled"] = sum(len(times) > 1 for times in handed.values())
        result["core_rss_mb"] = round(rss_bytes(os.getpid()) / 1e6, 1)
        return result

    async def _long_talk(self) -> dict[str, float]:
        """Whether anything grows with a conversation."""
        await self._wire(await self._agent("bench-long", pool_size=0, model=MODEL), "long")

        async def session() -> SessionId:
            return (await self._session("long")).id

        found = await talk_long(
            self._core, send=lambda text: self._timed("long", text), session=session
        )
        return found._asdict()

    async def _streamed(self, name: str) -> list[float]:
        """Round trips of answers in pieces, with their chat watched and its history told."""
        chat = await self._core.registry.ensure_chat(channel=CHANNEL, platform_id=name)
        return await watched(
            self._core.hub,
            chat.id,
            ask=lambda: self._timed(name, "measure\n!stream 20"),
            count=self._sizes.warm // 3,
        )

    async def _first_tokens(self) -> list[float]:
        """From a provider's first word to who watches the chat."""
        await self._wire(await self._agent("bench-words", pool_size=0, model=WORDS), "words")
        chat = await self._core.registry.ensure_chat(channel=CHANNEL, platform_id="words")
        for _ in range(5):  # the model host loads its library, and the box warms up
            await self._timed("words")
        return await first_words(
            self._provider,
            self._core.hub,
            chat.id,
            ask=lambda: self._timed("words"),
            count=self._sizes.warm // 6,
        )

    async def _profile(self, name: str) -> dict[str, float]:
        """Where the time of a round trip goes, in medians."""
        stages = Stages()
        with stages.watching():
            for _ in range(_PROFILED):
                began = stages.begin()
                (routed,) = await self._core.house.hear(_event(name, "measure"))
                stages.mark("accepted")
                if routed.message is None:
                    raise RuntimeError(f"not accepted: {routed.reason}")
                self._sent.append(routed.message)
                await self._channel.reply(routed.message)
                stages.mark("handed")
                stages.end(began)
        return stages.medians_ms()

    async def _claims(self, agent: Agent) -> list[float]:
        taken = []
        for number in range(self._sizes.claims):
            while not self._core.slots.blank:  # noqa: ASYNC110 - the pool tells nobody
                await asyncio.sleep(0.02)
            # A slot that has just said hello still warms up; people do not come that fast.
            await asyncio.sleep(0.3)
            name = f"claim-{number}"
            await self._wire(agent, name)
            taken.append(await self._timed(name))
            await self._stop(name)
        return taken

    async def _colds(self, agent: Agent) -> list[float]:
        taken = []
        for _ in range(self._sizes.colds):
            began = time.perf_counter()
            slot = await self._core.slots.take(agent, workspace="")
            taken.append(time.perf_counter() - began)
            await self._core.slots.release(slot)
        return taken

    async def _idle(self, agent: Agent) -> dict[str, object]:
        names = [f"idle-{number}" for number in range(self._sizes.sessions)]
        for name in names:
            await self._wire(agent, name)
        before = mem_available_bytes()
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._timed(name))
        await asyncio.sleep(_SETTLE_S)
        each = (before - mem_available_bytes()) / len(names) / 1e6
        # Asking so many processes is work of this one: it is asked last before, and first after.
        own = [os.getpid()]
        others = [pid for pid in family(os.getppid()) if pid not in own]
        used = -cpu_seconds(others) - cpu_seconds(own)
        await asyncio.sleep(self._sizes.idle_s)
        used += cpu_seconds(own) + cpu_seconds(others)
        return {
            "memory_mb_per_idle_session": round(each, 1),
            "idle_sessions": len(names),
            # For a hundred, however many there are.
            "idle_cpu_percent": round(100 * used / self._sizes.idle_s * 100 / len(names), 2),
        }

    async def _throughput(self) -> dict[str, object]:
        names = [f"idle-{number}" for number in range(50)]
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._stream(name))
        taken = time.perf_counter() - began
        count = len(names) * self._sizes.messages
        return {"messages_per_s": round(count / taken, 1), "messages": count}

    async def _stream(self, name: str) -> None:
        for _ in range(self._sizes.messages):
            await self._timed(name)

    async def _register(self, agent: Agent) -> None:
        for number in range(self._sizes.registered):
            name = f"registered-{number}"
            await self._wire(agent, name)
            # Registered and at rest: a message that does not engage begins the session.
            await self._core.house.hear(_event(name, "(context)", mentioned=False))

    async def _agent(self, name: str, *, pool_size: int, model: str = "scripted") -> Agent:
        agent = await self._core.registry.create_agent(name=name, pool_size=pool_size, model=model)
        self._core.slots.keep(agent)
        return agent

    async def _wire(self, agent: Agent, name: str) -> None:
        chat = await self._core.registry.ensure_chat(channel=CHANNEL, platform_id=name)
        await self._core.registry.create_wiring(
            chat=chat.id, agent=agent.id, engage=Engage.MENTION, ignored=Ignored.ACCUMULATE
        )

    async def _timed(self, name: str, text: str = "measure") -> float:
        """Send one message; seconds from its acceptance to the hand-over of the reply."""
        began = time.perf_counter()
        (routed,) = await self._core.house.hear(_event(name, text))
        if routed.message is None:
            raise RuntimeError(f"not accepted: {routed.reason}")
        self._sent.append(routed.message)
        return await self._channel.reply(routed.message) - began

    async def _stop(self, name: str) -> None:
        await self._core.house.stop_session((await self._session(name)).id)

    async def _session(self, name: str) -> Session:
        for view in await self._core.house.sessions(agent=None):
            chat = view.session.chat
            if chat is not None and (await self._core.registry.chat(chat)).platform_id == name:
                return view.session
        raise RuntimeError(f"nothing was said in {name}")


def _event(name: str, text: str, *, mentioned: bool = True) -> Event:
    return Event(
        channel=CHANNEL,
        platform_id=name,
        handle="owner",
        sender="Owner",
        text=text,
        external_id=secrets.token_hex(8),
        mentioned=mentioned,
    )


def _note(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


async def _main(sizes: Sizes) -> None:
    provider = WordServer()
    async with provider.serving():
        await _measure(sizes, provider, provider.added_to(load_settings()))


async def _measure(sizes: Sizes, provider: WordServer, settings: Settings) -> None:
    target = settings.runtime_dir / "bench.json"
    channel = BenchChannel()
    metrics = Metrics()
    async with open_core(settings, metrics=metrics, channels=[channel]) as core:
        app = create_app(core.house, core.tokens, settings, metrics=metrics)
        core.tasks.start(serve(app, settings, ready=say_ready), name="api")
        work = settings.runtime_dir / "floor"
        result = await Bench(core, channel, sizes, work, provider).run()
        draft = target.with_suffix(".draft")
        draft.write_text(json.dumps(result), encoding="utf-8")
        draft.replace(target)
        # The API stays up for the client's own measurement until the keeper ends us.
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(FULL if "--full" in sys.argv else QUICK))
