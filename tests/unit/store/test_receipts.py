"""Kept receipts and the audit: together or not at all, the newest ones, and never changed."""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING

import apsw
import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import SlotId
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.receipts import KEPT
from ironclaw.store.migrations import MIGRATIONS
from ironclaw.store.receipt_files import ReceiptFiles
from ironclaw.testing.fakes_store import open_core_store
from ironclaw.testing.receipts import sealed

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.testing.fakes_store import Conversation, CoreStore

REFUSED = AuditEntry(
    event=AuditEvent.LAUNCH_REFUSED,
    agent="agt_a",
    slot="slt_a",
    code=Code.POSTURE_FAILED,
    words=("inside.seccomp", "outside.sentry.uid"),
)


# --- files ----------------------------------------------------------------------------------------


async def test_a_receipt_file_is_whole_private_and_the_newest_is_found(tmp_path: Path):
    files = ReceiptFiles(tmp_path / "receipts")
    for epoch in (9, 10, 11):
        await files.keep(sealed("ses_a", epoch=epoch))
    await files.keep(sealed("ses_b", epoch=99))

    newest = files.newest("ses_a")

    assert newest == tmp_path / "receipts" / "ses_a" / "11.json"
    assert newest.read_bytes() == sealed("ses_a", epoch=11).envelope
    assert stat.S_IMODE(newest.stat().st_mode) == 0o600
    assert stat.S_IMODE(newest.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in newest.parent.iterdir()) == ["10.json", "11.json", "9.json"]


async def test_the_newest_receipts_of_a_session_are_kept(tmp_path: Path):
    files = ReceiptFiles(tmp_path)
    for epoch in range(1, KEPT + 4):
        await files.keep(sealed("ses_a", epoch=epoch))

    names = {path.name for path in (tmp_path / "ses_a").iterdir()}

    assert names == {f"{epoch}.json" for epoch in range(4, KEPT + 4)}


async def test_a_draft_of_a_killed_core_is_no_receipt_and_stands_in_no_way(tmp_path: Path):
    files = ReceiptFiles(tmp_path)
    (tmp_path / "ses_a").mkdir()
    (tmp_path / "ses_a" / ".1.json").write_bytes(b"half")
    with pytest.raises(UserError):
        files.newest("ses_a")

    await files.keep(sealed("ses_a"))

    assert files.newest("ses_a").read_bytes() == sealed("ses_a").envelope


@pytest.mark.parametrize("name", ["", "..", "../ses_a", "ses_a/../ses_a", "/etc", "ses_a\n", "x"])
async def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str):
    files = ReceiptFiles(tmp_path / "receipts")
    await files.keep(sealed("ses_a"))

    with pytest.raises(UserError) as caught:
        files.newest(name)

    assert caught.value.code is Code.NOT_FOUND


async def test_a_receipt_that_cannot_be_written_is_an_error_of_the_host(tmp_path: Path):
    (tmp_path / "receipts").write_text("in the way")

    with pytest.raises(HostError) as caught:
        await ReceiptFiles(tmp_path / "receipts").keep(sealed("ses_a"))

    assert caught.value.code is Code.STORE_FAILED


async def test_a_store_of_before_receipts_were_signed_is_taken_over_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nobody adopts the box of an unsigned launch; what people said is all there."""
    with monkeypatch.context() as patch:
        patch.setattr("ironclaw.store.migrations.MIGRATIONS", MIGRATIONS[:1])
        patch.setattr("ironclaw.store.change_ops.append", lambda *_args, **_named: None)
        async with open_core_store(tmp_path) as core:
            talk = await core.begin()
            heard = await talk.heard_before("remember me")
            await core.store.write(
                lambda db: db.execute(
                    "INSERT INTO receipt (session, slot, body) VALUES (?, 'slt_old', x'00')",
                    (talk.session,),
                )
            )
    async with open_core_store(tmp_path) as core:
        assert await core.ledger.backlog(talk.session) == [heard]
        assert await core.registry.session_of_slot(SlotId("slt_old")) is None
        with pytest.raises(UserError):
            await core.registry.receipt(talk.session)
        await core.registry.save_receipt(sealed(talk.session, slot="slt_new"))
        assert (await core.registry.receipt(talk.session)).slot == "slt_new"


# --- the audit ------------------------------------------------------------------------------------


async def test_a_receipt_and_its_audit_record_are_kept_together(
    core: CoreStore, talk: Conversation
):
    await core.registry.save_receipt(sealed(talk.session, slot="slt_a", epoch=3))

    record = (await core.audit.tail(limit=10))[-1]

    assert record.event is AuditEvent.LAUNCH_PROVEN
    assert (record.session, record.slot, record.epoch) == (talk.session, "slt_a", 3)
    assert (record.words, record.code) == ((), "")
    envelope = sealed(talk.session, slot="slt_a", epoch=3).envelope
    assert record.receipt == f"sha256:{hashlib.sha256(envelope).hexdigest()}"


async def test_a_receipt_that_is_not_kept_is_not_in_the_audit(core: CoreStore):
    with pytest.raises(HostError):
        await core.registry.save_receipt(sealed("ses_nobody"))

    assert await core.audit.tail(limit=10) == []


async def test_the_audit_survives_a_restart_in_order(tmp_path: Path):
    async with open_core_store(tmp_path) as core:
        for _ in range(3):
            await core.audit.append(REFUSED)
    async with open_core_store(tmp_path) as core:
        await core.audit.append(REFUSED)

        newest = await core.audit.tail(limit=3)

    assert [record.number for record in newest] == [2, 3, 4]
    assert newest[0].words == REFUSED.words
    assert newest[0].code == "posture_failed"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET line = '{}'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE n = 1",
        "REPLACE INTO audit SELECT 1, line FROM audit",
        "INSERT OR REPLACE INTO audit (n, line) VALUES (1, '{}')",
        "INSERT INTO audit (n, line) VALUES (3, '{}')",
        "INSERT INTO audit_floor VALUES (1)",
        "DELETE FROM audit_floor",
        "UPDATE OR REPLACE audit SET n = 7 WHERE n = 1",
    ],
)
async def test_the_store_itself_refuses_to_change_the_audit(core: CoreStore, statement: str):
    await core.audit.append(REFUSED)
    before = await core.audit.tail(limit=10)

    def work(db: apsw.Connection) -> None:
        with pytest.raises(apsw.ConstraintError, match="append-only"):
            db.execute(statement)

    await core.store.write(work)

    assert await core.audit.tail(limit=10) == before


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("mac", "mac"),
        ("turn: msg_x is not waiting for an answer", "turn"),
        ("what a person said", "other"),
        ("", "other"),
        ("-", "other"),
        ("_x", "other"),
    ],
)
async def test_a_quarantine_is_audited_once_with_the_rule_and_no_content(
    core: CoreStore, talk: Conversation, reason: str, word: str
):
    await core.ledger.quarantine(talk.session, reason=reason)
    await core.ledger.quarantine(talk.session, reason="gap")

    (record,) = [one for one in await core.audit.tail(limit=10) if one.event.startswith("session.")]

    assert record.event is AuditEvent.SESSION_QUARANTINED
    assert (record.session, record.agent, record.epoch) == (talk.session, talk.agent.id, 1)
    assert (record.code, record.words) == ("tamper", (word,))
