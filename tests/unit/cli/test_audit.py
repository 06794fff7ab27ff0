"""`ironclaw audit` and `ironclaw why`: on a stopped house, on a file alone, and with a daemon."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

import pytest

from ironclaw.cli.nouns import audit as noun
from ironclaw.config.load import load_settings
from ironclaw.domain.audit import CORE, By, Via
from ironclaw.keys.signer import AuditSigner
from ironclaw.testing import docs
from ironclaw.testing.audits import auditing_of, entry, exported
from ironclaw.testing.docs_audit import SNIPPET
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import apsw

    from ironclaw.testing.fake_house import FakeHouse

RECORDS = 10


@pytest.fixture
def state(cli: Any) -> Path:
    """A house that ran and stopped: ten records in the middle, signed at its end."""
    return run_once(load_settings().state_dir)


def run_once(state: Path, *, records: int = RECORDS) -> Path:
    async def work() -> None:
        async with open_core_store(state) as core:
            audit = auditing_of(core, state)
            AuditSigner(core.ring).publish(state / "audit-key.pub")
            await audit.begin(version="1")
            for number in range(records):
                await core.audit.append(entry(number))
                if number % 4 == 0:
                    await audit.sign()
            await audit.end()

    asyncio.run(work())
    return state


def edit(state: Path, work: Callable[[apsw.Connection], object]) -> None:
    """Change the store as somebody who has its key."""

    async def change() -> None:
        async with open_core_store(state) as core:

            def untied(db: apsw.Connection) -> None:
                for (name,) in list(
                    db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
                ):
                    db.execute(f"DROP TRIGGER {name}")
                work(db)

            await core.store.write(untied)

    asyncio.run(change())


def files_of(state: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in state.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


# --- verify ---------------------------------------------------------------------------------------


def test_a_stopped_house_is_verified_without_changing_it(cli: Any, state: Path) -> None:
    before = files_of(state)

    status, out, _ = cli("audit", "verify", "--json")
    told = json.loads(out)

    assert status == 0
    assert (told["first"], told["last"], told["unsigned"]) == (1, RECORDS + 2, 0)
    assert told["keyid"].startswith("sha256:")
    assert "records 1 to 12, signed through 12" in cli("audit", "verify")[1]
    assert files_of(state) == before


def test_an_edit_of_the_store_is_located(cli: Any, state: Path) -> None:
    edit(
        state,
        lambda db: db.execute(
            "UPDATE audit SET line = replace(line, 'agt_4', 'agt_5') WHERE n = 6"
        ),
    )

    status, out, _ = cli("audit", "verify", "--json")
    told = json.loads(out)

    assert status == 45
    assert told["verified"] is False
    assert (told["fault"], told["number"]) == ("edited", 6)
    assert told["place"] == "record 6 of the store"
    assert "breaks at record 6 (edited)" in cli("audit", "verify")[1]


PAGE = 4096


def test_a_flipped_byte_of_the_file_is_never_taken_for_a_chain_that_holds(
    cli: Any, state: Path
) -> None:
    """The pages have a MAC of their own: what verifies is what was written, or it is an error."""
    raw = (state / "store.db").read_bytes()
    head = json.loads(cli("audit", "verify", "--json")[1])["head"]
    refused = 0
    for at in range(PAGE // 2, len(raw), PAGE):
        (state / "store.db").write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        status, out, _ = cli("audit", "verify", "--json")
        refused += status in {45, 65, 66}
        # A page of another table is not read.
        assert status in {45, 65, 66} or json.loads(out)["head"] == head, at

    assert refused >= 2


def test_a_store_that_was_put_back_is_found(cli: Any, state: Path) -> None:
    older = state.with_name("older")
    shutil.copyfile(state / "store.db", older)
    run_once(state, records=1)
    shutil.copyfile(older, state / "store.db")

    status, out, _ = cli("audit", "verify", "--json")

    assert status == 45
    assert json.loads(out)["fault"] == "rolled_back"


def test_a_checkpoint_kept_elsewhere_shows_that_all_of_it_was_put_back(
    cli: Any, state: Path, tmp_path: Path
) -> None:
    shutil.copytree(state, tmp_path / "older")
    run_once(state, records=1)
    anchor = tmp_path / "kept.json"
    shutil.copyfile(state / "audit-head.json", anchor)
    assert cli("audit", "verify", "--checkpoint", str(anchor))[0] == 0
    shutil.rmtree(state)
    shutil.copytree(tmp_path / "older", state)
    assert cli("audit", "verify")[0] == 0

    status, out, _ = cli("audit", "verify", "--checkpoint", str(anchor), "--json")

    assert status == 45
    assert json.loads(out)["fault"] == "rolled_back"


def test_a_missing_or_replaced_anchor_or_key_is_found(cli: Any, state: Path) -> None:
    (state / "audit-head.json").rename(state / "away")
    assert json.loads(cli("audit", "verify", "--json")[1])["fault"] == "checkpoint_missing"
    (state / "audit-head.json").write_bytes(exported(3)[-1] + b"\n")
    assert json.loads(cli("audit", "verify", "--json")[1])["fault"] == "wrong_key"
    (state / "away").rename(state / "audit-head.json")
    other = run_once(state.with_name("other"))
    shutil.copyfile(other / "audit-key.pub", state / "audit-key.pub")

    status, _, err = cli("audit", "verify")

    assert status == 45
    assert "not the key of this house" in err


def test_without_a_house_there_is_nothing_to_verify_and_nothing_is_made(
    cli: Any, tmp_path: Path
) -> None:
    status, _, err = cli("audit", "verify")

    assert status == 4
    assert "There is no house" in err
    assert list(load_settings().state_dir.iterdir()) == []


# --- export and files -----------------------------------------------------------------------------


def test_a_file_is_verified_alone_with_the_public_key(
    cli: Any, state: Path, tmp_path: Path
) -> None:
    file, key = tmp_path / "audit.jsonl", tmp_path / "key.pub"
    shutil.copyfile(state / "audit-key.pub", key)
    made = json.loads(cli("audit", "export", str(file), "--json")[1])
    shutil.rmtree(state)

    status, out, _ = cli("audit", "verify", str(file), "--key", str(key), "--json")
    told = json.loads(out)

    assert (made["first"], made["through"]) == (1, RECORDS + 2)
    assert status == 0
    assert (told["first"], told["last"], told["unsigned"]) == (1, RECORDS + 2, 0)
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b"slt_4", b"slt_5"))
    found = json.loads(cli("audit", "verify", str(file), "--key", str(key), "--json")[1])
    assert found["fault"] == "edited"
    assert found["place"].startswith("line ")
    file.write_bytes(raw[:-1])
    assert cli("audit", "verify", str(file), "--key", str(key))[0] == 45


def test_the_verifier_of_the_page_agrees_with_ours(cli: Any, state: Path, tmp_path: Path) -> None:
    page = (docs.DOCS / "reference" / "audit.md").read_text(encoding="utf-8")
    assert SNIPPET in page
    file = tmp_path / "audit.jsonl"
    cli("audit", "export", str(file))
    shutil.copyfile(state / "audit-key.pub", tmp_path / "audit-key.pub")

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", SNIPPET],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run().stdout == f"the chain holds through record {RECORDS + 2}\n"
    raw = file.read_bytes()
    for changed in (raw.replace(b"slt_4", b"slt_5"), raw.replace(b'"index":2', b'"index":3')):
        file.write_bytes(changed)
        assert run().returncode != 0


@pytest.mark.parametrize("raw", [b"", b"\n", b"x" * 100_000, b'{"audit":{}}\n', b"\x00\n"])
def test_what_is_no_audit_is_not_verified(
    cli: Any, state: Path, tmp_path: Path, raw: bytes
) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(raw)

    status, _, _ = cli("audit", "verify", str(file))

    assert status == 45


def test_part_of_an_audit_is_exported_up_to_the_checkpoint_over_it(
    cli: Any, state: Path, tmp_path: Path
) -> None:
    file = tmp_path / "part.jsonl"

    made = json.loads(cli("audit", "export", str(file), "--from", "3", "--to", "5", "--json")[1])

    assert (made["first"], made["through"]) == (3, 6)
    told = json.loads(cli("audit", "verify", str(file), "--json")[1])
    assert (told["first"], told["last"]) == (3, 6)
    assert cli("audit", "export", str(tmp_path / "none"), "--to", "99")[0] == 4
    assert not (tmp_path / "none").exists()
    assert cli("audit", "export", str(file))[0] == 5


def test_a_broken_audit_is_not_exported(cli: Any, state: Path, tmp_path: Path) -> None:
    edit(state, lambda db: db.execute("UPDATE audit SET line = 'x' WHERE n = 6"))

    assert cli("audit", "export", str(tmp_path / "file"))[0] == 45
    assert not (tmp_path / "file").exists()


def test_files_and_the_store_are_one_chain_over_a_rotation(
    cli: Any, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Daemon:
        """The part of a daemon that a rotation needs, on the same store."""

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def call(self, _method: str, *path: str, body: Any = None) -> Any:
            async def work() -> None:
                async with open_core_store(state) as core:
                    audit = auditing_of(core, state)
                    if path[-1] == "rotate":
                        await audit.rotate(**body, by=By("api:cli", Via.CLI))

            asyncio.run(work())
            return {}

    monkeypatch.setattr(noun, "daemon", Daemon)
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"

    status, _, err = cli("audit", "rotate", str(one), "--to", "5")
    assert status == 0, err
    run_once(state)
    assert cli("audit", "rotate", str(two), "--to", "12")[0] == 0

    alone = json.loads(cli("audit", "verify", "--json")[1])
    chain = json.loads(cli("audit", "verify", str(one), str(two), "--store", "--json")[1])
    files = json.loads(cli("audit", "verify", str(one), str(two), "--json")[1])
    assert (alone["verified"], alone["first"]) == (True, 13)
    assert (chain["verified"], chain["last"]) == (True, alone["last"])
    assert (files["verified"], files["last"]) == (True, 12)
    anchor = tmp_path / "anchor.json"
    for line in (one.read_bytes().splitlines()[3], two.read_bytes().splitlines()[-1]):
        anchor.write_bytes(line + b"\n")
        parts = ("audit", "verify", str(one), str(two), "--store", "--checkpoint", str(anchor))
        assert cli(*parts)[0] == 0, anchor.read_bytes()
        assert cli("audit", "verify", "--checkpoint", str(anchor))[0] == 0
    anchor.write_bytes(two.read_bytes().splitlines()[-1] + b"\n")
    assert cli("audit", "verify", str(one), "--checkpoint", str(anchor))[0] == 45
    assert cli("audit", "verify", str(one), "--store")[0] == 45
    assert cli("audit", "verify", str(two), str(one))[0] == 45


# --- looking --------------------------------------------------------------------------------------


def test_records_are_shown_while_no_daemon_runs(cli: Any, state: Path) -> None:
    status, out, _ = cli("audit", "tail", "-n", "2")
    assert status == 0
    assert "daemon.stopped" in out
    assert len(out.splitlines()) == 3
    assert "refused the launch of slt_0" in cli("audit", "show", "2")[1]
    assert json.loads(cli("audit", "show", "2", "--json")[1])["slot"] == "slt_0"
    assert cli("audit", "show", "99")[0] == 4
    told = json.loads(cli("why", "slt_3", "--json")[1])
    assert [record["number"] for record in told["records"]] == [5]
    assert "#5  The core refused the launch of slt_3" in cli("why", "slt_3")[1]
    status, _out, err = cli("why", "ses_x")
    assert status == 4
    assert "has nothing of 'ses_x'" in err


def test_records_are_shown_by_a_daemon(cli: Any, house: FakeHouse) -> None:
    asyncio.run(house.trail.append(entry(1), by=CORE))
    asyncio.run(house.trail.append(entry(2), by=By("matrix:@ann/phone & co", Via.API)))

    assert "launch.refused" in cli("audit", "tail")[1]
    assert json.loads(cli("audit", "show", "1", "--json")[1])["slot"] == "slt_1"
    told = json.loads(cli("why", "slt_1", "--json")[1])
    assert told["words"] == ["The core refused the launch of slt_1 for the agent agt_1: x."]
    told = json.loads(cli("why", "matrix:@ann/phone & co", "--json")[1])
    assert [one["number"] for one in told["records"]] == [2]
    (used,) = [one for one in house.trail.records if one.event == "token.used"]
    assert used.via is Via.CLI


def test_the_audit_of_an_older_ironclaw_is_not_called_broken(cli: Any, state: Path) -> None:
    edit(state, lambda db: db.execute("DROP TABLE audit_checkpoint"))

    status, _, err = cli("audit", "verify")

    assert status == 5
    assert "not a chain yet" in err
