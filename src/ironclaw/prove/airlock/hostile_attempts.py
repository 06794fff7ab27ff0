"""All attacks that are carried out inside a hostile airlock, by the name of their check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.prove.airlock import hostile_calls, hostile_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ironclaw.prove.airlock.hostile_prey import Prey

ATTEMPTS: Final[Mapping[str, Callable[[Prey], object]]] = (
    hostile_files.ATTEMPTS | hostile_calls.ATTEMPTS
)
