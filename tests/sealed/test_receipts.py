"""Signed receipts of real boxes: checked without a house, refused when changed; none unproven."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.support.house import wait_for, wait_for_end
from tests.support.tree import ROOT

from ironclaw.domain.statement import CGROUP_CHECKS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import House, Houses, Said

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]

_SNIPPET = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)


class Kept(NamedTuple):
    """A real receipt and its house's public key, in a directory with nothing of the house."""

    house: House
    place: Path
    session: str

    @property
    def file(self) -> Path:
        return self.place / "receipt.json"

    @property
    def key(self) -> Path:
        return self.place / "receipt-key.pub"

    def verify(self, *, key: Path | None = None) -> Said:
        """Verify as the house's user, where no house can be found."""
        nowhere = str(self.place / "no-house")
        return self.house.cli(
            "receipt",
            "verify",
            str(self.file),
            "--key",
            str(key or self.key),
            "--json",
            environment={
                f"IRONCLAW_PATHS_{name}_DIR": nowhere for name in ("STATE", "RUNTIME", "IMAGE")
            },
        )


@pytest.fixture
def elsewhere(house: House) -> Iterator[Path]:
    """A directory that the house's user may write."""
    with tempfile.TemporaryDirectory(prefix="icl-elsewhere-") as place:
        Path(place).chmod(0o755)
        if house.person is not None:
            shutil.chown(place, house.person.uid, house.person.gid)
        yield Path(place)


@pytest.fixture
def kept(house: House, agent: str, elsewhere: Path) -> Kept:
    """A receipt that was saved as people save it."""
    session = house.ask(agent, "hello")["session"]
    said = house.cli("session", "receipt", session, "--save", str(elsewhere / "receipt.json"))
    assert said.status == 0, said
    shutil.copyfile(house.state / "receipt-key.pub", elsewhere / "receipt-key.pub")
    (elsewhere / "receipt-key.pub").chmod(0o644)
    return Kept(house, elsewhere, session)


def test_a_receipt_of_a_real_box_verifies_where_there_is_no_house(kept: Kept) -> None:
    said = kept.verify()

    assert said.status == 0, said
    receipt = said.told["receipt"]
    box = kept.house.box_of(kept.session)
    assert said.told["verdict"] == "proven"
    assert (receipt["session"], receipt["slot"], receipt["epoch"]) == (kept.session, box.slot, 1)
    assert "--network=none" in receipt["runtime"]["flags"]
    assert receipt["runtime"]["rootless"] is not kept.house.is_root
    assert receipt["inside"]["interfaces"] == ["lo"]
    absent = [] if receipt["outside"]["cgroup"] != "none" else list(CGROUP_CHECKS)
    assert receipt["not_enforced"] == absent
    assert len(receipt["checks"]) + len(absent) >= 26
    assert all(receipt["checks"].values())
    assert receipt["launched_at"] <= receipt["bound_at"]


def test_a_changed_receipt_and_another_key_fail(kept: Kept) -> None:
    """The twins: one byte less true, one key less right."""
    raw = kept.file.read_bytes()
    middle = len(raw) // 2
    kept.file.write_bytes(raw[:middle] + bytes([raw[middle] ^ 1]) + raw[middle + 1 :])
    assert (kept.verify().status, kept.verify().told["error"]["code"]) == (44, "receipt_invalid")

    kept.file.write_bytes(raw)
    made = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(kept.place / "other")]
    subprocess.run(made, check=True, timeout=30)
    shown = ["openssl", "pkey", "-in", str(kept.place / "other"), "-pubout"]
    other = kept.place / "other.pub"
    other.write_bytes(subprocess.run(shown, check=True, capture_output=True, timeout=30).stdout)
    other.chmod(0o644)
    assert (kept.verify(key=other).status, kept.verify().status) == (44, 0)


@pytest.mark.parametrize("language", ["sh", "python"])
def test_a_stranger_checks_it_as_the_reference_says(kept: Kept, language: str) -> None:
    """With `openssl` or a few lines of Python, and nothing of ours."""
    page = (ROOT / "docs" / "reference" / "receipts.md").read_text()
    program = dict(_SNIPPET.findall(page))[language]
    argv = ["sh", "-euc", program] if language == "sh" else [kept.house.python, "-c", program]
    # The tests' own interpreter finds the library.
    argv = argv if language == "sh" else ["python3", "-c", program]

    def run() -> subprocess.CompletedProcess[str]:
        command = kept.house.as_user(*argv)
        return subprocess.run(
            command, cwd=kept.place, capture_output=True, text=True, timeout=60, check=False
        )

    right = run()
    envelope = json.loads(kept.file.read_bytes())
    envelope["payload"] = "AAAA" + envelope["payload"][4:]
    kept.file.write_text(json.dumps(envelope, separators=(",", ":")) + "\n")
    wrong = run()

    assert right.returncode == 0, right
    assert f'"session":"{kept.session}"' in right.stdout
    assert wrong.returncode != 0


