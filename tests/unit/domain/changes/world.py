"""A world in memory: what specs ask for is looked up in it, what they order is done to it."""

from __future__ import annotations

from typing import Any

import msgspec

from ironclaw.core.ids import AgentId, ChangeId, ChatId, PrincipalId, SessionId, TaskId, WiringId
from ironclaw.domain.changes.base import (
    DropStanding,
    DropTask,
    DropWiring,
    ForgetNotes,
    ForgetSession,
    HostDir,
    House,
    Live,
    Needs,
    NewAgent,
    Op,
    PutAgent,
    PutChat,
    PutPerson,
    PutPolicy,
    PutStanding,
    PutTask,
    PutWiring,
    SetArchived,
    Spec,
)
from ironclaw.domain.model import (
    Agent,
    Chat,
    Destination,
    Partition,
    Role,
    Session,
    SessionState,
    SharedMount,
    Skill,
    Standing,
    Task,
    UnknownSender,
    Wiring,
)
from ironclaw.domain.policy import DEFAULT, Policy
from ironclaw.domain.skills import KeptSkill, read

NOW_MS = 1_800_000_000_000
BOB, OLD = AgentId("agt_bob"), AgentId("agt_old")
PEER = AgentId("agt_peer")
ROOM = ("telegram", "room")
DESK, ANN, CAL = PrincipalId("api:desk"), PrincipalId("api:ann"), PrincipalId("telegram:7")
OWNER_TOO = PrincipalId("api:second")
CHANGE = ChangeId("chg_one")
SESSION = SessionId("ses_one")
SKILL_TEXT = """---
name: birds
description: Tell birds apart by their song.
allowed-tools: read_file Bash(ls:*)
---
Listen first.
"""
BIRDS = KeptSkill(
    folder=read({"SKILL.md": SKILL_TEXT.encode(), "songs/robin.txt": b"tic"}),
    signer="A" * 43 + "=",
    is_trusted=True,
    kept_ms=NOW_MS,
)
OLD_BIRDS = KeptSkill(
    folder=read({"SKILL.md": SKILL_TEXT.replace("song", "colour").encode()}),
    is_trusted=True,
    kept_ms=NOW_MS - 1,
)
STRANGE = KeptSkill(
    folder=read({"SKILL.md": SKILL_TEXT.replace("birds", "fish").encode()}),
    is_trusted=False,
    kept_ms=NOW_MS,
)
HOUSE = House(
    now_ms=NOW_MS,
    models=("scripted",),
    tools=("clock", "read_file", "write_file"),
    channels=("api", "agent", "web", "telegram", "mail"),
    mount_roots=("/srv/given",),
    own_dirs=("/srv/given/house", "/var/lib/ironclaw"),
    skills=(BIRDS, OLD_BIRDS, STRANGE),
)


