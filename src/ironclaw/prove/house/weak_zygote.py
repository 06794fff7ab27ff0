"""A zygote whose airlocks lack a control, for twins of whole houses alone.

`AirlockStarter(zygote=(MODULE, CONTROL, ...))` boots one; the words are those below.
"""

from __future__ import annotations

import selectors
import sys
from typing import Final

from ironclaw.airlock import bell, model, pace, process, zygote

MODULE: Final = "ironclaw.prove.house.weak_zygote"
PACE: Final = "pace"
CALLS: Final = "calls"
KEY: Final = "key"
BELL: Final = "bell"
SMALL: Final = "small"
"""Takes nothing away: a share so small that no busy machine can be taken for it."""
SMALL_SHARE: Final = 0.04
_SMALL_BURST_S: Final = 0.05
_MANY: Final = 1_000_000


def weaken(control: str) -> None:
    """Take a control from every airlock that is forked from here. Raises ValueError."""
    match control:
        case "pace":
            _patch(pace, "SHARE", float(_MANY))
            _patch(pace, "BURST_S", float(_MANY))
        case "small":
            _patch(pace, "SHARE", SMALL_SHARE)
            _patch(pace, "BURST_S", _SMALL_BURST_S)
        case "calls":
            _patch(model, "_MAX_CALLS", _MANY)
        case "key":
            _patch(process._Airlock, "remove_key", lambda _self: None)  # noqa: SLF001 - a twin
        case "bell":
            _patch(bell.BellSocket, "_watch", _always_listen)
        case _:
            raise ValueError(f"not a control of an airlock: {control}")


def _always_listen(self: bell.BellSocket) -> None:
    """Accept whoever comes, also while somebody is there."""
    if not self._is_listening:
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
    self._is_listening = True


def main(control_fd: int) -> None:
    """Be the zygote, weakened."""
    for control in sys.argv[3:]:
        weaken(control)
    zygote.main(control_fd)


def _patch(place: object, name: str, value: object) -> None:
    getattr(place, name)
    setattr(place, name, value)
