"""The model service: everything that holds for each provider alike.

`ModelService.generate` finds the provider, waits for a place under its cap, then runs attempts:
each with deadlines, each end checked, temporary failures tried again after a back-off with jitter.
What goes on to the box is numbered as the box asked, fits a frame, and says of a failure only what
the table of safe texts says; what really happened is in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger
from ironclaw.models.provider import provider_name
from ironclaw_contract.codes import WireCode
from ironclaw_contract.frames import decode_tell, pack
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import Delta, Failed, Generated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.models.provider import Provider, Registry
    from ironclaw_contract.rpc import Generate, ModelTell

_log = get_logger("models")

_PREFIX: Final = 4
_DELTA_CHARS: Final = 16 * 1024
_TEMPORARY: Final = frozenset({WireCode.MODEL_UNAVAILABLE, WireCode.BUSY})

SAFE_TEXTS: Final = {
    WireCode.TOO_LARGE: "The model's answer is too large.",
    WireCode.NOT_GRANTED: "The agent may not use this model.",
    WireCode.BUSY: "Too many model calls wait already; try again later.",
    WireCode.CANCELLED: "The call was cancelled.",
    WireCode.MODEL_REFUSED: "The model provider refused the request.",
    WireCode.MODEL_UNAVAILABLE: "The model provider could not answer now.",
    WireCode.CONTEXT_TOO_LONG: "The conversation does not fit the model.",
    WireCode.INTERNAL: "The model call failed on the host.",
}


class ModelLimits(NamedTuple):
    """Bounds of every call. Times are seconds."""

    first_event_s: float = 120.0
    """Until the first event of an attempt."""
    next_event_s: float = 60.0
    """Between two events of an attempt."""
    total_s: float = 900.0
    """Of a call with all its attempts, without the wait for a place."""
    attempts: int = 4
    first_delay_s: float = 0.5
    """Before the second attempt; doubles, with jitter of half of it."""
    longest_delay_s: float = 20.0
    concurrent: int = 64
    """Attempts at one provider at a time."""
    waiting: int = 1024
    """Calls that may wait for a place at one provider; more are told to come later."""


class _Queue:
    """The places at one provider."""

    def __init__(self, limits: ModelLimits) -> None:
        self.places = asyncio.Semaphore(limits.concurrent)
        self.waiting = 0


class ModelService:
    """Implements `domain.ports.ModelProvider` in front of all providers.

    Args:
        registry: The providers.
        limits: Bounds of every call.
    """

    def __init__(self, registry: Registry, *, limits: ModelLimits | None = None) -> None:
        self._registry = registry
        self._limits = limits or ModelLimits()
        self._queues: dict[str, _Queue] = {}

    async def generate(
        self, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        """Stream the answer: any number of `Delta`, then exactly one `Generated` or `Failed`.

        Closing the generator cancels the attempt under way. Never raises for what a provider does.
        """
        name = provider_name(agent.model)
        try:
            provider = self._registry.find(agent.model)
        except IronClawError as error:
            _log.error("model_not_configured", agent=agent.id, provider=name, hint=error.hint)
            yield _failed(request, WireCode.MODEL_REFUSED)
            return
        queue = self._queues.setdefault(name, _Queue(self._limits))
        if queue.places.locked() and queue.waiting >= self._limits.waiting:
            _log.warning("model_queue_full", provider=name)
            yield _failed(request, WireCode.BUSY)
            return
        queue.waiting += 1
        try:
            await queue.places.acquire()
        finally:
            queue.waiting -= 1
        try:
            events = self._attempts(provider, agent, session, request)
            async with contextlib.aclosing(events):
                async for event in events:
                    yield event
        finally:
            queue.places.release()

    async def _attempts(
        self, provider: Provider, agent: Agent, session: SessionId, request: Generate
    ) -> AsyncGenerator[ModelTell, None]:
        end_s = asyncio.get_running_loop().time() + self._limits.total_s
        delay_s = self._limits.first_delay_s
        has_shown = False
        for attempt in range(1, self._limits.attempts + 1):
            end: Generated | Failed = _failed(request, WireCode.MODEL_UNAVAILABLE)
            shows = not has_shown
            events = self._attempt(provider, agent, session, request, end_s)
            async with contextlib.aclosing(events):
                async for event in events:
                    if not isinstance(event, Delta):
                        end = event
                    # Words of a second attempt would stand behind those of the first: the chat
                    # gets them with the whole answer.
                    elif shows:
                        has_shown = True
                        yield event
            is_over = asyncio.get_running_loop().time() + delay_s >= end_s
            if (
                isinstance(end, Generated)
                or end.code not in _TEMPORARY
                or attempt == self._limits.attempts
                or is_over
            ):
                yield end
                return
            _log.info("model_retry", agent=agent.id, code=end.code, attempt=attempt)
            await asyncio.sleep(_jitter(delay_s))
            delay_s = min(delay_s * 2, self._limits.longest_delay_s)

    async def _attempt(
        self,
        provider: Provider,
        agent: Agent,
        session: SessionId,
        request: Generate,
        end_s: float,
    ) -> AsyncGenerator[ModelTell, None]:
        """One attempt, with whatever goes wrong turned into a `Failed`."""
        events = provider.generate(agent, session, request)
        wait_s = self._limits.first_event_s
        loop = asyncio.get_running_loop()
        try:
            async with contextlib.aclosing(events):
                while True:
                    async with asyncio.timeout_at(min(loop.time() + wait_s, end_s)):
                        event = await anext(events, None)
                    if event is None:
                        _log.warning("model_ended_early", agent=agent.id)
                        yield _failed(request, WireCode.MODEL_UNAVAILABLE)
                        return
                    if isinstance(event, Delta):
                        for part in _cut(request, event.text):
                            yield part
                    else:
                        yield _checked(request, event)
                        return
                    wait_s = self._limits.next_event_s
        except TimeoutError:
            _log.warning("model_timeout", agent=agent.id, provider=provider_name(agent.model))
            yield _failed(request, WireCode.MODEL_UNAVAILABLE)
        except IronClawError as error:
            _log.warning("model_failed", agent=agent.id, code=error.code, detail=error.detail)
            yield _failed(request, WireCode.MODEL_UNAVAILABLE)
        except Exception:  # noqa: BLE001 - the edge to a provider: its fault is not the session's
            _log.exception("model_provider_bug", agent=agent.id)
            yield _failed(request, WireCode.INTERNAL)


def _failed(request: Generate, code: WireCode) -> Failed:
    text = SAFE_TEXTS.get(code, SAFE_TEXTS[WireCode.INTERNAL])
    return Failed(call=request.call, code=code, text=text)


def _cut(request: Generate, text: str) -> list[Delta]:
    starts = range(0, len(text), _DELTA_CHARS)
    parts = [text[start : start + _DELTA_CHARS] for start in starts]
    return [Delta(call=request.call, text=_clean(part)) for part in parts]


def _clean(text: str) -> str:
    """Half of a surrogate pair cannot be written to the wire."""
    return text.encode("utf-8", "replace").decode()


def _checked(request: Generate, end: Generated | Failed) -> Generated | Failed:
    """The end of an attempt as it may go to the box.

    Trust:
        `end` holds what a provider's service made up: it is encoded and read back, so a name or an
        argument that the contract does not know ends here and not in the box.
    """
    if isinstance(end, Failed):
        _log.info("model_said_no", code=end.code)
        return _failed(request, end.code)
    numbered = Generated(
        call=request.call,
        entries=end.entries,
        stop=end.stop,
        input_tokens=end.input_tokens,
        output_tokens=end.output_tokens,
    )
    try:
        decode_tell(pack(numbered)[_PREFIX:])
    except ContractError as error:
        _log.warning("model_answer_refused", code=error.code)
        known = WireCode.TOO_LARGE if error.code is WireCode.TOO_LARGE else WireCode.MODEL_REFUSED
        return _failed(request, known)
    except UnicodeEncodeError:
        _log.warning("model_answer_refused", code=WireCode.MALFORMED)
        return _failed(request, WireCode.MODEL_REFUSED)
    return numbered


def _jitter(delay_s: float) -> float:
    """Between half of `delay_s` and all of it, in seconds."""
    return delay_s * (0.5 + secrets.randbelow(1000) / 2000)
