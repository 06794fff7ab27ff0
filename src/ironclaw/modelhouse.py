"""Puts together what answers boxes: providers, prices, budgets. Part of the composition root.

boxes -> budgets -> model service -> providers -> the model host, which is another process
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ironclaw.models.catalog import Catalog
from ironclaw.models.host.provider import HostedProvider
from ironclaw.models.host.starter import ModelHost
from ironclaw.models.pricing import Pricing
from ironclaw.models.provider import Registry
from ironclaw.models.scripted import Scripted
from ironclaw.models.service import ModelService
from ironclaw.services.budgets import Budgets, Desk
from ironclaw.services.parts import SessionLimits
from ironclaw.services.raising import Raising
from ironclaw.services.rooms import Rooms
from ironclaw.services.usage import UsageDesk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ironclaw.config.settings import Settings
    from ironclaw.core.clock import Clock
    from ironclaw.core.tasks import Tasks
    from ironclaw.models.words import FailureWords
    from ironclaw.services.budgets import Announce, Counters
    from ironclaw.services.files import Files
    from ironclaw.services.house import ProviderView
    from ironclaw.store.registry import Registry as Rows
    from ironclaw.store.spent_rows import SpentRows


class ModelHouse(NamedTuple):
    """The providers, what is known of their models, and what agents may use of them."""

    host: ModelHost
    rooms: Rooms
    book: SpentRows
    usage: UsageDesk
    raising: Raising
    budgets: Budgets
    names: tuple[str, ...]
    """Of the providers."""
    views: Callable[[], tuple[ProviderView, ...]]


def open_models(
    settings: Settings,
    tasks: Tasks,
    *,
    book: SpentRows,
    agents: Rows,
    files: Files,
    words: FailureWords,
    announce: Announce,
    counters: Counters,
    clock: Clock,
    hidden: tuple[Path, ...],
) -> ModelHouse:
    """Put the providers together. No model host runs before it is asked; its end is the caller's.

    Args:
        settings: Which providers there are.
        tasks: Own what a host says.
        book: Where usage is counted; to be kept, and written at the end, by the caller.
        agents: As they are now.
        files: Whose pictures models are shown.
        words: Where people are told why a model failed.
        announce: Who hands over what people are told of budgets.
        counters: Where usage is counted for Prometheus.
        clock: What time it is.
        hidden: Directories that the host shall not be able to reach.
    """
    configured = settings.models.providers
    currency = settings.models.currency
    rooms = Rooms(
        most_bytes=SessionLimits().context_bytes,
        told={name: one.context_tokens for name, one in configured.items()},
    )
    host = ModelHost(configured, os.environ, tasks, hidden=hidden, on_window=rooms.saw)
    hosted = {name: HostedProvider(name, host, files) for name in configured}
    providers = Registry({"scripted": Scripted(files), **hosted})
    raising = Raising(clock)
    desk = Desk(
        models=ModelService(providers, words=words, rooms=rooms),
        agents=agents,
        book=book,
        prices=Pricing(configured, host, currency=currency, clock=clock),
        raises=raising,
        announce=announce,
        counters=counters,
        clock=clock,
        currency=currency,
    )
    return ModelHouse(
        host=host,
        rooms=rooms,
        book=book,
        usage=UsageDesk(book=book, agents=agents, clock=clock, currency=currency),
        raising=raising,
        budgets=Budgets(desk),
        names=providers.names,
        views=Catalog(configured, os.environ, host).views,
    )
