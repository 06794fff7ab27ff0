"""A private house is cleared up however the command ends."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.cli import private_house as module
from ironclaw.config.load import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.config.settings import Settings

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Launches:
    """Stands in for keepers."""

    def __init__(self) -> None:
        self.stopped: list[Path] = []
        self.signal_while_stopping: int | None = None

    def start(self, _settings: Settings, _environment: Any, *, core: Any = ()) -> None:
        """Start nothing."""

    def stop(self, settings: Settings) -> bool:
        """Note what is stopped."""
        if self.signal_while_stopping is not None:
            os.kill(os.getpid(), self.signal_while_stopping)
        self.stopped.append(settings.runtime_dir)
        return True


@pytest.fixture
def launches(cli: Any, monkeypatch: pytest.MonkeyPatch) -> Launches:
    fake = Launches()
    monkeypatch.setattr(module.launch, "start", fake.start)
    monkeypatch.setattr(module.launch, "stop", fake.stop)
    return fake


def run(body: Any) -> Settings:
    mine = load_settings()
    places: list[Settings] = []
    try:
        with module.private_house(mine, None, purpose="test") as private:
            places.append(private)
            assert private.state_dir.is_dir()
            assert private.state_dir != mine.state_dir
            (private.state_dir / "left").write_text("over")
            body()
    finally:
        assert not places[0].state_dir.exists()
        assert not places[0].runtime_dir.exists()
        assert mine.state_dir.exists()
    return places[0]


def test_it_is_gone_after_its_use(launches: Launches) -> None:
    private = run(lambda: None)

    assert launches.stopped == [private.runtime_dir]


def test_boxes_that_a_killed_keeper_left_are_ended(
    launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[Path] = []
    monkeypatch.setattr("ironclaw.sandbox.leftovers.clear", cleared.append)

    with module.private_house(load_settings(), None, purpose="test") as private:
        for house in (private.runtime_dir, private.runtime_dir / "house-1"):
            (house / "bundles").mkdir(parents=True)

    assert len(launches.stopped) == 1
    assert cleared == [private.runtime_dir, private.runtime_dir / "house-1"]


@pytest.mark.parametrize("number", ENDINGS)
def test_every_way_of_being_asked_to_end_clears_up(launches: Launches, number: int) -> None:
    before = [signal.getsignal(one) for one in ENDINGS]

    with pytest.raises(KeyboardInterrupt):
        run(lambda: os.kill(os.getpid(), number))

    assert len(launches.stopped) == 1
    assert [signal.getsignal(one) for one in ENDINGS] == before


@pytest.mark.parametrize("number", ENDINGS)
def test_a_second_request_does_not_stop_the_clearing_up(launches: Launches, number: int) -> None:
    launches.signal_while_stopping = number

    run(lambda: None)

    assert len(launches.stopped) == 1


def test_a_failure_clears_up_and_is_told(launches: Launches) -> None:
    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(fail)

    assert len(launches.stopped) == 1
