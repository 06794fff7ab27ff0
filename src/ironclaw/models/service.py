"""The model service: everything that holds for each provider alike.

generate: the agent's model, then its fallbacks
  each:   breaker -> a place under the provider's cap -> attempts, with back-off and jitter

What goes on to the box is numbered as the box asked, fits a frame, and says of a failure only what
the table of safe texts says. What people are told is kept for them (`FailureWords`); what really
happened is in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import secrets
from typing import TYPE_CHECKING, Final

from msgspec import structs

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.spending import NoMeter, Refusal
from ironclaw.domain.thinking import thinking_room, within
from ironclaw.models.attempt import SAFE_TEXTS, Attempt, ModelLimits, failed
from ironclaw.models.breaker import Breaker
from ironclaw.models.provider import provider_name
from ironclaw.models.trouble import TEMPORARY
from ironclaw.models.words import FailureWords
from ironclaw_contract.codes import WireCode
from ironclaw_contract.rpc import Delta, Failed, Generated, Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.domain.spending import Meter
    from ironclaw.models.provider import Asks, Provider, Registry
    from ironclaw.models.trouble import ModelTrouble
    from ironclaw.services.rooms import Rooms
    from ironclaw_contract.rpc import Generate, ModelTell

__all__ = ["SAFE_TEXTS", "ModelLimits", "ModelService"]

_log = get_logger("models")
_OTHERS_MAY: Final = TEMPORARY | {WireCode.MODEL_REFUSED, WireCode.CONTEXT_TOO_LONG}
"""Failures of one model that say nothing about the next one."""
_UNCOUNTED: Final = NoMeter()
OUTPUT_TOKENS: Final = 4096
"""Of an answer, of an agent for which nobody set anything else; its boxes are told the same."""


class _Gate:
    """What stands before one provider."""

    def __init__(self, limits: ModelLimits) -> None:
        self.places = asyncio.Semaphore(limits.concurrent)
        self.waiting = 0
        self.breaker = Breaker()


class _Call:
    """One call of a box, over all its attempts."""

    def __init__(self, session: SessionId, request: Generate, end_s: float, meter: Meter) -> None:
        self.session = session
        self.request = request
        self.meter = meter
        self.end_s = end_s
        self.has_shown = False
        """Some words went on to people: those of a later attempt come with the whole answer."""
        self.word = ""
        """What people are told of the first model that failed for a reason it gave."""

    def failed(self, code: WireCode) -> Failed:
        """A failure as the box may know it."""
        return failed(self.request, code)

    def told(self, word: str) -> None:
        """A reason for people; the first one stays."""
        self.word = self.word or word


class ModelService:
    """Implements `domain.providers.ModelProvider` in front of all providers.

    Args:
        registry: The providers.
        limits: Bounds of every call.
        words: Where what people are to be told of a failure is kept.
        rooms: Learns from each call how much of a conversation models read.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        limits: ModelLimits | None = None,
        words: FailureWords | None = None,
        rooms: Rooms | None = None,
    ) -> None:
        self._registry = registry
        self._limits = limits or ModelLimits()
        self._gates: dict[str, _Gate] = {}
        self._words = words or FailureWords()
        self._rooms = rooms

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate, meter: Meter = _UNCOUNTED
    ) -> AsyncGenerator[ModelTell, None]:
        """Stream the answer: any number of `Delta`, then exactly one `Generated` or `Failed`.

        Closing the generator cancels the attempt under way. Never raises for what a provider does.
        `meter` is asked before each attempt is sent, and told what it used.
        """
        end_s = asyncio.get_running_loop().time() + self._limits.total_s
        agent = _brief(agent, request)
        if agent.max_output_tokens is None and request.max_output_tokens > OUTPUT_TOKENS:
            # A box was told how long an answer may be; it can ask for more.
            request = structs.replace(request, max_output_tokens=OUTPUT_TOKENS)
        call = _Call(session, request, end_s, meter)
        models = (agent.model, *agent.fallbacks)
        for place, model in enumerate(models):
            end: Generated | Failed = call.failed(WireCode.MODEL_UNAVAILABLE)
            events = self._ask(structs.replace(agent, model=model), call)
            async with contextlib.aclosing(events):
                async for event in events:
                    if isinstance(event, Delta):
                        call.has_shown = call.has_shown or not event.is_thought
                        yield event
                    else:
                        end = event
            is_last = place == len(models) - 1
            if isinstance(end, Generated) or is_last or end.code not in _OTHERS_MAY:
                more = " Nor could a model that stands in for it." if place > 0 else ""
                word = call.word if isinstance(end, Failed) else ""
                self._words.keep(session, request.turn, word and word + more)
                yield end
                return
            _log.warning("model_fallback", agent=agent.id, code=end.code, to=models[place + 1])

    async def _ask(self, agent: Agent, call: _Call) -> AsyncGenerator[ModelTell, None]:
        """Ask one model, when there is a place at its provider."""
        name = provider_name(agent.model)
        try:
            provider = self._registry.find(agent.model)
        except IronClawError as error:
            _log.error("model_not_configured", agent=agent.id, provider=name, hint=error.hint)
            call.told(f"The model provider {name} is not configured any more.")
            yield call.failed(WireCode.MODEL_REFUSED)
            return
        gate = self._gates.setdefault(name, _Gate(self._limits))
        if gate.places.locked() and gate.waiting >= self._limits.waiting:
            _log.warning("model_queue_full", provider=name)
            yield call.failed(WireCode.BUSY)
            return
        gate.waiting += 1
        began_s = asyncio.get_running_loop().time()
        try:
            await gate.places.acquire()
        finally:
            gate.waiting -= 1
        call.end_s += asyncio.get_running_loop().time() - began_s
        try:
            events = self._attempts(provider, gate.breaker, agent, call)
            async with contextlib.aclosing(events):
                async for event in events:
                    yield event
        finally:
            gate.places.release()

    async def _attempts(
        self, provider: Provider, breaker: Breaker, agent: Agent, call: _Call
    ) -> AsyncGenerator[ModelTell, None]:
        now_s = asyncio.get_running_loop().time
        delay_s = self._limits.first_delay_s
        asks: Asks = provider.generate
        most_attempts = self._limits.attempts
        for number in itertools.count(1):
            if rest_s := breaker.rest_s(now_s()):
                call.told(_left_alone(provider_name(agent.model), rest_s))
                yield call.failed(WireCode.MODEL_UNAVAILABLE)
                return
            most = agent.max_output_tokens or call.request.max_output_tokens
            with _unless_sent(breaker) as sent:
                granted = await call.meter.begin(agent.model, most + thinking_room(agent))
                sent.is_sent = not isinstance(granted, Refusal)
            if isinstance(granted, Refusal):
                call.told(granted.word)
                yield Failed(call.request.call, granted.code, granted.text)
                return
            bounded = within(agent, most, granted)
            attempt = Attempt(asks, bounded, self._limits)
            end: Generated | Failed = call.failed(WireCode.MODEL_UNAVAILABLE)
            shows = not call.has_shown
            with _watched(breaker, attempt, call.meter):
                events = attempt.events(call.session, call.request, call.end_s)
                async with contextlib.aclosing(events):
                    async for event in events:
                        if not isinstance(event, Delta):
                            end = event
                        # Words of a second attempt would stand behind those of the first: the chat
                        # gets them with the whole answer.
                        elif shows or event.is_thought:
                            yield event
            await call.meter.end(attempt.counted, attempt.said_bytes)
            if (instead := self._learn(agent, call, attempt)) is not None:
                # Another call, at once.
                asks, most_attempts = instead, most_attempts + 1
                call.meter.another()
                continue
            wait_s = self._wait_s(delay_s, attempt.trouble)
            is_late = wait_s is None or now_s() + wait_s >= call.end_s
            is_final = isinstance(end, Generated) or end.code not in TEMPORARY
            if wait_s is None or is_final or is_late or number >= most_attempts:
                yield end
                return
            _log.info("model_retry", agent=agent.id, attempt=number)
            await asyncio.sleep(wait_s)
            delay_s = min(delay_s * 2, self._limits.longest_delay_s)

    def _learn(self, agent: Agent, call: _Call, attempt: Attempt) -> Asks | None:
        """Keep what an attempt has shown; how else the model may be asked, if it may."""
        if self._rooms is not None and attempt.counted is not None:
            self._rooms.read(agent.id, agent.model, call.request, attempt.counted.input)
        if attempt.trouble is None:
            return None
        if attempt.trouble.instead is None:
            call.told(attempt.trouble.word)
        return attempt.trouble.instead

    def _wait_s(self, delay_s: float, trouble: ModelTrouble | None) -> float | None:
        """Seconds until the next attempt; None when the provider wants too long a rest."""
        asked_s = 0.0 if trouble is None else trouble.retry_after_s or 0.0
        if asked_s > self._limits.longest_rest_s:
            return None
        # Jitter on top of what the provider wants: everybody else was told the same.
        return max(_jitter(delay_s), asked_s + (_jitter(delay_s) if asked_s else 0.0))


