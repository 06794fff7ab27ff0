"""Sessions, and which of them has which place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChatId, SessionId
from ironclaw.domain.model import Partition, Session, SessionState
from ironclaw.store.rows import Memory, Rows

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.domain.routing import Seat
    from ironclaw.store.engine import Store

SESSION: Final = (
    "SELECT id, agent, chat, thread, partition, state, reason, epoch, out_seq, out_hash,"
    " created_ms, active_ms, workspace FROM session"
)
_PLACED: Final = (
    f"SELECT s.*, c.channel, c.platform_id FROM ({SESSION}) s"  # noqa: S608 - constants alone
    " LEFT JOIN chat c ON c.id = s.chat"
)
"""The same with the channel of the chat and its id there."""


class Pending(NamedTuple):
    """A session and how many of its messages wait for an answer."""

    session: Session
    pending: int
    questions: int
    """Those that its turn waits for people to answer."""
    place: tuple[str, str] | None
    """Channel of its chat, and the chat's id there; None where several chats have it in common."""


class SessionRows(Rows):
    """The table of sessions."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._seats: Memory[str, SessionId] = Memory()

    async def session(self, session: SessionId) -> Session:
        """One session as it is now. Raises UserError (`NOT_FOUND`), HostError."""
        row = await self._store.read(
            lambda db: db.execute(f"{SESSION} WHERE id = ?", (session,)).fetchone()
        )
        if row is None:
            raise UserError(
                Code.NOT_FOUND,
                f"There is no session {session[:80]!r}.",
                hint="`ironclaw session list` shows those there are.",
            )
        return as_session(*row)

    async def seated(self, seat: Seat) -> SessionId | None:
        """The session of that seat, if it has begun. Raises HostError."""
        if (known := self._seats.get(seat.key)) is not None:
            return known
        generation = self._seats.generation
        row = await self._store.read(
            lambda db: db.execute("SELECT id FROM session WHERE place = ?", (seat.key,)).fetchone()
        )
        if row is None:
            return None
        self._seats.put(seat.key, SessionId(row[0]), generation=generation)
        return SessionId(row[0])

    async def add_session(self, session: SessionId, seat: Seat) -> bool:
        """Begin a session whose keys exist already.

        Returns:
            False when another one has that seat; nothing was kept then.

        Raises:
            HostError: From the store.
        """
        now = self._clock.now_ms()

        def work(db: apsw.Connection) -> bool:
            db.execute(
                "INSERT INTO session (id, place, agent, chat, thread, partition, created_ms,"
                " active_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (place) DO NOTHING",
                (
                    session, seat.key, seat.agent, seat.chat, seat.thread, seat.partition.value,
                    now, now,
                ),
            )  # fmt: skip
            return db.changes() == 1

        return await self._store.write(work)

    async def unseat(self, session: SessionId) -> None:
        """Let the next message of its seat begin a new session. Idempotent. Raises HostError."""
        await self._store.write(
            lambda db: db.execute("UPDATE session SET place = NULL WHERE id = ?", (session,))
        )
        self._seats.empty()

    def look_again(self) -> None:
        """A session was unseated in a transaction of somebody else."""
        self._seats.empty()

    async def sessions(self, *, agent: AgentId | None = None) -> list[Pending]:
        """Sessions, newest activity first, with their pending counts. Raises HostError."""
        where = "" if agent is None else " WHERE s.agent = ?1"

        def work(db: apsw.Connection) -> list[Pending]:
            counts: dict[str, int] = dict(
                list(
                    db.execute(
                        "SELECT session, count(*) FROM message WHERE open = 1 AND engage = 1"
                        " GROUP BY session"
                    )
                )
            )
            rows = db.execute(
                f"{_PLACED}{where} ORDER BY s.active_ms DESC, s.id",
                () if agent is None else (agent,),
            )
            asks: dict[str, int] = dict(
                list(
                    db.execute(
                        "SELECT session, count(*) FROM question WHERE status = 'open'"
                        " GROUP BY session"
                    )
                )
            )
            return [
                Pending(
                    as_session(*row),
                    counts.get(row[0], 0),
                    asks.get(row[0], 0),
                    None if channel is None else (channel, platform_id),
                )
                for *row, channel, platform_id in list(rows)
            ]

        return await self._store.read(work)

    async def waiting(self) -> list[SessionId]:
        """Sessions with messages to answer: whom to wake after a restart. Raises HostError."""
        rows = await self._store.read(
            lambda db: list(
                db.execute(
                    # One whose turn waits for people has nothing to do until they answer.
                    "SELECT DISTINCT session FROM message m WHERE open = 1 AND engage = 1"
                    " AND NOT EXISTS (SELECT 1 FROM question q WHERE q.session = m.session"
                    " AND q.status = 'open')"
                )
            )
        )
        return [SessionId(row[0]) for row in rows]

    async def workspaces(self) -> set[str]:
        """Names of the workspaces that sessions have. Raises HostError."""
        rows = await self._store.read(
            lambda db: list(db.execute("SELECT workspace FROM session WHERE workspace <> ''"))
        )
        return {row[0] for row in rows}


def as_session(  # noqa: PLR0917 - the columns, in their order
    id_: str,
    agent: str,
    chat: str | None,
    thread: str | None,
    partition: str,
    state: str,
    reason: str,
    epoch: int,
    out_seq: int,
    out_hash: bytes,
    created_ms: int,
    active_ms: int,
    workspace: str,
) -> Session:
    """A row as a value."""
    return Session(
        id=SessionId(id_),
        agent=AgentId(agent),
        chat=None if chat is None else ChatId(chat),
        thread=thread,
        partition=Partition(partition),
        state=SessionState(state),
        reason=reason,
        epoch=epoch,
        out_seq=out_seq,
        out_hash=out_hash,
        created_ms=created_ms,
        active_ms=active_ms,
        workspace=workspace,
    )
