"""Somebody who waits for an agent hears that it is at work, and can stop it with Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ironclaw.cli import company, render
from ironclaw.cli.company import Patience, stopping
from ironclaw.cli.talk import Spoken
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPLY = Spoken("reply", "words", "cht_1", "ses_1", "msg_1", event=1)


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """As at a terminal: whoever runs tests in the background may have the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company, "_SAID_AT_S", (0.02, 0.05))
    monkeypatch.setattr(company, "_THEN_EVERY_S", 1.0)


def test_a_silence_is_spoken_of_more_and_more_rarely(quick: None) -> None:
    told: list[int] = []

    def hear() -> Iterator[Spoken]:
        wait_for(lambda: len(told) == 3)
        yield REPLY

    began = time.monotonic()
    assert list(Patience(told.append).over(hear())) == [REPLY]
    assert time.monotonic() - began >= 1.0
    assert told == [0, 0, 1]


def test_each_silence_is_one_of_its_own(quick: None) -> None:
    told: list[int] = []

    def hear() -> Iterator[Spoken]:
        wait_for(lambda: len(told) == 1)
        yield REPLY
        wait_for(lambda: len(told) == 3)
        yield REPLY

    assert len(list(Patience(told.append).over(hear()))) == 2


def test_nothing_is_said_while_something_is_shown_or_after_the_end(quick: None) -> None:
    told: list[int] = []
    for _ in Patience(told.append).over(iter([REPLY])):
        time.sleep(0.2)
    time.sleep(0.1)
    assert told == []
    assert "patience" not in {thread.name for thread in threading.enumerate()}


def test_what_breaks_off_ends_the_watch(quick: None) -> None:
    def hear() -> Iterator[Spoken]:
        raise HostError(Code.UNAVAILABLE, "gone")
        yield

    with pytest.raises(HostError):
        list(Patience(lambda _seconds: None).over(hear()))
    assert "patience" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    monkeypatch.setattr(render, "is_seen", lambda: True)
    monkeypatch.setattr(render, "note", lambda text, **_tone: made.append(text))
    return made


def test_ctrl_c_stops_the_agent_and_the_next_one_leaves(noted: list[str]) -> None:
    stopped: list[bool] = []
    before = signal.getsignal(signal.SIGINT)
    with stopping(lambda: stopped.append(True)):
        signal.raise_signal(signal.SIGINT)
        wait_for(lambda: bool(stopped))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert noted == ["", "stopping the agent; Ctrl-C again leaves"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stop_that_fails_says_so(noted: list[str]) -> None:
    def stop() -> None:
        raise HostError(Code.UNAVAILABLE, "The house is gone.")

    with stopping(stop):
        signal.raise_signal(signal.SIGINT)
        wait_for(lambda: "The house is gone." in noted)


def test_a_script_that_is_interrupted_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "is_seen", lambda: False)
    with pytest.raises(KeyboardInterrupt), stopping(lambda: None):
        signal.raise_signal(signal.SIGINT)
