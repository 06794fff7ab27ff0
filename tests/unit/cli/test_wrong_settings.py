"""A house can be stopped and looked at whatever setting is wrong; nothing else goes on."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.config.load import load_settings

if TYPE_CHECKING:
    from ironclaw.testing.fake_house import FakeHouse

KEEPER = "ironclaw.sandbox.keeper"


@pytest.fixture
def stopped(cli: Any, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A keeper runs in our directories; what is stopped comes in here."""
    mine = load_settings()
    mine.log_file.parent.mkdir(parents=True)
    mine.log_file.write_text("a line\n")
    stopped: list[Path] = []

    def status(runtime_dir: Path) -> Any:
        is_ours = runtime_dir == mine.runtime_dir
        return SimpleNamespace(state_dir=mine.state_dir.resolve()) if is_ours else None

    def stop(runtime_dir: Path, *, timeout_s: float) -> bool:
        assert timeout_s > 0
        stopped.append(runtime_dir)
        return True

    monkeypatch.setattr(f"{KEEPER}.keeper_status", status)
    monkeypatch.setattr(f"{KEEPER}.stop_keeper", stop)
    return stopped


def test_down_works_with_the_directories_alone(
    cli: Any, stopped: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = load_settings()
    monkeypatch.setenv("IRONCLAW_API_PORT", "many")

    status, out, err = cli("down", "--json")

    assert (status, json.loads(out)) == (0, {"stopped": True})
    assert "The settings are wrong: $IRONCLAW_API_PORT" in err
    assert "IRONCLAW_API_PORT=8787" in err
    assert stopped == [mine.runtime_dir]


def test_down_works_with_a_file_that_is_no_toml(
    cli: Any, stopped: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[api\n")

    status, _out, err = cli("--config", str(path), "down")

    assert status == 0
    assert f"{path}:1" in err
    assert len(stopped) == 1


def test_status_and_logs_work_too_and_nothing_else_does(
    cli: Any, house: FakeHouse, stopped: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = load_settings()
    monkeypatch.setenv("IRONCLAW_NONSENSE", "1")

    status, out, err = cli("status", "--json")
    told = json.loads(out)

    assert (status, told["ready"], told["api"]) == (0, True, f"unix:{mine.api_socket}")
    assert "IRONCLAW_NONSENSE" in err
    assert cli("logs")[:2] == (0, "a line\n")
    for argv in (["up"], ["agent", "list"], ["chat", "demo", "hello"], ["session", "list"]):
        assert cli(*argv)[:2] == (7, "")
    assert house.heard == []


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("IRONCLAW_PATH_RUNTIME_DIR", "/run/other"),
        ("IRONCLAW_PATHS_RUNTIME_DIR", "relative"),
        ("IRONCLAW_PATHS_STATE_DIR", "/var/lib/other"),
        ("IRONCLAW_PATHS_RUNTIME_DIR", "/run/other"),
    ],
)
def test_no_other_house_is_ever_stopped(
    cli: Any, stopped: list[Path], monkeypatch: pytest.MonkeyPatch, word: str, value: str
) -> None:
    monkeypatch.setenv("IRONCLAW_NONSENSE", "1")
    monkeypatch.setenv(word, value)

    status, out, _err = cli("down")

    assert (status, out, stopped) == (7, "", [])
