"""What a model costs: the operator's word first, then the library's, else nobody knows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from genai_prices.data_snapshot import get_snapshot

from ironclaw.config.providers import ProviderSettings, mistakes
from ironclaw.core.clock import ManualClock
from ironclaw.domain.spending import FREE, Rates, Tier
from ironclaw.models.host.prices import look_up
from ironclaw.models.pricing import FAILED_S, KEPT_S, Pricing

NOW_MS = 1_790_000_000_000
KNOWN: Rates = (Tier(input=1, output=2, cached=3, written=4),)


def provider(kind: str = "openai", **more: Any) -> ProviderSettings:
    return msgspec.convert({"kind": kind, "key": "env:K", **more}, ProviderSettings)


class Host:
    """The library, told what it knows."""

    def __init__(self) -> None:
        self.known: Rates | None = KNOWN
        self.asked: list[tuple[str, str]] = []

    async def quote(self, provider: str, model: str) -> Rates | None:
        self.asked.append((provider, model))
        return self.known


def pricing(
    host: Host, clock: ManualClock, currency: str = "USD", **providers: ProviderSettings
) -> Pricing:
    return Pricing(providers, host, currency=currency, clock=clock)


async def test_the_operators_word_counts_before_the_librarys():
    price = {"input": 3.0, "output": 15, "cached_input": 0.3}
    host = Host()
    prices = pricing(host, ManualClock(), own=provider(prices={"a/b": price, "*": {"free": True}}))
    assert await prices.rates("own/a/b") == (
        Tier(input=3000, output=15_000, cached=300, written=3000),
    )
    assert await prices.rates("own/else") == FREE
    assert await prices.rates("scripted") == await prices.rates("scripted/x") == FREE
    assert await prices.rates("gone/x") is None
    assert host.asked == []


async def test_the_library_is_asked_once_an_hour_and_its_last_word_stays():
    host, clock = Host(), ManualClock()
    prices = pricing(host, clock, some=provider())
    for _ in range(2):
        assert await prices.rates("some/x") == KNOWN
    assert host.asked == [("some", "x")]
    clock.advance(KEPT_S + 1)
    host.known = None
    assert await prices.rates("some/x") == KNOWN
    assert len(host.asked) == 2
    # One that cannot be asked is not waited for with each call.
    assert await prices.rates("some/x") == KNOWN
    assert len(host.asked) == 2
    clock.advance(FAILED_S + 1)
    host.known = ()
    assert await prices.rates("some/x") is None


async def test_in_another_currency_the_library_knows_nothing():
    host = Host()
    assert await pricing(host, ManualClock(), "EUR", some=provider()).rates("some/x") is None
    assert host.asked == []


@pytest.mark.parametrize(
    ("price", "is_right"),
    [
        ({"input": 1, "output": 0}, True),
        ({"free": True}, True),
        ({}, False),
        ({"input": 1}, False),
        ({"free": True, "input": 1, "output": 2}, False),
        ({"free": True, "cached_input": 1}, False),
    ],
)
def test_a_price_is_whole_or_none(price: dict[str, Any], is_right: bool):
    found = list(mistakes("p", provider(prices={"m": price})))
    assert (found == []) is is_right


def test_the_library_knows_prices_and_dearer_long_inputs():
    first, *more = look_up(provider("anthropic"), "claude-sonnet-4-5", NOW_MS)
    assert (first.over, first.input, first.output) == (0, 3000, 15_000)
    assert (first.cached, first.written) == (300, 3750)
    assert [one.over for one in more] == [200_000]
    assert more[0].input > first.input
    assert look_up(
        provider("bedrock", region="x"), "us.anthropic.claude-sonnet-4-5-20250929-v1:0", NOW_MS
    )
    assert look_up(provider("openai"), "no-such-model", NOW_MS) == ()


def test_a_server_of_ones_own_has_no_price_of_anybody_else():
    own = provider("openai-compatible", base_url="http://127.0.0.1:11434/v1")
    assert look_up(own, "gpt-4o", NOW_MS) == ()
    (place,) = [one.api_pattern for one in get_snapshot().providers if one.id == "deepseek"]
    known = provider("openai-compatible", base_url=place.replace("\\", "") + "/v1")
    assert look_up(known, "deepseek-chat", NOW_MS) != ()


async def test_what_is_known_is_remembered_without_asking():
    host, clock = Host(), ManualClock()
    prices = pricing(host, clock, some=provider(), own=provider(prices={"*": {"free": True}}))
    assert prices.remembered("own/x") == prices.remembered("scripted") == FREE
    assert prices.remembered("some/x") is prices.remembered("gone/x") is None
    assert host.asked == []
    await prices.rates("some/x")
    clock.advance(2 * KEPT_S)
    assert prices.remembered("some/x") == KNOWN
    assert host.asked == [("some", "x")]
