"""What a model costs: what the operator says of it, else what the library knows.

The host of the libraries is asked once an hour for each model; what it knows is in USD, so a house
with another currency goes by its own settings alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.config.providers import ANY_MODEL
from ironclaw.domain.spending import FREE, Rates, Tier
from ironclaw.models.provider import SEPARATOR
from ironclaw.models.scripted import NAME as SCRIPTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ironclaw.config.providers import PriceSettings, ProviderSettings
    from ironclaw.core.clock import Clock

LIBRARY_CURRENCY: Final = "USD"
KEPT_S: Final = 3600.0
FAILED_S: Final = 60.0
"""For so long it is not asked again when it could not be asked."""
_MOST: Final = 1024
_NANOS: Final = 1000


class Library(Protocol):
    """Who can ask the library: `ironclaw.models.host.starter.ModelHost`."""

    async def quote(self, provider: str, model: str) -> Rates | None:
        """The prices of a model in USD; empty when it knows none, None when it cannot be asked."""
        ...


class Pricing:
    """Implements `services.budgets.Prices`.

    Args:
        providers: Settings by name.
        host: Asks the library.
        currency: The house's.
        clock: How old an answer is.
    """

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        host: Library,
        *,
        currency: str,
        clock: Clock,
    ) -> None:
        self._providers = dict(providers)
        self._host = host
        self._clock = clock
        self._asks_library = currency == LIBRARY_CURRENCY
        self._known: dict[str, tuple[float, Rates]] = {}

    async def rates(self, model: str) -> Rates | None:
        """The prices of `provider/model`; None when nobody knows them. Never raises."""
        name, _, rest = model.partition(SEPARATOR)
        if (told := self._told(name, rest)) is not None or name not in self._providers:
            return told
        return await self._from_library(model, name, rest) if self._asks_library else None

    def remembered(self, model: str) -> Rates | None:
        """The same without asking anybody: None also when nobody was asked yet."""
        name, _, rest = model.partition(SEPARATOR)
        if (told := self._told(name, rest)) is not None:
            return told
        known = self._known.get(model)
        return None if known is None else known[1] or None

    def _told(self, name: str, model: str) -> Rates | None:
        """What the operator says, and what costs nothing whoever says what."""
        if name == SCRIPTED:
            return FREE
        provider = self._providers.get(name)
        if provider is None:
            return None
        own = provider.prices.get(model) or provider.prices.get(ANY_MODEL)
        return None if own is None else as_rates(own)

    async def _from_library(self, model: str, provider: str, name: str) -> Rates | None:
        now_s = self._clock.monotonic_s()
        known = self._known.get(model)
        if known is not None and now_s - known[0] < KEPT_S:
            return known[1] or None
        found = await self._host.quote(provider, name)
        if found is None:
            now_s -= KEPT_S - FAILED_S
            found = () if known is None else known[1]
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[model] = (now_s, found)
        return found or None


def as_rates(price: PriceSettings) -> Rates:
    """An operator's prices."""
    if price.free or price.input is None or price.output is None:
        return FREE
    cached = price.input if price.cached_input is None else price.cached_input
    written = price.input if price.cache_write is None else price.cache_write
    return (
        Tier(
            input=_nanos(price.input),
            output=_nanos(price.output),
            cached=_nanos(cached),
            written=_nanos(written),
        ),
    )


def _nanos(per_million: float) -> int:
    """Thousandths of micros for one token, rounded up; 0.1 is 100, not the float above it."""
    return -int(-round(per_million * _NANOS, 6) // 1)
