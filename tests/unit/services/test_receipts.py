"""No key without a signed, stored receipt; a launch that is not proven ends in the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.cores import Core, OpenCore, until

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.domain.audit import AuditEvent, AuditRecord
from ironclaw.domain.receipts import envelope_bytes, read_public_key, verify
from ironclaw.keys.signer import ReceiptSigner
from ironclaw.store.receipt_files import ReceiptFiles
from ironclaw.testing.sealed_facts import SEALED

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.testing.fakes_store import CoreStore


@pytest.fixture
def files(tmp_path: Path) -> ReceiptFiles:
    return ReceiptFiles(tmp_path / "state" / "receipts")


async def launches(store: CoreStore) -> list[AuditRecord]:
    """What the audit has of launches."""
    found = await store.audit.tail(limit=20)
    return [record for record in found if record.event.startswith("launch.")]


async def test_a_session_has_a_signed_receipt_in_the_store_and_as_a_file(
    core: Core, store: CoreStore, files: ReceiptFiles, tmp_path: Path
):
    talk = await store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    signer = ReceiptSigner(store.ring)
    signer.publish(tmp_path / "key.pub")
    raw = files.newest(talk.session).read_bytes()

    statement = verify(raw, read_public_key((tmp_path / "key.pub").read_bytes()))

    stored = await store.registry.receipt(talk.session)
    assert envelope_bytes(stored.envelope) == raw
    assert (statement.session, statement.agent) == (talk.session, talk.agent.id)
    assert (statement.slot, statement.epoch) == (core.slot(), 1)
    assert statement.airlock.held == (*core.airlocks.controls, "cgroup")
    assert statement.inside == SEALED
    (record,) = await launches(store)
    assert record.event is AuditEvent.LAUNCH_PROVEN
    assert (record.session, record.slot) == (talk.session, core.slot())


@pytest.mark.parametrize("part", ["copies", "store"])
async def test_a_receipt_that_cannot_be_kept_keeps_the_key_out_of_the_box(
    core: Core, store: CoreStore, monkeypatch: pytest.MonkeyPatch, part: str
):
    """The twin of the proof: with this step left out the box would have its key."""
    talk = await store.begin()
    full = HostError(Code.DISK_FULL, "There is no space.", hint="Free some.")
    tried = 0

    async def failing(*_args: object) -> None:
        nonlocal tried
        tried += 1
        raise full

    method = "keep" if part == "copies" else "save_receipt"
    with monkeypatch.context() as patch:
        patch.setattr(getattr(store.receipts, f"_{part}"), method, failing)
        await core.hear(talk, "one")
        await until(lambda: core.isolator.discarded)
        assert tried >= 1
        assert all(link.box.claim is None for link in core.airlocks.links)
        assert await launches(store) == []

    assert len(await core.answered(talk, 1)) == 1
    assert core.box().claim is not None


async def test_a_launch_that_is_not_proven_gives_no_session_and_says_why(
    core: Core, store: CoreStore, monkeypatch: pytest.MonkeyPatch
):
    """A clear word for the person, a record with the failed checks, no key, no receipt."""
    talk = await store.begin()
    bad = msgspec.structs.replace(SEALED, seccomp=0, routes=1)
    with monkeypatch.context() as patch:
        patch.setattr("ironclaw.testing.fakes_wall.SEALED", bad)
        await core.hear(talk, "secret words of a person")
        (said,) = await core.answered(talk, 1)

    assert "The agent cannot start" in said
    assert "inside.seccomp, inside.routes" in said
    assert "(posture_failed)" in said
    assert core.box().claim is None
    assert core.slot() in core.isolator.discarded
    (record,) = await launches(store)
    assert record.event is AuditEvent.LAUNCH_REFUSED
    assert (record.agent, record.slot, record.session) == (talk.agent.id, core.slot(), None)
    assert (record.code, record.words) == ("posture_failed", ("inside.seccomp", "inside.routes"))
    assert "secret" not in repr(record)
    await core.hear(talk, "again")
    assert "again" in (await core.answered(talk, 2))[1]


async def test_a_launch_that_the_host_fails_is_audited_with_its_code(core: Core, store: CoreStore):
    agent = await store.registry.create_agent(name="helper")
    core.isolator.launch_error = HostError(Code.RUNTIME_FAILED, "runsc said no", hint="Look.")

    with pytest.raises(HostError):
        await core.slots.take(agent, workspace="mine")

    (record,) = await launches(store)
    assert (record.event, record.code) == (AuditEvent.LAUNCH_REFUSED, "runtime_failed")
    assert record.words == ()


async def test_an_audit_that_fails_hides_no_reason(
    core: Core, store: CoreStore, monkeypatch: pytest.MonkeyPatch
):
    agent = await store.registry.create_agent(name="helper")
    core.isolator.launch_error = HostError(Code.RUNTIME_FAILED, "runsc said no", hint="Look.")

    async def failing(_entry: object) -> None:
        raise HostError(Code.DISK_FULL, "There is no space.", hint="Free some.")

    monkeypatch.setattr(store.audit, "append", failing)
    with pytest.raises(HostError, match="runsc said no"):
        await core.slots.take(agent, workspace="mine")


async def test_an_adopted_box_keeps_its_receipt(open_core: OpenCore, store: CoreStore):
    core = await open_core()
    talk = await store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    before = await store.registry.receipt(talk.session)
    await core.die()

    after = await open_core()
    await after.sessions.adopt(await after.isolator.survivors())
    await after.hear(talk, "two")
    await after.answered(talk, 2)

    assert len(after.isolator.launches) == 1
    assert await store.registry.receipt(talk.session) == before
    assert len(await launches(store)) == 1


async def test_a_control_that_an_airlock_goes_without_is_in_receipt_and_status(
    core: Core, store: CoreStore
):
    talk = await store.begin()
    assert core.slots.weaker == ()
    core.airlocks.missing = ("landlock",)
    await core.hear(talk, "one")
    await core.answered(talk, 1)

    receipt = await store.registry.receipt(talk.session)

    assert receipt.airlock_missing == ("landlock",)
    assert "airlocks run without landlock" in receipt.weaker
    assert core.slots.weaker == ("airlocks run without landlock",)
