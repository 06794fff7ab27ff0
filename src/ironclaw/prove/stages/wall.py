"""The wall as a hostile program in `/sandbox`'s place meets it: one box, every attack in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.prove.box.probe_box import NoHelloError, probe_box
from ironclaw.prove.box.weakenings import TWINS, WEAKENINGS
from ironclaw.prove.stages import wall_files, wall_network, wall_process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Check, Twin

_BELL: Final = "network.bell_answers"


class _Wall:
    """Implements `model.Stage`."""

    name = "wall"
    checks = (*wall_network.CHECKS, *wall_files.CHECKS, *wall_process.CHECKS)
    twins = TWINS

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Launch a probe and let it attack. Raises IronClawError."""
        names = [check.name for check in checks]
        try:
            async with probe_box(lab, WEAKENINGS[twin.name] if twin else None) as box:
                return await box.attempt(names)
        except NoHelloError:
            if names == [_BELL]:
                return {_BELL: "no hello"}
            raise


WALL: Final = _Wall()
