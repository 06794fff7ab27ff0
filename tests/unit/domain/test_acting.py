from __future__ import annotations

import asyncio

from ironclaw.domain.acting import act_as, acting
from ironclaw.domain.audit import CORE, By, Via

ANN = By("api:ann", Via.API)
BOB = By("api:bob", Via.CLI)


def test_outside_of_a_request_the_core_acts() -> None:
    assert acting() == CORE


def test_a_request_acts_as_somebody_until_its_end() -> None:
    with act_as(ANN):
        assert acting() == ANN

    assert acting() == CORE


async def test_two_requests_at_once_do_not_act_as_each_other() -> None:
    async def request(who: By) -> By:
        with act_as(who):
            await asyncio.sleep(0)
            return acting()

    async with asyncio.TaskGroup() as group:
        one, two = group.create_task(request(ANN)), group.create_task(request(BOB))

    assert (one.result(), two.result()) == (ANN, BOB)
