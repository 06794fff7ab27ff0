"""For every kind, changes that make sense in the world, and how each bears on rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.unit.domain.changes.world import (
    ANN,
    BIRDS,
    BOB,
    CAL,
    NOW_MS,
    OLD,
    OWNER_TOO,
    ROOM,
    SESSION,
    World,
    linked,
    paused,
    public,
    skilled,
)

from ironclaw.core.ids import WiringId
from ironclaw.domain.changes.access import (
    GiveRole,
    LinkPerson,
    SetStrangers,
    TakeRole,
    UnlinkPerson,
)
from ironclaw.domain.changes.agents import ArchiveAgent, CreateAgent, RestoreAgent
from ironclaw.domain.changes.base import Bearing, Spec
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
from ironclaw.domain.model import Misfire, Role, Thinking, UnknownSender
from ironclaw.domain.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

_MIB = 1024 * 1024
WIDENS, NARROWS, ALTERS = Bearing.WIDENS, Bearing.NARROWS, Bearing.ALTERS


class Sample(NamedTuple):
    spec: Spec
    bearing: Bearing
    world: Callable[[], World] = World

    @property
    def name(self) -> str:
        return f"{self.spec.__struct_config__.tag}-{self.bearing.value}"


SAMPLES = (
    Sample(SetPersona(agent=BOB, persona="You sing."), ALTERS),
    Sample(SetModel(agent=BOB, model="scripted/other"), ALTERS),
    Sample(
        SetModel(
            agent=BOB,
            model="scripted/other",
            fallbacks=("scripted/third",),
            temperature_hundredths=70,
            max_output_tokens=900,
            thinking=Thinking.HIGH,
        ),
        ALTERS,
    ),
    Sample(SetTools(agent=BOB, add=("write_file", "clock")), WIDENS),
    Sample(SetTools(agent=BOB, add=("write_file",), remove=("clock", "write_mail")), WIDENS),
    Sample(SetTools(agent=BOB, remove=("clock",)), NARROWS),
    Sample(AddWiring(agent=BOB, channel="web", platform_id="new"), WIDENS),
    Sample(
        AddWiring(
            agent=BOB,
            channel="telegram",
            platform_id="lone",
            pattern="bob.*",
            priority=9,
        ),
        WIDENS,
    ),
    Sample(RemoveWiring(agent=BOB, wiring=WiringId("wir_room")), NARROWS),
    Sample(GiveRole(principal=ANN, role=Role.ADMIN, agent=BOB), WIDENS),
    Sample(GiveRole(principal=ANN, role=Role.OWNER), WIDENS),
    Sample(TakeRole(principal=CAL, role=Role.MEMBER, agent=BOB), NARROWS),
    Sample(TakeRole(principal=OWNER_TOO, role=Role.OWNER), NARROWS),
    Sample(SetStrangers(channel=ROOM[0], platform_id=ROOM[1], policy=UnknownSender.ASK), WIDENS),
    Sample(
        SetStrangers(channel="telegram", platform_id="lone", policy=UnknownSender.ASK),
        NARROWS,
        public,
    ),
    Sample(LinkPerson(principal=CAL, same_as=ANN), ALTERS),
    Sample(UnlinkPerson(principal=CAL), WIDENS, linked),
    Sample(AddDestination(agent=BOB, name="mum", channel="telegram", platform_id="1"), WIDENS),
    Sample(AddDestination(agent=BOB, name="peer", channel="agent", platform_id="peer"), WIDENS),
    Sample(RemoveDestination(agent=BOB, name="team"), NARROWS),
    Sample(AddMount(agent=BOB, name="papers", path="/srv/given/papers"), WIDENS),
    Sample(RemoveMount(agent=BOB, name="notes"), NARROWS),
    Sample(AddSkill(agent=BOB, name="birds", digest=BIRDS.digest), WIDENS),
    Sample(RemoveSkill(agent=BOB, name="birds"), NARROWS, skilled),
    Sample(SetLimits(agent=BOB, memory_bytes=512 * _MIB, cpu_millis=500), WIDENS),
    Sample(SetLimits(agent=BOB, pids=32, calls_per_day=10), NARROWS),
    Sample(SetLimits(agent=BOB, disk_bytes=64 * _MIB), WIDENS),
    Sample(
        AddTask(
            agent=BOB,
            name="once",
            channel=ROOM[0],
            platform_id=ROOM[1],
            prompt="Say it is time.",
            at_ms=NOW_MS + 60_000,
        ),
        WIDENS,
    ),
    Sample(
        AddTask(
            agent=BOB,
            name="weekly",
            channel=ROOM[0],
            platform_id=ROOM[1],
            prompt="Sum up.",
            cron="0 7 * * 1",
            zone="Europe/Paris",
        ),
        WIDENS,
    ),
    Sample(
        AddTask(
            agent=BOB,
            name="often",
            channel=ROOM[0],
            platform_id=ROOM[1],
            prompt="Look whether all is well.",
            every_s=900,
            misfire=Misfire.SKIP,
            quiet=True,
        ),
        WIDENS,
    ),
    Sample(RemoveTask(agent=BOB, name="daily"), NARROWS),
    Sample(UpdateTask(agent=BOB, name="daily", prompt="Say good evening."), ALTERS),
    Sample(UpdateTask(agent=BOB, name="daily", every_s=3600, quiet=True), ALTERS),
    Sample(
        UpdateTask(
            agent=BOB, name="daily", channel=ROOM[0], platform_id=ROOM[1], zone="Asia/Tokyo"
        ),
        ALTERS,
    ),
    Sample(PauseTask(agent=BOB, name="daily"), NARROWS),
    Sample(ResumeTask(agent=BOB, name="daily"), WIDENS, paused),
    Sample(CreateAgent(name="eve", persona="You read.", tools=("clock",)), WIDENS),
    Sample(ArchiveAgent(agent=BOB), NARROWS),
    Sample(RestoreAgent(agent=OLD), WIDENS),
    Sample(ForgetSession(agent=BOB, session=SESSION), ALTERS),
    Sample(ForgetSession(agent=BOB, session=SESSION, keep_notes=True), ALTERS),
    Sample(SetPolicy(policy=Policy(solo=True, approver_channels=("api",))), ALTERS),
)