class _Sent:
    is_sent = False


@contextlib.contextmanager
def _unless_sent(breaker: Breaker) -> Iterator[_Sent]:
    """Tell the breaker of an attempt that it let through and that is not made after all."""
    sent = _Sent()
    try:
        yield sent
    finally:
        if not sent.is_sent:
            breaker.gave_up()


@contextlib.contextmanager
def _watched(breaker: Breaker, attempt: Attempt, meter: Meter) -> Iterator[None]:
    """Tell breaker and meter what became of an attempt, also when it was cancelled."""
    try:
        yield
    except BaseException:
        meter.cut(attempt.said_bytes)
        raise
    finally:
        if attempt.has_answered:
            breaker.succeeded()
        elif attempt.trouble is not None and attempt.trouble.is_sick:
            breaker.failed(asyncio.get_running_loop().time())
        else:
            breaker.gave_up()


def _brief(agent: Agent, request: Generate) -> Agent:
    """The agent, whose setting is for answers to people: anything else is as short as asked."""
    asked = request.max_output_tokens
    if request.purpose is Purpose.TURN or (agent.max_output_tokens or 0) <= asked:
        return agent
    return structs.replace(agent, max_output_tokens=asked)


def _left_alone(name: str, rest_s: float) -> str:
    seconds = math.ceil(rest_s)
    _log.warning("model_left_alone", provider=name, rest_s=seconds)
    return (
        f"The model provider {name} has failed again and again; it is asked again in {seconds} "
        "seconds."
    )


def _jitter(delay_s: float) -> float:
    """Between half of `delay_s` and all of it, in seconds."""
    return delay_s * (0.5 + secrets.randbelow(1000) / 2000)
