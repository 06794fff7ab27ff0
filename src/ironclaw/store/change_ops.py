"""What follows from an applied change, written: each op in the transaction that applies it.

Every op is idempotent and says whether it altered anything; only then is it in the audit. What is
made for tests, private houses and the first owner goes the same way, without a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

import apsw
import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent, By
from ironclaw.domain.changes.base import (
    DropStanding,
    DropTask,
    DropWiring,
    ForgetNotes,
    ForgetSession,
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
)
from ironclaw.domain.model import UnknownSender
from ironclaw.store import person_links
from ironclaw.store.audit_rows import append
from ironclaw.store.forgetting import forget
from ironclaw.store.task_rows import change_task

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId, ChatId
    from ironclaw.domain.model import Agent, Standing, Task, Wiring
    from ironclaw.domain.policy import Policy

_TAKEN: Final = "Choose another name: `ironclaw agent list` shows those taken."


class Cause(NamedTuple):
    """Why something is written, and by whom."""

    at_ms: int
    by: By = CORE
    change: ChangeId | None = None
    kind: str = ""
    """Tag of the change's spec."""

    def tell(self, db: apsw.Connection, entry: AuditEntry) -> None:
        """Add a record that names the change."""
        append(
            db,
            msgspec.structs.replace(entry, change=self.change),
            at_ms=self.at_ms,
            by=self.by,
        )


def execute(db: apsw.Connection, op: Op, cause: Cause) -> bool:  # noqa: C901, PLR0911, PLR0912 - a row each
    """Write one op, and what the audit has to know of it.

    Returns:
        Whether anything is otherwise than before.

    Raises:
        UserError: `CONFLICT` or `NOT_FOUND`: what it is about has changed.
    """
    match op:
        case NewAgent(agent):
            return _new_agent(db, agent, cause)
        case PutAgent(agent):
            return _put_agent(db, agent, cause)
        case SetArchived(agent_id, archived):
            return _set_archived(db, agent_id, cause, archived=archived)
        case PutChat():
            return _put_chat(db, op, cause)
        case PutWiring():
            return put_wiring(db, _at_place(db, op), cause)
        case DropWiring(wiring):
            return _drop_wiring(db, wiring, cause)
        case PutStanding(standing):
            return _put_standing(db, standing, cause)
        case DropStanding(standing):
            return _drop_standing(db, standing, cause)
        case PutPerson():
            return _put_person(db, op, cause)
        case PutTask(task):
            return _put_task(db, task, cause)
        case DropTask():
            return _drop_task(db, op, cause)
        case ForgetSession():
            return _forget(db, op, cause)
        case ForgetNotes():
            # They are files: whoever tells the running system takes them away.
            return False
        case PutPolicy(policy):
            return _put_policy(db, policy, cause)
    assert_never(op)


# --- agents ---------------------------------------------------------------------------------------


def _new_agent(db: apsw.Connection, agent: Agent, cause: Cause) -> bool:
    if db.execute("SELECT 1 FROM agent WHERE id = ?", (agent.id,)).fetchone():
        return False
    try:
        db.execute(
            "INSERT INTO agent (id, name, body) VALUES (?, ?, ?)",
            (agent.id, agent.name, _body(agent)),
        )
    except apsw.ConstraintError as error:
        raise _name_taken(agent.name) from error
    cause.tell(db, AuditEntry(event=AuditEvent.AGENT_CREATED, agent=agent.id, name=agent.name))
    return True


def _put_agent(db: apsw.Connection, agent: Agent, cause: Cause) -> bool:
    row = db.execute("SELECT body FROM agent WHERE id = ?", (agent.id,)).fetchone()
    if row is None:
        raise _no_agent(agent.id)
    body = _body(agent)
    if row[0] == body:
        return False
    try:
        db.execute("UPDATE agent SET name = ?, body = ? WHERE id = ?", (agent.name, body, agent.id))
    except apsw.ConstraintError as error:
        raise _name_taken(agent.name) from error
    entry = AuditEntry(
        event=AuditEvent.AGENT_CHANGED, agent=agent.id, name=agent.name, kind=cause.kind or "agent"
    )
    cause.tell(db, entry)
    return True


