"""What the library knows of prices: its own table, in this process, without asking anybody."""

# Loaded with the first call, as everything of the library.
# ruff: noqa: PLC0415
from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from ironclaw.domain.spending import Rates, Tier

if TYPE_CHECKING:
    from decimal import Decimal

    from ironclaw.config.providers import ProviderSettings

_OWNERS: Final = {
    "anthropic": "anthropic",
    "openai": "openai",
    "google": "google",
    "vertex": "google",
    "bedrock": "aws",
    "azure": "azure",
    "groq": "groq",
    "mistral": "mistral",
    "openrouter": "openrouter",
}
"""The library's names of providers. One of another kind is known by its address alone."""
_NANOS: Final = 1000
MOST_TIERS: Final = 8


def look_up(settings: ProviderSettings, model: str, now_ms: int) -> Rates:
    """The prices of a model in USD; empty when nobody knows them."""
    from genai_prices.data_snapshot import get_snapshot

    owner = _OWNERS.get(settings.kind)
    try:
        _, found = get_snapshot().find_provider_model(
            model, None, owner, None if owner else settings.base_url
        )
        price = found.get_prices(dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC))
    except LookupError:
        return ()
    return _tiers(price)


def _tiers(price: Any) -> Rates:
    fields = {
        name: getattr(price, f"{name}_mtok", None)
        for name in ("input", "output", "cache_read", "cache_write")
    }
    if fields["input"] is None or fields["output"] is None:
        return ()
    for name in ("cache_read", "cache_write"):
        fields[name] = fields["input"] if fields[name] is None else fields[name]
    call = getattr(price, "requests_kcount", None)
    starts = sorted({0, *(tier.start for one in fields.values() for tier in _steps(one))})
    return tuple(
        Tier(
            over=start,
            input=_nanos(_at(fields["input"], start)),
            output=_nanos(_at(fields["output"], start)),
            cached=_nanos(_at(fields["cache_read"], start)),
            written=_nanos(_at(fields["cache_write"], start)),
            # For a thousand calls: in nanos of one that is a thousand times its thousands.
            call=0 if call is None else _nanos(_at(call, start)) * _NANOS,
        )
        for start in starts[:MOST_TIERS]
    )


def _steps(price: Any) -> list[Any]:
    return list(getattr(price, "tiers", ()))


def _at(price: Any, start: int) -> Decimal:
    """The price of an input that is longer than `start` tokens."""
    tiers = [tier for tier in _steps(price) if tier.start <= start]
    found: Decimal = tiers[-1].price if tiers else getattr(price, "base", price)
    return found


def _nanos(price: Decimal) -> int:
    """Thousandths of micros for one token, rounded up."""
    return -int(-(price * _NANOS) // 1)
