"""The bell's deadlines, on a clock of our own."""

from __future__ import annotations

import selectors
import socket
from typing import TYPE_CHECKING

import pytest

from ironclaw.airlock.bell import BellSocket
from ironclaw.core.clock import ManualClock
from ironclaw_contract.frames import pack
from ironclaw_contract.limits import CONTRACT_VERSION
from ironclaw_contract.rpc import Bell, Hello

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG_S = 1000.0


class Owner:
    """Notes what the bell tells."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_hello(self, hello: Hello) -> None:
        assert hello.claimed
        self.told.append("hello")

    def on_look(self) -> None:
        self.told.append("look")

    def on_key_read(self) -> None:
        self.told.append("key")

    def on_gone(self) -> None:
        self.told.append("gone")

    def on_hung(self) -> None:
        self.told.append("hung")


class Rung:
    """A bell and a box at it."""

    def __init__(self, place: Path) -> None:
        self.clock = ManualClock()
        self.owner = Owner()
        self.selector = selectors.DefaultSelector()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(place / "bell.sock"))
        listener.listen()
        listener.setblocking(False)
        self.bell = BellSocket(
            listener, self.selector, self.owner, self.clock, ping_s=60.0, pong_s=30.0
        )
        self.box = socket.socket(socket.AF_UNIX)
        self.box.connect(str(place / "bell.sock"))
        self.box.settimeout(5)
        self.turn()

    def turn(self) -> None:
        """Do what is ready."""
        for key, events in self.selector.select(0):
            key.data(events)
        self.bell.tick()

    def hello(self) -> None:
        self.box.sendall(pack(Hello(CONTRACT_VERSION, claimed=True, in_seq=0, out_seq=0)))
        self.turn()

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.turn()


@pytest.fixture
def rung(tmp_path: Path) -> Iterator[Rung]:
    made = Rung(tmp_path)
    yield made
    made.bell.close()
    made.box.close()
    made.selector.close()


def test_who_says_no_hello_is_dropped_but_not_while_it_stands_still(rung: Rung) -> None:
    rung.bell.expect(False)
    rung.later(LONG_S)
    rung.bell.expect(True)
    rung.later(9)
    rung.hello()
    assert rung.owner.told == ["hello"]


def test_one_that_goes_on_and_says_no_hello_is_dropped(rung: Rung) -> None:
    rung.bell.expect(False)
    rung.bell.expect(True)
    rung.later(11)
    assert rung.box.recv(1) == b""


def test_an_answer_that_comes_late_asks_for_none_while_it_stands_still(rung: Rung) -> None:
    rung.hello()
    rung.later(61)
    assert rung.box.recv(1) == Bell.PING.value
    rung.bell.expect(False)
    rung.box.sendall(Bell.PONG.value)
    rung.turn()
    rung.later(LONG_S)
    assert "hung" not in rung.owner.told
    assert rung.bell.deadline is None
    rung.bell.expect(True)
    rung.later(61)
    assert rung.box.recv(1) == Bell.PING.value
    rung.later(31)
    assert rung.owner.told[-1] == "hung"