def _set_archived(db: apsw.Connection, agent: str, cause: Cause, *, archived: bool) -> bool:
    try:
        row = db.execute(
            "UPDATE agent SET archived = ?1 WHERE id = ?2 AND archived <> ?1 RETURNING name",
            (int(archived), agent),
        ).fetchone()
    except apsw.ConstraintError as error:
        raise UserError(
            Code.CONFLICT,
            "Its name belongs to another agent by now.",
            hint="End that one first: `ironclaw agent archive`.",
        ) from error
    if row is None:
        return False
    event = AuditEvent.AGENT_ARCHIVED if archived else AuditEvent.AGENT_RESTORED
    cause.tell(db, AuditEntry(event=event, agent=agent, name=row[0]))
    return True


def _body(agent: Agent) -> bytes:
    """What is kept of an agent beside its columns: those are the only place of lane and archive."""
    return msgspec.msgpack.encode(msgspec.structs.replace(agent, lane=0, archived=False))


# --- chats and wirings ----------------------------------------------------------------------------


def _put_chat(db: apsw.Connection, op: PutChat, cause: Cause) -> bool:
    db.execute(
        "INSERT INTO chat (id, channel, platform_id, title, unknown_sender)"
        " VALUES (?, ?, ?, '', ?) ON CONFLICT (channel, platform_id) DO NOTHING",
        (op.chat, op.channel, op.platform_id, UnknownSender.DROP.value),
    )
    made = db.changes() == 1
    if op.strangers is None:
        return made
    (chat,) = _chat_at(db, op.channel, op.platform_id)
    return _set_strangers(db, chat, op.strangers, cause) or made


def _set_strangers(
    db: apsw.Connection, chat: ChatId, strangers: UnknownSender, cause: Cause
) -> bool:
    db.execute(
        "UPDATE chat SET unknown_sender = ?1 WHERE id = ?2 AND unknown_sender <> ?1",
        (strangers.value, chat),
    )
    if not db.changes():
        return False
    cause.tell(db, AuditEntry(event=AuditEvent.CHAT_POLICY, chat=chat, reason=strangers.value))
    return True


def _at_place(db: apsw.Connection, op: PutWiring) -> Wiring:
    (chat,) = _chat_at(db, op.channel, op.platform_id)
    return msgspec.structs.replace(op.wiring, chat=chat)


def _chat_at(db: apsw.Connection, channel: str, platform_id: str) -> tuple[ChatId]:
    row: tuple[ChatId] | None = db.execute(
        "SELECT id FROM chat WHERE channel = ? AND platform_id = ?", (channel, platform_id)
    ).fetchone()
    if row is None:
        raise _nothing_to_wire()
    return row


def put_wiring(db: apsw.Connection, wiring: Wiring, cause: Cause) -> bool:
    """Wire a chat, by its id, to an agent; see `execute`."""
    try:
        db.execute(
            "INSERT INTO wiring VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (
                wiring.id, wiring.chat, wiring.agent, wiring.engage.value, wiring.pattern,
                wiring.sender_scope.value, wiring.ignored.value, wiring.partition.value,
                wiring.priority,
            ),
        )  # fmt: skip
    except apsw.ConstraintError as error:
        raise _nothing_to_wire() from error
    if not db.changes():
        return False
    entry = AuditEntry(
        event=AuditEvent.WIRING_MADE, wiring=wiring.id, chat=wiring.chat, agent=wiring.agent
    )
    cause.tell(db, entry)
    return True


def _drop_wiring(db: apsw.Connection, wiring: str, cause: Cause) -> bool:
    gone = db.execute("DELETE FROM wiring WHERE id = ? RETURNING chat, agent", (wiring,)).fetchone()
    if gone is None:
        return False
    db.execute("DELETE FROM sticky WHERE wiring = ?", (wiring,))
    entry = AuditEntry(event=AuditEvent.WIRING_REMOVED, wiring=wiring, chat=gone[0], agent=gone[1])
    cause.tell(db, entry)
    return True


# --- people ---------------------------------------------------------------------------------------


def _put_standing(db: apsw.Connection, standing: Standing, cause: Cause) -> bool:
    db.execute(
        "INSERT INTO standing VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (standing.principal, standing.role.value, standing.agent or ""),
    )
    return _tell_standing(db, AuditEvent.ROLE_GIVEN, standing, cause)


