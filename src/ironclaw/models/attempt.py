"""One attempt at a provider: deadlines, each fault as a `Failed`, an end that is checked."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.spending import Counted
from ironclaw.models.provider import provider_name
from ironclaw.models.trouble import TEMPORARY, ModelTrouble
from ironclaw_contract.codes import WireCode
from ironclaw_contract.frames import decode_tell, pack
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import Delta, Failed, Generated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.models.provider import Asks
    from ironclaw_contract.rpc import Generate, ModelTell

_log = get_logger("models")

_PREFIX: Final = 4
_DELTA_CHARS: Final = 16 * 1024

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
    """At one model; its fallbacks have as many each."""
    first_delay_s: float = 0.5
    """Before the second attempt; doubles, with jitter of half of it."""
    longest_delay_s: float = 20.0
    longest_rest_s: float = 60.0
    """A provider that wants to be left alone for longer is not waited for."""
    concurrent: int = 64
    """Attempts at one provider at a time."""
    waiting: int = 1024
    """Calls that may wait for a place at one provider; more are told to come later."""


class Attempt:
    """One attempt. Read `events` to their end or close them; then `trouble` says what there was."""

    def __init__(self, asks: Asks, agent: Agent, limits: ModelLimits) -> None:
        self._asks = asks
        self._agent = agent
        self._limits = limits
        self.trouble: ModelTrouble | None = None
        """What the provider said of its failure, where it said more than a code."""
        self.has_answered = False
        """The provider did its work, if only to say no to this one request."""
        self.counted: Counted | None = None
        """What the provider says that it used."""
        self.said_bytes = 0
        """What has come of it."""

    async def events(
        self, session: SessionId, request: Generate, end_s: float
    ) -> AsyncGenerator[ModelTell, None]:
        """Any number of `Delta`, then one end; never raises for what a provider does."""
        agent = self._agent
        wait_s = self._limits.first_event_s
        loop = asyncio.get_running_loop()
        try:
            events = self._asks(agent, session, request)
            async with contextlib.aclosing(events):
                while True:
                    async with asyncio.timeout_at(min(loop.time() + wait_s, end_s)):
                        event = await anext(events, None)
                    if event is None:
                        _log.warning("model_ended_early", agent=agent.id)
                        yield failed(request, WireCode.MODEL_UNAVAILABLE)
                        return
                    if isinstance(event, Counted):
                        self.counted = event
                    elif isinstance(event, Delta):
                        self.said_bytes += len(event.text.encode(errors="replace"))
                        for part in _cut(request, event):
                            yield part
                    else:
                        self._count(event)
                        end = _checked(request, event)
                        self.has_answered = isinstance(end, Generated) or end.code not in TEMPORARY
                        yield end
                        return
                    wait_s = self._limits.next_event_s
        except ModelTrouble as trouble:
            self.trouble = trouble
            self.has_answered = not trouble.is_sick and trouble.code not in TEMPORARY
            _log.warning(
                "model_trouble",
                agent=agent.id,
                provider=provider_name(agent.model),
                code=trouble.code,
                detail=trouble.detail,
            )
            yield failed(request, trouble.code)
        except TimeoutError:
            _log.warning("model_timeout", agent=agent.id, provider=provider_name(agent.model))
            yield failed(request, WireCode.MODEL_UNAVAILABLE)
        except IronClawError as error:
            _log.warning("model_failed", agent=agent.id, code=error.code, detail=error.detail)
            yield failed(request, WireCode.MODEL_UNAVAILABLE)
        except Exception:  # noqa: BLE001 - the edge to a provider: its fault is not the session's
            _log.exception("model_provider_bug", agent=agent.id)
            yield failed(request, WireCode.INTERNAL)

    def _count(self, end: Generated | Failed) -> None:
        if isinstance(end, Failed):
            return
        if self.counted is None and end.input_tokens + end.output_tokens > 0:
            self.counted = Counted(max(0, end.input_tokens), max(0, end.output_tokens))
        with contextlib.suppress(UnicodeEncodeError):  # what no frame can hold ends as a failure
            self.said_bytes = max(self.said_bytes, len(msgspec.msgpack.encode(end.entries)))


def failed(request: Generate, code: WireCode) -> Failed:
    """A failure as the box may know it."""
    text = SAFE_TEXTS.get(code, SAFE_TEXTS[WireCode.INTERNAL])
    return Failed(call=request.call, code=code, text=text)


def _cut(request: Generate, delta: Delta) -> list[Delta]:
    text = delta.text
    starts = range(0, len(text), _DELTA_CHARS)
    parts = [_clean(text[start : start + _DELTA_CHARS]) for start in starts]
    return [Delta(call=request.call, text=one, is_thought=delta.is_thought) for one in parts]


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
        return failed(request, end.code)
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
        return failed(request, known)
    except UnicodeEncodeError:
        _log.warning("model_answer_refused", code=WireCode.MALFORMED)
        return failed(request, WireCode.MODEL_REFUSED)
    return numbered
