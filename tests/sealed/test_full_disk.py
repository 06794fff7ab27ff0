"""A full disk: a clear word, nothing half-made, and the house goes on once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import CODES, Code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.root_only, pytest.mark.timeout(120)]

_DISK = "size=64m,mode=700"
_TRIES = 600


@contextmanager
def small_disk(house: House) -> Iterator[None]:
    """The house's state on a file system of its own that is soon full."""
    house.down()
    aside = house.place / "aside"
    house.state.rename(aside)
    house.state.mkdir(mode=0o700)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", str(house.state)], check=True, timeout=20
    )
    try:
        shutil.copytree(aside, house.state, dirs_exist_ok=True)
        house.up(SANDBOX_POOL_SIZE="0")
        yield
    finally:
        house.down()
        subprocess.run(["umount", str(house.state)], check=True, timeout=20)
        shutil.rmtree(house.state)
        aside.rename(house.state)


def fill(directory: Path) -> Path:
    """Take all the room there is."""
    file = directory / "filler"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        size = 1 << 20
        while size:
            try:
                os.write(descriptor, b"\0" * size)
            except OSError:
                size //= 2
    finally:
        os.close(descriptor)
    return file


def test_a_full_disk_is_said_and_costs_nothing_that_was_accepted(own_houses: Houses) -> None:
    """Every accepted message is answered, the refused one leaves no trace, the next one works."""
    with own_houses.open(SANDBOX_POOL_SIZE="0") as house, small_disk(house):
        house.ask("demo", "the number is 17")
        filler = fill(house.state)
        target = "/v1/agents/demo/chats/main/messages"
        accepted = 0
        with house.api() as api:
            for number in range(_TRIES):
                answer = api.call("POST", target, {"text": f"{number} " + "x" * 60_000})
                if answer.status == CODES[Code.DISK_FULL].http_status:
                    break
                assert answer.status == 202, answer
                accepted += 1
            assert answer.body["code"] == Code.DISK_FULL, answer
            assert "free" in answer.body["hint"].lower()
        # Full, but not dead: the house still says how it is.
        said = house.cli("status", "--json")
        assert said.status == 0, said

        filler.unlink()

        last = house.ask("demo", "!recall")
        lines = last["reply"].splitlines()
        assert '1. "the number is 17"' in lines[0]
        # What was accepted while it was filling up is there once each; what was refused is not.
        assert len(lines) == 1 + accepted
        house.down()
        house.up(SANDBOX_POOL_SIZE="0")
        assert '1. "the number is 17"' in house.ask("demo", "!recall")["reply"]
