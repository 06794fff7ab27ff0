"""A stage whose attacks go through a real box and a real airlock: the queue, the sockets.

One box serves every attack of a stage, with a fresh airlock after each that was caught. A twin has
another airlock, another box, or another core behind them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from ironclaw.airlock.starter import AirlockStarter
from ironclaw.core.errors import IronClawError
from ironclaw.prove.model import ERROR, could_not
from ironclaw.prove.wire import careless
from ironclaw.prove.wire.cells import open_cell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from ironclaw.prove.box.weak import Weakening
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Check, Twin
    from ironclaw.prove.wire.cells import Cell
    from ironclaw.prove.wire.checks import Row

_PATIENCE_S: Final = 15.0
_TRIES: Final = 2
_TWIN_PATIENCE_S: Final = 2.5
"""Twins that hang are expected to."""


@contextlib.asynccontextmanager
async def _nothing(_lab: Lab) -> AsyncIterator[None]:
    yield


class Wire:
    """Implements `model.Stage`.

    Args:
        name: The stage's name.
        rows: Its attacks, in their order.
        boxes: Twins whose box is weaker.
        cores: Twins whose core is weaker: the rows know them.
        beside: What must be there before the box is launched.
    """

    def __init__(
        self,
        name: str,
        rows: Sequence[Row],
        *,
        boxes: Mapping[Twin, Weakening],
        cores: Sequence[Twin] = (),
        beside: Callable[[Lab], AbstractAsyncContextManager[None]] = _nothing,
    ) -> None:
        self.name = name
        self.checks = tuple(row.check for row in rows)
        self._rows = rows
        self._boxes = boxes
        self._beside = beside
        used = {check.twin for check in self.checks}
        self.twins = (*(each for each in careless.TWINS if each.name in used), *boxes, *cores)

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Launch a hostile agent and have it attack. Raises IronClawError, OSError."""
        names = {check.name for check in checks}
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._beside(lab))
            airlocks = None
            if twin in careless.TWINS:
                airlocks = AirlockStarter(zygote=(careless.MODULE, twin.name))
                await stack.enter_async_context(airlocks)
            cell = await stack.enter_async_context(
                open_cell(
                    lab,
                    airlocks=airlocks,
                    weakening=None if twin is None else self._boxes.get(twin),
                    patience_s=_PATIENCE_S if twin is None else _TWIN_PATIENCE_S,
                )
            )
            return {
                row.check.name: await _tried(row, lab, cell, twin)
                for row in self._rows
                if row.check.name in names
            }


async def _tried(row: Row, lab: Lab, cell: Cell, twin: Twin | None) -> str:
    """The outcome of one attack; one that cannot be carried out says nothing of the others.

    It is tried twice: on a machine that is busy with other things a box may be late once.

    Raises:
        PeerError: The box has ended: of the rest nothing can be said.
    """
    said = ""
    for _ in range(_TRIES):
        cell.must_live()
        try:
            said = await row.outcome(lab, cell, twin)
            if not said.startswith(ERROR):
                return said
        except (IronClawError, OSError, TimeoutError) as error:
            said = could_not(error)
            with contextlib.suppress(IronClawError, OSError, TimeoutError):
                await cell.renew()
    return said
