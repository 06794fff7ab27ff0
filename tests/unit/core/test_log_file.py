"""A log file that stays within its size."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, TextIO

import pytest

from ironclaw.core.log_file import BoundedLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST = 1000


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "log").open("a", encoding="utf-8") as file:
        yield file


def test_a_log_that_grows_is_copied_aside_and_begun_anew(sink: TextIO, tmp_path: Path) -> None:
    bounded = BoundedLog(sink, tmp_path / "log", most_bytes=MOST)
    for number in range(500):
        bounded.write(f"{number:>9}\n")
        bounded.flush()
        assert (tmp_path / "log").stat().st_size <= 2 * MOST
    # The newest lines are there, in one of the two.
    kept = (tmp_path / "log.1").read_text() + (tmp_path / "log").read_text()
    assert kept.split()[-100:] == [str(number) for number in range(400, 500)]
    assert (tmp_path / "log.1").stat().st_mode & 0o777 == 0o600


def test_what_another_process_appends_counts_and_goes_on(sink: TextIO, tmp_path: Path) -> None:
    with (tmp_path / "log").open("a", encoding="utf-8") as other:
        other.write("x" * 5000)
        other.flush()
        BoundedLog(sink, tmp_path / "log", most_bytes=MOST).write("first\n")
        sink.flush()
        assert (tmp_path / "log").stat().st_size < MOST
        other.write("again\n")
        other.flush()
    assert (tmp_path / "log").read_text().endswith("again\n")


def test_a_stream_that_is_not_the_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("y" * 5000)
    elsewhere = tmp_path / "elsewhere"
    with elsewhere.open("a", encoding="utf-8") as file:
        BoundedLog(file, tmp_path / "log", most_bytes=MOST).write("z" * 5000)
    assert elsewhere.stat().st_size == 5000
    assert (tmp_path / "log").stat().st_size == 5000
    # It may be no file at all, and there may be no log.
    BoundedLog(io.StringIO(), tmp_path / "none", most_bytes=MOST).write("z" * 5000)


def test_a_log_is_cut_even_when_there_is_no_room_for_its_copy(
    sink: TextIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("shutil.copyfile", full)
    BoundedLog(sink, tmp_path / "log", most_bytes=MOST).write("x" * 5000)
    assert (tmp_path / "log").stat().st_size == 0
