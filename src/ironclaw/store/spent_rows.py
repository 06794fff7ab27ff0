"""What models were used for, by day, agent, session and model: kept, asked for, reserved.

note -> (at most a second) -> rows          where no budget holds: nobody waits for the disk
reserve -> add                              where one does: decided and durable in one transaction

No content and no price of a token is in it. What was reserved and never corrected, because the core
died, stays as it was reserved.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from ironclaw.core.errors import HostError
from ironclaw.core.ids import MessageId, SessionId, new_id
from ironclaw.core.log import get_logger
from ironclaw.domain.model import MessageStatus, SessionState
from ironclaw.domain.spending import MOST, Amounts, Grant, Row, Spent, Used
from ironclaw.services.usage import UsageLine
from ironclaw.store.content import Content
from ironclaw.store.message_rows import HOST, Target, add_delivery, find_target, seal_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId
    from ironclaw.domain.model import Delivery
    from ironclaw.store.content import ContentKeys
    from ironclaw.store.engine import Store

KEPT_DAYS: Final = 400
"""Days of which anything is remembered."""
BEHIND_S: Final = 1.0
"""How long what no budget asks for may be unwritten."""
MOST_ROWS: Final = 2000
"""Of one report."""

_COLUMNS: Final = ", ".join(Amounts._fields)
_SUMS: Final = ", ".join(f"ifnull(sum({name}), 0)" for name in Amounts._fields)


def _adding(table: str, *names: str) -> str:
    """What adds to a row of a table that `names` tell, or makes it."""
    first = len(names) + 1
    places = [f"?{n}" for n in range(1, first)]
    values = {name: f"?{first + n}" for n, name in enumerate(Amounts._fields)}
    return (
        f"INSERT INTO {table} ({', '.join(names)}, {_COLUMNS}) VALUES ({', '.join(places)}, "  # noqa: S608 - constants
        f"{', '.join(f'min({MOST}, max(0, {value}))' for value in values.values())})"
        f" ON CONFLICT ({', '.join(names)}) DO UPDATE SET "
        + ", ".join(
            f"{name} = min({MOST}, max(0, {name} + {value}))" for name, value in values.items()
        )
    )


_ADD: Final = _adding("spent", "agent", "day", "session", "model")
_ADD_DAY: Final = _adding("spent_day", "agent", "day")
_OF_DAY: Final = f"SELECT {_COLUMNS} FROM spent_day WHERE agent = ? AND day = ?"  # noqa: S608 - constants
_OF_SESSION: Final = f"SELECT {_SUMS} FROM spent WHERE session = ?"  # noqa: S608 - constants
_NOTICE: Final = "INSERT INTO spent_notice VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"

_log = get_logger("spending")
_T = TypeVar("_T")


class SpentRows:
    """The table. Methods raise HostError.

    Args:
        store: Where it is.
        keys: Seal what people are told.
        clock: When they were.
    """

    def __init__(self, store: Store, keys: ContentKeys, clock: Clock) -> None:
        self._store = store
        self._content = Content(keys)
        self._clock = clock
        self._noted: dict[Row, Amounts] = {}
        self._news = asyncio.Event()
        self._swept_day = 0

    # --- counting ---------------------------------------------------------------------------------

    def note(self, key: Row, amounts: Amounts) -> None:
        """Count it; it is durable within `BEHIND_S` seconds, while `keep` runs."""
        self._noted[key] = self._noted.get(key, Amounts()).plus(amounts)
        self._news.set()

    async def keep(self) -> None:
        """Write what was noted, until cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(BEHIND_S)
            try:
                await self.flush()
            except HostError as error:
                _log.error("usage_not_written", code=error.code, detail=error.detail)

    async def flush(self) -> None:
        """Write what was noted by now."""
        self._news.clear()
        if self._noted:
            await self._write(lambda _db: None)

    async def reserve(self, key: Row, decide: Callable[[Used], Grant | Spent]) -> Grant | Spent:
        """Decide over what was used by now, and count what is granted. Durable on return."""

        def work(db: apsw.Connection) -> Grant | Spent:
            decided = decide(_used(db, key))
            if isinstance(decided, Grant):
                _add(db, key, decided.reserved)
            return decided

        return await self._write(work)

    async def add(self, key: Row, amounts: Amounts) -> Used:
        """Add to a row, or take from it; what is used by then. Durable on return."""

        def work(db: apsw.Connection) -> Used:
            _add(db, key, amounts)
            return _used(db, key)

        return await self._write(work)

    async def used(self, agent: AgentId, day: int, session: SessionId) -> Used:
        """What an agent has used in a day, and in a session from its beginning on."""
        await self.flush()
        key = Row(agent, day, session, "")
        return await self._store.read(lambda db: _used(db, key))

    async def report(
        self,
        *,
        by: Iterable[str],
        first: int,
        last: int,
        agent: AgentId | None = None,
        session: SessionId | None = None,
    ) -> list[UsageLine]:
        """What was used from a day to a day, both within, by any of the four names of `Row`.

        Sums of the newest days and of the dearest first, at most `MOST_ROWS`.
        """
        await self.flush()
        kept = [name for name in Row._fields if name in set(by)]
        shown = [name if name in kept else ("0" if name == "day" else "''") for name in Row._fields]
        wanted = ["day >= ?", "day <= ?"]
        values: list[str | int] = [first, last]
        if agent is not None:
            wanted.append("agent = ?")
            values.append(agent)
        if session is not None:
            wanted.append("session = ?")
            values.append(session)
        newest = "day DESC, " if "day" in kept else ""
        text = (
            f"SELECT {', '.join(shown)}, {_SUMS} FROM spent WHERE {' AND '.join(wanted)}"  # noqa: S608 - constants
            f"{' GROUP BY ' + ', '.join(kept) if kept else ''}"
            " HAVING sum(calls + input_tokens + output_tokens) > 0"
            f" ORDER BY {newest}sum(micros) DESC, sum(input_tokens + output_tokens) DESC LIMIT ?"
        )
        rows = await self._store.read(lambda db: list(db.execute(text, (*values, MOST_ROWS))))
        return [UsageLine(row[0], row[1], row[2], row[3], Amounts(*row[4:])) for row in rows]

    # --- telling ----------------------------------------------------------------------------------

    async def warn(
        self, key: Row, turn: str, *, budget: str, window: str, most: int, text: str
    ) -> Delivery | None:
        """Tell people once of a budget in its window, where the turn was begun.

        Args:
            key: Whose agent and session.
            turn: The message that it is about, as a box says.
            budget: The name of the budget.
            window: The day or the session that it is for.
            most: The limit: a raised one is told of anew.
            text: The host's own words.

        Returns:
            What is to be delivered; None when it was told before, or there is nobody to tell.
        """
        now = self._clock.now_ms()

        def work(db: apsw.Connection) -> Delivery | None:
            target = find_target(db, turn)
            if target is None or target.session != key.session or not _is_active(db, key.session):
                return None
            db.execute(_NOTICE, (key.agent, budget, window, most, key.day))
            if not db.changes():
                return None
            about = self._row_of_its_own(db, target, now_ms=now)
            return add_delivery(
                db,
                self._content,
                key=f"budget/{budget}/{window}/{most}",
                target=about,
                text=text,
                by_host=True,
                now_ms=now,
            )

        return await self._write(work)

    def _row_of_its_own(self, db: apsw.Connection, target: Target, *, now_ms: int) -> Target:
        """A message that nobody sent, for the words to belong to.

        They answer nothing: who waits for the answer to what was asked would take them for it.
        """
        id_ = MessageId(new_id("msg"))
        sealed = seal_words(self._content, target.session, id_, HOST, "")
        db.execute(
            "INSERT INTO message (event, id, session, chat, thread, external_id, sealed, at_ms,"
            " engage, status, open) VALUES (0, ?, ?, ?, ?, ?, ?, ?, 0, ?, 0)",
            (
                id_, target.session, target.chat, target.thread, f"\nnotice/{id_}", sealed, now_ms,
                MessageStatus.HANDLED.value,
            ),
        )  # fmt: skip
        return target._replace(id=id_, n=db.last_insert_rowid())

    # --- parts ------------------------------------------------------------------------------------

    async def _write(self, work: Callable[[apsw.Connection], _T]) -> _T:
        """Write what was noted, then `work`, in one transaction."""
        noted, self._noted = self._noted, {}
        day = max((key.day for key in noted), default=self._swept_day)
        sweeps = day > self._swept_day

        def whole(db: apsw.Connection) -> _T:
            for key, amounts in noted.items():
                _add(db, key, amounts)
            if sweeps:
                for table in ("spent", "spent_day", "spent_notice"):
                    db.execute(f"DELETE FROM {table} WHERE day <= ?", (day - KEPT_DAYS,))  # noqa: S608 - constants
            return work(db)

        try:
            done = await self._store.write(whole)
        except HostError:
            for key, amounts in noted.items():
                self.note(key, amounts)
            raise
        self._swept_day = day
        return done


def _used(db: apsw.Connection, key: Row) -> Used:
    of_day = db.execute(_OF_DAY, (key.agent, key.day)).fetchone() or ()
    (of_session,) = list(db.execute(_OF_SESSION, (key.session,)))
    return Used(Amounts(*of_day), Amounts(*of_session))


def _add(db: apsw.Connection, key: Row, amounts: Amounts) -> None:
    # Beyond the store's numbers nothing of anybody could be written with it.
    bounded = [max(-MOST, min(MOST, one)) for one in amounts]
    db.execute(_ADD, (*key, *bounded))
    db.execute(_ADD_DAY, (key.agent, key.day, *bounded))


def _is_active(db: apsw.Connection, session: SessionId) -> bool:
    row = db.execute(
        "SELECT 1 FROM session WHERE id = ? AND state = ?", (session, SessionState.ACTIVE.value)
    ).fetchone()
    return row is not None
