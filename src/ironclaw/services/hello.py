"""The hello of a blank box: what it sees of its own walls, waited for while it lives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PeerError
from ironclaw.domain.wall import BoxArrived, BoxGone

if TYPE_CHECKING:
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.wall import AirlockLink, Box, Isolator
    from ironclaw_contract.rpc import Facts

HELLO_TIMEOUT_S: Final = 20.0
"""From the start of a box to its hello; a cold start takes 0.3 s on an idle machine."""


async def first_facts(isolator: Isolator, box: Box, link: AirlockLink, tasks: Tasks) -> Facts:
    """Wait for the hello, but no longer than the box lives.

    Raises:
        HostError: No hello in time, or the airlock ended.
        PeerError: The box ended, or did something else first.
    """
    hello = tasks.start(_hello(link), name=f"hello {box.slot}")
    ended = tasks.start(isolator.ended(box), name=f"starting {box.slot}")
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            await asyncio.wait({hello, ended}, return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        raise HostError(
            Code.LAUNCH_TIMEOUT,
            f"the box did not say hello within {HELLO_TIMEOUT_S:.0f} s",
            hint="run `ironclaw doctor`; the machine may be overloaded",
        ) from None
    finally:
        hello.cancel()
        ended.cancel()
    if not hello.done():
        raise PeerError(
            Code.BOX_BROKEN,
            f"the box ended before it said hello ({ended.result()})",
            hint="run `ironclaw doctor`; rebuild the image with `ironclaw image build`",
        )
    if (facts := hello.result()) is None:
        raise HostError(Code.AIRLOCK_FAILED, "the airlock ended while the box was starting")
    return facts


async def _hello(link: AirlockLink) -> Facts | None:
    """Wait for a blank box's hello: what it sees of its own walls. None: the airlock ended."""
    while (event := await link.receive()) is not None:
        match event:
            case BoxArrived(hello) if hello.facts is not None:
                return hello.facts
            case BoxGone():
                continue
            case _:
                raise PeerError(
                    Code.TAMPER, "a blank box did more than say hello", detail=repr(event)
                )
    return None
