"""Every stage of the proof, in the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.prove.stages.airlock import AIRLOCK
from ironclaw.prove.stages.greed import GREED
from ironclaw.prove.stages.ground import GROUND
from ironclaw.prove.stages.image import IMAGE
from ironclaw.prove.stages.posture import POSTURE
from ironclaw.prove.stages.queue import QUEUE
from ironclaw.prove.stages.refusals import REFUSALS
from ironclaw.prove.stages.secrecy import SECRECY
from ironclaw.prove.stages.sockets import SOCKETS
from ironclaw.prove.stages.spec import SPEC
from ironclaw.prove.stages.stopping import STOPPING
from ironclaw.prove.stages.wall import WALL

if TYPE_CHECKING:
    from ironclaw.prove.model import Stage

STAGES: Final[tuple[Stage, ...]] = (
    *(SPEC, IMAGE, POSTURE, GROUND, REFUSALS, WALL, QUEUE, SOCKETS, AIRLOCK),
    *(GREED, STOPPING, SECRECY),
)