def launches(house: House) -> list[dict[str, Any]]:
    """What the audit has of launches."""
    found = house.cli("audit", "tail", "--json").told["records"]
    return [record for record in found if record["event"].startswith("launch.")]


def test_a_stopped_house_shows_receipts_and_a_restarted_one_keeps_them(houses_of: Houses) -> None:
    with houses_of.open(SANDBOX_POOL_SIZE="0") as house:
        session = house.ask("demo", "hello")["session"]
        before = house.cli("session", "receipt", session, "--json").told
        (record,) = launches(house)
        published = house.state / "receipt-key.pub"
        key = published.read_bytes()
        kept = house.state / "receipts" / session / "1.json"
        house.down()

        offline = house.cli("session", "receipt", session, "--json")
        assert offline.status == 0, offline
        assert offline.told == before
        assert (record["event"], record["session"]) == ("launch.proven", session)
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert stat.S_IMODE(published.stat().st_mode) == 0o644

        house.up()
        assert published.read_bytes() == key
        assert house.cli("session", "receipt", session, "--json").told == before
        house.ask("demo", "again")
        after = house.cli("session", "receipt", session, "--json").told
        assert (before["epoch"], after["epoch"]) == (1, 2)
        assert house.cli("receipt", "verify", str(kept)).status == 0


def test_what_an_airlock_goes_without_is_in_receipt_and_status(kept: Kept) -> None:
    receipt = kept.house.cli("session", "receipt", kept.session, "--json").told
    degraded = kept.house.cli("status", "--json").told["degraded"]

    assert {"no-new-privs", "seccomp"} <= set(receipt["airlock_held"])
    words = {f"airlocks run without {control}" for control in receipt["airlock_missing"]}
    assert words <= set(degraded)
    assert words <= set(receipt["weaker"])


def test_a_launch_that_is_less_sealed_gives_no_session(houses_of: Houses, elsewhere: Path) -> None:
    """The twin of every receipt: a real box without the agent's seccomp profile is refused."""
    runsc = shutil.which("runsc")
    assert runsc is not None
    weaker = elsewhere / "weaker-runsc"
    # Without this flag runsc ignores the profile in the spec.
    weaker.write_text(
        f"#!/bin/sh\nfor word; do\n  shift\n"
        f'  [ "$word" = --oci-seccomp ] || set -- "$@" "$word"\ndone\nexec {runsc} "$@"\n'
    )
    weaker.chmod(0o755)
    with houses_of.open(SANDBOX_RUNSC=str(weaker), SANDBOX_POOL_SIZE="0") as house:
        with house.api() as api:
            sent = api.say("demo", "a secret of a person")

        assert sent["status"] == "failed"
        assert "inside.seccomp" in sent["reply"]
        assert "posture_failed" in sent["reply"]
        wait_for(lambda: house.boxes() == {}, "the box to be gone")
        (record,) = launches(house)
        assert (record["event"], record["code"]) == ("launch.refused", "posture_failed")
        assert "inside.seccomp" in record["words"]
        assert ("session" in record, record["slot"][:4]) == (False, "slt_")
        assert "secret" not in json.dumps(record)
        assert house.cli("session", "receipt", sent["session"]).status == 4
        assert not (house.state / "receipts").exists()


def test_a_new_core_adopts_a_box_with_the_receipt_it_has(house: House, agent: str) -> None:
    session = house.ask(agent, "hello")["session"]
    before = house.cli("session", "receipt", session, "--json").told
    core = house.core()
    assert core is not None
    wait_for_end_of_core(house, core)

    house.ask(agent, "and again")

    assert house.cli("session", "receipt", session, "--json").told == before


def wait_for_end_of_core(house: House, core: int) -> None:
    """Kill the core and wait until its keeper has another one that answers."""
    subprocess.run(["kill", "-9", str(core)], check=True, timeout=10)
    wait_for_end(core)
    wait_for(lambda: house.core() not in {None, core}, "a new core")
    wait_for(lambda: house.cli("status").status == 0, "the new core to answer")
