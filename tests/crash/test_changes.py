"""The gateway under kill -9: whatever the moment, a change is exactly applied or exactly not.

A child goes through changes of every kind and kills itself at a named point: before, within and
after each transaction, around each audit record, around and within the word to the running system.
The next one finishes what it left. This test then replays the audit, on a model of its own.
"""

from __future__ import annotations

import collections
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec
import pytest
from tests.support.change_driver import op_of, open_driven, read_reached
from tests.support.change_house import HOUSE, directory_at, prepare, read_stage, snapshot
from tests.support.change_script import KINDS

from ironclaw.core.ids import ChangeId
from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.audit_check import Walked
from ironclaw.domain.change import Status
from ironclaw.domain.changes.base import NewAgent, PutAgent
from ironclaw.domain.gateway import tag_of
from ironclaw.domain.overtaking import overtaken_by
from ironclaw.keys.signer import AuditSigner
from ironclaw.store.audit_walk import walk_store
from ironclaw.testing.audits import auditing_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.change_driver import Driven

    from ironclaw.domain.audit import AuditRecord
    from ironclaw.domain.change import Row
    from ironclaw.domain.changes.base import Live, Op, Spec
    from ironclaw.testing.fake_setting import Setting

pytestmark = pytest.mark.crash

STEPS: Final = (
    "request submit",
    "act decide",
    "act applied",
    "act done",
    "act withdrawn",
    "act expired",
    "act escalated",
    "end_grant revoked",
    "end_grant ended",
    "reached",
    "inform",
)
POINTS: Final = (
    *(f"{step}: {when}" for step in STEPS for when in ("before", "within", "after")),
    *(f"reach: {when}" for when in ("before", "within", "after")),
    *(f"audit: {when}" for when in ("before", "after")),
)
KILLS: Final = 5
"""At each point."""
MOST_LIVES: Final = 400
LOOK_EVERY: Final = 12
AHEAD_MS: Final = 2 * 3600 * 1000
"""The clock goes on by so much between two lives."""
CHANGES: Final = 200
_HERE = Path(__file__).parents[2]
_EFFECTS: Final = frozenset(AuditEvent) - {
    AuditEvent.CHANGE_REQUESTED,
    AuditEvent.CHANGE_REFUSED,
    AuditEvent.CHANGE_DECIDED,
    AuditEvent.CHANGE_APPLIED,
    AuditEvent.CHANGE_DONE,
    AuditEvent.CHANGE_FAILED,
    AuditEvent.CHANGE_EXPIRED,
    AuditEvent.CHANGE_ESCALATED,
    AuditEvent.CHANGE_WITHDRAWN,
    AuditEvent.CHANGE_OVERTAKEN,
    AuditEvent.GRANT_GIVEN,
    AuditEvent.GRANT_REVOKED,
    AuditEvent.GRANT_EXPIRED,
}
"""Records of something that is otherwise than before."""


@pytest.mark.timeout(180)
async def test_kill_9_at_every_step_leaves_each_change_applied_or_not(
    tmp_path: Path, tell: Callable[[str], None]
) -> None:
    await prepare(tmp_path)
    async with open_driven(tmp_path) as driven:
        replay = Replay(await driven.core.store.read(snapshot), await records(driven, 0))
    kills: collections.Counter[str] = collections.Counter()
    tries: collections.Counter[str] = collections.Counter()
    life = 0
    with Child(tmp_path) as child:
        # Which kinds come through is up to the kills, so it goes on unkilled until each has.
        while life < MOST_LIVES and (
            min(kills[point] for point in POINTS) < KILLS
            or {tag_of(spec) for spec in replay.applied.values()} != set(KINDS)
        ):
            point = min(POINTS, key=lambda one: (kills[one], tries[one]))
            if kills[point] >= KILLS:
                point = ""
            tries[point] += 1
            # A later time it comes there: another change is under way then.
            often = 2 if tries[point] == KILLS else 1
            how = child.live(life, often, life * AHEAD_MS, point)
            assert how in {"killed", "0"}, f"life {life}, {point}: {how}"
            kills[point] += how == "killed"
            if life % LOOK_EVERY == 0:
                await look(tmp_path, life, replay)
            life += 1
        await look(tmp_path, life, replay)

    assert {point: kills[point] for point in POINTS if kills[point] < KILLS} == {}
    done = collections.Counter(tag_of(spec) for spec in replay.applied.values())
    assert set(done) == set(KINDS)
    assert len(replay.requested) >= CHANGES
    tell(
        f"changes: {len(replay.requested)} asked for, {len(replay.applied)} applied, "
        f"{replay.ended} taken back, over {sum(kills.values())} kills at {len(POINTS)} points"
    )


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("weakness", "says"),
    [
        ("forgetful", "died of itself"),
        ("mute", "not all was told"),
        ("silent", "an effect without an approval"),
    ],
)
async def test_a_weaker_core_is_seen(tmp_path: Path, weakness: str, says: str) -> None:
    """Twins of the above: what is taken from the core is what is missed."""
    await prepare(tmp_path)
    async with open_driven(tmp_path) as driven:
        replay = Replay(await driven.core.store.read(snapshot), await records(driven, 0))
    with Child(tmp_path, weakness) as child:
        ends = {child.live(0, 1, 0, "act done: after"), child.live(1, 1, 0, "act applied: before")}
        ends.add(child.live(2, 1, 0, ""))
    with pytest.raises(AssertionError, match=says):
        await look_well(tmp_path, ends, replay)


