"""Boxes with controls taken away, for twins alone: an isolator that launches what it must refuse.

Production has no such seam: this class overrides the builder of the spec, and only the proof's own
worker, in a house of its own, ever makes one.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from ironclaw.sandbox.isolator import RunscIsolator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ironclaw.domain.wall import Box, LaunchSpec
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.sandbox.spec import Spec


def _same(spec: Spec, _lab: Lab) -> Spec:
    return spec


def _nothing(_lab: Lab) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


class Weakening(NamedTuple):
    """What is different from production."""

    spec: Callable[[Spec, Lab], Spec] = _same
    without_flags: tuple[str, ...] = ()
    """runsc flags that are left out, by their beginning."""
    flags: tuple[str, ...] = ()
    """runsc flags that are added."""
    host: Callable[[Lab], AbstractContextManager[None]] = _nothing
    """What is changed on the host from before the slot is prepared until the box has started."""


class WeakIsolator(RunscIsolator):
    """Launches weakened boxes while `weakened` is open; proves them against production's spec."""

    _weakening: Weakening | None = None
    _lab: Lab | None = None
    _is_launching = False

    @contextlib.contextmanager
    def weakened(self, weakening: Weakening, lab: Lab) -> Iterator[None]:
        """Take controls away until left."""
        flags = self._runsc.flags
        kept = tuple(flag for flag in flags if not flag.startswith(weakening.without_flags or "\0"))
        self._runsc.flags = (*kept, *weakening.flags)
        self._weakening, self._lab = weakening, lab
        try:
            with weakening.host(lab):
                yield
        finally:
            self._runsc.flags = flags
            self._weakening = self._lab = None

    async def launch(self, spec: LaunchSpec) -> Box:
        """Start a box, weakened if something is taken away now."""
        self._is_launching = True
        try:
            return await super().launch(spec)
        finally:
            self._is_launching = False

    def _build(self, spec: LaunchSpec, lane: int) -> Spec:
        built = super()._build(spec, lane)
        if self._is_launching and self._weakening is not None and self._lab is not None:
            return self._weakening.spec(built, self._lab)
        return built
