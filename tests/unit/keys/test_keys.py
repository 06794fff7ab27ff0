"""Keys: made once, private, never silently replaced; rotation and destruction hold."""

from __future__ import annotations

import secrets
import stat
from typing import TYPE_CHECKING

import msgspec
import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import SessionId
from ironclaw.domain.receipts import key_id, read_public_key
from ironclaw.keys import custodian as custodian_module
from ironclaw.keys.custodian import Custodian
from ironclaw.keys.master import CREDENTIAL, CredentialMaster, FileMaster, find_master
from ironclaw.keys.ring import Ring
from ironclaw.keys.signer import AuditSigner, ReceiptSigner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE, TWO = SessionId("ses_one"), SessionId("ses_two")


class MemoryRows:
    """Sealed keys in memory, with a crash before or after the reseal."""

    def __init__(self) -> None:
        self.rows: dict[SessionId, tuple[int, bytes]] = {}
        self.crash = ""

    async def load(self) -> dict[SessionId, tuple[int, bytes]]:
        return dict(self.rows)

    async def add(self, session: SessionId, row: tuple[int, bytes]) -> None:
        assert session not in self.rows
        self.rows[session] = row

    async def remove(self, session: SessionId) -> None:
        self.rows.pop(session, None)

    async def reseal(
        self, convert: Callable[[SessionId, tuple[int, bytes]], tuple[int, bytes]]
    ) -> dict[SessionId, tuple[int, bytes]]:
        if self.crash == "before":
            raise KeyboardInterrupt
        self.rows = {session: convert(session, row) for session, row in self.rows.items()}
        if self.crash == "after":
            raise KeyboardInterrupt
        return dict(self.rows)


def ring_in(directory: Path, *, store_exists: bool = False) -> Ring:
    return Ring.open(directory, FileMaster(directory), store_exists=store_exists)


def test_the_first_start_makes_private_files_and_the_next_finds_the_same_keys(tmp_path: Path):
    keys = tmp_path / "keys"
    first = ring_in(keys)
    assert ring_in(keys, store_exists=True).store_key == first.store_key
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    for file in keys.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert first.store_key not in file.read_bytes()


def break_mode(keys: Path) -> None:
    (keys / "master.key").chmod(0o640)


def break_size(keys: Path) -> None:
    (keys / "master.key").write_bytes(b"short")


def break_master(keys: Path) -> None:
    (keys / "master.key").write_bytes(secrets.token_bytes(32))


def lose_master(keys: Path) -> None:
    (keys / "master.key").unlink()


def lose_ring(keys: Path) -> None:
    (keys / "ring.sealed").unlink()


def flip_ring(keys: Path) -> None:
    data = bytearray((keys / "ring.sealed").read_bytes())
    data[-1] ^= 1
    (keys / "ring.sealed").write_bytes(data)


def cut_ring(keys: Path) -> None:
    (keys / "ring.sealed").write_bytes(b"")


def link_master(keys: Path) -> None:
    (keys / "master.key").rename(keys / "elsewhere")
    (keys / "master.key").symlink_to(keys / "elsewhere")


@pytest.mark.parametrize(
    "harm",
    [
        break_mode, break_size, break_master, lose_master, lose_ring, flip_ring, cut_ring,
        link_master,
    ],
)  # fmt: skip
def test_every_harm_is_told_with_a_next_step_and_nothing_is_overwritten(
    tmp_path: Path, harm: Callable[[Path], None]
):
    keys = tmp_path / "keys"
    ring_in(keys)
    harm(keys)
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    with pytest.raises(HostError) as caught:
        ring_in(keys, store_exists=True)
    assert caught.value.code is Code.KEY_UNUSABLE
    assert caught.value.hint
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before


def test_a_systemd_credential_is_used_when_the_unit_hands_one_over(tmp_path: Path):
    handed = tmp_path / "credentials"
    handed.mkdir()
    assert isinstance(
        find_master(tmp_path / "keys", {"CREDENTIALS_DIRECTORY": str(handed)}), FileMaster
    )
    credential = handed / CREDENTIAL
    credential.write_bytes(secrets.token_bytes(32))
    credential.chmod(0o400)
    source = find_master(tmp_path / "keys", {"CREDENTIALS_DIRECTORY": str(handed)})
    assert isinstance(source, CredentialMaster)
    ring = Ring.open(tmp_path / "keys", source, store_exists=False)
    assert not (tmp_path / "keys" / "master.key").exists()
    again = Ring.open(tmp_path / "keys", source, store_exists=True)
    assert again.store_key == ring.store_key
    with pytest.raises(HostError):
        ring.change_master(secrets.token_bytes(32))
    assert Ring.open(tmp_path / "keys", source, store_exists=True).store_key == ring.store_key


