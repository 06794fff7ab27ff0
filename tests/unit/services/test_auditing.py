"""When the head is signed, what a start finds, and how little strangers can write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError
from ironclaw.core.tasks import Tasks
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.services.refusals import AuditedRefusals
from ironclaw.services.sparing import Sparing
from ironclaw.store.audit_head import HeadFile
from ironclaw.testing.audits import auditing_of, entry
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ironclaw.testing.fakes_store import CoreStore

FAILED = AuditEntry(event=AuditEvent.AUTH_FAILED, source="127.0.0.1")


def failed(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks("test", on_failure=failed) as started:
        yield started


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CoreStore]:
    async with open_core_store(tmp_path) as core:
        yield core


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - nothing tells a test
            await asyncio.sleep(0.01)


async def until_signed(store: CoreStore, number: int) -> None:
    async with asyncio.timeout(10):
        while True:
            newest = await store.audit.newest_checkpoint()
            if newest is not None and newest.number >= number:
                return
            await asyncio.sleep(0.01)


async def events(store: CoreStore) -> list[str]:
    return [record.event.value for record in await store.audit.tail(limit=50)]


# --- signing --------------------------------------------------------------------------------------


async def test_the_head_is_signed_after_so_many_records(
    store: CoreStore, tasks: Tasks, tmp_path: Path
):
    audit = auditing_of(store, tmp_path, count=4)
    await store.store.watch("audit", audit.appended)
    audit.start(tasks)
    for number in range(3):
        await store.audit.append(entry(number))
    await asyncio.sleep(0.1)
    assert await store.audit.newest_checkpoint() is None

    await store.audit.append(entry(4))
    await until_signed(store, 4)

    await until(lambda: HeadFile(tmp_path / "audit-head.json").read() is not None)
    assert HeadFile(tmp_path / "audit-head.json").read() == await store.audit.newest_checkpoint()


async def test_the_head_is_signed_after_a_while(store: CoreStore, tasks: Tasks, tmp_path: Path):
    audit = auditing_of(store, tmp_path)
    audit._interval_s = 0.05
    await store.store.watch("audit", audit.appended)
    audit.start(tasks)

    await store.audit.append(entry(1))
    await until_signed(store, 1)
    await store.audit.append(entry(2))
    await until_signed(store, 2)


async def test_at_rest_nothing_is_read_or_signed(
    store: CoreStore, tasks: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    audit = auditing_of(store, tmp_path)
    audit._interval_s = 0.01
    called = 0

    async def counted(_signer: object) -> None:
        nonlocal called
        called += 1

    monkeypatch.setattr(store.audit, "checkpoint", counted)
    audit.start(tasks)

    await asyncio.sleep(0.2)

    assert called == 0


async def test_the_end_is_recorded_and_signed(store: CoreStore, tmp_path: Path):
    audit = auditing_of(store, tmp_path)
    await audit.begin(version="1")

    await audit.end()

    assert await events(store) == ["daemon.started", "daemon.stopped"]
    newest = await store.audit.newest_checkpoint()
    assert newest is not None
    assert newest.number == 2
    assert audit.degraded == ()


async def test_a_broken_chain_is_not_signed_and_the_state_says_so(store: CoreStore, tmp_path: Path):
    audit = auditing_of(store, tmp_path)
    await audit.begin(version="1")
    await store.store.write(lambda db: db.execute("DROP TRIGGER audit_is_not_changed"))
    await store.store.write(
        lambda db: db.execute("UPDATE audit SET line = replace(line, '\"1\"', '\"2\"')")
    )

    with pytest.raises(PolicyError):
        await audit.sign()
    await audit.end()

    assert "breaks at record 1" in audit.degraded[0]
    assert await store.audit.newest_checkpoint() is None


async def test_a_checkpoint_that_could_not_be_kept_outside_is_kept_the_next_time(
    store: CoreStore, tmp_path: Path
):
    audit = auditing_of(store, tmp_path)
    await audit.begin(version="1")
    (tmp_path / ".audit-head.json").mkdir()
    with pytest.raises(HostError):
        await audit.sign()
    (tmp_path / ".audit-head.json").rmdir()

    assert await audit.sign() is None

    assert HeadFile(tmp_path / "audit-head.json").read() == await store.audit.newest_checkpoint()


async def test_a_store_that_fails_is_asked_again(
    store: CoreStore, tasks: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    audit = auditing_of(store, tmp_path)
    audit._interval_s = 0.05
    await store.store.watch("audit", audit.appended)
    audit.start(tasks)

    async def failing(_signer: object) -> None:
        raise HostError(Code.DISK_FULL, "There is no space.", hint="Free some.")

    with monkeypatch.context() as patch:
        patch.setattr(store.audit, "checkpoint", failing)
        await store.audit.append(entry(1))
        await until(lambda: "disk_full" in "".join(audit.degraded))

    await until_signed(store, 1)
    await until(lambda: audit.degraded == ())


# --- what a start finds ---------------------------------------------------------------------------


async def test_a_start_after_a_crash_says_so_and_one_after_a_stop_does_not(
    store: CoreStore, tmp_path: Path
):
    await auditing_of(store, tmp_path).begin(version="1")
    again = auditing_of(store, tmp_path)
    await again.begin(version="1")
    await again.end()
    await auditing_of(store, tmp_path).begin(version="1")

    assert await events(store) == [
        "daemon.started", "store.recovered", "daemon.started", "daemon.stopped", "daemon.started",
    ]  # fmt: skip


async def test_a_store_that_was_put_back_is_noticed_at_the_start(tmp_path: Path):
    old = tmp_path / "old"
    async with open_core_store(tmp_path) as core:
        await auditing_of(core, tmp_path).begin(version="1")
    old.write_bytes((tmp_path / "store.db").read_bytes())
    async with open_core_store(tmp_path) as core:
        audit = auditing_of(core, tmp_path)
        await audit.begin(version="1")
        await audit.end()
    (tmp_path / "store.db").write_bytes(old.read_bytes())

    async with open_core_store(tmp_path) as core:
        audit = auditing_of(core, tmp_path)
        await audit.begin(version="1")
        records = await core.audit.tail(limit=10)

    (found,) = [one for one in records if one.event is AuditEvent.AUDIT_ROLLED_BACK]
    assert found.through == 4
    assert "put back" in audit.degraded[0]


async def test_a_checkpoint_of_another_house_is_no_anchor(store: CoreStore, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    async with open_core_store(other) as core:
        audit = auditing_of(core, tmp_path)
        await audit.begin(version="1")
        await audit.end()

    mine = auditing_of(store, tmp_path)
    await mine.begin(version="1")

    assert "not signed with this house's key" in mine.degraded[0]
    assert await events(store) == ["daemon.started"]


async def test_a_missing_anchor_is_noticed_at_the_start(store: CoreStore, tmp_path: Path):
    first = auditing_of(store, tmp_path)
    await first.begin(version="1")
    assert first.degraded == ()
    await first.end()
    (tmp_path / "audit-head.json").unlink()

    again = auditing_of(store, tmp_path)
    await again.begin(version="1")

    assert "audit-head.json was missing" in again.degraded[0]


# --- sparing --------------------------------------------------------------------------------------


class Kept:
    """An audit that only counts."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def append(self, *entries: AuditEntry) -> None:
        self.entries += entries


