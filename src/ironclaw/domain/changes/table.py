"""The one table of kinds: a spec that is not here cannot be decoded, shown or applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from ironclaw.domain.changes.access import (
    GiveRole,
    LinkPerson,
    SetStrangers,
    TakeRole,
    UnlinkPerson,
)
from ironclaw.domain.changes.agents import ArchiveAgent, CreateAgent, RestoreAgent
from ironclaw.domain.changes.destinations import AddDestination, RemoveDestination
from ironclaw.domain.changes.limits import SetLimits
from ironclaw.domain.changes.model import SetModel
from ironclaw.domain.changes.mounts import AddMount, RemoveMount
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.policies import SetPolicy
from ironclaw.domain.changes.sessions import ForgetSession
from ironclaw.domain.changes.skills import AddSkill, RemoveSkill
from ironclaw.domain.changes.task_edits import PauseTask, ResumeTask, UpdateTask
from ironclaw.domain.changes.tasks import AddTask, RemoveTask
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.changes.wiring import AddWiring, RemoveWiring

if TYPE_CHECKING:
    from ironclaw.domain.changes.base import Spec

AnySpec = (
    SetPersona
    | SetModel
    | SetTools
    | AddWiring
    | RemoveWiring
    | GiveRole
    | TakeRole
    | SetStrangers
    | LinkPerson
    | UnlinkPerson
    | AddDestination
    | RemoveDestination
    | AddMount
    | RemoveMount
    | AddSkill
    | RemoveSkill
    | SetLimits
    | AddTask
    | RemoveTask
    | UpdateTask
    | PauseTask
    | ResumeTask
    | CreateAgent
    | ArchiveAgent
    | RestoreAgent
    | ForgetSession
    | SetPolicy
)
"""Everything that can be asked for."""

SPECS: Final[dict[str, type[Spec]]] = {
    str(one.__struct_config__.tag): one for one in get_args(AnySpec)
}
"""The same by its tag."""