@pytest.mark.parametrize("crash_in", ["stage", "write", "settle"])
def test_changing_the_master_can_be_cut_short_anywhere(
    tmp_path: Path, crash_in: str, monkeypatch: pytest.MonkeyPatch
):
    keys = tmp_path / "keys"
    ring = ring_in(keys)
    new = secrets.token_bytes(32)

    def crash(*_args: object) -> None:
        raise KeyboardInterrupt

    owner, name = {
        "stage": (FileMaster, "stage"),
        "write": (Ring, "_write"),
        "settle": (FileMaster, "settle"),
    }[crash_in]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crash)
        with pytest.raises(KeyboardInterrupt):
            ring.change_master(new)
    assert ring_in(keys, store_exists=True).store_key == ring.store_key
    assert sorted(path.name for path in keys.iterdir()) == ["master.key", "ring.sealed"]
    changed = (keys / "master.key").read_bytes() == new
    assert changed is (crash_in == "settle")


async def test_each_session_has_keys_of_its_own_that_survive(tmp_path: Path):
    ring, rows = ring_in(tmp_path / "keys"), MemoryRows()
    custodian = await Custodian.start(ring, rows)
    await custodian.create(ONE)
    await custodian.create(TWO)
    values = {
        custodian.key(ONE), custodian.content_key(ONE),
        custodian.key(TWO), custodian.content_key(TWO),
    }  # fmt: skip
    assert len(values) == 4
    again = await Custodian.start(ring, rows)
    assert again.key(ONE) == custodian.key(ONE)
    assert again.content_key(TWO) == custodian.content_key(TWO)


async def test_keys_of_sessions_at_rest_do_not_stay_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    unsealed: list[str] = []
    monkeypatch.setattr(custodian_module, "_OPEN", 1)
    real = Custodian._unseal

    def counted(self: Custodian, session: SessionId, row: tuple[int, bytes]) -> bytes:
        unsealed.append(session)
        return real(self, session, row)

    monkeypatch.setattr(Custodian, "_unseal", counted)
    custodian = await Custodian.start(ring_in(tmp_path / "keys"), MemoryRows())
    await custodian.create(ONE)
    await custodian.create(TWO)

    keys = [custodian.key(session) for session in (ONE, ONE, TWO, ONE)]

    assert unsealed == [ONE, TWO, ONE]
    assert keys[0] == keys[1] == keys[3] != keys[2]


async def test_a_sealed_key_of_another_session_does_not_open(tmp_path: Path):
    ring, rows = ring_in(tmp_path / "keys"), MemoryRows()
    custodian = await Custodian.start(ring, rows)
    await custodian.create(ONE)
    await custodian.create(TWO)
    rows.rows[TWO] = rows.rows[ONE]
    again = await Custodian.start(ring, rows)
    with pytest.raises(HostError) as caught:
        again.key(TWO)
    assert caught.value.code is Code.KEY_UNUSABLE
    assert rows.rows[TWO] == rows.rows[ONE]


async def test_a_session_without_a_key_gets_none(tmp_path: Path):
    custodian = await Custodian.start(ring_in(tmp_path / "keys"), MemoryRows())
    with pytest.raises(HostError) as caught:
        custodian.key(ONE)
    assert caught.value.code is Code.KEY_UNUSABLE


async def test_forgetting_destroys_both_keys(tmp_path: Path):
    ring, rows = ring_in(tmp_path / "keys"), MemoryRows()
    custodian = await Custodian.start(ring, rows)
    await custodian.create(ONE)
    await custodian.forget(ONE)
    await custodian.forget(ONE)
    assert rows.rows == {}
    for ask in (custodian.key, custodian.content_key):
        with pytest.raises(HostError):
            ask(ONE)


