"""Waiting for a worker: its progress is shown, its crash and its silence are errors."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.cli import worker
from ironclaw.config.load import load_settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.sandbox import keeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.config.settings import Settings


@pytest.fixture
def private(cli: Any, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A house whose keeper seems to run."""
    settings = load_settings()
    settings.log_file.parent.mkdir(parents=True)
    settings.log_file.touch()
    monkeypatch.setattr(keeper, "keeper_status", lambda _directory: object())
    return settings


def wait(private: Settings, *, limit_s: float = 10.0) -> bytes:
    return worker.result_of(
        private, file="result.json", says="work: ", what="The work", limit_s=limit_s
    )


def say(private: Settings, text: str) -> None:
    with private.log_file.open("a", encoding="utf-8") as log:
        log.write(text)


def meanwhile(action: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


def test_progress_is_shown_once_and_then_the_result_is_there(
    private: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    say(private, "work: one\nsomething else\nwork: t")

    def work() -> None:
        time.sleep(0.25)
        say(private, "wo\nwork: three\n")
        (private.runtime_dir / "result.json").write_bytes(b"{}")

    thread = meanwhile(work)
    found = wait(private)
    thread.join()

    assert found == b"{}"
    assert capsys.readouterr().err.splitlines() == ["work: one", "work: two", "work: three"]


@pytest.mark.parametrize(
    "last",
    [
        "keeper: the core ended with status 1; starting it again in 0.0 s\n",
        "keeper: the core ended with status 60 and is not started again\n",
        "keeper: the core keeps crashing at once (status 1); giving up\n",
    ],
)
def test_a_crash_ends_the_waiting_with_the_end_of_the_log(private: Settings, last: str) -> None:
    say(private, "".join(f"line {number}\n" for number in range(100)))
    say(private, "Traceback (most recent call last):\nTypeError: no\n" + last)

    with pytest.raises(HostError, match=r"The work did not finish\.") as caught:
        wait(private)

    assert caught.value.code is Code.UNAVAILABLE
    assert "TypeError: no" in caught.value.detail
    assert "line 99" in caught.value.detail
    assert "line 50\n" not in caught.value.detail


def test_a_traceback_that_the_worker_outlived_is_no_crash(private: Settings) -> None:
    """Attacks make things fail; what a log says of them is not the worker's end."""
    say(private, "Traceback (most recent call last):\nValueError: hostile bytes\n")
    (private.runtime_dir / "result.json").write_bytes(b"[]")

    assert wait(private) == b"[]"


def test_waiting_has_an_end(private: Settings) -> None:
    say(private, "work: something endless\n")

    with pytest.raises(HostError) as caught:
        wait(private, limit_s=0.2)

    assert "something endless" in caught.value.detail


def test_a_keeper_that_is_gone_ends_the_waiting(
    private: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "keeper_status", lambda _directory: None)

    with pytest.raises(HostError):
        wait(private)


def test_a_result_left_by_a_keeper_that_has_gone_since_is_read(
    private: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "keeper_status", lambda _directory: None)
    (private.runtime_dir / "result.json").write_bytes(b"{}")

    assert wait(private) == b"{}"


def test_a_log_that_is_no_text_is_shown_all_the_same(
    private: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with private.log_file.open("ab") as log:
        log.write(b"work: \xff\x1b[2J\r\n")
    (private.runtime_dir / "result.json").write_bytes(b"{}")

    wait(private)

    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert shown.startswith("work: ")
