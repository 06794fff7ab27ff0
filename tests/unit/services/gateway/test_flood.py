"""How much one person may ask for: far more than anybody reads, and not without end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.services.gateway.flood import MOST, ONE_BYTES, WINDOW_S, Flood
from ironclaw.testing.desk import AGENT, person

if TYPE_CHECKING:
    from ironclaw.testing.desk import Desk

ANN, BOB = PrincipalId("api:ann"), PrincipalId("api:bob")


async def test_requests_that_are_taken_back_at_once_come_to_an_end(desk: Desk) -> None:
    long = "x" * 60_000
    for number in range(MOST // 15):
        view = await desk.ask(SetPersona(agent=AGENT, persona=f"{number} {long}"))
        await desk.gateway.withdraw(view.row.change.id, actor=person("oli"))
    with pytest.raises(PolicyError) as caught:
        await desk.ask(SetPersona(agent=AGENT, persona=f"once more {long}"))

    assert caught.value.code is Code.RATE_LIMITED
    await desk.ask(SetPersona(agent=AGENT, persona="You sing."), who="ann")
    desk.clock.advance(WINDOW_S)
    await desk.ask(SetPersona(agent=AGENT, persona="You dance."))


def test_each_principal_has_as_many_and_the_hour_slides() -> None:
    clock = ManualClock()
    flood = Flood(clock)
    flood.take(ANN, (MOST - 2) * ONE_BYTES)
    clock.advance(WINDOW_S / 2)
    flood.take(ANN, 1)
    with pytest.raises(PolicyError):
        flood.take(ANN, 1)
    flood.take(BOB, 1)
    clock.advance(WINDOW_S / 2)
    flood.take(ANN, (MOST - 2) * ONE_BYTES)
    with pytest.raises(PolicyError):
        flood.take(ANN, 1)
