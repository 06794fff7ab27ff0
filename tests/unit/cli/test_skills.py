"""`ironclaw skill`: made, signed, looked at and imported as files; given by changes."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.config.load import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.testing.fake_house import FakeHouse

TEXT = "---\nname: fish\ndescription: Know fish.\nallowed-tools: Read\n---\nLook.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "fish"
    path.mkdir()
    (path / "SKILL.md").write_text(TEXT)
    (path / "odd.txt").write_text("\x1b[2J")
    return path


def told(cli: Any, *words: str) -> Any:
    status, out, err = cli(*words, "--json")
    assert status == 0, (out, err)
    return json.loads(out)


def test_from_a_key_to_an_imported_skill(
    cli: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, packed = str(tmp_path / "ann.pem"), str(tmp_path / "fish.skill")
    key = told(cli, "skill", "keygen", pem)["key"]
    assert stat.S_IMODE((tmp_path / "ann.pem").stat().st_mode) == 0o600
    status, out, _ = cli("skill", "keygen", pem, "--json")
    assert (status, json.loads(out)["error"]["code"]) == (5, "conflict")
    signed = told(cli, "skill", "sign", str(folder), "--key", pem, "--out", packed)
    assert signed["signer"] == key

    status, out, _ = cli("skill", "verify", packed, "--json")
    assert status == 40
    refused = json.loads(out)
    assert key in refused["error"]["message"]
    assert refused["error"]["code"] == "forbidden"
    assert cli("skill", "import", packed)[0] == 40
    monkeypatch.setenv("IRONCLAW_SKILLS_TRUSTED_KEYS", key)
    trusted = told(cli, "skill", "verify", packed)
    assert trusted["is_trusted"] is True
    del refused["error"]
    assert refused == trusted | {"is_trusted": False}
    assert (refused["name"], refused["signer"], refused["asks"]) == ("fish", key, ["Read"])
    assert told(cli, "skill", "import", packed)["digest"] == signed["digest"]
    files = load_settings().skills_dir / signed["digest"].removeprefix("sha256:") / "files"
    assert (files / "SKILL.md").read_text() == TEXT

    # The same folder makes the same file.
    again = str(tmp_path / "again.skill")
    told(cli, "skill", "sign", packed, "--key", pem, "--out", again)
    assert (tmp_path / "again.skill").read_bytes() == (tmp_path / "fish.skill").read_bytes()


def test_an_archive_that_is_there_is_replaced_only_by_force(
    cli: Any, folder: Path, tmp_path: Path
) -> None:
    there, pem = tmp_path / "fish.skill", str(tmp_path / "ann.pem")
    told(cli, "skill", "keygen", pem)
    there.write_text("mine")
    for words in (("pack", str(folder)), ("sign", str(folder), "--key", pem)):
        status, _, err = cli("skill", *words, "--out", str(there))
        assert status == 5
        assert "--force" in err
        assert there.read_text() == "mine"
    told(cli, "skill", "pack", str(folder), "--out", str(there), "--force")
    packed = there.read_bytes()
    told(cli, "skill", "sign", str(there), "--key", pem, "--out", str(there))
    assert there.read_bytes() not in {b"mine", packed}


def test_what_nobody_signed_needs_a_house_that_lets_people_vouch(
    cli: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = str(tmp_path / "fish.skill")
    assert told(cli, "skill", "pack", str(folder), "--out", packed)["signer"] == ""
    assert cli("skill", "import", packed)[0] == 40
    monkeypatch.setenv("IRONCLAW_SKILLS_BY_DIGEST", "true")
    assert told(cli, "skill", "import", packed)["signer"] == ""


def test_a_skill_is_shown_with_its_whole_text(cli: Any, folder: Path) -> None:
    (folder / "SKILL.md").write_text(TEXT + "\x1b[2Jgone\n")
    status, out, _ = cli("skill", "show", str(folder))
    assert status == 0
    assert "Know fish." in out
    assert "Look." in out
    assert "\x1b" not in out


@pytest.mark.parametrize("verb", ["pack", "verify", "import", "show"])
def test_what_is_no_skill_is_refused(cli: Any, tmp_path: Path, verb: str) -> None:
    (tmp_path / "plain").write_text("hello")
    (tmp_path / "empty").mkdir()
    assert cli("skill", verb, str(tmp_path / "plain"))[0] == 3
    assert cli("skill", verb, str(tmp_path / "empty"))[0] == 3


def test_a_key_that_is_none_signs_nothing(cli: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("hello")
    assert cli("skill", "sign", str(folder), "--key", str(tmp_path / "bad.pem"))[0] == 3
    assert cli("skill", "sign", str(folder), "--key", str(tmp_path / "gone.pem"))[0] == 4


def test_a_skill_is_given_and_taken_by_changes(cli: Any, house: FakeHouse) -> None:
    assert "birds" in cli("skill", "list")[1]
    assert "Listen first." in cli("skill", "show", "birds")[1]
    assert cli("policy", "set", "solo", "on", "--yes")[0] == 0
    assert told(cli, "skill", "add", "demo", "birds", "--yes")["row"]["status"] == "done"
    assert told(cli, "skill", "list")["skills"][0]["agents"] == ["demo"]
    assert "/shared/skills/birds" in cli("agent", "show", "demo")[1]
    status, _, err = cli("skill", "drop", "birds")
    assert status == 5
    assert "demo" in err
    assert told(cli, "skill", "remove", "demo", "birds", "--yes")["row"]["status"] == "done"
    assert [one.skills for one in house.setting.agents.values()] == [()]
    assert cli("skill", "drop", "birds")[0] == 0
    assert cli("skill", "add", "demo", "nothing")[0] == 4
