"""What queue and sockets are attacked with: a row for each attack. See `stages.queue`, `.sockets`.

Most attacks are one order to the hostile agent, and what came of it; the others bring a function of
their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ironclaw.prove.model import Check
from ironclaw.prove.wire.cells import TAMPER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Twin
    from ironclaw.prove.wire.cells import Cell


class Row(NamedTuple):
    """A check, and how its attack is carried out."""

    check: Check
    attack: str = ""
    """The agent's name for it; empty for the second word of the check's."""
    at_step: Callable[[Cell], str] | None = None
    """Looks at the host while the attack goes on."""
    patience_s: float = 0.0
    """What it takes at least, if that is more than the cell's."""
    run: Callable[[Lab, Cell, Twin | None], Awaitable[str]] | None = None
    """Carries it out in place of a single order."""

    async def outcome(self, lab: Lab, cell: Cell, twin: Twin | None) -> str:
        """Carry the attack out. Raises HostError, OSError, TimeoutError."""
        if self.run is not None:
            return await self.run(lab, cell, twin)
        attack = self.attack or self.check.name.partition(".")[2]
        return await cell.order(
            attack, at_step=self.at_step, patience_s=max(self.patience_s, cell.patience_s)
        )


def tampers(*reasons: str) -> frozenset[str]:
    """The words of an airlock that has caught the box."""
    return frozenset(TAMPER + reason for reason in reasons)


def tampering(name: str, claim: str, attack: str, control: str, twin: str, *reasons: str) -> Row:
    """What must be caught, for one of these reasons."""
    return Row(Check(name, claim, attack, control, tampers(*reasons), twin=twin))


def answering(name: str, claim: str, attack: str, control: str, twin: str, *words: str) -> Row:
    """What the agent says of its attack must be one of these words."""
    return Row(Check(name, claim, attack, control, frozenset(words), twin=twin))
