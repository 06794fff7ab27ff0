"""`receipt verify` without a house, `session receipt` with and without a daemon."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from ironclaw.cli import render
from ironclaw.cli.main import run
from ironclaw.config.load import load_settings
from ironclaw.domain.receipts import MAX_BYTES
from ironclaw.domain.statement import CGROUP_CHECKS
from ironclaw.store.receipt_files import ReceiptFiles
from ironclaw.testing.receipts import TestSigner, launch, sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ironclaw.testing.fake_house import FakeHouse

SIGNER = TestSigner()
RAW = sealed().envelope


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a receipt and its key, on a machine without a house."""
    for name in ("STATE_DIR", "RUNTIME_DIR"):
        monkeypatch.setenv(f"IRONCLAW_PATHS_{name}", str(tmp_path / "no-house"))
    (tmp_path / "receipt.json").write_bytes(RAW)
    (tmp_path / "key.pub").write_bytes(SIGNER.pem)
    return tmp_path


@pytest.fixture
def verify(place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*more: str) -> tuple[int, str, str]:
        key = str(place / "key.pub")
        status = run(["receipt", "verify", str(place / "receipt.json"), "--key", key, *more])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_a_receipt_verifies_without_a_house(verify: Any, place: Path) -> None:
    status, out, err = verify()

    assert (status, err) == (0, "")
    assert "the launch was proven" in out
    assert "inside.uid" in out
    assert "ses_fake" in out
    assert not (place / "no-house").exists()


def test_what_is_not_enforced_is_neither_yes_nor_no(verify: Any, place: Path) -> None:
    bare = msgspec.structs.replace(
        launch(), checks={"inside.uid": True}, not_enforced=CGROUP_CHECKS
    )
    (place / "receipt.json").write_bytes(sealed(receipt=bare).envelope)

    status, out, _err = verify()
    rows = [line.split(maxsplit=1) for line in out.splitlines() if "outside.cgroup" in line]

    assert status == 0
    assert "1 of 1 held, 2 not enforced here" in out
    assert rows == [[name, "not enforced here"] for name in CGROUP_CHECKS]


