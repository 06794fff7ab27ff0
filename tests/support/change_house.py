"""The house of the crash test: what is in it before the first change, and what is in it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from tests.support.change_script import PENDING_S, SKILLS, Stage

from ironclaw.core.ids import PrincipalId, SessionId, new_id
from ironclaw.domain.changes.base import Bearing, HostDir, House, Topic
from ironclaw.domain.model import Partition, Role, Standing, Task
from ironclaw.domain.policy import AutoRule, Policy, Verdict
from ironclaw.domain.routing import Seat
from ironclaw.store.agent_rows import AGENT, as_agent
from ironclaw.store.live import policy_of
from ironclaw.store.session_rows import SESSION, as_session
from ironclaw.store.wiring_rows import CHAT, WIRING, as_chat, as_wiring
from ironclaw.testing.fake_setting import Setting
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

SPARE: Final = 40
"""Sessions that can be forgotten."""
HOUSE: Final = House(
    now_ms=0,
    models=("scripted",),
    tools=("read_file", *(f"tool_{n}" for n in range(10_000))),
    channels=("api",),
    mount_roots=("/srv",),
    own_dirs=("/var/lib/ironclaw",),
    skills=SKILLS,
)
FIRST: Final = Policy(
    pending_s=PENDING_S,
    escalate_s=3600,
    automatic=(AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS),),
)


def directory_at(path: str) -> HostDir:
    """What is at a path of that house."""
    return HostDir(path, is_dir=True, device=1, inode=len(path), is_readable=True)


async def prepare(state: Path) -> None:
    """Make a house with two owners, one agent, and sessions of it."""
    async with open_core_store(state) as core:
        talk = await core.begin(name="helper", place="desk")
        await talk.hear("Hello.")
        for name in ("ann", "amy"):
            await core.registry.give(PrincipalId(f"api:{name}"), Role.OWNER, None)
        for number in range(SPARE):
            session = SessionId(new_id("ses"))
            await core.custodian.create(session)
            seat = Seat(talk.agent.id, Partition.PER_THREAD, talk.chat.id, f"t{number}")
            await core.registry.add_session(session, seat)
        await core.store.write(
            lambda db: db.execute(
                "INSERT INTO policy (one, body) VALUES (1, ?)",
                (msgspec.json.encode(FIRST, order="sorted").decode(),),
            )
        )
        stage = Stage(talk.agent.id, talk.session, "desk")
        (state / "stage.json").write_bytes(msgspec.json.encode(stage))


def read_stage(state: Path) -> Stage:
    """Whom it is about."""
    return msgspec.json.decode((state / "stage.json").read_bytes(), type=Stage)


def snapshot(db: apsw.Connection) -> Setting:
    """The state as it is in the store."""
    now = Setting()
    now.policy = policy_of(db)
    for row in db.execute(AGENT):
        agent = as_agent(*row)
        now.agents[agent.id] = msgspec.structs.replace(agent, lane=0)
    for row in db.execute(CHAT):
        chat = as_chat(*row)
        now.chats[chat.channel, chat.platform_id] = chat
    now.wirings = {one.id: one for one in (as_wiring(*row) for row in db.execute(WIRING))}
    now.sessions = {one.id: one for one in (as_session(*row) for row in db.execute(SESSION))}
    for principal, role, agent_id in db.execute("SELECT principal, role, agent FROM standing"):
        now.standings.append(Standing(principal=principal, role=Role(role), agent=agent_id or None))
    now.persons = dict(db.execute("SELECT principal, person FROM person"))
    for (body,) in db.execute("SELECT body FROM task"):
        task = msgspec.msgpack.decode(body, type=Task)
        now.tasks[task.id] = task
    return now