async def test_a_flood_is_one_record_at_once_and_one_for_all_the_rest(tasks: Tasks):
    kept = Kept()
    sparing = Sparing(kept.append, tasks, window_s=0.2)
    for _ in range(10_000):
        sparing.note(FAILED)
    await asyncio.sleep(0.05)
    assert [one.count for one in kept.entries] == [1]

    await until(lambda: len(kept.entries) == 2)

    assert [one.count for one in kept.entries] == [1, 9_999]


async def test_a_name_that_fits_no_field_stops_nothing(store: CoreStore, tasks: Tasks):
    sparing = Sparing(store.audit.append, tasks)
    bad = AuditEntry(
        event=AuditEvent.ROUTER_REFUSED, channel="x", principal="x:\x00", reason="not_wired"
    )
    sparing.note(bad)
    sparing.note(bad)
    sparing.note(FAILED)

    await sparing.close()

    assert await events(store) == ["auth.failed"]


async def test_closing_waits_for_a_record_that_is_under_way(tasks: Tasks):
    kept = Kept()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(*entries: AuditEntry) -> None:
        begun.set()
        await may_end.wait()
        await kept.append(*entries)

    sparing = Sparing(slow, tasks)
    sparing.note(FAILED)
    await begun.wait()
    asyncio.get_running_loop().call_later(0.01, may_end.set)

    await sparing.close()

    assert [one.count for one in kept.entries] == [1]


async def test_what_was_only_counted_is_recorded_at_the_end(tasks: Tasks):
    kept = Kept()
    sparing = Sparing(kept.append, tasks)
    for _ in range(5):
        sparing.note(FAILED)

    await sparing.close()
    sparing.note(FAILED)

    assert sum(one.count or 0 for one in kept.entries) == 5


async def test_kinds_do_not_hide_each_other(tasks: Tasks):
    kept = Kept()
    sparing = Sparing(kept.append, tasks)

    class Refused:
        async def refuse(self, **_fields: str) -> None:
            return None

    refusals = AuditedRefusals(Refused(), sparing.note)
    for reason in ("not_wired", "no_access", "not_wired"):
        await refusals.refuse(channel="api", platform_id="desk", handle="eve", reason=reason)
    sparing.note(FAILED)
    await sparing.close()

    seen = sorted((one.event, one.reason or "", one.count) for one in kept.entries)
    assert seen == [
        ("auth.failed", "", 1), ("router.refused", "no_access", 1),
        ("router.refused", "not_wired", 1), ("router.refused", "not_wired", 1),
    ]  # fmt: skip
    assert any(one.principal == "api:eve" for one in kept.entries)