def test_each_thing_that_is_weaker_is_a_sentence_of_its_own_broken_between_words(
    verify: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("no cgroup limit on memory, cpu, pids of this box", "airlocks run without landlock")
    bare = msgspec.structs.replace(launch(), weaker=words)
    (place / "receipt.json").write_bytes(sealed(receipt=bare).envelope)
    monkeypatch.setattr(render, "columns", lambda: 45)

    lines = [line.rstrip() for line in verify()[1].splitlines()]

    at = next(at for at, line in enumerate(lines) if line.startswith("weaker: "))
    assert lines[at : at + 3] == [
        "weaker: no cgroup limit on memory, cpu, pids",
        "  of this box",
        "weaker: airlocks run without landlock",
    ]


def test_a_verified_receipt_in_json_has_the_signed_statement(verify: Any) -> None:
    status, out, _err = verify("--json")

    told = json.loads(out)
    assert status == 0
    assert (told["verified"], told["verdict"], told["keyid"]) == (True, "proven", SIGNER.key_id)
    assert told["receipt"]["session"] == "ses_fake"
    assert told["receipt"]["checks"]["outside.sentry.uid"] is True


@pytest.mark.parametrize(
    "raw",
    [
        RAW[:100] + b"A" + RAW[101:] if RAW[100:101] != b"A" else RAW[:100] + b"B" + RAW[101:],
        b"",
        b"{}",
        b" " * (MAX_BYTES + 1),
        RAW + b"\n",
    ],
)
def test_what_was_changed_is_an_error_with_its_own_code(
    verify: Any, place: Path, raw: bytes
) -> None:
    (place / "receipt.json").write_bytes(raw)

    status, out, err = verify()
    told = json.loads(verify("--json")[1])

    assert (status, out) == (44, "")
    assert "receipt_invalid" in err
    assert told["error"]["code"] == "receipt_invalid"


def test_a_receipt_of_another_key_fails(verify: Any, place: Path) -> None:
    (place / "receipt.json").write_bytes(sealed(signer=TestSigner(1)).envelope)

    assert verify()[0] == 44


def test_an_endless_file_is_not_read(verify: Any, place: Path) -> None:
    """Its size is looked at first; what has none is no file."""
    with (place / "receipt.json").open("wb") as file:
        file.truncate(1 << 40)
    assert verify()[0] == 44

    (place / "receipt.json").unlink()
    os.mkfifo(place / "receipt.json")
    assert verify()[0] == 3

    (place / "receipt.json").unlink()
    (place / "receipt.json").symlink_to("/dev/zero")
    assert verify()[0] == 3


def test_a_missing_file_and_a_key_that_is_none_say_so(verify: Any, place: Path) -> None:
    (place / "key.pub").write_text("not a key")
    status, _out, err = verify()
    assert status == 3
    assert "Ed25519" in err

    (place / "key.pub").unlink()
    status, _out, err = verify()
    assert status == 4
    assert "key.pub" in err

    (place / "receipt.json").unlink()
    status, _out, err = verify()
    assert status == 4
    assert "session receipt ID --save FILE" in err
    assert "session, chat" not in err


def test_the_key_of_the_house_is_taken_when_none_is_named(cli: Any, tmp_path: Path) -> None:
    load_settings().receipt_key_file.write_bytes(SIGNER.pem)
    (tmp_path / "receipt.json").write_bytes(RAW)

    assert cli("receipt", "verify", str(tmp_path / "receipt.json"))[0] == 0


def test_a_saved_receipt_verifies(cli: Any, house: FakeHouse, tmp_path: Path) -> None:
    session = json.loads(cli("chat", "demo", "hello", "--json")[1])["session"]
    (tmp_path / "key.pub").write_bytes(SIGNER.pem)
    saved = str(tmp_path / "saved.json")

    told = json.loads(cli("session", "receipt", session, "--json", "--save", saved)[1])
    verified = cli("receipt", "verify", saved, "--key", str(tmp_path / "key.pub"), "--json")

    assert verified[0] == 0
    assert json.loads(verified[1])["receipt"]["session"] == session
    assert told["envelope"] == json.loads((tmp_path / "saved.json").read_bytes())


def test_a_saved_receipt_says_where_it_is_and_whose_key_signed_it(
    cli: Any, house: FakeHouse, tmp_path: Path
) -> None:
    session = json.loads(cli("chat", "demo", "hello", "--json")[1])["session"]
    saved = str(tmp_path / "saved.json")

    out = cli("session", "receipt", session, "--save", saved)[1]

    assert [line.split(maxsplit=2)[2] for line in out.splitlines()[-2:]] == [saved, SIGNER.key_id]
    assert "saved to" not in cli("session", "receipt", session)[1]


def test_a_receipt_that_cannot_be_saved_says_where(cli: Any, house: FakeHouse) -> None:
    session = json.loads(cli("chat", "demo", "hello", "--json")[1])["session"]

    status, _out, err = cli("session", "receipt", session, "--save", "/proc/none")

    assert status == 3
    assert "/proc/none" in err


def test_a_receipt_is_shown_while_no_daemon_runs(cli: Any) -> None:
    mine = load_settings()
    mine.receipt_key_file.write_bytes(SIGNER.pem)
    files = ReceiptFiles(mine.receipts_dir)
    for epoch in (1, 2):
        asyncio.run(files.keep(sealed("ses_a", epoch=epoch)))

    told = json.loads(cli("session", "receipt", "ses_a", "--json")[1])
    status, out, _err = cli("session", "receipt", "ses_a")

    assert (told["epoch"], told["runtime"], told["inside"]["interfaces"]) == (2, "runsc", ["lo"])
    assert status == 0
    assert "4 of 4 held" in out
    assert cli("session", "receipt", "ses_b")[0] == 4
    assert cli("session", "receipt", "../ses_a")[0] == 4


def test_a_stopped_house_shows_no_receipt_that_somebody_changed(cli: Any) -> None:
    mine = load_settings()
    mine.receipt_key_file.write_bytes(SIGNER.pem)
    files = ReceiptFiles(mine.receipts_dir)
    asyncio.run(files.keep(sealed("ses_a", signer=TestSigner(1))))
    asyncio.run(files.keep(sealed("ses_b")))
    (mine.receipts_dir / "ses_c").mkdir()
    files.newest("ses_b").rename(mine.receipts_dir / "ses_c" / "1.json")

    assert cli("session", "receipt", "ses_a")[0] == 44
    status, _out, err = cli("session", "receipt", "ses_c")
    assert status == 44
    assert "another session" in err
