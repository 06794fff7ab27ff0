"""The sockets as a hostile agent meets them: through a real box and production's own airlock."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.ids import SlotId
from ironclaw.prove.box import spec_changes
from ironclaw.prove.box.weak import Weakening
from ironclaw.prove.lab.opened import LANE
from ironclaw.prove.model import Twin
from ironclaw.prove.wire.attacks import Wire
from ironclaw.prove.wire.socket_attacks import CANDID, NEIGHBOUR
from ironclaw.prove.wire.socket_checks import BELL, MODEL, OWN_RUN, SAFE_TEXTS, SHOWN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ironclaw.prove.lab.opened import Lab
    from ironclaw.sandbox.spec import Spec


@contextlib.asynccontextmanager
async def _neighbour(lab: Lab) -> AsyncIterator[None]:
    """Another session's slot, with an airlock that listens."""
    slot = SlotId(NEIGHBOUR)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(lab.isolator.discard, slot)
        link = await lab.airlocks.start(await lab.isolator.prepare(slot, lane=LANE))
        stack.push_async_callback(link.close)
        yield


def _shown(spec: Spec, lab: Lab) -> Spec:
    """Show the neighbour's slot to the box."""
    source = str(lab.isolator.view / "slots" / NEIGHBOUR)
    return spec_changes.on_mount(
        "/shared", lambda mount: msgspec.structs.replace(mount, source=source)
    )(spec, lab)


SOCKETS: Final = Wire(
    "sockets",
    (*BELL, *MODEL),
    boxes={Twin(SHOWN, (OWN_RUN,)): Weakening(spec=_shown)},
    cores=(Twin(CANDID, (SAFE_TEXTS,)),),
    beside=_neighbour,
)
