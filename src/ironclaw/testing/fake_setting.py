"""What there is beside changes, in memory: agents, chats, people, and how ops alter it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ironclaw.core.ids import ChatId
from ironclaw.domain.changes import base
from ironclaw.domain.changes.base import Live
from ironclaw.domain.model import Chat, Role, SessionState
from ironclaw.domain.policy import Policy

if TYPE_CHECKING:
    from ironclaw.core.ids import AgentId, PrincipalId, SessionId, TaskId, WiringId
    from ironclaw.domain.changes.base import HostDir, House, Op, Spec
    from ironclaw.domain.model import Agent, Session, Standing, Task, Wiring


class Setting:
    """What there is beside changes, as plain tables."""

    def __init__(self) -> None:
        self.policy = Policy()
        self.agents: dict[AgentId, Agent] = {}
        self.chats: dict[tuple[str, str], Chat] = {}
        self.wirings: dict[WiringId, Wiring] = {}
        self.standings: list[Standing] = []
        self.persons: dict[PrincipalId, PrincipalId] = {}
        self.sessions: dict[SessionId, Session] = {}
        self.tasks: dict[TaskId, Task] = {}

    def person(self, principal: PrincipalId) -> PrincipalId:
        """Who a principal is."""
        return self.persons.get(principal, principal)

    def of(self, principal: PrincipalId | None) -> tuple[Standing, ...]:
        """What a principal holds."""
        return tuple(one for one in self.standings if one.principal == principal)

    def live(self, spec: Spec, house: House, directory: HostDir | None) -> Live:
        """What a spec asks for."""
        needs = spec.needs()
        chat = None if needs.place is None else self.chats.get(needs.place)
        if needs.wiring is not None:
            found = self.wirings.get(needs.wiring)
            wirings: tuple[Wiring, ...] = () if found is None else (found,)
            if found is not None and chat is None:
                chat = next(one for one in self.chats.values() if one.id == found.chat)
        else:
            wirings = tuple(
                one for one in self.wirings.values() if chat is not None and one.chat == chat.id
            )
        owners = tuple(one.principal for one in self.standings if one.role is Role.OWNER)
        tasks = [one for one in self.tasks.values() if needs.agent in {None, one.agent}]
        return Live(
            house=house,
            policy=self.policy,
            agent=None if needs.agent is None else self.agents.get(needs.agent),
            named=next(
                (
                    one
                    for one in self.agents.values()
                    if one.name == needs.agent_name and not one.archived
                ),
                None,
            ),
            chat=chat,
            wirings=wirings,
            standings=self.of(needs.principal),
            owners=owners,
            owner_persons=tuple(dict.fromkeys(map(self.person, owners))),
            person=None if needs.principal is None else self.person(needs.principal),
            joined=tuple(
                one
                for one, person in self.persons.items()
                if person == needs.principal and one != person
            ),
            other_person=None if needs.other is None else self.person(needs.other),
            session=None if needs.session is None else self.sessions.get(needs.session),
            task=next((one for one in tasks if needs.task == (one.agent, one.name)), None),
            tasks=len(tasks),
            agents=sum(not one.archived for one in self.agents.values()),
            directory=directory,
            peer=next(
                (
                    one
                    for one in self.agents.values()
                    if needs.peer in {one.id, None if one.archived else one.name}
                ),
                None,
            )
            if needs.peer
            else None,
        )

    def put(self, op: Op) -> None:  # noqa: C901, PLR0912 - one case for each kind of op
        """Carry one out."""
        match op:
            case base.NewAgent(agent) | base.PutAgent(agent):
                self.agents[agent.id] = agent
            case base.SetArchived(agent, archived):
                self.agents[agent] = msgspec.structs.replace(self.agents[agent], archived=archived)
            case base.PutChat():
                self._chat(op)
            case base.PutWiring(wiring, channel, platform_id):
                chat = self.chats[channel, platform_id].id
                self.wirings[wiring.id] = msgspec.structs.replace(wiring, chat=chat)
            case base.DropWiring(wiring):
                self.wirings.pop(wiring, None)
            case base.PutStanding(standing):
                if standing not in self.standings:
                    self.standings.append(standing)
            case base.DropStanding(standing):
                self.standings = [one for one in self.standings if one != standing]
            case base.PutPerson(principal, person):
                self.persons[principal] = person
            case base.PutTask(task):
                self.tasks[task.id] = task
            case base.DropTask(task):
                self.tasks.pop(task, None)
            case base.ForgetSession(session):
                self.sessions[session] = msgspec.structs.replace(
                    self.sessions[session], state=SessionState.FORGOTTEN
                )
            case base.ForgetNotes():
                pass
            case base.PutPolicy(policy):
                self.policy = policy

    def _chat(self, op: base.PutChat) -> None:
        place = (op.channel, op.platform_id)
        made = Chat(id=ChatId(op.chat), channel=op.channel, platform_id=op.platform_id)
        chat = self.chats.setdefault(place, made)
        if op.strangers is not None:
            self.chats[place] = msgspec.structs.replace(chat, unknown_sender=op.strangers)
