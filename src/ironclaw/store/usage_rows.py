"""What agents have used of their models, by UTC day. Only of agents that have a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.domain.model import Usage

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import AgentId
    from ironclaw.store.engine import Store

KEPT_DAYS: Final = 31
"""Days of one agent, the newest, of which anything is remembered."""


class UsageRows:
    """The table of usage. All methods raise HostError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def usage(self, agent: AgentId, day: int) -> Usage:
        """What one agent has used in a day.

        Args:
            agent: Whose.
            day: Days since 1970-01-01, UTC.
        """
        return await self._store.read(lambda db: _used(db, agent, day))

    async def reserve(
        self,
        agent: AgentId,
        day: int,
        *,
        tokens: int,
        calls_most: int | None,
        tokens_most: int | None,
    ) -> bool:
        """Count one more call and its tokens, unless as much is used as may be. Durable on return.

        Args:
            agent: Whose.
            day: Days since 1970-01-01, UTC.
            tokens: What it is thought to cost; `settle` corrects that.
            calls_most: Calls in a day.
            tokens_most: Tokens in a day: no call begins when that many are used.

        Returns:
            False when it is spent; nothing is counted then.
        """

        def work(db: apsw.Connection) -> bool:
            used = _used(db, agent, day)
            if calls_most is not None and used.calls >= calls_most:
                return False
            if tokens_most is not None and used.tokens >= tokens_most:
                return False
            _add(db, agent, day, calls=1, tokens=tokens)
            if not used.calls:
                db.execute(
                    "DELETE FROM usage WHERE agent = ? AND day <= ?", (agent, day - KEPT_DAYS)
                )
            return True

        return await self._store.write(work)

    async def settle(self, agent: AgentId, day: int, *, tokens: int) -> None:
        """Correct what a call of that day was thought to cost.

        Args:
            agent: Whose.
            day: The day that it was counted in.
            tokens: The difference; negative when it was less.
        """
        await self._store.write(lambda db: _add(db, agent, day, calls=0, tokens=tokens))


def _used(db: apsw.Connection, agent: AgentId, day: int) -> Usage:
    row = db.execute(
        "SELECT calls, tokens FROM usage WHERE agent = ? AND day = ?", (agent, day)
    ).fetchone()
    return Usage() if row is None else Usage(calls=row[0], tokens=row[1])


def _add(db: apsw.Connection, agent: AgentId, day: int, *, calls: int, tokens: int) -> None:
    db.execute(
        "INSERT INTO usage (agent, day, calls, tokens) VALUES (?1, ?2, ?3, max(0, ?4))"
        " ON CONFLICT (agent, day) DO UPDATE SET calls = calls + ?3, tokens = max(0, tokens + ?4)",
        (agent, day, calls, tokens),
    )
