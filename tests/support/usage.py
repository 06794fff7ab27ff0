"""How the budgets of a core stand, for services that tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.services.usage import UsageDesk
from ironclaw.store.spent_rows import SpentRows

if TYPE_CHECKING:
    from ironclaw.testing.fakes_store import CoreStore


def usage_desk(core: CoreStore) -> UsageDesk:
    """Over the core's own table."""
    return UsageDesk(
        book=SpentRows(core.store, core.custodian, core.clock),
        agents=core.registry,
        clock=core.clock,
        currency="USD",
    )
