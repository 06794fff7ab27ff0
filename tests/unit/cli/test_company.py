"""Somebody who waits for an agent hears that it is at work, and can stop it with Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.cli import chat, company, render
from ironclaw.cli.company import Patience, stopping
from ironclaw.cli.talk import Spoken
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPLY = Spoken("reply", "words", "cht_1", "ses_1", "msg_1", event=1)


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """As at a terminal: whoever runs tests in the background may have the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def nothing() -> None:
    pass


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


def test_what_is_shown_aside_comes_between_what_is_shown() -> None:
    shown: list[str] = []
    patience = Patience(lambda _seconds: None)
    aside = threading.Thread(target=patience.aside, args=(lambda: shown.append("aside"),))

    def hear() -> Iterator[Spoken]:
        yield REPLY
        wait_for(lambda: not aside.is_alive())
        yield REPLY

    for _ in patience.over(hear()):
        if not shown:
            aside.start()
            time.sleep(0.05)
        shown.append("came")
    assert shown == ["came", "aside", "came"]
    assert not patience.aside(lambda: shown.append("late"))
    assert "late" not in shown


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    monkeypatch.setattr(render, "is_seen", lambda: True)
    monkeypatch.setattr(render, "note", lambda text, **_tone: made.append(text))
    return made


def test_ctrl_c_stops_the_agent_and_the_next_one_leaves(noted: list[str]) -> None:
    stopped: list[bool] = []
    before = signal.getsignal(signal.SIGINT)
    with stopping(lambda: stopped.append(True), at_edge=nothing) as is_told:
        assert not is_told()
        signal.raise_signal(signal.SIGINT)
        wait_for(lambda: bool(stopped))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert is_told()
    assert noted == ["", "stopping the agent; Ctrl-C again leaves"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stop_that_fails_says_so(noted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise HostError(Code.UNAVAILABLE, "The house is gone.")

    monkeypatch.setattr(company, "_TELL_S", 0.1)
    with stopping(stop, at_edge=nothing) as is_told:
        signal.raise_signal(signal.SIGINT)
        wait_for(lambda: "The house is gone." in noted)
        assert not is_told()


def test_words_go_on_set_in_behind_what_was_said_of_the_stop_and_behind_a_suspension(
    noted: list[str],
) -> None:
    ended: list[int] = []
    before = signal.getsignal(signal.SIGCONT)
    with stopping(lambda: None, at_edge=lambda: ended.append(len(noted))):
        signal.raise_signal(signal.SIGCONT)
        assert ended == [0]
        signal.raise_signal(signal.SIGINT)
        wait_for(lambda: ended[-1] == 2)
    assert signal.getsignal(signal.SIGCONT) is before


def test_who_leaves_does_not_wait_for_a_house_that_does_not_answer(
    noted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(company, "_TELL_S", 0.1)
    answers = threading.Event()
    began = time.monotonic()
    with stopping(answers.wait, at_edge=nothing) as is_told:
        signal.raise_signal(signal.SIGINT)
        assert not is_told()
    assert time.monotonic() - began < 5
    answers.set()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (True, "The agent was told to stop."),
        (False, "The agent goes on with it: `ironclaw chat demo /stop` stops it."),
    ],
)
def test_who_leaves_is_told_whether_the_agent_goes_on(
    noted: list[str], words: str, *, told: bool
) -> None:
    with pytest.raises(KeyboardInterrupt), chat._leaving("demo", lambda: told):
        raise KeyboardInterrupt
    assert noted == ["", words]


def test_a_person_is_told_of_a_message_that_is_refused_and_a_script_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def send() -> dict[str, Any]:
        raise UserError(Code.TOO_LARGE, "It is long.", hint="Send it in parts.")

    monkeypatch.setattr(render, "is_seen", lambda: True)
    assert chat._taken(send) is None
    assert "It is long." in capsys.readouterr().err
    monkeypatch.setattr(render, "is_seen", lambda: False)
    with pytest.raises(UserError):
        chat._taken(send)


def test_a_house_that_is_gone_ends_the_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    def send() -> dict[str, Any]:
        raise UserError(Code.NOT_RUNNING, "It is not running.", hint="")

    monkeypatch.setattr(render, "is_seen", lambda: True)
    with pytest.raises(UserError):
        chat._taken(send)


def test_a_script_that_is_interrupted_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "is_seen", lambda: False)
    with pytest.raises(KeyboardInterrupt), stopping(lambda: None, at_edge=nothing):
        signal.raise_signal(signal.SIGINT)
