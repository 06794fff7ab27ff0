"""What went wrong at a provider: the code for the box, the words for people and operators."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import httpx
import httpx2
from pydantic_ai.exceptions import (
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    UnexpectedModelBehavior,
    UserError,
)

from ironclaw.core.sanitize import sanitize
from ironclaw.models.host.messages import Failure
from ironclaw_contract.codes import WireCode

if TYPE_CHECKING:
    from ironclaw.models.host.redact import Redactor

_DETAIL_CHARS: Final = 1000
_FORBIDDEN: Final = 403
_TIMEOUT: Final = 408
_TOO_EARLY: Final = frozenset({409, 425})
_REFUSED: Final = frozenset({400, 413, 422})
_TOO_LONG: Final = re.compile(
    r"exceed_context_size"
    r"|maximum (?:context|input|prompt|model) length"
    r"|(?:exceeds?|(?:great|long|larg)er than) (?:the )?(?:(?:available|maximum|model'?s) )?"
    r"context (?:size|length|window)",
    re.IGNORECASE,
)
_TRANSPORT: Final = (
    ModelConnectionError,
    httpx.TransportError,
    httpx2.TransportError,
    OSError,
    TimeoutError,
)


def failure(call: int, provider: str, model: str, error: Exception, redactor: Redactor) -> Failure:
    """Judge what a provider's library raised.

    Trust:
        The error's text is the provider's: it goes, cleaned and cut, to the log only.
    """
    code, word, is_sick = _judge(f"The model provider {provider}", model, error)
    after = error.retry_after if isinstance(error, ModelAPIError) else None
    return Failure(
        call=call,
        code=code,
        word=redactor.clean(word)[:500],
        detail=_detail(error, redactor),
        retry_after_s=None if after is None else min(max(0.0, after), 86_400.0),
        is_sick=is_sick,
    )


def _judge(  # noqa: C901, PLR0911 - a table
    who: str, model: str, error: Exception
) -> tuple[WireCode, str, bool]:
    status = error.status_code if isinstance(error, ModelHTTPError) else None
    match error:
        case ModelContextWindowExceededError():
            return WireCode.CONTEXT_TOO_LONG, f"The conversation is too long for {model}.", False
        case ModelHTTPError() if _is_too_long(error):
            return WireCode.CONTEXT_TOO_LONG, f"The conversation is too long for {model}.", False
        case ContentFilterError():
            return WireCode.MODEL_REFUSED, filtered(who), False
        case ModelAuthenticationError():
            what = (
                f"{who} does not let its key use {model} (HTTP 403). Give the key that right there,"
                if status == _FORBIDDEN
                else f"{who} does not accept its key (HTTP {status or 401}). Put a valid one where "
                "the configuration says,"
            )
            return WireCode.MODEL_REFUSED, f"{what} then try again.", False
        case ModelNotFoundError():
            text = (
                f"{who} has no model {model} (HTTP 404). Give the agent another one: "
                "`ironclaw agent model`; or check the provider's base_url."
            )
            return WireCode.MODEL_REFUSED, text, False
        case ModelQuotaExceededError():
            text = f"{who} says that its account is used up. Top it up there, or raise its limit."
            return WireCode.MODEL_REFUSED, text, False
        case ModelRateLimitError():
            text = f"{who} is asked too often at the moment. Please try again later."
            return WireCode.BUSY, text, True
        case ModelRequestRejectedError():
            text = (
                f"{who} refused the request for {model} as wrong (HTTP {status or 400}); trying "
                "again will not help. The log says what it wrote."
            )
            return WireCode.MODEL_REFUSED, text, False
        case UserError():
            return WireCode.MODEL_REFUSED, f"{who} is not set up to be asked for {model}.", False
    if status is not None and 400 <= status < 500 and status not in {_TIMEOUT, *_TOO_EARLY}:  # noqa: PLR2004 - HTTP
        return WireCode.MODEL_REFUSED, f"{who} refused the request (HTTP {status}).", False
    if isinstance(error, _TRANSPORT):
        return WireCode.MODEL_UNAVAILABLE, f"{who} cannot be reached.", True
    if not isinstance(error, ModelAPIError | UnexpectedModelBehavior):
        # A library that finds its settings wrong, or breaks: the next attempt would end like it.
        return WireCode.MODEL_REFUSED, f"{who} cannot be used as it is configured.", False
    said = f" (HTTP {status})" if status is not None else ""
    return WireCode.MODEL_UNAVAILABLE, f"{who} has trouble of its own{said}.", True


def _is_too_long(error: ModelHTTPError) -> bool:
    """Whether a server of one's own refuses a conversation for its length.

    The library knows what the great providers write. These are llama.cpp, vLLM, LM Studio, Ollama.
    """
    if error.status_code not in _REFUSED:
        return False
    return _TOO_LONG.search(str(error.body)[: 4 * _DETAIL_CHARS]) is not None


def filtered(who: str) -> str:
    """What people are told when a provider's filter stopped an answer."""
    return f"{who} stopped the answer with its content filter. Ask in other words."


def _detail(error: Exception, redactor: Redactor) -> str:
    text = f"{type(error).__name__}: {error}"
    return redactor.for_logs(sanitize(redactor.for_logs(text[: 4 * _DETAIL_CHARS])))[:_DETAIL_CHARS]
