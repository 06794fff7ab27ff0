"""What stays in `in/`: nothing that the box has told that it took."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ironclaw.airlock.queue import InQueue
from ironclaw_contract.records import Message, Step, TurnEnd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[InQueue]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    made = InQueue(fd, "ses_1", 1, bytes(32))
    for number in range(1, 6):
        made.publish([Message(f"msg_{number}", "Ann", "hello", 0)])
    yield made
    os.close(fd)


def left(queue: InQueue) -> list[int]:
    return sorted(queue._files)


def test_a_record_of_a_turn_tells_that_its_message_was_taken(queue: InQueue):
    queue.answered([Step("msg_2", 0, ())])
    assert left(queue) == [3, 4, 5]
    assert set(queue._turns) == {f"msg_{number}" for number in range(1, 6)}
    queue.answered([TurnEnd("msg_2", 1, ())])
    assert "msg_2" not in queue._turns


def test_so_does_a_message_that_joined(queue: InQueue):
    queue.answered([Step("msg_1", 0, ()), Step("msg_1", 1, (), heard=("msg_2", "msg_3"))])
    assert left(queue) == [4, 5]
    queue.answered([TurnEnd("msg_1", 2, (), heard=("msg_4",))])
    assert left(queue) == [5]
    assert set(queue._turns) == {"msg_5"}


def test_what_is_made_up_changes_nothing(queue: InQueue):
    queue.answered([Step("msg_9", 0, (), heard=("msg_8",)), TurnEnd("msg_9", 1, ())])
    assert left(queue) == [1, 2, 3, 4, 5]
