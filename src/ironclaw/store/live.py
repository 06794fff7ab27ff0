"""The live state that a spec asks for, all of one moment. Used inside transactions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.changes.base import Live
from ironclaw.domain.model import Role, Task
from ironclaw.domain.policy import DEFAULT, Policy
from ironclaw.store.agent_rows import AGENT, as_agent
from ironclaw.store.faults import edited
from ironclaw.store.person_links import joined_to, person_of
from ironclaw.store.session_rows import SESSION, as_session
from ironclaw.store.standing_rows import standings_of
from ironclaw.store.wiring_rows import CHAT, WIRING, as_chat, as_wiring

if TYPE_CHECKING:
    import apsw

    from ironclaw.domain.changes.base import HostDir, House, Needs
    from ironclaw.domain.model import Agent, Chat, Session, Wiring


def load(
    db: apsw.Connection, needs: Needs, *, house: House, directory: HostDir | None = None
) -> Live:
    """Everything that `needs` names and the store has; who is an owner, always.

    Args:
        db: In a transaction.
        needs: What a spec asks for.
        house: What does not change, and the time.
        directory: What is at `needs.path`.

    Raises:
        HostError: `STORE_CORRUPT`.
    """
    agent = None if needs.agent is None else _agent(db, needs.agent)
    chat, wirings = _chat(db, needs)
    owners = _owners(db)
    task = None if needs.task is None else _task(db, *needs.task)
    owned_by = needs.agent if needs.task is None else needs.task[0]
    return Live(
        house=house,
        policy=policy_of(db),
        agent=agent,
        named=_named(db, needs, agent),
        chat=chat,
        wirings=wirings,
        standings=() if needs.principal is None else standings_of(db, needs.principal),
        owners=owners,
        owner_persons=tuple(sorted({person_of(db, one) for one in owners})),
        person=None if needs.principal is None else person_of(db, needs.principal),
        tokens=0 if needs.principal is None else _tokens(db, needs.principal, house.now_ms),
        joined=() if needs.principal is None else joined_to(db, needs.principal),
        other_person=None if needs.other is None else person_of(db, needs.other),
        session=None if needs.session is None else _session(db, needs.session),
        task=task,
        tasks=0 if owned_by is None else _count(db, _TASKS, owned_by),
        agents=_count(db, _AGENTS),
        directory=directory if needs.path is not None else None,
        peer=None if needs.peer is None else _peer(db, needs.peer),
    )


def policy_of(db: apsw.Connection) -> Policy:
    """The policy in force. One that cannot be read is an error, never the default."""
    row = db.execute("SELECT body FROM policy").fetchone()
    if row is None:
        return DEFAULT
    try:
        return msgspec.json.decode(row[0], type=Policy)
    except (ValueError, RecursionError) as error:
        raise edited(f"policy: {error}") from error


def _tokens(db: apsw.Connection, principal: PrincipalId, now_ms: int) -> int:
    rows = db.execute(
        "SELECT count(*) FROM token WHERE principal = ? AND revoked_ms IS NULL"
        " AND ifnull(expires_ms > ?, 1)",
        (principal, now_ms),
    )
    ((count,),) = list(rows)
    return int(count)


_TASKS: Final = "SELECT count(*) FROM task WHERE agent = ?"
_AGENTS: Final = "SELECT count(*) FROM agent WHERE archived = 0"


def _count(db: apsw.Connection, query: str, *values: str) -> int:
    ((count,),) = list(db.execute(query, values))
    return int(count)


def _agent(db: apsw.Connection, agent: AgentId) -> Agent | None:
    row = db.execute(f"{AGENT} WHERE id = ?", (agent,)).fetchone()
    return None if row is None else as_agent(*row)


def _named(db: apsw.Connection, needs: Needs, agent: Agent | None) -> Agent | None:
    """Who has the name that was asked for, or that an archived agent would need back."""
    name = needs.agent_name
    if name is None and agent is not None and agent.archived:
        name = agent.name
    row = db.execute(f"{AGENT} WHERE name = ? AND archived = 0", (name,)).fetchone()
    return None if row is None else as_agent(*row)


def _peer(db: apsw.Connection, ref: str) -> Agent | None:
    """Another agent: by its name, if it is there, or by its id."""
    row = db.execute(
        f"{AGENT} WHERE id = ?1 OR (name = ?1 AND archived = 0) ORDER BY id <> ?1", (ref,)
    ).fetchone()
    return None if row is None else as_agent(*row)


def _chat(db: apsw.Connection, needs: Needs) -> tuple[Chat | None, tuple[Wiring, ...]]:
    if needs.wiring is not None:
        rows = list(db.execute(f"{WIRING} WHERE id = ?", (needs.wiring,)))
        chats = [db.execute(f"{CHAT} WHERE id = ?", (row[1],)).fetchone() for row in rows]
        return (
            next((as_chat(*row) for row in chats if row is not None), None),
            tuple(as_wiring(*row) for row in rows),
        )
    if needs.place is None:
        return None, ()
    row = db.execute(f"{CHAT} WHERE channel = ? AND platform_id = ?", needs.place).fetchone()
    if row is None:
        return None, ()
    wirings = db.execute(f"{WIRING} WHERE chat = ? ORDER BY priority DESC, id", (row[0],))
    return as_chat(*row), tuple(as_wiring(*wiring) for wiring in wirings)


def _owners(db: apsw.Connection) -> tuple[PrincipalId, ...]:
    rows = db.execute(
        "SELECT principal FROM standing WHERE role = ? AND agent = '' ORDER BY principal",
        (Role.OWNER.value,),
    )
    return tuple(PrincipalId(principal) for (principal,) in rows)


def _session(db: apsw.Connection, session: str) -> Session | None:
    row = db.execute(f"{SESSION} WHERE id = ?", (session,)).fetchone()
    return None if row is None else as_session(*row)


def _task(db: apsw.Connection, agent: AgentId, name: str) -> Task | None:
    row = db.execute("SELECT body FROM task WHERE agent = ? AND name = ?", (agent, name)).fetchone()
    return None if row is None else msgspec.msgpack.decode(row[0], type=Task)