async def look_well(state: Path, ends: set[str], replay: Replay) -> None:
    """Look at what some lives left, and at how they ended."""
    assert ends <= {"killed", "0"}, "died of itself"
    await look(state, 3, replay)


class Child:
    """The driver: a process that lives many lives."""

    def __init__(self, state: Path, *weakness: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.change_driver", str(state), *weakness],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_HERE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_HERE), *sys.path])},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def live(self, life: int, often: int, ahead_ms: int, point: str) -> str:
        """One life; `killed`, or its exit code."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{life} {often} {ahead_ms} {point}\n")
        stdin.flush()
        return stdout.readline().strip()


class Replay:
    """What the audit says has happened, carried out on a model in memory.

    Args:
        now: The state before the first change.
        before: Records of how that came to be.
    """

    def __init__(self, now: Setting, before: list[AuditRecord]) -> None:
        self.now = now
        self.last = before[-1].number if before else 0
        self.requested: set[ChangeId] = set()
        self.approved: set[ChangeId] = set()
        self.applied: dict[ChangeId, Spec] = {}
        self.done: set[ChangeId] = set()
        self.overtaken: set[ChangeId] = set()
        self.ended = 0
        self.told: set[Op] = set()
        """What the running system must have been told."""
        self._ways_back: dict[ChangeId, Spec | None] = {}

    def take(self, record: AuditRecord, rows: dict[ChangeId, Row]) -> None:
        """Go on by one record."""
        assert record.number == self.last + 1
        self.last = record.number
        if record.event is AuditEvent.CHANGE_REFUSED:
            return
        assert record.change is not None, f"an effect that nobody asked for: {record}"
        row = rows[ChangeId(record.change)]
        id_, spec = row.change.id, row.change.spec
        match record.event:
            case AuditEvent.CHANGE_REQUESTED:
                assert record.digest == row.hash
                self.requested.add(id_)
            case AuditEvent.CHANGE_DECIDED if record.reason == "approved":
                assert id_ in self.requested
                assert record.digest == row.hash
                self.approved.add(id_)
            case AuditEvent.CHANGE_APPLIED:
                assert id_ in self.approved, "an effect without an approval"
                assert id_ not in self.applied, "an effect twice"
                self.applied[id_] = spec
                live = self._live(spec, record)
                self._ways_back[id_] = spec.inverse(live, id_)
                self._put(spec.ops(live, id_))
            case AuditEvent.GRANT_REVOKED | AuditEvent.GRANT_EXPIRED:
                assert id_ in self.applied
                self.ended += 1
                inverse = self._ways_back[id_]
                assert inverse is not None
                way = spec.way_back(self._live(spec, record), inverse)
                assert (way is None) == (record.reason == "replaced")
                if way is not None:
                    self._put(way.ops(self._live(way, record), id_))
            case AuditEvent.CHANGE_DONE:
                assert id_ in self.applied
                assert id_ not in self.done
                self.done.add(id_)
            case AuditEvent.CHANGE_OVERTAKEN:
                assert id_ not in self.applied
                assert overtaken_by(spec, self._live(spec, record)), "it had something left to do"
                self.overtaken.add(id_)
            case _ if record.event in _EFFECTS:
                assert id_ in self.applied, "an effect without an approval"

    def _live(self, spec: Spec, record: AuditRecord) -> Live:
        path = spec.needs().path
        house = HOUSE._replace(now_ms=record.at_ms)
        return self.now.live(spec, house, None if path is None else directory_at(path))

    def _put(self, ops: tuple[Op, ...]) -> None:
        for op in ops:
            self.now.put(op)
            self.told.add(without_lane(op))


async def look(state: Path, life: int, replay: Replay) -> None:
    """Start once more, in peace, and compare everything with what the audit says."""
    async with open_driven(state, ahead_ms=life * AHEAD_MS) as driven:
        await driven.gateway.resume()
        assert driven.gateway.degraded == ()
        assert await driven.core.registry.unfinished() == []
        await auditing_of(driven.core, state).sign()
        key = AuditSigner(driven.core.ring).public_key
        found = await driven.core.store.read(lambda db: walk_store(db, key))
        assert isinstance(found, Walked), found
        listed = await driven.core.registry.rows(agents=None, statuses=None, limit=100_000)
        rows = {row.change.id: row for row in listed}
        for record in await records(driven, replay.last):
            replay.take(record, rows)
        check_statuses(rows, replay)
        check_state(await driven.core.store.read(snapshot), replay.now)
        await check_events(driven, rows, replay)
        await check_words(driven, state, rows)
    reached = {without_lane(op_of(line)) for line in read_reached(state / "reached")}
    assert replay.told <= reached, "not all was told"


def check_statuses(rows: dict[ChangeId, Row], replay: Replay) -> None:
    """Each change is where the audit says, and none is on its way."""
    assert set(rows) == replay.requested
    by_status = collections.defaultdict(set)
    for id_, row in rows.items():
        by_status[row.status].add(id_)
    assert by_status[Status.APPROVED] == by_status[Status.APPLIED] == set()
    assert by_status[Status.DONE] == set(replay.applied) == replay.done
    assert by_status[Status.OVERTAKEN] == replay.overtaken
    assert by_status[Status.FAILED] == replay.approved - set(replay.applied) - replay.overtaken


def check_state(real: Setting, model: Setting) -> None:
    """The state is what the applied changes say, and what ended has left."""
    assert real.policy == model.policy
    assert real.agents == model.agents
    assert real.chats == model.chats
    assert real.wirings == model.wirings
    assert set(real.standings) == set(model.standings)
    assert len(real.standings) == len(model.standings)
    assert {who: one for who, one in model.persons.items() if who != one} == real.persons
    assert real.tasks == model.tasks
    assert {id_: one.state for id_, one in real.sessions.items()} == {
        id_: one.state for id_, one in model.sessions.items()
    }


async def check_events(driven: Driven, rows: dict[ChangeId, Row], replay: Replay) -> None:
    """Events are without gaps, in the order in which things happen, and none is twice."""
    last = await driven.core.registry.last_event()
    kept = await driven.core.registry.events(after=0, limit=last + 1)
    assert [one.id for one in kept] == list(range(1, last + 1))
    kinds: dict[ChangeId, list[str]] = {id_: [] for id_ in rows}
    for one in kept:
        kinds[one.change].append(one.kind)
    for id_, told in kinds.items():
        assert told[0] == "requested"
        assert len(set(told)) == len(told)
        assert ("applied" in told) == ("done" in told) == (id_ in replay.applied)


async def check_words(driven: Driven, state: Path, rows: dict[ChangeId, Row]) -> None:
    """The agent has heard of each end of its requests, once."""
    session = read_stage(state).session
    told = await driven.core.chatlog.transcript(session, limit=100_000)
    texts = [one.text for one in told if one.sender == "IronClaw"]
    assert len(set(texts)) == len(texts)
    for id_, row in rows.items():
        mine = [text for text in texts if id_ in text]
        is_over = row.status in {
            Status.DONE, Status.DENIED, Status.WITHDRAWN, Status.OVERTAKEN, Status.EXPIRED,
            Status.FAILED,
        }  # fmt: skip
        assert bool(mine) == (is_over and row.change.asker.is_agent), (row.status, mine)


async def records(driven: Driven, after: int) -> list[AuditRecord]:
    """Records after that number."""
    found = await driven.core.audit.tail(limit=100_000)
    return [one for one in found if one.number > after]


def without_lane(op: Op) -> Op:
    """An op without what the store alone gives."""
    match op:
        case PutAgent(agent):
            return PutAgent(msgspec.structs.replace(agent, lane=0))
        case NewAgent(agent):
            return NewAgent(msgspec.structs.replace(agent, lane=0))
    return op
