"""A hijacked airlock talks to the core: anything but the contract ends it, and only it.

Below, streams of bytes on the link; above, events of the right type in any order and with any
content, at the real sessions service.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest
from tests.support.cores import Core, until

from ironclaw.airlock.link import _event, open_link
from ironclaw.airlock.messages import Fault, Here, Ready, decode_from_airlock
from ironclaw.domain.model import SessionState
from ironclaw.domain.wall import (
    Asked,
    AskedTool,
    BoxArrived,
    BoxGone,
    BoxHung,
    KeyRead,
    Outbound,
    Tampered,
)
from ironclaw.services.parts import SessionLimits
from ironclaw.testing.fakes_sandbox import FakeIsolator
from ironclaw.testing.fakes_store import open_core_store
from ironclaw.testing.fakes_wall import FakeAirlocks
from ironclaw.testing.fuzz.dice import Dice, mutate
from ironclaw.testing.fuzz.samples import FROM_AIRLOCK, encoded
from ironclaw.testing.fuzz.targets import TARGETS
from ironclaw_contract.records import ContractError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from ironclaw.domain.wall import LinkEvent
    from ironclaw.testing.fakes_store import Conversation

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(180)]

STREAMS = 1_500
AIRLOCKS = 90
EVENTS = Asked | AskedTool | BoxArrived | BoxGone | BoxHung | KeyRead | Outbound | Tampered
OPENINGS = tuple(len(body).to_bytes(4, "big") + body for body in encoded(FROM_AIRLOCK))


def bodies(dice: Dice) -> Iterator[bytes]:
    """Frames without end: of the contract, nearly, and not at all."""
    while True:
        yield TARGETS["from-airlock"].make(dice)


def events(dice: Dice, count: int) -> list[LinkEvent]:
    """So many events that the link lets through."""
    found: list[LinkEvent] = []
    for body in bodies(dice):
        try:
            message = decode_from_airlock(body)
        except ContractError:
            continue
        if not isinstance(message, Ready | Fault | Here):
            found.append(_event(message))
        if len(found) == count:
            break
    return found


def stream(dice: Dice, number: int) -> bytes:
    """Some frames, cut, lengthened, or with lengths that are lies; every other one starts well."""
    # Chance alone lets some kind of event through too seldom: they take turns to be the first.
    first = OPENINGS[number // 2 % len(OPENINGS)] if number % 2 else b""
    return first + _anything(dice)


def _anything(dice: Dice) -> bytes:
    parts = []
    for body, _ in zip(bodies(dice), range(dice.few(8)), strict=False):
        size = dice.number() % 2**32 if dice.chance(12) else len(body)
        parts.append(size.to_bytes(4, "big") + body)
    whole = b"".join(parts)
    return mutate(dice, whole) if dice.chance(4) else whole


@pytest.fixture
def ended_child() -> Iterator[int]:
    """A process that has ended and is not reaped: its pid is nobody else's."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield pid
    os.waitpid(pid, 0)


async def test_any_bytes_on_the_link_are_events_or_its_end(seed: int, ended_child: int) -> None:
    outcomes: dict[str, int] = {}
    for number in range(STREAMS):
        dice = Dice(f"{seed}/link/{number}")
        ours, theirs = socket.socketpair()
        link = await open_link(ours, pid=ended_child, name="hostile")
        with theirs:
            theirs.setblocking(False)
            sending = asyncio.get_running_loop().create_task(
                _send(theirs, stream(dice, number), dice)
            )
            async with asyncio.timeout(10):
                while (event := await link.receive()) is not None:
                    assert isinstance(event, EVENTS), f"stream {number} of --seed {seed}"
                    kind = type(event).__name__
                    outcomes[kind] = outcomes.get(kind, 0) + 1
                await link.close()
                await sending
    # It is the events that are hostile, too: each kind has been seen.
    assert set(outcomes) == {kind.__name__ for kind in EVENTS.__args__}


async def _send(sock: socket.socket, data: bytes, dice: Dice) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data:
            size = dice.pick((1, 3, 5, 1_000, len(data)))
            await loop.sock_sendall(sock, data[:size])
            data = data[size:]
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the core has had enough


@pytest.fixture
async def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Core]:
    monkeypatch.setattr("ironclaw.domain.lifecycle.BASE_DELAY_S", 0.002)
    async with open_core_store(tmp_path / "state") as store:
        isolator = FakeIsolator(tmp_path / "house")
        async with Core(store, isolator, FakeAirlocks(), SessionLimits()) as core:
            yield core


async def talking(core: Core, name: str) -> Conversation:
    talk = await core.store.begin(name=name, place=name)
    await core.hear(talk, "hello")
    await core.answered(talk, 1)
    return talk


async def test_any_events_end_a_session_at_most_and_no_task_of_the_core(
    core: Core, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = await talking(core, "honest")
    said, states = 1, set()
    for number in range(AIRLOCKS):
        dice = Dice(f"{seed}/events/{number}")
        bad = await talking(core, f"bad-{number}")
        link = core.link()
        for event in events(dice, dice.few(12)):
            link._events.put_nowait(event)
        await core.hear(bad, "two")
        where = f"airlock {number} of --seed {seed}"
        await until(lambda link=link: link._events.empty() or link.is_dead, where)
        await core.hear(honest, f"still there {number}?")
        said += 1
        await core.answered(honest, said)
        assert core.failed == [], where
        assert "life_bug" not in capsys.readouterr().err, where
        await core.sessions.stop(bad.session)
        states.add((await core.store.registry.session(bad.session)).state)
    assert states == {SessionState.ACTIVE, SessionState.QUARANTINED}