def _drop_standing(db: apsw.Connection, standing: Standing, cause: Cause) -> bool:
    db.execute(
        "DELETE FROM standing WHERE principal = ? AND role = ? AND agent = ?",
        (standing.principal, standing.role.value, standing.agent or ""),
    )
    return _tell_standing(db, AuditEvent.ROLE_TAKEN, standing, cause)


def _tell_standing(
    db: apsw.Connection, event: AuditEvent, standing: Standing, cause: Cause
) -> bool:
    if not db.changes():
        return False
    entry = AuditEntry(
        event=event,
        principal=standing.principal,
        role=standing.role.value,
        agent=standing.agent,
    )
    cause.tell(db, entry)
    return True


def _put_person(db: apsw.Connection, op: PutPerson, cause: Cause) -> bool:
    if op.principal == op.person:
        if not person_links.part(db, op.principal):
            return False
        entry = AuditEntry(event=AuditEvent.PERSON_UNLINKED, principal=op.principal)
    else:
        if not person_links.join(db, op.principal, op.person):
            return False
        entry = AuditEntry(event=AuditEvent.PERSON_LINKED, principal=op.principal, person=op.person)
    cause.tell(db, entry)
    return True


# --- tasks, sessions, policy ----------------------------------------------------------------------


def _put_task(db: apsw.Connection, task: Task, cause: Cause) -> bool:
    # When it is due is the scheduler's to say.
    if db.execute("SELECT 1 FROM task WHERE id = ?", (task.id,)).fetchone():
        if not change_task(db, task):
            return False
        entry = AuditEntry(
            event=AuditEvent.TASK_CHANGED,
            task=task.id,
            agent=task.agent,
            name=task.name,
            kind=cause.kind or "task",
        )
        cause.tell(db, entry)
        return True
    try:
        db.execute(
            "INSERT INTO task (id, agent, name, body) VALUES (?, ?, ?, ?)",
            (task.id, task.agent, task.name, msgspec.msgpack.encode(task)),
        )
    except apsw.ConstraintError as error:
        raise UserError(
            Code.CONFLICT,
            f"The agent has a task named {task.name} already, or is not there.",
            hint="Choose another name: `ironclaw task list` shows those taken.",
        ) from error
    cause.tell(
        db,
        AuditEntry(event=AuditEvent.TASK_MADE, task=task.id, agent=task.agent, name=task.name),
    )
    return True


def _drop_task(db: apsw.Connection, op: DropTask, cause: Cause) -> bool:
    row = db.execute("DELETE FROM task WHERE id = ? RETURNING agent, name", (op.task,)).fetchone()
    if row is None:
        return False
    db.execute("DELETE FROM task_run WHERE task = ?", (op.task,))
    cause.tell(
        db, AuditEntry(event=AuditEvent.TASK_REMOVED, task=op.task, agent=row[0], name=row[1])
    )
    return True


def _forget(db: apsw.Connection, op: ForgetSession, cause: Cause) -> bool:
    if not forget(db, op.session):
        return False
    cause.tell(
        db, AuditEntry(event=AuditEvent.SESSION_FORGOTTEN, session=op.session, agent=op.agent)
    )
    return True


def _put_policy(db: apsw.Connection, policy: Policy, cause: Cause) -> bool:
    body = msgspec.json.encode(policy, order="sorted").decode()
    db.execute(
        "INSERT INTO policy (one, body) VALUES (1, ?1) ON CONFLICT (one)"
        " DO UPDATE SET body = ?1 WHERE body <> ?1",
        (body,),
    )
    if not db.changes():
        return False
    cause.tell(db, AuditEntry(event=AuditEvent.POLICY_CHANGED))
    return True


# --- errors ---------------------------------------------------------------------------------------


def _name_taken(name: str) -> UserError:
    return UserError(Code.CONFLICT, f"There is an agent named {name} already.", hint=_TAKEN)


def _no_agent(agent: str) -> UserError:
    return UserError(
        Code.NOT_FOUND,
        f"There is no agent {agent[:80]!r}.",
        hint="`ironclaw agent list` shows those there are.",
    )


def _nothing_to_wire() -> UserError:
    return UserError(
        Code.NOT_FOUND,
        "The chat or the agent of this wiring does not exist.",
        hint="Make them first.",
    )
