"""A script of changes over all kinds: what is asked next, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.errors import IronClawError
from ironclaw.core.ids import AgentId, PrincipalId, SessionId
from ironclaw.domain.change import Asker, Seen, Status
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
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.changes.task_edits import PauseTask, ResumeTask, UpdateTask
from ironclaw.domain.changes.tasks import AddTask, RemoveTask
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.changes.wiring import AddWiring, RemoveWiring
from ironclaw.domain.gateway import tag_of
from ironclaw.domain.model import Role, SessionState, UnknownSender
from ironclaw.domain.policy import Proof
from ironclaw.domain.rights import Actor, Right
from ironclaw.testing.fakes_running import kept_skill

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Spec
    from ironclaw.services.gateway.port import ChangeView
    from ironclaw.services.gateway.service import GatewayService
    from ironclaw.testing.fake_setting import Setting

KINDS: Final = tuple(SPECS)
SHORT_S: Final = 3600
"""How long some of what is given lasts."""
PENDING_S: Final = 4 * 3600
"""How long a request waits, beside the number of whatever changed the policy last."""
# What is denied once is remembered, so the next time it has to be something else.
SKILLS: Final = tuple(kept_skill(f"skill-{number}") for number in range(64))
"""Those that were imported."""
_STRANGERS = (UnknownSender.DROP, UnknownSender.ASK, UnknownSender.PUBLIC)


class Stage(NamedTuple):
    """Who and what the script is about; all else comes from its own changes."""

    agent: AgentId
    session: SessionId
    """Where the agent asks; it is never forgotten."""
    place: str
    """Platform id of a chat that reaches the agent."""


def person(name: str) -> Actor:
    """Ann and Amy own the house."""
    return Actor(PrincipalId(f"api:{name}"), frozenset(Right), Proof.TOKEN)


def next_spec(number: int, stage: Stage, now: Setting) -> Spec:
    """What is asked for as the change of that number: each kind in turn, as far as it makes sense.

    Args:
        number: Never the same twice; every name is made of it.
        stage: Who and what.
        now: The state of now.
    """
    kind = KINDS[number % len(KINDS)]
    takes = _takes(number, stage, now).get(kind)
    return takes if takes is not None else _gives(kind, number, stage, now)


def _takes(number: int, stage: Stage, now: Setting) -> dict[str, Spec]:
    """What takes something away that is there, or alters it."""
    agent, own = now.agents[stage.agent], {"agent": stage.agent}
    chats = {chat.id: chat.platform_id for chat in now.chats.values()}
    made = [one for one in now.agents.values() if one.name.startswith("made-")]
    found: list[Spec] = [
        *(RemoveDestination(**own, name=one.name) for one in agent.destinations),
        *(RemoveMount(**own, name=one.name) for one in agent.mounts),
        *(RemoveSkill(**own, name=one.name) for one in agent.skills),
        *(RemoveTask(**own, name=one.name) for one in now.tasks.values()),
        *(
            UpdateTask(**own, name=one.name, prompt=f"Look around {number} times.")
            for one in now.tasks.values()
        ),
        *(PauseTask(**own, name=one.name) for one in now.tasks.values() if not one.paused),
        *(ResumeTask(**own, name=one.name) for one in now.tasks.values() if one.paused),
        *(
            RemoveWiring(**own, wiring=one.id)
            for one in now.wirings.values()
            if chats[one.chat].startswith("place-")
        ),
        *(
            TakeRole(principal=one.principal, role=one.role, agent=one.agent)
            for one in now.standings
            if one.principal.startswith("api:p")
        ),
        *(UnlinkPerson(principal=one) for one, other in now.persons.items() if one != other),
        *(RestoreAgent(agent=one.id) for one in made if one.archived),
        *(ArchiveAgent(agent=one.id) for one in made if not one.archived),
        *(
            ForgetSession(agent=one.agent, session=one.id)
            for one in now.sessions.values()
            if one.state is SessionState.ACTIVE and one.id != stage.session
        ),
    ]
    return {tag_of(spec): spec for spec in found}


def _gives(kind: str, number: int, stage: Stage, now: Setting) -> Spec:
    """What gives something that was not there."""
    own = {"agent": stage.agent}
    place = {"channel": "api", "platform_id": stage.place}
    name = f"n{number}"
    tools = now.agents[stage.agent].tools
    skill = SKILLS[number // len(KINDS) % len(SKILLS)].folder
    strangers = _STRANGERS.index(now.chats["api", stage.place].unknown_sender) + 1
    policy = msgspec.structs.replace(now.policy, pending_s=PENDING_S + number)
    takes_tool = SetTools(**own, remove=tools[:1])
    gives: dict[str, Spec] = {
        "persona": SetPersona(**own, persona=f"Be number {number}."),
        "model": SetModel(**own, model=f"scripted/{name}"),
        "tools": takes_tool if tools and number % 2 else SetTools(**own, add=(f"tool_{number}",)),
        "wiring": AddWiring(**own, channel="api", platform_id=f"place-{number}"),
        "role": GiveRole(principal=PrincipalId(f"api:p{number}"), role=Role.VIEWER),
        "strangers": SetStrangers(**place, policy=_STRANGERS[strangers % len(_STRANGERS)]),
        "person": LinkPerson(
            principal=PrincipalId(f"api:l{number}"), same_as=PrincipalId("api:lou")
        ),
        "destination": AddDestination(**own, name=name, channel="api", platform_id=name),
        "mount": AddMount(**own, name=name, path=f"/srv/{name}"),
        "skill": AddSkill(**own, name=skill.name, digest=skill.digest),
        "limits": SetLimits(**own, turn_s=60 + number),
        "task": AddTask(**own, **place, name=name, prompt=f"See to {name}.", cron="0 9 * * *"),
        "agent": CreateAgent(name=f"made-{number}"),
        "policy": SetPolicy(policy=policy),
    }
    return gives.get(kind.partition(".")[0], gives["persona"])


class Script:
    """Asks, decides and takes back. What is refused is counted, and nothing else goes wrong."""

    def __init__(self, gateway: GatewayService, stage: Stage) -> None:
        self._gateway = gateway
        self._stage = stage
        self.refused: list[str] = []

    async def one(self, number: int, now: Setting) -> None:
        """One change from its request to wherever it comes."""
        spec = next_spec(number, self._stage, now)
        # What becomes of a kind is another thing each time that its turn comes.
        number += 2 * (number // len(KINDS))
        try:
            view = await self._ask(spec, number)
            view = await self._decide(view, number)
            grant = view.row.grant
            is_given = view.row.status is Status.DONE and grant is not None and grant.revocable
            if grant is not None and is_given and number % 5 == 0:
                await self._gateway.revoke(grant.id, actor=person("amy"), words="Enough.")
        except IronClawError as error:
            self.refused.append(f"{tag_of(spec)} {error.code}: {error.message}")

    async def _ask(self, spec: Spec, number: int) -> ChangeView:
        ann = person("ann")
        by_agent = spec.by_agents and spec.agent_id in {None, self._stage.agent} and number % 3 == 0
        grant_s = SHORT_S if not by_agent and _can_end(spec) else None
        asker = Asker(principal=ann.principal)
        if by_agent:
            agent = self._stage.agent
            asker = Asker(
                principal=PrincipalId(f"agent:{agent}"), agent=agent, session=self._stage.session
            )
        return await self._gateway.submit(
            spec, asker=asker, actor=None if by_agent else ann, reason="why", grant_s=grant_s
        )

    async def _decide(self, view: ChangeView, number: int) -> ChangeView:
        change: ChangeId = view.row.change.id
        if view.row.status is not Status.PENDING or number % 9 == 4:
            # Some are left to themselves.
            return view
        if number % 9 == 6:
            return await self._gateway.withdraw(change, actor=person("ann"))
        amy = person("amy")
        card = (await self._gateway.show(change, actor=amy)).card
        return await self._gateway.decide(
            change,
            actor=amy,
            approve=number % 7 != 5,
            seen=Seen(card.hash, card.state, card.version),
            words="So be it.",
        )


def _can_end(spec: Spec) -> bool:
    return isinstance(spec, AddDestination | AddMount | AddTask | AddWiring | GiveRole)
