"""A hostile agent in place of `/sandbox`: it takes its orders from its owner's messages.

Its airlock may be replaced under it as often as it was caught: it says hello to the next one.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from ironclaw.prove.probe import forgeries, plants, rings
from ironclaw.prove.probe.hold import Hold
from ironclaw.prove.probe.named import error_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.prove.probe.hold import Order

ATTACKS: Final = forgeries.ATTACKS | plants.ATTACKS | rings.ATTACKS


def obey(hold: Hold, order: Order) -> str | None:
    """Attack; return what came of it, or None when only the host can say."""
    attack: Callable[[Hold, dict[str, object]], str | None] = ATTACKS[order.attack]
    try:
        return attack(hold, order.args)
    except OSError as error:
        return error_name(error)
    except Exception as error:  # noqa: BLE001 - whatever happens to an attacker is a result
        return f"error: {type(error).__name__}: {error}"


def main() -> None:
    """Serve for ever."""
    hold = Hold()
    while True:
        said = obey(hold, hold.next_order())
        if said is not None:
            with contextlib.suppress(OSError):
                hold.end(said)


main()
