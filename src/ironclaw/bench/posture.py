"""What the posture step costs: the proof of each launch, and what is left of it for a warm claim.

As in `profile`, two methods of the core are wrapped for the length of the measurement; nothing of
this is in the daemon.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from ironclaw.sandbox.isolator import RunscIsolator
from ironclaw.services.receipts import Receipts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.domain.model import Session
    from ironclaw.domain.statement import Receipt
    from ironclaw.domain.wall import Box, LaunchSpec
    from ironclaw_contract.rpc import Facts


class PostureCosts:
    """Seconds of each part of the step, in the order in which they were taken."""

    def __init__(self) -> None:
        self.proofs: list[float] = []
        """Measuring a blank box and comparing it with its spec; nobody waits for it when warm."""
        self.bindings: list[float] = []
        """Signing and storing the receipt, before the key enters the slot."""

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Take the times of what happens meanwhile."""
        prove, bind = RunscIsolator.prove, Receipts.bind

        async def proved(
            isolator: RunscIsolator, box: Box, spec: LaunchSpec, inside: Facts
        ) -> Receipt:
            began = time.perf_counter()
            receipt = await prove(isolator, box, spec, inside)
            self.proofs.append(time.perf_counter() - began)
            return receipt

        async def bound(receipts: Receipts, session: Session, receipt: Receipt) -> None:
            began = time.perf_counter()
            await bind(receipts, session, receipt)
            self.bindings.append(time.perf_counter() - began)

        with contextlib.ExitStack() as undo:
            for owner, name, before, now in (
                (RunscIsolator, "prove", prove, proved),
                (Receipts, "bind", bind, bound),
            ):
                undo.callback(setattr, owner, name, before)
                setattr(owner, name, now)
            yield