class World:
    """Everything, and how it changes. `live` and `do` are what the store does."""

    def __init__(self) -> None:
        bob = Agent(
            id=BOB,
            name="bob",
            persona="You help.",
            tools=("clock", "read_file"),
            destinations=(Destination(name="team", channel="telegram", platform_id="9"),),
            mounts=(SharedMount(name="notes", path="/srv/given/notes", device=8, inode=2),),
            lane=1,
        )
        old = Agent(id=OLD, name="old", archived=True, lane=2)
        eve = Agent(id=PEER, name="peer", lane=3)
        self.agents: dict[AgentId, Agent] = {BOB: bob, OLD: old, PEER: eve}
        chat = Chat(id=ChatId("cht_room"), channel=ROOM[0], platform_id=ROOM[1])
        lone = Chat(id=ChatId("cht_lone"), channel="telegram", platform_id="lone")
        self.chats: dict[tuple[str, str], Chat] = {ROOM: chat, ("telegram", "lone"): lone}
        wiring = Wiring(id=WiringId("wir_room"), chat=chat.id, agent=BOB, priority=3)
        self.wirings: dict[WiringId, Wiring] = {wiring.id: wiring}
        self.standings = {
            Standing(principal=DESK, role=Role.OWNER),
            Standing(principal=OWNER_TOO, role=Role.OWNER),
            Standing(principal=ANN, role=Role.APPROVER),
            Standing(principal=CAL, role=Role.MEMBER, agent=BOB),
        }
        self.persons: dict[PrincipalId, PrincipalId] = {}
        self.tokens: dict[PrincipalId, int] = {}
        session = Session(
            id=SESSION, agent=BOB, chat=chat.id, thread=None, partition=Partition.SHARED
        )
        self.sessions = {session.id: session}
        task = Task(
            id=TaskId("tsk_daily"),
            agent=BOB,
            name="daily",
            channel=ROOM[0],
            platform_id=ROOM[1],
            prompt="Say good morning.",
            cron="0 7 * * *",
        )
        self.tasks: dict[TaskId, Task] = {task.id: task}
        self.policy: Policy = DEFAULT
        self.disk = {
            path: HostDir(path, is_dir=True, device=8, inode=inode, is_readable=True)
            for path, inode in (("/srv/given/notes", 2), ("/srv/given/papers", 77))
        }
        self.house = HOUSE

    def change(self, agent: AgentId = BOB, **fields: Any) -> None:
        self.agents[agent] = msgspec.structs.replace(self.agents[agent], **fields)

    def person(self, principal: PrincipalId) -> PrincipalId:
        return self.persons.get(principal, principal)

    def live(self, needs: Needs) -> Live:
        chat = self.chats.get(needs.place) if needs.place else None
        wirings = tuple(one for one in self.wirings.values() if chat and one.chat == chat.id)
        if needs.wiring:
            wirings = tuple(one for one in self.wirings.values() if one.id == needs.wiring)
            chat = next(
                (c for c in self.chats.values() for one in wirings if c.id == one.chat), None
            )
        owners = sorted(one.principal for one in self.standings if one.role is Role.OWNER)
        active = [one for one in self.agents.values() if not one.archived]
        agent = self.agents.get(needs.agent) if needs.agent else None
        name = agent.name if agent and agent.archived else needs.agent_name
        return Live(
            house=self.house,
            policy=self.policy,
            agent=agent,
            named=next((one for one in active if one.name == name), None),
            chat=chat,
            wirings=wirings,
            standings=tuple(one for one in self.standings if one.principal == needs.principal),
            owners=tuple(owners),
            owner_persons=tuple(sorted({self.person(one) for one in owners})),
            person=self.person(needs.principal) if needs.principal else None,
            tokens=self.tokens.get(needs.principal, 0) if needs.principal else 0,
            joined=tuple(
                one
                for one, person in self.persons.items()
                if person == needs.principal and one != person
            ),
            other_person=self.person(needs.other) if needs.other else None,
            session=self.sessions.get(needs.session) if needs.session else None,
            task=next(
                (one for one in self.tasks.values() if (one.agent, one.name) == needs.task), None
            ),
            tasks=sum(one.agent == needs.agent for one in self.tasks.values()),
            agents=len(active),
            directory=self.disk.get(needs.path) if needs.path else None,
            peer=next(
                (
                    one
                    for one in self.agents.values()
                    if needs.peer and needs.peer in {one.id, None if one.archived else one.name}
                ),
                None,
            ),
        )

    def of(self, spec: Spec) -> Live:
        return self.live(spec.needs())

    def do(self, ops: tuple[Op, ...]) -> None:
        for op in ops:
            self._do(op)

    def apply(self, spec: Spec, change: ChangeId = CHANGE) -> None:
        live = self.of(spec)
        spec.check(live)
        self.do(spec.ops(live, change))

    def _do(self, op: Op) -> None:  # noqa: C901, PLR0912 - a case each
        match op:
            case NewAgent(agent):
                self.agents.setdefault(agent.id, agent)
            case PutAgent(agent):
                was = self.agents[agent.id]
                self.agents[agent.id] = msgspec.structs.replace(
                    agent, lane=was.lane, archived=was.archived
                )
            case SetArchived(agent_id, archived):
                self.change(agent_id, archived=archived)
            case PutChat(chat, channel, platform_id, strangers):
                fresh = Chat(id=chat, channel=channel, platform_id=platform_id)
                there = self.chats.setdefault((channel, platform_id), fresh)
                if strangers is not None:
                    self.chats[channel, platform_id] = msgspec.structs.replace(
                        there, unknown_sender=strangers
                    )
            case PutWiring(wiring, channel, platform_id):
                there = self.chats[channel, platform_id]
                self.wirings[wiring.id] = msgspec.structs.replace(wiring, chat=there.id)
            case DropWiring(wiring_id):
                self.wirings.pop(wiring_id, None)
            case PutStanding(standing):
                self.standings.add(standing)
            case DropStanding(standing):
                self.standings.discard(standing)
            case PutPerson(principal, person):
                self.persons[principal] = person
            case PutTask(task):
                self.tasks[task.id] = task
            case DropTask(task_id):
                self.tasks.pop(task_id, None)
            case ForgetNotes():
                pass
            case ForgetSession(session_id):
                self.sessions[session_id] = msgspec.structs.replace(
                    self.sessions[session_id], state=SessionState.FORGOTTEN
                )
            case PutPolicy(policy):
                self.policy = policy


def linked() -> World:
    """One in which a principal is linked."""
    world = World()
    world.persons[CAL] = ANN
    return world


def paused() -> World:
    """One whose task rests."""
    world = World()
    ((id_, task),) = world.tasks.items()
    world.tasks[id_] = msgspec.structs.replace(task, paused=True)
    return world


def public() -> World:
    """One whose lone chat lets everybody in."""
    world = World()
    place = ("telegram", "lone")
    world.chats[place] = msgspec.structs.replace(
        world.chats[place], unknown_sender=UnknownSender.PUBLIC
    )
    return world


def skilled(kept: KeptSkill = OLD_BIRDS) -> World:
    """Bob has a skill."""
    world = World()
    folder = kept.folder
    skill = Skill(name=folder.name, digest=folder.digest, description=folder.description)
    world.change(skills=(skill,))
    return world