@pytest.mark.parametrize("crash", ["", "before", "after"])
async def test_rotation_keeps_every_key_and_destroys_the_old_seal(tmp_path: Path, crash: str):
    keys = tmp_path / "keys"
    ring, rows = ring_in(keys), MemoryRows()
    custodian = await Custodian.start(ring, rows)
    await custodian.create(ONE)
    held, sealed = custodian.key(ONE), rows.rows[ONE]
    rows.crash = crash
    if crash:
        with pytest.raises(KeyboardInterrupt):
            await custodian.rotate(secrets.token_bytes(32))
    else:
        await custodian.rotate(secrets.token_bytes(32))
    rows.crash = ""
    fresh = ring_in(keys, store_exists=True)
    again = await Custodian.start(fresh, rows)
    assert again.key(ONE) == held
    assert rows.rows[ONE] != sealed
    assert fresh.sealing_key(1) is None
    assert fresh.store_key == ring.store_key


# --- the key that signs receipts ------------------------------------------------------------------


async def test_the_signing_key_stays_the_same_over_restarts_and_rotations(tmp_path: Path):
    keys = tmp_path / "keys"
    rows = MemoryRows()
    ring = ring_in(keys)
    before = ReceiptSigner(ring)
    custodian = await Custodian.start(ring, rows)
    await custodian.create(ONE)
    await custodian.rotate(secrets.token_bytes(32))

    after = ReceiptSigner(ring_in(keys, store_exists=True))

    assert after.key_id == before.key_id
    assert ring.signing_seed not in (keys / "ring.sealed").read_bytes()


def test_a_ring_of_before_gets_a_signing_key_and_keeps_the_others(tmp_path: Path):
    keys = tmp_path / "keys"
    ring = ring_in(keys)
    ring._replace(msgspec.structs.replace(ring._body, signing=b""))

    upgraded = ring_in(keys, store_exists=True)

    assert len(upgraded.signing_seed) == 32
    assert upgraded.store_key == ring.store_key
    assert ring_in(keys, store_exists=True).signing_seed == upgraded.signing_seed


def test_the_audit_has_a_key_of_its_own_that_a_ring_of_before_gets_too(tmp_path: Path):
    keys = tmp_path / "keys"
    ring = ring_in(keys)
    ring._replace(msgspec.structs.replace(ring._body, audit=b""))

    upgraded = ring_in(keys, store_exists=True)

    assert len(upgraded.audit_seed) == 32
    assert upgraded.audit_seed != upgraded.signing_seed == ring.signing_seed
    again = AuditSigner(ring_in(keys, store_exists=True))
    assert again.key_id == AuditSigner(upgraded).key_id != ReceiptSigner(upgraded).key_id
    again.public_key.verify(again.sign(b"said"), b"said")


def test_a_ring_is_looked_at_without_a_change(tmp_path: Path):
    keys = tmp_path / "keys"
    ring = ring_in(keys)
    (keys / "master.key.next").write_bytes(secrets.token_bytes(32))
    (keys / "master.key.next").chmod(0o600)
    before = {path.name: path.read_bytes() for path in keys.iterdir()}

    seen = Ring.peek(keys, FileMaster(keys))

    assert (seen.store_key, seen.audit_seed) == (ring.store_key, ring.audit_seed)
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before
    with pytest.raises(HostError):
        Ring.peek(tmp_path / "none", FileMaster(tmp_path / "none"))
    (keys / "master.key").write_bytes(secrets.token_bytes(32))
    with pytest.raises(HostError):
        Ring.peek(keys, FileMaster(keys))


def test_the_public_key_is_a_file_that_everybody_may_read_and_it_verifies(tmp_path: Path):
    signer = ReceiptSigner(ring_in(tmp_path / "keys"))
    published = tmp_path / "receipt-key.pub"
    published.write_text("of before")
    signer.publish(published)
    signer.publish(published)

    key = read_public_key(published.read_bytes())

    assert stat.S_IMODE(published.stat().st_mode) == 0o644
    assert key_id(key) == signer.key_id
    key.verify(signer.sign(b"said"), b"said")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "receipt-key.pub"]


def test_a_public_key_that_cannot_be_written_says_where(tmp_path: Path):
    signer = ReceiptSigner(ring_in(tmp_path / "keys"))
    (tmp_path / "receipt-key.pub").mkdir()

    with pytest.raises(HostError, match=r"receipt-key\.pub"):
        signer.publish(tmp_path / "receipt-key.pub")
